"""Our executor is a subclass of the standard one, which is not imported for that alone.

Libraries ask `isinstance(executor, concurrent.futures.ProcessPoolExecutor)`. Nothing of that class
is used by ours, and importing its module, with the queues and connections it wants, takes as long
as half of our own. So it becomes the base class when somebody imports it: whoever can name it finds
it among the bases.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

STANDARD = "concurrent.futures.process"


def standard_executor(otherwise: type) -> type:
    """The standard library's class, if it has been imported."""
    module = sys.modules.get(STANDARD)
    found: type = otherwise if module is None else module.ProcessPoolExecutor
    return found


def keep(executor: type) -> None:
    """Makes this class a subclass of the standard one, now or when that comes to be."""
    if STANDARD not in sys.modules:
        sys.meta_path.insert(0, _Watch(executor))


class _Watch:
    """Finds no module, and sees the one being imported."""

    def __init__(self, executor: type) -> None:
        self._executor = executor

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != STANDARD:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                self._follow(spec.loader)
                return spec
        return None

    def _follow(self, loader: Any) -> None:
        load = loader.exec_module

        def load_and_adopt(module: ModuleType) -> None:
            load(module)
            first, *others = self._executor.__bases__
            standard: Any = vars(module)["ProcessPoolExecutor"]
            if issubclass(standard, first):
                self._executor.__bases__ = (standard, *others)

        loader.exec_module = load_and_adopt
