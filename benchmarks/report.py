"""From raw rounds to tables: medians, ratios to the standard library, and the list of where we
lose.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ladder import table as ladder
from benchmarks.question import Column, Question, Values

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE / "README.md"

QUESTIONS = (
    "gcd_cold",
    "gcd_warm",
    "tiny_submit",
    "latency",
    "tiny_map",
    "skewed",
    "two_tasks",
    "all_at_once",
    "like_pool",
    "chunk_size",
    "lazy_map",
    "every_core",
    "pending_memory",
    "cold_start",
    "pool_rows",
    "payload",
    "payload_memory",
    "shared_argument",
    "crash",
    "cluster",
    "floors",
)
LARGER_MACHINE = "larger_machine"
"""Questions that a machine of more cores was asked as well: their records lie in this folder of
`results/`, put there by hand, and never count among the figures of the machine above.
"""
ASKED_THERE = ("every_core",)
STANDARD, OURS = "stdlib", "allcores"
NOTICEABLE = 1.05
"""A rival has to be so many times better before it counts as our loss."""


def question(name: str) -> Question:
    """The script of that name."""
    found: Question = import_module(f"benchmarks.{name}").QUESTION
    return found


class Answer:
    """The record of one question, with its rounds by peer."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.question = question(record["question"])
        self.rounds: dict[str, list[Values]] = {}
        for values in record["rounds"]:
            self.rounds.setdefault(values["peer"], []).append(values)
        if self.question.derive is not None:
            self.question.derive(self.rounds)

    def numbers(self, peer: str, key: str) -> list[float]:
        """The figure in each round of a peer; empty if it has none."""
        found = [values[key] for values in self.rounds.get(peer, ()) if key in values]
        return [value for value in found if not isinstance(value, str)]

    def median(self, peer: str, key: str) -> float | None:
        """Over all rounds."""
        found = self.numbers(peer, key)
        return median(found) if found else None

    def times_better(self, column: Column, peer: str, than: str = STANDARD) -> float | None:
        """The median of the ratios within each round; above 1 the peer is better, whatever the
        column counts.
        """
        theirs = {values["round"]: values.get(column.key) for values in self.rounds.get(than, ())}
        ratios = []
        for values in self.rounds.get(peer, ()):
            mine, other = values.get(column.key), theirs.get(values["round"])
            if column.better == "neither" or not mine or not other or isinstance(mine, str):
                continue
            ratios.append(mine / other if column.better == "more" else other / mine)
        return median(ratios) if ratios else None


def load(name: str, results: Path = RESULTS) -> Answer | None:
    """The answer to a question, if there is one."""
    path = results / f"{name}.json"
    return Answer(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def figure(value: float) -> str:
    """Three digits are enough."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.2f} M"
    if size >= 100 or value == 0 or (size >= 10 and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def cell(answer: Answer, peer: str, column: Column) -> str:
    """`median [min-max] xratio`."""
    texts = [
        values[column.key]
        for values in answer.rounds[peer]
        if isinstance(values.get(column.key), str)
    ]
    if texts:
        return ", ".join(text for text, _ in Counter(texts).most_common())
    found = answer.numbers(peer, column.key)
    if not found:
        return "-"
    low, high = figure(min(found)), figure(max(found))
    spread = f" [{low}-{high}]" if low != high else ""
    ratio = answer.times_better(column, peer) if peer != STANDARD else None
    return figure(median(found)) + spread + (f" x{figure(ratio)}" if ratio is not None else "")


def table(answer: Answer) -> str:
    """One question as Markdown: what was done, the table, what went wrong."""
    if answer.question.show is not None:
        return answer.question.show(answer)
    columns = answer.question.columns
    lines = [
        answer.question.how,
        "",
        "| peer | " + " | ".join(column.heading for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for peer in answer.record["peers"]:
        if peer in answer.rounds:
            shown = f"**{peer}**" if peer.partition(":")[0] == OURS else peer
            lines.append(
                f"| {shown} | "
                + " | ".join(cell(answer, peer, column) for column in columns)
                + " |"
            )
    notes = [f"{peer} failed: {why}" for peer, why in answer.record["failed"].items()]
    for peer, rounds in answer.rounds.items():
        troubles = Counter(values["afterwards"] for values in rounds if "afterwards" in values)
        notes += [
            f"{peer}: {trouble} ({count} of {len(rounds)} rounds)"
            for trouble, count in troubles.items()
        ]
    if notes:
        lines += ["", *(f"* {note}" for note in notes)]
    rounds_run = len({values["round"] for values in answer.record["rounds"]})
    return "\n".join([*lines, "", f"{rounds_run} rounds, {answer.record['seconds']:.0f} s."])


def losses(answers: list[Answer]) -> str:
    """Every figure in which some peer beats us, the greatest loss first."""
    lines = []
    for answer in answers:
        if answer.question.show is not None:
            continue
        name, failed = answer.question.name, answer.record["failed"].get(OURS)
        if OURS not in answer.rounds:
            lines.append(f"* `{name}`: {OURS} has no figure here ({failed or 'not asked'}).")
            continue
        for column in answer.question.columns:
            rivals = {}
            for peer in answer.rounds:
                ours, theirs = answer.median(OURS, column.key), answer.median(peer, column.key)
                ratio = answer.times_better(column, peer, than=OURS)
                if peer.partition(":")[0] == OURS or column.better == "neither":
                    continue
                if ratio is not None and ratio >= NOTICEABLE:
                    rivals[peer] = ratio
                elif theirs == 0 and ours and column.better == "less":
                    rivals[peer] = float("inf")
            if rivals:
                ranked = sorted(rivals.items(), key=lambda rival: -rival[1])
                said = ", ".join(
                    f"{peer} x{figure(ratio) if ratio < 1e9 else '∞'}" for peer, ratio in ranked
                )
                lines.append(f"* `{name}`, {column.heading}: better than {OURS} are {said}.")
    if not answers:
        lines.append("* Not measured yet.")
    elif not lines:
        lines.append(
            f"* In these figures nobody is more than {NOTICEABLE - 1:.0%} better; that says more "
            "about the questions than about the engine. Add one in which it is not."
        )
    return "\n".join(lines)


def machine(answers: list[Answer]) -> str:
    """Where the figures come from."""
    if not answers:
        return "Not measured yet."
    facts = answers[0].record["machine"]
    versions = ", ".join(f"{package} {found}" for package, found in facts["versions"].items())
    loads = [answer.record["machine"]["load_before"] for answer in answers]
    hardware = f"{facts['cores']} cores, {facts['processor']}, {facts['memory_gib']} GiB"
    lines = (
        f"{facts['date']}: {hardware}, {facts['system']}",
        f"{facts['python']} ({facts['compiler']})",
        f"default start method {facts['default_start_method']}",
        versions,
        f"load average before a question: {min(loads)} to {max(loads)}; each raises the next one's",
    )
    return "\n".join(f"* {line}" for line in lines)


def elsewhere(name: str) -> str:
    """What the larger machine said, and what it is."""
    answer = load(name, RESULTS / LARGER_MACHINE)
    if answer is None:
        return "Not measured yet."
    if answer.question.draw is not None:
        answer.question.draw(answer, RESULTS / LARGER_MACHINE / f"{name}.svg")
    rows = table(answer).removeprefix(answer.question.how)
    return f"{machine([answer])}\n{rows}"


def write_readme() -> None:
    """Puts what the results say between the markers."""
    text = README.read_text(encoding="utf-8")
    answers = [answer for name in QUESTIONS if (answer := load(name))]
    measured = {answer.question.name: table(answer) for answer in answers}
    parts = {name: measured.get(name, "Not measured yet.") for name in QUESTIONS}
    parts |= {"machine": machine(answers), "losses": losses(answers), "ladder": ladder.written()}
    parts |= {f"{LARGER_MACHINE} {name}": elsewhere(name) for name in ASKED_THERE}
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise LookupError(f"`README.md` has no markers for `{name}`")
        text = before + begin + part + "\n" + end + after
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_readme()
