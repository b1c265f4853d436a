"""The examples of docs/ladder.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from support import scripts

PAGE = Path(__file__).parent.parent.parent / "docs" / "ladder.md"


def test_examples_of_the_page_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    result = scripts.run_file("\n".join(blocks))
    assert result.code == 0, result.words
    assert result.words.endswith("100 of 100\n")
