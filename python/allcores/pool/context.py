"""Context variables on their way with a task.

An executor made with `context_vars=(var, ...)` sends the values that these variables have in the
caller's context: of `submit` at that call, of `map` at the call of `map`. In the worker the call
runs in a context in which they are set, the caller's others of them are not, and which ends with
it (the items of one chunk of a map share it).

Values travel with their variable's position in the executor's tuple. Each worker is given the
tuple when it starts; there it holds the worker's own variables (`variables`), the very objects
that tasks refer to.

```
   payload:  length │ pickle of [(position, value), …] │ payload without context
```

Such a payload is marked by its tag (`tags.IN_CONTEXT`).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Context, ContextVar, copy_context

from .._core import Delivery
from . import tags
from .apart import Arrived, Loose, Packed, loads
from .variables import token_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    Variables = tuple[ContextVar[Any], ...]

    class Encoder(Protocol):
        """What pickles for workers."""

        def dumps(self, value: object) -> bytes: ...


_LENGTH = 8


def check(variables: Iterable[ContextVar[Any]]) -> Variables:
    """The variables as a tuple; `TypeError` if something else is among them."""
    checked = tuple(variables)
    for each in checked:
        if not isinstance(each, ContextVar):
            raise TypeError(f"`context_vars` must hold context variables, not `{each!r}`")
        token_of(each)
    return checked


def take(variables: Variables, encoder: Encoder) -> bytes:
    """The pickle of the values that are set in the current context.

    A value that can't be pickled raises, with a note that names its variable.
    """
    context = copy_context()
    found = [(at, context[each]) for at, each in enumerate(variables) if each in context]
    try:
        return encoder.dumps(found)
    except Exception as error:
        for at, value in found:
            if not _can_be_pickled(value, encoder):
                error.add_note(f"in the value of the context variable `{variables[at].name}`")
                break
        raise


def _can_be_pickled(value: object, encoder: Encoder) -> bool:
    try:
        encoder.dumps(value)
    except Exception:
        return False
    return True


def lay_before(values: bytes, tag: int, payload: Packed) -> tuple[int, Packed]:
    """The tag and the payload of a batch that runs with these values (of `take`)."""
    if not values:
        return tag, payload
    before = [len(values).to_bytes(_LENGTH), values]
    if isinstance(payload, Loose):
        return tag | tags.IN_CONTEXT, payload.after(before)
    return tag | tags.IN_CONTEXT, b"".join((*before, payload))


# The worker's side.
# ------------------------------------------------------------------------------------------

_adopted: Variables = ()


def adopt(variables: Variables) -> None:
    """The executor's variables as this worker has them."""
    global _adopted
    _adopted = variables


def unwrap(payload: Arrived) -> tuple[Context, Arrived]:
    """The context in which a batch is to run, and its payload; raises what unpickling raises."""
    view: Any = payload.stream() if isinstance(payload, Delivery) else memoryview(payload)
    end = _LENGTH + int.from_bytes(view[:_LENGTH])
    values = loads(view[_LENGTH:end])
    context = Context()
    for variable, value in copy_context().items():
        if variable not in _adopted:  # what the caller has not set, is not set
            context.run(variable.set, value)
    for at, value in values:
        context.run(_adopted[at].set, value)
    return context, payload.after(end) if isinstance(payload, Delivery) else view[end:]
