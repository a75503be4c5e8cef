#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A file that a comment or a document names by its path is there."""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
NAMED = re.compile(r"(?<![\w./{-])(?:src|test|fuzz|docs|bench|dev|etc|man)/[\w./-]+\.(?:c|h|py|md|talk|sh|in|txt|build)\b")
ROOMS = re.compile(r"(?<![\w./{-])(?:base|mail|proto|policy|ipc|conf|store|tls|dns|https|role|cmd)/[\w./-]+\.[ch]\b")


def named(text):
    """Each path from the top of the tree; in src/ and docs/ also those from src/."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((number, path) for path in NAMED.findall(line))
        yield from ((number, "src/" + path) for path in ROOMS.findall(line))


def tracked():
    """Git's list of the tree, or what lies there where there is no git."""
    done = subprocess.run(["git", "-C", TOP, "ls-files", "src", "docs", "man", "README.md"], capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        return done.stdout.split()
    return [str(p.relative_to(TOP)) for folder in ("src", "docs", "man") for p in (TOP / folder).rglob("*") if p.is_file()]


def main():
    assert list(named(" * Tests    test/unit/a_test.c, see store/b.h")) == [(1, "test/unit/a_test.c"), (1, "src/store/b.h")]
    found, n = [], 0
    for name in tracked():
        path = TOP / name
        if path.suffix not in (".c", ".h", ".md", ".8") or not path.exists():
            continue
        for number, target in named(path.read_text()):
            n += 1
            if not (TOP / target).exists():
                found.append(f"{name}:{number}: there is no {target}")
    print("\n".join(found) or f"paths: {n} named, each is there")
    assert n > 500, "the reader of paths finds them"
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
