"""The table of the ladder's benchmark, made of raw times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.ladder import table


def row(auto: float, *, serial: float = 1.0, native: float | None = 0.5) -> dict[str, Any]:
    """A workload of three rounds; the middle one counts."""
    of = {"serial": serial, "threads": 0.9, "processes": 0.6, "native": native, "auto": auto}
    seconds = {
        rung: [None] * 3 if taken is None else [taken * 9, taken, taken / 9]
        for rung, taken in of.items()
    }
    return {"name": "some work", "seconds": seconds, "reasons": ["the first", "the last"]}


def test_row_is_kept_up_to_a_tenth_above_the_best_rung_and_five_milliseconds() -> None:
    assert table.judged(row(0.5549))["kept"]
    assert not table.judged(row(0.5551))["kept"]
    assert table.judged(row(0.5))["best"] == "native"


def test_row_is_safe_up_to_a_twentieth_above_serial_and_five_milliseconds() -> None:
    assert table.judged(row(1.0549))["safe"]
    assert not table.judged(row(1.0551))["safe"]


def test_rung_that_failed_in_one_round_has_no_median_and_is_not_the_best() -> None:
    found = table.judged(row(0.6, native=None))
    assert found["medians"]["native"] is None
    assert found["best"] == "processes"
    assert "| - |" in table.line(row(0.6, native=None))


def test_auto_that_failed_keeps_nothing() -> None:
    failed = row(0.5)
    failed["seconds"]["auto"] = [None] * 3
    found = table.judged(failed)
    assert not found["kept"]
    assert not found["safe"]


def test_line_has_medians_in_milliseconds_the_mark_and_the_last_reason() -> None:
    assert table.line(row(0.5)) == (
        "| some work | 1,000.0 | 900.0 | 600.0 | 500.0 | 500.0 | 4,500.0 "
        "| native | yes | the last |"
    )
    assert "| **no** |" in table.line(row(0.7))
    columns = table.head().splitlines()[0].count("|")
    assert table.head().splitlines()[1].count("|") == table.line(row(1)).count("|") == columns


def test_total_counts_those_that_keep_both_bars() -> None:
    assert table.total([row(0.5), row(0.7), row(1.2)]) == "1 of 3 within the bars."


def test_written_table_says_when_and_where(tmp_path: Path) -> None:
    path = tmp_path / "ladder.json"
    assert table.written(path) == "Not measured yet."
    machine = {
        "date": "2026-01-02",
        "cores": 2,
        "system": "Linux",
        "python": "CPython 3.11",
        "load_before": 0.1,
    }
    record = {"machine": machine, "rounds": 3, "rows": [row(0.5)]}
    path.write_text(json.dumps(record), encoding="utf-8")
    lines = table.written(path).splitlines()
    assert lines[0] == table.HOW
    assert lines[-3].startswith("1 of 1 within the bars. 3 rounds; 2026-01-02, 2 cores")
    assert lines[-1] == ("Single rounds beyond the bars: some work (at most 555 ms: 4,500).")


def test_rounds_beyond_the_bars_are_named_with_their_times() -> None:
    assert table.lost([row(0.01)]) == "Single rounds beyond the bars: none."
