# SPDX-License-Identifier: Apache-2.0
"""command_line: what `wring` and `wring sum` say of themselves, and how they take mistakes."""
import os
import pathlib
import re
import shlex
import subprocess

from claims import Case, main, needs

ROOT = pathlib.Path(__file__).resolve().parents[2]


class CommandLine(Case):
    def help_is_on_standard_output_and_has_examples(self):
        for words in (("--help",), ("-h",), ("sum", "--help"), ("sum", "-h"), ("sum", "x", "--help")):
            done = self.run_tool(*words)
            with self.subTest(words):
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertIn(b"Usage: wring ", done.stdout)
                self.assertIn(b"\nExamples:\n", done.stdout)

    def the_version_is_that_of_the_library(self):
        header = (ROOT / "include/wring/version.h").read_text()
        version = re.search(r'VERSION_STRING "(.*)"', header)[1]
        for words in (("--version",), ("sum", "--version")):
            self.assertEqual(self.run_tool(*words).stdout.decode(), f"wring {version}\n")

    def mistakes_end_with_status_2_and_say_where_help_is(self):
        for words in ((), ("dance",), ("sum",), ("sum", "--dance", "x"), ("sum", "-q", "x"), ("sum", "-a", "md4", "x"), ("sum", "-a"),
                      ("sum", "-c"), ("sum", "-z", "-c", "x"), ("sum", "-z", "--json", "x"), ("sum", "--quiet", "x"),
                      ("sum", "--status", "x"), ("sum", "--strict", "x"), ("sum", "-w", "x"), ("sum", "--ignore-missing", "x")):
            done = self.run_tool(*words)
            with self.subTest(words):
                self.assertEqual((done.returncode, done.stdout), (2, b""))
                self.assertIn(b"--help", done.stderr)

    def an_unknown_algorithm_is_answered_with_the_known_ones(self):
        self.assertIn(b"sha256, sha512, blake2b, xxh128", self.sum("-a", "md4", "x").stderr)

    def options_may_follow_paths_and_two_dashes_end_them(self):
        self.file("--json")
        self.file("a")
        self.assertTrue(self.sum("a", "--json").stdout.startswith(b'{"name":"a"'))
        self.assertTrue(self.sum("--", "--json").stdout.endswith(b"  --json\n"))
        self.assertTrue(self.sum("a", "-asha512").stdout.endswith(b"  a\n"))
        self.assertTrue(self.sum("--algorithm=blake2b", "a").stdout.endswith(b"  a\n"))

    def _options_in_help(self):
        return set(re.findall(rb"^  (?:-\w, |    )(--[\w-]+)", self.sum("--help").stdout, re.M))

    def every_option_of_the_help_is_taken_and_in_the_man_page_and_the_completion(self):
        self.file("list", b"")
        man = (ROOT / "docs/man/wring-sum.1").read_bytes().replace(b"\\-", b"-")
        completion = (ROOT / "tools/completion/wring.bash").read_bytes()
        options = self._options_in_help()
        self.assertGreater(len(options), 10)
        for option in options:
            with self.subTest(option):
                value = b"=sha256" if option == b"--algorithm" else b""
                self.assertNotEqual(self.sum("-c", option + value, "list").stderr.find(b"unknown option"), 0)
                self.assertIn(option, man)
                self.assertIn(option, completion)

    @needs("man")
    def the_man_pages_are_well_formed(self):
        for page in ("wring.1", "wring-sum.1"):
            done = subprocess.run(["man", "--warnings", "-l", ROOT / "docs/man" / page], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
            with self.subTest(page):
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                for heading in (b"NAME", b"SYNOPSIS", b"DESCRIPTION", b"EXAMPLES", b"EXIT STATUS", b"SEE ALSO"):
                    self.assertIn(heading, done.stdout)

    @needs("bash")
    def the_completion_offers_commands_options_and_algorithms(self):
        def offered(*words):
            script = (f"source {shlex.quote(str(ROOT / 'tools/completion/wring.bash'))}; COMP_WORDS=({shlex.join(words)}); "
                      f"COMP_CWORD={len(words) - 1}; _wring; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
            return subprocess.run(["bash", "-c", script], cwd=self.folder, stdout=subprocess.PIPE, check=True).stdout.split()
        self.file("algebra")
        self.assertEqual(offered("wring", "s"), [b"sum"])
        self.assertEqual(offered("wring", "sum", "--al"), [b"--algorithm"])
        self.assertEqual(offered("wring", "sum", "-a", "sha"), [b"sha256", b"sha512"])
        self.assertEqual(offered("wring", "sum", "--algorithm", "x"), [b"xxh128"])
        self.assertEqual(offered("wring", "sum", "alg"), [b"algebra"])
        self.assertEqual(sorted(offered("wring", "sum", "--")), sorted(self._options_in_help()))


if __name__ == "__main__":
    main()
