#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Holds the tables of docs/SECURITY.md to the tests: every promise and attack has a row, and every test that a row names exists."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs/SECURITY.md"
NUMBERS = [f"P{n}" for n in range(1, 14)] + [str(n) for n in range(1, 77)]
ROW = re.compile(r"\| (P?\d+) \| (.+?) \| (.+?) \| (.+) \|")
DEFINED = {".c": r"^(?:static )?\w+ \*?{}\(|^TEST\({}[,)]", ".py": r"^\s*def {}\("}

# Rows that may say "none yet": none.
OPEN = set()


def rows(text):
    """(number, test) of each row, whatever its form."""
    for line in text.splitlines():
        if re.match(r"\| P?\d", line):
            found = ROW.fullmatch(line)
            if found is None or line.count(" | ") != 3:
                sys.exit(f"docs/SECURITY.md: this row has not four columns: {line}")
            yield found[1], found[4]


def later(text):
    return re.findall(r"\b\d+\b", re.sub(r"\([^)]*\)", "", text.partition("\n## Later\n")[2]))


def missing(reference):
    """Why this test is not there; None if it is."""
    path, _, name = reference.partition(":")
    kind, _, rest = path.partition("/")
    if kind == "fuzz":
        there = (TOP / f"fuzz/{rest}.c").exists() and any((TOP / "fuzz/corpus" / rest).glob("*"))
        return None if there and not name else "no such fuzz target, or it has no corpus"
    if kind == "talk":
        return None if rest and list((TOP / "test/talk").glob(rest + ".talk")) and not name else "no such dialogue"
    if kind in ("sim", "inject") and not name:
        text = (TOP / "test" / kind / "meson.build").read_text()
        names = re.findall(r"test\('([\w-]+)'(?!\s*\+)", text) + sweeps(text)
        return None if rest in names else f"no such test in test/{kind}/meson.build"
    if kind not in ("unit", "sim", "scenario", "inject", "house"):
        return "what kind of test is this?"
    file = TOP / "test" / (path + {"scenario": "_test.py", "inject": "_test.py", "house": ".py"}.get(kind, ".c"))
    if not file.exists():
        return f"no file {file.relative_to(TOP)}"
    if not name:
        return None if kind == "house" else "which test of this file?"
    if not re.search(DEFINED[file.suffix].replace("{}", re.escape(name)), file.read_text(), re.M):
        return f"no such test in {file.relative_to(TOP)}"
    if kind not in ("scenario", "inject") and len(re.findall(rf"\b{re.escape(name)}\b", file.read_text())) < 2:
        return "it is never run"
    return None


def sweeps(text):
    return ["sim-sweep-" + word for group in re.findall(r"foreach what : \[(.*?)\]", text) for word in re.findall(r"'(\w+)'", group)]


def troubles(text):
    table = list(rows(text))
    numbers = [number for number, _ in table] + later(text)
    for number in NUMBERS:
        if numbers.count(number) != 1:
            yield f"{number} is there {numbers.count(number)} times"
    yield from (f"{number} is no number of ours" for number in numbers if number not in NUMBERS)
    for number, tests in table:
        if tests == "none yet":
            if number not in OPEN:
                yield f"{number} has no test"
            continue
        if not re.fullmatch("`[^` ]+`( `[^` ]+`)*", tests):
            yield f"{number}: tests are written `like/this:name`, with a blank between them: {tests}"
        yield from (f"{number}: {ref}: {why}" for ref in re.findall("`([^`]+)`", tests) for why in [missing(ref)] if why)


def finds_what_is_planted(text):
    """Each of these must be told."""
    row = next(line for line in text.splitlines() if line.startswith("| 1 |"))
    start = row.rpartition(" | ")[0]
    for tests in ("none yet", "`unit/mail/address_test:no_such_test`", "`talk/smtp-server/no-such-*`", "`fuzz/no_such`",
                  "`sim/no-such`", "`inject/no-such`", "`inject/accept:test_no_such`", "`scenario/no_such:test_x`", "`scenario/relay:test_no_such`",
                  "smuggling", "`other/x:y`"):
        if not any(trouble.startswith("1") for trouble in troubles(text.replace(row, f"{start} | {tests} |"))):
            yield f"the test of this table does not see: {tests}"
    if not any(trouble == "1 is there 0 times" for trouble in troubles(text.replace(row + "\n", ""))):
        yield "the test of this table does not see a row that is gone"


def main():
    text = PAGE.read_text()
    found = [f"docs/SECURITY.md: {trouble}" for trouble in troubles(text)] + list(finds_what_is_planted(text))
    waiting = [number for number, tests in rows(text) if tests == "none yet"]
    print("\n".join(found) if found else f"security: {sum(1 for _ in rows(text))} rows, without a test: {' '.join(waiting) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
