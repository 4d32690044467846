# Runs tests of CPython's own suite, and writes down the verdict on each: "ok", "skip" or "bad", and the test's name.
# Arguments: the file for the verdicts, and what to run: modules, classes or tests. Tests that mostly wait are left out.
import faulthandler, sys, unittest

from test import support

SLOW = (
    "Timeout", "_timeout", "interrupt", "TCPCloserTest", "above_fd_setsize", "executor", "mlsd", "encoding_param", "VSOCK",
    "large_content_length", "client_racing",
)
PATIENCE = 60

support.use_resources = ["network"]  # socketserver's word for the loopback; what asks the internet is not run


class Verdicts(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.verdict = "ok"
        faulthandler.dump_traceback_later(PATIENCE, exit=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.say(self.verdict, test)
        super().stopTest(test)

    def say(self, verdict, test):
        file.write(f"{verdict} {test.id()}\n")

    def bad(self, test, error):
        self.verdict = "bad"
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr, flush=True)
        if not isinstance(test, unittest.TestCase):  # a module or class that could not be set up
            self.say("bad", test)

    addError = addFailure = bad

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.bad(test, error)

    def addSkip(self, test, reason):
        self.verdict = "skip"
        if not isinstance(test, unittest.TestCase):
            self.say("skip", test)

    def addUnexpectedSuccess(self, test):
        self.verdict = "bad"


def fast(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from fast(test)
        elif not any(word in test.id() for word in SLOW):
            yield test


with open(sys.argv[1], "w", buffering=1) as file:
    tests = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:])
    unittest.TestSuite(fast(tests)).run(Verdicts())
