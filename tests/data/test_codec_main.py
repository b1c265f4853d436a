"""What `__main__` defines, in workers that have another `__main__`: each test is a program."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support import scripts

HEAD = "from data.start_double import Worker\n"


def passes(program: str, context: str = "None") -> None:
    result = scripts.run_file(_complete(program, context))
    assert result.words == "passed\n"
    assert result.code == 0


def _complete(program: str, context: str = "None") -> str:
    opening = "import multiprocessing\n" if context != "None" else ""
    body = textwrap.dedent(program).replace("Worker(", f"Worker({context}, ")
    return f"{opening}{HEAD}{body}\nw.close()\nprint('passed')\n"


def _context(method: str) -> str:
    return f"multiprocessing.get_context('{method}')"


INITIALIZER = """
    data = None
    undeclared: dict
    def init(x):
        global data, undeclared, history
        data = undeclared = x
        history = []
    def read():
        history.append(len(history))
        return data, undeclared, history
    w = Worker(init, [1, 2])
    assert w(read) == ([1, 2], [1, 2], [0])
    assert w(read) == ([1, 2], [1, 2], [0, 1])
    assert w(lambda: data) == [1, 2]
    def nested():
        def inner():
            return data
        return inner()
    assert w(nested) == [1, 2]
    data = "changed here"
    assert w(read)[0] == "changed here"
    def change():
        global data
        data = "changed there"
    w(change)
    assert w(read)[0] == "changed there"
    data = "changed again"
    assert w(read)[0] == "changed again"
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_initializer_and_tasks_share_the_workers_globals(method: str) -> None:
    passes(INITIALIZER, _context(method))


def test_forked_worker_follows_only_what_changed_since_the_fork() -> None:
    passes(INITIALIZER, _context("fork"))
    passes(
        """
        import threading
        lock = threading.Lock()
        big = list(range(1000))
        class Counter:
            count = 0
        def use():
            Counter.count += 1
            with lock:
                return len(big), Counter.count
        def version():
            return 1
        w = Worker()
        assert w(use) == (1000, 1)
        big.append(0)  # what the child has is what it had
        assert w(use) == (1000, 2)
        size = len(w.encoder.dumps(use))
        assert size < 60, size
        def version():
            return 2
        def call():
            return version()
        assert w(call) == 2
        assert w(use) == (1000, 3)
        """,
        _context("fork"),
    )


def test_recursion_closures_decorators_and_signatures() -> None:
    passes(
        '''
        import functools
        def fact(n): return 1 if n < 2 else n * fact(n - 1)
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def twice(f):
            @functools.wraps(f)
            def wrapper(*args, **kw):
                return f(*args, **kw), f(*args, **kw)
            wrapper.tag = "t"
            return wrapper
        @twice
        def told(a, b=2, /, *args, c: int, d=[4], **kw) -> "str":
            """The doc."""
            return a, b, c, d
        def about():
            f = told.__wrapped__
            return (f.__doc__, f.__defaults__, f.__kwdefaults__, f.__annotations__, told.tag,
                    told.__qualname__, told.__module__)
        def make(n):
            def add(x):
                nonlocal n
                n += 1
                return x + n
            return add
        @functools.lru_cache(maxsize=3)
        def cached(x):
            return [x]
        def same():
            return cached(1) is cached(1), cached.cache_info().maxsize
        async def coroutine(): return 5
        def numbers(n): yield from (fact(i) for i in range(n))
        def listed(): return list(numbers(4))
        w = Worker()
        assert w(fact, 10) == 3628800
        assert w(even, 10) and not w(odd, 10)
        assert w(functools.partial(told, c=3), 1) == ((1, 2, 3, [4]),) * 2
        assert w(about) == ("The doc.", (2,), {"d": [4]}, {"c": int, "return": "str"},
                            "t", "told", "__main__")
        assert w(make(5), 1) == 7
        assert w(make(5), 1) == 7
        assert w(same) == (True, 3)
        assert w(cached, 3) == [3]
        assert w(listed) == [1, 1, 2, 6]
        assert w(functools.partial(fact, 5)) == 120
        assert w(functools.reduce, lambda a, b: a + b, [fact(3), 4]) == 10
        def run():
            import asyncio
            return asyncio.run(coroutine())
        assert w(run) == 5
        back = w(make, 3)  # a function as the result sees the globals of this process
        assert back(1) == 5
        assert w(lambda: fact) is fact
        '''
    )


def test_classes_keep_identity_state_and_relatives() -> None:
    passes(
        """
        import abc, dataclasses, enum, functools, typing
        class Base:
            loaded = 0
            def __init__(self, x): self.x = x
            def name(self): return "base"
            @classmethod
            def load(cls): cls.loaded += 1; return cls.loaded
            @staticmethod
            def helper(x): return x + 1
            @property
            def double(self): return self.x * 2
            class Inner:
                def who(self): return "inner"
        class Child(Base):
            def __init__(self, x):
                super().__init__(x)
            def name(self): return "child of " + super().name()
            def other(self): return Other(self)
            @functools.cached_property
            def slow(self): return self.x + 0.5
            @functools.lru_cache
            def kept(self): return object()
        class Other:
            default = Child(0)
            __slots__ = ("child",)
            def __init__(self, child): self.child = child
            def __getstate__(self): return (self.child,)
            def __setstate__(self, state): self.child, = state
        class Abstract(abc.ABC):
            @abc.abstractmethod
            def f(self): ...
        class Concrete(Abstract):
            def f(self): return isinstance(self, Abstract)
        @Abstract.register
        class Virtual: pass
        @dataclasses.dataclass(frozen=True)
        class Point:
            x: int
            y: int = 0
            tags: list = dataclasses.field(default_factory=list)
        @dataclasses.dataclass(slots=True, order=True)
        class Slim:
            a: int
        @dataclasses.dataclass
        class Plain:
            pass
        class Color(enum.Enum):
            RED = 1
            BLUE = 2
            def __str__(self): return self.name.lower()
        class Rights(enum.Flag):
            R = enum.auto()
            W = enum.auto()
        class Pair(typing.NamedTuple):
            a: int
            b: str = "x"
        T = typing.TypeVar("T")
        class Box(typing.Generic[T]):
            def __init__(self, v: T): self.v = v
        class Meta(type):
            def __call__(cls, *a): return super().__call__(*a)
        class WithMeta(metaclass=Meta): pass
        class Error(Exception):
            def __init__(self, a, b): super().__init__(a); self.b = b
        UserId = typing.NewType("UserId", int)

        def echo(x): return x
        def methods(c):
            return (c.name(), c.double, c.helper(1), c.other().child is c, c.slow, c.Inner().who(),
                    c.kept() is c.kept(), isinstance(c, Base), type(c) is Child)
        def point(p):
            q = dataclasses.replace(p, x=p.x + 1)
            return q, Point(5), dataclasses.asdict(q), [f.default is dataclasses.MISSING
                                                       for f in dataclasses.fields(p)]
        def derive():
            @dataclasses.dataclass
            class Local(Plain):
                z: int = 1
            return Local(), Local().z
        def fail(): raise Error(1, 2)
        def enums(c): return c is Color.RED, Color(2), str(c), Rights.R | Rights.W
        def state(): return Base.load()
        def relation(): return issubclass(Virtual, Abstract), Concrete().f(), UserId(3)
        w = Worker()
        assert w(methods, Child(4)) == ("child of base", 8, 2, True, 4.5, "inner", True, True, True)
        for value in (Child(1), Point(1), Slim(2), Color.RED, Rights.R | Rights.W, Pair(1), Box(3),
                      WithMeta(), Other(1), Base.Inner(), Concrete()):
            assert type(w(echo, value)) is type(value), value
        assert w(echo, [Slim(2)]) == [Slim(2)] and w(echo, Pair(1)) == (1, "x")
        assert w(echo, Color.RED) is Color.RED
        assert w(echo, Child) is Child and w(echo, Base.Inner) is Base.Inner
        q, p, d, missing = w(point, Point(1))
        assert (q, p, d) == (Point(2), Point(5), {"x": 2, "y": 0, "tags": []})
        assert missing == [True, False, True]
        assert w(enums, Color.RED) == (True, Color.BLUE, "red", Rights.R | Rights.W)
        assert [w(state), w(state), Base.loaded] == [1, 2, 0]  # the class lives on in the worker
        assert w(relation) == (True, True, 3)
        assert w(Child(4).name) == "child of base"
        assert w(Base.load) == 3
        assert w(Child, 3).x == 3
        try: w(fail)
        except Error as e: assert e.args == (1,) and e.b == 2
        else: raise AssertionError
        local, z = w(derive)
        assert z == 1 and type(local).__name__ == "Local"
        """
    )


def test_newest_definition_wins_and_old_ones_stay_themselves() -> None:
    passes(
        """
        def helper(): return 1
        def f(): return helper()
        class K:
            def v(self): return 1
        old_f, old = f, K()
        w = Worker()
        assert w(f) == 1 and w(K().v) == 1
        one = w.register(w.encoder.dumps(f))
        def helper(): return 2
        class K:
            def v(self): return 2
        assert w(f) == 2 and w(K().v) == 2 and w(old.v) == 1
        assert type(w(lambda: old)) is type(old)
        two = w.register(w.encoder.dumps(f))
        assert [w.call_registered(n) for n in (one, two, one, two)] == [1, 2, 1, 2]
        K.v = lambda self: 3
        assert w(K().v) == 3
        def f(): return 7
        assert w(f) == 7 and w(old_f) == 2
        """
    )


def test_data_travels_with_the_functions_that_read_it() -> None:
    passes(
        """
        import collections, math, os.path, xml.dom.minidom
        table = {"a": math.pi}
        handlers = {"f": lambda x: handlers["g"](x) + 1, "g": lambda x: x * LIMIT}
        LIMIT = 10
        alias = math.hypot
        counter = collections.Counter("aab")
        class Tree:
            def __init__(self): self.me = self
        tree = Tree()
        Tree.root = tree
        def f(): return table["a"], handlers["f"](2), alias(3, 4), counter["a"], os.path.sep
        def g(): return xml.dom.minidom.parseString("<a/>").documentElement.tagName
        def h(): return tree.me is tree, Tree.root.me is Tree.root
        def body():
            class Inner:
                x = LIMIT
                y = [LIMIT for _ in range(2)]
            return Inner.x, Inner.y
        w = Worker()
        assert w(f) == (math.pi, 21, 5.0, 2, "/")
        assert w(g) == "a"
        assert w(h) == (True, True)
        assert w(body) == (10, [10, 10])
        table["a"] = 1
        LIMIT = 100
        assert w(f)[:2] == (1, 201)
        """
    )


def test_unpicklable_global_fails_only_who_uses_it() -> None:
    passes(
        """
        import threading
        lock = threading.Lock()
        class Guard:
            lock = threading.Lock()
        def may(use):
            if use:
                with lock: return 1
            return 2
        def init():
            global lock
            lock = threading.Lock()
        w = Worker()
        assert w(may, False) == 2
        try: w(may, True)
        except NameError as e:
            assert any("`lock` of `__main__`" in n for n in e.__notes__), e.__notes__
        else: raise AssertionError
        try: w(lambda g: None, Guard())
        except Exception as e: assert "lock" in str(e) + str(e.__notes__), e
        else: raise AssertionError
        w(init)
        assert w(may, True) == 1
        """
    )


def test_unpicklable_argument_is_refused_here() -> None:
    passes(
        """
        import threading
        def f(x): pass
        w = Worker()
        for bad in (threading.Lock(), lambda lock=threading.Lock(): lock):
            try: w(f, bad)
            except TypeError as e: assert "lock" in str(e)
            else: raise AssertionError
        assert w(f, 1) is None
        """
    )


PROGRAM = _complete(
    """
    def square(x): return x * x
    class P:
        def __init__(self, x): self.x = x
    def p(x): return P(square(x))
    w = Worker()
    assert type(w(p, 3)) is P
    assert w(lambda: square(3)) == 9
    """
)


def test_code_from_the_command_line_standard_input_and_a_module(tmp_path: Path) -> None:
    for run in (scripts.run_command, scripts.run_stdin, scripts.run_notebook):
        assert run(PROGRAM).words.split() == ["passed"]
    (tmp_path / "program.py").write_text(PROGRAM)
    more = {"PYTHONPATH": f"{scripts.environment()['PYTHONPATH']}:{tmp_path}"}
    assert scripts.run(["-m", "program"], more=more).words == "passed\n"


def test_interactive_session() -> None:
    source = HEAD + textwrap.dedent(
        """
        def square(x): return x * x

        w = Worker()
        w(square, 111)
        w.close()
        """
    )
    assert "12321" in scripts.run_interactively(source).words
