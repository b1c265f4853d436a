"""What the documents show runs as it stands, and the translation says the same.

All blocks of Python of a document are one program, after a prelude with the names that readers are
meant to bring along: their function, their inputs, a pool.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import scripts

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PRELUDE = """
import math, os, time
os.chdir(os.path.dirname(os.path.abspath(__file__)))
import allcores
from allcores import ProcessPoolExecutor
cases = list(range(8))
parts = [cases[:4], cases[4:]]
case = 3
lookup_table = {number: number * number for number in range(1000)}
executor = pool = ProcessPoolExecutor(2)
def simulate(case): return case * case
def score(table, case): return table[case]
"""
FAREWELL = """
executor.shutdown()
"""


DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    if "```python" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_example_of_a_document_runs(document: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = [body for tongue, body in BLOCK.findall(text) if tongue == "python"]
    lines = "\n".join([PRELUDE, *blocks, FAREWELL])
    program = tmp_path / f"examples_of_{Path(document).stem}.py"
    program.write_text(lines, encoding="utf-8")
    result = scripts.run([str(program)])
    assert result.code == 0, result.words


def _shape(document: str) -> dict[str, list[str]]:
    """What a translation must leave as it is."""
    text = (ROOT / document).read_text(encoding="utf-8")
    prose = BLOCK.sub("", text)
    return {
        "code": [body for _, body in BLOCK.findall(text)],
        "levels of headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "links": sorted(set(re.findall(r"\]\(([^)]+)\)", prose)) - {"README.md", "README.ko.md"}),
        "figures of tables": re.findall(
            r"\d[\d,.]*", "\n".join(re.findall(r"^\|.*\|$", prose, re.MULTILINE))
        ),
    }


def test_korean_readme_has_the_code_links_and_figures_of_the_english_one() -> None:
    assert _shape("README.ko.md") == _shape("README.md")
