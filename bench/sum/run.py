#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much faster is `wring sum` than find and xargs over one process per CPU? README.md has the method.

  bench/sum/run.py [--tool build/release/tools/wring] [--slow-tree build/release/tests/tools/slow_tree] [--pairs 5]
                   [--only "slow storage"] [--library DIR] [--json FILE]
  bench/sum/run.py --quick --tool ...    tiny trees; checks that all print the same sums, shows no times
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY_BYTES_MIN = 500_000_000
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")

# Each prints "digest<spaces>name" lines; $0 is the tree, $1 the wring command, $2 the number of processes.
CONTENDERS = {
    "wring": '"$1" sum --no-progress "$0"',
    "openssl": 'find "$0" -type f -print0 | xargs -0 -P "$2" -n 500 openssl dgst -sha256 -r',
    "sha256sum": 'find "$0" -type f -print0 | xargs -0 -P "$2" -n 64 sha256sum',
}
# opponent -> tree -> how much faster wring is meant to be.
TARGETS = {"openssl": {"libraries": 1.15, "small files": 1.3}, "sha256sum": {"libraries": 3.0, "small files": 2.0}}

SLOW_FILES = 4000
SLOW_FILES_QUICK = 100
SLOW_READ_MICROSECONDS = 2000
SLOW_TARGET = 0.9
# On slow storage sha256sum may have so many processes, the files in so many parts for each of them: one part
# starts the fewest processes, several balance what they read.
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
PARTS = (1, 4)
SLOW_CONTENDERS = {
    f"sha256sum -P {n} -n {share}": f'find "$0" -type f -print0 | xargs -0 -P {n} -n {share} sha256sum'
    for n in PROCESSES for share in (-(-SLOW_FILES // (n * parts)) for parts in PARTS)}
CONTENDERS |= SLOW_CONTENDERS
KINDS = ("libraries", "small files", "slow storage")


def make_files(folder, count, size_max):
    """Small files of random sizes, 200 to a directory; the same on every machine."""
    chance = random.Random(1)
    content = chance.randbytes(2 * size_max)
    for number in range(count):
        if number % 200 == 0:
            inside = os.path.join(folder, f"{number // 2000:03}", f"{number // 200:03}")
            os.makedirs(inside)
        start, size = chance.randrange(size_max), chance.randrange(size_max)
        with open(os.path.join(inside, f"file{number:06}.dat"), "wb") as out:
            out.write(content[start:start + size])


def tree_bytes(folder):
    return sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(folder) for name in names
               if not os.path.islink(os.path.join(at, name)))


def find_library(scratch):
    """A tree of libraries that is here anyway, else a made one of the same order of sizes."""
    for candidate in LIBRARIES:
        if os.path.isdir(candidate) and tree_bytes(candidate) >= LIBRARY_BYTES_MIN:
            return candidate
    folder = os.path.join(scratch, "libraries")
    make_files(folder, 2500, 500_000)
    return folder


class Contest:
    def __init__(self, tool, scratch):
        self.tool = tool
        self.scratch = scratch
        self.processes = str(len(os.sched_getaffinity(0)))

    def run(self, contender, tree, processes=None):
        """Seconds from start to end, with the output in a file."""
        with open(self.output(contender), "wb") as out:
            began = time.perf_counter()
            subprocess.run(["sh", "-c", CONTENDERS[contender], tree, self.tool, processes or self.processes], stdout=out, check=True)
            return time.perf_counter() - began

    def output(self, contender):
        return os.path.join(self.scratch, contender + ".sums")

    def sums(self, contender):
        """The output with the differences between the tools taken away: order, and openssl's marker before a name."""
        with open(self.output(contender), "rb") as lines:
            return sorted(line.replace(b" *", b"  ", 1) for line in lines if not line.startswith(b"\\"))

    def check_agreement(self, tree):
        """Also warms the tree. One process at a time, because parallel ones mix the halves of their lines."""
        for contender in ("wring", *TARGETS):
            self.run(contender, tree, processes="1")
        for contender in TARGETS:
            if self.sums(contender) != self.sums("wring"):
                sys.exit(f"bench/sum: wring and {contender} disagree on {tree}")


def ratio_text(ratios):
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


def measure(contest, kind, tree, pairs, targets):
    """Runs wring and each opponent in turns; the A/A pair tells what a ratio means here. `targets`: of each opponent."""
    result = {"tree": tree, "bytes": tree_bytes(tree), "files": sum(len(names) for _, _, names in os.walk(tree)), "opponents": {}}
    print(f"{kind}: {tree}, {result['files']:,} names, {result['bytes'] / 1e6:,.0f} MB")
    for opponent in ("wring", *targets):
        ours, theirs = [], []
        for _ in range(pairs):
            ours.append(contest.run("wring", tree))
            theirs.append(contest.run(opponent, tree))
        ratios = [b / a for a, b in zip(ours, theirs)]
        target = targets.get(opponent)
        result["opponents"][opponent] = {"wring_seconds": ours, "opponent_seconds": theirs, "ratio_median": statistics.median(ratios),
                                         "target": target}
        label = "wring again (A/A)" if opponent == "wring" else opponent
        goal = f", target {target:.2f}x" if target else ""
        print(f"  {label:18} {statistics.median(ours):7.3f} s against {statistics.median(theirs):7.3f} s: "
              f"wring is {ratio_text(ratios)} faster{goal}", flush=True)
    return result


class SlowTree:
    """A mounted tree of so many files whose reads are slow; None on entry: there cannot be one here, and why_not says why."""

    def __init__(self, program, folder, files):
        self.command = [program, folder, str(files), str(SLOW_READ_MICROSECONDS)]
        self.folder = folder
        self.server = None
        self.why_not = ""

    def __enter__(self):
        if not os.path.exists(self.command[0]):
            self.why_not = f"there is no {self.command[0]} (built if libfuse3-dev is installed)"
            return None
        os.mkdir(self.folder)
        self.server = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        if self.server.stdout.readline() != b"ready\n":
            self.why_not = "no file system can be mounted here"
            return None
        return self.folder

    def __exit__(self, *_):
        if self.server:
            self.server.terminate()
            self.server.wait()
            self.server.stdout.close()


def measure_slow(contest, tree, pairs):
    """Against the processes and parts that were best in two rounds of all."""
    rounds = [{name: contest.run(name, tree) for name in SLOW_CONTENDERS} for _ in range(2)]
    least = {name: min(one[name] for one in rounds) for name in SLOW_CONTENDERS}
    for name, seconds in least.items():
        print(f"  {name:26} {seconds:7.3f} s, the better of two")
    best = min(least, key=least.get)
    result = measure(contest, "slow storage", tree, pairs, {best: SLOW_TARGET})
    if contest.sums(best) != contest.sums("wring"):
        sys.exit(f"bench/sum: wring and {best} disagree on {tree}")
    return {**result, "better_of_two_seconds": least, "read_microseconds": SLOW_READ_MICROSECONDS}


def check_quickly(contest, scratch, slow_tree):
    small = os.path.join(scratch, "small")
    make_files(small, 600, 5000)
    contest.check_agreement(small)
    slow = SlowTree(slow_tree, os.path.join(scratch, "slow"), SLOW_FILES_QUICK)
    with slow as tree:
        if tree:
            contest.check_agreement(tree)
            print("2 passed, 0 failed, 0 skipped")
        else:
            print(f"skipped slow storage: {slow.why_not}\n1 passed, 0 failed, 1 skipped")


def measure_warm(contest, kind, tree, pairs):
    contest.check_agreement(tree)
    return measure(contest, kind, tree, pairs, {opponent: of.get(kind) for opponent, of in TARGETS.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default=str(ROOT / "build/release/tools/wring"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--library", help="the tree of libraries")
    parser.add_argument("--slow-tree", default=str(ROOT / "build/release/tests/tools/slow_tree"))
    parser.add_argument("--only", choices=KINDS, help="one of the trees")
    parser.add_argument("--json", help="where to write all times")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for program in ("find", "xargs", "openssl", "sha256sum"):
        if not shutil.which(program):
            print(f"skipped bench_sum: {program} is not installed\n0 passed, 0 failed, 1 skipped")
            return
    with tempfile.TemporaryDirectory(prefix="wring-bench-") as scratch:
        contest = Contest(os.path.abspath(options.tool), scratch)
        if options.quick:
            check_quickly(contest, scratch, options.slow_tree)
            return
        load = os.getloadavg()[0]
        print(f"{contest.processes} CPUs, load {load:.1f} at the start, medians of {options.pairs} pairs, warm")
        results = {"cpus": int(contest.processes), "load_before": load, "pairs": options.pairs, "trees": {}}
        wanted = [options.only] if options.only else KINDS
        if "libraries" in wanted:
            tree = options.library or find_library(scratch)
            results["trees"]["libraries"] = measure_warm(contest, "libraries", tree, options.pairs)
        if "small files" in wanted:
            tree = os.path.join(scratch, "small")
            make_files(tree, 50_000, 8000)
            results["trees"]["small files"] = measure_warm(contest, "small files", tree, options.pairs)
        if "slow storage" in wanted:
            slow = SlowTree(options.slow_tree, os.path.join(scratch, "slow"), SLOW_FILES)
            with slow as tree:
                if tree:
                    results["trees"]["slow storage"] = measure_slow(contest, tree, options.pairs)
                else:
                    print(f"slow storage: left out, {slow.why_not}")
        results["load_after"] = os.getloadavg()[0]
        print(f"load {results['load_after']:.1f} at the end")
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


main()
