"""The smaller commands: doctor, trace, completions, the manual page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from support.commands import Folder

from allcores.command import checkup


def test_doctor_finds_no_fault_with_facts_it_can_read(folder: Folder) -> None:
    ended = folder.run("doctor", "--json")
    facts = {fact["name"]: fact for fact in json.loads(ended.out)}
    assert facts["Python"]["value"].startswith(".".join(map(str, sys.version_info[:3])))
    assert facts["a worker"]["value"] == "starts, computes and ends"
    assert ended.code == any(fact["state"] == "bad" for fact in facts.values())


def test_doctor_names_a_setting_that_can_not_be_meant_once(folder: Folder) -> None:
    ended = folder.run("doctor", before="ALLCORES_LINK=carrier-pigeon")
    assert ended.code == 1
    assert ended.out.count("`ALLCORES_LINK` is `carrier-pigeon`") == 1


@pytest.mark.parametrize(
    ("environment", "states"),
    [
        ({}, ["good"]),
        ({"OMP_NUM_THREADS": "1"}, ["good"]),
        ({"OMP_NUM_THREADS": "8"}, ["bad"]),
        ({"OMP_NUM_THREADS": "8", "ALLCORES_LIMITED": "OMP_NUM_THREADS"}, ["good"]),
    ],
)
def test_doctor_knows_which_numbers_of_threads_are_too_many(
    environment: dict[str, str], states: list[str]
) -> None:
    found = checkup.numerical_threads(environment, cores=4)
    assert [fact.state for fact in found] == states


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "1048576\n"}, 1048576),
        ({"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "max\n"}, None),
        (
            {
                "/proc/self/cgroup": "4:cpu,memory:/b\n",
                "/sys/fs/cgroup/memory/b/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_doctor_reads_the_memory_limit_of_both_versions(
    files: dict[str, str], limit: int | None
) -> None:
    assert checkup.memory_limit(lambda path: files.get(path, "")) == limit


def test_explanation_says_how_to_learn_more(folder: Folder) -> None:
    ended = folder.run("explain", "work:same")
    assert ended.code == 0
    assert ended.out.endswith("hint: name a file of records to try it on\n")


def test_comparison_shows_a_table(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(8))
    ended = folder.run(
        *("compare", "work:same", "in.jsonl", "--sample", "5", "--json", "figures.json"),
        *("--backends", "serial,threads"),
    )
    assert ended.code == 0
    assert ended.out.startswith("same, 5 items, ")
    assert folder.has("figures.json")


def test_trace_says_where_the_time_went(folder: Folder) -> None:
    events = [{"ph": "X", "name": "f", "pid": 1, "tid": 1, "ts": 0, "dur": 2_000_000}]
    folder.write("trace.json", json.dumps({"traceEvents": events}))
    ended = folder.run("trace", "trace.json")
    assert ended.code == 0
    assert ended.out.startswith("2.000 s on 1 lanes\n")


def test_trace_of_a_run_can_be_summed_up(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(50))
    ended = folder.run("run", "work:double", "in.jsonl", "-o", "out.jsonl", "--trace", "trace.json")
    assert (ended.code, ended.said) == (0, "")
    assert folder.values("out.jsonl") == list(range(0, 100, 2))
    ended = folder.run("trace", "trace.json")
    assert ended.code == 0
    lanes = re.findall(r"^worker \d+ .* (\d+)$", ended.out, re.M)
    assert sum(map(int, lanes)) == 50


def test_file_that_is_no_trace(folder: Folder) -> None:
    folder.write("trace.json", "{")
    ended = folder.run("trace", "trace.json")
    assert (ended.code, ended.said) == (
        2,
        "allcores: `trace.json` is no trace: EOF while parsing an object at line 1 column 1\n"
        "hint: `allcores run --trace FILE` writes one\n",
    )


@pytest.mark.parametrize("shell", ["bash", "elvish", "fish", "powershell", "zsh"])
def test_completions_know_every_option(folder: Folder, shell: str) -> None:
    script = folder.run("completions", shell).out
    assert {option for option in options(folder) if option not in script} == set()


def test_manual_page_knows_every_option(folder: Folder) -> None:
    page = folder.run("man").out
    assert page.startswith(".ie ")
    plain = page.replace("\\-", "-")
    assert {option for option in options(folder) if option not in plain} == set()


def options(folder: Folder) -> set[str]:
    """The names of `run`'s options, without their hyphens."""
    found = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", folder.run("run", "--help").out, re.M))
    assert len(found) > 15
    return found


def test_completions_for_bash_are_bash(folder: Folder) -> None:
    folder.write("completions", folder.run("completions", "bash").out)
    ended = folder.run("--version", before="source ./completions && complete -p allcores >&2 &&")
    assert (ended.code, ended.said.split()[0]) == (0, "complete")


def test_console_script_is_the_same_program(folder: Folder) -> None:
    script = Path(sys.executable).parent / "allcores"
    ended = folder.run("--version")
    assert ended.out == "allcores 0.1.0\n"
    assert "allcores.command.entry" in script.read_text()
