# SPDX-License-Identifier: ISC
"""What is kept, and what an operator can do with it."""
import json
import os
import signal
import subprocess
import threading
import time

import harness
from harness import Authority, Sealpost, letter, wait_until
from harness.acted import Sink
from harness.message import unique_id
from harness.peers import Postfix
from harness.ports import free_port
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
KEYS = {"id", "sender", "recipient", "state", "attempts", "next_attempt", "arrived", "last_reply", "size", "waits_for"}


def catches(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return int(caught, 16) >> (number - 1) & 1


class Queue(harness.Scenario):
    def send(self, server, *to, subject=None):
        subject = subject or f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", *to)
            code, text = client.data(letter(subject=subject, to=to[0]).as_bytes())
            self.assertEqual(code, 250, text)
        return subject

    def test_an_operator_at_work(self):
        server = self.start(Sealpost(self.folder))  # the route holds everything
        self.send(server, "one@there.test", "two@there.test")
        self.send(server, "three@elsewhere.test")
        listing = wait_until(lambda: len(server.queue_list()) == 3 and server.queue_list(), "three recipients")
        for row in listing:
            self.assertLessEqual(KEYS, set(row))
            self.assertRegex(row["id"], r"^[a-z0-9]+$")
            self.assertEqual((row["sender"], row["state"], row["attempts"]), ("jada@example.test", "held", 0))
            self.assertRegex(row["arrived"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertIsNone(row["next_attempt"])
            self.assertGreater(row["size"], 100)
        self.assertEqual(len({row["id"] for row in listing}), 2)
        self.assertEqual(len(server.queue_list("--domain", "there.test")), 2)
        self.assertEqual(len(server.queue_list("--domain", "There.Test.")), 2)  # as the DNS writes it
        self.assertEqual(len(server.queue_list("--to", "three@elsewhere.test")), 1)
        self.assertEqual(len(server.queue_list("--user", "jada")), 3)
        self.assertEqual(server.queue_list("--older", "1h"), [])
        by_domain = server.queue_list("--by", "domain")
        self.assertEqual([(row["domain"], row["waiting"], row["in_hand"], row["held"]) for row in by_domain],
                         [("there.test", 0, 0, 2), ("elsewhere.test", 0, 0, 1)])
        for row in by_domain:
            self.assertLessEqual({"damaged", "oldest", "next_attempt", "destination", "sessions", "allowed", "ceiling", "slowed_until",
                                  "why"}, set(row))
        self.assertEqual([line.split()[:4] for line in server.queue("list", "--by", "domain", "--domain", "there.test").splitlines()],
                         [["DOMAIN", "WAITING", "IN", "HAND"], ["there.test", "0", "0", "2"]])
        server.queue("retry", "--by", "domain", status=2)
        server.queue("list", "--by", "domain", "--older", "1h", status=2)
        first = next(row["id"] for row in listing if row["recipient"] == "one@there.test")
        shown = server.queue("show", first)
        self.assertIn("one@there.test", shown)
        self.assertIn("Subject: letter", server.queue("show", "--body", first))
        self.assertIn("one@there.test", server.queue("list"))
        server.queue("remove", "--to", "two@there.test")
        self.assertEqual(len(server.queue_list()), 2)
        server.queue("remove", "--to", "two@there.test", status=1)
        server.queue("bounce", "--domain", "elsewhere.test")
        bounce = wait_until(lambda: [harness.parse_bounce(m) for _, m in server.letters("jada")
                                     if m.get_content_type() == "multipart/report"], "a bounce")[0]
        self.assertIn("three@elsewhere.test", bounce.recipients[0]["Final-Recipient"])
        server.queue("remove", first)
        self.assertEqual(server.queue_list(), [])
        self.assertEqual(server.queue("list", "--json", status=None).strip(), "")
        status = server.command("status")
        for word in ("front", "spool", "keeper", "courier", "porter", "resolver", " policies=(known=0 enforced=0 "):
            self.assertIn(word, status)
        self.assertNotRegex(status, r'[{\[]"')  # JSON is for programs
        self.assertRegex(status, r" dnssec_since=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\b")
        facts = {role["role"]: role for role in json.loads(server.command("status", "--json"))["roles"]}
        self.assertLess(abs(time.time() - facts["resolver"]["dnssec_since_s"]), 60)

    def test_what_was_done_as_json(self):
        server = self.start(Sealpost(self.folder))
        self.send(server, "one@there.test", "two@there.test")
        wait_until(lambda: len(server.queue_list()) == 2, "two recipients")
        for words, status, recipients in ((("hold", "--all"), 0, 0), (("remove", "--to", "nobody@there.test"), 1, 0),
                                          (("remove", "--all"), 0, 2)):
            with self.subTest(words):
                self.assertEqual(json.loads(server.queue(*words, "--json", status=status)),
                                 {"action": words[0], "recipients": recipients, "complete": True, "on_the_way": 0, "left": 0})

    def test_ctrl_c_leaves_the_rest(self):
        server = self.start(Sealpost(self.folder))
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            for i in range(6):
                client.mail("jada@example.test", *(f"u{i}.{j}@there.test" for j in range(500)))
                self.assertEqual(client.data(letter(to="u@there.test").as_bytes())[0], 250)
        wait_until(lambda: "3000 held" in server.command("status"), "3000 recipients held")
        spool = server.roles()["spool"]
        os.kill(spool, signal.SIGSTOP)  # until both the command and its end are there
        try:
            command = subprocess.Popen([server.program, "queue", "remove", "--all", "--json", "-c", server.conf], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(command.kill)
            wait_until(lambda: catches(command.pid, signal.SIGINT), "the command to listen to Ctrl-C")
            command.send_signal(signal.SIGINT)
            self.assertIn("stopping: what has not been done yet is left as it is", command.stderr.readline())
        finally:
            os.kill(spool, signal.SIGCONT)
        out, err = command.communicate(timeout=60)
        self.assertEqual(command.returncode, 130, err)
        done, left = json.loads(out), len(server.queue_list())
        self.assertEqual((done["action"], done["complete"], done["recipients"]), ("remove", False, 3000 - left))
        self.assertGreater(left, 0)
        self.assertEqual(done["to_go"], left)
        self.assertIn(f"stopped: {3000 - left} recipients removed, the other {left} left as they are", err)

    def test_hold_release_retry(self):
        authority = Authority(self.folder)
        files = (*authority.issue("localhost", file="peer"), authority.cert)
        port = free_port()
        server = self.start(Sealpost(self.folder, authority=authority, route="otherwise relay hop",
                                     extra=f"relay hop {{\n host localhost:{port}\n ca {authority.cert}\n}}"))
        subject = self.send(server, "one@postfix.test")
        server.wait_for_line("deferred", "one@postfix.test")
        row = server.queue_list()[0]
        self.assertEqual((row["state"], row["attempts"]), ("queued", 1))
        self.assertTrue(row["last_reply"])
        self.assertRegex(row["next_attempt"], r"^\d{4}-.*Z$")
        server.queue("hold", row["id"])
        self.assertEqual(server.queue_list()[0]["state"], "held")
        postfix = self.start(Postfix(self.folder, *files, port=port))
        server.queue("release", row["id"])
        server.queue("retry", "--domain", "postfix.test", status=None)
        postfix.wait_for_letter(subject)
        wait_until(lambda: server.queue_list() == [], "an empty queue")

    def test_what_is_held_on_its_way_is_not_sent_twice(self):
        has_all, may_answer = threading.Event(), threading.Event()

        def name_of(content):
            has_all.set()
            may_answer.wait(60)
            return content
        self.addCleanup(may_answer.set)
        sink = self.start(Sink(name_of))
        server = self.start(Sealpost(self.folder, route="otherwise relay sink",
                                     extra=f"relay sink {{\n host 127.0.0.1:{sink.port}\n tls none\n}}"))
        self.send(server, "one@there.test")
        self.assertTrue(has_all.wait(60))
        row = server.queue_list()[0]
        self.assertEqual((row["state"], row["then_held"]), ("leased", False))
        self.assertIn("1 of these is with the next server already: if it takes it, that counts as delivered",
                      server.queue("hold", row["id"]))
        self.assertIs(server.queue_list()[0]["then_held"], True)
        self.assertIn("held, unless this attempt still delivers it", server.queue("list"))
        self.assertIn("leased; held, unless this attempt still delivers it", server.queue("show", row["id"]))
        for verb in ("bounce", "retry"):
            self.assertIn("being delivered at this moment", server.queue(verb, row["id"]))
        self.assertRegex(server.command("why", row["id"]),
                         r"(?s)\n  now +leased, 0 attempts\n    destination +relay:sink\n    server +127\.0\.0\.1\n"
                         r"    doing +all of the letter has gone out, the answer is awaited\n +held, unless this attempt still delivers it\n")
        may_answer.set()
        server.wait_for_line("delivered", row["id"])
        wait_until(lambda: server.queue_list() == [], "an empty queue")
        server.queue("release", row["id"], status=1)
        self.send(server, "two@there.test")  # behind it there is nothing
        wait_until(lambda: len(sink.taken) == 2, "two letters")
        self.assertEqual([b"one@there.test" in content for content in sink.taken], [True, False])
        self.assertEqual(json.loads(server.command("why", row["id"], "--json").splitlines()[-1])["event"], "relayed")

    def test_what_is_released_goes_at_once(self):
        letters, may_answer = 150, threading.Event()

        def when_it_may(content):
            may_answer.wait(60)
            return content
        self.addCleanup(may_answer.set)
        sink = self.start(Sink(when_it_may))
        server = self.start(Sealpost(self.folder, route="otherwise relay sink",
                                     extra=f"relay sink {{\n host 127.0.0.1:{sink.port}\n tls none\n}}"))
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            for i in range(letters):
                client.mail("jada@example.test", f"u{i}@there.test")
                self.assertEqual(client.data(letter(to="u@there.test").as_bytes())[0], 250)
        server.queue("hold", "--domain", "there.test")
        may_answer.set()
        wait_until(lambda: not any(row["then_held"] for row in server.queue_list()), "the end of what was on its way")
        self.assertGreater(len(server.queue_list()), 100)
        before = time.monotonic()
        server.queue("release", "--domain", "there.test")
        wait_until(lambda: len(sink.taken) == letters, "all letters")
        self.assertLess(time.monotonic() - before, 55)  # a destination that is put off waits for 60 s
        wait_until(lambda: server.queue_list() == [], "an empty queue")

    def test_a_restart_after_sigkill_keeps_everything(self):
        server = self.start(Sealpost(self.folder))
        subjects = [self.send(server, "one@there.test", "two@there.test") for _ in range(5)]
        before = sorted((r["id"], r["recipient"]) for r in server.queue_list())
        self.assertEqual(len(before), 10)
        server.kill()
        server.start()
        self.assertEqual(sorted((r["id"], r["recipient"]) for r in server.queue_list()), before)
        bodies = "".join(server.queue("show", "--body", i) for i in sorted({i for i, _ in before}))
        for subject in subjects:
            self.assertIn(subject, bodies)

    def test_a_role_that_dies_comes_back(self):
        server = self.start(Sealpost(self.folder))
        server.roles_may_die = True
        for role in ("front", "keeper", "porter", "resolver", "courier", "spool"):
            with self.subTest(role):
                pid = server.roles()[role]
                os.kill(pid, signal.SIGKILL)
                server.wait_for_line("role-died", role)
                wait_until(lambda: server.roles().get(role, pid) != pid, f"a new {role}")

                def sent():
                    try:
                        return self.send(server, "sam@example.test")
                    except (AssertionError, OSError, Gone):  # until its neighbours have met it
                        return None
                subject = wait_until(sent, f"mail to be taken after {role} died")
                server.wait_for_letter(subject)


class Ending(harness.Scenario):
    def test_sigterm_drains(self):
        """A letter that is on its way in is still taken and delivered or kept; a new client is not."""
        server = self.start(Sealpost(self.folder))
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test", "one@there.test")
            client.expect("DATA", 354)
            client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nfirst half\r\n")
            server.process.popen.send_signal(signal.SIGTERM)
            server.wait_for_line("draining")

            def closed():
                try:
                    Raw(server.port_submissions, server.authority, "implicit").close()
                except (OSError, Gone):
                    return True
                return False
            wait_until(closed, "the door to close")
            client.send("second half\r\n.\r\n")
            code, text = client.reply()
            self.assertEqual(code, 250, text)
        server.process.popen.wait(60)
        self.assertEqual(server.process.popen.returncode, 0)
        server.notify.close()
        server.start()
        message = server.wait_for_letter(subject)
        self.assertIn("second half", message.get_content())
        self.assertEqual([r["recipient"] for r in server.queue_list()], ["one@there.test"])

    def test_sigterm_without_anything_to_do_is_quick(self):
        server = self.start(Sealpost(self.folder))
        server.process.popen.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.popen.wait(15), 0)
        self.assertTrue(server.lines("stopped"))


if __name__ == "__main__":
    harness.main()
