# SPDX-License-Identifier: Apache-2.0
"""names: paths and rule numbers that prose mentions exist."""
import re

from . import cpp, markdown
from .tree import Finding, findings_in

CLAIM = "every path in prose and comments exists, every WQ rule named is a rule"

_TOP = "src|include|tests|tools|bench|examples|docs|dev|cmake"
_LAYERS = "base|sched|workqueue|sim|rcu|wring"
_PATH = re.compile(
    rf"(?<![\w./-])((?:{_TOP})/[\w./*-]*\w|(?:{_LAYERS})/[\w/]+\.(?:h|cc|md|cmake)|[\w./-]+\.(?:md|cmake|cc|h))(?![\w/])")
_RULE = re.compile(r"\bWQ-(U?)(\d+)(?:\.\.(U?)(\d+))?")
_LAST = {"": 159, "U": 18}


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
    for name in tree.files(".md", ".h", ".cc"):
        for line, text, all_paths in _prose(tree, name):
            for token in _PATH.findall(text):
                if (all_paths or re.match(rf"({_TOP})/", token)) and not _exists(tree, name, token):
                    yield Finding(name, line, f"{token} does not exist")
        for line, text in tree.lines(name):
            for kind, first, last_kind, last in _RULE.findall(text):
                for family, number in sorted({(kind, first), (last_kind or kind, last or first)}):
                    if not 1 <= int(number) <= _LAST[family]:
                        yield Finding(name, line, f"WQ-{family}{number} is not a rule")


def self_test():
    bad = {"a.md": "`src/gone.h` and `gone.cc`, WQ-160\n", "b.h": "// see docs/gone.md; WQ-U19, WQ-5..170\n"}
    assert len(findings_in(run, bad)) == 6
    good = {"a.md": "`src/base/list.h` `base/list.h` `list.h` `docs/*.md` WQ-159 WQ-U18\n", "docs/x.md": "",
            "src/base/list.h": "// see docs/x.md; WQ-60..70\n"}
    assert not findings_in(run, good)
