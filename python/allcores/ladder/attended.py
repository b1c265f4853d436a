"""What stands around the results of a map: the meter that is to end with it, and the executor, if
that is the map's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core import Unroll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .backends.base import RungExecutor
    from .progress import Meter


def attended(
    results: Iterator[Any], meter: Meter | None, owned: RungExecutor | None
) -> Iterator[Any]:
    """`results`, after whose end the meter has ended and the executor `owned` is shut down."""
    if meter is None and owned is None:
        return results
    return Attended(results, meter, owned)


class Attended(Unroll):
    """Results of a rung, handed on block by block. `close` gives up what has not started; it does
    not wait for what has.
    """

    _results: Any
    _meter: Meter | None
    _owned: RungExecutor | None

    def __new__(
        cls, results: Iterator[Any], meter: Meter | None, owned: RungExecutor | None
    ) -> Attended:
        made = super().__new__(cls)
        made._results = results
        made._meter = meter
        made._owned = owned
        return made

    def refill(self) -> list[Any] | bytes | None:
        """The next results, the last one first, or pickled scalars; None at the end. Raises an
        item's exception.
        """
        results = self._results
        if results is None:
            return None
        try:
            block: Any = results.refill() if isinstance(results, Unroll) else _one(results)
        except KeyboardInterrupt:
            self._results = None
            if self._owned is not None:
                self._owned.abandon()
            raise
        except BaseException:
            del self, results  # the traceback must not keep the iterator alive
            raise
        if block is None:
            self._end(wait=True)
        return block  # type: ignore[no-any-return]

    def close(self) -> None:
        """Gives up what has not started."""
        close = getattr(self._results, "close", None)
        if close is not None:
            close()
        self._end(wait=False)

    def _end(self, *, wait: bool) -> None:
        self._results = None
        owned, self._owned = self._owned, None
        meter, self._meter = self._meter, None
        try:
            if owned is not None:
                owned.shutdown(wait=wait, cancel_futures=True)
        finally:
            if meter is not None:
                meter.end()

    def __del__(self) -> None:
        if vars(self).get("_results") is not None:
            self._end(wait=False)


def _one(results: Iterator[Any]) -> list[Any] | None:
    for value in results:
        return [value]
    return None
