# SPDX-License-Identifier: Apache-2.0
"""hot_paths: how many instructions the hot paths take, as callgrind counts them, against bench/results/hot_paths.json.

Instructions are those of libwring.so and of the program that runs the paths, into which the headers are compiled. What
the C library takes depends on the machine; of that it is counted how often it is called.
"""
import json
import platform
import re
import shutil
import statistics
import subprocess
from collections import defaultdict

from .stage import ROOT, Failed
from .totals import Totals

PROGRAM = ROOT / "build/release/bench/bench_hot_paths"
DUMPS = ROOT / "build/hot_paths"
RECORD = ROOT / "bench/results/hot_paths.json"
OURS = re.compile(r"/(libwring\.so|bench_hot_paths)[^/]*$")

MORE, FEW, CALLS = 1.03, 3, 0.1  # this much of the record and so many instructions, and calls, are not worth a failure
LESS = 0.95  # this much of the record is worth a new one
WAY_OUT = (f"`callgrind_annotate --threshold=100 {DUMPS.relative_to(ROOT)}/run-a-work.1`, for example, tells functions. "
           "If what has come is worth it: `make hot-paths-record`, and the commit says why")

# Whatever the environment says, the same: what of wring depends on it, and symbols are looked up before it is counted.
ENVIRONMENT = {"WRING_CPUS": "1", "WRING_DETECT": "announced", "WRING_DEADLOCK_GRAPH": "0", "LD_BIND_NOW": "1"}
VALGRIND = ("valgrind", "--tool=callgrind", "--command-line-only=yes", "--fair-sched=try")


def _built_by():
    """Counts are only comparable if this is the same."""
    major = subprocess.run(("g++", "-dumpversion"), capture_output=True, text=True, check=True).stdout.split(".")[0]
    return {"compiler": f"g++ {major.strip()}", "machine": platform.machine()}


def _cannot(stage):
    """Why nothing can be counted here; None: it can."""
    if shutil.which("valgrind") is None:
        return "there is no valgrind (dev/packages)"
    said = stage.command(*VALGRIND, "--callgrind-out-file=/dev/null", "true", may_fail=True)
    works = re.search(r"^==\d+== Collected : [1-9]", said, re.M)
    return None if works else "valgrind does not run here (build/log/hot_paths.log)"


def _dump(text):
    """(path, instructions of an item, calls of others by an item) of what was written down after one path."""
    items, path = re.search(r"^desc: Trigger: Client Request: (\d+) (.+)$", text, re.M).groups()
    instructions, others, calls = 0, 0, 0
    ours = callee_is_ours = is_call = False
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "ob":
            ours = bool(OURS.search(value))
        elif key == "fn":
            callee_is_ours = ours
        elif key == "cob":
            callee_is_ours = bool(OURS.search(value))
        elif key == "calls":
            if ours and not callee_is_ours:
                calls += int(value.split()[0])
            callee_is_ours, is_call = ours, True  # `cob` is only there if it is another one
        elif re.match(r"\d+ \d+$", line):
            if ours and not is_call:
                instructions += int(line.split()[1])
            elif not is_call:
                others += int(line.split()[1])
            is_call = False  # that line was what the callee took
    if instructions + others != int(re.search(r"^summary: (\d+)$", text, re.M)[1]):
        raise Failed(f"what callgrind wrote down about '{path}' does not add up")
    return path, instructions / int(items), calls / int(items)


def _count(stage):
    """{path: (instructions, calls)} of an item, each the median of the rounds."""
    stage.command("cmake", "--preset", "release", "-DWRING_BENCH=ON")
    stage.command("cmake", "--build", "build/release", "--target", "bench_hot_paths")
    shutil.rmtree(DUMPS, ignore_errors=True)
    DUMPS.mkdir(parents=True)
    stage.command(*VALGRIND, "--collect-atstart=no", "--compress-strings=no", "--compress-pos=no",
                  f"--callgrind-out-file={DUMPS}/dump", PROGRAM, environment=ENVIRONMENT)
    rounds = defaultdict(list)
    for dump in sorted(DUMPS.glob("dump.*"), key=lambda file: int(file.suffix[1:])):
        path, *counts = _dump(dump.read_text())
        rounds[path].append(counts)
        dump.rename(DUMPS / f"{re.sub('[^a-z_]+', '-', path)}.{len(rounds[path])}")
    return {path: tuple(round(statistics.median(column), 1) for column in zip(*counts)) for path, counts in rounds.items()}


def _verdict(counts, recorded):
    """(too many, fewer): lines about paths that fail, and about those that should be recorded."""
    bad, better = [], []
    for path in sorted(counts.keys() | recorded.keys()):
        if path not in counts or path not in recorded:
            bad.append(f"'{path}' is {'not recorded' if path in counts else 'recorded, and not measured'}")
            continue
        (now, calls), (before, calls_before) = counts[path], recorded[path]
        change = f"'{path}' takes {now:.1f} instructions, {before:.1f} are recorded: {100 * (now / before - 1):+.1f} %"
        if now > before * MORE + FEW:
            bad.append(change)
        elif now < before * LESS:
            better.append(change)
        if calls > calls_before + CALLS:
            bad.append(f"'{path}' calls other libraries {calls:.1f} times, {calls_before:.1f} are recorded")
    return bad, better


def compare(stage):
    """No path takes more than is recorded."""
    if not RECORD.is_file():
        raise Failed(f"{RECORD.relative_to(ROOT)} is missing: `make hot-paths-record`")
    record = json.loads(RECORD.read_text())
    reason = _cannot(stage)
    for key, here in _built_by().items():
        if record[key] != here:
            reason = f"recorded for {record[key]}, this is {here}"
    if reason:
        return Totals(skipped=1, notes=[f"skipped hot_paths: {reason}"])
    recorded = {path: tuple(counts) for path, counts in record["paths"].items()}
    bad, better = _verdict(_count(stage), recorded)
    totals = Totals(passed=len(recorded), notes=[f"better: {line}; `make hot-paths-record`" for line in better])
    if bad:
        totals.failed, totals.passed = len(bad), max(len(recorded) - len(bad), 0)
        totals.notes += [f"FAILED hot_paths: {line}" for line in bad] + [f"  {WAY_OUT}"]
    return totals


def can_fail(_stage):
    """The comparison is right about paths that have changed by so much."""
    recorded = {"a": (200.0, 0.0), "b": (50.0, 1.0)}
    for a, failures, improvements in (
            ((200.0, 0.0), 0, 0),
            ((208.0, 0.0), 0, 0),
            ((210.0, 0.0), 1, 0),
            ((191.0, 0.0), 0, 0),
            ((189.0, 0.0), 0, 1),
            ((200.0, 1.0), 1, 0),
            ((189.0, 1.0), 1, 1)):
        bad, better = _verdict(recorded | {"a": a}, recorded)
        if (len(bad), len(better)) != (failures, improvements):
            raise Failed(f"the comparison of {a} with {recorded['a']} says {bad + better}")
    if len(_verdict({"b": recorded["b"], "c": (1.0, 0.0)}, recorded)[0]) != 2:
        raise Failed("the comparison does not see paths that have come or gone")
    return Totals(passed=1)


def record(stage):
    """Writes down what is so now."""
    if reason := _cannot(stage):
        raise Failed(reason)
    rows = [f"    {json.dumps(path)}: {json.dumps(counts)}" for path, counts in _count(stage).items()]
    head = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in _built_by().items()]
    head.append('  "counts": "instructions of an item, and calls of other libraries",')
    RECORD.write_text("\n".join(["{", *head, '  "paths": {', ",\n".join(rows), "  }", "}", ""]))
