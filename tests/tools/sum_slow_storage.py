# SPDX-License-Identifier: Apache-2.0
"""sum_slow_storage: `wring sum` where each read takes long (tests/support/slow_tree.cc)."""
import os
import pty
import re
import subprocess
import sys
import unittest

from claims import PATIENCE_SECONDS, TOOL, Case, limits, main, needs

SLOW_TREE = sys.argv[sys.argv.index("--slow-tree") + 1] if "--slow-tree" in sys.argv else None
del sys.argv[2:]


def why_not():
    """Why no file system can be mounted here; empty if one can."""
    if not SLOW_TREE:
        return "libfuse3-dev is not installed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be used"
    return ""


@unittest.skipIf(why_not(), why_not())
class SlowStorage(Case):
    def _mount(self, files, microseconds):
        tree = os.path.join(self.folder, "tree")
        os.mkdir(tree)
        server = subprocess.Popen([SLOW_TREE, tree, str(files), str(microseconds)], stdout=subprocess.PIPE)
        self.addCleanup(subprocess.run, ["umount", "-l", tree], capture_output=True)  # if it was killed
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        if server.stdout.readline() != b"ready\n":
            self.skipTest("a file system cannot be mounted here")
        self.addCleanup(server.stdout.close)
        return "tree"

    @needs("sha256sum")
    def its_sums_are_those_of_sha256sum(self):
        tree = self._mount(files=300, microseconds=2_000)
        ours = self.sum("--no-progress", tree)
        theirs = subprocess.run(["sh", "-c", f"find {tree} -type f -exec sha256sum {{}} +"], cwd=self.folder,
                                stdout=subprocess.PIPE, check=True)
        self.assertEqual((ours.returncode, ours.stderr), (0, b""))
        self.assertEqual(sorted(ours.stdout.splitlines()), sorted(theirs.stdout.splitlines()))
        self.assertEqual(len(ours.stdout.splitlines()), 300)

    def its_progress_line_shows_how_many_workers_are_blocked(self):
        tree = self._mount(files=400, microseconds=40_000)
        terminal, side = pty.openpty()
        with os.fdopen(terminal, "rb", buffering=0) as screen:
            process = subprocess.Popen([TOOL, "sum", tree], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=side,
                                       stdin=subprocess.DEVNULL, preexec_fn=limits(),
                                       env={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
            self.processes.append(process)
            os.close(side)
            shown = b""
            while not re.search(rb"workers: \d+ running, [1-9]\d* blocked", shown):
                try:
                    more = screen.read(4096)
                except OSError:  # the last one has closed it
                    more = b""
                if not more:
                    self.fail(f"nothing of blocked workers in {shown!r}")
                shown += more
            process.kill()
            process.wait(timeout=PATIENCE_SECONDS)


main()
