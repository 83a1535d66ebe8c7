# SPDX-License-Identifier: Apache-2.0
"""sum_json: --json gives one object per line, from which the bytes of every name can be had back."""
import base64
import hashlib
import json
import os

from claims import Case, main

NAMES = [b"plain", b"new\nline", b"quote\"back\\slash", b"control\x01\x7f", "snow☃ 𝄞".encode(), b"not\xffutf8", b"cut\xe2\x98",
         b"overlong\xc0\xaf", b"surrogate\xed\xa0\x80", b"beyond\xf4\x90\x80\x80", b"\xf0\x9f\x98\x80"]


def name_of(line):
    return base64.b64decode(line["name_b64"]) if "name_b64" in line else line["name"].encode()


class Json(Case):
    def _lines(self, *words, status=0, **options):
        done = self.sum("--json", *words, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def every_name_comes_back_byte_for_byte(self):
        for name in NAMES:
            self.file(b"t/" + name, name)
        lines = self._lines("t")
        self.assertEqual([name_of(line) for line in lines], sorted(b"t/" + name for name in NAMES))
        for line in lines:
            content = name_of(line)[2:]
            self.assertEqual((line["algorithm"], line["digest"], line["bytes"]),
                             ("sha256", hashlib.sha256(content).hexdigest(), len(content)))

    def only_names_that_are_not_utf8_are_encoded(self):
        for name in NAMES:
            self.file(b"t/" + name)
        for line in self._lines("t"):
            with self.subTest(line):
                self.assertNotEqual("name" in line, "name_b64" in line)
                if "name_b64" in line:
                    self.assertRaises(UnicodeDecodeError, name_of(line).decode)

    def a_name_with_a_newline_stays_on_one_line(self):
        self.file("t/a\nb")
        self.assertEqual(self.sum("--json", "t").stdout.count(b"\n"), 1)

    def what_cannot_be_read_is_an_object_with_the_reason(self):
        self.file("b")
        lines = self._lines("gone", "b", status=1)
        self.assertEqual(lines[0], {"name": "gone", "algorithm": "sha256", "error": "No such file or directory"})
        self.assertIn("digest", lines[1])

    def a_fifo_inside_of_a_tree_is_an_object_with_the_reason(self):
        os.makedirs(self.path("t"))
        os.mkfifo(self.path("t/pipe"))
        self.assertIn("FIFO", self._lines("t", status=1)[0]["error"])

    def answers_to_a_list_have_a_result(self):
        good = self.file("good", b"1") and hashlib.sha256(b"1").hexdigest().encode()
        self.file("bad", b"2")
        self.file("list", good + b"  good\n" + good + b"  bad\n" + good + b"  gone\n")
        lines = self._lines("-c", "list", status=1)
        self.assertEqual([(line["name"], line["result"]) for line in lines],
                         [("good", "ok"), ("bad", "failed"), ("gone", "unreadable")])


if __name__ == "__main__":
    main()
