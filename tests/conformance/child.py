"""Lists unittest tests, or runs those of one class: in a process of the scratch environment.

    child.py list MODULE...           one test a line
    child.py run LOG LIMIT TEST...    one JSON object a line to LOG; a test may take LIMIT seconds

A test that hangs is ended by `faulthandler`'s own thread, which needs no GIL: it writes every
thread's stack and leaves.
"""

import faulthandler
import json
import sys
import unittest


def listed(suite):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from listed(entry)
        else:
            yield entry.id()


class Log(unittest.TestResult):
    """Says what became of each test, as it happens."""

    def __init__(self, stream, limit):
        super().__init__()
        self.stream, self.limit = stream, limit

    def say(self, event, test="", **more):
        self.stream.write(json.dumps({"event": event, "test": test, **more}) + "\n")
        self.stream.flush()

    def watch(self):
        faulthandler.dump_traceback_later(self.limit, exit=True)

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.words = "passed", ""
        self.say("start", test.id())
        self.watch()

    def stopTest(self, test):
        self.watch()
        self.say(self.outcome, test.id(), words=self.words)

    def bad(self, test, error):
        self.outcome, self.words = "failed", self._exc_info_to_string(error, test)
        if not isinstance(test, unittest.TestCase):  # the set-up of a class or module
            self.say(self.outcome, test.id(), words=self.words)

    addError = addFailure = bad

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.bad(test, error)

    def addSkip(self, test, reason):
        self.outcome, self.words = "skipped", reason
        if not isinstance(test, unittest.TestCase):
            self.say("skipped all of", test.id(), words=reason)

    def addUnexpectedSuccess(self, test):
        self.outcome, self.words = "failed", "unexpected success"


def run(log, limit, tests):
    import substitute

    assert substitute.replaced
    with open(log, "a") as stream:
        result = Log(stream, limit)
        result.watch()
        unittest.defaultTestLoader.loadTestsFromNames(tests).run(result)
        result.say("end")
    # Armed still: leaving the interpreter must not hang either.


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print("\n".join(listed(unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:]))))
    else:
        run(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
