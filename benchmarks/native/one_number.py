"""The kernels beside gilmap, which takes functions of one number only, and needs Python 3.12.

    python3.12 -m venv out/gilmap
    out/gilmap/bin/python -m pip install gilmap==0.1.0 numpy out/wheels/*.whl
    python -m benchmarks.native --gilmap out/gilmap/bin/python

A kernel of several arguments of which the items change one becomes a function of that one: the
others are assigned in its first lines. Each kernel has an interpreter of its own, in which this
module is run, so that a peer that crashes or hangs takes nobody with it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.native import kernels

THREADS = 2
LIMIT_S = 60
PLACE = Path(__file__).parent.parent.parent / "out" / "one_number"
"""Where the functions of one number are written: gilmap's interpreters import them."""


def changing(items: list[tuple[Any, ...]]) -> int | None:
    """Which argument the items change; None if it isn't one alone, or no number."""
    columns = list(zip(*items, strict=True))
    several = [at for at, column in enumerate(columns) if len(set(map(repr, column))) > 1]
    if not several:
        several = [0]
    is_number = all(isinstance(value, int | float) for column in columns for value in column)
    return several[0] if is_number and len(several) == 1 else None


def written(fn: Callable[..., Any], items: list[tuple[Any, ...]], at: int) -> str:
    """The module with the function of one number."""
    source = textwrap.dedent(inspect.getsource(fn))
    tree = ast.parse(source)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    names = [each.arg for each in definition.args.args]
    definition.args.args = [definition.args.args[at]]
    for place in reversed([each for each in range(len(names)) if each != at]):
        first = ast.parse(f"{names[place]} = {items[0][place]!r}").body[0]
        definition.body.insert(0, first)
    others = [
        textwrap.dedent(inspect.getsource(getattr(kernels, name)))
        for name in fn.__code__.co_names
        if name != fn.__name__ and inspect.isfunction(getattr(kernels, name, None))
    ]
    return "\n\n".join(["import math", *others, ast.unparse(ast.fix_missing_locations(tree))])


def measured(name: str, rounds: int) -> dict[str, Any]:
    """One kernel on both, in this interpreter."""
    import gilmap

    import allcores

    fn, items = kernels.KERNELS[name]
    at = changing(items)
    assert at is not None
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / f"one_{name}.py").write_text(written(fn, items, at) + "\n")
    sys.path.insert(0, str(PLACE))
    function = getattr(importlib.import_module(f"one_{name}"), name)
    numbers = [item[at] for item in items]
    expected = [function(number) for number in numbers]
    compiled = allcores.native(function)
    ways: dict[str, Callable[[], list[Any]]] = {
        "native": lambda: compiled.map(numbers, THREADS),
        "gilmap": lambda: list(gilmap.map(function, numbers)),
    }
    row: dict[str, Any] = {"kernel": name, "by": gilmap.explain(function)["backend"]}
    for way, call in list(ways.items()):
        try:
            results = call()
        except Exception as error:
            row[way] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"}
            del ways[way]
            continue
        if [*map(repr, results)] != [*map(repr, expected)]:
            is_type = results == expected
            row[way] = {"failed": "results of another type" if is_type else "wrong results"}
            if not is_type:
                row[way]["first"] = [repr(results[0]), repr(expected[0])]
        row.setdefault(way, {})["threads_s"] = []
    # Rounds of machine code are short, and their figures are closer to each other.
    for _ in range(rounds if row["by"] == "subinterp" else 5 * rounds):
        for way, call in ways.items():
            begun = time.perf_counter()
            call()
            row[way]["threads_s"].append(time.perf_counter() - begun)
    return row


def beside(interpreter: str, rounds: int) -> list[dict[str, Any]]:
    """All kernels of scalars, each in an interpreter of its own that has gilmap."""
    rows: list[dict[str, Any]] = []
    for name, (fn, items) in kernels.KERNELS.items():
        calls_itself = fn.__name__ in fn.__code__.co_names
        if changing(items) is None or (calls_itself and len(items[0]) > 1):
            rows.append({"kernel": name, "gilmap": {"failed": "takes one number only"}})
            continue
        command = [interpreter, "-m", "benchmarks.native.one_number", name, str(rounds)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            rows.append({"kernel": name, "gilmap": {"failed": f"no end within {LIMIT_S} s"}})
            continue
        lines = done.stdout.splitlines()
        if done.returncode or not lines:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            rows.append({"kernel": name, "gilmap": {"failed": words[0][:100]}})
            continue
        rows.append(json.loads(lines[-1]))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """What gilmap runs, the best ratio first, then what it doesn't."""
    lines = [
        "| kernel, of one number | native, ms | gilmap, ms | native / gilmap | gilmap's results |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    both = [row for row in rows if row["gilmap"].get("threads_s")]
    for row in sorted(both, key=ratio, reverse=True):
        mine, theirs = min(row["native"]["threads_s"]), min(row["gilmap"]["threads_s"])
        words = row["gilmap"].get("failed", "right")
        lines.append(
            f"| {row['kernel']} | {mine * 1e3:.3g} | {theirs * 1e3:.3g} | {ratio(row):.2f} | "
            f"{words} ({row['by']}) |"
        )
    lines += [
        f"| {row['kernel']} | | | | {row['gilmap']['failed']} |" for row in rows if row not in both
    ]
    return "\n".join(lines)


def ratio(row: dict[str, Any]) -> float:
    """How many times as fast as gilmap."""
    return float(min(row["gilmap"]["threads_s"]) / min(row["native"]["threads_s"]))


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
