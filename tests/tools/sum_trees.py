# SPDX-License-Identifier: Apache-2.0
"""sum_trees: what else than regular files a tree may hold, and what `wring sum` says of it."""
import hashlib
import os
import shutil
import socket
import subprocess
import unittest

from claims import TOOL, Case, is_root, main, needs, open_for_writing, until


def digest(content):
    return hashlib.sha256(content).hexdigest().encode()


class Trees(Case):
    def _good_neighbours(self):
        self.file("t/a", b"a")
        self.file("t/z", b"z")
        return digest(b"a") + b"  t/a\n" + digest(b"z") + b"  t/z\n"

    def _reported(self, done, name, *words):
        """The rest goes on, one message names the file and says why, the status is 1."""
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(b"wring sum: " + name + b": "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def a_fifo_inside_of_a_tree_is_reported_and_not_opened(self):
        expected = self._good_neighbours()
        os.mkfifo(self.path("t/pipe"))
        done = self.sum("t")  # hangs if it opens the FIFO
        self._reported(done, b"t/pipe", b"FIFO")
        self.assertEqual(done.stdout, expected)

    def a_socket_inside_of_a_tree_is_reported(self):
        expected = self._good_neighbours()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(self.path("t/socket"))
        done = self.sum("t")
        self._reported(done, b"t/socket", b"socket")
        self.assertEqual(done.stdout, expected)

    @unittest.skipUnless(is_root(), "making a device needs root")
    def a_device_inside_of_a_tree_is_reported_and_not_opened(self):
        expected = self._good_neighbours()
        try:
            os.mknod(self.path("t/null"), 0o20666, os.makedev(1, 3))
        except PermissionError:
            self.skipTest("devices cannot be made here")
        done = self.sum("t")
        self._reported(done, b"t/null", b"device")
        self.assertEqual(done.stdout, expected)

    def a_device_given_as_a_path_is_read(self):
        self.assertEqual(self.sum("/dev/null").stdout, digest(b"") + b"  /dev/null\n")

    def a_fifo_given_as_a_path_is_read(self):
        os.mkfifo(self.path("pipe"))
        process = self.start("pipe")
        with open_for_writing(self.path("pipe")) as writer:
            writer.write(b"x" * 300000)
        self.assertEqual(process.communicate()[0], digest(b"x" * 300000) + b"  pipe\n")

    def a_path_that_does_not_exist_is_reported_as_sha256sum_does(self):
        self.file("a", b"a")
        done = self.sum("gone", "a", "a/below", "")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, digest(b"a") + b"  a\n")
        self.assertEqual(done.stderr, b"wring sum: gone: No such file or directory\nwring sum: a/below: Not a directory\n"
                                      b"wring sum: '': No such file or directory\n")

    def symbolic_links_inside_of_a_tree_are_not_followed_but_counted(self):
        expected = self._good_neighbours()
        self.file("elsewhere/file")
        for name, target in (("file", "a"), ("folder", "../elsewhere"), ("up", ".."), ("gone", "nowhere")):
            os.symlink(target, self.path("t/link-" + name))
        done = self.sum("--summary", "t")
        self.assertEqual((done.stdout, done.returncode), (expected, 0))
        self.assertIn(b"4 symbolic links not followed", done.stderr)

    def symbolic_links_given_as_paths_are_followed(self):
        self.file("real/f", b"f")
        os.symlink("real", self.path("link"))
        os.symlink("real/f", self.path("to-file"))
        os.symlink("nowhere", self.path("dangling"))
        done = self.sum("link", "link/", "to-file", "dangling")
        self.assertEqual(done.stdout, digest(b"f") + b"  link/f\n" + digest(b"f") + b"  link/f\n" + digest(b"f") + b"  to-file\n")
        self._reported(done, b"dangling", b"No such file")

    def a_message_cannot_smuggle_control_characters_to_a_terminal(self):
        done = self.sum("esc\x1b[31m\ngone")
        self.assertEqual(done.stderr, b"wring sum: $'esc\\x1b[31m\\ngone': No such file or directory\n")

    @unittest.skipUnless(is_root(), "acting as another user needs root")
    def unreadable_files_and_folders_are_reported_and_the_rest_goes_on(self):
        expected = self._good_neighbours()
        os.chmod(self.file("t/secret"), 0)
        self.file("t/vault/inside")
        os.chmod(self.path("t/vault"), 0)
        os.chmod(self.folder, 0o755)
        tool = shutil.copy(TOOL, self.folder)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", tool]
        if subprocess.run([*as_nobody, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("the command cannot be run as nobody here")
        done = subprocess.run([*as_nobody, "sum", "t"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.stdout, done.returncode), (expected, 1))
        self.assertEqual(sorted(done.stderr.splitlines()),
                         [b"wring sum: t/secret: Permission denied", b"wring sum: t/vault: Permission denied"])

    @unittest.skipUnless(os.path.exists("/proc/self/mem"), "no /proc")
    def a_file_that_fails_while_it_is_read_is_reported(self):
        expected = digest(b"a") + b"  " + self.file("a", b"a") + b"\n"
        done = self.sum("/proc/self/mem", self.path("a"))
        self._reported(done, b"/proc/self/mem", b"Input/output error")
        self.assertEqual(done.stdout, expected)

    @unittest.skipUnless(os.path.exists("/proc/sys/fs/inotify"), "no /proc/sys")
    def files_of_proc_that_claim_to_be_empty_are_read_to_their_end(self):
        names = sorted(os.path.join("/proc/sys/fs/inotify", name) for name in os.listdir("/proc/sys/fs/inotify"))
        theirs = subprocess.run(["sha256sum", "/proc/version", *names], stdout=subprocess.PIPE)
        self.assert_same(self.sum("/proc/version", "/proc/sys/fs/inotify"), theirs)

    @unittest.skipUnless(os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"), "no such file in /sys")
    def files_of_sys_that_are_shorter_than_they_claim_are_read_right(self):
        name = "/sys/kernel/mm/transparent_hugepage/enabled"
        self.assert_same(self.sum(name), subprocess.run(["sha256sum", name], stdout=subprocess.PIPE))

    def a_tree_deeper_than_any_path_may_be_is_walked_and_read(self):
        depth, part = 400, "d" * 100
        here = os.getcwd()
        os.makedirs(self.path("t"))
        os.chdir(self.path("t"))
        try:
            for level in range(depth):
                with open("z", "wb") as out:
                    out.write(b"%d" % level)
                os.mkdir(part)
                os.chdir(part)
            with open("bottom", "wb") as out:
                out.write(b"bottom")
        finally:
            os.chdir(here)
        done = self.sum("t", descriptors=64)
        self.assertEqual((done.stderr, done.returncode), (b"", 0))
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], digest(b"bottom") + b"  t/" + (part.encode() + b"/") * depth + b"bottom")
        self.assertEqual(lines[1:], [digest(b"%d" % level) + b"  t/" + (part.encode() + b"/") * level + b"z"
                                     for level in reversed(range(depth))])

    def sixty_four_descriptors_are_enough_for_any_tree(self):
        for folder in range(300):
            for name in range(5):
                self.file(f"t/{folder % 20}/{folder}/{name}", b"%d" % name)
        self.assert_same(self.sum("t", *["t/3"] * 100, descriptors=64), self.sum("t", *["t/3"] * 100))

    def a_file_bigger_than_the_others_of_its_batch_does_not_change_the_order(self):
        for i in range(200):
            self.file(f"t/{i:03}", os.urandom(1 << 20 if i % 20 == 0 else 100))
        names = sorted(os.listdir(self.path("t")))
        theirs = subprocess.run(["sha256sum", *[os.path.join(b"t", name) for name in names]], cwd=self.folder, stdout=subprocess.PIPE)
        self.assert_same(self.sum("t"), theirs)

    @needs("unshare")
    @unittest.skipUnless(is_root(), "a bind mount needs root")
    def a_directory_mounted_below_itself_is_reported_and_not_entered(self):
        expected = self._good_neighbours()
        self.file("t/m/loop/.keep")
        script = 'mount --bind t t/m/loop && exec "$0" sum t'
        if subprocess.run(["unshare", "-m", "mount", "--bind", "t", "t/m/loop"], cwd=self.folder, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("bind mounts are not permitted here")
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, TOOL], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._reported(done, b"t/m/loop", b"loop")
        self.assertEqual(done.stdout, expected)

    def _stopped_before_y(self):
        """A run that waits for a reader of its output, having listed "t" with "t/y", but not having come to "t/y"."""
        folder = "/".join(["d" * 250] * 4)
        first = self.file("t/a/" + folder + "/0")
        for name in range(1, 50000):
            os.link(first, self.path("t/a", folder, str(name)))
        self.file("t/y/gone")
        self.file("t/z", b"z")
        process = self.start("t")
        self.assertTrue(process.stdout.readline().endswith(b"/0\n"))
        return process

    def _reports_y_and_goes_on(self, process, reason):
        out = process.stdout.read()
        self.assertEqual((process.stderr.read(), process.wait()), (b"wring sum: t/y: " + reason + b"\n", 1))
        self.assertEqual(out.count(b"\n"), 50000)
        self.assertTrue(out.endswith(digest(b"z") + b"  t/z\n"))

    def a_folder_that_vanishes_after_it_was_seen_is_reported_and_the_rest_goes_on(self):
        process = self._stopped_before_y()
        shutil.rmtree(self.path("t/y"))
        self._reports_y_and_goes_on(process, b"No such file or directory")

    def a_folder_that_became_a_symbolic_link_after_it_was_seen_is_not_followed(self):
        process = self._stopped_before_y()
        os.rename(self.path("t/y"), self.path("elsewhere"))
        os.symlink("../elsewhere", self.path("t/y"))
        self._reports_y_and_goes_on(process, b"Too many levels of symbolic links")

    def small_files_are_read_while_a_slow_one_is_waited_for(self):
        os.mkfifo(self.path("slow"))
        for i in range(500):
            self.file(f"t/{i}", b"x" * 10000)
        process = self.start("slow", "t")

        def read_so_far():
            with open(f"/proc/{process.pid}/io", encoding="ascii") as io:
                return int(io.readline().split()[1])
        until(lambda: read_so_far() >= 500 * 10000, "all small files are read")
        self.assertIsNone(process.poll())
        open_for_writing(self.path("slow")).close()
        self.assertEqual(process.communicate()[0].count(b"\n"), 501)

    def forty_slow_files_wait_at_the_same_time(self):
        names = [f"slow{i}" for i in range(40)]
        for name in names:
            os.mkfifo(self.path(name))
        process = self.start(*names)
        writers = [open_for_writing(self.path(name)) for name in reversed(names)]
        for writer in writers:
            writer.write(b"x")
            writer.close()
        self.assertEqual(process.communicate()[0], b"".join(digest(b"x") + b"  " + name.encode() + b"\n" for name in names))


if __name__ == "__main__":
    main()
