# SPDX-License-Identifier: Apache-2.0
"""claims: runs the test cases of a script and prints what became of each, then the totals.

A script is started with the path of the wring command. Cases are methods of unittest.TestCase whose names
are claims; they get a fresh folder in self.folder and run the command with self.sum().
"""
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOL = sys.argv[1] if len(sys.argv) > 1 else "wring"
# Shadow memory and quarantine make sizes meaningless there.
SANITIZED = os.path.isfile(TOOL) and b"__asan_init" in pathlib.Path(TOOL).read_bytes()
# No case needs that long; a command that hangs must fail its case, not the whole run.
PATIENCE_SECONDS = 100


def is_root():
    return os.geteuid() == 0


def needs(program):
    """Skips the case where a program to compare with is not installed."""
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def limits(descriptors=None):
    """Runs in the child: the signals as a shell sets them, and the limit of open files."""
    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    return prepare


def until(condition, what):
    """Polls for a state of another process, the only way to learn it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.002)


def open_for_writing(fifo):
    """Opens a FIFO once somebody reads it, and fails if nobody ever does."""
    opened = []

    def tried():
        with contextlib.suppress(OSError):
            opened.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return opened
    until(tried, f"somebody reads {fifo}")
    os.set_blocking(opened[0], True)
    return os.fdopen(opened[0], "wb", buffering=0)


def _lose_patience(*_):
    raise AssertionError(f"not finished after {PATIENCE_SECONDS} seconds")


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="wring-")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=True)  # also what is too deep for Python
        self.processes = []
        signal.signal(signal.SIGALRM, _lose_patience)
        signal.alarm(PATIENCE_SECONDS)

    def tearDown(self):
        signal.alarm(0)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()

    def path(self, *parts):
        return os.path.join(os.fsencode(self.folder), *(os.fsencode(part) for part in parts))

    def file(self, name, content=b"content\n"):
        """Makes a file in the folder, and the folders it is in."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def run_tool(self, *words, tool=None, stdin=b"", descriptors=None, **options):
        return subprocess.run([tool or TOOL, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd=self.folder, timeout=PATIENCE_SECONDS, preexec_fn=limits(descriptors), **options)

    def sum(self, *words, **options):
        return self.run_tool("sum", *words, **options)

    def start(self, *words, **options):
        """Starts `wring sum` without waiting for it."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        process = subprocess.Popen([TOOL, "sum", *words], cwd=self.folder, preexec_fn=limits(), **options)
        self.processes.append(process)
        return process

    def assert_same(self, ours, theirs):
        self.assertEqual(ours.stdout, theirs.stdout)
        self.assertEqual(ours.returncode, theirs.returncode, ours.stderr)


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0

    @staticmethod
    def _name(case):
        return case.id().removeprefix("__main__.")

    def addSuccess(self, case):
        self.passed += 1
        print(f"ok      {self._name(case)}", flush=True)

    def addSkip(self, case, reason):
        super().addSkip(case, reason)
        print(f"skipped {self._name(case)}: {reason}", flush=True)

    def _failed(self, case, error):
        explanation = self._exc_info_to_string(error, case).strip().replace("\n", "\n  | ")
        print(f"FAILED {self._name(case)}\n  | {explanation}", flush=True)

    def addFailure(self, case, error):
        super().addFailure(case, error)
        self._failed(case, error)

    def addError(self, case, error):
        super().addError(case, error)
        self._failed(case, error)

    def addSubTest(self, case, subtest, error):
        super().addSubTest(case, subtest, error)
        if error is not None:
            self._failed(subtest, error)


def main():
    """Runs the cases of the calling script, or those whose names contain a word of the command line."""
    loader = unittest.TestLoader()
    loader.testMethodPrefix = ""
    cases = unittest.TestSuite()
    base = set(dir(Case))
    for value in vars(sys.modules["__main__"]).values():
        if isinstance(value, type) and issubclass(value, Case) and value is not Case:
            for name, member in vars(value).items():
                if callable(member) and not name.startswith("_") and name not in base:
                    if not sys.argv[2:] or any(word in name for word in sys.argv[2:]):
                        cases.addTest(value(name))
    result = _Result()
    cases.run(result)
    failed = len({case.id() for case, _ in result.failures + result.errors})
    print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(1 if failed or not result.passed + len(result.skipped) else 0)
