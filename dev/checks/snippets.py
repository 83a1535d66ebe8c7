# SPDX-License-Identifier: Apache-2.0
"""snippets: the C++ that documents show is the C++ that is compiled.

A block below `<!-- from: examples/01_x.cc#main -->` equals what stands in that file between the lines
`// [main]` and `// [/main]`; without #name, the whole file.
"""
import re
import textwrap

from . import markdown
from .tree import Finding, findings_in

CLAIM = "code in documents equals the marked part of the file it is from; all C++ of README.md and docs/ is marked"

_ALL_MARKED = ("README.md", "docs/")
_FROM = re.compile(r"<!-- from: ([\w./-]+?)(?:#([\w-]+))? -->$")


def _marked(text, mark):
    if not mark:
        return text
    part = re.search(rf"^[ \t]*// \[{mark}\]\n(.*?)^[ \t]*// \[/{mark}\]$", text, re.S | re.M)
    return part and textwrap.dedent(part[1])


def run(tree):
    for name in tree.files(".md"):
        for block in markdown.blocks(tree.text(name)):
            source = _FROM.match(block.before)
            if not source:
                if name.startswith(_ALL_MARKED) and block.language in ("cpp", "c++"):
                    yield Finding(name, block.line, "C++ without a line `<!-- from: file#name -->` above")
                continue
            path, mark = source.groups()
            if not (tree.root / path).is_file():
                yield Finding(name, block.line, f"{path} does not exist")
            elif (part := _marked(tree.text(path), mark)) is None:
                yield Finding(name, block.line, f"{path} has no part [{mark}]")
            elif part.strip("\n") != block.body.strip("\n"):
                yield Finding(name, block.line, f"differs from {path}#{mark or ''}")


def self_test():
    code = "// [main]\nint main() {}\n// [/main]\n"
    said = "<!-- from: a.cc#{} -->\n```cpp\nint {}() {{}}\n```\n"
    assert not findings_in(run, {"a.cc": code, "README.md": said.format("main", "main")})
    assert len(findings_in(run, {"docs/guide/x.md": "```cpp\nint x;\n```\n", "src/y.md": "```cpp\nint y;\n```\n"})) == 1
    for bad in (said.format("main", "mian"), said.format("gone", "main"), said.format("main", "main")[24:]):
        assert len(findings_in(run, {"a.cc": code, "README.md": bad})) == 1
