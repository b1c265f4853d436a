"""`allcores.compare`: the whole ladder measured with one function and a sample of its items.

Repeats are interleaved and begin with another rung each time, so that a busy moment of the machine
hits all alike. Each repeat opens its executor anew: what is measured is what `allcores.map` would
take. The results of every run are compared with those of the first. One more run of each rung,
which does not count, says who ran which item when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ..pool import codec, nesting
from . import backends, recognise
from .comparison import Comparison, Row
from .explain import compiled_by, judged, measuring, not_here
from .options import CallOptions, OpenOptions
from .probe import Probe, Unpicklable
from .same import same
from .timed import Timed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LADDER = ("serial", "threads", "interpreters", "processes", "native", "auto")
KEPT = CallOptions(return_exceptions=True)


def compare(
    fn: Callable[..., Any],
    items: Iterable[Any],
    backends: Sequence[str] | None = None,
    repeats: int = 3,
    *,
    max_workers: int | None = None,
) -> Comparison:
    """Runs `fn` over `items` on each rung, and says which is the fastest.

    Each item is run `2 + repeats` times on each rung: give a sample, and a function that may be run
    that often.

    Args:
        fn: called with one item.
        items: the sample, all of which is taken.
        backends: names, in the order of the table, with another compiler as "native:numba"; None:
            all that can be used here, and `auto`.
        repeats: runs of each that are measured.
        max_workers: how many calls at most run at the same time.

    Raises:
        TypeError: if `fn` is not callable.
        ValueError: for an unknown backend, no items, or `repeats` below 1.
    """
    if not callable(fn):
        raise TypeError(f"`{type(fn).__name__}` object is not callable")
    if repeats < 1:
        raise ValueError(f"`repeats` is `{repeats}`\nhint: a number from 1 on")
    sample = list(items)
    if not sample:
        raise ValueError("there are no items to compare with\nhint: give a sample of them")
    runs = [_Run(name, max_workers) for name in _named(backends)]
    reference: list[Any] | None = None
    for number in range(repeats):
        turn = number % len(runs)
        for run in runs[turn:] + runs[:turn] if number else runs:
            results = run.measure(fn, sample)
            if results is None:
                continue
            if reference is None:
                reference = results
            run.check(results, reference)
    for run in runs:
        run.look(fn, sample)
    return _told(fn, sample, runs, max_workers)


def _named(given: Sequence[str] | None) -> list[str]:
    if given is not None:
        for name in given:
            _opening(name, None)
        return list(given)
    found = []
    for name in LADDER:
        try:
            is_usable = name == "auto" or backends.get(name).refusal() is None
        except NotImplementedError:
            continue
        if is_usable:
            found.append(name)
    return found


def _opening(name: str, max_workers: int | None) -> tuple[str, OpenOptions]:
    """What `backend` or `backend:compiler` stands for. Raises for an unknown one."""
    backend, _, compiler = name.partition(":")
    if backend != "auto":
        backends.get(backend)
    opening = OpenOptions(max_workers=max_workers, compiler=compiler or "cranelift")
    opening.check_compiler(backend)
    return backend, opening


class _Run:
    """One rung's runs."""

    def __init__(self, name: str, max_workers: int | None) -> None:
        self.row = Row(name)
        self._backend, self._opening = _opening(name, max_workers)

    def measure(self, fn: Callable[..., Any], sample: list[Any]) -> list[Any] | None:
        """The results of one more run; None if it can't run, which the row says."""
        row = self.row
        if row.why_not:
            return None
        begun = time.perf_counter()
        try:
            results, row.chosen = self._results(fn, sample)
        except Exception as error:
            row.seconds, row.why_not = [], f"{type(error).__name__}: {error}"
            return None
        row.seconds.append(time.perf_counter() - begun)
        return results

    def check(self, results: list[Any], reference: list[Any]) -> None:
        """Compares with the first run's. Who raises where that one had a result, can't run this."""
        for index, (mine, right) in enumerate(zip(results, reference, strict=True)):
            if same(mine, right):
                continue
            row = self.row
            if isinstance(mine, BaseException) and not isinstance(right, BaseException):
                row.seconds, row.why_not = [], f"item {index}: {type(mine).__name__}: {mine}"
            else:
                row.equal = False
                row.why_not = f"item {index} gave {_short(mine)}, not {_short(right)}"
            return

    def look(self, fn: Callable[..., Any], sample: list[Any]) -> None:
        """Who runs what when."""
        if not self.row.is_right:
            return
        begun_ns = time.monotonic_ns()
        try:
            results, _ = self._results(Timed(fn), sample)
        except Exception:
            return
        lanes: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for result in results:
            if not isinstance(result, BaseException):
                process, thread, start_ns, end_ns = result[0]
                lane = lanes.setdefault((process, thread), [])
                lane.append(((start_ns - begun_ns) / 1e9, (end_ns - begun_ns) / 1e9))
        self.row.lanes = [lanes[key] for key in sorted(lanes, key=lambda key: lanes[key][0])]

    def _results(self, fn: Callable[..., Any], sample: list[Any]) -> tuple[list[Any], str]:
        """All results, and what `auto` has chosen and why."""
        rung = backends.usable(self._backend).open(self._opening)
        try:
            results = list(rung.map(fn, sample, options=KEPT))
            reason = getattr(rung, "reason", "")
        finally:
            rung.shutdown()
        return results, reason


def _told(
    fn: Callable[..., Any], sample: list[Any], runs: list[_Run], max_workers: int | None
) -> Comparison:
    probe = Probe(fn)
    for _ in measuring(probe, sample):
        pass
    excluded = not_here()
    notes = []
    compiled = compiled_by(fn, probe, excluded)
    if compiled.refusal:
        notes.append(f"native: {compiled.refusal}")
    try:
        probe.weigh()
    except Unpicklable as error:
        excluded["processes"] = str(error)
        notes.append(f"processes can't be used: {str(error).replace('_', ' ')}")
    verdict = judged(probe, len(sample), excluded, max_workers, compiled)
    return Comparison(
        function=codec.name_of(fn),
        items=len(sample),
        cores=nesting.usable_cores(),
        rows=[run.row for run in runs],
        leverage=verdict.leverage,
        terms=dict(verdict.predictions),
        advice=recognise.because(verdict.reason, fn, probe.free_share),
        notes=[*notes, *verdict.warnings],
    )


def _short(value: object) -> str:
    return codec.argument_text(value)
