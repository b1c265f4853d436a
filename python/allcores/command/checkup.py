"""What `allcores doctor` looks at: this Python, this machine, and the settings that cost speed.

Each look is a function that gives facts. What is `bad` breaks something or wastes most of a
machine, what is a `note` may surprise; both come with the next step.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping

from ..pool.nesting import share
from ..settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    State = Literal["good", "note", "bad"]

MB = 1 << 20
GROUPS = "/sys/fs/cgroup"

BLAS_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Fact:
    """Something that was found.

    Attributes:
        name: what it is about.
        value: how it stands.
        state: `good`, `note` or `bad`.
        hint: the next step, if there is one.
    """

    __slots__ = ("hint", "name", "state", "value")

    def __init__(self, name: str, value: str, state: State = "good", hint: str = "") -> None:
        self.name = name
        self.value = value
        self.state = state
        self.hint = hint


def facts() -> list[Fact]:
    """Everything that can be said here. What can't be looked at is left out."""
    found: list[Fact] = []
    for look in LOOKS:
        try:
            found += look()
        except (OSError, ValueError) as error:
            # A setting of ours that can't be meant says itself what to do, and is in many's way.
            words, _, hint = str(error).partition("\nhint: ")
            if not any(fact.value == words for fact in found):
                found.append(Fact(look.__name__.strip("_").replace("_", " "), words, "bad", hint))
    return found


def _python() -> Iterator[Fact]:
    version = ".".join(map(str, sys.version_info[:3]))
    name = sys.implementation.name
    yield Fact("Python", f"{version} ({name}) at `{sys.executable}`")
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    if not is_locked:
        yield Fact("interpreter lock", "off: threads run in parallel")
    from .. import __version__

    yield Fact("allcores", __version__)


def _start_methods() -> Iterator[Fact]:
    import multiprocessing

    known = multiprocessing.get_all_start_methods()
    chosen = Settings.from_environment().start_method
    asked = f"; `ALLCORES_START_METHOD` asks for `{chosen}`" if chosen else ""
    yield Fact("start methods", ", ".join(known) + asked)


def _cores() -> Iterator[Fact]:
    machine, usable = os.cpu_count() or 1, share()
    if usable == 1:
        hint = "processes can't be quicker than one here; ask for more cores (affinity, cgroup)"
        yield Fact("cores", f"1 of the machine's {machine} may be used", "bad", hint)
    elif usable < machine:
        hint = "affinity, a cgroup or `ALLCORES_CORES` says so; allcores starts no more workers"
        yield Fact("cores", f"{usable} of the machine's {machine} may be used", "note", hint)
    else:
        yield Fact("cores", f"{usable}")


def _memory() -> Iterator[Fact]:
    limit = memory_limit(_read)
    free = _available_memory()
    if limit is not None:
        hint = "workers count too; beyond it the kernel kills one (`WorkerDied`, SIGKILL)"
        yield Fact("memory limit of the cgroup", f"{limit // MB:,} MB", "note", hint)
    if free is not None:
        each = free // max(1, share())
        if each < 256 * MB:
            hint = "use fewer workers (`max_workers=`, `--workers`)"
            value = f"{free // MB:,} MB, {each // MB:,} MB a core"
            yield Fact("free memory", value, "bad", hint)
        else:
            yield Fact("free memory", f"{free // MB:,} MB, {each // MB:,} MB a core")


def _available_memory() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def memory_limit(read: Callable[[str], str]) -> int | None:
    """The bytes that the cgroup of this process may use, if there is a limit."""
    limits = []
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits.append(read(f"{GROUPS}{path}/memory.max") or read(f"{GROUPS}/memory.max"))
        elif "memory" in controllers.split(","):
            limits.append(
                read(f"{GROUPS}/memory{path}/memory.limit_in_bytes")
                or read(f"{GROUPS}/memory/memory.limit_in_bytes")
            )
    numbers = [int(text) for text in limits if text.strip().isdecimal()]
    # Version 1 says "no limit" with a number near 2**63.
    return min((number for number in numbers if number < 1 << 60), default=None)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _shared_memory() -> Iterator[Fact]:
    if hasattr(os, "memfd_create"):
        os.close(os.memfd_create("allcores-doctor"))
        yield Fact("shared memory", "anonymous (memfd), limited by free memory only")
    if os.environ.get("ALLCORES_LINK") == "stream":
        hint = "unset `ALLCORES_LINK` unless shared memory does not work here"
        yield Fact("link", "sockets only, by `ALLCORES_LINK`", "note", hint)
    if os.path.isdir("/dev/shm"):
        found = os.statvfs("/dev/shm")
        size = found.f_frsize * found.f_blocks
        if size <= 64 * MB:
            hint = (
                "allcores does not need it, `multiprocessing.shared_memory` and PyTorch do: "
                "`docker run --shm-size=1g`"
            )
            yield Fact("/dev/shm", f"{size // MB:,} MB", "note", hint)


def _descriptors() -> Iterator[Fact]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 64 + 8 * share()
    value = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft != resource.RLIM_INFINITY and soft < max(256, needed):
        hint = f"`ulimit -n {min(4096, hard) if hard > 0 else 4096}` before the program"
        yield Fact("open files", value, "bad", hint)
    else:
        yield Fact("open files", value)


def _numerical_threads() -> Iterator[Fact]:
    yield from numerical_threads(os.environ, share())


def numerical_threads(environment: Mapping[str, str], cores: int) -> Iterator[Fact]:
    """What the variables of BLAS and OpenMP mean for `cores` workers."""
    given = {name: environment[name] for name in BLAS_VARIABLES if environment.get(name)}
    ours = environment.get("ALLCORES_LIMITED", "").split(",")
    given = {name: value for name, value in given.items() if name not in ours}
    if not given:
        yield Fact("BLAS threads", "each worker gets its share of the cores")
    for name, value in given.items():
        count = int(value) if value.isdecimal() else 0
        if count > 1 and cores > 1:
            hint = f"unset `{name}`: each worker starts so many, allcores would share the cores out"
            yield Fact("BLAS threads", f"`{name}={value}` in each worker", "bad", hint)
        else:
            yield Fact("BLAS threads", f"`{name}={value}` in each worker")


def _slow_settings() -> Iterator[Fact]:
    if sys.dont_write_bytecode:
        hint = "unset `PYTHONDONTWRITEBYTECODE`: every start compiles all modules again"
        yield Fact("bytecode", "is not kept", "note", hint)
    if sys.gettrace() is not None or sys.getprofile() is not None:
        yield Fact("tracing", "a debugger or a profiler is on", "note", "measure without it")
    if sys.flags.dev_mode:
        yield Fact("development mode", "is on", "note", "run without `-X dev` for speed")
    if os.environ.get("PYTHONMALLOC", "").endswith("debug"):
        yield Fact("allocator", "is a debugging one", "note", "unset `PYTHONMALLOC` for speed")


def _a_round_trip() -> Iterator[Fact]:
    from ..pool.executor import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as executor:
        answer = executor.submit(len, "abc").result()
    if answer == 3:
        yield Fact("a worker", "starts, computes and ends")
    else:
        yield Fact("a worker", f"answered {answer}", "bad", "report it, please")


LOOKS: tuple[Callable[[], Iterator[Fact]], ...] = (
    _python,
    _cores,
    _memory,
    _shared_memory,
    _start_methods,
    _descriptors,
    _numerical_threads,
    _slow_settings,
    _a_round_trip,
)
