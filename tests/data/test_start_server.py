"""The fork server of our own, when its surroundings change under it."""

from __future__ import annotations

from support import scripts


def test_server_whose_socket_was_removed_is_replaced() -> None:
    result = scripts.run_file(
        """
        import os
        from multiprocessing import get_context, util

        import allcores

        with allcores.ProcessPoolExecutor(1, get_context("forkserver")) as pool:
            first = pool.submit(os.getppid).result()
        # What `multiprocessing` does at exit, and its tests in between.
        util._run_finalizers()
        with allcores.ProcessPoolExecutor(1, get_context("forkserver")) as pool:
            second = pool.submit(os.getppid).result()
        print("replaced", first != second)
        """
    )
    assert (result.code, "replaced True" in result.words) == (0, True), result.words
