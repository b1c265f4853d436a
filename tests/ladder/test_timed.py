"""A timed function: its value, and when and where it ran."""

from __future__ import annotations

import os
import pickle
import threading
import time
from functools import partial

import pytest

from allcores.ladder.timed import Timed


def test_timed_call_gives_the_value_with_its_span() -> None:
    before_ns = time.monotonic_ns()

    (process, thread, begun_ns, ended_ns), value = Timed(divmod)(7, 2)

    assert value == (3, 1)
    assert (process, thread) == (os.getpid(), threading.get_native_id())
    assert before_ns <= begun_ns <= ended_ns <= time.monotonic_ns()


def test_exception_of_a_timed_call_passes_as_it_is() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Timed(int)("seven")


def test_timed_function_keeps_its_name_and_one_without_a_name_is_timed_too() -> None:
    assert vars(Timed(divmod))["__name__"] == "divmod"
    assert "__name__" not in vars(Timed(partial(divmod, 7)))


def test_timed_function_works_after_its_pickle() -> None:
    assert pickle.loads(pickle.dumps(Timed(divmod)))(7, 2)[1] == (3, 1)
