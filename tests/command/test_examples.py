"""The examples and what the documentation shows are run, on a sample."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import scripts
from support.commands import Folder

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "command"
DOCUMENT = ROOT / "docs" / "command-line.md"


def items(script: str, count: int) -> bytes:
    """The first items that an example prints."""
    command = [sys.executable, str(EXAMPLES / script)]
    ended = subprocess.run(
        command,
        capture_output=True,
        timeout=scripts.LIMIT_SECONDS,
        env=scripts.environment(),
        check=True,
    )
    return b"".join(ended.stdout.splitlines(keepends=True)[:count])


def test_digits_are_read_by_their_neighbours(folder: Folder) -> None:
    folder.write("digits.jsonl", items("digits.py", 60))
    target = f"{EXAMPLES / 'digits.py'}:vote"
    ended = folder.run("run", target, "digits.jsonl", "-o", "votes.jsonl", "--args", "kwargs")
    assert (ended.code, ended.said) == (0, "")
    votes = folder.values("votes.jsonl")
    assert [each["number"] for each in votes] == list(range(60))
    assert sum(each["read"] == each["written"] for each in votes) >= 57


def test_characters_hold_a_novel_together(folder: Folder) -> None:
    folder.write("characters.txt", items("characters.py", 12))
    target = f"{EXAMPLES / 'characters.py'}:without"
    ended = folder.run("run", target, "characters.txt", "-o", "importance.csv")
    assert (ended.code, ended.said) == (0, "")
    rows = list(csv.DictReader(folder.text("importance.csv").splitlines()))
    assert len(rows) == 12
    assert max(rows, key=lambda row: int(row["longer"]))["name"] == "Valjean"


def test_modules_are_measured_from_a_pipe(folder: Folder) -> None:
    target = f"{EXAMPLES / 'modules.py'}:measure"
    ended = folder.run("run", target, "-o", "modules.csv", given=items("modules.py", 30))
    assert (ended.code, ended.said) == (0, "")
    rows = list(csv.DictReader(folder.text("modules.csv").splitlines()))
    assert rows[0].keys() == {"module", "functions", "deepest", "mean"}
    assert len(rows) == 30


def shown() -> list[tuple[str, str]]:
    """The name of each example of the document and its block of commands."""
    text = DOCUMENT.read_text()
    return re.findall(r"<!-- example: (\w+) -->\n```console\n(.*?)```", text, re.DOTALL)


def files() -> dict[str, str]:
    """The files that the document's examples stand on."""
    text = DOCUMENT.read_text()
    return dict(re.findall(r"<!-- file: ([\w.]+) -->\n```\w*\n(.*?)```", text, re.DOTALL))


def bash(folder: Folder, command: str) -> subprocess.CompletedProcess[bytes]:
    """What becomes of a command as it is typed; what it says comes with what it prints."""
    return subprocess.run(
        [
            "bash",
            "-c",
            f'allcores() {{ {shlex.quote(sys.executable)} -m allcores "$@"; }}; {command}',
        ],
        cwd=folder.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=scripts.LIMIT_SECONDS,
        env=scripts.environment(),
        check=False,
    )


def test_readme_shows_three_commands_that_do_what_it_says(folder: Folder) -> None:
    [block] = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    run, retry, pipe = [line.removeprefix("$ ") for line in block.splitlines()]
    module = """
        def function(number):
            if number == 2: raise OSError("not yet")
            return number * number

        def measure(path):
            return len(open(path).read())
    """
    folder.write("my_module.py", module)
    folder.json_lines("inputs.jsonl", [1, 2, 3])
    folder.write("note.txt", "four")
    assert bash(folder, run).returncode == 1
    assert folder.values("results.jsonl") == [1, 9]
    assert bash(folder, run).returncode == 1  # it is complete, with what failed
    folder.write("my_module.py", module.replace("number == 2", "number > 3"))
    ended = bash(folder, retry)
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert folder.values("results.jsonl") == [1, 4, 9]
    ended = bash(folder, pipe)
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert folder.values("measures.jsonl") == [4]


@pytest.mark.parametrize(("name", "block"), shown(), ids=[name for name, _ in shown()])
def test_document_shows_what_happens(folder: Folder, name: str, block: str) -> None:
    for path, content in files().items():
        folder.write(path, content)
    folder.write("bin", b"")
    said = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        ended = bash(folder, command)
        said.append((command, ended.stdout.decode(), expected))
    assert len(said) > 0
    assert [got for _, got, _ in said] == [expected for _, _, expected in said]
