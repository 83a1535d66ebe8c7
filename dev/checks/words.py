# SPDX-License-Identifier: Apache-2.0
"""words: what does not belong in the repository."""
import re

from .tree import Finding, findings_in

CLAIM = "no paths of one machine, no numbers of a tracker, nothing left to do"

EXEMPT = ("LICENSE", "dev/checks/words.py")
EVERYWHERE = re.compile(
    r"(?<![\w.])/(work|home|root|farm)/|\bissues? #?\d|\bfarm-\w+|\b(deb|security)\.debian\.org\b|"
    r"\b(TODO|FIXME|XXX|HACK)\b", re.I)
PROSE = re.compile(r"\bsessions?\b", re.I)


def run(tree):
    for name in tree.files():
        if name.startswith(EXEMPT) or b"\0" in (tree.root / name).read_bytes():
            continue
        for line, text in tree.lines(name):
            if bad := EVERYWHERE.search(text) or PROSE.search(text):
                yield Finding(name, line, f"“{bad[0]}” does not belong here")


def self_test():
    assert len(findings_in(run, {"a.md": "see /home/me\n", "b.cc": "// issue #3\n// TODO\n", "c.md": "this session\n"})) == 4
    assert not findings_in(run, {"a.md": "src/work/x and /usr/lib, tissue 3, todos\n", "LICENSE": "session\n"})
