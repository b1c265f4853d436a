"""One scenario with one engine, in an interpreter of its own: `python -m benchmarks.cases.child`.

The verdict goes into a file as soon as it is there; how this process ends is of no interest.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.child import without_paths


def main(number: str, engine: str, scratch: str) -> None:
    from benchmarks.cases import catalogue
    from benchmarks.cases.engines import MODULES, NotOffered
    from benchmarks.cases.scenario import Bench

    scenario = catalogue.SCENARIOS[number]
    if engine in MODULES:
        import_module(MODULES[engine])  # what is missing must not look like a verdict
    bench = Bench(engine, Path(scratch), replaces=scenario.replaces)
    try:
        said: dict[str, Any] = {"verdict": scenario.run(bench)}
    except NotOffered as missing:
        said = {"verdict": "n/a", "why": str(missing)}
    except BaseException as error:
        text = (str(error).splitlines() or [""])[0]
        said = {"verdict": f"raises {type(error).__name__}", "why": without_paths(text)}
    if bench.counts:
        said["counts"] = bench.counts
    path = Path(scratch, "verdict")
    path.with_suffix(".new").write_text(json.dumps(said), encoding="utf-8")
    path.with_suffix(".new").rename(path)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
