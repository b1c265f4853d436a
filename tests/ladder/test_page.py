"""The page of a comparison, as a reader's browser shows it.

Each case is opened in a headless Chromium, light and dark: it logs nothing, asks for nothing from
elsewhere, all its text is there and whole, and it is not blank.
"""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import find, installed
from support.devtools import Page, pixels

from allcores.ladder.compare import compare
from allcores.ladder.comparison import Comparison, Row

CPU = platform.machine()
OURS = "linuxx86_64"
NONE = "no Chromium is installed, and there is none to fetch for this platform"
pytestmark = pytest.mark.skipif(sys.platform + CPU != OURS and not installed(), reason=NONE)

LONG = "a_function_whose_name_was_chosen_with_care_and_without_any_regard_for_those_who_print_it"
WHY = (
    "NotImplementedError: backend `interpreters`: this is Python 3.11, and interpreters that run "
    "side by side came with Python 3.14\nhint: use threads"
)
REASON = (
    "processes: predicted 0.72 s against 1.41 s in the caller; the first item took 131 ms, each "
    "one moves 212 bytes"
)
TERMS = [("start", 0.011), ("move in", 1e-4), ("compute", 0.7), ("tail", 0.03), ("total", 0.741)]


def _lanes(workers: int, items: int, end: float) -> list[list[tuple[float, float]]]:
    step = end / items
    return [[(step * at, step * (at + 0.9)) for at in range(items)] for _ in range(workers)]


def _comparison(rows: list[Row], function: str = "gcd", items: int = 10) -> Comparison:
    return Comparison(
        function=function,
        items=items,
        cores=2,
        rows=rows,
        leverage=(41_231.2, 30_211.1, 60_200.0),
        terms={"serial": [TERMS[2], TERMS[-1]], "processes": [*TERMS]},
        advice="processes: 0.74 s predicted against 1.41 s in the caller",
        notes=["the longest item takes a fifth of the whole"],
    )


def _one_row() -> Comparison:
    return _comparison([Row("serial", seconds=[1e-6], lanes=_lanes(1, 1, 1e-6))])


def _eight_rows() -> Comparison:
    return _comparison(
        [
            Row("serial", seconds=[1.41, 1.39, 1.45], lanes=_lanes(1, 10, 1.4)),
            Row("threads", seconds=[1.43, 1.44, 1.4], lanes=_lanes(6, 2, 1.4)),
            Row("interpreters", why_not=WHY),
            Row("processes", seconds=[0.74, 0.73, 0.78], lanes=_lanes(2, 5, 0.74)),
            Row("native", why_not="NotNative: `gcd` can't be compiled: line 12 calls `foo`"),
            Row("dask", seconds=[0.9], equal=False, why_not="item 3 gave 12.0, not 13.0"),
            Row("a-backend-of-somebody-else", seconds=[0.8], lanes=_lanes(64, 40, 0.8)),
            Row("auto", seconds=[0.75], chosen=REASON, lanes=_lanes(2, 5, 0.75)),
        ]
    )


def _long_words() -> Comparison:
    rows = [Row("serial", seconds=[12_345.678]), Row("threads", why_not=f"ValueError: {LONG * 4}")]
    return _comparison(rows, function=f"<script>{LONG}</script>", items=123_456_789)


def _nothing_ran() -> Comparison:
    found = _comparison([Row("serial", why_not="ValueError: no"), Row("threads", why_not="no")])
    found.leverage, found.terms = None, {}
    return found


CASES = {
    "one row": _one_row,
    "eight rows": _eight_rows,
    "long words": _long_words,
    "nothing ran": _nothing_ran,
}

BADLY_LAID = """
(() => {
  const words = [...document.querySelectorAll(".allcores *")].filter((each) =>
    each.children.length == 0 && each.textContent.trim() && !each.closest("svg, .scroll, style"));
  const box = (each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return range.getBoundingClientRect();
  };
  const wide = document.documentElement.clientWidth;
  const cut = words.filter((each) => box(each).right > wide || box(each).left < 0);
  const marks = [...words, ...document.querySelectorAll(".track, svg")];
  const over = words.filter((each) => marks.some((other) => {
    const a = box(each), b = words.includes(other) ? box(other) : other.getBoundingClientRect();
    return each != other && a.left < b.right - 1 && b.left < a.right - 1
      && a.top < b.bottom - 4 && b.top < a.bottom - 4;
  }));
  const sideways = document.documentElement.scrollWidth > wide ? ["page"] : [];
  return [...sideways, ...cut.map((e) => e.textContent), ...over.map((e) => e.textContent)];
})()
"""
"""What can't be read: words outside of the page, or over others or a picture."""


@pytest.fixture(params=[900, 380], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    with Page(find(), tmp_path / "home", width=request.param, height=900) as page:
        yield page


@pytest.mark.parametrize("case", CASES)
def test_page_shows_all_there_is_to_say(case: str, page: Page, tmp_path: Path) -> None:
    found = CASES[case]()
    found.to_html(tmp_path / "page.html")

    page.open(tmp_path / "page.html")
    text = page.evaluate("document.body.innerText")

    assert found.function in text
    assert found.verdict.replace("`", "").lower() in text.lower()
    assert found.advice in text
    assert all(row.backend in text for row in found.rows)
    assert all(row.why_not.splitlines()[0] in text for row in found.rows if row.why_not)
    assert page.evaluate(BADLY_LAID) == []
    assert page.complaints == []
    own = (tmp_path / "page.html").as_uri()
    assert [each for each in page.requests if each != own and not each.startswith("data:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_not_blank_and_follows_the_readers_scheme(
    scheme: str, page: Page, tmp_path: Path
) -> None:
    _eight_rows().to_html(tmp_path / "page.html")
    page.prefer(scheme)
    page.open(tmp_path / "page.html")

    colours = Counter(pixels(page.screenshot()))

    (ground, pixels_of_it), *others = colours.most_common()
    assert (sum(ground[:3]) > 600) == (scheme == "light")
    assert 0.4 < pixels_of_it / colours.total() < 0.98
    assert len(others) > 50  # bars, and text with smooth edges
    assert page.complaints == []


def test_page_of_a_real_comparison_has_a_lane_for_each_worker(page: Page, tmp_path: Path) -> None:
    found = compare(abs, range(20), ["serial", "threads"], repeats=1, max_workers=2)
    found.to_html(tmp_path / "page.html")

    page.open(tmp_path / "page.html")

    pictures = page.evaluate("[...document.querySelectorAll('[aria-label]')].map(e => e.ariaLabel)")
    assert any(each.startswith("Medians: serial") for each in pictures)
    assert any(each.startswith("serial: 1 worker") for each in pictures)
    assert any(each.startswith("threads: ") for each in pictures)
    assert page.complaints == []


def test_browser_tells_of_what_a_page_complains(page: Page, tmp_path: Path) -> None:
    """Otherwise the other tests would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text("<script>console.error('boom'); missing()</script><img src='gone.png'>")

    page.open(bad)

    assert any("boom" in each for each in page.complaints)
    assert any("missing" in each for each in page.complaints)
    assert any("ERR_FILE_NOT_FOUND" in each for each in page.complaints)
