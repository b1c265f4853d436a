"""Nothing twice and nothing lost: runs that were killed, interrupted or stopped, and go on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import scripts
from support.commands import Folder

ITEMS = 6000
KILLS = 10
AT_MOST = 400
TELLING = 1024
"""Bytes that an item tells: a pipe holds 64 such, so items can't run far ahead of the test."""

TELLS = """
import os

def fn(value):
    pipe = os.open("told", os.O_WRONLY)
    os.write(pipe, b"%01024d" % value["id"])
    os.close(pipe)
    if value["id"] % 7 == 3:
        raise ValueError("seven")
    return {**value, "square": value["id"] ** 2}

def quiet(value):
    if value["id"] % 7 == 3:
        raise ValueError("seven")
    return {**value, "square": value["id"] ** 2}
"""


class Told:
    """What the function says through a pipe that takes few items ahead."""

    def __init__(self, folder: Folder) -> None:
        path = folder.path / "told"
        if not path.exists():
            os.mkfifo(path)
        # Opened for both: it neither waits for a writer nor ends with the last one.
        self._pipe = os.open(path, os.O_RDWR)

    def take(self, count: int) -> list[int]:
        """The next items that ran."""
        return [int(os.read(self._pipe, TELLING)) for _ in range(count)]

    def rest(self) -> list[int]:
        """Those that nobody has taken."""
        os.set_blocking(self._pipe, False)
        found = []
        try:
            while True:
                found.append(int(os.read(self._pipe, TELLING)))
        except BlockingIOError:
            return found
        finally:
            os.set_blocking(self._pipe, True)

    def all_of(self, process: subprocess.Popen[bytes]) -> list[int]:
        """All that run until the process ends."""
        found = []
        while process.poll() is None:
            found += self.rest()
        return found + self.rest()

    def close(self) -> None:
        os.close(self._pipe)


@contextmanager
def running(folder: Folder, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "allcores", *arguments],
        cwd=folder.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=scripts.environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()  # the pipes end with the last worker


@pytest.fixture
def told(folder: Folder) -> Iterator[Told]:
    folder.write("tells.py", TELLS)
    told = Told(folder)
    yield told
    told.close()


def written(path: Path, key: str) -> set[int]:
    """The items whose results or failures stand whole in a file."""
    if not path.exists():
        return set()
    lines = path.read_bytes().split(b"\n")[:-1]
    return {json.loads(line)[key] for line in lines}


def records(folder: Folder, count: int) -> None:
    values = ({"id": number, "text": "x" * (number % 50)} for number in range(count))
    folder.json_lines("in.jsonl", values)


def test_run_killed_ten_times_gives_the_same_bytes_and_runs_nothing_twice_that_was_written(
    folder: Folder, told: Told, rng: random.Random
) -> None:
    records(folder, ITEMS)
    # The undisturbed run of the same function, whose name alone differs.
    folder.run("run", "tells:quiet", "in.jsonl", "-o", "whole.jsonl")
    command = ("run", "tells:fn", "in.jsonl", "-o", "out.jsonl", "--resume", "-j", "2")
    output = folder.path / "out.jsonl"
    before: set[int] = set()
    for _ in range(KILLS):
        with running(folder, *command) as process:
            ran = told.take(rng.randrange(1, 100))
            if rng.random() < 0.7:
                # What has come is on its way to the disk.
                size, end = output.stat().st_size, len(ran) + AT_MOST
                while output.stat().st_size <= size and len(ran) < end:
                    ran += told.take(1)
            os.kill(process.pid, signal.SIGKILL)
        ran += told.rest()
        assert before.isdisjoint(ran)
        now = written(output, "id")
        assert before <= now
        before = now
    with running(folder, *command) as process:
        ran = told.all_of(process)
    assert process.returncode == 1
    assert before.isdisjoint(ran)
    assert output.read_bytes() == (folder.path / "whole.jsonl").read_bytes()
    errors = [folder.values(f"{name}.jsonl.errors.jsonl") for name in ("out", "whole")]
    assert [each["index"] for each in errors[0]] == [each["index"] for each in errors[1]]
    assert not folder.has("out.jsonl.journal")


@pytest.mark.parametrize("ending", ["csv", "txt", "parquet"])
def test_run_in_every_format_killed_thrice_gives_the_same_bytes(
    folder: Folder, told: Told, rng: random.Random, ending: str
) -> None:
    records(folder, 1000)
    folder.run("run", "tells:quiet", "in.jsonl", "-o", f"whole.{ending}")
    command = ("run", "tells:fn", "in.jsonl", "-o", f"out.{ending}", "--resume", "-j", "2")
    for _ in range(3):
        with running(folder, *command) as process:
            told.take(rng.randrange(1, 250))
            os.kill(process.pid, signal.SIGKILL)
        told.rest()
    with running(folder, *command) as process:
        told.all_of(process)
    assert process.returncode == 1
    found, whole = (folder.path / f"{name}.{ending}" for name in ("out", "whole"))
    assert found.read_bytes() == whole.read_bytes()


def test_unordered_run_goes_on_with_what_is_missing(folder: Folder, told: Told) -> None:
    count = 5000
    records(folder, count)
    command = ("run", "tells:fn", "in.jsonl", "-o", "out.jsonl", "--unordered")
    with running(folder, *command) as process:
        while not written(folder.path / "out.jsonl", "index"):
            told.take(1)
        os.kill(process.pid, signal.SIGKILL)
    told.rest()
    before = written(folder.path / "out.jsonl", "index")
    with running(folder, *command, "--resume") as process:
        ran = told.all_of(process)
    assert before.isdisjoint(ran)
    found = [each["index"] for each in folder.values("out.jsonl")]
    assert sorted(found) == [number for number in range(count) if number % 7 != 3]
    listed = [each["index"] for each in folder.values("out.jsonl.errors.jsonl")]
    assert sorted(listed) == [number for number in range(count) if number % 7 == 3]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(folder: Folder, told: Told) -> None:
    records(folder, 2000)
    with running(folder, "run", "tells:fn", "in.jsonl", "-o", "out.jsonl") as process:
        told.take(100)
        os.killpg(process.pid, signal.SIGINT)
        told.all_of(process)
        said = process.stderr.read().decode() if process.stderr else ""
    assert process.returncode == 130
    assert said.startswith("allcores: interrupted after ")
    assert said.endswith("hint: the same command with `--resume` goes on where it stopped\n")
    with running(folder, "run", "tells:fn", "in.jsonl", "-o", "out.jsonl", "--resume") as process:
        told.all_of(process)
    assert len(folder.values("out.jsonl")) == 2000 - 286
    assert [each["id"] for each in folder.values("out.jsonl")] == [
        number for number in range(2000) if number % 7 != 3
    ]


def stopped(folder: Folder) -> None:
    """A run that has stopped after its first failure."""
    folder.json_lines("in.jsonl", [1, 2, 3, 4, 5])
    folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--max-failures", "1")
    assert folder.has("out.jsonl.journal")


GO_ON = ("-o", "out.jsonl", "--resume")


def test_run_that_was_not_finished_is_not_overwritten(folder: Folder) -> None:
    stopped(folder)
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl")
    assert (ended.code, ended.said) == (
        2,
        "allcores: an earlier run into `out.jsonl` was not finished\n"
        "hint: `--resume` goes on where it stopped, `--overwrite` starts anew\n",
    )


def test_going_on_with_another_function_is_refused(folder: Folder) -> None:
    stopped(folder)
    ended = folder.run("run", "work:same", "in.jsonl", *GO_ON)
    assert ended.code == 2
    assert ended.said.startswith(
        "allcores: `out.jsonl` was begun with another function: `work:odd`, now `work:same`\nhint: "
    )


def test_going_on_with_other_input_is_refused_unless_accepted(folder: Folder) -> None:
    stopped(folder)
    with (folder.path / "in.jsonl").open("a") as file:
        file.write("7\n")
    ended = folder.run("run", "work:odd", "in.jsonl", *GO_ON)
    assert ended.code == 2
    assert "was begun with another content of the input" in ended.said
    ended = folder.run("run", "work:odd", "in.jsonl", *GO_ON, "--accept-changes")
    assert ended.code == 1
    assert folder.values("out.jsonl") == [1, 3, 5, 7]


def test_going_on_after_the_code_was_mended_must_be_asked_for(folder: Folder) -> None:
    stopped(folder)
    folder.write("work.py", folder.text("work.py") + "# mended\n")
    ended = folder.run("run", "work:odd", "in.jsonl", *GO_ON)
    assert ended.code == 2
    assert "another code of the function" in ended.said
    assert folder.run("run", "work:odd", "in.jsonl", *GO_ON, "--accept-changes").code == 1


def test_complete_output_has_nothing_to_resume(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1])
    assert folder.run("run", "work:odd", "in.jsonl", *GO_ON).code == 0
    ended = folder.run("run", "work:odd", "in.jsonl", *GO_ON)
    assert (ended.code, ended.said) == (
        0,
        "allcores: nothing to resume, `out.jsonl` is complete\n",
    )


def test_output_that_was_cut_by_hand_is_not_gone_on_with(folder: Folder) -> None:
    stopped(folder)
    os.truncate(folder.path / "out.jsonl", 1)
    ended = folder.run("run", "work:odd", "in.jsonl", *GO_ON)
    assert (ended.code, ended.said) == (
        1,
        "allcores: `out.jsonl` does not hold what its journal says: it is shorter than it was\n"
        "hint: was it changed by hand? `--overwrite` starts anew\n",
    )


def test_after_a_reboot_only_what_was_marked_as_safe_counts(folder: Folder) -> None:
    stopped(folder)
    journal = folder.path / "out.jsonl.journal"
    lines = journal.read_text().splitlines()
    marks = [json.loads(line) for line in lines[1:]]
    first = json.dumps({**marks[0], "boot": "another"})
    journal.write_text(f"{lines[0]}\n{first}\n")
    with (folder.path / "out.jsonl").open("a") as file:
        file.write("garbage\n")
    assert folder.run("run", "work:odd", "in.jsonl", *GO_ON).code == 1
    assert folder.values("out.jsonl") == [1, 3, 5]
    assert [each["index"] for each in folder.values("out.jsonl.errors.jsonl")] == [1, 3]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "txt"])
@pytest.mark.parametrize("more", [(), ("--index",), ("--unordered",)])
def test_failed_items_are_retried_into_their_places(
    folder: Folder, ending: str, more: tuple[str, ...]
) -> None:
    folder.json_lines("in.jsonl", range(20))
    output = f"out.{ending}"
    command = ("run", "work:odd", "in.jsonl", "-o", output, *more)
    assert folder.run(*command).code == 1
    folder.write(
        "work.py", "def odd(value):\n    if value % 4 == 0: raise OSError\n    return value\n"
    )
    assert folder.run(*command, "--retry-failed").code == 1
    listed = sorted(each["index"] for each in folder.values(f"{output}.errors.jsonl"))
    assert listed == [0, 4, 8, 12, 16]
    folder.write("work.py", "def odd(value):\n    return value\n")
    ended = folder.run(*command, "--retry-failed")
    assert (ended.code, ended.said) == (0, "")
    assert folder.names() == ["in.jsonl", output]
    folder.run("run", "work:odd", "in.jsonl", "-o", f"whole.{ending}", *more)
    found, whole = folder.text(output), folder.text(f"whole.{ending}")
    if more == ("--unordered",):
        found, whole = (str(sorted(each.splitlines())) for each in (found, whole))
    assert found == whole


def test_retry_without_failures_says_so(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1])
    folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl")
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--retry-failed")
    assert ended.code == 2
    assert ended.said.startswith("allcores: `out.jsonl.errors.jsonl` lists no failed items\n")


def test_retry_that_ended_before_its_files_had_their_names_is_completed(folder: Folder) -> None:
    folder.write("out.jsonl", "1\n")
    folder.write("out.jsonl.errors.jsonl", '{"index": 1}\n')
    folder.write("out.jsonl.retry", "1\n2\n")
    folder.write("out.jsonl.errors.jsonl.retry", "")
    folder.write("out.jsonl.journal", '{"run": {"retry": true}}\n{"renaming": true}\n')
    folder.json_lines("in.jsonl", [1, 2])
    ended = folder.run("run", "work:same", "in.jsonl", *GO_ON)
    assert ended.code == 0
    assert folder.names() == ["in.jsonl", "out.jsonl"]
    assert folder.text("out.jsonl") == "1\n2\n"
