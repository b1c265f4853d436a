"""Where the command begins: console script and `python -m allcores` alike."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Does what the command line says; the exit code."""
    from .._core import command
    from .host import Host

    # A console script has its own folder in front of the path, not the one the user is in.
    here = os.getcwd()
    if not {"", here} & set(sys.path[:1]):
        sys.path.insert(0, here)
    try:
        return command(sys.argv[1:], Host())
    except KeyboardInterrupt:
        return 130
