# SPDX-License-Identifier: ISC
"""The steps that `make profile PROFILE=--steps` tells of: their functions are there, and a sample belongs to one of them."""
import pathlib
import re
import unittest

import steps

TOP = pathlib.Path(__file__).resolve().parents[2]
OF_THE_SYSTEM = {"epoll_wait", "epoll_pwait"}


def functions_below(*folders):
    text = "".join(path.read_text() for folder in folders for path in (TOP / "src" / folder).rglob("*.c"))
    return set(re.findall(r"^[a-z][^;={}\n]*?\b(\w+)\(", text, re.M))


class Steps(unittest.TestCase):
    def test_each_function_is_there(self):
        for role, rows in steps.STEPS.items():
            known = functions_below("role/" + role, "store", "tls", "sys", "proto", "mail") | OF_THE_SYSTEM
            for step, functions in rows:
                for name in functions:
                    with self.subTest(role=role, step=step):
                        self.assertIn(name, known)

    def test_the_first_step_that_names_a_function_has_the_sample(self):
        self.assertEqual(steps.step_of("front", {"session_pump", "header_whole", "log_facts"}), "the log")
        self.assertEqual(steps.step_of("front", {"session_pump", "header_whole"}), "header block and Received line")
        self.assertEqual(steps.step_of("front", {"session_pump"}), steps.REST)
        self.assertEqual(steps.step_of("porter", {"session_pump"}), steps.REST)


if __name__ == "__main__":
    unittest.main()
