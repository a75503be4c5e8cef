# SPDX-License-Identifier: ISC
"""sealpost queue backup: where a copy may lie, and what a copy that came to nothing leaves behind. No server runs."""
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
CONF = """hostname mx1.example.org
postmaster pm@example.org
control {folder}/control.sock
queue {{
    directory {folder}/queue
}}
listen local {{
    on unix:{folder}/local.sock
}}
"""


class Backup(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = pathlib.Path(made.name)
        self.conf, self.queue = self.folder / "sealpost.conf", self.folder / "queue"
        self.conf.write_text(CONF.format(folder=self.folder))
        self.queue.mkdir(mode=0o700)
        self.assertEqual(self.run_it("verify"), (0, ""))  # an empty directory is a new queue
        self.before = self.names()

    def names(self):  # without what whoever reads the database makes
        return sorted(p.name for p in self.queue.iterdir() if not p.name.endswith(("-shm", "-wal")))

    def run_it(self, *words, **options):
        done = subprocess.run([PROGRAM, "queue", *map(str, words), "-c", str(self.conf)], capture_output=True, text=True,
                              timeout=30, check=False, cwd=self.folder, **options)
        return done.returncode, done.stderr.replace("no server runs: the queue is looked at here\n", "")

    def is_whole(self, copy):
        with sqlite3.connect(copy / "queue.db") as db:
            return db.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_not_into_the_queue(self):
        (self.folder / "link").symlink_to(self.queue)
        (self.folder / "elsewhere").mkdir()
        for name in (self.queue / "content-000001", self.queue / "copy", self.folder / "link" / "copy", self.folder / "link",
                     "queue/copy", "elsewhere/../queue/copy/", self.queue):
            with self.subTest(name):
                status, err = self.run_it("backup", name)
                self.assertEqual(status, 1)
                self.assertIn("lies in the queue itself", err)
                self.assertIn("name a directory elsewhere", err)
                self.assertEqual(self.names(), self.before)
        (self.queue / "there").mkdir()
        (self.folder / "deep").symlink_to(self.queue / "there")
        self.assertIn("lies in the queue itself", self.run_it("backup", "deep")[1])
        self.assertEqual(self.run_it("backup", "queue-copy"), (0, ""))  # beside it, by a name that begins alike
        self.assertTrue(self.is_whole(self.folder / "queue-copy"))

    def test_a_name_is_taken_literally(self):
        for name in ("file:copy?mode=ro", "file:copy", "file:"):
            with self.subTest(name):
                self.assertEqual(self.run_it("backup", name), (0, ""))
                self.assertTrue((self.folder / name / "queue.db").stat().st_size > 0)
                self.assertEqual((self.folder / name / "queue.db").stat().st_mode & 0o777, 0o600)
        self.assertFalse((self.folder / "copy").exists())

    def test_a_file_that_may_grow_no_more(self):
        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        status, err = self.run_it("backup", "copy", preexec_fn=small)
        self.assertEqual(status, 1, err)
        self.assertIn("ulimit -f", err)
        self.assertFalse((self.folder / "copy").exists(), "what came to nothing stays behind")
        (self.folder / "mine").mkdir()
        self.assertEqual(self.run_it("backup", "mine", preexec_fn=small)[0], 1)
        self.assertEqual(os.listdir(self.folder / "mine"), [])
        self.assertEqual(self.run_it("backup", "mine"), (0, ""))

    def test_what_is_in_the_way(self):
        (self.folder / "broken").mkdir()
        (self.folder / "broken" / "queue.db.part").write_text("")
        self.assertIn("broken off, of no use: remove it, or name another", self.run_it("backup", "broken")[1])
        (self.folder / "other").mkdir()
        (self.folder / "other" / "file").write_text("")
        self.assertIn("not empty", self.run_it("backup", "other")[1])
        self.assertTrue((self.folder / "other" / "file").exists())
        self.assertTrue((self.folder / "broken" / "queue.db.part").exists())
        self.assertIn("No such file", self.run_it("backup", "none/copy")[1])


if __name__ == "__main__":
    unittest.main()
