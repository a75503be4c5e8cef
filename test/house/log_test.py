#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Holds the table of docs/LOG.md to src/sys/log_events.h (the same events, levels and meanings, in the same order), and each trouble to a text.

usage: test/house/log_test.py [--write]      --write puts the table of the code into the page
"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs/LOG.md"
EVENT = re.compile(r'EVENT\(LOG_\w+,\s*"([a-z-]+)",\s*(\w+),\s*"((?:[^"\\]|\\.)*)"\)')
CONTINUED = re.compile(r'"?\s*\\\n\s*"?')  # of a line of a macro, and of a text in it
HEAD = "| event | level | meaning |\n| --- | --- | --- |\n"
TABLE = re.compile(re.escape(HEAD) + r"((?:\|.*\n)*)")
ROW = re.compile(r"\| `([a-z-]+)` \| (\w+) \| (.*) \|")


def of_code():
    text = CONTINUED.sub("", (TOP / "src/sys/log_events.h").read_text())
    if text.count("EVENT(LOG_") != len(EVENT.findall(text)):
        sys.exit("src/sys/log_events.h: an EVENT has another form than: EVENT(LOG_X, \"x\", LEVEL, \"Meaning.\")")
    return [(name, level.lower(), meaning.replace("|", "\\|")) for name, level, meaning in EVENT.findall(text)]


def troubles():
    """LOG_TROUBLE says in its text what is odd, and what to do."""
    for path in sorted((TOP / "src").rglob("*.c")):
        for call in re.findall(r"log_event\(LOG_TROUBLE,.*?\);", path.read_text(), flags=re.S):
            if not re.search(r'LOG_[SZ]\("text",', call):
                yield f"{path.relative_to(TOP)}: a trouble without a text: {' '.join(call.split())}"


def of_page():
    found = TABLE.search(PAGE.read_text())
    if found is None:
        sys.exit("docs/LOG.md has no table of events")
    return [ROW.fullmatch(line).groups() for line in found.group(1).splitlines()]


def write(events):
    rows = "".join(f"| `{name}` | {level} | {meaning} |\n" for name, level, meaning in events)
    PAGE.write_text(TABLE.sub(lambda _: HEAD + rows, PAGE.read_text()))


def differences(code, page):
    for event in code:
        if event not in page:
            yield f"docs/LOG.md lacks, or has otherwise: {' | '.join(event)}"
    for event in page:
        if event not in code:
            yield f"docs/LOG.md has what the code does not: {' | '.join(event)}"
    if sorted(code) == sorted(page) and code != page:
        yield "docs/LOG.md has another order"
    names = [name for name, _, _ in code]
    yield from (f"two events are called {name}" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"{name}: its meaning is no sentence" for name, _, meaning in code if not re.fullmatch("[A-Z].{8,}[.]", meaning))


def main():
    code = of_code()
    if "--write" in sys.argv[1:]:
        write(code)
    page, found = list(differences(code, of_page())), list(troubles())
    print("\n".join(page + found) if page or found else f"log: {len(code)} events, all in docs/LOG.md")
    if page:
        print("to mend the page: test/house/log_test.py --write")
    return 1 if page or found else 0


if __name__ == "__main__":
    sys.exit(main())
