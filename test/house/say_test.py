#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What commands print and others wrote goes through cmd/say.h or print_safely: nothing else in src/cmd prints a slice or a reason."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
# What they print is their own: directives and their help, a credential, an address to listen at, ids of the queue.
OWN = {"explain.c", "passwd.c", "sink/sink.c", "say.c", "main.c"}
CALL = re.compile(r"\b(?:f?printf|fputs|puts)\((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*;", re.S)
FOREIGN = re.compile(r"STR_ARG\(|\bbuf_view\(|\btext\b|\breply\b|\bjson\b|\berror\b|json_string_value")


def foreign(text):
    """The calls that print what others may have written."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for call in CALL.finditer(text):
        arguments = re.sub(r'"(?:[^"\\]|\\.)*"', '""', call[0])
        if FOREIGN.search(arguments):
            yield " ".join(call[0].split())


def main():
    assert list(foreign('fprintf(stderr, "%s; %.*s\\n", name, STR_ARG(m->text));')), "a violation that is planted is found"
    assert not list(foreign('printf("%.*s text\\n", n);'))
    files = {str(path.relative_to(TOP / "src/cmd")): path for path in sorted((TOP / "src/cmd").rglob("*.c"))}
    assert OWN <= set(files), "a file that is spared is there"
    found = [f"{name}: {call}" for name, path in files.items() if name not in OWN for call in foreign(path.read_text())]
    for line in found:
        print(line)
    print(f"say: {len(found)} calls print what others may have written")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
