# SPDX-License-Identifier: ISC
"""A copy of the queue, made while mail goes in and out, put back in its place after everything was lost."""
import json
import os
import shutil
import subprocess
import threading

import harness
from harness import Sealpost, letter, wait_until
from harness.case import SmallDisk
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class Backup(harness.Scenario):
    def send(self, server, to, lines=1):
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", to)
            code, said = client.data(letter(subject=subject, to=to).as_bytes() + (b"x" * 70 + b"\r\n") * lines)
            self.assertEqual(code, 250, said)
        return subject

    def test_backup_and_restore(self):
        server = self.start(Sealpost(self.folder))
        kept = [self.send(server, f"{n}@there.test") for n in range(5)]
        before = sorted((r["id"], r["recipient"]) for r in server.queue_list())
        stop, passing = threading.Event(), []

        def traffic():  # letters that come and are delivered
            while not stop.is_set():
                try:
                    passing.append(self.send(server, "sam@example.test"))
                except (AssertionError, OSError, Gone):
                    return
        thread = threading.Thread(target=traffic)
        thread.start()
        copy = self.folder / "copy"
        try:
            said = json.loads(server.command("queue", "backup", str(copy), "--json").splitlines()[-1])
        finally:
            stop.set()
            thread.join()
        self.assertGreaterEqual(said["messages"], 5)
        self.assertEqual(said["damaged"], 0)
        self.assertIn("not empty", self.refused(server, copy))
        self.assertEqual(copy.stat().st_mode & 0o7777, 0o700)

        # Everything is lost; the copy takes its place (docs/QUEUE.md, Copies).
        owner = server.spool.stat()
        server.stop()
        shutil.rmtree(server.spool)
        shutil.copytree(copy, server.spool)
        for path in [server.spool, *server.spool.iterdir()]:
            os.chown(path, owner.st_uid, owner.st_gid)
        server.start()
        self.assertLessEqual(set(before), {(r["id"], r["recipient"]) for r in server.queue_list()})
        self.assertIn("all of it is whole", server.queue("verify"))
        bodies = "".join(server.queue("show", "--body", i) for i, _ in before)
        for subject in kept:
            self.assertIn(subject, bodies)
        # What was in the copy and had been delivered since comes again; a Maildir finds the first.
        new = [self.send(server, "sam@example.test")]
        for subject in [*passing, *new]:
            server.wait_for_letter(subject)

        # And without a server.
        server.stop()
        said = json.loads(server.command("queue", "backup", str(self.folder / "second"), "--json").splitlines()[-1])
        self.assertGreaterEqual(said["messages"], 5)
        server.start()

    def test_nothing_leaves_a_restored_queue_before_somebody_has_looked(self):
        server = Sealpost(self.folder)
        here = server.mail
        mine = here.stat()
        os.chown(here, 0, 0)  # the porter cannot write: letters wait
        self.start(server)
        local, there = self.send(server, "sam@example.test"), self.send(server, "one@there.test")
        wait_until(lambda: [r for r in server.queue_list() if r["recipient"].startswith("sam") and r["last_reply"]], "an attempt")
        server.queue("release", "--to", "one@there.test")
        server.command("queue", "backup", str(self.folder / "copy"))
        running = server.queue("hold", "--to", "nobody@there.test", status=1)
        self.assertNotIn("no server runs", running)
        server.stop()
        owner = server.spool.stat()
        shutil.rmtree(server.spool)
        shutil.copytree(self.folder / "copy", server.spool)
        for path in [server.spool, *server.spool.iterdir()]:
            os.chown(path, owner.st_uid, owner.st_gid)
        self.assertIn("no server runs: 2 recipients held in the queue itself", server.queue("hold", "--all"))
        self.assertIn("nothing to change", server.queue("hold", "--to", "sam@example.test"))  # as with a server: they are, already
        self.assertEqual(server.queue("hold", "--to", "nobody@example.test", status=1), "")
        for path in [server.spool, *server.spool.iterdir()]:
            self.assertEqual(path.stat().st_uid, owner.st_uid, path)
        os.chown(here, mine.st_uid, mine.st_gid)
        server.start()
        server.queue("retry")  # does not touch what is held
        new = self.send(server, "sam@example.test")
        server.wait_for_letter(new)  # what comes in anew passes
        self.assertEqual(server.letters(subject=local), [])
        self.assertEqual([r["state"] for r in server.queue_list()], ["held", "held"])
        server.queue("release", "--to", "sam@example.test")
        server.wait_for_letter(local)
        self.assertIn(there, server.queue("show", "--body", server.queue_list()[0]["id"]))

    def test_a_copy_without_room_is_none(self):
        server = self.start(Sealpost(self.folder))
        for n in range(60):
            self.send(server, f"{n}@there.test", lines=40)
        small = self.start(SmallDisk(self.folder / "small", "128k", None))  # room for the envelopes and some contents
        self.assertIn("no room", self.refused(server, small.folder / "copy"))
        self.assertFalse((small.folder / "copy" / "queue.db").exists())
        self.assertIn("all of it is whole", server.queue("verify"))

    def refused(self, server, to):
        done = subprocess.run([server.program, "queue", "backup", str(to), "-c", server.conf], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr


if __name__ == "__main__":
    harness.main()
