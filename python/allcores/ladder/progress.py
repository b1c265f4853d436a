"""How far a map has come: a bar, a line, or a call of the user's.

`progress` counts *items that have been finished*, with a result or an exception, on every rung:
not chunks, and not what the consumer has taken. Whoever takes the results does the showing: while
it waits for a result and whenever it takes a block of them, at most ten times a second, and once at
the end. So a callable runs in the consumer's thread, what it raises comes out there, and a consumer
that is slow sees the number jump when it comes back.

| `progress`                | what is shown                                                        |
| ------------------------- | -------------------------------------------------------------------- |
| `False`, `None`           | nothing                                                              |
| `True`                    | tqdm's bar if tqdm is installed, else a line on stderr; nothing if   |
|                           | that is neither a terminal nor a notebook                            |
| a callable                | `progress(done, total)`; `total` is None where nobody knows it       |
| a stream (with `write`)   | lines on it, terminal or not                                         |
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Words(Protocol):
        """A text stream."""

        def write(self, text: str, /) -> object: ...

    Progress = bool | None | Callable[[int, int | None], object] | Words

    class Sink(Protocol):
        """Shows how far it is."""

        def show(self, done: int, total: int | None) -> None: ...

        def end(self) -> None:
            """Nothing more is to come."""


INTERVAL_S = 0.1
"""Between two showings."""
LINES_INTERVAL_S = 5.0
"""The same where lines stay."""
ITEMS_A_LOOK = 8
QUICK_S = 0.001
"""After a look at the time that came so soon, so many items are counted before the next."""


class Meter:
    """What is told how many items are finished, and shows it, not too often.

    Attributes:
        done: how many that are, as far as it was told.
        interval_s: seconds between two showings.
    """

    def __init__(self, sink: Sink, total: int | None, interval_s: float = INTERVAL_S) -> None:
        self.interval_s = interval_s
        self._sink = sink
        self._total = total
        self.done = self._shown = 0
        self._looked_s = time.monotonic()
        self._next_s = self._looked_s + interval_s
        self._look_at = 0
        self._is_over = False

    def is_due(self) -> bool:
        """Whether a number would be shown."""
        return time.monotonic() >= self._next_s

    def show(self, done: int) -> None:
        """So many are finished."""
        self.done = done
        now = time.monotonic()
        if now >= self._next_s and done != self._shown:
            self._next_s = now + self.interval_s
            self._shown = done
            self._sink.show(done, self._total)

    def count(self, done: int) -> None:
        """As `show`, for who calls it after each item: looking at the time costs something where
        items take microseconds.
        """
        self.done = done
        if done >= self._look_at:
            now = time.monotonic()
            self._look_at = done + (ITEMS_A_LOOK if now - self._looked_s < QUICK_S else 1)
            self._looked_s = now
            self.show(done)

    def end(self) -> None:
        """Shows the last number, if it was not shown, and ends."""
        if self._is_over:
            return
        self._is_over = True
        try:
            if self.done != self._shown or self.done == 0:
                self._sink.show(self.done, self._total)
        finally:
            self._sink.end()


def meter_for(progress: Progress, total: int | None) -> Meter | None:
    """The meter that was asked for; None for nothing. Raises `TypeError`."""
    if progress is None or progress is False:
        return None
    if progress is True:
        return _visible(total)
    if callable(progress):
        return Meter(_Calling(progress), total)
    if hasattr(progress, "write"):
        return _lines(progress, total)
    raise TypeError(
        f"`progress` must be True, a callable or a stream, not `{progress!r}`\n"
        "hint: a callable is called with the items done and their total number or None"
    )


def _visible(total: int | None) -> Meter | None:
    in_notebook = _in_notebook()
    if not in_notebook and not (sys.stderr is not None and sys.stderr.isatty()):
        return None
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _lines(sys.stderr, total)
    return Meter(_Bar(tqdm(total=total, unit="item", smoothing=0.1)), total)


def _in_notebook() -> bool:
    """Whether output goes into cells."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _lines(stream: Words, total: int | None) -> Meter:
    is_terminal = bool(getattr(stream, "isatty", bool)())
    return Meter(
        _Lines(stream, is_terminal=is_terminal),
        total,
        INTERVAL_S if is_terminal else LINES_INTERVAL_S,
    )


class _Calling:
    """The user's callable."""

    def __init__(self, call: Callable[[int, int | None], object]) -> None:
        self._call = call

    def show(self, done: int, total: int | None) -> None:
        self._call(done, total)

    def end(self) -> None:
        """It has seen the last number."""


class _Bar:
    """A bar of tqdm's."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def show(self, done: int, total: int | None) -> None:
        self._bar.update(done - self._bar.n)

    def end(self) -> None:
        self._bar.close()


class _Lines:
    """Lines of text; on a terminal one that is written again and again."""

    def __init__(self, stream: Words, *, is_terminal: bool) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._begun_s = time.monotonic()
        self._width = 0

    def show(self, done: int, total: int | None) -> None:
        text = line(done, total, time.monotonic() - self._begun_s)
        if self._is_terminal:
            self._write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._write(text + "\n")

    def end(self) -> None:
        if self._is_terminal and self._width:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        flush = getattr(self._stream, "flush", None)
        if flush is not None:
            flush()


def line(done: int, total: int | None, seconds: float) -> str:
    """`1,200/5,000 items, 24 %, 400/s, 0:09 left`."""
    rate = done / seconds if seconds > 0 else 0.0
    words = [f"{done:,} items" if total is None else f"{done:,}/{total:,} items"]
    if total:
        words.append(f"{100 * done // total} %")
    if rate:
        words.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        if total is not None and done < total:
            words.append(f"{_clock((total - done) / rate)} left")
        elif done == total:
            words.append(_clock(seconds))
    return ", ".join(words)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
