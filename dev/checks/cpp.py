# SPDX-License-Identifier: Apache-2.0
"""cpp: just enough understanding of C++ text for the checks."""
import re

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_only(text):
    """`text` with comments and the insides of strings blanked, line numbers kept. Includes stay readable."""
    keep = re.compile(r'^\s*#\s*include\s+"[^"]*"', re.M)
    kept = {m.span() for m in keep.finditer(text)}

    def replace(match):
        if match[0].startswith('"') and any(a <= match.start() and match.end() <= b for a, b in kept):
            return match[0]
        return _blank(match[0])

    return _TOKEN.sub(replace, text)


def comments(text):
    """(line, text) of each comment line."""
    for match in _TOKEN.finditer(text):
        if match[0].startswith("/"):
            first = text.count("\n", 0, match.start()) + 1
            yield from enumerate(match[0].splitlines(), start=first)


def includes(text):
    """(line, name, quoted) of each #include."""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line):
            yield number, match[2], match[1] == '"'
