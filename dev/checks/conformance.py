# SPDX-License-Identifier: Apache-2.0
"""conformance: which tests hold which rule, from dev/rules.txt and the comments of the tests."""
import re

from .tree import Finding, findings_in

CLAIM = "each rule has a test or a reason, and docs/reference/conformance.md says so"

RULES = "dev/rules.txt"
PAGE = "docs/reference/conformance.md"

_TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.M)
_NUMBER = re.compile(r"\bWQ-(\d+)(?:\.\.(\d+))?")


def _rules(tree):
    """[(line, number, meaning, state, faults)]"""
    for line, text in tree.lines(RULES):
        if text and not text.startswith("#"):
            fields = [field.strip() for field in text.split("|")] + ["", ""]
            yield line, fields[0], fields[1], fields[2], fields[3]


def _named(comment):
    for first, last in _NUMBER.findall(comment):
        yield from (f"WQ-{n}" for n in range(int(first), int(last or first) + 1))


def _tests(tree):
    """rule -> {suite.name: is its fault planted}; a test's rules stand in the comment right before it."""
    found = {}
    for name in tree.sources("tests"):
        text = tree.text(name)
        for test in _TEST.finditer(text):
            before = text[:test.start()].rstrip("\n").split("\n") if text[:test.start()].endswith("\n") else []
            comment = []
            while before and before[-1].startswith("//"):
                comment.append(before.pop())
            for rule in _named("\n".join(comment)):
                found.setdefault(rule, {})[f"{test[1]}.{test[2]}"] = test[1].endswith("_plant")
    return found


def _status(state, tests, faults):
    if state.startswith("not yet"):
        return "not yet"
    if not tests:
        return "listed" if state.startswith("instead") else "**no test**"
    proven = faults or any(tests.values())
    return ("part, " if state.startswith("part") else "") + ("proven" if proven else "tested")


def page(tree):
    tests = _tests(tree)
    rows, counts = [], {}
    for _, rule, meaning, state, faults in _rules(tree):
        its = tests.get(rule, {})
        status = _status(state, its, faults)
        counts[status] = counts.get(status, 0) + 1
        names = sorted(its)
        shown = ", ".join(f"`{t}`" for t in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        note = re.sub(r"^(part|instead|not yet):? ?", "", state)
        rows.append(f"| {rule} | {meaning} | {status} | {shown} | {'; '.join(n for n in (note, faults) if n)} |")
    summary = ", ".join(f"{number} {status.strip('*')}" for status, number in sorted(counts.items()))
    return "\n".join([
        "# Conformance", "",
        "The rules of the work queue, and the tests that hold them. Made by `dev/conformance` from `dev/rules.txt` and the",
        "comments of the tests; `make test` fails if it is not up to date, or if a rule has neither a test nor a reason.", "",
        "*Proven*: a test of it was seen red with a fault planted in the source (`tests/sim/wq_plant_test.cc`, or as the",
        "remark says). *Tested*: that has not been recorded yet. *Part*: the remark says what is missing. *Listed*: the",
        "remark says what takes its place.", "", f"In all: {summary}.", "",
        "| rule | what it says | status | tests | remark |", "|---|---|---|---|---|", *rows, ""])


def run(tree):
    tests = _tests(tree)
    known = set()
    for line, rule, meaning, state, faults in _rules(tree):
        known.add(rule)
        if not meaning:
            yield Finding(RULES, line, f"{rule} says nothing")
        if state and not re.match(r"(part|instead): \w|not yet(: \w|$)", state):
            yield Finding(RULES, line, f"{rule}: '{state}' is neither part:, instead: nor not yet")
        if _status(state, tests.get(rule, {}), faults) == "**no test**":
            yield Finding(RULES, line, f"{rule} has no test that names it in the comment before it, and no reason")
    for rule in sorted(set(tests) - known):
        yield Finding(RULES, 1, f"{rule} is named by {sorted(tests[rule])[0]}, and missing here")
    if tree.text(PAGE) != page(tree):
        yield Finding(PAGE, 1, "is not what dev/conformance makes of the tests; run it")


def self_test():
    files = {RULES: "WQ-1 | it is so |\nWQ-2 | and so | not yet\nWQ-3 | or so | part: half\n", PAGE: "",
             "tests/a_test.cc": "// WQ-1.\nTEST(a, b) {}\n// WQ-9\nTEST(a, c) {}\n"}
    said = [str(f) for f in findings_in(run, files)]
    assert len(said) == 3 and "WQ-3" in said[0] and "WQ-9" in said[1] and PAGE in said[2], said
    good = {RULES: "WQ-1 | it is so |\n", PAGE: "", "tests/a_plant_test.cc": "// WQ-1.\nTEST(a_plant, b) {}\n"}
    assert [f.path for f in findings_in(run, good)] == [PAGE]
