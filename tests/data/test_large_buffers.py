"""Large buffers cross in shared memory: what arrives is what was sent, at every size alike."""

from __future__ import annotations

import pickle
import resource
import sys
from array import array
from functools import partial
from typing import Any

import numpy
import pytest
from support import buffers, tasks
from support.implementations import Implementation
from support.memory import MIB

SIZES = [1 << 12, 1 << 17, 3 << 20]


def same(sent: Any, got: Any) -> bool:
    """Whether a buffer arrived as it was sent."""
    if isinstance(sent, numpy.ndarray):
        return (
            type(got) is type(sent)
            and got.shape == sent.shape
            # Older protocols change the order of bytes, and nothing else.
            and got.dtype.newbyteorder("=") == sent.dtype.newbyteorder("=")
            and numpy.array_equal(got, sent)
        )
    return type(got) is type(sent) and bool(got == sent)


@pytest.mark.parametrize("size", SIZES)
def test_c39_arrays_of_every_layout_arrive_as_they_are(
    implementation: Implementation, link: str, size: int
) -> None:
    with implementation.pool() as pool:
        sent = buffers.arrays(size)
        got = dict(zip(sent, pool.map(tasks.identity, sent.values()), strict=True))
        one_by_one = {name: pool.submit(tasks.identity, sent[name]).result() for name in sent}
    for name, value in sent.items():
        assert same(value, got[name]), name
        assert same(value, one_by_one[name]), name


@pytest.mark.ours_only("more keywords")
@pytest.mark.parametrize("size", SIZES)
def test_c39_buffers_of_the_interpreter_arrive_as_they_are(
    implementation: Implementation, link: str, size: int
) -> None:
    """The standard pool does not take a `memoryview`."""
    with implementation.pool() as pool:
        for name, value in buffers.plain(size).items():
            got = pool.submit(tasks.identity, value).result()
            assert same(value, got), name
            if isinstance(value, memoryview):
                assert (got.format, got.shape, got.readonly) == (
                    value.format, value.shape, value.readonly,
                )  # fmt: skip


@pytest.mark.parametrize("size", [900_000, 1_100_000, 1 << 10, 5 << 20])
def test_c38_a_task_may_write_to_its_argument_whatever_its_size(
    implementation: Implementation, link: str, size: int
) -> None:
    with implementation.pool() as pool:
        for values in (numpy.arange(size // 8), array("q", range(size // 8)), bytearray(size)):
            last = values[-1]
            assert pool.submit(buffers.write_first, values).result() == (99, last)
            assert values[0] == 0, "the caller's own stays as it is"
            result = pool.submit(tasks.identity, values).result()
            result[0] = 5
            assert result[0] == 5


@pytest.mark.ours_only("more keywords")
@pytest.mark.parametrize("size", SIZES)
def test_c38_what_is_read_only_arrives_read_only(implementation: Implementation, size: int) -> None:
    """With the standard pool that depends on the protocol."""
    values = numpy.zeros(size)
    values.flags.writeable = False
    with implementation.pool() as pool:
        assert not pool.submit(buffers.is_writable, values).result()
        assert not pool.submit(tasks.identity, values).result().flags.writeable


@pytest.mark.ours_only("more keywords")
def test_a_task_sees_its_argument_as_it_was_when_it_was_submitted(
    implementation: Implementation, link: str
) -> None:
    """The standard pool pickles when it comes to it."""
    values = numpy.zeros(MIB // 8)
    with implementation.pool() as pool:
        futures = []
        for step in range(30):
            values[0] = step
            futures.append(pool.submit(buffers.first_of, values))
        assert [future.result() for future in futures] == list(range(30))


def test_what_a_worker_keeps_stays_as_it_is(implementation: Implementation, link: str) -> None:
    values = numpy.zeros(MIB // 8)
    with implementation.pool(max_workers=1) as pool:
        for step in range(20):
            values[0] = step
            assert pool.submit(buffers.keep, values).result() == step + 1
        assert pool.submit(buffers.first_of_kept).result() == list(range(20))


def test_results_that_are_kept_stay_as_they_are(implementation: Implementation, link: str) -> None:
    """More of them than may be mapped at a time."""
    with implementation.pool() as pool:
        kept = list(pool.map(buffers.large, range(400), chunksize=7))
        again = list(pool.map(buffers.large, range(1000, 1100)))
    assert [each[0] for each in kept] == list(range(400))
    assert [each[-1] for each in again] == list(range(1000, 1100))
    kept[0][:] = 3.0
    assert kept[1][0] == 1.0


def test_more_arrays_wait_than_there_are_descriptors_for(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool() as pool:
        futures = [pool.submit(buffers.first_of, buffers.large(seed)) for seed in range(700)]
        assert [future.result() for future in futures] == list(range(700))


def test_more_results_wait_than_there_are_descriptors_for(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool() as pool:
        futures = [pool.submit(buffers.large, seed) for seed in range(1500)]
        futures += [pool.submit(buffers.large_bytes, 200_000) for _ in range(1500)]
        assert futures[-1].result()[-1] == 0
        results = [future.result() for future in futures]
    assert [each[-1] for each in results] == [*range(1500), *[0] * 1500]


def test_a_chunk_may_have_more_buffers_than_go_beside_it(
    implementation: Implementation, link: str
) -> None:
    many = [numpy.full(20_000, float(seed)) for seed in range(100)]
    with implementation.pool() as pool:
        got = list(pool.map(tasks.identity, many, chunksize=100))
        (together,) = pool.map(tasks.identity, [many])
    assert all(same(sent, found) for sent, found in zip(many, got, strict=True))
    assert all(same(sent, found) for sent, found in zip(many, together, strict=True))


def test_one_array_twice_in_a_call_is_one_array_there(implementation: Implementation) -> None:
    values = numpy.arange(MIB // 8)
    with implementation.pool() as pool:
        one, other = pool.submit(tasks.identity, (values, values)).result()
    assert one is other
    assert same(values, one)


@pytest.mark.ours_only("functions travel by value")
def test_arrays_go_along_with_functions_of_every_kind(
    implementation: Implementation, link: str
) -> None:
    values = numpy.arange(MIB // 8)
    with implementation.pool() as pool:
        assert pool.submit(lambda: values[7]).result() == 7
        assert pool.submit(partial(buffers.item_of, values), 8).result() == 8
        assert pool.submit(buffers.item_of, index=9, values=values).result() == 9
        assert list(pool.map(partial(buffers.item_of, values), range(100))) == list(range(100))


@pytest.mark.ours_only("running tasks can be stopped")
def test_each_try_gets_the_array_anew(implementation: Implementation, link: str) -> None:
    values = numpy.zeros(MIB // 8)
    with implementation.pool() as pool:
        careful = pool.options(retries=3, retry_on=(ValueError,))
        assert careful.submit(buffers.spoil_and_raise, values, 2).result() == 0.0
        assert (
            list(careful.map(partial(buffers.spoil_and_raise, left=0), [values] * 3)) == [0.0] * 3
        )


@pytest.mark.ours_only("a lost worker costs one task")
def test_an_array_goes_to_another_worker_when_one_has_died(implementation: Implementation) -> None:
    values = numpy.arange(MIB // 8)
    with implementation.pool(on_worker_death="replace") as pool:
        futures = [pool.submit(buffers.sum_unless, step == 3, values) for step in range(12)]
        results = [future.exception() or future.result() for future in futures]
    assert isinstance(results.pop(3), implementation.module.BrokenExecutor)
    assert results == [float(values.sum())] * 11


@pytest.mark.ours_only("contexts travel")
def test_arrays_go_along_with_context_variables(implementation: Implementation) -> None:
    values = numpy.arange(MIB // 8)
    token = buffers.PLACE.set("here")
    try:
        with implementation.pool(context_vars=(buffers.PLACE,)) as pool:
            assert pool.submit(buffers.place_and_last, values).result() == ("here", values[-1])
            assert (
                list(pool.map(buffers.place_and_last, [values] * 2)) == [("here", values[-1])] * 2
            )
    finally:
        buffers.PLACE.reset(token)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.ours_only("more keywords")
def test_c44_the_statistics_of_bytes_are_true(implementation: Implementation) -> None:
    """Told by how much memory there is of it."""
    size = 32 * MIB
    values = numpy.ones(size // 8)
    with implementation.pool() as pool:
        pool.submit(buffers.pages_of, values[:1000]).result()
        before = pool.stats()
        for _ in range(10):
            pool.submit(buffers.pages_of, values).result()
        stats = pool.stats()
        copied = stats["bytes_copied"] - before["bytes_copied"]
        assert size <= copied < size + MIB, "written once"
        assert stats["bytes_saved"] - before["bytes_saved"] == 9 * size
        assert stats["bytes_mapped"] - before["bytes_mapped"] == 10 * size
        results = [pool.submit(tasks.identity, values).result() for _ in range(3)]
        after = pool.stats()
        assert after["bytes_copied"] - stats["bytes_copied"] < 3 * size + MIB
        assert after["bytes_mapped"] - stats["bytes_mapped"] == 6 * size
        assert all(same(values, result) for result in results)


@pytest.mark.ours_only("more keywords")
def test_over_sockets_large_buffers_are_copied_and_not_mapped(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written for the first of these calls, and copied for each of them, both ways."""
    monkeypatch.setenv("ALLCORES_LINK", "stream")
    size = 4 * MIB
    values = numpy.ones(size // 8)
    with implementation.pool() as pool:
        for _ in range(3):
            assert same(values, pool.submit(tasks.identity, values).result())
        stats = pool.stats()
    assert stats["bytes_mapped"] == 0
    assert 7 * size <= stats["bytes_copied"] < 7 * size + MIB
    assert stats["bytes_saved"] == 2 * size


def test_pickles_of_buffers_have_no_secrets() -> None:
    """What is not beside a stream is in it: these pickles are ordinary ones."""
    from allcores.pool.codec import Encoder

    for value in [*buffers.plain(1 << 10).values(), *buffers.arrays(1 << 10).values()]:
        packed = Encoder().pack(value)
        assert isinstance(packed, bytes)
        assert same(value, pickle.loads(packed))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library is glibc's there")
@pytest.mark.ours_only("large results use pages again")
def test_large_bytes_that_come_one_by_one_use_the_same_pages(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool(max_workers=1) as pool:
        data = bytes(MIB)
        for _ in range(3):
            pool.submit(tasks.identity, data).result()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            pool.submit(tasks.identity, data).result()
        new = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert new < 20 * (MIB // resource.getpagesize()) // 4
