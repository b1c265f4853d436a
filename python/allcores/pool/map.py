"""`map`: the items go into a feed, the results come out block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .blocks import Blocks, deadline_after
from .feed import Feed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .feed import Meter, Part
    from .options import Terms
    from .runtime import Runtime


def start_map(
    runtime: Runtime,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int | None,
    buffersize: int | None,
    max_workers: int,
    terms: Terms | None = None,
    return_exceptions: bool = False,
    ordered: bool = True,
    meter: Meter | None = None,
    part: Part | None = None,
) -> Iterator[Any]:
    """The iterator over the results; the first window of chunks is submitted by now."""
    deadline = deadline_after(timeout)
    if not iterables:
        return iter(())
    feed = Feed(
        runtime,
        fn,
        iterables,
        chunksize=chunksize,
        buffersize=buffersize,
        max_workers=max_workers,
        terms=terms,
        ordered=ordered,
        meter=meter,
        part=part,
    )
    feed.begin()
    return Blocks(feed, deadline=deadline, return_exceptions=return_exceptions)
