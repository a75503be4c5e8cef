#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""No line of more than LINE characters, no function of more than FUNCTION lines, no file of more than FILE: what does not fit is
more than one thought, and reads better as two."""
import ast
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LINE, FUNCTION, FILE = 150, 60, 600
FOLDERS = ("src", "test", "fuzz", "bench", "dev")


def functions_of_c(lines):
    """(line, lines of its body) of each: its braces stand alone."""
    began = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            began = number
        if line == "}" and began is not None:
            yield began, number - began - 1
            began = None


def functions_of_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno


def troubles(name, text):
    lines = text.splitlines()
    yield from (f"{name}:{number}: {len(line)} characters" for number, line in enumerate(lines, 1) if len(line) > LINE)
    if len(lines) > FILE:
        yield f"{name}: {len(lines)} lines"
    python = name.endswith(".py") or text.startswith("#!/usr/bin/env python3")
    functions = functions_of_python(text) if python else functions_of_c(lines) if re.search(r"\.[ch]$", name) else ()
    yield from (f"{name}:{number}: a function of {n} lines" for number, n in functions if n > FUNCTION)


def files():
    for folder in FOLDERS:
        for path in sorted((TOP / folder).rglob("*")):
            if path.is_file() and (path.suffix in (".c", ".h", ".py", ".sh") or path.name == "meson.build" or path.parent == TOP / "dev"):
                yield path.relative_to(TOP).as_posix(), path.read_text()


def finds_what_is_planted():
    def told(name, text):
        return len(list(troubles(name, text)))
    for more in (0, 1):
        assert told("a.c", "x" * (LINE + more)) == more
        assert told("a.c", "x\n" * (FILE + more)) == more
        assert told("a.c", "void f(void)\n{\n" + "\tx();\n" * (FUNCTION + more) + "}\n") == more
        assert told("a.py", "def f():\n" + "    x()\n" * (FUNCTION + more)) == more
        assert told("dev/a", "#!/usr/bin/env python3\ndef f():\n" + "    x()\n" * (FUNCTION + more)) == more


def main():
    finds_what_is_planted()
    all_files = list(files())
    found = [trouble for name, text in all_files for trouble in troubles(name, text)]
    print("\n".join(found) if found else f"length: {len(all_files)} files of lines, functions and a length that can be read")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
