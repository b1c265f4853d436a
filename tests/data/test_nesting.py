"""Shares of cores, limits of threads, context variables: the parts that need no pool."""

from __future__ import annotations

import contextvars
import os
from pathlib import Path

import pytest
from support import nested

from allcores.pool import libraries, nesting, threads, variables
from allcores.settings import Settings


def test_said_number_of_cores_counts_before_what_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "64")
    assert nesting.usable_cores() == 64
    monkeypatch.setenv("PYTHON_CPU_COUNT", "default")
    assert nesting.usable_cores() <= len(os.sched_getaffinity(0))


def test_share_is_never_more_than_what_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "4")
    monkeypatch.setenv("ALLCORES_CORES", "16")
    assert nesting.share() == 4
    monkeypatch.setenv("ALLCORES_CORES", "3")
    assert [nesting.share_of_each(workers) for workers in (1, 2, 3, 9)] == [3, 1, 1, 1]


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_share_that_is_no_number_is_refused_by_name(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLCORES_CORES", value)
    with pytest.raises(ValueError, match=f"`ALLCORES_CORES` is `{value}`"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("member_of", "files", "cores"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, None),
        ("0::/a/b", {"a/b/cpu.max": "150000 100000"}, 2),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
        ("0::/not/in/sight", {"cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/a", {"cpu,cpuacct/a/cpu": (300000, 100000)}, 3),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu": (250000, 100000)}, 3),
        ("4:cpu:/a", {"cpu/a/cpu": (-1, 100000)}, None),
        ("4:memory:/a", {"memory/a/cpu": (100000, 100000)}, None),
    ],
)
def test_quota_of_control_groups_is_rounded_up(
    member_of: str, files: dict[str, str | tuple[int, int]], cores: int | None, tmp_path: Path
) -> None:
    (tmp_path / "membership").write_text(f"{member_of}\n")
    for name, content in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            path.with_name("cpu.cfs_quota_us").write_text(str(content[0]))
            path.with_name("cpu.cfs_period_us").write_text(str(content[1]))
    found = nesting.quota_of(str(tmp_path / "membership"), str(tmp_path / "groups"))
    assert found == cores


def test_quota_without_control_groups_is_none(tmp_path: Path) -> None:
    assert nesting.quota_of(str(tmp_path / "missing"), str(tmp_path)) is None


OUTER = {"ALLCORES_CORES": "4", "ALLCORES_LIMITED": "OMP_NUM_THREADS,RAYON_NUM_THREADS"}


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, set()),
        ({"RAYON_NUM_THREADS": "4"}, {"RAYON_NUM_THREADS"}),
        ({"RAYON_NUM_THREADS": ""}, set()),
        ({"OMP_NUM_THREADS": "4"}, {"OMP_NUM_THREADS", *threads.FOLLOWERS}),
        ({"OMP_NUM_THREADS": "4", **OUTER}, set()),
        ({"RAYON_NUM_THREADS": "3", **OUTER}, {"RAYON_NUM_THREADS"}),
        ({"POLARS_MAX_THREADS": "4", **OUTER}, {"POLARS_MAX_THREADS"}),
    ],
)
def test_variables_are_the_users_unless_an_outer_worker_has_set_them(
    environment: dict[str, str], chosen: set[str]
) -> None:
    assert threads.chosen_by_user(environment) == chosen


def test_known_libraries_are_found_among_mapped_files() -> None:
    files = [
        "/site/numpy.libs/libscipy_openblas64_-32a4b2a6.so",
        "/site/numpy.libs/libscipy_openblas64_-32a4b2a6.so",
        "/usr/lib/libgomp.so.1.0.0",
        "/site/torch/lib/libiomp5.so",
        "/site/mkl/libmkl_rt.so.2",
        "/usr/lib/libblis.so.4",
        "/usr/lib/libc.so.6",
        "/usr/lib/libgomp.txt",
    ]
    found = {each.kind.variable: each for each in libraries.among(files)}
    assert set(found) == {
        "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    }  # fmt: skip
    assert len(libraries.among(files)) == 5


def test_library_that_is_gone_is_let_alone() -> None:
    libraries.among(["/missing/libgomp.so.1"])[0].limit(1)


def test_variable_of_a_module_has_its_home_there() -> None:
    assert variables.home_of(nested.REQUEST) == ("support.nested", "REQUEST")
    assert variables.find("support.nested", "REQUEST") is nested.REQUEST


def test_variable_without_home_is_made_once() -> None:
    hidden: contextvars.ContextVar[int] = contextvars.ContextVar("hidden", default=3)
    assert variables.home_of(hidden) is None
    maker, arguments = variables.by_token(hidden)
    assert maker(*arguments) is hidden
    made = variables.find_or_make(b"another token", ("other", (5,)))
    assert variables.find_or_make(b"another token", ("other", (5,))) is made
    assert (made.name, contextvars.Context().run(made.get)) == ("other", 5)


def test_variable_without_default_is_made_without() -> None:
    made = variables.make(variables.definition_of(contextvars.ContextVar("bare")))
    with pytest.raises(LookupError):
        made.get()


def test_process_of_the_tests_is_no_worker() -> None:
    assert not nesting.is_worker()
