"""Small arrays of plain numbers take a way of their own, past the pickler: what arrives is what
`pickle` would have given."""

from __future__ import annotations

import copyreg
import multiprocessing
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from support import buffers, tasks, troubles
from support.implementations import Implementation

from allcores import ProcessPoolExecutor
from allcores._core import plain_call
from allcores.errors import TransportError
from allcores.pool import arrays as arrays_module
from allcores.pool import preview, tags

START = b"\x80\x05callcores.pool.arrays\narray_of\n"
NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
OTHERS = [">f8", ">i2", "M8[s]", "m8[ns]", "S3", "U2", "V5", "f8,i4", "g", "q", "O"]


class Sub(numpy.ndarray[Any, Any]):
    """Of this type and not a plain array."""


def numbers(count: int, dtype: str = "f8") -> Any:
    """So many, of any bytes."""
    kind = numpy.dtype(dtype)
    data = random.Random(count).randbytes(count * kind.itemsize)
    if kind.kind == "b":
        return numpy.frombuffer(data, "u1").copy() > 127
    return numpy.frombuffer(data, kind).copy()


def arrays() -> Iterator[Any]:
    """Every type in every layout, and what comes of putting them together at random."""
    for dtype in NUMBERS:
        yield from (numbers(1, dtype), numbers(7, dtype), numbers(1000, dtype))
    for length in (1023, 1024, 1025, (60 << 10) - 1, 60 << 10, 64 << 10, 65 << 10):
        yield numbers(length, "u1")
    for dtype in OTHERS:
        yield numpy.zeros(6, dtype)
    yield from odd()
    source = random.Random(11)
    for _ in range(600):
        shape = tuple(source.choice([1, 1, 2, 3, 5, 17]) for _ in range(source.randrange(5)))
        array = numpy.asarray(numbers(int(numpy.prod(shape)), source.choice(NUMBERS)))
        array = array.reshape(shape, order=source.choice("CF"))
        if source.random() < 0.2:
            array = array[tuple(slice(None, None, source.choice([1, 2, -1])) for _ in shape)]
        if source.random() < 0.2:
            array = array.T
        array = numpy.asarray(array)
        if source.random() < 0.1:
            array.flags.writeable = False
        yield array


def odd() -> Iterator[Any]:
    """Arrays for which somebody has to look twice."""
    base = numbers(400)
    yield from (
        base[::2],
        base[::-1],
        base[3:90],
        base.reshape(20, 20).T,
        base.reshape(20, 20)[:, :5],
    )
    yield from (numpy.float64(1.5) + numpy.zeros(()), numpy.zeros(0), numpy.zeros((0, 5)))
    yield from (numpy.zeros((3, 0, 2)), numpy.zeros((1,) * 32), numpy.zeros((1, 5, 1))[:, ::1])
    yield numpy.lib.stride_tricks.as_strided(base, (1, 4), (8000, 8))
    yield numbers(100, "u1")[1:81].view("f8")  # not aligned
    yield numpy.zeros(5, numpy.dtype("f8", metadata={"a": 1}))
    yield pickle.loads(pickle.dumps(numbers(20), 5))  # its type is an object of its own
    yield numpy.ma.masked_array([1.0, 2.0], [True, False])
    yield from (numpy.zeros(4).view(Sub), numpy.rec.array([(1, 2.0)]))
    fixed = numbers(10)
    fixed.flags.writeable = False
    yield fixed
    yield numpy.zeros(1, "f8")[0]


def traits(array: Any) -> tuple[Any, ...]:
    """What tells arrays apart, to the last bit."""
    dtype = array.dtype
    flags = array.flags
    data = array.tolist() if dtype.hasobject else array.tobytes(order="A")
    return (
        type(array), dtype, dtype.str, dtype.metadata and dict(dtype.metadata),
        dtype.isnative, array.shape, array.strides, flags.writeable,
        flags.c_contiguous, flags.f_contiguous, flags.aligned, data,
    )  # fmt: skip


def expected(array: Any) -> tuple[Any, ...]:
    return traits(pickle.loads(pickle.dumps(array, 5)))


def takes_the_short_way(array: Any) -> bool:
    data = plain_call((array,), {})
    return data is not None and data.startswith(START)


def test_letter_is_a_pickle_of_the_call() -> None:
    """Whoever reads it with `pickle` gets the same, from memory of its own."""
    written = 0
    for array in arrays():
        data = plain_call((array,), {})
        if data is None:
            continue
        (got,), kwargs = pickle.loads(data)
        assert traits(got) == expected(array)
        assert got.flags.owndata
        assert kwargs == {}
        written += 1
    assert written > 300


@pytest.mark.ours_only("more keywords")
def test_every_array_arrives_as_pickled(implementation: Implementation, link: str) -> None:
    with implementation.pool() as pool:
        sent = list(arrays())
        seen = [pool.submit(traits, array) for array in sent]
        echoed = [pool.submit(tasks.identity, array) for array in sent]
        named = [pool.submit(tasks.identity, value=array) for array in sent]
        for array, *futures in zip(sent, seen, echoed, named, strict=True):
            saw, one, other = (future.result(timeout=50) for future in futures)
            assert saw == expected(array)
            assert traits(one) == traits(other) == expected(array)


@pytest.mark.ours_only("more keywords")
@pytest.mark.parametrize("count", [1, 10, 1024, 7000])
def test_arrays_that_arrive_are_apart_from_each_other(
    implementation: Implementation, link: str, count: int
) -> None:
    """Changed on one side, or twice asked for, they stay as they are elsewhere."""
    array = numbers(count, "i8")
    with implementation.pool(max_workers=1) as pool:
        futures = []
        for step in range(20):
            array[0] = step
            futures.append(pool.submit(tasks.identity, array))
        got = [future.result(timeout=50) for future in futures]
        assert got[3] is futures[3].result()
        for step, each in enumerate(got):
            assert (each[0], each.flags.owndata, each.flags.writeable) == (step, True, True)
            each[:] = -1
        assert futures[0].result()[0] == -1


@pytest.mark.parametrize("dtype", NUMBERS)
def test_plain_arrays_take_the_short_way(dtype: str) -> None:
    assert takes_the_short_way(numbers(100, dtype))
    assert takes_the_short_way(numbers(100, dtype).reshape(2, 5, 10))
    assert takes_the_short_way(pickle.loads(pickle.dumps(numbers(100, dtype), 5)))


def other_arrays() -> list[Any]:
    base = numbers(400)
    fixed = base.copy()
    fixed.flags.writeable = False
    warned = numpy.broadcast_arrays(numbers(3), numpy.zeros((1, 1)))[0]  # warns when written to
    return [
        *(numpy.zeros(6, dtype) for dtype in OTHERS),
        *(base[::2], base.reshape(20, 20, order="F"), base.reshape(20, 20).T, fixed, warned),
        *(base.view(Sub), numpy.zeros(()), numpy.zeros(0), numpy.zeros((3, 0))),
        numbers(60 << 10, "u1"),
        numpy.zeros(5, numpy.dtype("f8", metadata={"a": 1})),
        numpy.float64(1.5),
    ]  # fmt: skip


def test_other_arrays_are_left_to_the_pickler() -> None:
    for array in other_arrays():
        assert plain_call((array,), {}) is None


def test_arrays_that_are_not_alone_are_left_to_the_pickler(
    implementation: Implementation,
) -> None:
    array = numbers(10)
    for args, kwargs in (
        ((array, array), {}),
        ((array, 1), {}),
        ((array,), {"a": 1}),
        ((), {"a": array}),
        (([array],), {}),
    ):
        assert plain_call(args, kwargs) is None
    with implementation.pool(max_workers=1) as pool:
        assert pool.submit(troubles.are_one, array, array).result(timeout=50)


def reduced(array: Any) -> tuple[Any, ...]:
    return str, (f"{array.size} numbers",)


def test_reducer_of_the_user_has_its_way(implementation: Implementation) -> None:
    array = numbers(10)
    assert takes_the_short_way(array)
    with implementation.pool(max_workers=1) as pool:
        pool.submit(tasks.identity, array).result(timeout=50)
        copyreg.pickle(numpy.ndarray, reduced)  # type: ignore[arg-type]
        try:
            assert plain_call((array,), {}) is None
        finally:
            del copyreg.dispatch_table[numpy.ndarray]
    assert takes_the_short_way(array)


def test_numpy_is_not_imported_for_other_values() -> None:
    code = (
        "import sys\nfrom allcores._core import plain_call\n"
        "assert plain_call(([1],), {}) is None\nassert 'numpy' not in sys.modules\n"
        "import numpy\nassert plain_call((numpy.zeros(3),), {})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_first_array_of_a_worker_without_numpy_arrives(link: str) -> None:
    """Reading it imports numpy, as unpickling does; the next one is read without the pickler."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert not pool.submit(eval, "'numpy' in __import__('sys').modules").result(timeout=50)
        for count in (10, 1000):
            array = numbers(count)
            assert traits(pool.submit(tasks.identity, array).result(timeout=50)) == traits(array)


def test_array_is_named_where_only_its_pickle_is_known() -> None:
    data = plain_call((numbers(1000),), {})
    assert isinstance(data, bytes)
    assert preview.of_call(data) == "(<ndarray>,)"


def damaged() -> Iterator[bytes]:
    letter = plain_call((numbers(6).reshape(2, 3),), {})
    assert isinstance(letter, bytes)
    head = len(START)
    data = letter.index(b"B", head + 6)
    yield from (letter[:end] for end in range(1, len(letter)))
    for old, new in ((b"<f8", b"<f9"), (b"<f8", b"|O8"), (b"<f8", b"<f4"), (b"M\2\0", b"M\3\0")):
        assert old in letter
        yield letter.replace(old, new, 1)
    yield letter.replace(b"M\2\0M\3\0", b"M\xff\xffM\xff\xff", 1)
    yield letter[: data + 1] + (47).to_bytes(4, "little") + letter[data + 5 :]
    yield letter[: data + 1] + (49).to_bytes(4, "little") + letter[data + 5 :]
    yield letter[: data + 1] + b"\xff" * 4 + letter[data + 5 :]
    yield letter.replace(b"array_of", b"array_no")


def test_damaged_letter_fails_its_task_alone(link: str) -> None:
    with ProcessPoolExecutor(1) as pool:
        pid = pool.submit(tasks.worker_pid).result(timeout=50)
        assert pool.submit(tasks.identity, numbers(5)).result(timeout=50).size == 5
        runtime = pool._runtime
        known = runtime.registered(tasks.identity)
        assert known is not None
        for letter in damaged():
            future = runtime.submit_call(known.caller, known.tag, tags.CALL, letter, None)
            assert isinstance(future.exception(timeout=50), Exception), letter
        assert pool.submit(tasks.worker_pid).result(timeout=50) == pid


class Damaged:
    """Its pickle says that it is an array, and has too few bytes for one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return arrays_module.array_of, ("<f8", (6,), bytes(40))


@pytest.mark.ours_only("one lost payload breaks no pool")
def test_damaged_result_fails_its_task_alone(implementation: Implementation, link: str) -> None:
    with implementation.pool(max_workers=1) as pool:
        with pytest.raises(TransportError, match="`40` bytes are no array"):
            pool.submit(Damaged).result(timeout=50)
        assert pool.submit(tasks.identity, numbers(5)).result(timeout=50).size == 5


def test_damaged_letter_says_what_is_wrong() -> None:
    letter = plain_call((numbers(6),), {})
    assert isinstance(letter, bytes)
    with pytest.raises(ValueError, match="`48` bytes are no array of `<f4` and shape `\\(6,\\)`"):
        pickle.loads(letter.replace(b"<f8", b"<f4", 1))


def test_arrays_of_every_layout_arrive_in_maps(implementation: Implementation, link: str) -> None:
    sent = buffers.arrays(1 << 10)
    with implementation.pool() as pool:
        for array, got in zip(sent.values(), pool.map(tasks.identity, sent.values()), strict=True):
            assert numpy.array_equal(array, got)
