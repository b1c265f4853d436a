"""What a notebook's kernel does with its cells: one shell in `__main__`, one cell after the other.

IPython's shell, which Jupyter's kernel is made of, where it is installed; else the standard
library's console, which differs in nothing that matters here: the functions' module is `__main__`,
and there is no file to import them from.
"""

from __future__ import annotations

import code
import sys
import types
from pathlib import Path


def main() -> None:
    cells = Path(sys.argv[1]).read_text().split("\n\n")
    user_module = types.ModuleType("__main__")
    sys.modules["__main__"] = user_module
    try:
        from IPython.core.interactiveshell import InteractiveShell
    except ImportError:
        console = code.InteractiveConsole(vars(user_module))
        for number, cell in enumerate(cells):
            console.runcode(compile(cell, f"<cell {number}>", "exec"))
    else:
        shell = InteractiveShell.instance(user_module=user_module)
        for cell in cells:
            shell.run_cell(cell, store_history=True)
        shell.atexit_operations()


main()
