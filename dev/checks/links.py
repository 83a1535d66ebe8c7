# SPDX-License-Identifier: Apache-2.0
"""links: every relative link and anchor in Markdown leads somewhere. The network is not asked."""
import re
from pathlib import Path

from . import markdown
from .tree import Finding, findings_in

CLAIM = "no dead link and no dead anchor in Markdown"

_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^]]+\]:\s+(\S+)")


def run(tree):
    for name in tree.files(".md"):
        for line, text in markdown.prose(tree.text(name)):
            for match in _LINK.finditer(re.sub(r"`[^`]*`", "", text)):
                target = match[1] or match[2]
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (tree.root / name).parent / path if path else tree.root / name
                if not file.exists():
                    yield Finding(name, line, f"dead link {target}")
                elif anchor and file.suffix == ".md" and anchor not in set(
                        markdown.anchors(Path(file).read_text(encoding="utf-8"))):
                    yield Finding(name, line, f"dead anchor {target}")


def self_test():
    assert len(findings_in(run, {"a.md": "[x](b.md) [y](#no) [z](c.md#gone)\n", "c.md": "# Here\n"})) == 3
    assert not findings_in(run, {"a.md": "# It's a `b`!\n[y](#its-a-b) [w](https://x.y) [z](d/c.md#here)\n", "d/c.md": "# Here\n"})
