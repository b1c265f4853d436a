"""The page `docs/cases.md`, from the results and from the tests' names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks.cases import catalogue
from benchmarks.cases.engines import ENGINES
from benchmarks.cases.scenario import HOLDS, ROOT

PAGE = ROOT / "docs" / "cases.md"
TEST = re.compile(r"^\s*(?:async )?def (test_c(\d\d)_\w+)", re.MULTILINE)

HEAD = """# Reported failures, and what becomes of them

What users of process pools have reported over the years, case by case: one small scenario, gone
through by allcores and by four peers, each in its best documented way. `make cases` makes this
page; what every run said lies in `benchmarks/cases/results.json`, the scenarios beside it.

{machine}

{summary}

How to read it:

* **holds**: what the case asks for was seen. Anything else says what was seen instead. `hangs`:
  nothing came for five seconds, or the scenario exceeded its limit (20 s; some 30 to 60).
* **n/a**: the engine's interface has no such thing; why is said under the table.
* **°**: allcores runs with `on_worker_death="replace"`; without it a lost worker breaks the pool,
  as in the standard library. Elsewhere it has its defaults, but for `max_worker_memory` in C10,
  and `context_vars` and `forward_logs` in C84.
* stdlib is `concurrent.futures.ProcessPoolExecutor` of the Python named above; later ones can do
  more (`kill_workers` and `buffersize` came with 3.14). loky is its reusable executor. mpire lets
  its workers have children, and pickles by dill in C55 to C57. Start methods are the engines' own
  unless the case names one.
* Two workers; sizes below those of the reports where a title says so. A verdict is that of one
  run: a race may need more.
"""

OF_THE_LADDER = {
    "C46": "a parallel map is slower than the loop for little work: `auto` stays in the caller",
    "C47": "two items, one of them long: both run at once, in a map of `auto` too",
    "C53": "interpreters are slower than processes with lists: `auto` never chooses them",
    "C80": "progress of a map, on every rung, with errors and generators",
    "C81": "progress on the serial rung",
    "C82": "progress counts items, not chunks",
    "C83": "progress costs next to nothing: it is shown ten times a second at most",
}
"""Cases that are no question to a pool of processes."""


def write(results: dict[str, Any]) -> None:
    """Writes the page."""
    PAGE.parent.mkdir(exist_ok=True)
    said = {number: of for number, of in results["said"].items() if number in catalogue.SCENARIOS}
    head = HEAD.format(machine=_machine(results["machine"]), summary=_summary(said))
    lines = [head, *_table(said), "", *_of_the_ladder(), "", *_notes(said), ""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def _machine(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ENGINES if name in versions)
    return (
        f"Run on {machine['date']}: {machine['cores']} cores, {machine['processor']}, "
        f"{machine['system']}, {machine['python']}, {named}."
    )


def _summary(said: dict[str, Any]) -> str:
    counts = []
    for engine in ENGINES:
        verdicts = [of[engine]["verdict"] for of in said.values() if engine in of]
        asked = [verdict for verdict in verdicts if verdict != "n/a"]
        counts.append(f"{engine} {asked.count(HOLDS)} of {len(asked)}")
    return f"Cases that hold, of those that the interface allows: {', '.join(counts)}."


def _table(said: dict[str, Any]) -> list[str]:
    tests = _tests()
    lines = [
        "| case | what happens | test | " + " | ".join(ENGINES) + " |",
        "| --- | --- | --- |" + " --- |" * len(ENGINES),
    ]
    for number, of in said.items():
        scenario = catalogue.SCENARIOS[number]
        cells = [_cell(of.get(engine)) for engine in ENGINES]
        mark = "°" if scenario.replaces else ""
        links = tests.get(number, ["none"])
        more = f"<br>and {len(links) - 2} more" if len(links) > 2 else ""
        named = "<br>".join(links[:2]) + more
        lines.append(f"| {number}{mark} | {scenario.title} | {named} | {' | '.join(cells)} |")
    return lines


def _of_the_ladder() -> list[str]:
    tests = _tests()
    lines = ["Cases of the ladder, which the peers have no counterpart of:", ""]
    lines += ["| case | what happens | test |", "| --- | --- | --- |"]
    for number, title in OF_THE_LADDER.items():
        lines.append(f"| {number} | {title} | {'<br>'.join(tests[number][:2])} |")
    return lines


def _cell(said: dict[str, Any] | None) -> str:
    if said is None:
        return "not run"
    verdict = str(said["verdict"])
    return f"**{verdict}**" if verdict == HOLDS else verdict.replace("|", "\\|")


def _notes(said: dict[str, Any]) -> list[str]:
    """Why something is not applicable, and what stood behind an exception."""
    lines = ["What the verdicts above leave out:", ""]
    for number, of in said.items():
        whys: dict[str, list[str]] = {}
        for engine in ENGINES:
            if why := of.get(engine, {}).get("why"):
                whys.setdefault(why.replace("|", "\\|").rstrip("."), []).append(engine)
        if whys:
            words = "; ".join(f"{', '.join(engines)}: {why}" for why, engines in whys.items())
            lines.append(f"* {number}: {words}.")
    return lines


def _tests() -> dict[str, list[str]]:
    """Links to the tests of each case, by the names of their functions."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, number in TEST.findall(path.read_text(encoding="utf-8")):
            where = Path("..") / path.relative_to(ROOT)
            found.setdefault(f"C{number}", []).append(f"[`{name}`]({where.as_posix()})")
    return found
