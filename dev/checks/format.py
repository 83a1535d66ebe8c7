# SPDX-License-Identifier: Apache-2.0
"""format: the layout of .clang-format."""
import re
import shutil
import subprocess

from .tree import Finding, Skip, findings_in

CLAIM = "all C++ is laid out as clang-format-16 does"

TOOL = "clang-format-16"


def run(tree):
    if not shutil.which(TOOL):
        raise Skip(f"{TOOL} is not installed")
    files = tree.sources()
    if not files:
        return
    done = subprocess.run([TOOL, "--dry-run", *files], cwd=tree.root, capture_output=True, text=True)
    first = {}  # one finding a file is enough: `clang-format-16 -i` repairs it as a whole
    for name, line in re.findall(r"^(\S+?):(\d+):\d+: warning", done.stderr, re.M):
        first.setdefault(name, int(line))
    for name, line in first.items():
        yield Finding(name, line, f"laid out differently; repair with {TOOL} -i {name}")


def self_test():
    style = {".clang-format": "BasedOnStyle: Google\n"}
    assert len(findings_in(run, {"a.cc": "int  x ;\n", **style})) == 1
    assert not findings_in(run, {"a.cc": "int x;\n", **style})
