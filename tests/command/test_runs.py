"""`allcores run`: what goes in, what comes out, in which format, with which exit code."""

from __future__ import annotations

import json
import os
import re

import pytest
from support.commands import Folder


def test_results_are_written_in_the_order_of_their_records(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(1000))
    ended = folder.run("run", "work:double", "in.jsonl", "-o", "out.jsonl")
    assert (ended.code, ended.out, ended.said) == (0, "", "")
    assert folder.values("out.jsonl") == [2 * value for value in range(1000)]
    assert folder.names() == ["in.jsonl", "out.jsonl"]


def test_text_comes_from_standard_input_and_json_goes_to_standard_output(folder: Folder) -> None:
    ended = folder.run("run", "work:upper", given="a\nö\n\nz".encode())
    assert (ended.code, ended.out) == (0, '"A"\n"Ö"\n""\n"Z"\n')


def test_what_a_function_prints_does_not_damage_the_output(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(3))
    ended = folder.run("run", "work:loud", "in.jsonl")
    assert (ended.code, ended.out) == (0, "0\n1\n2\n")
    assert ended.said.count("printed") == 3
    assert ended.said.count("written") == 3


@pytest.mark.parametrize("backend", ["serial", "threads", "processes"])
def test_every_backend_writes_the_same(folder: Folder, backend: str) -> None:
    folder.json_lines("in.jsonl", range(100))
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--backend", backend)
    assert ended.code == 1
    assert folder.values("out.jsonl") == list(range(1, 100, 2))
    assert [each["index"] for each in folder.values("out.jsonl.errors.jsonl")] == list(
        range(0, 100, 2)
    )


def test_failed_items_are_listed_with_all_that_is_known(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1, 2, 3])
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl")
    assert ended.code == 1
    assert ended.said == (
        "allcores: 1 item failed, listed in `out.jsonl.errors.jsonl`\n"
        "  line 2 of `in.jsonl`: ValueError: 2 is even\n"
        "  it was: `2`\n"
        "hint: the same command with `--retry-failed` runs only those\n"
    )
    [failed] = folder.values("out.jsonl.errors.jsonl")
    assert failed.pop("traceback").startswith("Traceback (most recent call last):\n  File ")
    assert failed == {
        "index": 1,
        "line": 2,
        "type": "ValueError",
        "message": "2 is even",
        "input": "2",
    }


def test_failures_of_a_run_to_standard_output_are_told_on_standard_error(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1, 2, 3])
    ended = folder.run("run", "work:odd", "in.jsonl")
    assert (ended.code, ended.out) == (1, "1\n3\n")
    assert ended.said == ("allcores: line 2 of `in.jsonl`: ValueError: 2 is even\n  it was: `2`\n")


def test_worker_that_dies_costs_one_item(folder: Folder) -> None:
    folder.write(
        "bad.py", "import os\ndef fn(value):\n    return os._exit(3) if value == 5 else 1\n"
    )
    folder.json_lines("in.jsonl", range(10))
    ended = folder.run("run", "bad:fn", "in.jsonl", "-o", "out.jsonl")
    assert ended.code == 1
    assert len(folder.values("out.jsonl")) == 9
    [failed] = folder.values("out.jsonl.errors.jsonl")
    assert (failed["index"], failed["line"], failed["type"]) == (5, 6, "WorkerDied")


@pytest.mark.parametrize("more", [(), ("--unordered",)])
@pytest.mark.parametrize(
    ("end", "told"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "WorkerDied: A process in the process pool was terminated abruptly while the future "
            "was running or pending. worker `PID` was ended by `SIGKILL` while it ran `ends:fn`",
        ),
        ("sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_item_that_ends_its_process_is_named_and_costs_no_other(
    folder: Folder, end: str, told: str, more: tuple[str, ...]
) -> None:
    program = (
        f"import os, signal, sys\n\ndef fn(value):\n    if value == 5: {end}\n    return value\n"
    )
    folder.write("ends.py", program)
    # An empty line: the item's line is not its index.
    folder.write("in.jsonl", "\n" + "".join(f"{value}\n" for value in range(20)))
    ended = folder.run("run", "ends:fn", "in.jsonl", "-o", "out.jsonl", *more)
    assert ended.code == 1
    assert re.sub(r"worker `\d+`", "worker `PID`", ended.said) == (
        "allcores: 1 item failed, listed in `out.jsonl.errors.jsonl`\n"
        f"  line 7 of `in.jsonl`: {told}\n"
        "  it was: `5`\n"
        "hint: the same command with `--retry-failed` runs only those\n"
    )
    found = folder.values("out.jsonl")
    values = sorted(each["result"] for each in found) if more else found
    assert values == [value for value in range(20) if value != 5]
    [failed] = folder.values("out.jsonl.errors.jsonl")
    assert (failed["index"], failed["line"]) == (5, 7)


def test_item_over_its_time_fails_alone(folder: Folder) -> None:
    folder.write("slow.py", "def fn(value):\n    while value == 1: pass\n    return value\n")
    folder.json_lines("in.jsonl", range(4))
    ended = folder.run("run", "slow:fn", "in.jsonl", "-o", "out.jsonl", "--timeout", "0.5")
    assert ended.code == 1
    assert folder.values("out.jsonl") == [0, 2, 3]
    [failed] = folder.values("out.jsonl.errors.jsonl")
    assert (failed["index"], failed["type"], failed["input"]) == (1, "TaskTimeout", "1")
    assert failed["message"].startswith("`slow:fn` ran longer than `0.5` seconds")


def test_item_that_raised_is_tried_again(folder: Folder) -> None:
    folder.write(
        "flaky.py",
        """
        import os
        def fn(value):
            try:
                os.mkdir(f"seen{value}")
            except FileExistsError:
                return value
            raise OSError("not yet")
        """,
    )
    folder.json_lines("in.jsonl", range(4))
    assert folder.run("run", "flaky:fn", "in.jsonl", "--retries", "1").out == "0\n1\n2\n3\n"


def test_unordered_results_come_with_the_index_of_their_record(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(0, 200))
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--unordered")
    assert ended.code == 1
    found = {each["index"]: each["result"] for each in folder.values("out.jsonl")}
    assert found == {value: value for value in range(1, 200, 2)}
    assert {each["index"] for each in folder.values("out.jsonl.errors.jsonl")} == set(
        range(0, 200, 2)
    )


def test_limit_takes_the_first_records_only(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(10))
    assert folder.run("run", "work:same", "in.jsonl", "--limit", "3").out == "0\n1\n2\n"


def test_records_become_arguments_as_asked_for(folder: Folder) -> None:
    folder.json_lines("lists.jsonl", [[1, 2], [3, 4]])
    folder.json_lines("objects.jsonl", [{"b": 1, "a": 2}])
    assert folder.run("run", "work:add", "lists.jsonl", "--args", "unpack").out == "3\n7\n"
    assert folder.run("run", "work:add", "objects.jsonl", "--args", "kwargs").out == "3\n"
    ended = folder.run("run", "work:add", "lists.jsonl", "--args", "kwargs", "--limit", "1")
    assert ended.said == (
        "allcores: line 1 of `lists.jsonl`: TypeError: an object is needed for keyword arguments, "
        "not `[1, 2]`\n  it was: `[1, 2]`\n"
    )


def test_function_of_a_file_is_found_wherever_it_lies(folder: Folder) -> None:
    (folder.path / "sub").mkdir()
    folder.write("sub/there.py", "def fn(value):\n    return value + 1\n")
    folder.json_lines("in.jsonl", [1])
    assert folder.run("run", "sub/there.py:fn", "in.jsonl").out == "2\n"


def test_function_may_be_anything_that_can_be_called(folder: Folder) -> None:
    (folder.path / "shop" / "prices").mkdir(parents=True)
    folder.write("shop/prices/of.py", "double = lambda value: 2 * value\n")
    folder.write(
        "shelf.py",
        """
        class Shelf:
            def __init__(self, height):
                self.height = height
            def above(self, value):
                return self.height + value

        low = Shelf(10)
        """,
    )
    folder.json_lines("in.jsonl", [1])
    for target, result in [
        ("shop.prices.of:double", "2"),
        ("shelf:low.above", "11"),
        ("math:sqrt", "1.0"),
        ("builtins:str", '"1"'),
    ]:
        ended = folder.run("run", target, "in.jsonl")
        assert (ended.code, ended.out, ended.said) == (0, f"{result}\n", "")


def test_pipe_with_a_name_is_read_once(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")
    ended = folder.run(*("run", "work:same", "pipe", "--format", "jsonl"), before="seq 3 > pipe &")
    assert (ended.code, ended.out, ended.said) == (0, "1\n2\n3\n", "")


def test_json_is_what_python_makes_of_it(folder: Folder) -> None:
    lines = [
        "NaN",
        "[Infinity, -Infinity]",
        str(10**40),
        '{"a": 1, "a": 2}',
        '"\\ud800 ü"',
        '"ü"',
        "1.10",
    ]
    folder.write("in.jsonl", "\r\n".join(lines))
    ended = folder.run("run", "work:same", "in.jsonl")
    assert ended.out.splitlines() == [
        "NaN",
        "[Infinity, -Infinity]",
        str(10**40),
        '{"a": 2}',
        '"\\ud800 \\u00fc"',
        '"ü"',
        "1.1",
    ]


def test_csv_comes_back_as_it_was(folder: Folder) -> None:
    text = 'id,name,note\n007,"Doe, J.","two\nlines"\n1.50,ü,"a ""b"""\n,,\n'
    folder.write("in.csv", text)
    ended = folder.run("run", "work:same", "in.csv", "-o", "out.csv")
    assert (ended.code, ended.said) == (0, "")
    assert folder.text("out.csv") == text


def test_csv_row_with_other_columns_fails_and_harms_no_other(folder: Folder) -> None:
    folder.write("columns.py", "def fn(value):\n    return {'b' if value == 1 else 'a': value}\n")
    folder.json_lines("in.jsonl", range(3))
    assert folder.run("run", "columns:fn", "in.jsonl", "-o", "out.csv").code == 1
    assert folder.text("out.csv") == "a\n0\n2\n"
    [failed] = folder.values("out.csv.errors.jsonl")
    assert (failed["index"], failed["message"]) == (
        1,
        "the result has the columns `b`, the first one had `a`; "
        "a CSV file has the same in each row",
    )


def test_output_can_be_a_table_of_values(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(3))
    folder.run("run", "work:double", "in.jsonl", "-o", "out.csv", "--index")
    assert folder.text("out.csv") == "index,result\n0,0\n1,2\n2,4\n"


def test_bytes_that_are_no_text_come_back_as_they_were(folder: Folder) -> None:
    folder.write("in.txt", b"a\xff\n\xc3\xbc\n")
    folder.run("run", "work:same", "in.txt", "-o", "out.txt")
    assert (folder.path / "out.txt").read_bytes() == b"a\xff\n\xc3\xbc\n"


def test_line_of_50_mb_goes_through(folder: Folder) -> None:
    long = json.dumps("x" * 50_000_000)
    folder.write("in.jsonl", f"1\n{long}\n2\n")
    folder.write(
        "size.py", "def fn(value):\n    return len(value) if type(value) is str else value\n"
    )
    assert folder.run("run", "size:fn", "in.jsonl").out == "1\n50000000\n2\n"


def test_empty_file_gives_an_empty_file(folder: Folder) -> None:
    for name in ("in.jsonl", "in.txt", "in.csv"):
        folder.write(name, b"")
        ended = folder.run("run", "work:same", name, "-o", f"out-{name}")
        assert (ended.code, ended.said) == (0, "")
        assert folder.text(f"out-{name}") == ""


def test_run_stops_after_so_many_failures_and_can_go_on(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(0, 100))
    ended = folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--max-failures", "2")
    assert ended.code == 1
    assert ended.said.startswith("allcores: stopped after 2 failed items\nhint: the same command")
    assert len(folder.values("out.jsonl.errors.jsonl")) == 2
    assert folder.run("run", "work:odd", "in.jsonl", "-o", "out.jsonl", "--resume").code == 1
    assert folder.values("out.jsonl") == list(range(1, 100, 2))
    assert len(folder.values("out.jsonl.errors.jsonl")) == 50
