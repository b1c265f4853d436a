"""A comparison as HTML: bars for each rung, who worked when, the leverage and the terms behind it.

One page without scripts or anything from elsewhere; the pictures are SVG within it, and each says
in words what it shows. Colours follow the reader's light or dark setting.
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


WIDTH, LABEL, LINE = 720, 110, 26
MOST_SPANS = 4_000
"""Marks in one timeline; of more items neighbours are drawn as one."""

STYLE = """
.allcores { --ink: #1c2430; --soft: #5b6675; --rule: #d8dde4; --ground: #ffffff;
  --bar: #3d6fb4; --best: #1f8a5b; --wrong: #b3402e;
  color: var(--ink); background: var(--ground); font: 15px/1.5 system-ui, sans-serif;
  max-width: 760px; margin: 0 auto; padding: 1.5rem; }
@media (prefers-color-scheme: dark) { .allcores { --ink: #e6eaf0; --soft: #9aa6b5;
  --rule: #3a4452; --ground: #161b22; --bar: #6fa0e6; --best: #4cc38a; --wrong: #f0806c; } }
.allcores h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
.allcores h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
.allcores p { margin: .25rem 0; } .allcores .soft { color: var(--soft); }
.allcores .verdict { border-left: 4px solid var(--best); padding: .4rem .8rem; margin: 1rem 0; }
.allcores .verdict.wrong { border-color: var(--wrong); }
.allcores svg { display: block; width: 100%; height: auto; }
.allcores svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.allcores svg .soft { fill: var(--soft); } .allcores svg .bar { fill: var(--bar); }
.allcores svg .best { fill: var(--best); } .allcores svg .wrong { fill: var(--wrong); }
.allcores svg .rule { stroke: var(--rule); }
.allcores table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.allcores th, .allcores td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid
  var(--rule); } .allcores th:first-child, .allcores td:first-child { text-align: left; }
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
        f'<p class="soft">{found.items:,} items, {found.cores} cores</p>',
        f'<p class="{kind}"><strong>{escape(_sentence(found.verdict))}</strong></p>',
        "<h2>Seconds from the start to the last result</h2>",
        _bars(found),
        _table(found),
        "<h2>Leverage</h2>",
    ]
    if found.leverage is not None:
        parts.append(f"<p>{escape(_sentence(leverage_words(found.leverage)))}</p>")
    parts.append(f"<p>The adviser: {escape(found.advice)}.</p>")
    parts += [f'<p class="soft">{escape(_sentence(note))}</p>' for note in found.notes]
    if found.terms:
        parts += ["<h2>What the adviser predicts, in milliseconds</h2>", _terms(found)]
    drawn = [row for row in found.rows if row.lanes]
    if drawn:
        parts.append("<h2>Who worked when</h2>")
        parts += [_timeline(row) for row in drawn]
    return "\n".join([*parts, "</main>"])


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _picture(height: int, title: str, body: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def _bars(found: Comparison) -> str:
    longest = max((row.median or 0.0 for row in found.rows), default=0.0) or 1.0
    best, body, words = found.best, [], []
    for place, row in enumerate(found.rows):
        top = place * LINE
        body.append(f'<text x="0" y="{top + 17}">{escape(row.backend)}</text>')
        if row.median is None:
            text = row.why_not.splitlines()[0] if row.why_not else "did not run"
            body.append(f'<text class="soft" x="{LABEL}" y="{top + 17}">{escape(text[:90])}</text>')
            continue
        length = max((WIDTH - LABEL - 90) * row.median / longest, 1.0)
        kind = "wrong" if not row.equal else "best" if row is best else "bar"
        body.append(
            f'<rect class="{kind}" x="{LABEL}" y="{top + 4}" width="{length:.1f}" height="18" '
            f'rx="2"/><text x="{LABEL + length + 6:.1f}" y="{top + 17}">'
            f"{_seconds(row.median)}</text>"
        )
        words.append(f"{row.backend} {_seconds(row.median)}")
    return _picture(LINE * len(found.rows) + 4, "Medians: " + ", ".join(words), body)


def _table(found: Comparison) -> str:
    lines = [
        "<table><thead><tr><th>backend</th><th>median</th><th>least to greatest</th>"
        "<th>speed-up</th><th>results</th></tr></thead><tbody>"
    ]
    for row in found.rows:
        if row.median is None:
            lines.append(
                f'<tr><td>{escape(row.backend)}</td><td colspan="4">{escape(row.why_not)}</td></tr>'
            )
            continue
        times = found.times_serial(row)
        spread = f"{_seconds(min(row.seconds))} to {_seconds(max(row.seconds))}"
        result = "equal" if row.equal else f"different: {row.why_not}"
        name = escape(row.backend) + (f" ({escape(row.chosen)})" if row.chosen else "")
        lines.append(
            f"<tr><td>{name}</td><td>{_seconds(row.median)}</td><td>{spread}</td>"
            f"<td>{'' if times is None else f'{times:.2f}'}</td><td>{escape(result)}</td></tr>"
        )
    return "".join([*lines, "</tbody></table>"])


def _terms(found: Comparison) -> str:
    names = [name for name, _ in next(iter(found.terms.values()))]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = [f"<table><thead><tr><th>backend</th>{head}</tr></thead><tbody>"]
    for rung, terms in found.terms.items():
        cells = "".join(f"<td>{seconds * 1e3:,.3g}</td>" for _, seconds in terms)
        lines.append(f"<tr><td>{escape(rung)}</td>{cells}</tr>")
    return "".join([*lines, "</tbody></table>"])


def _timeline(row: Row) -> str:
    end = max((ended for lane in row.lanes for _, ended in lane), default=0.0) or 1.0
    scale = (WIDTH - LABEL - 10) / end
    body = []
    for place, lane in enumerate(row.lanes):
        top = place * 20
        body.append(
            f'<text class="soft" x="0" y="{top + 14}">{escape(row.backend)} {place + 1}</text>'
        )
        for begun, ended in merged(lane, end / MOST_SPANS * len(row.lanes)):
            body.append(
                f'<rect class="bar" x="{LABEL + begun * scale:.2f}" y="{top + 3}" '
                f'width="{max((ended - begun) * scale - 0.4, 0.4):.2f}" height="14"/>'
            )
    height = 20 * len(row.lanes) + 22
    body.append(
        f'<line class="rule" x1="{LABEL}" y1="{height - 18}" x2="{WIDTH - 10}" y2="{height - 18}"/>'
        f'<text class="soft" x="{LABEL}" y="{height - 4}">0</text><text class="soft" '
        f'x="{WIDTH - 10}" y="{height - 4}" text-anchor="end">{_seconds(end)}</text>'
    )
    busy = sum(ended - begun for lane in row.lanes for begun, ended in lane)
    title = f"{row.backend}: {len(row.lanes)} workers, busy {busy / end / len(row.lanes):.0%}"
    return _picture(height, title, body)


def merged(spans: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """The spans in order, those that are nearer to each other than `gap` as one."""
    found: list[tuple[float, float]] = []
    for begun, ended in sorted(spans):
        if found and begun - found[-1][1] < gap:
            found[-1] = found[-1][0], max(found[-1][1], ended)
        else:
            found.append((begun, ended))
    return found
