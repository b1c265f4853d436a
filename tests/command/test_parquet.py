"""Parquet files in and out: types, order, and little memory however long they are."""

from __future__ import annotations

import datetime
import decimal
import io

import pyarrow
import pyarrow.parquet
from support.commands import Folder

KINDS = {
    "small": pyarrow.array([1, 2, None], pyarrow.int8()),
    "real": pyarrow.array([1.5, float("nan"), 2.5], pyarrow.float32()),
    "text": pyarrow.array(["a", "ü", None]),
    "raw": pyarrow.array([b"\0", b"", None]),
    "day": pyarrow.array([datetime.date(2024, 2, 29)] * 3),
    "moment": pyarrow.array([datetime.datetime(2024, 2, 29, 1, 2, 3)] * 3, pyarrow.timestamp("ms")),
    "money": pyarrow.array([decimal.Decimal("1.10")] * 3, pyarrow.decimal128(10, 2)),
    "list": pyarrow.array([[1], [], None], pyarrow.list_(pyarrow.int16())),
    "nested": pyarrow.array([{"a": 1}, {"a": None}, None]),
    "nothing": pyarrow.nulls(3),
}


# The first time pyarrow starts a thread that stays.
_first = io.BytesIO()
pyarrow.parquet.write_table(pyarrow.table(KINDS), _first)
pyarrow.parquet.ParquetFile(_first).read(use_threads=False)


def read(folder: Folder) -> pyarrow.Table:
    """The output, read without threads, which would stay."""
    content = io.BytesIO((folder.path / "out.parquet").read_bytes())
    return pyarrow.parquet.ParquetFile(content).read(use_threads=False)


def test_table_comes_back_with_its_types_and_its_order(folder: Folder) -> None:
    table = pyarrow.table(KINDS)
    pyarrow.parquet.write_table(table, folder.path / "in.parquet")
    ended = folder.run("run", "work:same", "in.parquet", "-o", "out.parquet")
    assert (ended.code, ended.said) == (0, "")
    found = read(folder)
    assert found.schema.equals(table.schema)
    assert str(found.to_pylist()) == str(table.to_pylist())
    assert folder.names() == ["in.parquet", "out.parquet"]


def test_rows_become_keywords_and_failures_name_their_row(folder: Folder) -> None:
    pyarrow.parquet.write_table(
        pyarrow.table({"a": [1, 2], "b": [3, None]}), folder.path / "in.parquet"
    )
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
    found = read(folder)
    assert found.column("index").to_pylist() == list(range(70_002))
    assert found.column("a").to_pylist()[-3:] == [69_999.0, 70_000.5, 70_001.5]
    assert found.column("b").null_count == 70_000


def test_results_that_fit_into_no_column_are_not_lost(folder: Folder) -> None:
    folder.write("mixed.py", "def fn(value):\n    return 'x' if value == 2 else value\n")
    folder.json_lines("in.jsonl", [1, 2, 3])
    ended = folder.run("run", "mixed:fn", "in.jsonl", "-o", "out.parquet")
    assert ended.code == 2
    assert ended.said.startswith("allcores: the results don't fit into a column `result`: ")
    assert folder.has("out.parquet.spool")
    assert folder.has("out.parquet.journal")


def test_file_that_is_no_table(folder: Folder) -> None:
    folder.write("in.parquet", "no table at all")
    ended = folder.run("run", "work:same", "in.parquet", "-o", "out.jsonl")
    assert ended.code == 2
    assert ended.said.startswith("allcores: `in.parquet` can't be read as Parquet: ")
    assert folder.names() == ["in.parquet"]
