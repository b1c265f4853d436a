"""What the engine's opaque tags mean: the two ends' agreement on payloads.

Parent to worker: `CALL`, `MAP`, `STARMAP`. Worker to parent: the others. A registered
function is not in the payload; without one, `CALL` carries it in front of the arguments.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CALL: Final = 0
"""`(args, kwargs)`, or `(fn, args, kwargs)` when no registered function is named."""
MAP: Final = 1
"""`(first index, items)`, the function is called with each item; `(.., fn)` likewise."""
STARMAP: Final = 2
"""As `MAP`, each item is a tuple of arguments."""
IN_CONTEXT: Final = 16
"""Added to one of the above: the payload begins with the values of context variables."""

RESULT: Final = 0
"""The value, pickled."""
ERROR: Final = 1
"""The exception the call raised, as the codec writes exceptions."""
UNDECODED: Final = 2
"""The exception raised while the task was unpickled; the call was not made."""
RESULTS: Final = 3
"""`(values, errors)` of a chunk: values in order with None where an error is, errors as
a dict from position to exception, as the codec writes it."""
APART: Final = 4
"""As `RESULTS`, each value is a pickle of its own (empty where an error is)."""
SCALARS: Final = 5
"""The values of a chunk without errors: a pickled list of scalars."""
