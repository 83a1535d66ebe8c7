# SPDX-License-Identifier: Apache-2.0
"""sum_bounds: whatever the tree is like, `wring sum` needs little memory and begins to answer early."""
import os
import subprocess
import sys
import threading
import unittest

from claims import SANITIZED, TOOL, Case, main, open_for_writing, until

MEMORY_KIB_MAX = 100 << 10
LONG = "n" * 230
# Started anew for each measurement, because a child counts what its parent had when it was forked.
METER = """import os, resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)"""


@unittest.skipIf(SANITIZED, "sanitizers need memory of their own")
class Bounds(Case):
    def _links(self, folder, names):
        """Many names cheaply: hard links to few files, because one file takes 65,000 at most."""
        os.makedirs(self.path(folder), exist_ok=True)
        first = None
        for count, name in enumerate(names):
            path = self.path(folder, name)
            if count % 60000 == 0:
                first = path
                with open(path, "wb") as out:
                    out.write(b"x")
            else:
                os.link(first, path)

    def _run(self, *words):
        """Output and the most memory that was resident, in KiB."""
        process = subprocess.Popen([sys.executable, "-c", METER, TOOL, "sum", *words], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        output, memory = process.communicate()
        self.assertEqual(process.returncode, 0, memory)
        return output, int(memory)

    def _names(self, output):
        return [line[66:] for line in output.splitlines()]

    def two_hundred_thousand_files_need_less_than_100_mib(self):
        for part in range(20):
            self._links(f"t/{part}", (f"{i:05}-{LONG[:60]}" for i in range(10000)))
        output, memory = self._run("t")
        self.assertLess(memory, MEMORY_KIB_MAX)
        names = self._names(output)
        self.assertEqual(len(names), 200000)
        self.assertEqual(names, sorted(names))

    def one_directory_of_any_size_needs_less_than_100_mib_and_loses_no_name(self):
        # Names of 25 MB in one directory: several times what is kept of one.
        names = [f"{(i * 7919) % 100003:06}-{LONG}" for i in range(100003)]
        self._links("t", names)
        output, memory = self._run("t")
        self.assertLess(memory, MEMORY_KIB_MAX)
        self.assertEqual(self._names(output), [b"t/" + name.encode() for name in sorted(names)])

    def big_directories_inside_of_each_other_lose_no_name(self):
        # The outer ones have to forget names while the inner ones are walked, and read them again.
        expected = []
        folder = "t"
        for _ in range(4):
            names = [f"{i:05}-{LONG[:180]}" for i in range(20000)]
            self._links(folder, names)
            expected += [f"{folder}/{name}" for name in names]
            folder += "/10000-m"
        output, memory = self._run("t")
        self.assertLess(memory, MEMORY_KIB_MAX)
        self.assertEqual(self._names(output), sorted(name.encode() for name in expected))

    def a_file_of_4_gib_needs_less_than_100_mib(self):
        with open(self.path("huge"), "wb") as out:
            out.truncate(4 << 30)
        output, memory = self._run("-a", "xxh128", "huge")
        self.assertTrue(output.endswith(b"  huge\n"))
        self.assertLess(memory, MEMORY_KIB_MAX)

    def _big_tree(self):
        """Far more names and digests than may wait: about 110 MB."""
        folder = "/".join([LONG] * 4)
        self._links("t/" + folder, (f"{i:06}" for i in range(100000)))
        return folder

    def a_reader_that_stops_makes_the_walk_stop_within_100_mib(self):
        self._big_tree()
        self.file("t/z/1")
        process = self.start("t")
        first = process.stdout.readline()
        self.assertTrue(first.endswith(b"/000000\n"))

        def cpu_time():
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")")[-1].split()[11:13]

        def quiet():
            """All threads sleep, and have used no time since the last look."""
            states = []
            for task in os.listdir(f"/proc/{process.pid}/task"):
                try:
                    with open(f"/proc/{process.pid}/task/{task}/stat", encoding="ascii") as stat:
                        states.append(stat.read().rsplit(")")[-1].split()[0])
                except (FileNotFoundError, ProcessLookupError):
                    states.append("it has ended meanwhile")
            used, self.used = self.used, cpu_time()
            self.still = self.still + 1 if used == self.used and set(states) == {"S"} else 0
            return self.still > 50
        self.used, self.still = None, 0
        until(quiet, "everybody waits for the reader")
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.assertLess(peak, MEMORY_KIB_MAX)
        # The first line is out and the walk has not ended: what is made only now is still found.
        self.file("t/z/2")
        rest = process.stdout.read().splitlines()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(len(rest), 100001)
        self.assertEqual([line[66:] for line in rest[-2:]], [b"t/z/1", b"t/z/2"])

    def small_files_behind_a_slow_one_wait_within_100_mib(self):
        self._big_tree()
        os.mkfifo(self.path("slow"))
        release = threading.Thread(target=lambda: open_for_writing(self.path("slow")).close())
        release.start()
        output, memory = self._run("slow", "t")
        release.join()
        self.assertEqual(output.count(b"\n"), 100001)
        self.assertLess(memory, MEMORY_KIB_MAX)


if __name__ == "__main__":
    main()
