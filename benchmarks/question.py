"""What a question is: whom it asks, what it measures in one round, and how its answer is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.peers import Pool

Sizes = dict[str, Any]
Values = dict[str, Any]

EVERYONE = (
    "serial",
    "threads",
    "stdlib",
    "mp-pool",
    "loky",
    "joblib",
    "pebble",
    "mpire",
    "zooparallel",
    "allcores",
)
PROCESSES = tuple(peer for peer in EVERYONE if peer not in ("serial", "threads"))
SUBMITTERS = tuple(peer for peer in EVERYONE if peer != "joblib")


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the table."""

    key: str
    heading: str
    better: Literal["more", "less", "neither"] = "less"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One script of this folder."""

    name: str
    title: str
    how: str
    """What one round does, in one or two sentences: stands above the table."""
    columns: tuple[Column, ...]
    peers: tuple[str, ...]
    sizes: Sizes
    trial_sizes: Sizes
    """Small sizes that show in seconds whether everything works."""
    rounds: int = 5
    rounds_at_least: int = 3
    budget_s: float = 80.0
    """On a slow machine no round is begun that would go beyond this, once there are enough."""
    limit_s: float = 60.0
    """A peer that needs longer for one round has failed."""
    measure: Callable[[Pool, Sizes], Values] | None = None
    """One round, on a pool that is open; raises if a result is wrong. `None`: `cold_child`
    measures.
    """
    derive: Callable[[dict[str, list[Values]]], None] | None = None
    """Adds figures that need all rounds of a peer (`peer -> values of its rounds`)."""
    draw: Callable[[Any, Path], None] | None = None
    """Draws the answer (a `report.Answer`) into an SVG file beside its JSON."""
    show: Callable[[Any], str] | None = None
    """The answer as Markdown, where the usual table does not do."""
    queue_mb: int = 10
    leaves_at_once: bool = False
    """The child exits without closing the pool, because unfinished tasks are left in it."""
    sizes_of: dict[str, Sizes] = field(default_factory=dict)
    """Other sizes for single peers; not in a trial."""

    def sizes_for(self, peer: str, *, trial: bool) -> Sizes:
        """The sizes of one round."""
        return self.trial_sizes if trial else self.sizes | self.sizes_of.get(peer, {})


class WrongResultError(Exception):
    """A peer returned something else than the function's value."""


def check(equal: bool, what: str) -> None:
    """Every result is compared, and a round with a wrong one counts as failed."""
    if not equal:
        raise WrongResultError(what)
