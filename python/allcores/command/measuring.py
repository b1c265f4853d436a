"""`allcores compare` and `allcores explain`: a function and a sample of records, for the ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice

from . import formats, job, target
from .target import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Call:
    """The target with its arguments taken from one value; travels by name."""

    def __init__(self, where: str, calling: str) -> None:
        self._told = (where, calling)
        self._call = job.caller(target.find(where), calling)
        self.__name__ = self.__qualname__ = where

    def __reduce__(self) -> tuple[Any, ...]:
        return Call, self._told

    def __call__(self, value: Any) -> Any:
        return self._call(value)


def compare(
    *,
    target: str,
    path: str,
    source: str,
    calling: str,
    sample: int,
    backends: list[str],
    html: str | None,
    json: str | None,
) -> str:
    """Measures the function over the first records on every rung; the table."""
    fn, items = _callable(target, calling), values(path, source, sample)
    measured = _from_the_ladder("compare")(fn, items, backends=backends or None)
    if html is not None:
        measured.to_html(html)
    if json is not None:
        measured.to_json(json)
    return f"{measured}\n"


def explain(
    *, target: str, path: str | None, source: str, calling: str, sample: int, **_: Any
) -> str:
    """What is to be said of the function, and of it over the first records."""
    fn = _callable(target, calling)
    items = None if path is None else values(path, source, sample)
    words = f"{_from_the_ladder('explain')(fn, items)}\n"
    return words.replace(
        "explain(fn, items) runs a few of them", "name a file of records to try it on"
    )


def _callable(where: str, calling: str) -> Callable[..., Any]:
    """The function itself where that is the same: more can be said of it."""
    return target.find(where) if calling == "item" else Call(where, calling)


def _from_the_ladder(name: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = getattr(import_module("allcores"), name)
    except (AttributeError, ImportError):
        raise Refused(f"this build can't {name}\nhint: install a newer allcores") from None
    return found


def values(path: str, source: str, sample: int) -> list[Any]:
    """The first records, parsed. Raises `Refused` for one that can't be."""
    found = []
    for line, value in islice(_parsed(path, source), sample):
        if isinstance(value, formats.Malformed):
            raise Refused(
                f"line {line} of `{path}`: {value}\nhint: mend it, or choose another file"
            )
        found.append(value)
    if not found:
        raise Refused(f"`{path}` has no records\nhint: choose a file with some")
    return found


def _parsed(path: str, source: str) -> Iterator[tuple[int, Any]]:
    if source == "parquet":
        from . import tables

        yield from enumerate(tables.read(path))
        return
    try:
        with open(path, "rb") as file:
            yield from _of_lines(file, source)
    except OSError as error:
        raise Refused(f"`{path}` can't be read: {error.strerror}\nhint: look at its path") from None


def _of_lines(lines: Iterator[bytes], source: str) -> Iterator[tuple[int, Any]]:
    before, header = 0, None
    if source == "csv":
        before, header = 1, next(lines, b"").removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    parse = formats.parser(source, header)
    for number, record in enumerate(_records(lines, source), before + 1):
        if record.strip() or source == "text":
            try:
                yield number, parse(record.rstrip(b"\r\n"))
            except formats.Malformed as error:
                yield number, error


def _records(lines: Iterator[bytes], source: str) -> Iterator[bytes]:
    for line in lines:
        while source == "csv" and line.count(b'"') % 2:
            more = next(lines, b"")
            if not more:
                break
            line += more
        yield line
