"""What `allcores.compare` found: data, and how it looks as a table, as JSON and in pictures.

Nothing is measured here. `page` draws the HTML.
"""

from __future__ import annotations

import json
import os
from statistics import median

from .leverage import leverage_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

SCHEMA = 1
"""Of the JSON; another number means that fields have changed their meaning."""


class Row:
    """One rung.

    Attributes:
        backend: its name.
        seconds: of each repeat, from opening the executor to the last result; empty if it could not
            run.
        why_not: what kept it from running, or was wrong; empty if nothing.
        equal: whether all results were the same as the first rung's.
        lanes: who ran what when, of one more run: for each worker the spans of its items, as pairs
            of seconds since the run began.
        chosen: for `auto`, the rung that it chose, and why.
    """

    __slots__ = ("backend", "chosen", "equal", "lanes", "seconds", "why_not")

    def __init__(
        self,
        backend: str,
        *,
        seconds: Iterable[float] = (),
        why_not: str = "",
        equal: bool = True,
        lanes: Iterable[Iterable[tuple[float, float]]] = (),
        chosen: str = "",
    ) -> None:
        self.backend = backend
        self.seconds = list(seconds)
        self.why_not = why_not
        self.equal = equal
        self.lanes = [[(begun, ended) for begun, ended in lane] for lane in lanes]
        self.chosen = chosen

    @property
    def median(self) -> float | None:
        """Seconds, the middle one of all repeats; None if there are none."""
        return median(self.seconds) if self.seconds else None

    @property
    def is_right(self) -> bool:
        """Whether it ran, and its results were the right ones."""
        return bool(self.seconds) and self.equal


class Comparison:
    """The whole ladder for one function and its items.

    Prints as a table, shows itself in notebooks, and is written by `to_json` and `to_html`.

    Attributes:
        function: its name.
        items: how many were run.
        cores: those that this process may use.
        rows: the rungs, in the order of the ladder.
        leverage: seconds of computing per second of moving data, of the item in the middle; and
            what a tenth of the items are below, and above.
        terms: what the adviser predicts: by rung, pairs of a term's name and its seconds, the last
            one of which is `total`.
        advice: the adviser's choice in one line.
        notes: what else it says, a clause each.
    """

    def __init__(
        self,
        *,
        function: str,
        items: int,
        cores: int,
        rows: Iterable[Row],
        leverage: tuple[float, float, float] | None,
        terms: dict[str, list[tuple[str, float]]],
        advice: str,
        notes: Iterable[str] = (),
    ) -> None:
        self.function = function
        self.items = items
        self.cores = cores
        self.rows = list(rows)
        self.leverage = leverage
        self.terms = terms
        self.advice = advice
        self.notes = list(notes)

    @property
    def best(self) -> Row | None:
        """The fastest rung whose results are right; `auto` is none."""
        able = [row for row in self.rows if row.is_right and row.backend != "auto"]
        return min(able, key=lambda row: row.median or 0.0, default=None)

    @property
    def agree(self) -> bool:
        """Whether all rungs that ran gave equal results."""
        return all(row.equal for row in self.rows)

    def times_serial(self, row: Row) -> float | None:
        """How many times as fast as the plain loop a rung was."""
        for serial in self.rows:
            if serial.backend == "serial" and serial.median and row.median:
                return serial.median / row.median
        return None

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        if not self.agree:
            wrong = ", ".join(f"`{row.backend}`" for row in self.rows if not row.equal)
            return f"the results of {wrong} differ from those of the plain loop: don't use it here"
        best = self.best
        if best is None:
            return "no rung could run this"
        times = self.times_serial(best)
        if times is None or best.backend == "serial":
            return f"`{best.backend}` is the fastest: nothing is gained by more workers"
        return f"`{best.backend}` is the fastest: {times:.2f} times as fast as a plain loop"

    def __str__(self) -> str:
        head = f"{self.function}, {self.items:,} items, {self.cores} cores"
        lines = [head, f"{'backend':14} {'seconds':>10} {'spread':>17} {'speed-up':>9}  results"]
        for row in self.rows:
            if row.median is None:
                lines.append(f"{row.backend:14} {'-':>10}  {row.why_not}")
                continue
            spread = f"{min(row.seconds):.4g}-{max(row.seconds):.4g}"
            times = self.times_serial(row)
            speed = "" if times is None else f"{times:.2f}x"
            result = "equal" if row.equal else f"DIFFERENT: {row.why_not}"
            chosen = f"  ({row.chosen})" if row.chosen else ""
            lines.append(
                f"{row.backend:14} {row.median:10.4g} {spread:>17} {speed:>9}  {result}{chosen}"
            )
        lines.append("")
        if self.leverage is not None:
            lines.append(f"leverage: {leverage_words(self.leverage)}")
        lines.append(f"adviser:  {self.advice}")
        lines += [f"          {note}" for note in self.notes]
        lines.append(f"verdict:  {self.verdict}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from . import page

        return page.fragment(self)

    def plot(self, axes: Any = None) -> Any:
        """Draws a bar for each rung with matplotlib; the axes.

        Args:
            axes: those to draw on; None: new ones.

        Raises:
            ImportError: without matplotlib.
        """
        try:
            from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise ImportError(
                "`plot` draws with matplotlib, which is not installed\n"
                "hint: pip install matplotlib, or `to_html`, which needs nothing"
            ) from error
        if axes is None:
            _, axes = pyplot.subplots()
        ran = [row for row in self.rows if row.median is not None]
        axes.barh([row.backend for row in ran], [row.median for row in ran])
        axes.invert_yaxis()
        axes.set(xlabel="seconds, median", title=f"{self.function}, {self.items:,} items")
        return axes

    def to_dict(self) -> dict[str, Any]:
        """All of it, of plain values."""
        return {
            "schema": SCHEMA,
            "function": self.function,
            "items": self.items,
            "cores": self.cores,
            "rows": [{name: getattr(row, name) for name in Row.__slots__} for row in self.rows],
            "leverage": None if self.leverage is None else list(self.leverage),
            "terms": {rung: [list(term) for term in terms] for rung, terms in self.terms.items()},
            "advice": self.advice,
            "notes": self.notes,
            "verdict": self.verdict,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The JSON of `to_dict`, also written to `path` if one is given."""
        text = json.dumps(self.to_dict(), indent=1)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        return text

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """What `to_json` gave. Raises `ValueError` for JSON of another kind."""
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(
                f"this is not the JSON of a comparison of version {SCHEMA}\n"
                "hint: give what `Comparison.to_json` has written"
            )
        leverage = found["leverage"]
        return cls(
            function=found["function"],
            items=found["items"],
            cores=found["cores"],
            rows=[Row(each.pop("backend"), **each) for each in found["rows"]],
            leverage=None if leverage is None else tuple(leverage),
            terms={r: [(n, v) for n, v in terms] for r, terms in found["terms"].items()},
            advice=found["advice"],
            notes=found["notes"],
        )

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One page that needs nothing else, also written to `path` if one is given."""
        from . import page

        text = page.whole(self)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return text
