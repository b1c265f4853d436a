"""From bytes of a record to a value, and from a result to bytes.

JSON is what Python's `json` makes of it: `NaN` and `Infinity` are numbers, integers have any size,
of a name that comes twice the last counts, lone surrogates live. It is written the same way, and
readable: other letters than ASCII stay as they are, save lone surrogates, which UTF-8 has no bytes
for. The fields of CSV are texts. Text that is no UTF-8 comes back as it was.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Parse = Callable[[Any], Any]
    Write = Callable[[Any], bytes]


PROBE = {"a": [1, 2.5, None, True, float("inf")], 'ü"': {}}
"""Holds what encoders might differ in."""


class Malformed(ValueError):
    """A record is not what its format wants."""


def parser(source: str, header: bytes | None) -> Parse:
    """What makes a value of a record in the format `source`; rows of a table are values already."""
    if source == "jsonl":
        return _json_parser()
    if source == "csv":
        return _csv_parser(header or b"")
    if source == "text":
        return _text
    return _same


def writer(drain: str) -> Write:
    """What makes bytes of a result for the format `drain`."""
    if drain == "jsonl":
        return _json_writer()
    if drain == "csv":
        return _csv_writer()
    if drain == "text":
        return _line
    return _pickled


def _same(value: Any) -> Any:
    return value


def _json_parser() -> Parse:
    from json import JSONDecodeError, JSONDecoder

    decoder: Any = JSONDecoder()
    decode, scan = decoder.decode, decoder.scan_once

    def parse(record: bytes) -> Any:
        try:
            text = record.decode()
            try:
                # As `decode`, without its looks at the blanks around a value: there are none.
                value, end = scan(text, 0)
                if end == len(text):
                    return value
            except StopIteration:
                pass
            return decode(text)
        except JSONDecodeError as error:
            raise Malformed(f"no JSON: {error.msg}, at column {error.pos + 1}") from None
        except UnicodeDecodeError as error:
            raise Malformed(f"no UTF-8 at byte {error.start + 1}: {error.reason}") from None
        except RecursionError:
            raise Malformed("JSON that is nested too deeply") from None
        except ValueError as error:  # an integer with more digits than Python converts
            raise Malformed(str(error)) from None

    return parse


def _json_writer() -> Write:
    from json import JSONEncoder

    readable = _readable_encoder()
    ascii_only = JSONEncoder(default=_plain).encode

    def write(result: Any) -> bytes:
        try:
            return readable(result).encode()
        except UnicodeEncodeError:
            return ascii_only(result).encode()

    return write


def _readable_encoder() -> Callable[[Any], str]:
    """`JSONEncoder.encode`, which makes an encoder in C for each value, with one for all; where
    this Python's can't be had that way, itself.
    """
    from importlib import import_module
    from json import JSONEncoder

    encoder: Any = import_module("json.encoder")
    encode = JSONEncoder(ensure_ascii=False, default=_plain).encode
    underway: dict[int, Any] = {}
    try:
        escaped = encoder.encode_basestring
        parts = encoder.c_make_encoder(
            underway, _plain, escaped, None, ": ", ", ", False, False, True
        )
        if "".join(parts(PROBE, 0)) != encode(PROBE):
            return encode
    except (AttributeError, TypeError):
        return encode
    join = "".join

    def encode_with_one(value: Any) -> str:
        try:
            return join(parts(value, 0))
        except Exception:
            # It may be a circle, or another thread that is underway with the same list.
            underway.clear()
            return encode(value)

    return encode_with_one


def _plain(value: Any) -> Any:
    """A number or an array of numpy's, as Python's own."""
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"a `{type(value).__name__}` can't be written as JSON")
    return tolist()


def _text(record: bytes) -> str:
    return record.decode(errors="surrogateescape")


def _line(result: Any) -> bytes:
    text = str(result)
    if "\n" in text:
        raise ValueError("the result has a line break, which a line of text can't hold")
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("the result has a lone surrogate, which UTF-8 can't hold") from None


def columns(header: bytes) -> list[str]:
    """The names in the header of a CSV file."""
    import csv
    import sys

    csv.field_size_limit(sys.maxsize)
    return next(csv.reader([_text(header)]), [])


def _csv_parser(header: bytes) -> Parse:
    import csv

    names = columns(header)

    def parse(record: bytes) -> dict[str, str]:
        try:
            fields = next(csv.reader([_text(record)], strict=True))
        except (csv.Error, StopIteration) as error:
            raise Malformed(f"no CSV: {error or 'an empty record'}") from None
        if len(fields) != len(names):
            raise Malformed(f"{len(fields)} fields, and the header names {len(names)}")
        return dict(zip(names, fields, strict=True))

    return parse


def row_of(result: Any) -> dict[str, Any]:
    """A result as a row of a table: dictionaries have their columns, other values one, `result`."""
    if isinstance(result, dict):
        return {str(name): value for name, value in result.items()}
    names = getattr(result, "_fields", None)
    if isinstance(result, tuple) and names:
        return dict(zip(names, result, strict=True))
    return {"result": result}


def _csv_writer() -> Write:
    import csv
    import io

    def write(result: Any) -> bytes:
        row = row_of(result)
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(row.keys())
        writer.writerow(row.values())
        return lines.getvalue().encode(errors="surrogateescape")

    return write


def _pickled(result: Any) -> bytes:
    from pickle import dumps

    return dumps(row_of(result), 5)
