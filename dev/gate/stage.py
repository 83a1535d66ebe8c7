# SPDX-License-Identifier: Apache-2.0
"""stage: a few commands in a row with one log, one time limit and one line of result."""
import os
import signal
import subprocess
import time
from pathlib import Path

from .totals import TAIL, Totals

ROOT = Path(__file__).resolve().parent.parent.parent
LOGS = ROOT / "build" / "log"


class Failed(Exception):
    pass


class Stage:
    """`steps` are functions of the stage; one that returns Totals has counted cases. Without any, the stage is one."""

    def __init__(self, name, claim, *steps):
        self.name, self.claim, self.steps = name, claim, steps
        self.log = LOGS / f"{name}.log"

    def command(self, *words, environment=None, may_fail=False):
        """Runs one command into the log and returns what it printed."""
        left = self.deadline - time.monotonic()
        before = self.log.stat().st_size
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(map(str, words))}\n".encode())
            log.flush()
            child = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env={**os.environ, **(environment or {})}, start_new_session=True)
            try:
                status = child.wait(timeout=max(left, 1))
            except BaseException as reason:  # also Ctrl-C: nothing that was started may stay behind
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                if isinstance(reason, subprocess.TimeoutExpired):
                    raise Failed(f"out of time in: {' '.join(map(str, words))}") from None
                raise
        if status != 0 and not may_fail:
            raise Failed(f"status {status} from: {' '.join(map(str, words))}")
        with self.log.open("rb") as log:
            log.seek(before)
            return log.read().decode(errors="replace")

    def quietly(self, *words):
        """As command(), for output that is data and does not belong into the log."""
        done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=max(self.deadline - time.monotonic(), 1))
        if done.returncode != 0:
            raise Failed(f"status {done.returncode} from: {' '.join(map(str, words))}: {done.stderr[-2000:]}")
        return done.stdout

    def run(self, minutes):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        start = time.monotonic()
        self.deadline = start + minutes * 60
        totals, counted = Totals(), False
        try:
            for step in self.steps:
                result = step(self)
                if isinstance(result, Totals):
                    totals.add(result)
                    counted = True
            if not counted:
                totals.passed = 1
        except Exception as reason:  # whatever went wrong is a result, and the other stages still run
            totals.failed += 1
            totals.notes.append(f"FAILED {self.name}: {reason}; the end of {self.log.relative_to(ROOT)}:")
            totals.notes += [f"  | {line}" for line in self.log.read_text(errors="replace").splitlines()[-TAIL:]]
        self.report(totals, time.monotonic() - start)
        return totals

    def report(self, totals, seconds):
        verdict = "FAILED" if totals.failed else "ok"
        print(f"{verdict:8}{self.name:10}{self.claim}: {totals} ({seconds:.0f} s)", flush=True)
        for note in totals.notes:
            print(f"          {note}", flush=True)
