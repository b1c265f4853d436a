"""What a function's items weigh is found without looking at all of them."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from allcores.ladder import probe
from allcores.ladder.probe import Probe, Unpicklable

LENGTH = 10 * probe.PART


class Counted:
    """Can be pickled, and says how often that was done."""

    pickled = 0

    def __reduce__(self) -> tuple[Any, ...]:
        Counted.pickled += 1
        return Counted, ()


def weighed(result: Any) -> Probe:
    """The probe of a function with that result."""
    found = Probe(abs)
    found.on_block([1], [result], False, 1_000_000, 1_000_000)
    found.weigh_data()
    return found


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("element", [5.5, "word", 1 << 40])
def test_part_of_a_long_list_tells_what_it_weighs(kind: Any, element: object) -> None:
    result = kind([element] * LENGTH)
    found = weighed(result).measured(1)["result_bytes"]
    assert found == pytest.approx(len(pickle.dumps(result, 5)), rel=0.05)


def test_long_list_is_weighed_whole_if_not_all_that_is_looked_at_is_plain() -> None:
    Counted.pickled = 0
    values = [[0] * (LENGTH // 2) + [Counted() for _ in range(LENGTH // 2)]]
    assert weighed(*values).measured(1)["result_bytes"] > LENGTH
    assert Counted.pickled == LENGTH // 2


def test_what_can_not_be_pickled_is_seen_wherever_in_a_long_list_it_begins() -> None:
    lock = threading.Lock()
    for begin in (1, LENGTH // 2, LENGTH - 2 * LENGTH // probe.PART):
        with pytest.raises(Unpicklable, match="unpicklable_result"):
            weighed([0] * begin + [lock] * (LENGTH - begin))


def test_cores_that_are_kept_busy_are_those_of_the_last_blocks() -> None:
    found = Probe(abs)
    found.on_block([1], [1], False, 1_000_000, 1_000_000)
    assert found.busy_cores() == 1.0
    found.on_block([1], [1], False, 1_000_000, 3_000_000)
    assert found.busy_cores() == 3.0
    found.forget()
    found.on_block([1], [1], False, 3_000_000, 6_000_000)
    assert found.busy_cores() == 2.0
