"""Values and exceptions to bytes and back, in one process: both ends of the codec."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import pytest

from allcores.errors import RemoteError, RemoteTraceback, TransportError, transport_error
from allcores.pool.codec import (
    Encoder,
    argument_text,
    dump_exception,
    dumps_result,
    load_exception,
    load_result,
    loads,
)


class Boom(Exception):
    pass


class NeedsTwo(Exception):
    """Pickles as `NeedsTwo(message)` and so can't be unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Doubles(Exception):
    """Unpickles, but into something else."""

    def __init__(self, code: object, text: str = "text") -> None:
        super().__init__(f"{code}: {text}")


class Raises:
    """Raises while it is pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.asked = 0

    def __reduce__(self) -> NoReturn:
        self.asked += 1
        raise self.error


class RaisesLater:
    """Raises while it is unpickled."""

    def __init__(self, kind: type[BaseException], *args: object) -> None:
        self.what = kind, args

    def __reduce__(self) -> Any:
        return _raise, self.what


def _raise(kind: type[BaseException], args: tuple[object, ...]) -> NoReturn:
    raise kind(*args)


def travelled(error: BaseException, **about: Any) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return load_exception(dump_exception(raised, **about))


def unpickling_failure(kind: type[BaseException], *args: object) -> TransportError:
    with pytest.raises(TransportError) as caught:
        load_result(pickle.dumps(RaisesLater(kind, *args)), function="gcd", index=7)
    return caught.value


@pytest.mark.parametrize("dumps", [Encoder().dumps, dumps_result])
@pytest.mark.parametrize("value", [None, (1, 2), {"a": [b"x" * 200_000, "y" * 200_000]}, {1, 2}])
def test_plain_values_travel_both_ways(dumps: Callable[[object], bytes], value: object) -> None:
    assert loads(dumps(value)) == value


class Array:
    """Pickles like an array: its data is a buffer, not bytes."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = bytearray(data)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Array, (pickle.PickleBuffer(self.data),)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 3_000_000])
@pytest.mark.parametrize("dumps", [Encoder().dumps, dumps_result])
def test_buffers_of_any_size_travel_both_ways(dumps: Callable[[object], bytes], size: int) -> None:
    arrays = [Array(b"x" * size), Array(b"_main__" * 20_000)]
    assert [each.data for each in loads(dumps(arrays))] == [each.data for each in arrays]


def test_main_module_is_searched_in_frames_beyond_the_first() -> None:
    filling = [str(number) for number in range(50_000)]
    value = [filling, "__main__"]
    assert loads(Encoder().dumps(value)) == value


@pytest.mark.parametrize("dumps", [Encoder().dumps, dumps_result])
def test_lambdas_and_local_functions_go_by_value(dumps: Callable[[object], bytes]) -> None:
    base = 10

    def add(x: int) -> int:
        return x + base

    assert loads(dumps(lambda x: x * 2))(4) == 8
    assert loads(dumps(add))(1) == 11


def test_local_class_keeps_its_identity_and_its_attributes_on_the_way_back() -> None:
    class Local:
        count = 1

    value = loads(dumps_result(loads(Encoder().dumps(Local()))))
    assert type(value) is Local
    Local.count = 2
    data = dumps_result(Local())
    Local.count = 3
    assert type(loads(data)) is Local
    assert Local.count == 3


def test_connections_travel_as_with_multiprocessing() -> None:
    here, there = socket.socketpair()
    with here, Connection(there.detach()) as connection:
        data = Encoder().dumps(connection)
        assert b"rebuild_connection" in data
    from multiprocessing import resource_sharer

    resource_sharer.stop()


@pytest.mark.parametrize("error", [pickle.PicklingError("mine"), TypeError("mine"), Boom("mine")])
@pytest.mark.parametrize("dumps", [Encoder().dumps, dumps_result])
def test_users_error_while_pickling_surfaces_as_it_is(
    dumps: Callable[[object], bytes], error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        dumps([Raises(error)])
    assert caught.value is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), Boom()])
def test_what_is_no_refusal_is_not_tried_again(error: BaseException) -> None:
    value = Raises(error)
    with pytest.raises(type(error)):
        Encoder().dumps(value)
    assert value.asked == 1


def test_refused_twice_raises_the_first_refusal() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        Encoder().dumps((lambda: None, threading.Lock()))


def test_failed_pickling_leaves_no_trace_in_the_next() -> None:
    encoder = Encoder()
    with pytest.raises(Boom):
        encoder.dumps([1, 2, 3, Raises(Boom())])
    assert encoder.dumps((1, 2)) == Encoder().dumps((1, 2))


def test_pickling_inside_pickling() -> None:
    encoder = Encoder()

    class Nested:
        def __reduce__(self) -> Any:
            return bytes, (encoder.dumps((1, 2)),)

    assert loads(loads(encoder.dumps(Nested()))) == (1, 2)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 1),
        KeyError("k"),
        OSError(2, "no", "file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SystemExit(3),
        KeyboardInterrupt(),
        Boom(),
        ZeroDivisionError(),
        ImportError("no", name="mod"),
        StopIteration(4),
        GeneratorExit(),
    ],
)
def test_exception_keeps_type_and_arguments(error: BaseException) -> None:
    back = travelled(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)


def test_exception_keeps_attributes_and_notes() -> None:
    error = Boom("x")
    error.answer = 42  # type: ignore[attr-defined]
    error.add_note("look there")
    back = travelled(error, function_name="gcd", index=7, argument_repr="(1963309, 2265973)")
    assert vars(back)["answer"] == 42
    note = "in allcores task gcd(index 7, (1963309, 2265973))"
    assert back.__notes__ == ["look there", note]


def test_note_of_a_single_call_reads_as_a_call() -> None:
    back = travelled(Boom(), function_name="gcd", argument_repr="(3, 4)")
    assert back.__notes__ == ["in allcores task gcd(3, 4)"]
    back = travelled(Boom(), function_name="sqrt", argument_repr="(3,)")
    assert back.__notes__ == ["in allcores task sqrt(3)"]


def test_cause_is_the_remote_traceback() -> None:
    back = travelled(RuntimeError(123))
    assert type(back.__cause__) is RemoteTraceback
    assert "raise error" in str(back.__cause__)
    assert str(back.__cause__).startswith('\n"""\nTraceback')
    assert back.__traceback__ is None


@pytest.mark.parametrize("kind", [NeedsTwo, Doubles])
def test_exception_whose_constructor_disagrees_with_its_pickle_is_rebuilt(kind: Any) -> None:
    error = kind(404, "gone")
    back = travelled(error)
    assert type(back) is kind
    assert back.args == ("404: gone",)
    assert vars(back) == vars(error)


def test_exception_with_slots_and_its_own_constructor_keeps_them() -> None:
    class Slotted(OSError):
        __slots__ = ("where",)

        def __init__(self, where: str, *, code: int) -> None:
            super().__init__(code, "text")
            self.where = where

    back = travelled(Slotted("here", code=5))
    assert type(back) is Slotted
    assert (back.where, back.errno, back.strerror) == ("here", 5, "text")


def test_what_cannot_travel_in_an_exception_is_replaced_by_its_text() -> None:
    error = Boom("x", threading.Lock())
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    error.good = 1  # type: ignore[attr-defined]
    back = travelled(error)
    assert type(back) is Boom
    assert back.args[0] == "x"
    assert "lock" in back.args[1]
    assert vars(back)["good"] == 1


def test_group_keeps_its_members() -> None:
    group = ExceptionGroup("several", [NeedsTwo(1, "a"), ValueError(2), Boom(threading.Lock())])
    back = travelled(group, function_name="f")
    assert type(back) is ExceptionGroup
    assert back.message == "several"
    assert [type(member) for member in back.exceptions] == [NeedsTwo, ValueError, Boom]
    assert back.__notes__ == ["in allcores task f()"]


class HatesTravel(Exception):
    def __reduce__(self) -> NoReturn:
        raise SystemExit("no")

    def __str__(self) -> str:
        raise SystemExit("no text either")


def test_exception_that_raises_everywhere_still_arrives() -> None:
    back = travelled(HatesTravel("x"), function_name="f")
    assert type(back) is HatesTravel
    assert back.args == ("x",)


def test_exception_that_cannot_exist_elsewhere_is_represented() -> None:
    class Meta(type):
        def __reduce_ex__(cls, protocol: object) -> NoReturn:
            raise TypeError("not this one")

    namespace = {"__module__": "nowhere", "__reduce__": HatesTravel.__reduce__}
    kind = type("Odd", (Exception,), namespace)
    kind.lock = threading.Lock()  # type: ignore[attr-defined]  # keeps the class from going by value
    back = travelled(kind("the text"), function_name="f", argument_repr="(1)")
    assert isinstance(back, RemoteError)
    assert (back.type_name, back.text) == ("nowhere.Odd", "the text")
    assert "Traceback" in back.traceback
    assert back.__notes__ == ["in allcores task f(1)"]
    assert pickle.loads(pickle.dumps(back)).args == back.args


def test_exception_that_cannot_be_rebuilt_here_is_represented() -> None:
    class OnceOnly(Exception):
        loaded = 0

        def __setstate__(self, state: object) -> None:
            vars(self).update(state)  # type: ignore[call-overload]
            OnceOnly.loaded += 1
            if OnceOnly.loaded > 2:
                raise SystemExit("enough")

    error = OnceOnly("x")
    error.a = 1  # type: ignore[attr-defined]
    try:
        raise error
    except OnceOnly as raised:
        data = dump_exception(raised)
    OnceOnly.loaded = 99
    back = load_exception(data)
    assert isinstance(back, RemoteError)
    assert "could not be rebuilt" in back.__notes__[-1]


def test_argument_text_is_short_and_survives() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise SystemExit

    assert argument_text((1963309, 2265973)) == "(1963309, 2265973)"
    assert len(argument_text(["x" * 1000] * 1000)) <= 120
    assert "Bad" in argument_text(Bad())
    assert "\n" not in argument_text("a\nb")


@pytest.mark.parametrize("kind", [ValueError, Boom, OSError, KeyError, UnicodeDecodeError])
def test_unpickling_failure_is_broken_pool_and_users_type_at_once(kind: type[Exception]) -> None:
    args = ("utf-8", b"\xff", 0, 1, "bad") if kind is UnicodeDecodeError else (2, "boom")
    error = unpickling_failure(kind, *args)
    assert isinstance(error, BrokenProcessPool)
    assert isinstance(error, kind)
    assert isinstance(error.__cause__, kind)
    first, _, second = str(error).partition("\n")
    assert first.startswith("could not unpickle the result of `gcd` (index 7): ")
    assert second.startswith("hint: ")
    if isinstance(error, OSError):
        assert error.errno == 2


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, StopIteration, BrokenProcessPool])
def test_unpickling_failure_of_other_kinds_is_broken_pool_only(kind: type[BaseException]) -> None:
    assert type(unpickling_failure(kind, "x")) is TransportError


def test_transport_error_itself_travels() -> None:
    error = transport_error(Boom("x"), what="the arguments", function=None, index=None)
    back = travelled(error)
    assert isinstance(back, Boom)
    assert isinstance(back, TransportError)
    assert str(back) == str(error)
    number = transport_error(OSError(2, "x"), what="the arguments", function=None, index=None)
    again = travelled(number)
    assert isinstance(again, OSError)
    assert again.errno == 2


def test_interrupt_passes_in_the_main_thread_only() -> None:
    data = pickle.dumps(RaisesLater(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        load_result(data)
    caught: list[BaseException] = []

    def decode() -> None:
        try:
            load_result(data)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    thread.join()
    assert [type(error) for error in caught] == [TransportError]
