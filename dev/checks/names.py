# SPDX-License-Identifier: Apache-2.0
"""names: paths and rule numbers that prose mentions exist."""
import re

from . import cpp, markdown, rules
from .tree import Finding, findings_in

CLAIM = "every path in prose and comments exists, every rule named is in dev/rules.txt"

_TOP = "src|include|tests|tools|bench|examples|docs|dev|cmake"
_LAYERS = "base|sched|iowq|workqueue|sim|rcu|wring"
_PATH = re.compile(
    rf"(?<![\w./-])((?:{_TOP})/[\w./*-]*\w|(?:{_LAYERS})/[\w/]+\.(?:h|cc|md|cmake)|[\w./-]+\.(?:md|cmake|cc|h))(?![\w/])")


def _exists(tree, name, token):
    """From the root, from src/ or include/, or beside the file that mentions it; a bare file name: anywhere."""
    folder = (tree.root / name).parent
    places = (tree.root, tree.root / "src", tree.root / "include", folder)
    if "*" in token:
        return any(any(place.glob(token)) for place in places)
    if any((place / token).exists() for place in places):
        return True
    return "/" not in token and any(True for _ in tree.root.rglob(token))


def _prose(tree, name):
    """(line, text, all_paths): in Markdown the `code` words, in sources only paths from the root in comments."""
    text = tree.text(name)
    if name.endswith(".md"):
        for line, sentence in markdown.prose(text):
            for code in re.findall(r"`([^`]+)`", sentence):
                if not re.search(r"[\s<>{}$]", code):
                    yield line, code, True
    else:
        for line, comment in cpp.comments(text):
            yield line, comment, False


def run(tree):
    known = {rule for _, rule, *_ in rules.listed(tree)} | rules.unlisted()
    for name in tree.files(".md", ".h", ".cc"):
        for line, text, all_paths in _prose(tree, name):
            for token in _PATH.findall(text):
                if (all_paths or re.match(rf"({_TOP})/", token)) and not _exists(tree, name, token):
                    yield Finding(name, line, f"{token} does not exist")
        for line, text in tree.lines(name):
            for mentioned in rules.named(text):
                for rule in dict.fromkeys((mentioned[0], mentioned[-1])):
                    if rule not in known:
                        yield Finding(name, line, f"{rule} is not a rule")


def self_test():
    some = {rules.LIST: "WQ-1 | a\nWQ-9 | b\nIOWQ-1 | c\nIOWQ-3 | d\nIOWQ-U1 | e\n"}
    bad = {"a.md": "`src/gone.h` and `gone.cc`, WQ-2\n", "b.h": "// see docs/gone.md; WQ-U19, WQ-1..10\n",
           "c.md": "IOWQ-9, IOWQ-U3, IOWQ-1..4\n", "d.h": "int i;  // IOWQ-U1..U3, IOWQ-3..1, IOWQ-1..U1\n"}
    said = [(f.path, f.text.split()[0]) for f in findings_in(run, some | bad)]
    assert said == [("a.md", "src/gone.h"), ("a.md", "gone.cc"), ("a.md", "WQ-2"), ("b.h", "docs/gone.md"),
                    ("b.h", "WQ-U19"), ("b.h", "WQ-10"), ("c.md", "IOWQ-9"), ("c.md", "IOWQ-U3"), ("c.md", "IOWQ-4"),
                    ("d.h", "IOWQ-U3"), ("d.h", "IOWQ-3..1"), ("d.h", "IOWQ-1..U1")], said
    good = {"a.md": "`src/base/list.h` `base/list.h` `list.h` `docs/*.md` WQ-9 WQ-U18 IOWQ-3\n", "docs/x.md": "",
            "src/base/list.h": "// see docs/x.md; WQ-1..9, WQ-U3..U5, IOWQ-1..3, IOWQ-U1, AIOWQ-7\n"}
    assert not findings_in(run, some | good)
