# SPDX-License-Identifier: Apache-2.0
"""packages: the Debian packages, made, checked by lintian, and installed into a scratch root."""
import os
import re
import shutil
import subprocess

from .stage import ROOT, Failed
from .totals import Totals

BUILD = ROOT / "build/packages"
SCRATCH = BUILD / "root"  # below it, dpkg sees the packages of this machine and those of wring


def build(stage):
    for old in BUILD.glob("*.deb"):
        old.unlink()
    made = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    epoch = {"SOURCE_DATE_EPOCH": made} if made else {}
    stage.command("cmake", "--preset", "packages", environment=epoch)
    stage.command("cmake", "--build", BUILD, "-j", str(os.cpu_count()))
    stage.command("cpack", "--config", BUILD / "CPackConfig.cmake", environment=epoch)
    return Totals(passed=len(_packages(3)))


def _packages(wanted):
    found = sorted(BUILD.glob("*.deb"))
    if len(found) != wanted:
        raise Failed(f"{len(found)} packages were made, not {wanted}")
    return found


def lint(stage):
    """No error; warnings are in the log."""
    said = stage.command("lintian", "--allow-root", "--tag-display-limit", "0", *_packages(3), may_fail=True)
    if errors := re.findall(r"^E: .*", said, re.M):
        raise Failed(errors[0])
    return Totals(passed=1)


def _dpkg(stage, *words):
    """The scratch root has no shell, so triggers wait and scripts, which do nothing, run outside of it."""
    stage.command("dpkg", f"--root={SCRATCH}", "--force-not-root", "--force-script-chrootless", "--no-triggers", *words)


def _names():
    return [path.name.split("_")[0] for path in _packages(3)]


def installed(stage):
    """dpkg accepts the packages beside what this machine has: dependencies are there, no file is another package's."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    database = SCRATCH / "var/lib/dpkg"
    shutil.copytree("/var/lib/dpkg/info", database / "info")
    shutil.copy("/var/lib/dpkg/status", database / "status")
    (database / "updates").mkdir()
    _dpkg(stage, "--install", *_packages(3))
    return Totals(passed=1)


def consume(by_cmake, by_pkg_config):
    """The two kinds of stranger's projects, with what was installed."""
    def step(stage):
        prefix = SCRATCH / "usr"
        totals = by_cmake("packages", f"-DCMAKE_PREFIX_PATH={prefix}")(stage)
        totals.add(by_pkg_config(prefix, "packages-pkg-config", {"PKG_CONFIG_SYSROOT_DIR": str(SCRATCH)})(stage))
        library = next(prefix.glob("lib/*/libwring.so.0")).parent
        stage.command(prefix / "bin/wring", "--version", environment={"LD_LIBRARY_PATH": str(library)})
        totals.passed += 1
        return totals
    return step


def removed(stage):
    """Nothing stays behind."""
    _dpkg(stage, "--purge", *_names())
    if left := [path for path in (SCRATCH / "usr").rglob("*") if not path.is_dir()]:
        raise Failed(f"{left[0]} was left behind")
    shutil.rmtree(SCRATCH)
    return Totals(passed=1)
