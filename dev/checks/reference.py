# SPDX-License-Identifier: Apache-2.0
"""reference: every public header has a page, every page has the one skeleton, and its synopsis is complete; the page
about wrong input knows every function and every option."""
import re
from pathlib import Path

from . import cpp, markdown, rules
from .tree import Finding, findings_in

CLAIM = "each public header has a page with the one skeleton, whose synopsis names all that the header declares"

SECTIONS = ["Synopsis", "Meaning", "Errors", "Threads", "Example", "Rule", "See also"]
FOLDER = "docs/reference"
INDEX = f"{FOLDER}/README.md"
BAD_INPUT = f"{FOLDER}/bad-input.md"
OF_NO_HEADER = {INDEX, f"{FOLDER}/conformance.md", f"{FOLDER}/verification.md"}

_LABEL = re.compile(r"\b(public|protected|private)\s*:(?!:)")
_SCOPE = re.compile(r"\b(namespace|class|struct|enum)\b(?!.*[(=])")
_NOT_A_NAME = {"alignas", "decltype", "explicit", "noexcept", "requires", "static_assert"}


def _statements(code):
    """(kind, text) of each declaration that users may use; kind is that of the scope: namespace, class, struct, enum.

    Bodies of functions, initialisers, everything private and the namespace detail are left out.
    """
    scopes, head, at = [["namespace", True, True]], "", 0  # kind, is it seen from outside, is what comes next public
    while at < len(code):
        sign, at = code[at], at + 1
        if sign not in "{};":
            head += sign
            continue
        for label in _LABEL.findall(head):
            scopes[-1][2] = label == "public"
        text = " ".join(_LABEL.sub("", head).split())
        kind, visible = scopes[-1][0], scopes[-1][1] and scopes[-1][2]
        scope = sign == "{" and _SCOPE.search(re.sub(r"template\s*<[^<>]*>", "", text))
        if sign == "{" and not scope:  # a body or an initialiser: skip it
            depth = 1
            while depth and at < len(code):
                depth += {"{": 1, "}": -1}.get(code[at], 0)
                at += 1
            if "(" not in text:
                continue  # the declaration goes on to its semicolon
        if visible and text:
            yield kind, text + (" {" if scope else "")
        if scope:
            scopes.append([scope[1], visible and not re.match(r"namespace detail\b", text), scope[1] != "class"])
        elif sign == "}" and len(scopes) > 1:
            scopes.pop()
        head = ""


def _names(kind, text):
    if kind == "enum":
        return re.findall(r"\b\w+\b", text)
    if text.endswith("{"):
        return re.findall(r"\b(?:enum class|class|struct|enum) (?:WRING_EXPORT )?(\w+)(?: final)?(?: : .*)? {$", text)
    if re.search(r"\b(friend|operator|detail)\b|~|= delete|^(class|struct) \w+$", text):
        return []
    if alias := re.search(r"\busing (\w+) =", text):
        return [alias[1]]
    if "(" in text:
        return [name for name in re.findall(r"\b([a-z]\w*)\s*\(", text)[:1] if name not in _NOT_A_NAME]
    field = re.search(r"\b(\w+)\s*(?:=.*)?$", text)
    return [field[1]] if field and kind in ("class", "struct") else []


def declared(header):
    """The names of types, functions, fields and enumerators that a header offers. Enough for headers as ours are."""
    code = re.sub(r"^\s*#.*$", "", cpp.code_only(header), flags=re.M)
    return {name for kind, text in _statements(code) for name in _names(kind, text)}


def callable_names(header):
    """Those of them that one can call, and the fields of structs whose name ends in options."""
    code = re.sub(r"^\s*#.*$", "", cpp.code_only(header), flags=re.M)
    calls = {name for kind, text in _statements(code) if "(" in text and kind != "enum" and "using " not in text
             for name in _names(kind, text)}
    for options in re.finditer(r"^( *)struct \w*options \{.*?^\1\};", code, re.S | re.M):
        calls |= {name for kind, text in _statements(options[0]) if kind == "struct" for name in _names(kind, text)}
    return calls


def _sections(text):
    """(line, title, body) of each part that begins with a heading of the second level."""
    found, inside = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        inside ^= line.startswith("```")
        if line.startswith("## ") and not inside:
            found.append([number, line[3:].strip(), ""])
        elif found:
            found[-1][2] += line + "\n"
    return found


def _page_findings(name, text):
    sections = _sections(text)
    if [title for _, title, _ in sections] != SECTIONS:
        yield Finding(name, 1, f"its sections are not {', '.join(SECTIONS)}")
        return
    for line, title, body in sections:
        if not body.strip():
            yield Finding(name, line, f"{title} is empty; say “None”, and why")
        elif title == "Example" and "<!-- from: " not in body:
            yield Finding(name, line, "the example is not quoted from code that is compiled")
        elif title == "Rule" and not re.search(rf"^- \*\*{rules.NAME}|^None\b", body, re.M):
            yield Finding(name, line, "no rule is listed as `- **WQ-1** what it says`, nor is there “None”")


def run(tree):
    pages = [n for n in tree.files(".md") if n.startswith(FOLDER + "/") and n not in OF_NO_HEADER]
    headers = [n for n in tree.files(".h") if n.startswith("include/wring/")]
    index = tree.text(INDEX) if (tree.root / INDEX).is_file() else ""
    for name in pages:
        yield from _page_findings(name, tree.text(name))
        if f"({Path(name).name})" not in index:
            yield Finding(INDEX, 1, f"does not lead to {name}")
    wrong = tree.text(BAD_INPUT) if (tree.root / BAD_INPUT).is_file() else ""
    for header in headers:
        if missing := sorted(n for n in callable_names(tree.text(header)) if not re.search(rf"\b{n}\b", wrong)):
            yield Finding(BAD_INPUT, 1, f"does not say what is wrong input of {', '.join(missing)} of {header}, or that none is")
        page = f"{FOLDER}/{header.removeprefix('include/wring/').removesuffix('.h')}.md"
        if page not in pages:
            yield Finding(header, 1, f"has no page {page}")
            continue
        synopsis = "".join(body for _, title, body in _sections(tree.text(page)) if title == "Synopsis")
        if missing := sorted(n for n in declared(tree.text(header)) if not re.search(rf"\b{n}\b", synopsis)):
            yield Finding(page, 1, f"the synopsis does not name {', '.join(missing)} of {header}")


def self_test():
    header = """namespace wring {
    namespace detail { class inner { public: int hidden; }; }
    enum class mode : int { fast, safe };
    using handler = void (*)(int);
    struct options {
     unsigned count = 0; long wait{5};
    };
    template <class F> requires std::is_invocable_v<F&>
    class thing {
     public:
      explicit thing(int n) : n_{n} {}
      bool go(mode m) const { return helper(m); }
      friend int friendly();
     private:
      int secret() const;
      int n_;
    };
    void free_one() noexcept;
    }
    """
    assert declared(header) == {"mode", "fast", "safe", "handler", "options", "count", "wait", "thing", "go", "free_one"}
    assert callable_names(header) == {"thing", "go", "free_one", "count", "wait"}
    page = "# thing\n" + "".join(f"## {s}\n{{{s.split()[0].lower()}}}\n" for s in SECTIONS)
    parts = {"synopsis": "mode fast safe handler options count wait thing go free_one", "meaning": "m", "errors": "None.",
             "threads": "Any.", "example": "<!-- from: a.cc -->", "rule": "- **WQ-1** it is so", "see": "x"}
    good = {"include/wring/thing.h": header, f"{FOLDER}/thing.md": page.format(**parts),
            BAD_INPUT: page.format(**{**parts, "synopsis": "thing go free_one count wait"}),
            INDEX: "[thing](thing.md) [wrong](bad-input.md)\n"}
    assert not findings_in(run, good)
    for rule in ("- **IOWQ-20, IOWQ-21** it is so", "- **IOWQ-U3** so", "None."):
        assert not findings_in(run, {**good, f"{FOLDER}/thing.md": page.format(**{**parts, "rule": rule})})
    for part, text in (("synopsis", "thing"), ("errors", ""), ("example", "int x;"), ("rule", "the usual"),
                       ("rule", "- **AIO-1** of none")):
        assert len(findings_in(run, {**good, f"{FOLDER}/thing.md": page.format(**{**parts, part: text})})) == 1
    assert len(findings_in(run, {**good, f"{FOLDER}/thing.md": page.format(**parts).replace("## Errors", "## Faults")})) == 1
    assert len(findings_in(run, {**good, INDEX: ""})) == 2
    assert len(findings_in(run, {**good, BAD_INPUT: page.format(**{**parts, "synopsis": "thing go free_one count"})})) == 1
    assert len(findings_in(run, {**good, "include/wring/new.h": ""})) == 1
