# SPDX-License-Identifier: Apache-2.0
"""sum_check: `wring sum -c` reads and answers as `sha256sum -c` does: same standard output, same status."""
import hashlib
import os
import re
import subprocess

from claims import TOOL, Case, main, needs


def digest(content):
    return hashlib.sha256(content).hexdigest().encode()


class Check(Case):
    def setUp(self):
        super().setUp()
        for name in ("a", "b", "dir/c", "sp ace", "new\nline", "back\\slash", "carriage\r"):
            self.file(name, name.encode())
        self.a, self.b = digest(b"a"), digest(b"b")

    def _same_answer(self, *words, stdin=b"", theirs="sha256sum", ours=()):
        """Compares standard output, status, and what the messages say after the program's name."""
        reference = subprocess.run([theirs, "-c", *words], input=stdin, cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
        mine = self.sum(*ours, "-c", *words, stdin=stdin)
        self.assert_same(mine, reference)
        shape = lambda text: sorted(re.sub(rb"['\"]", b"", line).split(b": ", 1)[-1] for line in text.splitlines())
        self.assertEqual(shape(mine.stderr.replace(b"wring sum: ", b"sum: ")), shape(reference.stderr.replace(b"sha256sum: ", b"sum: ")))
        return mine

    def _list(self, *lines, end=b"\n"):
        self.file("list", b"".join(line + end for line in lines))
        return "list"

    def a_right_list_is_all_ok(self):
        self._list(self.a + b"  a", self.b + b"  b", digest(b"dir/c") + b"  dir/c")
        self.assertEqual(self._same_answer("list").stdout, b"a: OK\nb: OK\ndir/c: OK\n")

    def a_wrong_digest_is_failed_and_counted(self):
        self._list(self.b + b"  a", self.b + b"  b")
        self.assertEqual(self._same_answer("list").returncode, 1)
        self._list(self.b + b"  a", self.a + b"  b")
        self._same_answer("list")

    def a_missing_file_is_failed_open_or_read_and_the_rest_goes_on(self):
        self._list(self.a + b"  gone", self.b + b"  b", self.a + b"  gone2", self.a + b"  dir")
        self.assertIn(b"b: OK", self._same_answer("list").stdout)

    def escaped_names_are_understood_and_answered_escaped(self):
        self._list(b"\\" + digest(b"new\nline") + b"  new\\nline", b"\\" + digest(b"back\\slash") + b"  back\\\\slash",
                   b"\\" + digest(b"carriage\r") + b"  carriage\\r", b"\\" + self.a + b"  a", b"\\" + self.a + b"  bad\\escape",
                   b"\\" + self.a + b"  end\\")
        self._same_answer("list")

    def the_binary_marker_is_accepted(self):
        self._list(self.a + b" *a", self.b + b" *b", digest(b"sp ace") + b" *sp ace")
        self._same_answer("list")

    def a_single_space_is_accepted_if_the_first_line_has_one(self):
        self._list(self.a + b" a", self.b + b" b", self.b + b"  b")
        self._same_answer("list")
        self._list(self.a + b" aa", self.b + b" bb", digest(b"dir/c") + b" dir/c", self.b + b"  b")
        self._same_answer("list")
        self._list(self.b + b"  b", digest(b"dir/c") + b" dir/c")
        self._same_answer("list")

    def tagged_lines_are_accepted(self):
        self._list(b"SHA256 (a) = " + self.a, b"SHA256(b)= " + self.b, b"SHA256 (sp ace) = " + digest(b"sp ace"),
                   b"\\SHA256 (new\\nline) = " + digest(b"new\nline"), b"SHA256 (a) = " + self.b, b"SHA1 (a) = " + self.a[:40],
                   b"SHA256 (a) " + self.a, b"SHA256 a = " + self.a, b"SHA256 (a) = " + self.a + b"0", b"SHA256 (a = " + self.a,
                   b"SHA256 () = " + self.a, b"SHA256 (a)) = " + self.a)
        self._same_answer("list")

    def improper_lines_are_counted_and_do_not_fail_alone(self):
        for extra in ((), ("--strict",), ("-w",), ("--warn", "--strict")):
            self._list(b"nonsense", self.a + b"  a", self.a[:-1] + b"  a", self.a + b"a", self.a, self.a + b" ", self.a + b"  ",
                       b"g" + self.a[1:] + b"  a", self.a + b"\ta", self.a + b"\t b", b" \t" + self.b + b"  b")
            self._same_answer(*extra, "list")
        self._list(b"nonsense", self.a + b"  a")
        self.assertEqual(self._same_answer("list").returncode, 0)
        self.assertEqual(self._same_answer("--strict", "list").returncode, 1)

    def upper_case_digits_are_the_same_digits(self):
        self._list(self.a.upper() + b"  a")
        self._same_answer("list")

    def comments_and_empty_lines_are_passed_over(self):
        self._list(b"# " + self.a + b"  gone", b"", self.a + b"  a", b"#", b" # x")
        self._same_answer("list")

    def dos_line_ends_are_accepted(self):
        self._list(self.a + b"  a", b"", b"# x", self.b + b"  b", end=b"\r\n")
        self._same_answer("list")

    def the_last_line_needs_no_newline(self):
        self.file("list", self.a + b"  a\n" + self.b + b"  b")
        self._same_answer("list")

    def an_empty_list_and_one_without_a_proper_line_fail(self):
        for content in (b"", b"\n\n", b"# only\n", b"x\n", b"\0\n"):
            self.file("list", content)
            self.assertEqual(self._same_answer("list").returncode, 1)

    def a_missing_list_fails_and_the_next_list_is_read(self):
        self._list(self.a + b"  a")
        self._same_answer("gone", "list")

    def a_directory_is_no_list(self):
        reference = subprocess.run(["sha256sum", "-c", "dir"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        mine = self.sum("-c", "dir")
        self.assert_same(mine, reference)
        self.assertIn(b"dir: Is a directory", mine.stderr)

    def several_lists_are_answered_one_by_one(self):
        self.file("list1", self.a + b"  a\n" + self.a + b"  b\nx\n")
        self.file("list2", self.a + b"  gone\n" + self.b + b"  b\n")
        self._same_answer("list1", "list2", "list1")

    def a_list_is_read_from_standard_input(self):
        self._same_answer("-", stdin=self.a + b"  a\n" + self.b + b"  a\n" + self.a + b"  -\n")

    def a_dash_in_a_list_is_standard_input(self):
        self._list(self.a + b"  -", self.b + b"  b")
        self._same_answer("list", stdin=b"a")

    def quiet_status_and_ignore_missing_are_those_of_sha256sum(self):
        for lines in ((self.a + b"  a", self.b + b"  b"), (self.a + b"  a", self.a + b"  b"), (self.a + b"  gone",),
                      (self.a + b"  gone", self.b + b"  b"), (self.a + b"  gone", self.a + b"  b", b"x")):
            self._list(*lines)
            for extra in (("--quiet",), ("--status",), ("--ignore-missing",), ("--ignore-missing", "--quiet"),
                          ("--ignore-missing", "--status"), ("--quiet", "--strict")):
                with self.subTest(lines=lines, extra=extra):
                    self._same_answer(*extra, "list")

    def what_sum_printed_can_be_checked_by_sha256sum_and_by_itself(self):
        for i in range(300):
            self.file(f"t/{i % 7}/{i}", b"%d" % i * i)
        self.file("t/odd\n\\\r name", b"odd")
        self.file("made", self.sum("t").stdout)
        mine = self._same_answer("made")
        self.assertEqual((mine.returncode, mine.stdout.count(b": OK\n")), (0, 301))

    @needs("b2sum")
    def blake2b_lists_are_answered_as_b2sum_does(self):
        content = [hashlib.blake2b(name).hexdigest().encode() for name in (b"a", b"b")]
        self._list(content[0] + b"  a", content[0] + b"  b", b"BLAKE2b (b) = " + content[1], b"x")
        self._same_answer("list", theirs="b2sum", ours=("-a", "blake2b"))

    def sha512_lists_are_answered_as_sha512sum_does(self):
        content = [hashlib.sha512(name).hexdigest().encode() for name in (b"a", b"b")]
        self._list(content[0] + b"  a", content[0] + b"  b", b"SHA512 (b) = " + content[1], self.a + b"  a")
        self._same_answer("list", theirs="sha512sum", ours=("-a", "sha512"))

    @needs("xxh128sum")
    def lists_of_xxh128sum_can_be_checked(self):
        listed = subprocess.run(["xxh128sum", "a", "b", "dir/c"], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        self.file("list", listed)
        mine = self.sum("-a", "xxh128", "-c", "list")
        self.assertEqual((mine.stdout, mine.returncode), (b"a: OK\nb: OK\ndir/c: OK\n", 0))

    def an_endless_line_is_improper_and_needs_no_memory(self):
        self.file("list", b"x" * (5 << 20) + b"\n" + self.a + b"  a\n")
        self._same_answer("list")

    def answers_to_a_slow_pipe_come_before_its_end(self):
        process = subprocess.Popen([TOOL, "sum", "-c", "-"], cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(process)
        process.stdin.write(self.a + b"  a\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"a: OK\n")  # hangs, and fails by the time limit, if it waits for more
        process.stdin.close()
        self.assertEqual(process.wait(), 0)


if __name__ == "__main__":
    main()
