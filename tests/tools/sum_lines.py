# SPDX-License-Identifier: Apache-2.0
"""sum_lines: the lines of `wring sum` are those of the established tools, in the order of `find | sort`."""
import os
import random
import subprocess

from claims import TOOL, Case, main, needs

TOOLS = {"sha256": "sha256sum", "sha512": "sha512sum", "blake2b": "b2sum", "xxh128": "xxh128sum"}
AWKWARD = [b"plain", b"two  spaces", b"new\nline", b"back\\slash", b"carriage\rreturn", b"all\\\r\n", b"*star", b" lead",
           b"-", b"--dash", b"[bracket,s]", b"{brace}", b"%%", b"not\xffutf8", "snow☃".encode(), b"tab\t", b"\x01\x7f",
           b"'quote'", b'"double"', b"~", b"a.b", b"a-b", b"a0", b"sum", b"=x", b"++"]


class Lines(Case):
    def _reference(self, tool, *roots):
        """What find, sort and the tool make of the trees, one after the other."""
        out = b""
        for root in roots:
            names = subprocess.run(["find", root, "-type", "f", "-print0"], cwd=self.folder, stdout=subprocess.PIPE, check=True).stdout
            names = sorted(names.split(b"\0")[:-1])
            if names:
                out += subprocess.run([tool, *names], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        return out

    def _tree(self):
        chance = random.Random(1)
        for folder in (b"", b"a/", b"a/b/", b"a.c/", b"new\nline.d/", b"bad\xfe/"):
            for name in AWKWARD:
                self.file(b"t/" + folder + b"x" + name, chance.randbytes(chance.choice([0, 1, 55, 56, 64, 4096, 131072, 300000])))
        for name in AWKWARD:
            self.file(b"t/" + name, name)

    def _equal_to_the_tool(self, algorithm):
        self._tree()
        ours = self.sum("-a", algorithm, "t", ".")
        self.assertEqual((ours.returncode, ours.stderr), (0, b""))
        self.assertEqual(ours.stdout, self._reference(TOOLS[algorithm], "t", "."))

    @needs("sha256sum")
    def sha256_lines_of_a_tree_with_awkward_names_are_those_of_sha256sum(self):
        self._equal_to_the_tool("sha256")

    @needs("sha512sum")
    def sha512_lines_of_a_tree_with_awkward_names_are_those_of_sha512sum(self):
        self._equal_to_the_tool("sha512")

    @needs("b2sum")
    def blake2b_lines_of_a_tree_with_awkward_names_are_those_of_b2sum(self):
        self._equal_to_the_tool("blake2b")

    @needs("xxh128sum")
    def xxh128_lines_of_a_tree_with_awkward_names_are_those_of_xxh128sum(self):
        self._equal_to_the_tool("xxh128")

    def zero_terminated_lines_are_those_of_sha256sum(self):
        self._tree()
        self.assert_same(self._given_as_paths(TOOL, "sum", "-z"), self._given_as_paths("sha256sum", "-z"))

    def awkward_names_can_be_given_as_paths(self):
        self._tree()
        self.assert_same(self._given_as_paths(TOOL, "sum"), self._given_as_paths("sha256sum"))

    def _given_as_paths(self, *words):
        names = [name for name in AWKWARD if name != b"-"]
        return subprocess.run([*words, "--", *names], cwd=self.path("t"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def a_directory_sorts_as_if_its_name_ended_in_a_slash(self):
        for name in ("t/a/x", "t/a.b", "t/a-b", "t/a0", "t/a/b/c", "t/a/b.c", "t/a b/z"):
            self.file(name)
        lines = self.sum("t").stdout.splitlines()
        self.assertEqual([line[66:] for line in lines],
                         [b"t/a b/z", b"t/a-b", b"t/a.b", b"t/a/b.c", b"t/a/b/c", b"t/a/x", b"t/a0"])

    def several_paths_come_in_the_order_given_files_and_trees_mixed(self):
        for name in ("z/2", "z/1", "m", "a/1"):
            self.file(name)
        lines = self.sum("z", "m", "a", "z/2", "m", "./a/").stdout.splitlines()
        self.assertEqual([line[66:] for line in lines], [b"z/1", b"z/2", b"m", b"a/1", b"z/2", b"m", b"./a/1"])

    def paths_are_printed_as_find_prints_them(self):
        self.file("d/e/f")
        for root in ("d", "d/", "./d", "d//", ".", "d/../d", self.folder):
            with self.subTest(root):
                self.assertEqual(self.sum(root).stdout, self._reference("sha256sum", root))

    def an_empty_tree_gives_no_line_and_success(self):
        os.makedirs(self.path("t/u/v"))
        ours = self.sum("t", "t/u")
        self.assertEqual((ours.stdout, ours.stderr, ours.returncode), (b"", b"", 0))

    def standard_input_is_a_dash(self):
        for algorithm, tool in TOOLS.items():
            if algorithm != "xxh128":
                theirs = subprocess.run([tool, "-"], input=b"some text", stdout=subprocess.PIPE)
                self.assert_same(self.sum("-a", algorithm, "-", stdin=b"some text"), theirs)

    @needs("xxh128sum")
    def standard_input_is_called_stdin_by_xxh128_as_by_xxh128sum(self):
        self.assert_same(self.sum("-a", "xxh128", "-", stdin=b"x" * 500000),
                         subprocess.run(["xxh128sum", "-"], input=b"x" * 500000, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))

    def standard_input_named_twice_is_at_its_end_the_second_time(self):
        self.file("f")
        self.assert_same(self.sum("f", "-", "f", "-", stdin=b"x" * 200000),
                         subprocess.run(["sha256sum", "f", "-", "f", "-"], input=b"x" * 200000, cwd=self.folder, stdout=subprocess.PIPE))

    def standard_input_redirected_from_a_file_is_read_from_where_it_stands(self):
        with open(self.file("f", b"0123456789" * 50000), "rb", buffering=0) as opened:
            opened.seek(12345)
            ours = subprocess.run([TOOL, "sum", "-"], stdin=opened, stdout=subprocess.PIPE)
        theirs = subprocess.run(["sha256sum", "-"], input=(b"0123456789" * 50000)[12345:], stdout=subprocess.PIPE)
        self.assertEqual(ours.stdout, theirs.stdout)

    def thousands_of_files_of_every_size_agree_with_sha256sum(self):
        chance = random.Random(2)
        content = chance.randbytes(1 << 20)
        for i in range(3000):
            size = chance.choice([0, 10, 1000, 5000, 70000]) if i % 50 else 1 << 20
            start = chance.randrange(1 << 10)
            self.file(f"t/{chance.randrange(40)}/{chance.randrange(5)}/{i}", content[start:start + size])
        ours = self.sum("t")
        self.assertEqual(ours.stdout, self._reference("sha256sum", "t"))


if __name__ == "__main__":
    main()
