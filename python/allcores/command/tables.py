"""Parquet files, with pyarrow's help if it is installed.

Results wait in a spool of frames, each a pickled row, until all are there: a Parquet file gets its
directory last and can't be gone on with. Then they become row groups, in two passes: the first
finds the types that hold all rows. A column that the input has too gets the input's type if that
holds it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator
from importlib import import_module
from itertools import islice

from .target import Failed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROWS_AT_ONCE = 1 << 13
ROWS_OF_A_GROUP = 1 << 16
READ_AHEAD = 1 << 16
"""Bytes of a column."""


def _parquet() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise Refused(f"Parquet files need pyarrow: {error}\nhint: `pip install pyarrow`") from None


def _opened(path: str | os.PathLike[str]) -> Any:
    arrow, parquet = _parquet()
    try:
        # As it is asked for, not whole groups of rows: some files are one group.
        return parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD)
    except (arrow.ArrowException, OSError) as error:
        raise Refused(
            f"`{os.fspath(path)}` can't be read as Parquet: {error}\n"
            "hint: is the file complete? `--format` says another format"
        ) from None


def rows(path: str | os.PathLike[str]) -> int:
    """How many rows the file has."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def types(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The type of each column."""
    with _opened(path) as file:
        return {field.name: field.type for field in file.schema_arrow}


def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The rows, one after the other, a few thousand in memory."""
    with _opened(path) as file:
        # Workers may have to be forked meanwhile, which threads are no company for.
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False):
            yield from batch.to_pylist()


def _frames(spool: str | os.PathLike[str], indexed: bool) -> Iterator[dict[str, Any]]:
    with open(spool, "rb") as file:
        while head := file.read(4):
            frame = file.read(int.from_bytes(head, "little"))
            if indexed:
                yield {"index": int.from_bytes(frame[:8], "little"), **pickle.loads(frame[8:])}
            else:
                yield pickle.loads(frame)


def _pieces(
    spool: str | os.PathLike[str], indexed: bool, wanted: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Columns of so many rows each, as arrays, which take less memory than rows."""
    arrow, _ = _parquet()
    frames = _frames(spool, indexed)
    while piece := list(islice(frames, ROWS_AT_ONCE)):
        names = dict.fromkeys(name for row in piece for name in row)
        yield {
            name: _array(arrow, name, [row.get(name) for row in piece], wanted.get(name))
            for name in names
        }


def _array(arrow: Any, name: str, values: list[Any], kind: Any) -> Any:
    if kind is not None:
        try:
            return arrow.array(values, kind)
        except (arrow.ArrowException, TypeError, ValueError, OverflowError):
            pass
    try:
        return arrow.array(values)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Failed(
            f"the results don't fit into a column `{name}`: {error}\n"
            "hint: nothing is lost, `--resume` tries again; return values of one type, or write "
            "`.jsonl`"
        ) from None


def write(
    spool: str | os.PathLike[str],
    path: str | os.PathLike[str],
    indexed: bool,
    like: dict[str, Any],
) -> None:
    """Makes a table of the frames in `spool`; `like` are types of columns, to be kept."""
    arrow, parquet = _parquet()
    schema = arrow.schema([])

    def pieces() -> Iterator[dict[str, Any]]:
        return _pieces(spool, indexed, like)

    for columns in pieces():
        found = arrow.schema([(name, array.type) for name, array in columns.items()])
        try:
            schema = arrow.unify_schemas([schema, found], promote_options="permissive")
        except arrow.ArrowException as error:
            raise _no_table(error) from None
    part = f"{os.fspath(path)}.partial"
    try:
        with open(part, "wb") as file:
            with parquet.ParquetWriter(file, schema) as table:
                _write_groups(table, (_table(arrow, schema, each) for each in pieces()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise Failed(
            f"`{os.fspath(path)}` could not be written: {error.strerror or error}\n"
            "hint: make room, then the same command with `--resume` goes on where it stopped"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _write_groups(table: Any, pieces: Iterator[Any]) -> None:
    arrow, _ = _parquet()
    while group := list(islice(pieces, ROWS_OF_A_GROUP // ROWS_AT_ONCE)):
        table.write_table(arrow.concat_tables(group))


def _table(arrow: Any, schema: Any, columns: dict[str, Any]) -> Any:
    """A piece of the table, with the types that hold all pieces."""
    length = len(next(iter(columns.values()), ()))
    try:
        arrays = [
            columns[field.name].cast(field.type)
            if field.name in columns
            else arrow.nulls(length, field.type)
            for field in schema
        ]
    except arrow.ArrowException as error:
        raise _no_table(error) from None
    return arrow.Table.from_arrays(arrays, schema=schema)


def _no_table(error: Exception) -> Failed:
    return Failed(
        f"the results don't fit into one table: {error}\n"
        "hint: nothing is lost, `--resume` tries again; return values of one type, or write "
        "`.jsonl`"
    )
