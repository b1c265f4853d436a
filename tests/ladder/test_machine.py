"""The machine's constants: built in, learnt, measured, and kept for the next program."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from allcores.ladder import machine
from allcores.ladder.machine import USUAL, Machine


def cached(path: Path) -> dict[str, float]:
    constants: dict[str, float] = json.loads(path.read_text())["constants"]
    return constants


def test_constants_are_there_before_anything_was_measured(tmp_path: Path) -> None:
    found = Machine(tmp_path / "none.json").constants()
    assert found.keys() >= USUAL.keys() | {"cores", "max_workers", "is_free_threaded"}
    assert all(found[name] > 0 for name in USUAL)


def test_what_is_open_needs_no_start(tmp_path: Path) -> None:
    found = Machine(tmp_path / "none.json").constants(open_rungs=frozenset({"processes"}))
    assert found["processes_start_ns"] == found["process_ns"] == 0
    assert found["threads_start_ns"] > 0


def test_learnt_constant_is_kept_for_the_next_program(tmp_path: Path) -> None:
    path = tmp_path / "allcores" / "machine.json"
    one = Machine(path)
    one.learn("processes_start_ns", 10 * one.value("processes_start_ns"))
    assert one.keep()
    other = Machine(path)
    assert other.value("processes_start_ns") == one.value("processes_start_ns")
    assert other.source == "cache"


def test_no_news_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    one = Machine(path)
    one.learn("item_ns", 1.01 * one.value("item_ns"))
    assert not one.keep()
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"constants": {}}', '{"version": 0, "constants": {"item_ns": 1}}'],
)
def test_damaged_or_foreign_cache_is_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    found = Machine(path)
    assert found.value("item_ns") > 0
    assert found.source == "usual"


@pytest.mark.parametrize("constants", [{"item_ns": -1}, {"item_ns": "1"}, {"other": 1}, [1]])
def test_cache_with_senseless_values_is_as_none(tmp_path: Path, constants: object) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({**machine._mark(), "constants": constants}))
    assert Machine(path).value("item_ns") > 1
    assert Machine(path).source == "usual"


def test_cache_that_can_not_be_written_stays_in_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    one = Machine(blocked / "allcores" / "machine.json")
    usual = one.value("item_ns")
    one.learn("item_ns", 2 * usual)
    assert not one.keep()
    assert one.value("item_ns") == 1.5 * usual


def test_moment_in_which_the_machine_was_busy_is_believed_no_more_than_twice(
    tmp_path: Path,
) -> None:
    one = Machine(tmp_path / "machine.json")
    usual = one.value("item_ns")
    one.learn("item_ns", 1e6 * usual)
    assert one.value("item_ns") == 1.5 * usual


def test_two_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    writers = []
    start = threading.Barrier(4)

    def write(value: float) -> None:
        one = Machine(path)
        start.wait()
        for _ in range(50):
            one.learn("item_ns", value)
            one._has_news = True
            one.keep()

    for value in (1e3, 2e3, 3e3, 4e3):
        writers.append(threading.Thread(target=write, args=(value,)))
        writers[-1].start()
    for each in writers:
        each.join()
    assert cached(path)["item_ns"] > 0
    assert list(tmp_path.iterdir()) == [path]


def test_refresh_measures_all_that_can_be_measured_here(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    one = Machine(path)
    one.refresh()
    assert one.source == "measured"
    assert cached(path).keys() <= USUAL.keys()
    measured = {"round_trip_ns", "item_ns", "bytes_in_per_s", "processes_start_ns"}
    assert measured <= cached(path).keys()
