"""Runs questions, keeps their raw rounds in `results/`, and brings the tables of `README.md` up
to date.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from benchmarks import report
from benchmarks.harness import ask
from benchmarks.peers import ENGINES


def main(names: Sequence[str] = ()) -> None:
    """All questions, unless some are named here or on the command line."""
    options = _options(names)
    started = time.monotonic()
    for name in options.questions or report.QUESTIONS:
        question = report.question(name)
        peers = tuple(peer for peer in question.peers if not options.peers or peer in options.peers)
        rounds = options.rounds or (1 if options.trial else question.rounds)
        record = ask(question, rounds, peers, trial=options.trial)
        if not options.trial:
            report.RESULTS.mkdir(exist_ok=True)
            path = report.RESULTS / f"{name}.json"
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if question.draw is not None:
                question.draw(report.Answer(record), path.with_suffix(".svg"))
        print(f"\n{question.title}\n\n{report.table(report.Answer(record))}", flush=True)
    if not options.trial:
        report.write_readme()
    print(f"all questions: {time.monotonic() - started:.0f} s", file=sys.stderr)


def _options(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    if names:
        parser.set_defaults(questions=list(names))
    else:
        parser.add_argument(
            "questions", nargs="*", metavar="question", help=f"of {', '.join(report.QUESTIONS)}"
        )
    parser.add_argument(
        "--rounds", type=int, default=0, help="instead of the question's own number"
    )
    parser.add_argument(
        "--peers", nargs="+", default=[], help=f"only these, of {', '.join(ENGINES)}, zooparallel"
    )
    parser.add_argument(
        "--trial", action="store_true", help="small sizes, one round, nothing is written"
    )
    options = parser.parse_args()
    if unknown := set(options.questions) - set(report.QUESTIONS):
        parser.error(f"unknown question: {', '.join(sorted(unknown))}")
    if options.peers and not options.trial:
        print("only some peers: the others drop out of the results", file=sys.stderr)
    return options
