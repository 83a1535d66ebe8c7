# SPDX-License-Identifier: Apache-2.0
"""sum_endings: how `wring sum` stops before its end, and what it shows on a terminal meanwhile."""
import os
import platform
import pty
import re
import signal
import subprocess
import unittest

from claims import PATIENCE_SECONDS, TOOL, Case, limits, main, open_for_writing, until

OPEN_CALLS = ("2", "257", "437") if platform.machine() == "x86_64" else ("56", "437")  # open, openat, openat2


class Endings(Case):
    def _in_open(self, process):
        """A thread of the process waits in open(2), for the writer of a FIFO."""
        def waits():
            for task in os.listdir(f"/proc/{process.pid}/task"):
                try:
                    with open(f"/proc/{process.pid}/task/{task}/syscall", encoding="ascii") as call:
                        if call.read().split()[0] in OPEN_CALLS:
                            return True
                except OSError:
                    pass
            return False
        return waits

    def _stops(self, process, number, status):
        process.send_signal(number)
        out, errors = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual((process.returncode, errors), (status, b""))
        return out

    def ctrl_c_ends_the_wait_for_a_fifo_to_be_opened_with_130(self):
        os.mkfifo(self.path("pipe"))
        process = self.start("pipe")
        until(self._in_open(process), "the FIFO is being opened")
        self._stops(process, signal.SIGINT, 130)

    def ctrl_c_ends_the_wait_for_data_with_130(self):
        os.mkfifo(self.path("pipe"))
        process = self.start("pipe")
        with open_for_writing(self.path("pipe")) as writer:
            writer.write(b"x")
            self._stops(process, signal.SIGINT, 130)

    def sigterm_ends_it_with_143(self):
        os.mkfifo(self.path("pipe"))
        process = self.start("pipe")
        with open_for_writing(self.path("pipe")):
            self._stops(process, signal.SIGTERM, 143)

    def ctrl_c_ends_the_wait_for_standard_input_with_130(self):
        self.file("a")
        process = self.start("a", "-", stdin=subprocess.PIPE)
        self.assertTrue(process.stdout.readline().endswith(b"  a\n"))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=PATIENCE_SECONDS), 130)

    def ctrl_c_ends_the_wait_for_a_reader_of_the_output_with_130(self):
        first = self.file("t/" + "d" * 200 + "/0")
        for i in range(1, 3000):
            os.link(first, self.path("t", "d" * 200, str(i)))
        process = self.start("t")
        self.assertTrue(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=PATIENCE_SECONDS), 130)

    def what_was_done_before_ctrl_c_has_been_printed(self):
        self.file("a")
        os.mkfifo(self.path("pipe"))
        process = self.start("a", "pipe")
        until(self._in_open(process), "the FIFO is being opened")
        line = process.stdout.readline()
        self.assertTrue(line.endswith(b"  a\n"))
        self._stops(process, signal.SIGINT, 130)

    def an_ignored_sigint_stays_ignored(self):
        os.mkfifo(self.path("pipe"))
        process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$0" sum pipe', TOOL], cwd=self.folder, stdout=subprocess.PIPE)
        self.processes.append(process)
        with open_for_writing(self.path("pipe")) as writer:
            process.send_signal(signal.SIGINT)
            writer.write(b"x")
        self.assertTrue(process.communicate(timeout=PATIENCE_SECONDS)[0].endswith(b"  pipe\n"))
        self.assertEqual(process.returncode, 0)

    def _many(self):
        first = self.file("t/" + "d" * 200 + "/0")
        for i in range(1, 2000):
            os.link(first, self.path("t", "d" * 200, str(i)))

    def a_closed_pipe_ends_it_quietly(self):
        self._many()
        process = self.start("t")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=PATIENCE_SECONDS), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")

    def a_closed_pipe_ends_it_quietly_even_if_sigpipe_was_ignored(self):
        self._many()
        read_end, write_end = os.pipe()
        os.close(read_end)
        with os.fdopen(write_end) as out:
            done = subprocess.run(["sh", "-c", 'trap "" PIPE; exec "$0" sum t', TOOL], cwd=self.folder, stdout=out,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS)
        self.assertIn(done.returncode, (141, -signal.SIGPIPE))
        self.assertEqual(done.stderr, b"")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def a_full_disk_is_reported_with_status_1(self):
        self.file("a")
        with open("/dev/full", "wb") as out:
            done = subprocess.run([TOOL, "sum", "a"], cwd=self.folder, stdout=out, stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS)
        self.assertEqual((done.returncode, done.stderr), (1, b"wring sum: write error: No space left on device\n"))


class Progress(Case):
    def _on_terminal(self, *words, output=subprocess.PIPE, environment=None):
        """Starts the command with a terminal as its standard error; it waits for the FIFO "pipe"."""
        self.file("a", b"a")
        os.mkfifo(self.path("pipe"))
        terminal, side = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = subprocess.Popen([TOOL, "sum", *words, "a", "pipe"], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=side if output == "terminal" else output, stderr=side, preexec_fn=limits(),
                                   env={**os.environ, "TERM": "xterm", **(environment or {})})
        self.processes.append(process)
        os.close(side)
        return process, terminal

    @staticmethod
    def _read_until(terminal, word):
        shown = b""
        while word not in shown:
            shown += os.read(terminal, 65536)  # fails the case at the end of file, when the command has ended
        return shown

    @staticmethod
    def _rest(terminal):
        shown = b""
        try:
            while piece := os.read(terminal, 65536):
                shown += piece
        except OSError:  # how a terminal says that nobody has it open any more
            pass
        return shown

    def a_terminal_shows_files_bytes_rate_and_workers_and_is_clean_at_the_end(self):
        process, terminal = self._on_terminal()
        with open_for_writing(self.path("pipe")) as writer:
            shown = self._read_until(terminal, b"1 blocked")
            writer.write(b"x")
        shown += self._rest(terminal)
        self.assertEqual(process.wait(), 0)
        self.assertRegex(shown, rb"\d+ files  \d+ B  \d+ B/s  workers: \d+ running, 1 blocked")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-80:])

    def no_colours_are_used_with_and_without_no_color(self):
        for environment in ({}, {"NO_COLOR": "1"}):
            process, terminal = self._on_terminal(environment=environment)
            with open_for_writing(self.path("pipe")):
                shown = self._read_until(terminal, b"blocked")
            shown += self._rest(terminal)
            self.assertEqual(re.findall(rb"\x1b\[(?!K)", shown), [])
            self.assertEqual(process.wait(), 0)
            os.unlink(self.path("pipe"))

    def no_progress_and_dumb_terminals_show_nothing(self):
        for words, environment in ((["--no-progress"], {}), ([], {"TERM": "dumb"})):
            process, terminal = self._on_terminal(*words, environment=environment)
            with open_for_writing(self.path("pipe")):
                self.assertTrue(process.stdout.readline())
            self.assertEqual(self._rest(terminal), b"")
            self.assertEqual(process.wait(), 0)
            os.unlink(self.path("pipe"))

    def ctrl_c_leaves_a_clean_terminal(self):
        process, terminal = self._on_terminal()
        with open_for_writing(self.path("pipe")):
            self._read_until(terminal, b"blocked")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=PATIENCE_SECONDS), 130)
        self.assertTrue(self._rest(terminal).endswith(b"\r\x1b[K"))

    def lines_and_progress_on_one_terminal_do_not_mix(self):
        process, terminal = self._on_terminal(output="terminal")
        with open_for_writing(self.path("pipe")) as writer:
            shown = self._read_until(terminal, b"blocked")
            writer.write(b"x")
        shown += self._rest(terminal)
        process.wait()
        # What a terminal would show in the end: each erased line is gone.
        seen = re.sub(rb"[^\n]*\r\x1b\[K", b"", shown.replace(b"\r\n", b"\n"))
        self.assertEqual([line[66:] for line in seen.splitlines()], [b"a", b"pipe"])

    def nothing_but_messages_goes_to_standard_error_in_a_pipe(self):
        self.file("a")
        self.assertEqual(self.sum("a").stderr, b"")

    def the_summary_tells_files_bytes_rate_and_workers(self):
        self.file("t/a", b"x" * 1500)
        self.file("t/b", b"x" * 548)
        done = self.sum("--summary", "t", "gone")
        self.assertRegex(done.stderr.decode(), r"(?m)^2 files, 2\.0 KiB in [\d.]+ s: [\d.]+ .?i?B/s, [\d,]+ files/s \(sha256\)\n")
        self.assertIn(b"1 problem", done.stderr)
        self.assertRegex(done.stderr.decode(), r"\d+ workers? at most for \d+ CPUs?, \d+ of them blocked at most; blocked [\d.]+ s in all\n")


if __name__ == "__main__":
    main()
