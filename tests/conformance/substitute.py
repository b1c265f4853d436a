"""Puts the implementation under test in the place of the standard library's.

A `.pth` file of the scratch environment imports this module when an interpreter starts, which
reaches spawned workers, fork servers and scripts that a test runs with `-I -c` as well.  What to
do stands in the environment, because nothing else gets that far:

    EXECUTOR_TESTS_IMPL      the module under test; unset: do nothing
    EXECUTOR_TESTS_REPLACE   names to replace, separated by commas
    EXECUTOR_TESTS_FOLDER    a `test` folder that completes the interpreter's own
    EXECUTOR_TESTS_FOREIGN   set: the tests are a newer Python's; add the few names that they expect
"""

import importlib
import os

WHERE = {
    "ProcessPoolExecutor": ("", ".process"),
    "ThreadPoolExecutor": ("", ".thread"),
    "Future": ("", "._base"),
    "wait": ("", "._base"),
    "as_completed": ("", "._base"),
    # The exception chained as cause of a remote one: an implementation may bring its own.
    "_RemoteTraceback": (".process",),
}


def replace(implementation, names):
    for name in names:
        if hasattr(implementation, name):
            for module in WHERE[name]:
                setattr(
                    importlib.import_module("concurrent.futures" + module),
                    name,
                    getattr(implementation, name),
                )


def lend_newer_names():
    from test import support

    support.Py_GIL_DISABLED = False
    support.requires_gil_enabled = lambda reason="": lambda test: test
    support.skip_if_sanitizer = lambda *reasons, **which: lambda test: test
    support.check_sanitizer = lambda **which: False
    if not hasattr(os, "process_cpu_count"):
        os.process_cpu_count = os.cpu_count


if os.environ.get("EXECUTOR_TESTS_IMPL"):
    if os.environ["EXECUTOR_TESTS_FOLDER"]:
        import test

        test.__path__.append(os.environ["EXECUTOR_TESTS_FOLDER"])
    if os.environ["EXECUTOR_TESTS_FOREIGN"]:
        lend_newer_names()
    replace(
        importlib.import_module(os.environ["EXECUTOR_TESTS_IMPL"]),
        os.environ["EXECUTOR_TESTS_REPLACE"].split(","),
    )
    replaced = True
