# SPDX-License-Identifier: ISC
"""sealpost queue, status and reload: what they say when they cannot do their work."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
CONF = """hostname mx1.example.org
postmaster pm@example.org
control {socket}
listen local {{
    on unix:{folder}/local.sock
}}
"""


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.conf = pathlib.Path(self.folder.name) / "sealpost.conf"
        self.conf.write_text(CONF.format(folder=self.folder.name, socket=self.folder.name + "/control.sock"))

    def run_it(self, *words):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_wrong_words(self):
        for words in ([], ["what"], ["list", "--to"], ["list", "--older", "soon"], ["list", "--nonsense"], ["show"],
                      ["remove"], ["bounce"], ["hold"], ["release"], ["list", "-c"], ["show", "a", "b"]):
            with self.subTest(words):
                status, out, err = self.run_it("queue", *words)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("usage: sealpost queue", err)
        self.assertEqual(self.run_it("status", "now")[0], 2)
        self.assertEqual(self.run_it("reload", "--json")[0], 2)

    def test_a_slip_of_the_pen(self):
        for words, meant in ((["queue", "lst"], "list"), (["queue", "backpu", "x"], "backup"), (["queue", "relase", "--all"], "release"),
                             (["queu", "list"], "queue"), (["exlpain"], "explain"), (["--vers"], None), (["rol"], None),
                             (["queue", "--lst"], None), (["queue", "zzzzzz"], None)):
            with self.subTest(words):
                status, out, err = self.run_it(*words)
                self.assertEqual((status, out), (2, ""))
                if meant:
                    self.assertIn(f'did you mean "{meant}"?', err)
                else:
                    self.assertNotIn("did you mean", err)

    def test_version(self):
        for words in (["version"], ["--version"]):
            status, out, _ = self.run_it(*words)
            self.assertEqual(status, 0)
            self.assertRegex(out, r"^Sealpost \d+\.\d+\.\d+\nOpenSSL \d\S+ .*\nSQLite 3\.\S+\nlibunbound \d\S+\n$")
        self.assertEqual(self.run_it("version", "x")[0], 2)

    def test_passwd_shows_a_safe_way(self):
        _, out, _ = self.run_it("passwd", "--help")
        self.assertIn("(umask 077; sealpost passwd jada >> /etc/sealpost/users)", out)
        self.assertNotRegex(out, r"(?m)^ *sealpost passwd .*>>")

    def test_help(self):
        for command in ("queue", "status", "reload"):
            status, out, _ = self.run_it(command, "--help")
            self.assertEqual(status, 0)
            self.assertIn("example:", out)

    def test_no_server(self):
        for words in (["queue", "list"], ["queue", "remove", "--all"], ["status", "--json"], ["reload"]):
            with self.subTest(words):
                status, out, err = self.run_it(*words, "-c", str(self.conf))
                self.assertEqual((status, out), (69, ""))
                self.assertIn("no server answers there", err)

    def test_no_configuration(self):
        status, _, err = self.run_it("queue", "list", "-c", self.folder.name + "/none.conf")
        self.assertEqual(status, 78)
        self.assertIn("none.conf", err)
        self.conf.write_text("hostnam x\n")
        status, _, err = self.run_it("status", "-c", str(self.conf))
        self.assertEqual(status, 78)
        self.assertIn("did you mean \"hostname\"?", err)

    def test_a_path_too_long_for_a_socket(self):
        self.conf.write_text(CONF.format(folder=self.folder.name, socket="/" + "x" * 120))
        status, _, err = self.run_it("queue", "list", "-c", str(self.conf))
        self.assertIn(status, (69, 78))
        self.assertTrue(err)


if __name__ == "__main__":
    unittest.main()
