# SPDX-License-Identifier: ISC
"""Reloads, restarts and kills of every role while mail flows in, into mailboxes and on to a next hop: all arrives."""
import os
import random
import re
import shutil
import signal
import threading
import time

import harness
from harness import Sealpost, Sink, wait_until
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
ROLES = ("front", "spool", "courier", "porter", "keeper", "resolver")


def subject_of(content):
    return re.search(rb"^Subject: ([^\r\n]+)", content, re.M).group(1).decode()


class Storm(harness.Scenario):
    CLIENTS = 4

    def setUp(self):
        super().setUp()
        self.sink = self.start(Sink(subject_of))
        self.server = self.start(Sealpost(
            self.folder, limits="connections-per-client 1000", route="to sink.test relay sink\notherwise hold",
            queue="retry 1s", extra=f"relay sink {{\n host 127.0.0.1:{self.sink.port}\n tls none\n}}"))
        self.accepted, self.unfinished, self.stopped = [], [], threading.Event()
        self.clients = [threading.Thread(target=self.hand_in) for _ in range(self.CLIENTS)]

    def hand_in(self):
        while not self.stopped.is_set():
            try:
                with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA) as client:
                    for _ in range(20):
                        self.one(client)
                        if self.stopped.is_set():
                            return
            except (AssertionError, OSError, Gone):
                time.sleep(0.02)  # it is down; knock again

    def one(self, client):
        subject = f"letter {unique_id()}"
        content = f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n" + "x\r\n" * random.randrange(1, 2000)
        client.mail("jada@example.test", "sam@example.test", "to@sink.test")
        client.expect("DATA", 354)
        client.send(content)
        if random.random() < 0.05:
            self.unfinished.append(subject)
            raise Gone("in the middle")
        client.send("the end\r\n.\r\n")
        if client.reply()[0] == 250:
            self.accepted.append(subject)

    def while_mail_flows(self, *deeds):
        for client in self.clients:
            client.start()
        try:
            for deed in deeds:
                goal = len(self.accepted) + 15
                wait_until(lambda: len(self.accepted) >= goal, "letters to be taken")
                deed()
        finally:
            self.stopped.set()
            for client in self.clients:
                client.join()

    def judge(self, extra_copies, roots=None):
        """extra_copies: how many a next hop may have been given twice; a mailbox never."""
        # An answer is wanted: a spool that is just being started again has nothing to say of its queue.
        wait_until(lambda: "queue is empty" in self.server.queue("list", status=None), "an empty queue")
        mailbox = [subject_of(p.read_bytes()) for root in roots or [self.server.mail]
                   for p in (root / "example.test" / "sam" / "new").glob("*")]
        for place, there in (("mailbox", mailbox), ("next hop", self.sink.taken)):
            self.assertEqual(set(self.accepted) - set(there), set(), f"lost on the way to the {place}")
            self.assertEqual(set(self.unfinished) & set(there), set(), f"half letters in the {place}")
        self.assertEqual(len(mailbox), len(set(mailbox)))
        self.assertLessEqual(len(self.sink.taken) - len(set(self.sink.taken)), extra_copies)
        self.assertEqual([m for _, m in self.server.letters("jada")], [], "nothing was bounced")

    def kill(self, role):
        def deed():
            pid = self.server.roles().get(role)
            if pid:
                os.kill(pid, signal.SIGKILL)
                self.server.wait_for_line("role-died", role)
        return deed

    def test_every_role_is_killed(self):
        self.server.roles_may_die = True
        roles = list(ROLES)
        random.shuffle(roles)
        self.while_mail_flows(*map(self.kill, roles))
        # Each kill costs at most the copies that were on their way.
        self.judge(extra_copies=20 * len(roles))

    def test_a_storm_of_reloads(self):
        def storm():
            for _ in range(30):
                self.server.process.popen.send_signal(signal.SIGHUP)
                time.sleep(0.01)  # not to wait for anything: reloads shall meet each other
        self.while_mail_flows(storm, storm, storm)
        self.server.wait_for_line("reloaded")
        self.assertEqual(self.server.lines("role-died"), [])
        self.judge(extra_copies=0)

    def test_reloads_that_move_the_mailboxes_and_renew_the_key(self):
        """Each one replaces the porter, with letters in hand, and what the fronts shake hands with."""
        server = self.server
        roots = [server.mail, server.folder / "mail2"]
        shutil.copytree(roots[0], roots[1])
        if os.getuid() == 0:
            shutil.chown(roots[1], "nobody")
        reloads, stopped = [], threading.Event()

        def knock():
            while not stopped.is_set():
                try:
                    with Raw(server.port_submissions, server.authority, "implicit", hello=None):
                        pass
                except (OSError, AssertionError, Gone) as trouble:
                    self.refused.append(trouble)
        knocking = threading.Thread(target=knock)

        def move():
            reloads.append(roots[len(reloads) % 2])
            server.deliver = f"maildir {roots[len(reloads) % 2]}/{{domain}}/{{local}}"
            server.cert, server.key = server.authority.issue("mx1.example.test", "localhost", "127.0.0.1", file=f"cert{len(reloads)}")
            server.reload()
            server.wait_for_line("reloaded", count=len(reloads))
        self.refused = []
        knocking.start()
        try:
            self.while_mail_flows(*[move] * 6)
        finally:
            stopped.set()
            knocking.join()
        self.assertEqual(server.lines("role-died") + server.lines("tls-failed") + self.refused, [])
        self.assertEqual(len(server.lines("role-replaced")), len(reloads))
        self.judge(extra_copies=0, roots=roots)
        self.assertEqual([line for line in server.lines("deferred") if "makes room" not in line and "goes by it" not in line], [])

    def test_drained_and_started_in_the_middle(self):
        def restart():
            self.server.stop()
            self.server.start()
        self.while_mail_flows(restart, restart)
        self.judge(extra_copies=0)


if __name__ == "__main__":
    harness.main()
