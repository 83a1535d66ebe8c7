# SPDX-License-Identifier: Apache-2.0
"""tidy: clang-tidy on what changed, or with --all on everything."""
import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

from . import cpp
from .tree import Finding, Skip

CLAIM = "clang-tidy-16 has nothing to say about what changed"

TOOL = "clang-tidy-16"
PRESETS = ("clang16", "sim")  # together they compile every file


def _wanted(tree, compiled):
    """The files to look at: the changed sources, and for a changed header one source that includes it."""
    changed = None if tree.everything else tree.changed()
    if changed is None:
        return set(compiled)
    wanted = changed & set(compiled)
    seen = {included for name in wanted for _, included, _ in cpp.includes(tree.text(name))}
    for header in (name for name in changed if name.endswith(".h")):
        short = header.split("/", 1)[1]
        if short not in seen:
            users = [n for n in sorted(compiled) if any(i == short for _, i, _ in cpp.includes(tree.text(n)))]
            wanted |= set(users[:1])
    return wanted


def _findings(tree, build, name):
    done = subprocess.run([TOOL, "--quiet", "-p", build, name], cwd=tree.root, capture_output=True, text=True)
    for path, line, text in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)", done.stdout, re.M):
        yield Finding(path.removeprefix(f"{tree.root}/"), int(line), text)


def run(tree):
    if not shutil.which(TOOL):
        raise Skip(f"{TOOL} is not installed")
    compiled = {}
    for preset in PRESETS:
        subprocess.run(["cmake", "--preset", preset], cwd=tree.root, check=True, capture_output=True)
        build = tree.root / "build" / preset
        for command in json.loads((build / "compile_commands.json").read_text()):
            name = command["file"].removeprefix(f"{tree.root}/")
            if not name.startswith("build/"):
                compiled.setdefault(name, build)
    wanted = sorted(_wanted(tree, compiled))
    with ThreadPoolExecutor(cpu_count()) as pool:
        parts = pool.map(lambda name: list(_findings(tree, compiled[name], name)), wanted)
        return sorted(set(finding for part in parts for finding in part), key=str)


def self_test():
    listed = "x.cc:3:1: warning: a use after a move [bugprone-use-after-move]\nignored\n"
    assert re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)", listed, re.M) == [
        ("x.cc", "3", "a use after a move [bugprone-use-after-move]")]
