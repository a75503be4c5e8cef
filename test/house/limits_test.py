#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Holds docs/LIMITS.md to the code: the numbers are those of the source, none is left out, the tests exist."""
import pathlib
import re
import sys

from security_test import TOP, missing

PAGE = TOP / "docs/LIMITS.md"
UNITS = {"": 1, "KB": 1 << 10, "MB": 1 << 20, "ms": 1, "s": 1000, "min": 60 * 1000, "h": 3600 * 1000}
# What bounds somebody in these files must be on the page.
LIMIT = r"\b(\w+(?:_MAX|_MIN|_MS|_FREE|_HIGH|_PLACES|_REACH|_MAX_S)) = ([^,/}]+)"
FIELD = r"\.(\w+(?:_max|_min|_ms)) = ([^,/}]+),"
# Of these rooms the page has every header that bounds something.
WHOLE_ROOMS = ("role/resolver", "dns", "https", "proto/dane", "proto/mtasts")
NOT_A_LIMIT_OF_ANYBODY = {"rcpts_max", "size_bytes_max"}  # the configuration fills these


def elsewhere(name):
    """The value of a limit that another header has."""
    for path in sorted((TOP / "src").rglob("*.h")):
        text = path.read_text()
        if re.search(rf"\b{name} = ", text):
            return in_code(path.relative_to(TOP).as_posix())[name]
    sys.exit(f"nobody knows {name}")


def number(text, known):
    """The value of a constant expression, as C has it."""
    for name in re.findall(r"[A-Za-z_]\w*", text):
        text = re.sub(rf"\b{name}\b", str(known[name] if name in known else elsewhere(name)), text)
    if not re.fullmatch(r"[\d *+()<-]+", text):
        sys.exit(f"this is no number: {text}")
    return eval(text)  # pylint: disable=eval-used


def in_code(path):
    text, known = (TOP / path).read_text(), {}
    for name, value in re.findall(FIELD if path.endswith("server.c") else LIMIT, text):
        if name not in NOT_A_LIMIT_OF_ANYBODY:
            known[name] = number(value.strip(), known)
    return known


def rows(text):
    """(path or None, name, value, tests) of each limit."""
    path = None
    for line in text.splitlines():
        if line.startswith("## "):
            path = None
        found = re.match(r"In `([^`]+)`", line)
        path = found[1] if found else path
        found = re.fullmatch(r"\| `([\w-]+)` \| (.+?) \| .+ \| (.+) \|", line)
        if found:
            yield path, found[1], found[2], found[3]


def troubles(text):
    code, seen = {}, set()
    presets = dict(re.findall(r'\.name = "([\w-]+)"[^{]*?\.preset = "(\w+)"', (TOP / "src/conf/table.c").read_text()))
    for path, name, value, tests in rows(text):
        seen.add((path, name))
        if path is None:
            if presets.get(name) != value:
                yield f"{name}: {value} here, {presets.get(name)} in src/conf/table.c"
        else:
            code.setdefault(path, in_code(path))
            amount, _, unit = value.partition(" ")
            scale = 1000 if name.endswith("_S") else 1
            if code[path].get(name) != int(amount) * UNITS[unit] // scale:
                yield f"{name}: {value} here, {code[path].get(name)} in {path}"
        refs = re.findall("`([^`]+)`", tests)
        if not refs:
            yield f"{name}: no test goes to the limit"
        yield from (f"{name}: {ref}: {why}" for ref in refs for why in [missing(ref)] if why)
    for header in (header for room in WHOLE_ROOMS for header in (TOP / "src" / room).glob("*.h")):
        path = header.relative_to(TOP).as_posix()
        code.setdefault(path, in_code(path))
    for path, known in code.items():
        yield from (f"{name} of {path} is missing" for name in known if (path, name) not in seen)
    block = (TOP / "src/conf/table.c").read_text().partition("limits_rows[] = {")[2].partition("{ .name = NULL }")[0]
    yield from (f"limits {{ {name} }} is missing" for name in re.findall(r'\.name = "([\w-]+)"', block) if (None, name) not in seen)


def costs(text):
    """The ceilings of memory, as the tests that hold them have them."""
    for what, path, pattern, scale in (("for an idle TLS connection, after EHLO", "idle", r"OLD_TLS_KB_MAX = (\d+) ", "KB"),
                                       ("the same with OpenSSL 3.2 or later", "idle", r"NEW_TLS_KB_MAX = (\d+) ", "KB"),
                                       ("for all of these and the letters that they have sent, in all", "idle", r"OTHERS_KB_MAX = (\d+) ", "KB"),
                                       ("for a message under way", "big_message", r"PER_CONNECTION = (\d+) \* MB", "MB")):
        value = re.search(pattern, (TOP / f"test/scenario/{path}_test.py").read_text())[1]
        if not re.search(rf"{what} \| {value} {scale} \| `scenario/{path}:", text):
            yield f"{what}: it is {value} {scale} in test/scenario/{path}_test.py"


def finds_what_is_planted(text):
    for what, instead in (("| 5 min |", "| 6 min |"), ("| 50M |", "| 51M |"), ("| `SLOT_MS` |", "| `SLOT_M` |"),
                          ("| `recipients` |", "| `recipient` |"), ("rcpt-limit`", "no-such-dialogue`"),
                          ("| `LOOKUPS_MAX` | 1024 |", "| `LOOKUPS_MAX` | 1025 |"), ("| `DNS_TTL_MAX_S` |", "| `DNS_TTL_MAX_M` |"),
                          ("In `src/dns/servers.h`", "In `src/dns/dns.h`"),
                          ("| `talk/smtp-server/rcpt-limit` |", "| - |")):
        if text.count(what) < 1 or not list(troubles(text.replace(what, instead))):
            yield f"the test of this page does not see: {instead}"


def main():
    text = PAGE.read_text()
    found = [f"docs/LIMITS.md: {trouble}" for trouble in (*troubles(text), *costs(text))] + list(finds_what_is_planted(text))
    print("\n".join(found) if found else f"limits: {sum(1 for _ in rows(text))}, each with a test")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
