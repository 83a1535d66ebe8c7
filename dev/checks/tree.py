# SPDX-License-Identifier: Apache-2.0
"""tree: the files a check looks at, and a finding about one of them."""
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Skip(Exception):
    """A check that cannot be made here; the text says why."""


class Tree:
    """The tracked and the not yet tracked files below `root`, without what .gitignore names."""

    def __init__(self, root):
        self.root = Path(root)
        self.everything = False  # dev/check --all: also what did not change

    def git(self, *arguments):
        done = subprocess.run(["git", "-C", self.root, *arguments], capture_output=True, text=True)
        return done.stdout.splitlines() if done.returncode == 0 else None

    def files(self, *suffixes):
        names = self.git("ls-files", "--cached", "--others", "--exclude-standard")
        if names is None:  # not a git checkout: a release archive, or a self-test
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
            names = [n for n in names if not n.startswith("build/") and "__pycache__" not in n]
        return sorted(n for n in set(names) if n.endswith(suffixes or ("",)) and (self.root / n).is_file())

    def sources(self, *folders):
        return [n for n in self.files(".h", ".cc") if not folders or n.startswith(tuple(f + "/" for f in folders))]

    def changed(self):
        """What differs from where this branch left the main one, else from the commit before; None: everything."""
        base = self.git("merge-base", "HEAD", "origin/HEAD")
        head = self.git("rev-parse", "HEAD")
        if not base or base == head:
            base = self.git("rev-parse", "--verify", "--quiet", "HEAD~1")
        if not base:
            return None
        return set(self.git("diff", "--name-only", base[0]) or []) | set(
            self.git("ls-files", "--others", "--exclude-standard") or [])

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def lines(self, name):
        return list(enumerate(self.text(name).splitlines(), start=1))


def findings_in(run, files):
    """Self-tests: what the check `run` says about a tree made of `files` (name -> text)."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return list(run(Tree(root)))
