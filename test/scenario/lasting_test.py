# SPDX-License-Identifier: ISC
"""What takes time, and what breaks off: expiry, late letters, crashes in the middle of everything."""
import os
import random
import re
import signal
import threading
import time

import harness
from harness import Authority, Sealpost, letter, wait_until
from harness.message import unique_id
from harness.peers import Postfix
from harness.ports import free_port
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


def reports(server):
    return [harness.parse_bounce(m) for _, m in server.letters("jada") if m.get_content_type() == "multipart/report"]


class Late(harness.Scenario):
    def begin(self, queue):
        server = self.start(Sealpost(self.folder, route="otherwise relay hop", queue=queue,
                                     extra=f"relay hop {{\n host 127.0.0.1:{free_port()}\n}}"))
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "one@there.test")
            self.assertEqual(client.data(letter(to="one@there.test").as_bytes())[0], 250)
        return server

    def test_expiry(self):
        server = self.begin("retry 1s\n    give-up 3s\n    delay-warning none")
        report = wait_until(lambda: reports(server), "the letter to come back")[0]
        self.assertEqual(report.recipients[0]["Action"], "failed")
        self.assertRegex(report.recipients[0]["Status"], r"^[45]\.4\.[17]$")
        self.assertIn("one@there.test", report.text)
        self.assertTrue([a for a in server.lines("deferred") if "one@there.test" in a])  # more than one on a machine with time
        self.assertEqual(server.queue_list(), [])

    def test_a_warning_once(self):
        server = self.begin("retry 1s\n    give-up 1h\n    delay-warning 2s")
        report = wait_until(lambda: reports(server), "a warning")[0]
        self.assertEqual(report.recipients[0]["Action"], "delayed")
        self.assertTrue(report.recipients[0]["Status"].startswith("4."))
        self.assertTrue(report.recipients[0]["Will-Retry-Until"])
        attempts = len(server.lines("deferred"))
        wait_until(lambda: len(server.lines("deferred")) >= attempts + 2, "two more attempts")
        self.assertEqual(len(reports(server)), 1)
        self.assertEqual([r["state"] for r in server.queue_list() if r["state"] != "leased"] or ["queued"], ["queued"])


class Crashes(harness.Scenario):
    """Every letter that got its 250 arrives, whatever is killed, and nothing that did not get to its end."""
    ROUNDS, CLIENTS = 4, 4

    def hand_in(self, server, accepted, unfinished, stop):
        while not stop.is_set():
            subject = f"letter {unique_id()}"
            unfinished.append(subject)
            try:
                with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
                    for _ in range(random.randrange(1, 6)):
                        subject = f"letter {unique_id()}"
                        client.mail("jada@example.test", "sam@example.test")
                        client.expect("DATA", 354)
                        client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n" + "x\r\n" * random.randrange(1, 3000))
                        if random.random() < 0.1:  # goes away in the middle
                            unfinished.append(subject)
                            break
                        client.send("the end\r\n.\r\n")
                        if client.reply()[0] == 250:
                            accepted.append(subject)
            except (AssertionError, OSError, Gone):
                time.sleep(0.01)  # it is down; knock again

    def test_kills(self):
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000"))
        server.roles_may_die = True
        accepted, unfinished, stop = [], [], threading.Event()
        clients = [threading.Thread(target=self.hand_in, args=(server, accepted, unfinished, stop)) for _ in range(self.CLIENTS)]
        for client in clients:
            client.start()
        try:
            for number in range(self.ROUNDS):
                goal = len(accepted) + 40
                wait_until(lambda: len(accepted) >= goal, "letters to be taken")
                role = random.choice(("spool", "porter", "front", "keeper"))
                if number % 2:
                    pid = server.roles().get(role)
                    if pid:
                        os.kill(pid, signal.SIGKILL)
                else:
                    server.kill()
                    server.start()
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertGreater(len(accepted), 40 * self.ROUNDS - 1)
        box = server.mail / "example.test" / "sam" / "new"

        def arrived():
            return [re.search(rb"\r?\nSubject: ([^\r\n]+)", p.read_bytes()).group(1).decode() for p in box.glob("*")]
        wait_until(lambda: set(accepted) <= set(arrived()), "every accepted letter")
        wait_until(lambda: server.queue_list() == [], "an empty queue")
        subjects = arrived()
        self.assertEqual(set(subjects) & set(unfinished), set())
        twice = len(subjects) - len(set(subjects))
        print(f"\n{len(accepted)} letters accepted over {self.ROUNDS} kills; {twice} came twice")
        self.assertEqual(twice, 0, "a Maildir file's name derives from queue id and recipient")
        for path in box.glob("*"):
            self.assertTrue(path.read_bytes().rstrip().endswith(b"the end"), path)


class NextHop(harness.Scenario):
    LETTERS = 60

    def test_a_next_hop_that_goes_and_comes(self):
        authority = Authority(self.folder)
        files = (*authority.issue("localhost", file="peer"), authority.cert)
        postfix = self.start(Postfix(self.folder, *files))
        server = self.start(Sealpost(self.folder, authority=authority, queue="retry 1s 2s", route="otherwise relay hop",
                                     extra=f"relay hop {{\n host localhost:{postfix.port}\n ca {authority.cert}\n}}"))
        server.roles_may_die = True
        subjects = []

        def send(count):
            with Raw(server.port_submissions, authority, "implicit", login=JADA) as client:
                for _ in range(count):
                    subjects.append(f"letter {unique_id()}")
                    client.mail("jada@example.test", "one@postfix.test")
                    code, text = client.data(f"From: jada@example.test\r\nSubject: {subjects[-1]}\r\n\r\nx")
                    self.assertEqual(code, 250, text)

        def arrived():
            return [m["Subject"] for m in postfix.maildir(postfix.inbox)]
        send(self.LETTERS // 3)
        wait_until(lambda: len(arrived()) >= 5, "the first letters")
        postfix.stop()
        send(self.LETTERS // 3)
        server.wait_for_line("deferred")
        postfix.start()
        wait_until(lambda: len(arrived()) >= self.LETTERS // 3, "more letters")
        os.kill(server.roles()["courier"], signal.SIGKILL)
        send(self.LETTERS // 3)
        wait_until(lambda: server.queue_list() == [], "an empty queue")
        self.assertEqual(set(arrived()), set(subjects))  # none lost; a repeat is allowed where the courier died


if __name__ == "__main__":
    harness.main()
