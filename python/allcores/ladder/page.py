"""A comparison as HTML: bars for each rung, who worked when, the leverage and the terms behind it.

One page without scripts or anything from elsewhere. Bars and words are boxes that fit the reader's
width, from a phone's on; the timelines are SVG, and each says in words what it shows. Colours
follow the reader's light or dark setting.
"""

from __future__ import annotations

from html import escape

from .leverage import leverage_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    class Row(Protocol):
        """A rung, as far as it is drawn (`comparison.Row`)."""

        backend: str
        chosen: str
        equal: bool
        lanes: list[list[tuple[float, float]]]
        seconds: list[float]
        why_not: str

        @property
        def median(self) -> float | None: ...

    class Comparison(Protocol):
        """What is drawn (`comparison.Comparison`)."""

        advice: str
        cores: int
        function: str
        items: int
        leverage: tuple[float, float, float] | None
        notes: list[str]
        terms: dict[str, list[tuple[str, float]]]

        @property
        def agree(self) -> bool: ...

        @property
        def best(self) -> Row | None: ...

        @property
        def rows(self) -> Sequence[Row]: ...

        @property
        def verdict(self) -> str: ...

        def times_serial(self, row: Any) -> float | None: ...


MOST_SPANS = 4_000
"""Marks in one timeline; of more items neighbours are drawn as one."""

MOST_TITLES = 200
"""So many marks say when they were, if they are pointed at."""

STYLE = """
.allcores { --ink: #1c2430; --soft: #5b6675; --rule: #d8dde4; --ground: #ffffff; --track: #f1f4f8;
  --bar: #3d6fb4; --best: #1f8a5b; --wrong: #b3402e;
  color: var(--ink); background: var(--ground); font: 15px/1.5 system-ui, sans-serif;
  max-width: 760px; margin: 0 auto; padding: 1.5rem 1rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { .allcores { --ink: #e6eaf0; --soft: #9aa6b5;
  --rule: #3a4452; --ground: #161b22; --track: #202833; --bar: #6fa0e6; --best: #4cc38a;
  --wrong: #f0806c; } }
.allcores h1 { font: 600 1.5rem/1.3 ui-monospace, monospace; margin: 0 0 .25rem; }
.allcores h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.allcores p { margin: .25rem 0; } .allcores .soft { color: var(--soft); }
.allcores .verdict { border-left: 4px solid var(--best); background: var(--track);
  border-radius: 0 6px 6px 0; padding: .6rem .9rem; margin: 1rem 0; font-size: 1.1rem; }
.allcores .verdict.wrong { border-color: var(--wrong); }
.allcores .bars, .allcores .lanes { display: grid; align-items: center; gap: .35rem .75rem;
  grid-template-columns: minmax(4.5rem, max-content) 1fr max-content; }
.allcores .bars .name, .allcores .lanes .name { max-width: 9.5rem; }
.allcores .bars .value { font-variant-numeric: tabular-nums; text-align: right; }
.allcores .bars .why { grid-column: 2 / 4; color: var(--soft); }
.allcores .track { position: relative; height: 18px; background: var(--track);
  border-radius: 3px; }
.allcores .track i { position: absolute; top: 0; bottom: 0; left: 0; min-width: 2px;
  border-radius: 3px; background: var(--bar); }
.allcores .track .best { background: var(--best); } .allcores .track .wrong {
  background: var(--wrong); }
.allcores .track .spread { top: 8px; bottom: 8px; min-width: 0; border-radius: 0;
  background: var(--ink); opacity: .55; }
.allcores td { white-space: pre-line; }
.allcores .lanes { align-items: start; grid-template-columns: minmax(4.5rem, max-content) 1fr; }
.allcores svg { display: block; width: 100%; background: var(--track); border-radius: 3px; }
.allcores svg rect { fill: var(--bar); } .allcores svg .best { fill: var(--best); }
.allcores .axis { grid-column: 2; display: flex; justify-content: space-between; }
.allcores .scroll { overflow-x: auto; margin-top: .75rem; }
.allcores table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
.allcores th, .allcores td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid
  var(--rule); } .allcores th:first-child, .allcores td:first-child, .allcores td[colspan] {
  text-align: left; } .allcores td[colspan] { overflow-wrap: anywhere; }
.allcores th { font-weight: 600; color: var(--soft); }
"""


def whole(found: Comparison) -> str:
    """A page of its own."""
    title = escape(f"{found.function}: the ladder")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
        "<style>body { margin: 0; background: light-dark(#ffffff, #161b22); }</style>\n</head>\n"
        f"<body>\n{fragment(found)}\n</body>\n</html>\n"
    )


def fragment(found: Comparison) -> str:
    """What a notebook shows."""
    kind = "verdict" if found.agree else "verdict wrong"
    parts = [
        f'<main class="allcores">\n<style>{STYLE}</style>',
        f"<h1>{escape(found.function)}</h1>",
        f'<p class="soft">{_counted(found.items, "item")}, {_counted(found.cores, "core")}</p>',
        f'<p class="{kind}"><strong>{_sentence(found.verdict)}</strong></p>',
        "<h2>Seconds from the start to the last result</h2>",
        _bars(found),
        _table(found),
        "<h2>Leverage</h2>",
    ]
    if found.leverage is not None:
        parts.append(f"<p>{_sentence(leverage_words(found.leverage))}</p>")
    parts.append(f"<p>The adviser: {escape(found.advice)}.</p>")
    parts += [f'<p class="soft">{_sentence(note)}</p>' for note in found.notes]
    if found.terms:
        parts += ["<h2>What the adviser predicts</h2>", _terms(found)]
    drawn = [row for row in found.rows if row.lanes]
    if drawn:
        parts += ["<h2>Who worked when</h2>", _timelines(drawn, found.best)]
    return "\n".join([*parts, "</main>"])


def _sentence(words: str) -> str:
    """With a capital letter and a full stop; names in backticks are set as code."""
    first = words[:1].upper() + words[1:]
    pieces = escape(first if words.endswith(".") else f"{first}.").split("`")
    if len(pieces) % 2 == 0:
        return "`".join(pieces)
    return "".join(f"<code>{each}</code>" if at % 2 else each for at, each in enumerate(pieces))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:,.0f} s" if value >= 1000 else f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _bars(found: Comparison) -> str:
    longest = max((max(row.seconds) for row in found.rows if row.seconds), default=1.0) or 1.0
    best, body, words = found.best, [], []
    for row in found.rows:
        body.append(f'<span class="name">{escape(row.backend)}</span>')
        if row.median is None:
            why = row.why_not.splitlines()[0] if row.why_not else "did not run"
            body.append(f'<span class="why">{escape(why)}</span>')
            continue
        kind = "wrong" if not row.equal else "best" if row is best else "bar"
        least, greatest = min(row.seconds), max(row.seconds)
        body.append(
            f'<span class="track"><i class="{kind}" style="width:{row.median / longest:.2%}"></i>'
            f'<i class="spread" style="left:{least / longest:.2%};'
            f'width:{(greatest - least) / longest:.2%}"></i></span>'
            f'<span class="value">{_seconds(row.median)}</span>'
        )
        words.append(f"{row.backend} {_seconds(row.median)}")
    title = escape("Medians: " + (", ".join(words) or "nothing ran"))
    return f'<div class="bars" role="group" aria-label="{title}">{"".join(body)}</div>'


def _table(found: Comparison) -> str:
    lines = [
        "<table><thead><tr><th>backend</th><th>median</th><th>least to greatest</th>"
        "<th>speed-up</th><th>results</th></tr></thead><tbody>"
    ]
    for row in found.rows:
        name = f"<td>{escape(row.backend)}</td>"
        if row.median is None:
            lines.append(f'<tr>{name}<td colspan="4">{escape(row.why_not)}</td></tr>')
            continue
        times = found.times_serial(row)
        spread = f"{_seconds(min(row.seconds))} to {_seconds(max(row.seconds))}"
        lines.append(
            f"<tr>{name}<td>{_seconds(row.median)}</td><td>{spread}</td>"
            f"<td>{'' if times is None else f'{times:.2f}'}</td>"
            f"<td>{'equal' if row.equal else 'different'}</td></tr>"
        )
        for more in (row.why_not, row.chosen and f"chose {row.chosen}"):
            if more:
                lines.append(f'<tr><td></td><td colspan="4" class="soft">{escape(more)}</td></tr>')
    return "".join(['<div class="scroll">', *lines, "</tbody></table></div>"])


def _terms(found: Comparison) -> str:
    named = dict.fromkeys(name for terms in found.terms.values() for name, _ in terms)
    named.pop("total", None)
    names = [*named, "total"]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = [f"<table><thead><tr><th>backend</th>{head}</tr></thead><tbody>"]
    for rung, terms in found.terms.items():
        given = dict(terms)
        cells = "".join(f"<td>{_seconds(given[n]) if given.get(n) else ''}</td>" for n in names)
        lines.append(f"<tr><td>{escape(rung)}</td>{cells}</tr>")
    return "".join(['<div class="scroll">', *lines, "</tbody></table></div>"])


def _timelines(rows: list[Row], best: Row | None) -> str:
    """All of one scale, so that a look shows which ended first."""
    end = max((ended for row in rows for lane in row.lanes for _, ended in lane), default=0) or 1.0
    body = []
    for row in rows:
        body.append(f'<span class="name">{escape(row.backend)}</span>')
        body.append(_timeline(row, end, "best" if row is best else "bar"))
    body.append(f'<span class="axis soft"><span>0</span><span>{_seconds(end)}</span></span>')
    return f'<div class="lanes">{"".join(body)}</div>'


def _timeline(row: Row, end: float, kind: str) -> str:
    lanes, lane_height = len(row.lanes), 18 if len(row.lanes) <= 12 else 6
    body = []
    spans = sum(map(len, row.lanes))
    has_titles = spans <= MOST_TITLES
    gap = 0 if spans <= MOST_SPANS else end / MOST_SPANS * lanes
    for place, lane in enumerate(row.lanes):
        for begun, ended in merged(lane, gap):
            said = f"worker {place + 1}: {_seconds(begun)} to {_seconds(ended)}"
            title = f"<title>{said}</title>" if has_titles else ""
            width = max((ended - begun) / end * 1000 - 0.6, 0.6)
            body.append(
                f'<rect class="{kind}" x="{begun / end * 1000:.2f}" width="{width:.2f}" '
                f'y="{place * lane_height + 1}" height="{lane_height - 2}">{title}</rect>'
            )
    own_end = max((ended for lane in row.lanes for _, ended in lane), default=0) or 1.0
    busy = sum(ended - begun for lane in row.lanes for begun, ended in lane) / own_end / lanes
    title = escape(f"{row.backend}: {_counted(lanes, 'worker')}, busy {busy:.0%} of the time")
    height = lanes * lane_height
    return (
        f'<span><svg viewBox="0 0 1000 {height}" height="{height}" preserveAspectRatio="none" '
        f'role="img" aria-label="{title}">{"".join(body)}</svg>'
        f'<small class="soft">{_counted(lanes, "worker")}, busy {busy:.0%} of the time</small>'
        "</span>"
    )


def merged(spans: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """The spans in order, those that are nearer to each other than `gap` as one."""
    found: list[tuple[float, float]] = []
    for begun, ended in sorted(spans):
        if found and begun - found[-1][1] < gap:
            found[-1] = found[-1][0], max(found[-1][1], ended)
        else:
            found.append((begun, ended))
    return found
