# SPDX-License-Identifier: Apache-2.0
"""rules: the families of rules, their list in dev/rules.txt, and what names one of them in a text."""
import re
from dataclasses import dataclass

LIST = "dev/rules.txt"


@dataclass(frozen=True)
class Family:
    name: str
    title: str
    unlisted: str = ""  # a range of rules that exist and are not in the list


FAMILIES = (Family("WQ", "Work queues", unlisted="WQ-U1..U18"), Family("IOWQ", "I/O pools"))

NAME = rf"(?:{'|'.join(f.name for f in FAMILIES)})-U?\d+"  # to be found in texts: of the caller's regular expression
_FIRST_AND_LAST = re.compile(rf"\b({'|'.join(f.name for f in FAMILIES)})-(U?)(\d+)(?:\.\.(U?)(\d+))?")


def named(text):
    """A list of rules for each name in `text`: one of it alone, all of a range; of a range that is none, itself."""
    for found in _FIRST_AND_LAST.finditer(text):
        family, kind, first, last_kind, last = found.groups()
        whole = [f"{family}-{kind}{n}" for n in range(int(first), int(last or first) + 1)]
        yield whole if whole and last_kind in ("", None, kind) else [found[0]]


def listed(tree):
    """[(line, number, meaning, state, faults)]"""
    for line, text in tree.lines(LIST):
        if text and not text.startswith("#"):
            fields = [field.strip() for field in text.split("|")] + ["", ""]
            yield line, *fields[:4]


def unlisted():
    return {rule for family in FAMILIES for rules in named(family.unlisted) for rule in rules}


def family_of(rule):
    """Of a name of the list; None: it is no name of a rule."""
    return next((f for f in FAMILIES if re.fullmatch(rf"{f.name}-U?\d+", rule)), None)
