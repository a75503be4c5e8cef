# SPDX-License-Identifier: ISC
"""`make help` and the tools behind it: what can be set is named, and a slip of the pen gets a word, not a traceback."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]


class Words(unittest.TestCase):
    def test_help_names_what_can_be_set(self):
        rows, target, variables = {}, None, {}
        for line in (TOP / "Makefile").read_text().splitlines():
            if row := re.match(r'\t@echo "make (\w+) +(.*)"$', line):
                rows[row[1]] = row[2]
            elif rule := re.match(r"(\w+):", line):
                target = rule[1]
            elif line.startswith("\t"):
                for name in re.findall(r"\$\(([A-Z_]+)\)", line):
                    variables.setdefault(target, set()).add(name)
        self.assertGreater(len(rows), 15)
        variables["build"].remove("PREFIX")  # `make install` has it
        for target in rows:
            for name in variables.get(target, ()):
                with self.subTest(target):
                    self.assertIn(name, rows[target])

    def test_a_queue_that_there_is_not(self):
        done = subprocess.run([sys.executable, TOP / "bench/backlog.py", "--queues", "empty,doubel"], capture_output=True, text=True,
                              check=False, env={**os.environ, "PYTHONPATH": f"{TOP}/bench:{TOP}/test/scenario", "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no queue 'doubel': empty, single, lists are", done.stderr)


if __name__ == "__main__":
    unittest.main()
