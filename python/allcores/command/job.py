"""What runs in the workers: parse a record, call the function, make bytes of the result.

So the parent only splits lines and writes bytes. What goes wrong with an item is its result, a
tuple of texts; only the pool's own failures come as exceptions.
"""

from __future__ import annotations

from collections.abc import Callable

from . import formats, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

SHOWN = 200
"""How many characters of a record a failure shows."""


class Job:
    """Calls the target for one record; what a pool runs.

    Attributes:
        target: `module:function`.
        source: the format of records.
        drain: the format of results.
        calling: `item`, `unpack` or `kwargs`.
        header: of a CSV source.
        retries: how often an item that raised is tried again.
        ordered: False if each item is a pair of its position, which goes before its result in eight
            bytes, and the record.
    """

    def __init__(
        self,
        target: str,
        source: str,
        drain: str,
        calling: str,
        header: bytes | None,
        retries: int,
        ordered: bool,
    ) -> None:
        self._told = (target, source, drain, calling, header, retries, ordered)
        self._run: Callable[[Any], Any] | None = None
        self.__name__ = self.__qualname__ = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Job, self._told

    def __call__(self, item: Any) -> Any:
        run = self._run
        if run is None:
            run = self._run = prepared(target.find(self._told[0]), *self._told[1:])
        return run(item)

    def with_called_function(
        self, made: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> Callable[[Any], Any]:
        """The same work with what `made` makes of the target, as the compiled rung asks for it."""
        return prepared(made(target.find(self._told[0])), *self._told[1:])


def prepared(
    fn: Callable[..., Any],
    source: str,
    drain: str,
    calling: str,
    header: bytes | None,
    retries: int,
    ordered: bool,
) -> Callable[[Any], Any]:
    """What does the work for one record."""
    parse, write = formats.parser(source, header), formats.writer(drain)
    call = caller(fn, calling)

    def once(record: Any) -> Any:
        try:
            value = parse(record)
        except formats.Malformed as error:
            return failure(error, record, with_traceback=False)
        except Exception as error:
            return failure(error, record)
        left = retries
        while True:
            try:
                return write(call(value))
            except KeyboardInterrupt as error:
                vars(error)["argument"] = repr(record)
                raise
            except BaseException as error:
                if not left or not isinstance(error, Exception):
                    return failure(error, record)
                left -= 1
                value = parse(record)  # the function may have changed it

    if ordered:
        return once

    def placed(item: Any) -> Any:
        place, record = item
        result = once(record)
        if isinstance(result, bytes):
            return place.to_bytes(8, "little") + result
        return (*result, place)

    return placed


def caller(fn: Callable[..., Any], calling: str) -> Callable[[Any], Any]:
    """`fn` with its arguments taken from one value as `calling` says."""
    if calling == "item":
        return fn

    def unpack(value: Any) -> Any:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError(f"a list is needed to unpack, not `{_cut(repr(value))}`")
        return fn(*(value.values() if isinstance(value, dict) else value))

    def kwargs(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"an object is needed for keyword arguments, not `{_cut(repr(value))}`")
        return fn(**value)

    return unpack if calling == "unpack" else kwargs


def failure(error: BaseException, record: Any, *, with_traceback: bool = True) -> tuple[str, ...]:
    """Type, message, traceback and record, as texts that any encoding holds."""
    shown = _cut(record.decode(errors="backslashreplace") if isinstance(record, bytes) else record)
    words = ""
    if with_traceback:
        from traceback import format_exception

        try:
            words = "".join(format_exception(type(error), error, _theirs(error.__traceback__)))
        except Exception:
            words = ""
    try:
        message = str(error)
    except Exception:
        message = "<its text could not be made>"
    told = (type(error).__name__, message, words, shown)
    return tuple(text.encode(errors="backslashreplace").decode() for text in told)


def recorded(argument: str, ordered: bool) -> str:
    """The record in a pool's text for the argument of a call, as `failure` shows it."""
    from ast import literal_eval

    try:
        value = literal_eval(argument)
    except (ValueError, SyntaxError):
        return argument
    record = value if ordered or not isinstance(value, tuple) else value[-1]
    return _cut(record.decode(errors="backslashreplace") if isinstance(record, bytes) else record)


def _theirs(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's code on; all of it if it never came there."""
    first = traceback
    while first is not None and first.tb_frame.f_code.co_filename == __file__:
        first = first.tb_next
    return first or traceback


def _cut(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
