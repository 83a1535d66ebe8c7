# SPDX-License-Identifier: Apache-2.0
"""abi: what libwring.so offers to programs that are linked already, against the headers and the record in abi/.

The library is the one of the Debian packages, as it was linked: with debug information, not stripped.
"""
import json
import platform
import re
import tempfile
from pathlib import Path

from .stage import ROOT, Failed
from .totals import Totals

PRESET = "packages"
LIBRARY = ROOT / "build" / PRESET / "src/libwring.so"
HEADERS = ROOT / "include/wring"
RECORD = ROOT / "abi" / f"libwring-{platform.machine()}.xml"
WAY_OUT = ("programs linked before would break. Keep what was and add beside it; or raise WRING_ABI in "
           "cmake/version.cmake and `make abi-record`: abi/README.md")
SUPPRESSED = ("--suppressions", ROOT / "abi/public.abignore")


def build(stage):
    stage.command("cmake", "--preset", PRESET)
    stage.command("cmake", "--build", f"build/{PRESET}", "--target", "wring")


def record(stage):
    """Writes abi/: symbols and public types, and nothing of the machine it was made on."""
    stage.command("abidw", *SUPPRESSED, "--headers-dir", HEADERS, "--drop-private-types", "--exported-interfaces-only",
                  "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-parameter-names", "--no-elf-needed",
                  "--type-id-style", "hash", "--out-file", RECORD, LIBRARY)
    if str(ROOT) in RECORD.read_text():
        raise Failed(f"{RECORD.name} holds paths of this machine")


def _differs(stage, old, *options):
    """abidiff's answer, empty if there is none. It is not told the headers, for the record has no places: with them, it
    would take every recorded type for a private one and filter out what changed."""
    text = stage.command("abidiff", *SUPPRESSED, *options, old, LIBRARY, may_fail=True)
    answer = text.split("\n", 1)[1]  # without the command itself
    if "abidiff:" in answer:
        raise Failed("abidiff did not compare")
    return answer if re.search(r"[1-9]\d* (Removed|Changed|Added)|SONAME|architecture", answer) else ""


def _verdict(stage, old):
    """(breaks, added): what stands in the way of linked programs, and what is merely new."""
    return _differs(stage, old, "--no-added-syms"), _differs(stage, old)


def compare(stage):
    """Nothing that is recorded is gone or has changed."""
    if not RECORD.is_file():
        return Totals(skipped=1, notes=[f"skipped abi: nothing is recorded for {platform.machine()}"])
    breaks, added = _verdict(stage, RECORD)
    if breaks:
        raise Failed(WAY_OUT)
    new = [line.strip() for line in added.splitlines() if "[A]" in line]
    return Totals(passed=1, notes=[f"new since the record: {line}" for line in new])


def can_fail(stage):
    """A scratch copy of the record that has one function more, one less, or another size of work: only the second passes."""
    if not RECORD.is_file():
        return Totals(skipped=1)
    text = RECORD.read_text()
    lines = text.splitlines(keepends=True)
    copies = {
        "removed": (text.replace("_ZN5wring7versionEv", "_ZN5wring7missionEv"), True),
        "added": ("".join(line for line in lines if not re.search(r"<elf-symbol name='_ZN5wring7versionEv'", line)), False),
        "resized": (re.sub(r"(<class-decl name='work' size-in-bits=')512'", r"\g<1>576'", text), True),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (copy, should_break) in copies.items():
            if copy == text:
                raise Failed(f"the record has nothing that could be {name}")
            path = Path(folder, f"{name}.xml")
            path.write_text(copy)
            if bool(_verdict(stage, path)[0]) != should_break:
                raise Failed(f"the comparison is wrong about what was {name}")
    return Totals(passed=len(copies))


def _declared(node, templates=("FunctionTemplateDecl", "ClassTemplateDecl", "ClassTemplateSpecializationDecl")):
    """The mangled names of functions that headers declare and leave to the library."""
    if node.get("kind") in templates:
        return
    if "mangledName" in node and node["kind"].startswith(("Function", "CXX")):
        elsewhere = any(node.get(key) for key in ("inline", "isImplicit", "explicitlyDeleted", "explicitlyDefaulted"))
        if not elsewhere and not any(inner.get("kind") == "CompoundStmt" for inner in node.get("inner", ())):
            yield node["mangledName"]
        return
    for inner in node.get("inner", ()):
        yield from _declared(inner, templates)


def _json_values(text):
    decoder, end = json.JSONDecoder(), 0
    while start := re.compile(r"\s*(?=\{)").match(text, end):
        value, end = decoder.raw_decode(text, start.end())
        yield value


def exports(stage):
    """libwring.so gives away exactly the functions that its headers declare, all of them under its version."""
    dump = stage.quietly("clang++-16", "-std=c++20", "-Iinclude", "-fsyntax-only", "-Xclang", "-ast-dump=json", "-Xclang",
                         "-ast-dump-filter=wring", HEADERS / "wring.h", "-Wno-pragma-once-outside-header")
    declared = {name for value in _json_values(dump) for name in _declared(value)}
    listed = stage.quietly("nm", "-D", "--defined-only", LIBRARY)
    symbols = re.findall(r"^[0-9a-f]+ [TWVRBD] (\S+?)@@(\S+)$", listed, re.M)
    versions = {version for _, version in symbols}
    # Each constructor and destructor has names for complete objects and for bases.
    exported = {re.sub(r"(?<=[CD])2(?=E)", "1", name) for name, _ in symbols}
    if len(versions) != 1 or not declared:
        raise Failed(f"the versions are {sorted(versions)}, and {len(declared)} functions are declared")
    if declared != exported:
        raise Failed(f"declared, not exported: {sorted(declared - exported)}; exported, not declared: {sorted(exported - declared)}")
    return Totals(passed=1)
