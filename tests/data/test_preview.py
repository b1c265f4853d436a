"""The short text of arguments that must not be unpickled."""

from __future__ import annotations

import collections
import copyreg
import enum
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from support import tasks

from allcores.pool import preview
from allcores.pool.codec import Encoder

made: list[object] = []


class Point:
    def __init__(self) -> None:
        made.append(self)
        self.x = 1

    def __setstate__(self, state: object) -> None:
        made.append(state)


class Numbers(list[int]):
    def __reduce__(self) -> Any:
        return Numbers, (), {"a": 1}, iter([1, 2]), None

    def append(self, value: int) -> None:
        made.append(value)


class Table(dict[str, int]):
    def __setitem__(self, key: str, value: int) -> None:
        made.append(key)


class Slotted:
    __slots__ = ("a",)


class Colour(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "first second")


@pytest.fixture(autouse=True)
def nothing_of_the_users_runs() -> Iterator[None]:
    yield
    assert made == []


def text(*args: object, **kwargs: object) -> str:
    payload = Encoder().dumps((args, kwargs))
    made.clear()
    return preview.of_call(payload)


def test_numbers_strings_and_containers_are_shown() -> None:
    assert text(3, [1, {"a": None}, True], {2}) == "(3, [1, {'a': None}, True], {2})"
    assert text() == "()"
    assert text(1) == "(1,)"
    assert text(range(3), 1j, frozenset([1])) == "(range(0, 3), 1j, frozenset({1}))"


def test_keywords_are_shown() -> None:
    assert text(1, key=2, other=[3]) == "(1, key=2, other=[3])"
    assert text(key=2) == "(key=2)"


def test_function_in_front_is_left_out() -> None:
    assert preview.of_call(Encoder().dumps((tasks.add_one, (3,), {}))) == "(3,)"


def test_objects_are_named() -> None:
    assert text(3, [1, 2, Point()]) == "(3, [1, 2, <Point>])"
    assert text(Numbers(), Table(a=1)) == "(<Numbers>, <Table>)"
    assert text(Slotted(), Colour.RED, Pair(1, 2)) == "(<Slotted>, <Colour>, <Pair>)"
    assert text(tasks.add_one, Point, ValueError("x")) == "(<add_one>, <Point>, <ValueError>)"
    assert text(collections.OrderedDict(a=1), collections.deque([1])) == "(<OrderedDict>, <deque>)"
    assert text({Point(): 1}) == "({<Point>: 1},)"


def test_what_travels_by_value_is_named() -> None:
    class Local:
        pass

    def local() -> None:
        pass

    assert text(Local(), Local, local, lambda: 1) == "(<Local>, <Local>, <function>, <function>)"


@pytest.mark.parametrize("end", tasks.ENDS)
def test_payload_that_ends_whoever_unpickles_it_is_harmless(end: str) -> None:
    function = {"dies": "die", "leaves": "leave", "raises": "fail", "exits": "system_exit"}[end]
    assert text(1, tasks.EndsWhenUnpickled(end)) == f"(1, <{function}>)"


def test_buffers_and_persistent_ids_are_stand_ins() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return "kept" if isinstance(value, Slotted) else None

    file = io.BytesIO()
    Pickler(file, 5).dump(((Slotted(), 1), {}))
    assert preview.of_call(file.getvalue()) == "(<object>, 1)"
    outside = pickle.PickleBuffer(b"data")
    payload = pickle.dumps(((outside, 1), {}), 5, buffer_callback=lambda each: None)
    assert preview.of_call(payload) == "(b'', 1)"


def test_what_is_large_is_described_by_its_size_and_nothing_is_long() -> None:
    assert text(b"x" * 1_500_000) == "<1.5 MB of arguments>"
    assert text(b"x" * 250_000).startswith("(b'xxx")
    assert len(text(*["word" * 10] * 50, key="value" * 50)) <= 120


def test_what_can_not_be_read_is_an_ellipsis() -> None:
    assert preview.of_call(b"no pickle") == "…"
    assert preview.of_call(pickle.dumps(1)) == "…"
    assert preview.of_item(pickle.dumps((0, [1])), 7) == "…"


def test_registered_extension_codes_are_left_alone() -> None:
    copyreg.add_extension(Slotted.__module__, "Slotted", 0x7FFF_0001)
    try:
        payload = pickle.dumps(((Slotted(),), {}), 5)
        assert preview.of_call(payload) == "…"
        assert type(pickle.loads(payload)[0][0]) is Slotted
    finally:
        copyreg.remove_extension(Slotted.__module__, "Slotted", 0x7FFF_0001)


def test_item_of_a_chunk_is_shown() -> None:
    payload = Encoder().dumps((100, ["a", Slotted(), (1, 2)]))
    assert [preview.of_item(payload, at) for at in range(3)] == ["'a'", "<Slotted>", "(1, 2)"]
