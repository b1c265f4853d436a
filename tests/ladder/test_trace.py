"""`trace="file.json"`: what ran when, on every rung, as Perfetto reads it."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support import rungs

import allcores
from allcores.ladder.trace import Trace

Event = dict[str, Any]
ITEMS = 40


def double(number: int) -> int:
    return 2 * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise LookupError("three")
    return number


def die_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class NamesAProcess(Exception):
    """Has a `pid` that says nothing about a worker, as psutil's errors have."""

    pid = "none of ours"


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoReturn:
    """Pickles, and can't be rebuilt."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("x",)


def awkward(number: int) -> Any:
    if number == 1:
        raise NamesAProcess
    if number == 2:
        raise WithoutText
    return NoReturn() if number == 3 else number


def taken(results: Iterator[Any]) -> list[Any]:
    """All results, and the types of what was raised."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(results))
        except StopIteration:
            return found
        except Exception as error:
            found.append(type(error))


def read(path: Path) -> list[Event]:
    """The events of a file, each of which has what the format asks for."""
    whole = json.loads(path.read_text())
    assert whole["displayTimeUnit"] == "ms"
    events: list[Event] = whole["traceEvents"]
    for event in events:
        assert event["ph"] in {"X", "i", "C", "M"}
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        assert event["ph"] != "X" or event["dur"] >= 0
        assert event["ph"] != "i" or event["s"] in {"t", "p", "g"}
        assert event["ph"] not in "CM" or event["args"]
    return events


def of(events: list[Event], category: str) -> list[Event]:
    return [event for event in events if event.get("cat") == category]


def names(events: list[Event], kind: str) -> dict[tuple[int, int], str]:
    return {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == kind}


def test_each_item_is_in_the_trace_once_within_its_map(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    results = list(allcores.map(double, range(ITEMS), backend=backend, max_workers=2, trace=path))

    assert results == [2 * number for number in range(ITEMS)]
    events = read(path)
    tasks = of(events, "task")
    assert sorted(task["args"]["index"] for task in tasks) == list(range(ITEMS))
    assert {task["name"] for task in tasks} == {f"double[{index}]" for index in range(ITEMS)}
    (whole,) = of(events, "map")
    assert whole["name"] == "map double"
    assert whole["args"] == {"results": ITEMS}
    end = whole["ts"] + whole["dur"]
    assert all(whole["ts"] <= task["ts"] <= task["ts"] + task["dur"] <= end for task in tasks)


def test_lanes_have_names_and_their_calls_do_not_overlap(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    list(allcores.map(double, range(ITEMS), backend=backend, max_workers=2, trace=path))

    events = read(path)
    threads, processes = names(events, "thread_name"), names(events, "process_name")
    ends: dict[tuple[int, int], float] = {}
    for event in events:
        if event.get("cat") in {"task", "wait"}:
            lane = event["pid"], event["tid"]
            assert lane in threads
            assert event["ts"] >= ends.get(lane, 0.0) - 0.001
            ends[lane] = event["ts"] + event["dur"]
    own = os.getpid()
    assert processes[own, 0] == f"caller ({own})"
    assert threads[own, threading.get_native_id()] == "caller"


def test_processes_are_lanes_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    list(allcores.map(double, range(ITEMS), backend="processes", max_workers=2, trace=path))

    events = read(path)
    workers = {task["pid"] for task in of(events, "task")}
    assert os.getpid() not in workers
    said = {name for (pid, _), name in names(events, "process_name").items() if pid in workers}
    assert said <= {f"worker {n} ({pid})" for n in (1, 2) for pid in workers}
    counted = [event["args"] for event in events if event["ph"] == "C"]
    assert counted[-1]["copied"] > 0


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "raised"])
def test_what_is_raised_is_marked(keeps: bool, backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    results = allcores.map(
        fail_on_three, range(6), backend=backend, return_exceptions=keeps, trace=path
    )

    if keeps:
        assert isinstance(list(results)[3], LookupError)
    else:
        with pytest.raises(LookupError):
            list(results)
        assert list(results) == [4, 5]

    events = read(path)
    (mark,) = of(events, "error")
    assert mark["name"] == "LookupError"
    assert mark["args"]["call"] == "fail_on_three[3]"
    indices = sorted(task["args"]["index"] for task in of(events, "task"))
    assert indices == [0, 1, 2, 4, 5]


def test_worker_that_dies_is_marked_in_its_lane(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    results = list(
        allcores.map(
            die_on_three, range(6), backend="processes", return_exceptions=True, trace=path
        )
    )

    died = results[3]
    assert isinstance(died, allcores.WorkerDied)
    events = read(path)
    (mark,) = of(events, "error")
    assert mark["name"] == "worker died: WorkerDied"
    assert mark["pid"] == died.pid
    assert len(of(events, "task")) == 5


def test_unordered_results_are_all_there_without_an_index(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    results = allcores.map(double, range(ITEMS), backend=backend, ordered=False, trace=path)

    assert sorted(results) == [2 * number for number in range(ITEMS)]
    tasks = of(read(path), "task")
    assert len(tasks) == ITEMS
    assert {task["name"] for task in tasks} == {"double"}


def test_map_that_is_left_early_writes_what_it_has(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    results = allcores.map(double, count(), backend=backend, max_workers=2, trace=path)
    assert [next(results) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert not path.exists()
    results.close()  # type: ignore[attr-defined]

    events = read(path)
    assert len(of(events, "task")) >= 5
    assert len(of(events, "map")) == 1


def test_map_that_is_dropped_writes_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    results = allcores.map(double, count(), backend="serial", trace=path)
    next(results)
    del results

    assert len(of(read(path), "task")) == 1


def test_items_that_are_raised_end_the_trace_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    def items() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(allcores.map(double, items(), backend="threads", trace=path))

    (mark,) = of(read(path), "error")
    assert mark["args"]["call"] == "map double"


def test_retried_call_is_shown_by_its_last_try(tmp_path: Path) -> None:
    path, marks = tmp_path / "trace.json", tmp_path / "marks"

    def fail_twice(_: int) -> int:
        return rungs.fail_the_first(marks, 2)

    results = allcores.map(fail_twice, [0], backend="processes", retries=3, trace=path)

    assert list(results) == [3]
    assert len(of(read(path), "task")) == 1


def test_executor_writes_all_its_calls_at_its_end(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    with allcores.Executor(backend, max_workers=2, trace=path) as executor:
        futures = [executor.submit(double, number) for number in range(5)]
        mapped = executor.map(double, range(10))
        assert [future.result() for future in futures] == [0, 2, 4, 6, 8]
        assert list(mapped) == [2 * number for number in range(10)]
        failed = executor.submit(fail_on_three, 3)
        assert isinstance(failed.exception(), LookupError)
        again = executor.options(retries=1).submit(double, 4)
        assert again.result() == 8
        assert not path.exists()

    events = read(path)
    assert len(of(events, "task")) == 5 + 10 + 1
    assert [mark["name"] for mark in of(events, "error")] == ["LookupError"]
    assert len(of(events, "map")) == 1


def test_traced_future_is_cancelled_before_its_call_starts(tmp_path: Path) -> None:
    gate = threading.Event()
    with allcores.Executor("threads", max_workers=1, trace=tmp_path / "t.json") as executor:
        running = executor.submit(gate.wait)
        waiting = executor.submit(double, 1)
        called = threading.Event()
        waiting.add_done_callback(lambda _: called.set())
        assert waiting.cancel()
        assert called.wait(10)
        assert waiting.cancelled()
        gate.set()
        assert running.result() is True

    assert [task["name"] for task in of(read(tmp_path / "t.json"), "task")] == ["Event.wait"]


@pytest.mark.parametrize("what", ["folder", "missing", "file"])
def test_trace_that_could_not_be_written_is_refused_before_anything_runs(
    what: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = {"folder": tmp_path, "missing": tmp_path / "no" / "t", "file": tmp_path / "file" / "t"}
    calls: list[int] = []

    with pytest.raises(OSError, match="hint: the name of a file"):
        allcores.map(calls.append, [1], backend="serial", trace=path[what])
    with pytest.raises(OSError, match="hint: the name of a file"):
        allcores.Executor("serial", trace=path[what])

    assert calls == []


def test_trace_that_can_not_be_written_at_the_end_costs_no_results(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    results = allcores.map(double, [1, 2], backend="serial", trace=folder / "trace.json")
    folder.rmdir()

    with pytest.warns(RuntimeWarning, match="hint: see to the disk"):
        assert list(results) == [2, 4]


def test_trace_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text("old")

    list(allcores.map(double, [1], backend="serial", trace=str(path)))

    assert len(of(read(path), "task")) == 1
    assert os.listdir(tmp_path) == ["trace.json"]


def test_gaps_between_the_calls_of_a_lane_are_waits(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.json")
    trace.begun_ns -= 1_000_000_000
    for begun_us, ended_us in ((0, 10), (1_000, 1_010), (1_020, 1_030)):
        begun_ns = trace.begun_ns + begun_us * 1_000
        trace.made("f", (1, 1, begun_ns, begun_ns + (ended_us - begun_us) * 1_000), None)

    waits = of(list(trace.events()), "wait")

    assert [(wait["ts"], wait["dur"]) for wait in waits] == [(10, 990)]


def test_call_timed_by_another_clock_is_put_where_it_was_heard(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.json")
    trace.begun_ns -= 1_000_000_000

    trace.made("f", (1, 1, 5, 5 + 2_000_000), None)

    (task,) = of(list(trace.events()), "task")
    assert task["dur"] == 2_000
    assert task["ts"] >= 900_000


def test_whatever_a_call_raises_comes_out_as_without_a_trace(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    traced = allcores.map(awkward, [0, 1, 2, 4], backend=backend, chunksize=1, trace=path)

    assert taken(traced) == [0, NamesAProcess, WithoutText, 4]
    marks = of(read(path), "error")
    assert [mark["name"] for mark in marks] == ["NamesAProcess", "WithoutText"]
    assert {mark["pid"] for mark in marks} == {os.getpid()}
    assert [task["args"]["index"] for task in of(read(path), "task")] == [0, 3]


def test_result_that_can_not_be_rebuilt_keeps_its_index(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    found = taken(allcores.map(awkward, [0, 3, 4, 5], backend="processes", chunksize=1, trace=path))

    assert found[0] == 0
    assert issubclass(found[1], ValueError)
    assert found[2:] == [4, 5]
    events = read(path)
    assert [mark["args"]["call"] for mark in of(events, "error")] == ["awkward[1]"]
    assert sorted(task["args"]["index"] for task in of(events, "task")) == [0, 2, 3]


def test_future_of_a_traced_call_has_what_it_raised(backend: str, tmp_path: Path) -> None:
    with allcores.Executor(backend, max_workers=1, trace=tmp_path / "t.json") as executor:
        for number, kind in ((1, NamesAProcess), (2, WithoutText)):
            assert isinstance(executor.submit(awkward, number).exception(), kind)


def test_notes_name_the_user_s_function_however_it_is_wrapped(backend: str, tmp_path: Path) -> None:
    half = functools.partial(divmod, 1)

    results = allcores.map(half, [0], backend=backend, trace=tmp_path / "trace.json")

    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert caught.value.__notes__ == ["in allcores task divmod(index 0, 0)"]
    assert list(results) == []


def test_results_taken_after_the_executor_s_end_are_added(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    with allcores.Executor(backend, max_workers=2, trace=path) as executor:
        results = executor.map(double, range(10))
    assert list(results) == [2 * number for number in range(10)]

    assert len(of(read(path), "task")) == 10


def test_calls_that_end_after_the_executor_are_added(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    gate = threading.Event()
    executor = allcores.Executor("threads", max_workers=1, trace=path)
    future = executor.submit(gate.wait)
    executor.shutdown(wait=False)
    assert of(read(path), "task") == []

    gate.set()
    assert future.result() is True
    executor.shutdown(wait=True)

    assert [task["name"] for task in of(read(path), "task")] == ["Event.wait"]


def test_call_within_a_call_makes_no_wait_of_its_caller(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.json")
    trace.begun_ns -= 1_000_000_000
    for begun_us, ended_us in ((0, 900), (10, 20), (1_000, 1_100)):
        begun_ns = trace.begun_ns + begun_us * 1_000
        trace.made("f", (1, 1, begun_ns, begun_ns + (ended_us - begun_us) * 1_000), None)

    waits = of(list(trace.events()), "wait")

    assert [(wait["ts"], wait["dur"]) for wait in waits] == [(900, 100)]


def test_device_is_not_replaced_by_a_trace() -> None:
    with pytest.raises(OSError, match="a device or a pipe"):
        allcores.map(double, [1], backend="serial", trace="/dev/null")


def test_forked_copy_leaves_the_file_to_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.json"
    results = allcores.map(double, count(), backend="serial", trace=path)
    next(results)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: -1)
        results.close()  # type: ignore[attr-defined]

    assert not path.exists()
