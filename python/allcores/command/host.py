"""What the command line's program asks of Python. Each method imports what it needs, when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import target
from .target import Failed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Host:
    """Answers."""

    refused = Refused

    def __init__(self) -> None:
        self._types: dict[str, Any] = {}

    def words(self, error: BaseException) -> str:
        """What went wrong, for the user."""
        if isinstance(error, Failed):
            return str(error)
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        return f"{type(error).__name__}: {error}{notes}"

    def fingerprint(self, where: str) -> str:
        """Imports the function; what tells its code from another's."""
        import sys

        # What an import prints comes in its order beside what is written past Python.
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
        return target.fingerprint(where)

    def open(
        self,
        feed: Iterable[Any],
        *,
        target: str,
        name: str,
        source: str,
        drain: str,
        calling: str,
        header: bytes | None,
        backend: str,
        workers: int | None,
        timeout: float | None,
        retries: int,
        ordered: bool,
        trace: str | None,
    ) -> Iterator[Any]:
        """What comes of the items of `feed`: bytes, tuples for failures, exceptions of the pool."""
        import re

        from ..errors import WorkerDied
        from ..ladder.mapping import map
        from .job import Job

        if drain == "parquet":
            from . import tables

            tables._parquet()
        if header is not None:
            from .formats import columns

            names = columns(header)
            for column in names:
                if names.count(column) > 1:
                    raise Refused(
                        f"the header of `{name}` names `{column}` twice\nhint: rename one of them"
                    )
        job = Job(target, source, drain, calling, header, retries, ordered)
        try:
            # What the function raises is tried again by the job itself.
            return map(
                job,
                feed,
                backend=backend,
                max_workers=workers,
                ordered=ordered,
                timeout=timeout,
                retries=retries,
                retry_on=(TimeoutError, WorkerDied),
                return_exceptions=True,
                trace=trace,
            )
        except (ValueError, TypeError, NotImplementedError) as error:
            # Its hints are for programs.
            words = re.sub(r"`backend='(\w+)'`", r"`--backend \1`", str(error))
            raise Refused(words) from error

    def failure(self, error: BaseException, ordered: bool) -> tuple[str, str, str, str, int | None]:
        """What became of an item for which the pool has no result: kind, message, stack, record,
        and its position if that is known.
        """
        from .job import recorded

        message = str(error)
        index, argument = getattr(error, "index", None), getattr(error, "argument", None) or ""
        # The pool counts the items of this run, the user those of the file.
        message = message.replace(f"(index {index}, {argument})", "")
        stack = getattr(error, "stack", None) or ""
        return type(error).__name__, message, stack, recorded(argument, ordered), index

    def rows(self, path: str) -> int:
        """How many rows a table has."""
        from . import tables

        return tables.rows(path)

    def table(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of a table."""
        from . import tables

        self._types = tables.types(path)
        return tables.read(path)

    def write_table(self, spool: str, path: str, indexed: bool) -> None:
        """Makes a table of the frames in `spool`."""
        from . import tables

        tables.write(spool, path, indexed, self._types)

    def facts(self) -> list[tuple[str, str, str, str]]:
        """Name, value, state (`good`, `note` or `bad`) and hint."""
        from . import checkup

        return [(fact.name, fact.value, fact.state, fact.hint) for fact in checkup.facts()]

    def compare(self, **told: Any) -> str:
        """Measures a function on every rung; the words for it."""
        from . import measuring

        return measuring.compare(**told)

    def explain(self, **told: Any) -> str:
        """What could be gained by which rung, and what stands in the way."""
        from . import measuring

        return measuring.explain(**told)
