"""Finds C++ function bodies and how long they are, well enough for a length limit: braces are
matched with comments and strings blanked out, and what stands before a brace tells what it opens.
"""

import re

OPAQUE = re.compile(r"""
    R"([^()\s]*)\(.*?\)\1"                   # a raw string
  | //[^\n]* | /\*.*?\*/                     # a comment
  | "(?:\\.|[^"\\\n])*"                     # a string
  | (?<![0-9a-fA-F])'(?:\\.|[^'\\])+'       # a character, not a digit separator
    """, re.DOTALL | re.VERBOSE)
PREPROCESSOR = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
SCOPE = re.compile(r"\b(namespace|struct|class|enum|union|extern)\b(?![^(]*\))")
NAME = re.compile(r"([~\w:]+|operator\s*\S{1,3})\s*\(")
# A brace directly behind a constructor's member name initialises it; the body comes later.
MEMBER_INIT = re.compile(r"\)[^;]*:[^;]*[\w>]\s*$", re.DOTALL)
BODY_QUALIFIER = re.compile(r"\b(const|noexcept|override|final|mutable|try)\s*$|->[^;{}()]*$")


def blank(text):
    """The text with everything opaque replaced by spaces; line ends stay."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match[0])
    return PREPROCESSOR.sub(spaces, OPAQUE.sub(spaces, text))


def kind_of(prelude):
    """What the brace behind this text opens: 'scope', 'function', 'init' or 'other'."""
    stripped = prelude.strip()
    if "(" not in stripped or SCOPE.match(re.sub(r"template\s*<[^{}]*?>\s*", "", stripped)):
        return "scope" if SCOPE.search(stripped) else "other"
    if re.search(r"=\s*$", stripped):
        return "other"
    if MEMBER_INIT.search(stripped) and not BODY_QUALIFIER.search(stripped):
        return "init"
    return "function"


def find(text):
    """Yields (name, first line, length) of every outermost function body."""
    clean = blank(text)
    stack = []  # (kind, offset where the prelude began, name)
    prelude = 0
    for match in re.finditer(r"[;{}]", clean):
        at = match.start()
        if match[0] == "{":
            kind = kind_of(clean[prelude:at])
            inside = any(k == "function" for k, _, _ in stack)
            name = NAME.search(clean[prelude:at])
            stack.append(("nested" if inside else kind, prelude, name[1] if name else "?"))
            if kind != "init" or inside:
                prelude = at + 1
        elif match[0] == "}":
            kind, began, name = stack.pop() if stack else ("other", at, "?")
            if kind == "function":
                began += len(clean[began:]) - len(clean[began:].lstrip())
                first = clean.count("\n", 0, began) + 1
                yield name, first, clean.count("\n", 0, at) + 2 - first
            if kind != "init":
                prelude = at + 1
        else:
            prelude = at + 1
