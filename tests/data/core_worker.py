"""A worker on the engine's bare port: `python core_worker.py DESCRIPTOR STREAM`.

The payload of a batch is a list of words, and each item's result is its word. A word may be an
order: `exit`, `hang`, `say` (says the word beside the answer) or `retire` (after the batch).
"""

from __future__ import annotations

import json
import os
import signal
import sys

from allcores._core import Port


def run(word: str, port: Port) -> str:
    if word == "exit":
        os._exit(7)
    if word == "hang":
        while True:
            signal.pause()
    if word == "say":
        port.say(b"said")
    return word


def main() -> None:
    port = Port(int(sys.argv[1]), sys.argv[2] == "stream")
    os.close(int(sys.argv[1]))
    port.ready()
    while (told := port.next()) is not None:
        _, tag, start, payload = told
        words = json.loads(payload)
        if start is None:
            results = [run(word, port) for word in words]
        else:
            assert start <= port.stop <= len(words)
            results = []
            walk = port.walk(words)
            assert walk.position == start - 1
            while True:
                for word in walk:
                    assert words[walk.position] == word
                    results.append(run(word, port))
                if walk.is_over:
                    break
                port.part(tag, json.dumps(results).encode())
                results.clear()
        port.reply(tag, json.dumps(results).encode())
        if "retire" in words:
            port.retire()


main()
