# SPDX-License-Identifier: Apache-2.0
"""selfcontained: each public header compiles alone, with both compilers, as the library does and as users do."""
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from .tree import Finding, Skip, findings_in

CLAIM = "each public header compiles alone with g++ and clang++-16"

COMPILERS = ("g++", "clang++-16")
FLAGS = ("-std=c++20", "-Iinclude", "-fsyntax-only", "-Wall", "-Wextra", "-Werror")
# Linked with the shared or the static library, by a project with few warnings or with those of cmake/compile.cmake and
# some more.
MANNERS = {
    "as a user": (),
    "with all warnings": ("-DWRING_STATIC", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wold-style-cast",
                          "-Wnon-virtual-dtor", "-Woverloaded-virtual", "-Wimplicit-fallthrough", "-Wextra-semi", "-Wundef"),
}


def _compile(tree, compiler, manner, header, folder):
    program = Path(folder, f"{compiler}_{manner}_{header}".replace("/", "_") + ".cc")
    program.write_text(f"#include <{header}>\n#include <{header}>\n")
    done = subprocess.run([compiler, *FLAGS, *MANNERS[manner], program], cwd=tree.root, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    error = next((line for line in done.stderr.splitlines() if "error" in line), "does not compile")
    return [Finding(f"include/{header}", 1, f"{compiler} {manner}: {error}")]


def run(tree):
    if missing := [c for c in COMPILERS if not shutil.which(c)]:
        raise Skip(f"{missing[0]} is not installed")
    headers = [name.removeprefix("include/") for name in tree.files(".h") if name.startswith("include/")]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cpu_count()) as pool:
        jobs = [pool.submit(_compile, tree, c, m, h, folder) for c in COMPILERS for m in MANNERS for h in headers]
        return [finding for job in jobs for finding in job.result()]


def self_test():
    assert len(findings_in(run, {"include/a.h": "#pragma once\nstd::size_t n;\n"})) == 4
    narrows = "#pragma once\ninline short narrow(long n) { return n; }\n"
    assert len(findings_in(run, {"include/a.h": narrows})) == 2, "with all warnings"
    assert not findings_in(run, {"include/a.h": "#pragma once\n#include <cstddef>\ninline std::size_t n;\n"})
