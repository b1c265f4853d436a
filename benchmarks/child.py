"""One round of one question with one peer, in an interpreter of its own: `python -m
benchmarks.child`.

The report goes into a file, line by line: what must be cleaned if this process is killed, then the
measured values. Only after that the pool is closed, under a watchdog, so that a peer that hangs on
shutdown still counts.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from importlib import import_module
from typing import Any

from benchmarks.peers import open_pool
from benchmarks.question import Question
from benchmarks.tasks import nap

CLOSE_LIMIT_S = 5.0
CLOSE_HUNG = 70  # exit code
PATH = re.compile(r"(/[\w.+-]+){2,}")


def without_paths(line: str) -> str:
    """What may stand in a result file."""
    return PATH.sub("…", line)[:200]


def main(name: str, peer: str, sizes: dict[str, Any], report_path: str) -> None:
    """Opens the pool, warms it, measures, reports, closes."""
    question: Question = import_module(f"benchmarks.{name}").QUESTION
    with open(report_path, "w", encoding="utf-8") as report:

        def write(line: dict[str, Any]) -> None:
            report.write(json.dumps(line) + "\n")
            report.flush()

        pool = None
        try:
            pool = open_pool(peer, question.queue_mb)
            write({"shared_memory": [*pool.shared_memory, f"sem.loky-{os.getpid()}-*"]})
            list(pool.map(nap, [0.02] * 8))
            assert question.measure is not None
            write({"values": question.measure(pool, sizes)})
        except BaseException as error:
            first_line = (str(error).splitlines() or [""])[0]
            write({"failed": f"{type(error).__name__}: {first_line}"})

    if question.leaves_at_once:
        os._exit(0)
    watchdog = threading.Timer(CLOSE_LIMIT_S, os._exit, [CLOSE_HUNG])
    watchdog.daemon = True
    watchdog.start()
    if pool is not None:
        pool.close()
    watchdog.cancel()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
