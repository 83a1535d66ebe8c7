# SPDX-License-Identifier: Apache-2.0
"""heads: how a file begins."""
import re
from pathlib import Path

from . import cpp
from .tree import Finding, findings_in

CLAIM = "each source begins with its licence line, then `name: what it is`"


def _speaks_for_itself(tree, name):
    """A .cc that includes a header of its own name leaves the explaining to the header."""
    path = Path(name)
    own = any(Path(included).stem == path.stem for _, included, _ in cpp.includes(tree.text(name)))
    return path.suffix == ".h" or (path.suffix == ".cc" and not own)


def run(tree):
    for name in tree.files(".h", ".cc", ".py", ".cmake", "CMakeLists.txt", ".sh"):
        lines = [text for _, text in tree.lines(name)] + ["", ""]
        if lines[0].startswith("#!"):
            lines.pop(0)
        if not re.match(r"(//|#) SPDX-License-Identifier: Apache-2\.0$", lines[0]):
            yield Finding(name, 1, "the first line is not the licence line")
        elif _speaks_for_itself(tree, name) and not re.match(r"// \S.*", lines[1]):
            yield Finding(name, 2, "the second line does not say what the file is")
        if name.endswith(".h") and "#pragma once" not in lines:
            yield Finding(name, 1, "no #pragma once")


def self_test():
    head = "// SPDX-License-Identifier: Apache-2.0\n"
    assert len(findings_in(run, {"a.h": "#pragma once\n", "b.cc": head + "#include <c>\n", "c.h": head + "// c\n", "c.cc": head + '#include "c.h"\n'})) == 3
    assert not findings_in(run, {"a.h": head + "// a: x\n#pragma once\n", "dev/x.py": "#!/usr/bin/x\n#" + head[2:]})
