"""What a comparison says of itself, in words, as JSON and as a page; nothing is measured here."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from allcores.ladder.comparison import SCHEMA, Comparison, Row
from allcores.ladder.leverage import leverage_words
from allcores.ladder.page import merged


def comparison(*rows: Row, function: str = "gcd") -> Comparison:
    return Comparison(
        function=function,
        items=1_000,
        cores=2,
        rows=rows,
        leverage=(41_231.2, 0.5, 60_200.0),
        terms={"serial": [("compute", 1.4), ("total", 1.4)]},
        advice="processes: 0.74 s predicted",
        notes=["a note"],
    )


SERIAL = Row("serial", seconds=[2.0, 1.0, 3.0], lanes=[[(0.0, 0.5), (0.5, 2.0)]])
PROCESSES = Row("processes", seconds=[1.0])
WRONG = Row("threads", seconds=[0.1], equal=False, why_not="item 0 gave 1, not 2")
UNABLE = Row("native", why_not="NotNative: no\nhint: none")
AUTO = Row("auto", seconds=[0.5], chosen="processes: it pays")


def test_row_of_repeats_has_their_median() -> None:
    assert SERIAL.median == 2.0
    assert UNABLE.median is None
    assert not UNABLE.is_right
    assert not WRONG.is_right


def test_best_is_a_rung_whose_results_are_right_and_never_auto() -> None:
    assert comparison(SERIAL, PROCESSES, WRONG, UNABLE, AUTO).best is PROCESSES
    assert comparison(UNABLE).best is None


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([SERIAL, PROCESSES], "`processes` is the fastest: 2.00 times as fast as a plain loop"),
        ([SERIAL, UNABLE], "`serial` is the fastest: nothing is gained by more workers"),
        ([UNABLE], "no rung could run this"),
        (
            [SERIAL, WRONG],
            "the results of `threads` differ from those of the plain loop: don't use it here",
        ),
    ],
    ids=["processes", "serial", "none", "wrong"],
)
def test_verdict_is_one_sentence(rows: list[Row], verdict: str) -> None:
    assert comparison(*rows).verdict == verdict


def test_table_has_a_line_for_each_rung_and_says_what_was_wrong() -> None:
    text = str(comparison(SERIAL, PROCESSES, WRONG, UNABLE, AUTO))

    lines = text.splitlines()
    assert lines[0] == "gcd, 1,000 items, 2 cores"
    assert "2.00x" in next(line for line in lines if line.startswith("processes"))
    assert "item 0 gave 1, not 2" in next(line for line in lines if line.startswith("threads"))
    assert "NotNative: no" in next(line for line in lines if line.startswith("native"))
    assert "it pays" in next(line for line in lines if line.startswith("auto"))
    assert lines[-1].startswith("verdict:")
    assert "\x1b" not in text


def test_json_there_and_back_is_the_same_comparison(tmp_path: Path) -> None:
    found = comparison(SERIAL, PROCESSES, WRONG, UNABLE, AUTO)

    text = found.to_json(tmp_path / "found.json")

    again = Comparison.from_json((tmp_path / "found.json").read_text())
    assert again.to_dict() == found.to_dict()
    assert json.loads(text)["schema"] == SCHEMA


@pytest.mark.parametrize("text", ["[]", "{}", f'{{"schema": {SCHEMA + 1}}}'])
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hint: give what `Comparison\.to_json` has written"):
        Comparison.from_json(text)


class Tags(HTMLParser):
    """Every tag with its attributes; that each is closed."""

    VOID = ("meta", "link", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_well_formed_without_scripts_or_anything_from_elsewhere(tmp_path: Path) -> None:
    found = comparison(SERIAL, PROCESSES, WRONG, UNABLE, AUTO)

    text = found.to_html(tmp_path / "page.html")

    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    page = Tags(text)
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"script", "iframe", "img", "object", "embed"})
    linked = [attributes[each] for _, attributes in page.tags for each in ("src", "href")
              if each in attributes]  # fmt: skip
    assert linked == ["data:,"]
    assert "url(" not in text
    assert "@import" not in text


def test_page_shows_hostile_names_as_text() -> None:
    hostile = '<script>alert("x")</script>&'
    row = Row(hostile, seconds=[1.0], chosen=hostile, lanes=[[(0, 1)]])
    rows = [row, Row(hostile, why_not=hostile)]

    page = Tags(comparison(*rows, function=hostile).to_html())

    assert "script" not in {tag for tag, _ in page.tags}
    assert page.open == []


def test_notebook_shows_the_page_without_its_frame() -> None:
    found = comparison(SERIAL)._repr_html_()

    assert found.startswith("<main")
    assert "<html" not in found


def test_plot_without_matplotlib_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(ImportError, match="hint: pip install matplotlib, or `to_html`"):
        comparison(SERIAL).plot()


def test_plot_draws_a_bar_for_each_rung_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    class Axes:
        bars: tuple[list[str], list[float]]

        def barh(self, names: list[str], seconds: list[float]) -> None:
            self.bars = names, seconds

        def invert_yaxis(self) -> None: ...

        def set(self, **words: str) -> None:
            self.words = words

    class Module:
        pyplot = None

    monkeypatch.setitem(sys.modules, "matplotlib", Module)

    axes = comparison(SERIAL, UNABLE, AUTO).plot(Axes())

    assert axes.bars == (["serial", "auto"], [2.0, 0.5])
    assert axes.words["title"] == "gcd, 1,000 items"


def test_leverage_is_said_without_exponents() -> None:
    words = leverage_words((41_231.2, 0.5, 60_249.0))

    assert words.startswith("41,200 seconds of computing per second of moving data (0.5 to 60,200")
    assert "below 1" not in words
    assert "processes can't pay" in leverage_words((0.2, 0.1, 2.0))


def test_neighbours_in_a_timeline_are_merged_in_order() -> None:
    assert merged([(3, 4), (0, 1), (1.05, 2)], 0.1) == [(0, 2), (3, 4)]
    assert merged([], 0.1) == []


def test_each_item_of_a_timeline_is_seen_unless_there_are_too_many() -> None:
    few = [(each / 1e3, (each + 1) / 1e3) for each in range(50)]
    many = [(each / 1e6, (each + 1) / 1e6) for each in range(20_000)]

    assert comparison(Row("serial", seconds=[1.0], lanes=[few])).to_html().count("<rect") == 50
    assert comparison(Row("serial", seconds=[1.0], lanes=[many])).to_html().count("<rect") < 4_001
