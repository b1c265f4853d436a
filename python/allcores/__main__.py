"""`python -m allcores` is the command `allcores`."""

from __future__ import annotations

import sys

from allcores.command.entry import main

if __name__ == "__main__":
    sys.exit(main())
