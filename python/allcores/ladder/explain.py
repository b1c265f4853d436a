"""`allcores.explain`: which rung `auto` would choose for a function, and why, in a few lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice

from .._core import advise
from ..pool import codec, nesting
from . import machine, recognise
from .adviser import OTHERS
from .compiled import Compiled
from .leverage import leverage_words
from .probe import Probe, Unpicklable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Verdict

MOST_ITEMS = 64
MOST_SECONDS = 0.5
"""So long items are run, the first one to its end."""


class Explanation:
    """What there is to say of a function; prints as some lines.

    Attributes:
        function: its name.
        sampled: how many items were run to measure it.
        verdict: the adviser's; None if nothing was run.
        refusal: why it can't be sent to a process; empty if it can.
        native: why it is not for machine code, with line and column; empty if it is.
        item_s: seconds an item takes; None if nothing was run.
        whose: whose function it is if it is machine code already, and whether it lets the
            interpreter's lock go; empty for a function of Python's.
    """

    __slots__ = ("function", "item_s", "native", "refusal", "sampled", "verdict", "whose")

    def __init__(
        self,
        function: str,
        *,
        sampled: int,
        item_s: float | None,
        verdict: Verdict | None,
        refusal: str,
        native: str = "",
        whose: str = "",
    ) -> None:
        self.function = function
        self.whose = whose
        self.sampled = sampled
        self.item_s = item_s
        self.verdict = verdict
        self.refusal = refusal
        self.native = native

    @property
    def leverage(self) -> tuple[float, float, float] | None:
        """Seconds of computing per second of moving data: median, and what a tenth are below and
        above.
        """
        return None if self.verdict is None else self.verdict.leverage

    def __str__(self) -> str:
        lines = [self.function]
        verdict = self.verdict
        if self.item_s is not None:
            lines.append(f"an item takes {self.item_s * 1e3:.3g} ms ({self.sampled} were run)")
        if self.whose:
            lines.append(f"it is {self.whose}")
        if self.refusal:
            lines.append(f"it can't go to processes: {self.refusal}")
        if self.native:
            lines.append(f"native: {self.native}")
        if verdict is None:
            lines.append(
                "nothing was run, so nothing is known of its time\n"
                "hint: explain(fn, items) runs a few of them"
            )
            return "\n".join(lines)
        lines.append(f"leverage: {leverage_words(verdict.leverage)}")
        for rung, terms in verdict.predictions:
            named = ", ".join(f"{name} {s * 1e3:.3g}" for name, s in terms[:-1] if s > 0)
            lines.append(f"{rung:13} {terms[-1][1] * 1e3:10.4g} ms predicted  ({named})")
        lines += [*verdict.reasons, *verdict.warnings]
        return "\n".join(lines)

    __repr__ = __str__


def explain(
    fn: Callable[..., Any], items: Iterable[Any] | None = None, *, max_workers: int | None = None
) -> Explanation:
    """Which rung `auto` would choose for `fn`, and why.

    Args:
        fn: called with one item.
        items: a few of them are run here, for half a second or so; None: nothing is run, and only
            what can be known without is said.
        max_workers: how many calls at most would run at the same time.

    Raises:
        TypeError: if `fn` is not callable.
        Exception: what `fn` raises.
    """
    if not callable(fn):
        raise TypeError(f"`{type(fn).__name__}` object is not callable")
    probe = Probe(fn)
    length = len(items) if isinstance(items, Sized) else None
    if items is not None:
        run_some(probe, items)
    refusal, excluded = "", not_here()
    compiled = compiled_by(fn, probe, excluded)
    try:
        probe.weigh()
    except Unpicklable as error:
        refusal = str(error).replace("_", " ")
        excluded["processes"] = str(error)
    name = codec.name_of(fn)
    if not probe.done:
        return Explanation(
            name, sampled=0, item_s=None, verdict=None, refusal=refusal, native=compiled.refusal
        )
    verdict = judged(probe, length, excluded, max_workers, compiled)
    return Explanation(
        name,
        sampled=probe.done,
        item_s=probe.item_ns() / 1e9,
        verdict=verdict,
        refusal=refusal,
        native=compiled.refusal,
        whose=recognise.told(fn, probe.free_share),
    )


def run_some(probe: Probe, items: Iterable[Any]) -> None:
    """Runs the first items under measurement. Raises what they raise."""
    for error in measuring(probe, items):
        if error is not None:
            raise error


def measuring(probe: Probe, items: Iterable[Any]) -> Iterator[BaseException | None]:
    """Runs the first items under measurement, and gives what each raised; the first one apart if
    the function compiles itself then.
    """
    until = time.monotonic() + MOST_SECONDS
    some = islice(items, MOST_ITEMS)
    if probe.will_compile():
        for item in islice(some, 1):
            yield probe.run((item,))[1]
    with probe.watched():
        for item in some:
            yield probe.run((item,))[1]
            if time.monotonic() > until:
                break


def not_here() -> dict[str, str]:
    """The rungs that `auto` does not choose here, each with the adviser's name for the reason."""
    found = dict.fromkeys(OTHERS, "not_here")
    if nesting.usable_cores() == 1:
        found["processes"] = "not_here"
    return found


def compiled_by(fn: Callable[..., Any], probe: Probe, excluded: dict[str, str]) -> Compiled:
    """The function tried as machine code on the probe's last items; what is against it is added to
    what is `excluded`.
    """
    compiled = Compiled(fn)
    if probe.last is None:
        compiled.look()
    else:
        items, values = probe.last
        compiled.compare([item for (item,) in items], values, probe.item_ns())
    if compiled.refusal:
        excluded["native"] = compiled.reason
    return compiled


def judged(
    probe: Probe,
    count: int | None,
    excluded: dict[str, str],
    max_workers: int | None,
    compiled: Compiled,
) -> Verdict:
    """The adviser's verdict for so many items like those that the probe has seen."""
    constants = machine.here().constants(max_workers=max_workers)
    measured = probe.measured(count)
    measured.update(native_ns=compiled.item_ns, native_left=compiled.left_share)
    return advise(measured, constants, list(excluded.items()))
