# SPDX-License-Identifier: Apache-2.0
"""objects: the simulator runs the library itself, not a copy that drifted."""
import json
import subprocess

from .tree import Finding

CLAIM = "libwring and the simulator's library are made of the same sources, except for base's shell"


def _compiled(tree, preset, archive):
    """The sources below src/ that go into the library of that preset's build."""
    build = tree.root / "build" / preset
    subprocess.run(["cmake", "--preset", preset], cwd=tree.root, check=True, capture_output=True)
    linked = subprocess.run(["ninja", "-C", build, "-t", "inputs", archive], check=True, capture_output=True, text=True)
    objects = set(linked.stdout.split())
    commands = json.loads((build / "compile_commands.json").read_text())
    source = f"{tree.root}/src/"
    return {c["file"].removeprefix(source) for c in commands
            if c["file"].startswith(source) and any(o in c["command"] for o in objects if o.endswith(".o"))}


def compare(real, simulated):
    for name in sorted(real - simulated):
        if not (name.startswith("base/") and name.endswith("_real.cc")):
            yield Finding(f"src/{name}", 1, "in libwring, but not in the simulator's library")
    for name in sorted(simulated - real):
        if not name.startswith("sim/"):
            yield Finding(f"src/{name}", 1, "in the simulator's library, but not in libwring")


def run(tree):
    real = _compiled(tree, "release", "src/libwring.a")
    simulated = _compiled(tree, "sim", "src/libwring_sim.a")
    yield from compare(real, simulated)
    if not real & simulated:
        yield Finding("src/CMakeLists.txt", 1, "the two libraries have no source in common")


def self_test():
    same = {"base/list.cc", "sched/pool.cc"}
    assert not list(compare(same | {"base/sync_real.cc"}, same | {"sim/fiber.cc"}))
    assert len(list(compare(same | {"base/new.cc"}, same | {"sched/other.cc"}))) == 2
