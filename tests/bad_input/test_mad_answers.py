"""Answers that no worker of ours would give: the parent says so where the result was asked for, and
the pool lives on.  That pickles run code when they are read is not the point here: they come from
our own children."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import pickle
import random
from collections.abc import Iterator
from typing import Any

import pytest

import allcores
from allcores.pool import codec, logs, preview, tags, worker

BOUND_SECONDS = 30.0
RESULTS_TAGS = (tags.RESULTS, tags.APART, tags.SCALARS)
ERROR_TAGS = (tags.ERROR, tags.UNDECODED)
MEMO_OPCODE = b"r"
"""With a large number after it, unpickling takes that much memory, in every Python."""

Answer = tuple[int, bytes]


def answer(given: Answer) -> None:
    """What the workers of these tests do not even call: they answer `given`."""


def _answer_call(loaded: object, payload: bytes) -> Answer:
    given: Answer = codec.loads(payload)[-2][0]
    return given


def _answer_chunk(loaded: object, payload: bytes, **rest: object) -> Answer:
    given: Answer = codec.loads(payload)[1][0]
    return given


@contextlib.contextmanager
def mad_pool() -> Iterator[Any]:
    with allcores.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        yield pool
        assert pool.submit(answer, (tags.RESULT, pickle.dumps("alive"))).result() == "alive"


@pytest.fixture
def mad_workers(monkeypatch: pytest.MonkeyPatch, link: str) -> None:
    # What is forked from now on has it.
    monkeypatch.setattr(worker, "is_simple", lambda loaded: False)
    monkeypatch.setattr(worker, "call", _answer_call)
    monkeypatch.setattr(worker, "chunk", _answer_chunk)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Some bytes of it changed, or cut off, or something else altogether."""
    garbled = bytearray(data)
    for _ in range(rng.randrange(4)):
        if garbled:
            garbled[rng.randrange(len(garbled))] = rng.randrange(256)
    if rng.random() < 0.3:
        del garbled[rng.randrange(len(garbled) + 1) :]
    if rng.random() < 0.2:
        garbled = bytearray(rng.randbytes(rng.randrange(40)))
    return bytes(garbled).replace(MEMO_OPCODE, b"?")


def an_error() -> bytes:
    return codec.dump_exception(ValueError("as asked"))


def mad_exceptions(rng: random.Random) -> list[Answer]:
    whole = [b"", pickle.dumps(None), pickle.dumps((1, 2)), pickle.dumps((1, 2, 3))]
    whole += [pickle.dumps((("a", "b", "c"), [], body)) for body in (None, (), ("whole", b"x"))]
    whole += [mutated(rng, an_error()) for _ in range(100)]
    return [(rng.choice(ERROR_TAGS), data) for data in whole]


def mad_results(rng: random.Random) -> list[Answer]:
    lies: list[Any] = [None, 3, (), (1, 2), ([], {}), ([1], {}), ([1, 2, 3], {}), ([1, 2], None)]
    lies += [([1, 2], {7: b"?"}), ([1, 2], {-1: b"?"}), ([1, 2], {"a": b"?"}), ([None, 2], {0: 5})]
    lies += [([None, 2], {0: print}), ((1, 2), {}), ({1: 2, 3: 4}, {}), ("ab", {}), (None, {})]
    lies += [([None, 2], {0: b"no exception"}), ([b"no pickle", b""], {})]
    whole = [pickle.dumps(lie) for lie in lies]
    whole += [mutated(rng, pickle.dumps(([1, 2], {}))) for _ in range(60)]
    return [(tag, data) for data in whole for tag in RESULTS_TAGS]


def is_refusal(error: BaseException | None) -> bool:
    """What is said of an answer that can't be read, or what it happens to say itself."""
    return isinstance(error, allcores.BrokenProcessPool | allcores.RemoteError | ValueError)


@pytest.mark.usefixtures("mad_workers")
@pytest.mark.parametrize("way", ["result", "wait"])
def test_an_unreadable_exception_is_that_tasks_error(rng: random.Random, way: str) -> None:
    given = mad_exceptions(rng)
    with mad_pool() as pool:
        futures = [pool.submit(answer, each) for each in given]
        if way == "wait":
            assert concurrent.futures.wait(futures, BOUND_SECONDS).not_done == set()
        for each, future in zip(given, futures, strict=True):
            assert is_refusal(future.exception(BOUND_SECONDS)), each


@pytest.mark.usefixtures("mad_workers")
def test_an_answer_of_an_unknown_kind_is_that_tasks_error() -> None:
    with mad_pool() as pool:
        for tag in (tags.RESULTS, tags.APART, 5, 99, 2**31 - 1):
            with pytest.raises(allcores.BrokenProcessPool):
                pool.submit(answer, (tag, b"")).result(BOUND_SECONDS)


def outcomes_of(results: Iterator[Any], most: int) -> list[Any]:
    """A value or an exception for each `next`, until there are no more, or too many."""
    outcomes: list[Any] = []
    while len(outcomes) <= most:
        try:
            outcomes.append(next(results))
        except StopIteration:
            break
        except BaseException as error:
            outcomes.append(error)
    return outcomes


@pytest.mark.usefixtures("mad_workers")
@pytest.mark.parametrize("keeps", [False, True], ids=["raises", "return_exceptions"])
def test_unreadable_results_of_a_chunk_leave_no_item_without_an_outcome(
    rng: random.Random, keeps: bool
) -> None:
    with mad_pool() as pool:
        for given in [*mad_results(rng), *mad_exceptions(rng)[:40], (99, b"")]:
            results = pool.map(answer, [given, given], chunksize=2, return_exceptions=keeps)
            outcomes = outcomes_of(results, 2)
            assert len(outcomes) == 2, (given, outcomes)
            failed = [each for each in outcomes if isinstance(each, BaseException)]
            assert all(map(is_refusal, failed)), (given, failed)


def test_words_that_are_no_log_record_are_lost_alone(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    record = logging.LogRecord("allcores.test", logging.WARNING, "here", 1, "said", None, None)
    with caplog.at_level(logging.ERROR, "allcores"):
        for data in [b"", pickle.dumps(3), pickle.dumps({"name": 3, "levelno": "x"})]:
            logs.handle(data)
        for _ in range(100):
            logs.handle(mutated(rng, logs.dump(record)))


def test_any_bytes_have_a_preview(rng: random.Random) -> None:
    seeds = [
        pickle.dumps(((1, "two", [3.0], {"four": b"5"}), {"key": {6}})),
        pickle.dumps((0, [(1, 2), complex(1, 2), range(3)])),
        codec.Encoder().dumps((0, [random.Random, rng])),
    ]
    for _ in range(500):
        data = mutated(rng, rng.choice(seeds))
        for text in (preview.of_call(data), preview.of_item(data, rng.randrange(3))):
            assert isinstance(text, str)
            assert len(text) <= 200
