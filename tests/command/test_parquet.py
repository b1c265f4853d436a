"""Parquet files in and out: types, order, and little memory however long they are.

pyarrow starts threads, and the tests of pools need a process that has none: it works elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

from support import scripts
from support.commands import Folder

ARROW = """
import datetime, decimal, pyarrow, pyarrow.parquet

def write(**columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), "in.parquet")

def read(path="out.parquet"):
    return pyarrow.parquet.read_table(path)
"""


def arrow(folder: Folder, code: str) -> str:
    """What `code` prints, that has pyarrow."""
    ended = subprocess.run(
        [sys.executable, "-c", ARROW + textwrap.dedent(code)],
        cwd=folder.path,
        capture_output=True,
        timeout=scripts.LIMIT_SECONDS,
        env=scripts.environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def test_table_comes_back_with_its_types_and_its_order(folder: Folder) -> None:
    arrow(
        folder,
        """
        write(
            small=pyarrow.array([1, 2, None], pyarrow.int8()),
            real=pyarrow.array([1.5, float("nan"), 2.5], pyarrow.float32()),
            text=["a", "ü", None],
            raw=[b"0", b"", None],
            day=[datetime.date(2024, 2, 29)] * 3,
            moment=pyarrow.array([datetime.datetime(2024, 2, 29, 1)] * 3, pyarrow.timestamp("ms")),
            money=pyarrow.array([decimal.Decimal("1.10")] * 3, pyarrow.decimal128(10, 2)),
            list=pyarrow.array([[1], [], None], pyarrow.list_(pyarrow.int16())),
            nested=[{"a": 1}, {"a": None}, None],
            nothing=pyarrow.nulls(3),
        )
        """,
    )
    ended = folder.run("run", "work:same", "in.parquet", "-o", "out.parquet")
    assert (ended.code, ended.said) == (0, "")
    assert folder.names() == ["in.parquet", "out.parquet"]
    arrow(
        folder,
        """
        before, after = read("in.parquet"), read()
        assert after.schema.equals(before.schema), (before.schema, after.schema)
        assert str(after.to_pylist()) == str(before.to_pylist())
        """,
    )


def test_rows_become_keywords_and_failures_name_their_row(folder: Folder) -> None:
    arrow(folder, "write(a=[1, 2], b=[3, None])")
    ended = folder.run("run", "work:add", "in.parquet", "-o", "out.jsonl", "--args", "kwargs")
    assert ended.code == 1
    assert "row 1 of `in.parquet`: TypeError" in ended.said
    assert folder.values("out.jsonl") == [4]


def test_columns_that_come_late_are_there_from_the_beginning(folder: Folder) -> None:
    folder.write(
        "late.py",
        """
        def fn(value):
            return {'a': value} if value < 70_000 else {'a': value + 0.5, 'b': 'x'}
        """,
    )
    folder.json_lines("in.jsonl", range(70_002))
    ended = folder.run("run", "late:fn", "in.jsonl", "-o", "out.parquet", "--index")
    assert (ended.code, ended.said) == (0, "")
    arrow(
        folder,
        """
        found = read()
        assert found.column("index").to_pylist() == list(range(70_002))
        assert found.column("a").to_pylist()[-3:] == [69_999.0, 70_000.5, 70_001.5]
        assert found.column("b").null_count == 70_000
        """,
    )


def test_results_that_fit_into_no_column_are_not_lost(folder: Folder) -> None:
    folder.write("mixed.py", "def fn(value):\n    return 'x' if value == 2 else value\n")
    folder.json_lines("in.jsonl", [1, 2, 3])
    ended = folder.run("run", "mixed:fn", "in.jsonl", "-o", "out.parquet")
    assert ended.code == 1
    assert ended.said.startswith("allcores: the results don't fit into a column `result`: ")
    assert folder.has("out.parquet.spool")
    assert folder.has("out.parquet.journal")


def test_file_that_is_no_table(folder: Folder) -> None:
    folder.write("in.parquet", "no table at all")
    ended = folder.run("run", "work:same", "in.parquet", "-o", "out.jsonl")
    assert ended.code == 2
    assert ended.said.startswith("allcores: `in.parquet` can't be read as Parquet: ")
    assert folder.names() == ["in.parquet"]


def test_table_that_can_not_be_written_is_made_by_going_on(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1, 2, 3])
    (folder.path / "out.parquet.partial").mkdir()
    command = ("run", "work:same", "in.jsonl", "-o", "out.parquet")
    ended = folder.run(*command)
    assert (ended.code, ended.said) == (
        1,
        "allcores: `out.parquet` could not be written: Is a directory\n"
        "hint: make room, then the same command with `--resume` goes on where it stopped\n",
    )
    (folder.path / "out.parquet.partial").rmdir()
    assert folder.run(*command, "--resume").code == 0
    assert folder.names() == ["in.jsonl", "out.parquet"]
    arrow(folder, "assert read().to_pydict() == {'result': [1, 2, 3]}")


def test_empty_table_gives_an_empty_table(folder: Folder) -> None:
    arrow(folder, "write(a=pyarrow.array([], pyarrow.int8()))")
    for output in ("out.jsonl", "out.parquet"):
        ended = folder.run("run", "work:same", "in.parquet", "-o", output)
        assert (ended.code, ended.said) == (0, "")
    assert folder.text("out.jsonl") == ""
    arrow(folder, "assert read().num_rows == 0")
