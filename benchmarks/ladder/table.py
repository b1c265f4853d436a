"""What the ladder's rounds say: medians, whether the bars are kept, and the table of it.

Of raw times only, as they lie in `benchmarks/results/ladder.json`; nothing is run here.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

RUNGS = ("serial", "threads", "processes", "native", "auto")
RESULTS = Path(__file__).parent.parent / "results" / "ladder.json"
OF_BEST, OF_SERIAL, SLACK_S = 1.10, 1.05, 0.005
"""`auto` may take so many times as long as the best fixed rung, as serial, and so much more."""

HOW = (
    "`allcores.map` over what people run, on every rung in turns. `auto` must take at most "
    f"{OF_BEST:.2f} of the best fixed rung, and never more than {OF_SERIAL:.2f} of `serial`, plus "
    f"{SLACK_S * 1e3:.0f} ms each; where it does not, the row says **no**. Medians in ms. The "
    "first map of a function in a process takes `auto` longer (`first`): it imports what it needs, "
    "and waits for CPython's own result before it gives out those of machine code."
)


def judged(row: dict[str, Any]) -> dict[str, Any]:
    """A workload's medians in seconds (None where the rung can't run it), its best fixed rung, and
    whether the bars are kept.
    """
    medians = {
        rung: None if None in times else median(times) for rung, times in row["seconds"].items()
    }
    fixed = {rung: taken for rung, taken in medians.items() if rung != "auto" and taken}
    best = min(fixed, key=lambda rung: fixed[rung])
    auto = medians["auto"]
    kept = auto is not None and auto <= OF_BEST * fixed[best] + SLACK_S
    safe = auto is not None and auto <= OF_SERIAL * fixed["serial"] + SLACK_S
    return {**row, "medians": medians, "best": best, "kept": kept, "safe": safe}


def head() -> str:
    """The first two lines."""
    names = " | ".join((*RUNGS, "first"))
    marks = " | ".join("---:" for _ in (*RUNGS, "first"))
    return (
        f"| workload | {names} | best | bars | where `auto` went, and why |\n"
        f"| --- | {marks} | --- | --- | --- |"
    )


def line(row: dict[str, Any]) -> str:
    """A workload's line; the reason is that of the last round."""
    found = judged(row)
    times = " | ".join(
        "-" if (taken := found["medians"][rung]) is None else f"{taken * 1e3:,.1f}"
        for rung in RUNGS
    )
    first = row["seconds"]["auto"][0]
    times += " | -" if first is None else f" | {first * 1e3:,.1f}"
    mark = "yes" if found["kept"] and found["safe"] else "**no**"
    return f"| {row['name']} | {times} | {found['best']} | {mark} | {row['reasons'][-1]} |"


def total(rows: list[dict[str, Any]]) -> str:
    """How many keep the bars."""
    found = [judged(row) for row in rows]
    kept = sum(row["kept"] and row["safe"] for row in found)
    return f"{kept} of {len(rows)} within the bars."


def lost(rows: list[dict[str, Any]]) -> str:
    """In which single rounds `auto` took longer than the bars of the medians allow."""
    found = []
    for row in map(judged, rows):
        medians = row["medians"]
        most = min(
            OF_BEST * medians[row["best"]] + SLACK_S, OF_SERIAL * medians["serial"] + SLACK_S
        )
        late = sorted(taken for taken in row["seconds"]["auto"] if taken and taken > most)
        if late:
            times = ", ".join(f"{taken * 1e3:,.0f}" for taken in late)
            found.append(f"{row['name']} (at most {most * 1e3:,.0f} ms: {times})")
    return f"Single rounds beyond the bars: {'; '.join(found) or 'none'}."


def written(path: Path = RESULTS) -> str:
    """The whole table, as it goes into `benchmarks/README.md`."""
    if not path.exists():
        return "Not measured yet."
    record = json.loads(path.read_text(encoding="utf-8"))
    rows, machine = record["rows"], record["machine"]
    where = f"{machine['date']}, {machine['cores']} cores, {machine['system']}, {machine['python']}"
    load = f"load average before it {machine['load_before']}"
    lines = [HOW, "", head(), *map(line, rows), ""]
    rounds = f"{total(rows)} {record['rounds']} rounds; {where}; {load}."
    return "\n".join([*lines, rounds, "", lost(rows)])
