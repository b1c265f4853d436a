"""What starting and moving cost on this machine, for the adviser.

The first `allcores.map` of a program must not pay for measuring, so there are three sources:

1. `USUAL`: built in, for a machine of today, made slower or faster by what a hundred microseconds
   of pickling take here;
2. `learn`: what a real pool took as it was used (its start, say) goes into the next decision, and
   at the end of the map into the cache file;
3. `refresh`: everything measured with real pools, in less than a second; for `allcores.explain` and
   for those who want it.

The cache is `allcores/machine-v2.json` in the user's cache folder (`XDG_CACHE_HOME`). A file that's
damaged, or of another version or machine, is as none; one that can't be written stays in memory.
It is replaced in one step, so that two processes that write at once do no harm.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import sys
import threading
import time
from pathlib import Path

from ..pool import nesting
from ..pool.start import would_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = 2

USUAL: dict[str, float] = {
    "handover_ns": 2_000.0,
    "item_ns": 500.0,
    "native_item_ns": 300.0,
    "round_trip_ns": 30_000.0,
    "bytes_in_per_s": 6e9,
    "bytes_out_per_s": 4e9,
    "threads_start_ns": 300_000.0,
    "interpreters_start_ns": 5e6,
    "interpreter_ns": 15e6,
    "processes_start_ns": 8e6,
    "process_ns": 1e6,
    "server_start_ns": 90e6,
    "served_start_ns": 18e6,
}
"""Nanoseconds, or bytes a second. `server_start_ns` is the start of a pool where the process has
threads, anybody's, so that nothing may be forked off it, `served_start_ns` where there is a fork
server by then; for the others see `machine.rs`."""

_SPEEDS = ("bytes_in_per_s", "bytes_out_per_s")
_PROBE_NS = 26_000.0
"""What `_probe` takes on the machine that `USUAL` was measured on."""
_MOST_FACTOR = 8.0


class Machine:
    """The constants of this machine, as far as they are known by now.

    Attributes:
        source: where they come from: "usual", "cache" or "measured".
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = _cache_path() if path is None else path
        self._known: dict[str, float] = {}
        self._factor: float | None = None
        self._lock = threading.Lock()
        self._is_loaded = False
        self._has_news = False
        self.source = "usual"

    def value(self, name: str) -> float:
        """One constant, by its name in `USUAL`."""
        self._load()
        known = self._known.get(name)
        return self._scaled(name) if known is None else known

    def constants(
        self,
        *,
        max_workers: int | None = None,
        open_rungs: frozenset[str] = frozenset(),
        own: int = 0,
    ) -> dict[str, Any]:
        """What `_core.advise` takes: all constants, and how many cores there are.

        Args:
            max_workers: of the executor, if it was given.
            open_rungs: those that have been started.
            own: threads of ours that will have ended when one is.
        """
        found: dict[str, Any] = {name: self.value(name) for name in USUAL}
        if "processes" not in open_rungs and not would_fork(own=own):
            found["processes_start_ns"] = max(
                found["served_start_ns" if _has_server() else "server_start_ns"],
                found["processes_start_ns"],
            )
        for name, terms in _STARTS.items():
            if name in open_rungs:
                found.update(dict.fromkeys(terms, 0.0))
        found["cores"] = cores = min(nesting.share(), nesting.usable_cores())
        found["max_workers"] = max_workers
        found["is_free_threaded"] = not getattr(sys, "_is_gil_enabled", lambda: True)()
        found["cores"] = max(cores, 1)
        return found

    def learn(self, name: str, value: float) -> None:
        """A real pool took so much; half of it is believed at once, for the machine may have been
        busy, and at most twice of what was known.
        """
        self._load()
        with self._lock:
            before = self.value(name)
            value = min(value, 2 * before)
            self._known[name] = (before + value) / 2
            self._has_news = self._has_news or abs(value - before) > before / 4

    def refresh(self) -> None:
        """Measures everything that can be measured here, and keeps it."""
        measured = measure()
        self._is_loaded = True
        with self._lock:
            self._known.update(measured)
            self._has_news = True
            self.source = "measured"
        self.keep()

    def keep(self) -> bool:
        """Writes what was learnt to the cache, if it is news; whether it could."""
        with self._lock:
            if not self._has_news:
                return False
            self._has_news = False
            text = json.dumps({**_mark(), "constants": self._known}, indent=1)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text)
            os.replace(beside, self._path)
        except OSError:
            return False
        return True

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        try:
            found = json.loads(self._path.read_text())
            constants = found.pop("constants")
            if found == _mark() and all(_is_sound(*each) for each in constants.items()):
                self._known = constants
                self.source = "cache"
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            pass

    def _scaled(self, name: str) -> float:
        if self._factor is None:
            factor = min(_timed(_probe) for _ in range(3)) / _PROBE_NS
            self._factor = min(max(factor, 1 / _MOST_FACTOR), _MOST_FACTOR)
        return USUAL[name] / self._factor if name in _SPEEDS else USUAL[name] * self._factor


_STARTS = {
    "threads": ("threads_start_ns",),
    "interpreters": ("interpreters_start_ns", "interpreter_ns"),
    "processes": ("processes_start_ns", "process_ns"),
}


def starts(rung: str) -> tuple[str, ...]:
    """The names of what a rung's start consists of, as `Machine.constants` has them."""
    return _STARTS.get(rung, ())


def start_of(rung: str) -> str | None:
    """The name of what a rung's start takes as things are; None if nobody knows."""
    if rung == "processes" and not would_fork(own=0):
        return "served_start_ns" if _has_server() else "server_start_ns"
    return {"processes": "processes_start_ns", "threads": "threads_start_ns"}.get(rung)


def _has_server() -> bool:
    """Whether a fork server runs, which is most of what a start takes."""
    servers = sys.modules.get("allcores.pool.servers")
    # Another thread may be importing it just now.
    known = list(getattr(servers, "_servers", {}).values())
    return any(each._pid() is not None for each in known)


def _is_sound(name: str, value: object) -> bool:
    """Whether a constant from a file can be meant."""
    return name in USUAL and isinstance(value, (int, float)) and 0 < value < 1e12


def _mark() -> dict[str, Any]:
    """What a cache must have been written for."""
    return {
        "version": VERSION,
        "machine": f"{platform.node()} {platform.machine()} {os.cpu_count()}",
        "python": f"{sys.implementation.cache_tag} {sys.implementation.hexversion:x}",
    }


def _cache_path() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(home)) / "allcores" / f"machine-v{VERSION}.json"


_NUMBERS = list(range(1_000))


def _probe() -> None:
    pickle.loads(pickle.dumps(_NUMBERS, 5))


def _timed(call: Callable[[], object]) -> float:
    begun_ns = time.perf_counter_ns()
    call()
    return max(float(time.perf_counter_ns() - begun_ns), 1.0)


def _same(value: object) -> object:
    return value


def measure() -> dict[str, float]:
    """The constants of threads and processes, measured with real pools of one worker: a first call
    and a second one, round trips, a long map of tiny items, large values in and out.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ..pool.executor import ProcessPoolExecutor

    found: dict[str, float] = {}
    begun_ns = time.perf_counter_ns()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(_same, 0).result()
        found["processes_start_ns"] = float(time.perf_counter_ns() - begun_ns)
        trips = sorted(_timed(lambda: pool.submit(_same, 1).result()) for _ in range(200))
        found["round_trip_ns"] = trips[len(trips) // 2]
        count = 20_000
        found["item_ns"] = _timed(lambda: list(pool.map(_same, range(count)))) / count
        size = 16 << 20
        both_ns = min(_timed(lambda: pool.submit(len, bytearray(size)).result()) for _ in range(3))
        made_ns = min(_timed(lambda: bytearray(size)) for _ in range(3))
        found["bytes_in_per_s"] = size / max(both_ns - made_ns, 1e3) * 1e9
        out_ns = min(_timed(lambda: pool.submit(bytearray, size).result()) for _ in range(3))
        found["bytes_out_per_s"] = size / max(out_ns - made_ns, 1e3) * 1e9
    begun_ns = time.perf_counter_ns()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(_same, 0).result()
        found["threads_start_ns"] = float(time.perf_counter_ns() - begun_ns)
    return found


_here: Machine | None = None


def here() -> Machine:
    """This machine's."""
    global _here
    if _here is None:
        _here = Machine()
    return _here


def refresh() -> None:
    """Measures this machine anew and keeps what was found; takes less than a second."""
    here().refresh()
