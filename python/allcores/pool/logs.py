"""Log records of workers, handled in the parent.

```
   worker: logger ──► root ──► Forwarder ──say(bytes)──► parent: getLogger(name).handle(record)
```

In a worker of an executor made with `forward_logs=True` every logger hands its records to the root
logger, whose only handler sends them. So the handlers, filters and formatters that the user has set
up see them, once, in the order in which the worker made them, and before the result of the task
that made them. A worker's loggers have the levels that the parent's had when it started; the
parent's levels of the moment decide, too.

What a record holds beside text is made text, as `logging.handlers.QueueHandler` does, save that
message, traceback and stack stay apart, for formatters that want them so. An attribute (`extra`)
that can't be pickled is sent as its `repr`.

Imported only by those who forward.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

from . import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Voice(Protocol):
        """Brings words to the parent beside the answers; the engine's `Port`."""

        def say(self, payload: bytes) -> None:
            """Sends them; from any thread."""


_log = logging.getLogger("allcores")
_formatter = logging.Formatter()


class Levels:
    """The levels of a process's loggers.

    Attributes:
        disabled: what `logging.disable` was called with.
        root: the root logger's.
        named: by name, of the others that have one.
    """

    __slots__ = ("disabled", "named", "root")

    def __init__(self, disabled: int, root: int, named: dict[str, int]) -> None:
        self.disabled = disabled
        self.root = root
        self.named = named


# The parent's side.
# ------------------------------------------------------------------------------------------


def levels() -> Levels:
    """The levels in this process, for a worker."""
    root = logging.getLogger()
    named = {name: logger.level for name, logger in _loggers().items() if logger.level}
    return Levels(root.manager.disable, root.level, named)


def handle(payload: bytes) -> None:
    """Gives a record that a worker has sent to the logger of its name. Never raises."""
    try:
        record = logging.makeLogRecord(codec.loads(payload))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception:
        _log.exception("a log record of a worker was lost")


# The worker's side.
# ------------------------------------------------------------------------------------------


# A fork's handlers are kept, silent: closing them would touch files that are the parent's.
_former_handlers: list[logging.Handler] = []


def forward(voice: Voice, given: Levels) -> None:
    """Has all records of this process sent to the parent from now on."""
    root = logging.getLogger()
    for logger in (root, *_loggers().values()):
        _former_handlers.extend(logger.handlers)
        logger.handlers.clear()
    root.addHandler(Forwarder(voice))
    root.setLevel(given.root)
    for logger in _loggers().values():
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name, level in given.named.items():
        logging.getLogger(name).setLevel(level)
    logging.disable(given.disabled)


class Forwarder(logging.Handler):
    """Sends records."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._voice.say(dump(record))
        except Exception:
            self.handleError(record)


def dump(record: logging.LogRecord) -> bytes:
    """The bytes of a record; the record itself is left as it is."""
    prepared = copy.copy(record)
    prepared.msg, prepared.args = record.getMessage(), None
    if record.exc_info and not record.exc_text:
        prepared.exc_text = _formatter.formatException(record.exc_info)
    prepared.exc_info = None
    attributes = vars(prepared)
    try:
        return codec.dumps_result(attributes)
    except Exception:
        return codec.dumps_result(_portable(attributes))


def _portable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in attributes.items():
        try:
            codec.dumps_result(value)
        except Exception:
            value = codec.argument_text(value)
        found[name] = value
    return found


def _loggers() -> dict[str, logging.Logger]:
    known = dict(logging.getLogger().manager.loggerDict)
    return {name: each for name, each in known.items() if isinstance(each, logging.Logger)}
