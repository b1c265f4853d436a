"""Which functions are registered once, and when the registration is no longer right."""

from __future__ import annotations

import functools
import math
import operator
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from support import scripts

from allcores.pool.codec import Encoder, load_function
from allcores.pool.functions import FunctionCache


class Calls:
    def method(self) -> None: ...

    @classmethod
    def made(cls) -> None: ...

    def __call__(self) -> None: ...


def importable(x: int) -> int:
    return x + 1


@functools.lru_cache
def kept(x: int) -> int:
    return x


@pytest.mark.parametrize(
    "function", [importable, kept, math.gcd, len, int, Calls, Calls.method, operator.add]
)
def test_importable_callables_are_registered_once(function: Callable[..., Any]) -> None:
    cache = FunctionCache(Encoder())
    entry = cache.lookup(function)
    assert entry is not None
    assert cache.lookup(function) is entry
    assert load_function(entry.payload).ready() is function


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(importable, 1),
        Calls().method,
        Calls.made,
        Calls(),
        [].append,
        "".join,
        operator.itemgetter(1),
        lambda: None,
    ],
)
def test_callables_with_a_state_travel_with_each_task(function: Callable[..., Any]) -> None:
    assert FunctionCache(Encoder()).lookup(function) is None


def test_least_recently_used_is_dropped_first_and_reported() -> None:
    cache = FunctionCache(Encoder(), size=2)
    first, second = cache.lookup(math.sin), cache.lookup(math.cos)
    assert cache.take_dropped() == []
    cache.lookup(math.sin)
    assert cache.lookup(math.tan) is not None
    assert cache.take_dropped() == [second]
    assert cache.take_dropped() == []
    assert cache.lookup(math.sin) is first


PROGRAM = """
import functools, math
from allcores.pool.codec import Encoder, load_function
from allcores.pool.functions import FunctionCache
LIMIT, WORDS, items = 3, ("a", (1, None)), [1]
def helper(x): return math.sqrt(x) + LIMIT
def plain(x): return helper(x), WORDS, later
def reads(): return items
def default(x=[]): return x
def wraps(f):
    @functools.wraps(f)
    def wrapper(*a): return f(*a)
    return wrapper
@wraps
def decorated(x): return x
class K:
    def m(self): return LIMIT
    def __init__(self): super().__init__()
def uses(k): return K()
def closure():
    n = 1
    return lambda: n
cache = FunctionCache(Encoder())
def same(f):
    one = cache.lookup(f)
    assert one is not None
    return cache.lookup(f) is one

for f in (plain, reads, default, decorated, uses, K, lambda: LIMIT):
    assert same(f), f
assert cache.lookup(closure()) is None and cache.lookup(functools.partial(plain)) is None
assert cache.lookup(K().m) is None
quick = [f for f in (plain, helper, uses) if cache.lookup(f)._watched is not None]
assert quick == [plain, helper, uses], quick

def changed(f, change):
    before = cache.lookup(f)
    assert before is cache.lookup(f)
    cache.take_dropped()
    change()
    after = cache.lookup(f)
    assert after is not before
    assert cache.take_dropped() == [before]
    assert cache.lookup(f) is after

g = globals()
changed(plain, lambda: g.update(LIMIT=4))
changed(plain, lambda: g.update(later=1))
changed(plain, lambda: g.update(helper=lambda x: x))
changed(plain, lambda: setattr(plain, "__code__", (lambda x: helper(x)).__code__))
changed(plain, lambda: setattr(plain, "__defaults__", (1,)))
changed(reads, lambda: items.append(2))
changed(default, lambda: default().append(2))
changed(uses, lambda: setattr(K, "m", lambda self: 5))
changed(uses, lambda: setattr(K, "new", 1))
before = cache.lookup(reads)
items = [1, 2]
assert cache.lookup(reads) is before  # another object, the same bytes
print("passed")
"""


def test_functions_of_main_are_registered_as_long_as_all_they_refer_to_stays() -> None:
    assert scripts.run_file(PROGRAM).words == "passed\n"


def test_registered_function_finds_its_own_version_of_helpers() -> None:
    program = """
    from data.start_double import Worker
    from allcores.pool.functions import FunctionCache
    def helper(): return 1
    def f(): return helper()
    w = Worker()
    cache = FunctionCache(w.encoder)
    one = cache.lookup(f)
    first = w.register(one.payload)
    assert w.call_registered(first) == 1
    def helper(): return 2
    two = cache.lookup(f)
    assert two is not one and cache.take_dropped() == [one]
    second = w.register(two.payload)
    assert [w.call_registered(n) for n in (second, first, second)] == [2, 1, 2]
    w.close()
    print("passed")
    """
    assert scripts.run_file(textwrap.dedent(program)).words == "passed\n"
