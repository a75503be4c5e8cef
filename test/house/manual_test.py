#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The manual pages: mandoc finds nothing to warn about, every directive and every command stands in them.

usage: manual_test.py SEALPOST.CONF.5 SEALPOST.8 SENDMAIL.8
"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

CONF5, PAGE8, SENDMAIL8 = sys.argv[1:4]
SEALPOST = os.environ["SEALPOST"]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shown(page):
    """The page as a person sees it, without the overstrikes of a terminal."""
    return re.sub(r".\x08", "", output("mandoc", "-Tutf8", "-Owidth=200", page))


class Manual(unittest.TestCase):
    def test_lint(self):
        for page in (CONF5, *sorted(pathlib.Path(PAGE8).parent.glob("*.[1-8]"))):
            done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page)

    def test_every_directive(self):
        """In the order of the table, each with its default, or that it must be given, and its example."""
        page = re.search(r"(?s)\nDIRECTIVES\n.*\nFILES\n", shown(CONF5)).group()
        listed = re.findall(r"(?m)^ *([a-z.-]+) +[A-Z]", output(SEALPOST, "explain"))
        self.assertGreater(len(listed), 60)
        for path in listed:
            head = re.search(rf"(?m)^ +{re.escape(path.split('.')[-1])}( |$)", page)
            self.assertIsNotNone(head, path)
            page = page[head.end():]
            item = " ".join(re.split(r"\n\n *[a-z]", page)[0].split())
            told = re.search(rf"(?ms)^{re.escape(path)}( |$).*?(?=^\S|\Z)", output(SEALPOST, "explain", path)).group()
            for default in re.findall(r"(?m)^  default +(.*)", told):
                self.assertIn("It must be given." if default.startswith("none:") else f"Default: {default}.", item, path)
            for example in re.findall(r"(?m)^  example +(.*)", told):
                self.assertIn(example, item, path)

    def test_examples(self):
        page = shown(CONF5)
        for text in ("deliver maildir /var/vmail/{domain}/{local}", "tls required", 'refuse "Printers read no mail"',
                     "deliver mx", "login web1 file:/etc/sealpost/provider.secret"):
            self.assertIn(text, re.sub(" +", " ", page).replace("‘", "'"))

    def test_every_command(self):
        page = shown(PAGE8)
        listed = re.findall(r"(?m)^  ([a-z]+) ", output(SEALPOST, "help"))
        self.assertIn("check", listed)
        for name in listed:
            self.assertRegex(page, rf"(?m)^ +{name}( |$)", name)

    def test_every_option(self):
        page = shown(PAGE8)
        for command in re.findall(r"(?m)^  ([a-z]+) ", output(SEALPOST, "help")):
            if command == "sendmail":  # a page of its own
                continue
            for option in re.findall(r"(?m)(?:^|[\s,;[])(--?[a-z][a-z-]*)", output(SEALPOST, command, "--help")):
                self.assertRegex(page, rf"(?<![\w-]){option}(?![\w-])", f"{command} {option}")

    def test_help_of_each_verb(self):
        whole = output(SEALPOST, "queue", "--help")
        self.assertEqual(output(SEALPOST, "queue", "hold", "--help"), whole)

    def test_every_option_of_sendmail(self):
        page = shown(SENDMAIL8)
        listed = re.findall(r"(?m)^  (-[a-zA-Z]+)", output(SEALPOST, "sendmail", "--help"))
        self.assertIn("-t", listed)
        for option in listed:
            self.assertRegex(page, rf"(?m)^ +{option}\b", option)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=0)
