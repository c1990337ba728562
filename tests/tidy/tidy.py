#!/usr/bin/python3
"""The style that a program can check: who may include whom, what the core must not touch, lengths,
opening comments, dead files, strays. `tidy.py ROOT` prints path:line: complaint and exits 1.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import PurePosixPath

import cpp_functions

MAX_COLUMNS = 100
MAX_FILE_LINES = 900
MAX_FUNCTION_LINES = 80
# A ratchet: "path:function" -> the length it has now. An entry may shrink or go, never grow.
LONG_FUNCTIONS = {}

# Room -> the rooms that it may include besides itself. Nobody includes tests.
CORE = ("lockcore/base", "lockcore/paxos", "lockcore/locks", "lockcore/node")
MAY_INCLUDE = {
    "lockcore/base": (),
    "lockcore/paxos": ("lockcore/base",),
    "lockcore/locks": ("lockcore/base",),
    "lockcore/node": ("lockcore/base", "lockcore/paxos", "lockcore/locks"),
    "lockcore/store": ("lockcore/base",),
    "rpc": CORE,
    "daemon": CORE + ("lockcore/store", "rpc"),
    # bindings speak in the commands of locks, as rpc/convert.h gives them.
    # Backups are looked at and restored without a cell.
    "bindings/cli": ("lockcore/base", "lockcore/locks", "lockcore/store", "bindings"),
    "bindings": ("lockcore/base", "lockcore/locks", "rpc"),
    "tests": CORE + ("lockcore/store", "rpc", "daemon", "bindings"),
}

# The deterministic core takes time and random numbers as arguments and never waits: that is what
# lets the simulator drive it.
PURE_ROOMS = ("lockcore/paxos", "lockcore/locks", "lockcore/node")
IMPURE_HEADER = re.compile(
    r"^(uv\.h|kj/async.*|capnp/rpc.*|sqlite3\.h|thread|mutex|shared_mutex|condition_variable|"
    r"future|atomic|random|chrono|ctime|time\.h|unistd\.h|fcntl\.h|"
    r"sys/(socket|time|stat|epoll|eventfd)\.h)$")

TOP_LEVEL = {
    ".ci", ".clang-format", ".clang-tidy", ".gitattributes", ".gitignore", "ARCHITECTURE.md",
    "LICENSE", "README.md", "bindings", "daemon", "dev", "lockcore", "man", "meson.build",
    "meson_options.txt", "packaging", "rpc", "tests",
}
NOT_OURS = ("tests/bench/peers/",)  # drivers of other lock services, kept as they came
SOURCE_SUFFIXES = (".cc", ".h", ".capnp", ".py", ".pyi", ".sh")
# Spelled in halves so that this file passes its own test.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/wor" r"k/")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def list_files(root):
    """Tracked files and new ones that git doesn't ignore; all files where git won't answer."""
    git = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False)
    if git.returncode == 0:
        names = set(git.stdout.split("\0")) - {""}
        return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))
    found = []
    for directory, subdirs, names in os.walk(root):
        subdirs[:] = [d for d in subdirs
                      if d not in (".git", "__pycache__", ".pytest_cache") and d[:5] != "build"]
        found += [os.path.relpath(os.path.join(directory, n), root) for n in names]
    return sorted(found)


def room_of(path):
    return next((room for room in MAY_INCLUDE if path.startswith(room + "/")), None)


class Tidy:
    """One pass over the tree; complaints gather in self.complaints."""

    def __init__(self, root):
        self.root = root
        self.complaints = []
        self.files = [f for f in list_files(root) if not f.startswith(NOT_OURS)]
        self.text = {f: self.read(f) for f in self.files
                     if f.endswith(SOURCE_SUFFIXES) or os.path.basename(f) in ("dev", "run")
                     or f.endswith(("meson.build", ".md"))}

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def complain(self, path, line, what):
        self.complaints.append(f"{path}:{line}: {what}")

    def run(self):
        self.check_top_level()
        self.check_dead_files()
        for path, text in self.text.items():
            lines = text.splitlines()
            self.check_words(path, lines)
            if path.endswith(SOURCE_SUFFIXES):
                self.check_lengths(path, lines)
                self.check_opening(path, lines)
            if path.endswith((".cc", ".h")):
                self.check_includes(path, lines)
                self.check_house_rules(path, text)
                functions = cpp_functions.find(text)
                self.check_functions(path, functions)
            if path.endswith(".py"):
                self.check_functions(path, python_functions(text))
        return self.complaints

    def check_top_level(self):
        for name in sorted({path.split("/")[0] for path in self.files} - TOP_LEVEL):
            self.complain(name, 1, "a stray: the top level has a fixed set of names")

    def check_dead_files(self):
        """A .cc must be named in its folder's meson.build or in one above, a .h included by one."""
        included = {match[2] for text in self.text.values()
                    for match in map(INCLUDE.match, text.splitlines()) if match}
        for path in self.text:
            if path.endswith(".cc") and not self.named_in_build(path):
                self.complain(path, 1, "dead: no meson.build names it")
            if path.endswith(".h") and not any(path == i or path.endswith("/" + i)
                                               for i in included):
                self.complain(path, 1, "dead: nothing includes it")

    def named_in_build(self, path):
        pure = PurePosixPath(path)
        for folder in pure.parents:
            build = self.text.get(str(folder / "meson.build"), "")
            if f"'{pure.relative_to(folder)}'" in build:
                return True
        return False

    def check_words(self, path, lines):
        for number, line in enumerate(lines, 1):
            if UNFINISHED.search(line):
                self.complain(path, number, "unfinished work belongs in an issue, not in the tree")
            if MACHINE_PATH.search(line):
                self.complain(path, number, "a path of one developer's machine")

    def check_lengths(self, path, lines):
        if len(lines) > MAX_FILE_LINES:
            self.complain(path, len(lines), f"more than {MAX_FILE_LINES} lines: split it by job")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                self.complain(path, number, f"{len(line)} columns, more than {MAX_COLUMNS}")
            if line != line.rstrip() or "\t" in line:
                self.complain(path, number, "a tab, or white space at the end")

    def check_opening(self, path, lines):
        """The first lines say the file's job; a .cc may leave that to its header."""
        if path.endswith(".cc") and path[:-3] + ".h" in self.text:
            return
        head = [line for line in lines if not line.startswith(("#!", "@0x"))][:1]
        opener = {".cc": "//", ".h": "//", ".py": '"""', ".pyi": ("#", '"""'), ".sh": "#",
                  ".capnp": "#"}[PurePosixPath(path).suffix]
        if lines and not (head and head[0].startswith(opener)):
            self.complain(path, 1, "begins without saying what it is for")

    def check_includes(self, path, lines):
        room = room_of(path)
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match[2]
            if room in PURE_ROOMS and IMPURE_HEADER.match(header):
                self.complain(path, number, f"<{header}>: the core has no clock, thread or I/O")
            target = room_of(header)
            if target and room and target != room and target not in MAY_INCLUDE[room]:
                self.complain(path, number, f"{room} may not include {target}")
            if match[1] == '"' and header.startswith(".."):
                self.complain(path, number, "includes are written from the root")

    def check_house_rules(self, path, text):
        if path.endswith(".h") and "#pragma once" not in text:
            self.complain(path, 1, "a header without #pragma once")
        room = room_of(path)
        if room and room.startswith("lockcore/"):
            namespace = "namespace holdfast::" + room.split("/")[1]
            if namespace not in text:
                self.complain(path, 1, f"folder = namespace: expected {namespace}")
        own_header = path[:-3] + ".h"
        if path.endswith(".cc") and own_header in self.text:
            first = next((m[2] for m in map(INCLUDE.match, text.splitlines()) if m), "")
            if first != own_header and not own_header.endswith("/" + first):
                self.complain(path, 1, "its own header comes first")

    def check_functions(self, path, functions):
        for name, line, length in functions:
            allowed = LONG_FUNCTIONS.get(f"{path}:{name}", MAX_FUNCTION_LINES)
            if length > allowed:
                self.complain(path, line, f"{name} has {length} lines, more than {allowed}")


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def main(root):
    complaints = Tidy(root).run()
    print("\n".join(complaints) or "tidy")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
