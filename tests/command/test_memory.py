"""However long the input is, the command's own process stays as small as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import scripts
from support.commands import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="`/proc` is Linux's")

WITH_PEAK = """
import sys
from allcores.command.entry import main
code = main()
with open("/proc/self/status") as status:
    print(next(line for line in status if line.startswith("VmHWM")).split()[1], file=sys.stderr)
sys.exit(code)
"""
FEW, MANY = 50_000, 500_000
"""Few is enough to fill the window."""
FLAT_KB = 8 * 1024
"""The many's text alone has 38 MB."""


def peak_kb(folder: Folder, *arguments: str) -> int:
    """The highest resident size of the process that reads and writes, without its workers."""
    ended = subprocess.run(
        [sys.executable, "-c", WITH_PEAK, "run", "work:same", *arguments],
        cwd=folder.path,
        capture_output=True,
        timeout=scripts.LIMIT_SECONDS,
        env=scripts.environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return int(ended.stderr.split()[-1])


def table(folder: Folder, name: str, rows: int) -> None:
    """A table in one group of rows; pyarrow starts threads, and works elsewhere."""
    code = f"""if True:
        import pyarrow, pyarrow.parquet
        rows = range({rows})
        columns = {{"id": rows, "text": [f"{{row}}" * 12 for row in rows]}}
        pyarrow.parquet.write_table(pyarrow.table(columns), {name!r}, row_group_size={rows})
    """
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder.path,
        timeout=scripts.LIMIT_SECONDS,
        env=scripts.environment(),
        check=True,
    )


@pytest.mark.parametrize("ending", ["jsonl", "csv", "txt"])
@pytest.mark.parametrize("more", [(), ("--unordered",)])
def test_lines_stream(folder: Folder, ending: str, more: tuple[str, ...]) -> None:
    peaks = []
    for count in (FEW, MANY):
        folder.json_lines("in.jsonl", ({"id": number, "text": "x" * 50} for number in range(count)))
        peaks.append(peak_kb(folder, "in.jsonl", "-o", f"out{count}.{ending}", *more))
    assert peaks[1] - peaks[0] < FLAT_KB


def test_table_of_a_million_rows_in_one_group_streams(folder: Folder) -> None:
    peaks = []
    for count in (100_000, 1_000_000):
        table(folder, "in.parquet", count)
        peaks.append(peak_kb(folder, "in.parquet", "-o", f"out{count}.jsonl"))
        with (folder.path / f"out{count}.jsonl").open() as lines:
            assert sum(1 for _ in lines) == count
    assert peaks[1] - peaks[0] < 32 * 1024
