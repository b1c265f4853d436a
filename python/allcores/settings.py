"""Every environment variable and every default of the Python side, in one table."""

from __future__ import annotations

import os

LINKS = ("shm", "stream")
START_METHODS = ("fork", "forkserver", "spawn")


class Settings:
    """The defaults; `from_environment` lays the environment's variables over them."""

    start_method: str | None = None
    """`ALLCORES_START_METHOD`: how workers start when the caller names no context.
    None: from a clean fork server of our own."""

    link: str = "shm"
    """`ALLCORES_LINK`: `shm` (shared memory) or `stream` (sockets only, slower)."""

    cores: int | None = None
    """`ALLCORES_CORES`: how many cores this process and all its workers should keep busy, if it
    may use so many: the default for `max_workers`. None: all it may use. Set in each worker to
    its share, so that programs started by a task know it. (Beside it `ALLCORES_LIMITED` lists
    the variables of numerical libraries, such as `OMP_NUM_THREADS`, that were set to the share
    too; those that the user has set are left alone.)"""

    keep_idle: float = 1.0
    """`ALLCORES_KEEP_IDLE`: seconds for which idle workers of an executor that was shut down are
    kept for the next one, where that can't be seen. 0: they are ended at once."""

    note_limit: int = 120
    """Characters of an argument's text in the note on a task's exception."""

    cached_functions: int = 128
    """Functions that an executor keeps registered with its workers."""

    def __init__(
        self,
        *,
        start_method: str | None = None,
        link: str = link,
        cores: int | None = None,
        keep_idle: float = keep_idle,
    ) -> None:
        self.start_method = start_method
        self.link = link
        self.cores = cores
        self.keep_idle = keep_idle

    @classmethod
    def from_environment(cls) -> Settings:
        """The defaults as changed by the environment; an unknown value is refused by name."""
        method = os.environ.get("ALLCORES_START_METHOD") or None
        if method is not None and method not in START_METHODS:
            known = ", ".join(f"`{each}`" for each in START_METHODS)
            raise ValueError(f"`ALLCORES_START_METHOD` is `{method}`\nhint: one of {known}")
        link = os.environ.get("ALLCORES_LINK") or LINKS[0]
        if link not in LINKS:
            known = ", ".join(f"`{each}`" for each in LINKS)
            raise ValueError(f"`ALLCORES_LINK` is `{link}`\nhint: one of {known}")
        cores = os.environ.get("ALLCORES_CORES") or None
        if cores is not None and not (cores.isdecimal() and int(cores)):
            raise ValueError(f"`ALLCORES_CORES` is `{cores}`\nhint: a number from 1 on")
        return cls(
            start_method=method,
            link=link,
            cores=int(cores) if cores else None,
            keep_idle=_seconds("ALLCORES_KEEP_IDLE", cls.keep_idle),
        )


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or None
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"`{name}` is `{text}`\nhint: a number of seconds from 0 on")
    return seconds


_MOST_SECONDS = 3600.0
