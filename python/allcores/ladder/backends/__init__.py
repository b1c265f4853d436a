"""The backends by name.

`serial`, `threads`, `interpreters`, `processes`, `native` and `dask` are here; others are known by
name, so that asking for one says what it needs, and can be registered by whoever brings them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Backend

_HOMES = ("serial", "threads", "interpreters", "processes", "native", "dask")
"""Those of this package, from the bottom of the ladder to its top; imported when asked for."""

_KNOWN_ELSEWHERE = {
    "ray": "install `ray` and a version of allcores with its adapter",
}

_registered: dict[str, Backend] = {}


def register(backend: Backend) -> None:
    """Makes a backend known by its name. Raises `ValueError` if the name is taken."""
    if backend.name in (*_HOMES, *_registered, "auto"):
        raise ValueError(f"there is a backend `{backend.name}` already")
    _registered[backend.name] = backend


def names() -> tuple[str, ...]:
    """The names of those that are here, whether they can be used or not."""
    return (*_HOMES, *_registered)


def get(name: str) -> Backend:
    """The backend with that name.

    Raises:
        TypeError: for a name that is no string.
        ValueError: for one that nobody knows.
        NotImplementedError: for one that is known, but not here.
    """
    if not isinstance(name, str):
        raise TypeError(f"`backend` must be a name, not `{name!r}`")
    found = _registered.get(name)
    if found is not None:
        return found
    if name in (*_HOMES, "auto"):
        made: Backend = import_module(f"{__name__}.{name}").BACKEND
        return made
    if name in _KNOWN_ELSEWHERE:
        raise NotImplementedError(
            f"backend `{name}` is not in this build\nhint: {_KNOWN_ELSEWHERE[name]}"
        )
    known = ", ".join(f"`{each}`" for each in ("auto", *names()))
    raise ValueError(f"there is no backend `{name}`\nhint: one of {known}")


def usable(name: str) -> Backend:
    """As `get`, if the backend can be used here. Raises `NotImplementedError` if not."""
    backend = get(name)
    refusal = backend.refusal()
    if refusal is not None:
        raise refusal.error(name)
    return backend
