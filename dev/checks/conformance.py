# SPDX-License-Identifier: Apache-2.0
"""conformance: which tests hold which rule, from dev/rules.txt and the comments of the tests."""
import re

from . import rules
from .tree import Finding, findings_in

CLAIM = "each rule has a test or a reason, and docs/reference/conformance.md says so"

PAGE = "docs/reference/conformance.md"

_TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.M)


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
            for rule in {rule for mentioned in rules.named("\n".join(comment)) for rule in mentioned}:
                found.setdefault(rule, {})[f"{test[1]}.{test[2]}"] = test[1].endswith("_plant")
    return found


def _status(state, tests, faults):
    if state.startswith("not yet"):
        return "not yet"
    if not tests:
        return "listed" if state.startswith("instead") else "**no test**"
    proven = faults or any(tests.values())
    return ("part, " if state.startswith("part") else "") + ("proven" if proven else "tested")


def _part(family, lines, tests):
    """The lines of the page about one family."""
    rows, counts = [], {}
    for _, rule, meaning, state, faults in lines:
        its = tests.get(rule, {})
        status = _status(state, its, faults)
        counts[status] = counts.get(status, 0) + 1
        names = sorted(its)
        shown = ", ".join(f"`{t}`" for t in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        note = re.sub(r"^(part|instead|not yet):? ?", "", state)
        rows.append(f"| {rule} | {meaning} | {status} | {shown} | {'; '.join(n for n in (note, faults) if n)} |")
    summary = ", ".join(f"{number} {status.strip('*')}" for status, number in sorted(counts.items()))
    return [f"## {family.title}", "", f"In all: {summary}.", "",
            "| rule | what it says | status | tests | remark |", "|---|---|---|---|---|", *rows, ""]


def page(tree):
    tests = _tests(tree)
    lines = list(rules.listed(tree))
    parts = []
    for family in rules.FAMILIES:
        if its := [line for line in lines if rules.family_of(line[1]) == family]:
            parts += _part(family, its, tests)
    return "\n".join([
        "# Conformance", "",
        "The rules of work queues and of I/O pools, and the tests that hold them. Made by `dev/conformance` from",
        "`dev/rules.txt` and the comments of the tests; `make test` fails if it is not up to date, or if a rule has neither a",
        "test nor a reason.", "",
        "*Proven*: a test of it was seen red with a fault planted in the source (`tests/sim/wq_plant_test.cc`, or as the",
        "remark says). *Tested*: that has not been recorded yet. *Part*: the remark says what is missing. *Listed*: the",
        "remark says what takes its place. *Not yet*: it is not built, or it has no test, as the remark says.", "", *parts])


def _list_findings(tree):
    """What is wrong with the list itself."""
    known = set()
    for line, rule, meaning, state, _ in rules.listed(tree):
        if not rules.family_of(rule):
            yield Finding(rules.LIST, line, f"'{rule}' is no name of a rule")
        if rule in known:
            yield Finding(rules.LIST, line, f"{rule} is here twice")
        known.add(rule)
        if not meaning:
            yield Finding(rules.LIST, line, f"{rule} says nothing")
        if state and not re.match(r"(part|instead): \w|not yet(: \w|$)", state):
            yield Finding(rules.LIST, line, f"{rule}: '{state}' is neither part:, instead: nor not yet")


def run(tree):
    tests = _tests(tree)
    yield from _list_findings(tree)
    for line, rule, _, state, faults in rules.listed(tree):
        its = tests.get(rule, {})
        if state.startswith("not yet") and its:
            yield Finding(rules.LIST, line, f"{rule} is not yet, but {sorted(its)[0]} names it")
        if _status(state, its, faults) == "**no test**":
            yield Finding(rules.LIST, line, f"{rule} has no test that names it in the comment before it, and no reason")
    for rule in sorted(set(tests) - {rule for _, rule, *_ in rules.listed(tree)} - rules.unlisted()):
        yield Finding(rules.LIST, 1, f"{rule} is named by {sorted(tests[rule])[0]}, and missing here")
    if tree.text(PAGE) != page(tree):
        yield Finding(PAGE, 1, "is not what dev/conformance makes of the tests; run it")


def self_test():
    for family in (f.name for f in rules.FAMILIES):
        files = {rules.LIST: f"{family}-1 | it is so |\n{family}-2 | and so | not yet\n{family}-3 | or so | part: half\n"
                 f"{family}-4 | or | not yet\n",
                 PAGE: "", "tests/a_test.cc": f"// {family}-1.\nTEST(a, b) {{}}\n// {family}-8..9, {family}-4\nTEST(a, c) {{}}\n"}
        said = [str(f) for f in findings_in(run, files)]
        expected = f"{family}-3 has no", f"{family}-4 is not yet, but a.c", f"{family}-8 is", f"{family}-9 is", PAGE
        assert len(said) == len(expected) and all(e in s for e, s in zip(expected, said)), said
        good = {rules.LIST: f"{family}-1 | it is so |\n", PAGE: "",
                "tests/a_plant_test.cc": f"// {family}-1.\nTEST(a_plant, b) {{}}\n"}
        assert [f.path for f in findings_in(run, good)] == [PAGE]
    wrong = {rules.LIST: "WQ-1 | | not yet\nWQ-2 | a | some day\nIOWQ-U1 | a | not yet\nIOWQ-U1 | b | not yet\n"
                         "XQ-1 | c | not yet\n",
             PAGE: "", "tests/a_test.cc": "// WQ-2, WQ-U3, IOWQ-U2.\nTEST(a, b) {}\n"}
    said = [str(f) for f in findings_in(run, wrong)]
    for text in ("WQ-1 says nothing", "'some day' is neither", "IOWQ-U1 is here twice", "'XQ-1' is no name",
                 "IOWQ-U2 is named by"):
        assert any(text in s for s in said), text
    assert len(said) == 6, said
    two = {rules.LIST: "IOWQ-1 | it | not yet\nWQ-1 | it |\n", "tests/a_test.cc": "// WQ-1, IOWQ-1\nTEST(a, b) {}\n"}
    made = "".join(findings_in(lambda tree: [page(tree)], two))
    assert made.index("## Work queues") < made.index("| WQ-1 | it | tested |") < made.index("## I/O pools")
    assert made.index("## I/O pools") < made.index("| IOWQ-1 | it | not yet |") and made.count("In all: 1 ") == 2, made
