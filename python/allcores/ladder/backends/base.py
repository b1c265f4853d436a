"""What a backend is, and what every rung's executor can do.

A *rung* is a place on the ladder, a *backend* its name as users give it and the object that makes
executors for it. The registry (`backends`) knows them by name; whoever brings another implements
`Backend` and `RungExecutor`.

The same call means the same on every rung:

* what it raises arrives with its type and its traceback, and a note that names function, index
  and argument;
* it sees the context variables of its caller (of `map`: of that call), on rungs in other processes
  or interpreters those that were asked for; what it sets ends with its task;
* a rung that can't keep an option refuses it (`refuse_timeout`).
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any, NoReturn, ParamSpec, Protocol, TypeVar

    from ..options import CallOptions, OpenOptions

    P = ParamSpec("P")
    T = TypeVar("T")

    class Backend(Protocol):
        """Makes executors of one rung."""

        @property
        def name(self) -> str:
            """As users give it."""

        def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
            """Why it can't be used here (with `fn`: for that function); None if it can."""

        def open(self, options: OpenOptions) -> RungExecutor:
            """An executor. Whether the backend can be used here was asked before."""


class Refusal:
    """Why a backend can't be used here.

    Attributes:
        why: one clause, in lower case, without a full stop.
        hint: the next step.
    """

    __slots__ = ("hint", "why")

    def __init__(self, why: str, hint: str) -> None:
        self.why = why
        self.hint = hint

    def __repr__(self) -> str:
        return f"<Refusal: {self.why}>"

    def error(self, backend: str) -> NotImplementedError:
        """What to raise when it was asked for by name."""
        return NotImplementedError(f"backend `{backend}`: {self.why}\nhint: {self.hint}")


class RungExecutor(concurrent.futures.Executor):
    """An executor of one rung: the standard interface, and maps with `CallOptions`."""

    name: str
    max_workers: int

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The future of `fn(*args, **kwargs)`. Raises `RuntimeError` after `shutdown`."""
        return self.submit_call(fn, args, kwargs, None)

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        """As `submit`, with options."""
        raise NotImplementedError

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions
    ) -> Iterator[T]:
        """The results of `fn` over the items, as `ProcessPoolExecutor.map` gives them."""
        raise NotImplementedError

    def check(self, options: CallOptions) -> None:
        """Raises `NotImplementedError` for an option that can't be kept here."""

    def stats(self) -> dict[str, int]:
        """What has happened so far: calls and chunks that were `submitted`, are `done`, ..."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Ends what runs, where that is possible, and takes no more calls; does not wait."""
        self.shutdown(wait=False, cancel_futures=True)


def refuse_timeout(backend: str, why: str) -> NoReturn:
    """Raises what says that a running call can't be stopped here."""
    raise NotImplementedError(
        f"`timeout` could not be kept on backend `{backend}`: {why}\n"
        "hint: use `backend='processes'`, whose calls can be stopped, or "
        "`future.result(timeout=...)`, which stops waiting but not the call"
    )


def shut() -> RuntimeError:
    """What a call after `shutdown` raises."""
    return RuntimeError("cannot schedule new futures after shutdown")
