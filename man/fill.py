#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Fills a manual page: @DIRECTIVES@ by `sealpost explain --mdoc`, @EXAMPLE NAME@ by etc/examples/NAME.conf.

usage: fill.py TEMPLATE SEALPOST ETC OUTPUT
"""
import pathlib
import re
import subprocess
import sys


def literal(text):
    """Text that roff shows as it is."""
    return re.sub(r"(?m)^([.'])", r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-").expandtabs(4)).rstrip("\n")


def main():
    template, sealpost, etc, output = sys.argv[1:]
    directives = subprocess.run([sealpost, "explain", "--mdoc"], capture_output=True, text=True, check=True).stdout

    def example(match):
        return literal((pathlib.Path(etc) / "examples" / f"{match.group(1)}.conf").read_text())

    page = pathlib.Path(template).read_text()
    page = re.sub(r"(?m)^@EXAMPLE ([a-z-]+)@$", example, page)
    page = page.replace("@DIRECTIVES@\n", directives)
    if "@DIRECTIVES@" in page or "@EXAMPLE" in page:
        sys.exit(f"{template}: a placeholder is left")
    pathlib.Path(output).write_text(page)


if __name__ == "__main__":
    main()
