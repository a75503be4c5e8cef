# SPDX-License-Identifier: ISC
"""`make help` and the tools behind it: what can be set is named, and a slip of the pen gets a word, not a traceback."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
BENCHES = ("bench/bench.py", "bench/growth.py", "bench/backlog.py", "bench/cost.py")
TOOLS = (*BENCHES, "test/soak/soak.py", "test/inject/inject.py", "test/powercut/powercut.py", "test/timing/login_timing.py",
         "test/testssl/testssl.py")


def run(tool, *options):
    """From anywhere, with nothing prepared."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-B", TOP / tool, *options], capture_output=True, text=True, check=False, timeout=60, cwd="/",
                          env={**environment, "COLUMNS": "300", "PYTHONWARNINGS": "ignore"})


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

    def test_each_option_is_explained(self):
        for tool in TOOLS:
            with self.subTest(tool=tool):
                done = run(tool, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                mute = re.findall(r"^  (-\S+(?: \S+)?)\n(?!   )", done.stdout, re.M)  # a long one has its words on the next line
                self.assertEqual(mute, [])

    def test_numbers_and_programs(self):
        for tool, options in (("bench/bench.py", ("--rounds=0", "--seconds=0", "--connections=-1", "--messages=many", "--size=0", "--idle=10")),
                              ("bench/growth.py", ("--rounds=0", "--most=0")),
                              ("bench/backlog.py", ("--domains=0",)),
                              ("bench/cost.py", ("--count=0",))):
            for option, number in (option.split("=") for option in options):
                with self.subTest(tool=tool, option=option, number=number):
                    done = run(tool, f"{option}={number}")
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertRegex(done.stderr, rf'argument {option}: "{number}" is not a number from \d+ on\n$')
        for tool, program in (("bench/bench.py", ""), ("bench/bench.py", "/etc/passwd"), *((tool, "/nowhere/sealpost") for tool in BENCHES)):
            with self.subTest(tool=tool, program=program):
                done = run(tool, "--program", program)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f'argument --program: there is no program "{program}"', done.stderr)

    def test_rows_axes_and_queues_that_there_are_not(self):
        for tool, option, names, words in (("bench/bench.py", "--rows", "accept,x", "there is no row x"),
                                           ("bench/growth.py", "--axes", "", "there is no table "),
                                           ("bench/backlog.py", "--queues", "empty,doubel", "there is no queue 'doubel': empty, single, lists are")):
            done = run(tool, "--program", "/bin/true", option, names)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
