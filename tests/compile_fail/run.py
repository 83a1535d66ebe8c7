#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py INCLUDE: each misuse of this folder is refused by both compilers, for the reason it should be.

A case is one file. With MISUSE defined it must not compile, and an error must match the expression of its line
`// expect:`. Without, all cases together must compile, warnings being errors: so nothing but the misuse is wrong.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FLAGS = ("-std=c++20", "-Wall", "-Wextra", "-Werror")
# The headers are read once for all cases: what each compiler makes of all.h, and then finds beside it.
COMPILERS = {"g++": "all.h.gch", "clang++-16": "all.h.pch"}


def prepare(compiler, include, folder):
    (folder / "all.h").write_text("#include <wring/wring.h>\n")
    command = [compiler, *FLAGS, f"-I{include}"]
    subprocess.run([*command, "-x", "c++-header", "all.h", "-o", COMPILERS[compiler]], cwd=folder, check=True)
    return [*command, "-include", "all.h", "-fsyntax-only"]


def errors(command, folder, *arguments):
    """What the compiler complains about; None if it does not."""
    done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"})
    return done.stderr if done.returncode else None


def complaint_about_right_forms(command, folder, cases):
    """Each in a namespace of its own; what they include is there already."""
    program = folder / "right.cc"
    program.write_text("#include <chrono>\n#include <memory>\n#include <utility>\n" + "".join(
        f'namespace {case.stem} {{\n#include "{case}"\n}}\n' for case in cases))
    text = errors(command, folder, program)
    return text and f"a right form does not compile:\n{text}"


def complaint(command, folder, case):
    """Why the misuse is not refused as it should be; None if it is."""
    expected = re.search(r"^// expect: (.+)$", case.read_text(), re.M)
    if not expected:
        return "no line `// expect:`"
    if (text := errors(command, folder, "-DMISUSE", case)) is None:
        return "the misuse compiles"
    said = re.findall(r"(?:error|note): (.*)", text)
    if not any(re.search(expected[1], line) for line in said):
        return f"nothing said about /{expected[1]}/:\n{text}"
    return None


def main():
    include = Path(sys.argv[1]).resolve()
    cases = sorted(FOLDER.glob("*.cc"))
    passed = failed = skipped = 0
    for compiler in COMPILERS:
        if not shutil.which(compiler):
            print(f"skipped {len(cases)} misuses: {compiler} is not installed")
            skipped += len(cases)
            continue
        with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
            folder = Path(name)
            command = prepare(compiler, include, folder)
            answers = [("right forms", pool.submit(complaint_about_right_forms, command, folder, cases))]
            answers += [(case.stem, pool.submit(complaint, command, folder, case)) for case in cases]
            for case, answer in answers:
                why = answer.result()
                passed += why is None
                failed += why is not None
                if why:
                    print(f"FAILED {case} with {compiler}: " + "\n  ".join(why.splitlines()[:20]))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
