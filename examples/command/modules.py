"""Which modules of Python's library are the hardest to read?

Counts, for each source file of the standard library, its functions and how deeply their statements
are nested.

    cd examples/command
    python modules.py | allcores run modules.py:measure -o modules.csv
"""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path
from typing import Any


def measure(path: str) -> dict[str, Any]:
    """What one file holds. Raises `SyntaxError` for those that are meant to be wrong."""
    tree = ast.parse(Path(path).read_bytes())
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    depths = [depth(function) for function in functions]
    return {
        "module": Path(path).stem,
        "functions": len(functions),
        "deepest": max(depths, default=0),
        "mean": round(sum(depths) / len(depths), 2) if depths else 0.0,
    }


def depth(node: ast.AST) -> int:
    """How many statements lie within each other."""
    below = max((depth(child) for child in ast.iter_child_nodes(node)), default=0)
    return below + isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try)


if __name__ == "__main__":
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        print(path)
