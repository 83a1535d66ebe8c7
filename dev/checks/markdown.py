# SPDX-License-Identifier: Apache-2.0
"""markdown: prose, headings and code blocks of a .md file."""
import re
from dataclasses import dataclass


@dataclass
class Block:
    line: int      # of the opening fence
    language: str
    body: str
    before: str    # the last line above the fence that is not empty


def blocks(text):
    found, inside, before = [], None, ""
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.match(r"\s*```\s*(\S*)", line)
        if fence and inside is None:
            inside = Block(number, fence[1], "", before)
        elif fence:
            found.append(inside)
            inside, before = None, ""
        elif inside is not None:
            inside.body += line + "\n"
        elif line.strip():
            before = line.strip()
    return found


def prose(text):
    """(line, text) of everything outside of code blocks."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*```", line):
            inside = not inside
        elif not inside:
            yield number, line


def anchors(text):
    """The fragment of each heading, made as GitHub makes it."""
    seen = {}
    for _, line in prose(text):
        if heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
            words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            count = seen.get(slug, 0)
            seen[slug] = count + 1
            yield f"{slug}-{count}" if count else slug
        yield from re.findall(r'<a (?:id|name)="([^"]+)"', line)
