"""Small plain values take a way of their own, past the pickler: what arrives is what `pickle` would
have given, to the type and the sign of a zero."""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from support import tasks, troubles
from support.implementations import Implementation

from allcores._core import plain_call

POWERS = [sign * 2**power + near for power in range(72) for sign in (1, -1) for near in (-1, 0, 1)]
FLOATS = [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan")]
TEXTS = ["", "a", "ä", "€", "𝄞", "\0", "\ud800", "__main__", "x" * 255, "x" * 256, "é" * 128]
BYTES = [b"", b"\0", b"__main__", b"." * 255, b"." * 256, b"." * 5000]


class Text(str):
    """Of this type and not plain text."""


class Number(int):
    """Of this type and not a plain number."""


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = (value,)
    return value


def values() -> Iterator[Any]:
    """One of each kind, and what comes of putting them together at random."""
    simple = [*POWERS, *FLOATS, *TEXTS, *BYTES, None, True, False, Text("a"), Number(1)]
    yield from simple
    yield from (deep(depth) for depth in range(12))
    yield from ((1,) * length for length in (0, 1, 2, 3, 4, 255, 256, 1000))
    shared = [1]
    yield (shared, shared)
    yield from ([], {}, [[]], [1, "a", None], {"a": 1, 2: (3,)}, {(1, 2): 3}, {None: 1}, {1.5: 2})
    yield from ({True: 1}, set(), {1}, frozenset({1}), 1j, range(3), bytearray(b"a"), ..., int)
    source = random.Random(7)
    for _ in range(2_000):
        yield mixed(source, simple, 4)


def mixed(source: random.Random, simple: list[Any], depth: int) -> Any:
    kind = source.randrange(6) if depth else 0
    some = [mixed(source, simple, depth - 1) for _ in range(source.randrange(4) if kind else 0)]
    if kind < 3:
        return source.choice(simple)
    return tuple(some) if kind == 3 else some if kind == 4 else dict(enumerate(some))


def exactly(value: Any) -> Any:
    """What tells values apart that are equal: types, signs of zeroes, the order of keys."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack("d", value)
    if kind in (tuple, list):
        return kind, [exactly(item) for item in value]
    if kind is dict:
        return kind, [(exactly(key), exactly(item)) for key, item in value.items()]
    return kind, value


def test_bytes_of_a_plain_call_are_a_pickle_of_it() -> None:
    written = 0
    for value in values():
        kwargs = {"name": value}
        data = plain_call((value, 1), kwargs)
        if data is not None:
            assert exactly(pickle.loads(data)) == exactly(((value, 1), kwargs))
            written += 1
    assert written > 1_000


@pytest.mark.parametrize(
    "value", [[1], {}, Text("a"), Number(1), 2**63, "x" * 256, "\ud800", deep(9)]
)
def test_what_is_not_plain_is_left_to_the_pickler(value: object) -> None:
    assert plain_call((value,), {}) is None


def test_large_calls_are_left_to_the_pickler() -> None:
    assert plain_call((1,) * 10_000, {}) is None


def test_every_value_arrives_as_it_is(implementation: Implementation, link: str) -> None:
    """There and back, as a positional and as a named argument."""
    with implementation.pool() as pool:
        pairs = [(value, pool.submit(tasks.identity, value)) for value in values()]
        pairs += [(value, pool.submit(tasks.identity, value=value)) for value in values()]
        for value, future in pairs:
            assert exactly(future.result(timeout=50)) == exactly(value)


def test_object_that_is_there_twice_arrives_as_one(implementation: Implementation) -> None:
    shared = [1]
    with implementation.pool(max_workers=1) as pool:
        first, second = pool.submit(tasks.identity, (shared, shared)).result(timeout=50)
        assert first is second
        assert pool.submit(troubles.are_one, shared, shared).result(timeout=50)


def some_raise(number: int) -> Any:
    """A result of another kind every now and then, or an exception, `StopIteration` among them."""
    if number % 7 == 3:
        raise StopIteration(number)
    if number % 11 == 5:
        raise ValueError(number)
    return [number] if number % 5 == 2 else number


def outcome(call: Any, number: int) -> Any:
    try:
        return exactly(call(number))
    except BaseException as error:
        return type(error), error.args


@pytest.mark.ours_only("maps go on after an exception")
@pytest.mark.parametrize("chunksize", [None, 1, 7, 1_000])
@pytest.mark.parametrize("start", [0, 3, 4, 200])
def test_chunk_of_numbers_gives_what_each_call_gives(
    implementation: Implementation, link: str, chunksize: int | None, start: int
) -> None:
    """Whatever in the middle of a chunk turns out not to be plain."""
    options = {} if chunksize is None else {"chunksize": chunksize}
    numbers = range(start, start + 2_500)
    with implementation.pool() as pool:
        results = list(pool.map(some_raise, numbers, return_exceptions=True, **options))
    found = [
        (type(result), result.args) if isinstance(result, BaseException) else exactly(result)
        for result in results
    ]
    assert found == [outcome(some_raise, number) for number in numbers]


@pytest.mark.ours_only("errors name the argument")
def test_failure_in_a_chunk_of_numbers_is_named(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        results = list(pool.map(some_raise, range(100, 200), chunksize=50, return_exceptions=True))
    error = next(result for result in results if isinstance(result, ValueError))
    (note,) = error.__notes__
    assert "index 4" in note


@pytest.mark.parametrize("chunksize", [1, 3, 5_000])
def test_every_item_of_a_map_arrives_as_it_is(
    implementation: Implementation, link: str, chunksize: int
) -> None:
    """Chunks of scalars alone, and mixed ones."""
    scalars = [value for value in values() if not isinstance(value, tuple | list | dict)]
    with implementation.pool() as pool:
        for items in (scalars, list(range(3_000)), FLOATS * 100, TEXTS[:5] * 40, list(values())):
            results = list(pool.map(tasks.identity, items, chunksize=chunksize))
            assert [exactly(result) for result in results] == [exactly(item) for item in items]


def test_items_taken_in_two_threads_are_all_there(implementation: Implementation) -> None:
    import threading

    with implementation.pool() as pool:
        results = iter(pool.map(tasks.add_one, range(5_000), chunksize=100))
        lock, taken = threading.Lock(), []

        def take() -> None:
            while True:
                with lock:
                    number = next(results, None)
                if number is None:
                    return
                taken.append(number)

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == list(range(1, 5_001))


LENGTHS = [255, 256, 1000, 1020, 8 << 10, (60 << 10) - 1, 60 << 10, 1 << 20]


@pytest.mark.parametrize("length", LENGTHS)
def test_lone_bytes_of_every_length_arrive(
    implementation: Implementation, link: str, length: int
) -> None:
    value = bytes(range(256)) * (length // 256 + 1)
    value = value[:length]
    with implementation.pool() as pool:
        assert pool.submit(tasks.identity, value).result() == value
        assert list(pool.map(tasks.identity, [value] * 3)) == [value] * 3


def test_one_object_that_is_there_twice_is_not_taken_for_lone_bytes() -> None:
    value = b"x" * 5000
    assert plain_call((value, value), {}) is None
    assert plain_call((value,), {"name": value}) is None
    data = plain_call((value,), {})
    assert data is not None
    assert pickle.loads(data) == ((value,), {})
