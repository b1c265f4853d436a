"""All scenarios, by the number of their case."""

from __future__ import annotations

from benchmarks.cases import of_crashes, of_deadlocks, of_ends, of_errors, of_memory, of_stops
from benchmarks.cases.scenario import SCENARIOS

__all__ = [
    "SCENARIOS",
    "of_crashes",
    "of_deadlocks",
    "of_ends",
    "of_errors",
    "of_memory",
    "of_stops",
]
