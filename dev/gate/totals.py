# SPDX-License-Identifier: Apache-2.0
"""totals: how many test cases passed, failed and were skipped, and why."""
import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field

TAIL = 50  # lines of a failing program's output that are shown
_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)


@dataclass
class Totals:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list = field(default_factory=list)  # lines: each failure and skip, and what is known about it

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def from_output(text):
    """The last totals line of a script's output; None if it printed none."""
    lines = _LINE.findall(text)
    if not lines:
        return None
    notes = re.findall(r"^(?:skipped|FAILED) .*(?:\n .*)*", text, re.M)  # with the indented lines that explain it
    return Totals(*(int(number) for number in lines[-1]), "\n".join(notes).splitlines())


def from_gtest(path):
    totals = Totals()
    for case in xml.parse(path).iter("testcase"):
        name = f"{path.stem}: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            totals.failed += 1
            totals.notes.append(f"FAILED {name}")
        elif case.get("status") == "notrun" or case.get("result") == "skipped":
            totals.skipped += 1
            reason = case.find("skipped")
            text = reason.get("message", "").strip().splitlines() if reason is not None else []
            totals.notes.append(f"skipped {name}: {text[-1] if text else 'disabled'}")
        else:
            totals.passed += 1
    return totals


def from_ctest(junit, gtest_folder):
    """Counts the cases inside each program; a program that died, or that says nothing about cases, is one case."""
    totals = Totals()
    for entry in xml.parse(junit).iter("testcase"):
        name = entry.get("name")
        report = gtest_folder / f"{name}.xml"
        inside = from_gtest(report) if report.is_file() else from_output(entry.findtext("system-out") or "")
        status = entry.get("status")
        if inside is None:
            inside = Totals()
            if status == "run":
                inside.passed = 1
            elif status in ("disabled", "notrun") and entry.find("skipped") is not None:
                inside.skipped = 1
                inside.notes.append(f"skipped {name}: {entry.find('skipped').get('message')}")
        if status == "fail":
            if inside.failed == 0:  # a crash, a time limit, a leak found at the end
                inside.failed = 1
                inside.notes.append(f"FAILED {name}: ended badly")
            inside.notes += [f"  | {line}" for line in (entry.findtext("system-out") or "").splitlines()[-TAIL:]]
        totals.add(inside)
    return totals
