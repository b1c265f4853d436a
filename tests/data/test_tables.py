"""Columns of pandas and Arrow cross as the buffers that they are. In a program of their own: Arrow
starts threads, and a process that has some is not forked."""

from __future__ import annotations

import pytest
from support import scripts
from support.implementations import Implementation


@pytest.mark.ours_only("more keywords")
def test_frames_and_arrow_tables_arrive_as_they_are(
    implementation: Implementation, link: str
) -> None:
    result = scripts.run_file(
        """
        import numpy, pandas, pyarrow

        import allcores
        from support import tasks

        ROWS = 300_000
        frame = pandas.DataFrame(
            {
                "number": numpy.arange(float(ROWS)),
                "count": numpy.arange(ROWS),
                "word": ["one", "other"] * (ROWS // 2),
                "day": pandas.date_range("2020-01-01", periods=ROWS, freq="s"),
                "kind": pandas.Categorical(["a", "b", "c"] * (ROWS // 3)),
            }
        )
        words = ["a", None, "bc"] * (ROWS // 3)
        table = pyarrow.table({"number": numpy.arange(float(ROWS)), "word": words})
        with allcores.ProcessPoolExecutor(2) as pool:
            one = pool.submit(tasks.identity, frame).result()
            for got in (one, *pool.map(tasks.identity, [frame])):
                assert got.equals(frame)
                got.loc[0, "number"] = -1.0
                assert frame.loc[0, "number"] == 0.0
            column = pool.submit(tasks.identity, frame["number"]).result()
            assert column.equals(frame["number"])
            for sent in (table, table["number"], table.slice(5, 100)):
                assert pool.submit(tasks.identity, sent).result().equals(sent)
        print("well")
        """,
        more={"ALLCORES_LINK": link},
    )
    assert (result.code, result.words) == (0, "well\n")
