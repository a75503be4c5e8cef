# SPDX-License-Identifier: ISC
"""50 MB in and out again, with little memory. Measured on the program of MEASURED, built without sanitizers."""
import os
import pathlib
import threading

import harness
from harness import Authority, Sealpost
from harness.message import unique_id
from harness.peers import Postfix
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
MB = 1 << 20
PER_CONNECTION = 4 * MB
CONNECTIONS = 3


def peak(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no peak of {pid}")


class Big(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.program = os.environ.get("MEASURED")
        self.assertTrue(self.program and os.access(self.program, os.X_OK), "MEASURED must name a program built without sanitizers")

    def content(self, subject):
        head = f"From: jada@example.test\r\nTo: one@postfix.test\r\nSubject: {subject}\r\n\r\n".encode()
        line = b"0123456789abcdef" * 4 + b"\r\n"
        return head + line * ((50 * MB - len(head)) // len(line))

    def hand_in(self, server, subject, to, failures):
        try:
            with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
                client.mail("jada@example.test", *to)
                code, text = client.data(self.content(subject), end=b".\r\n")
                assert code == 250, (code, text)
        except Exception as failure:  # shown by the scenario, which this thread cannot fail
            failures.append(failure)

    def test_memory(self):
        authority = Authority(self.folder)
        files = (*authority.issue("localhost", file="peer"), authority.cert)
        postfix = self.start(Postfix(self.folder, *files, settings="message_size_limit = 0\nvirtual_mailbox_limit = 0\n"
                                     "mailbox_size_limit = 0"))
        server = self.start(Sealpost(self.folder, authority=authority, program=self.program, limits="message-size 60M",
                                     route="otherwise relay hop",
                                     extra=f"relay hop {{\n host localhost:{postfix.port}\n ca {authority.cert}\n}}"))
        small = f"letter {unique_id()}"  # warms everything up
        with Raw(server.port_submissions, authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test", "one@postfix.test")
            self.assertEqual(client.data(f"From: jada@example.test\r\nSubject: {small}\r\n\r\nx")[0], 250)
        server.wait_for_letter(small)
        postfix.wait_for_letter(small)
        roles = server.roles()
        before = {role: peak(pid) for role, pid in roles.items()}
        subjects = [f"letter {unique_id()}" for _ in range(CONNECTIONS)]
        failures = []
        threads = [threading.Thread(target=self.hand_in, args=(server, s, ("sam@example.test", "one@postfix.test"), failures))
                   for s in subjects]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for subject in subjects:
            server.wait_for_letter(subject)
            postfix.wait_for_letter(subject)
        self.assertEqual(server.roles(), roles, "a role has died")
        print(f"\n{CONNECTIONS} messages of 50 MB at once: each role's peak memory, and its growth per connection")
        too_much = []
        for role, pid in sorted(roles.items()):
            growth = (peak(pid) - before[role]) / CONNECTIONS
            print(f"  {role:10} {peak(pid) / MB:8.1f} MB  {growth / MB:+6.2f} MB")
            if growth >= PER_CONNECTION:
                too_much.append((role, growth / MB))
        self.assertEqual(too_much, [])
        for path in (server.mail / "example.test/sam/new").glob("*"):
            text = path.read_bytes()
            if subjects[0].encode() in text[:4096]:
                body = text.partition(b"\n\n")[2] if b"\r\n\r\n" not in text[:4096] else text.partition(b"\r\n\r\n")[2]
                sent = self.content(subjects[0]).partition(b"\r\n\r\n")[2]
                self.assertEqual(body.replace(b"\r\n", b"\n"), sent.replace(b"\r\n", b"\n"))


if __name__ == "__main__":
    harness.main()
