# SPDX-License-Identifier: ISC
"""P6: what is damaged in the queue is found, set aside and reported; never sent, not even in part; never dropped."""
import json
import os
import sqlite3
import subprocess

import harness
from harness import Sealpost, letter, wait_until
from harness.message import unique_id
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class Damage(harness.Scenario):
    def send(self, server, to, lines=40):
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", to)
            text = letter(subject=subject, to=to).as_bytes() + b"".join(b"line %d of it\r\n" % n for n in range(lines))
            code, said = client.data(text)
            self.assertEqual(code, 250, said)
        return subject, next(r["id"] for r in server.queue_list("--to", to))

    def begin(self):
        """No name server answers: what is released waits, and does not go back for a domain that does not exist."""
        return self.start(Sealpost(self.folder, route="to *@example.test hold\n    otherwise hold",
                                   extra="resolver {\n    server 127.0.0.1:1\n}"))

    def verify(self, server, status):
        said = server.command("queue", "verify", "--json", status=status)
        rows = [json.loads(line) for line in said.splitlines()]
        return [r for r in rows if "text" in r], next((r for r in rows if "over" in r), None)

    def flip(self, server, needle):
        """One bit of the content that holds these bytes."""
        path = server.spool / "content-000001"
        with path.open("r+b") as file:
            at = file.read().index(needle)
            file.seek(at)
            file.write(bytes([needle[0] ^ 1]))
        return at

    def unflip(self, server, at, needle):
        with (server.spool / "content-000001").open("r+b") as file:
            file.seek(at)
            file.write(needle[:1])

    def test_attack_22_what_a_damaged_database_says_commands_no_terminal(self):
        """SQLite quotes names that it finds in the file."""
        server = self.begin()
        self.send(server, "one@there.test")
        server.stop()
        database = sqlite3.connect(server.spool / "queue.db")
        name = "evil\x1b[2J\x9b31m"
        database.execute("PRAGMA writable_schema=ON")
        database.execute("INSERT INTO sqlite_master VALUES('table', ?, ?, 3, 'CREATE TABLE nothing')", (name, name))
        database.commit()
        database.close()
        for command in (("verify",), ("verify", "--json"), ("hold", "--all"), ("backup", f"{self.folder}/copy")):
            with self.subTest(command):
                done = subprocess.run([os.environ["SEALPOST"], "queue", *command, "-c", server.conf], capture_output=True, text=True,
                                      check=False)
                self.assertIn("evil", done.stdout + done.stderr)
                self.assertEqual(set(done.stdout + done.stderr) & set("\x1b\x9b"), set())

    def test_p6_verify_while_the_server_runs(self):
        server = self.begin()
        first, first_id = self.send(server, "one@there.test", lines=20000)  # several records
        self.assertRegex(server.queue("verify"), r"^1 message, \d+ bytes: ")
        self.assertRegex(server.queue("backup", str(self.folder / "copy")), r"^1 message, \d+ bytes, is in ")
        _, second_id = self.send(server, "two@there.test")
        findings, over = self.verify(server, 0)
        self.assertEqual((findings, over["messages"], over["found"]), ([], 2, 0))
        self.assertIn("2 messages", server.queue("verify"))
        server.queue("verify", "--to", "one@there.test", status=2)

        needle = b"line 15000 of it"
        at = self.flip(server, needle)
        self.assertEqual(self.verify(server, 1)[0][0]["id"], first_id)
        row = server.queue_list("--to", "one@there.test")[0]
        self.assertEqual(row["state"], "damaged")
        self.assertRegex(row["last_reply"], r"its content in the queue is damaged \(content-000001, from byte \d+, \d+ bytes\)")
        self.assertIn("content in the queue is damaged", server.queue("show", first_id))
        self.assertIn("1 recipient DAMAGED", server.command("status"))
        self.assertIn(first_id, server.wait_for_line("queue-damaged")[0])
        self.assertEqual(len(server.lines("queue-damaged")), 1)
        findings, over = self.verify(server, 1)  # found every time, set aside once
        self.assertEqual([(f["id"], f["set_aside"]) for f in findings], [(first_id, 0)])
        self.assertEqual(len(server.lines("queue-damaged")), 1)
        for verb in ("retry", "hold", "release"):
            server.queue(verb, first_id)
            self.assertEqual(server.queue_list("--to", "one@there.test")[0]["state"], "damaged", verb)
        self.assertIn("content in the queue is damaged", server.command("queue", "show", "--body", first_id, status=1)
                      + server.queue("show", first_id))

        self.unflip(server, at, needle)
        self.assertIn("whole: release it", self.verify(server, 1)[0][0]["text"])
        server.queue("release", first_id)
        self.assertNotEqual(server.queue_list("--to", "one@there.test")[0]["state"], "damaged")
        self.assertEqual(self.verify(server, 0)[0], [])
        self.assertIn(first, server.queue("show", "--body", first_id))
        self.assertEqual(server.queue_list("--to", "two@there.test")[0]["id"], second_id)

    def test_p6_the_damaged_is_never_delivered_and_can_be_returned(self):
        server = self.start(Sealpost(self.folder, route="to sam@example.test hold\n    otherwise hold"))
        subject, ident = self.send(server, "one@there.test", lines=20000)
        self.flip(server, b"line 15000 of it")
        # On its way out it is found as well: to a Maildir of ours, past the hold.
        server.write_conf(route="otherwise direct", direct="allow-loopback yes")
        server.stop()
        server.parts["extra"] = "domain there.test {\n recipients any\n deliver " + server.deliver + "\n}"
        server.start()
        server.queue("release", ident)
        server.wait_for_line("queue-damaged", ident)
        wait_until(lambda: server.queue_list()[0]["state"] == "damaged", "it to be set aside")
        self.assertEqual([p for p in server.mail.rglob("*") if p.is_file()], [])  # not even in tmp
        server.queue("bounce", ident)
        report = wait_until(lambda: [harness.parse_bounce(m) for _, m in server.letters("jada")
                                     if m.get_content_type() == "multipart/report"], "the notice")[0]
        self.assertIn("one@there.test", report.recipients[0]["Final-Recipient"])
        wait_until(lambda: server.queue_list() == [], "an empty queue")
        self.assertEqual(self.verify(server, 0)[0], [])
        self.assertNotIn(subject, [m["Subject"] for _, m in server.letters("one", "there.test")])

    def test_p6_verify_without_a_server(self):
        server = self.begin()
        _, first_id = self.send(server, "one@there.test")
        _, second_id = self.send(server, "two@there.test")
        server.stop()
        findings, over = self.verify(server, 0)
        self.assertEqual((findings, over["messages"]), ([], 2))
        owners = {p.name: p.stat().st_uid for p in server.spool.iterdir()}
        self.assertEqual(len(set(owners.values())), 1, owners)  # nothing of ours is left there
        with sqlite3.connect(server.spool / "queue.db") as db:
            db.execute("UPDATE rcpt SET address='evil@there.test' WHERE address='one@there.test'")
        db.close()
        findings, _ = self.verify(server, 1)
        self.assertEqual([(f["id"], f["set_aside"]) for f in findings], [(first_id, 1)])
        (server.spool / "content-000001").unlink()
        self.assertEqual([(f["id"], f["set_aside"]) for f in self.verify(server, 1)[0]],
                         [(first_id, 0), (first_id, 0), (second_id, 1)])  # the first has two faults now
        server.start()
        self.assertEqual({r["state"] for r in server.queue_list()}, {"damaged"})
        server.queue("remove", first_id)
        server.queue("remove", second_id)
        self.assertEqual(self.verify(server, 0)[0], [])

    def test_p6_a_database_that_is_damaged_or_gone(self):
        server = self.begin()
        self.send(server, "one@there.test")
        server.stop()
        database, owner = server.spool / "queue.db", server.spool.stat()
        whole = database.read_bytes()

        def place(content):
            database.write_bytes(content)
            database.chmod(0o600)
            os.chown(database, owner.st_uid, owner.st_gid)

        def refused(text):
            done = subprocess.run([server.program, "queue", "verify", "-c", server.conf], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(text, done.stderr)
            server.start(wait=False)
            self.assertNotEqual(server.process.popen.wait(60), 0)
            self.assertIn(text, server.log())
            server.notify.close()
        for content, text in ((None, "missing or empty"), (b"", "missing or empty"), (whole[:5000], "malformed"),
                              (whole[:60] + (99).to_bytes(4, "big") + whole[64:], "written by a newer")):
            with self.subTest(text):
                database.unlink(missing_ok=True)
                if content is not None:
                    place(content)
                refused(text)
        place(whole)
        server.start()
        self.assertEqual(len(server.queue_list()), 1)


if __name__ == "__main__":
    harness.main()
