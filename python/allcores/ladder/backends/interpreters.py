"""The rung of interpreters: the standard library's `InterpreterPoolExecutor`, from Python 3.14 on.

Each worker is a thread with an interpreter and a lock of its own, in which our extension can't be
imported; so `away` unpickles and pickles there. Such an interpreter knows the path that Python
was started with; it is given this one's, or it would find no module that lies beside a script.
Modules that don't support sub-interpreters (numpy among them) fail there when they are imported:
such a call raises `ImportError`. A running call can't be stopped.
"""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Callable

from .. import here
from . import away
from .base import Refusal
from .elsewhere import ElsewhereExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..options import OpenOptions


def pool_class() -> Any:
    """The standard library's executor; None before 3.14."""
    return getattr(concurrent.futures, "InterpreterPoolExecutor", None)


class InterpretersExecutor(ElsewhereExecutor):
    """Runs calls in interpreters of this process."""

    why_no_timeout = "an interpreter can't be stopped from outside"

    def __init__(self, options: OpenOptions) -> None:
        workers = options.max_workers or here.share()
        pool = pool_class()(
            workers,
            thread_name_prefix="allcores",
            initializer=away.begin,
            initargs=(sys.path, away.dumps((options.initializer, options.initargs))),
        )
        super().__init__("interpreters", pool, workers, options)


class Interpreters:
    """The backend."""

    name = "interpreters"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        if pool_class() is not None:
            return None
        version = ".".join(map(str, sys.version_info[:2]))
        return Refusal(
            f"it needs Python 3.14 or later, and this is {version}",
            "use `backend='processes'`, or `backend='auto'`, which does not choose it here",
        )

    def open(self, options: OpenOptions) -> InterpretersExecutor:
        return InterpretersExecutor(options)


BACKEND = Interpreters()
