"""Columns of pandas and Arrow cross as the buffers that they are."""

from __future__ import annotations

import numpy
import pandas
import pyarrow
from support import tasks
from support.implementations import Implementation

ROWS = 300_000


def frame() -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "number": numpy.arange(float(ROWS)),
            "count": numpy.arange(ROWS),
            "word": ["one", "other"] * (ROWS // 2),
            "day": pandas.date_range("2020-01-01", periods=ROWS, freq="s"),
            "kind": pandas.Categorical(["a", "b", "c"] * (ROWS // 3)),
        }
    )


def test_a_frame_arrives_as_it_is_and_can_be_changed(
    implementation: Implementation, link: str
) -> None:
    sent = frame()
    with implementation.pool() as pool:
        for got in (pool.submit(tasks.identity, sent).result(), *pool.map(tasks.identity, [sent])):
            assert got.equals(sent)
            got.loc[0, "number"] = -1.0
            assert sent.loc[0, "number"] == 0.0
        column = pool.submit(tasks.identity, sent["number"]).result()
        assert column.equals(sent["number"])


def test_an_arrow_table_arrives_as_it_is(implementation: Implementation, link: str) -> None:
    sent = pyarrow.table(
        {"number": numpy.arange(float(ROWS)), "word": ["a", None, "bc"] * (ROWS // 3)}
    )
    with implementation.pool() as pool:
        assert pool.submit(tasks.identity, sent).result().equals(sent)
        assert pool.submit(tasks.identity, sent["number"]).result().equals(sent["number"])
        assert pool.submit(tasks.identity, sent.slice(5, 100)).result().equals(sent.slice(5, 100))
