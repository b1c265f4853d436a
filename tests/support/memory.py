"""How much memory this process uses, as the kernel and the allocator count it."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

MIB = 2**20


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


_libc = ctypes.CDLL(None)


def allocated() -> int:
    """Bytes in use that came from `malloc`: the engine's, and none of Python's small objects."""
    count = _libc.mallinfo2
    count.restype = _Mallinfo
    info = count()
    return int(info.uordblks + info.hblkhd)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that were in memory since the start, or the last `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024
