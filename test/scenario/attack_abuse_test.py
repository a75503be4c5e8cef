# SPDX-License-Identifier: ISC
"""Being made a tool against others: bounces, floods of notices. And the sockets that local programs may open."""
import array
import os
import random
import signal
import socket

import harness
from harness import Acted, Sealpost, parse_bounce, wait_until
from harness.message import unique_id
from harness.raw import Raw

NO = b"550 5.1.1 no such user\r\n"


class Refusing(Acted):
    """An LMTP server that knows nobody, but asks for the message first."""

    def talk(self, peer):
        stream, rcpts = peer.makefile("rb"), 0
        peer.sendall(b"220 refusing.test LMTP\r\n")
        for line in iter(stream.readline, b""):
            word = line.split()[0].upper()
            if word == b"RCPT":
                rcpts += 1
            if word == b"DATA":
                peer.sendall(b"354 go\r\n")
                while stream.readline() not in (b".\r\n", b""):
                    pass
                peer.sendall(NO * rcpts)
                rcpts = 0
            else:
                peer.sendall(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


class Bounces(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.refusing = self.start(Refusing("refusing"))
        self.server = self.start(Sealpost(self.folder, submissions="trust 127.0.0.1", extra=f"""
domain lists.test {{
    recipients any
    deliver lmtp 127.0.0.1:{self.refusing.port}
}}"""))

    def notices(self, user):
        return [m for _, m in self.server.letters(user) if m.get_content_type() == "multipart/report"]

    def test_attack_31_no_sender_no_notice(self):
        with Raw(self.server.port_mx) as client:
            client.mail("", "one@lists.test", "two@lists.test")
            self.assertEqual(client.data(f"From: a@elsewhere.test\r\nSubject: letter {unique_id()}\r\n\r\nx")[0], 250)
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)  # unknown users of ours are refused at once: nobody is told later
            client.expect("RCPT TO:<nobody@example.test>", 550, "5.1.1")
        notice, = wait_until(lambda: self.notices("jada"), "a notice to the postmaster")
        self.assertEqual(notice["Return-Path"], "<>")
        wait_until(lambda: not self.server.queue_list(), "nothing to be left")
        self.assertEqual(len(self.notices("jada")), 1)
        self.assertEqual(len(self.server.letters()), 0)

    def test_attack_31_what_cannot_be_told_to_anybody_ends(self):
        """The notice fails, and so does the one to the postmaster: held, and said once. No ring."""
        self.server.write_conf(top="", extra=self.server.parts["extra"])
        text = self.server.conf.read_text().replace("postmaster jada@example.test", "postmaster post@lists.test")
        self.server.conf.write_text(text)
        self.server.process.popen.send_signal(signal.SIGHUP)
        self.server.wait_for_line("reloaded")
        with Raw(self.server.port_mx) as client:
            client.mail("back@lists.test", "one@lists.test")
            self.assertEqual(client.data(f"Subject: letter {unique_id()}\r\n\r\nx")[0], 250)
        self.server.wait_for_line("trouble")
        row, = wait_until(lambda: [r for r in self.server.queue_list() if r["state"] == "held"], "one that is held")
        self.assertEqual(len(self.server.queue_list()), 1)
        self.assertEqual(self.server.letters("jada") + self.server.letters(), [])

    def test_attack_32_a_ring_ends(self):
        """A domain whose next hop is ourselves: after a hundred rounds the letter comes back, once."""
        self.server.write_conf(extra=f"""
relay ourselves {{
    host 127.0.0.1:{self.server.port_mx}
    tls none
}}
domain ring.test {{
    recipients any
    deliver relay ourselves
}}""")
        self.server.process.popen.send_signal(signal.SIGHUP)
        self.server.wait_for_line("reloaded")
        with Raw(self.server.port_mx) as client:
            client.mail("sam@example.test", "one@ring.test")
            self.assertEqual(client.data(f"Subject: letter {unique_id()}\r\n\r\nx")[0], 250)
        notice, = wait_until(lambda: self.notices("sam"), "a notice")
        failed, = parse_bounce(notice).recipients
        self.assertEqual((failed["Action"], failed["Status"]), ("failed", "5.4.6"))
        wait_until(lambda: not self.server.queue_list(), "nothing to go round")
        self.assertEqual(len(self.server.lines("delivered")), 100 + 1)  # a hundred times to ourselves, and the notice
        self.assertEqual(len(self.notices("sam")), 1)

    def test_attack_33_less_comes_back_than_went_in(self):
        big = "x" * 70 + "\r\n"
        with Raw(self.server.port_submissions, self.server.authority, "implicit") as client:
            client.expect("MAIL FROM:<sam@example.test> RET=FULL ENVID=" + "e" * 100, 250)
            for n in range(300):
                client.expect(f"RCPT TO:<no{n}@lists.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{'o' * 400}@x.test", 250)
            self.assertEqual(client.data("From: sam@example.test\r\nSubject: big\r\n\r\n" + big * 60000)[0], 250)
        wait_until(lambda: not self.server.queue_list(), "all to be returned")
        notices = self.notices("sam")
        told = [r["Final-Recipient"] for m in notices for r in parse_bounce(m).recipients]
        self.assertEqual((len(told), len(set(told))), (300, 300))
        self.assertLess(len(notices), 100)  # verdicts that come together share one
        self.assertLess(sum(len(m.as_bytes()) for m in notices), len(big) * 60000 / 2)  # far less than came in


class LocalSockets(harness.Scenario):
    def descriptors(self, role):
        return len(os.listdir(f"/proc/{self.server.roles()[role]}/fd"))

    def deliver(self, subject):
        with Raw(self.server.port_mx) as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
        self.server.wait_for_letter(subject)

    def test_attack_68_anybody_may_knock(self):
        self.server = self.start(Sealpost(self.folder))
        chance = random.Random(68)
        self.deliver("before")  # what is opened once, is now
        self.server.queue_list()
        before = {role: self.descriptors(role) for role in ("spool", "front", "supervisor") if role in self.server.roles()}
        gift = os.open("/dev/null", os.O_RDONLY)
        gifts = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [gift] * 200))]
        for path in (self.server.control, self.server.local):
            for n in range(150):
                with socket.socket(socket.AF_UNIX) as knocker:
                    knocker.settimeout(30)
                    knocker.connect(str(path))
                    data = chance.randbytes(chance.choice((0, 1, 3, 4, 8, 100, 5000)))
                    if n % 3 == 0:  # looks like a frame: a length, a kind, and then something else
                        data = chance.randrange(70000).to_bytes(4, "little") + bytes([chance.randrange(40), 0]) + data
                    try:
                        if n % 5 == 0:
                            knocker.sendmsg([data or b"x"], gifts)
                        else:
                            knocker.sendall(data)
                        if n % 7 == 0:
                            knocker.shutdown(socket.SHUT_WR)
                            knocker.recv(4096)
                    except (ConnectionError, BrokenPipeError, TimeoutError):
                        pass
        many = []
        for path in (self.server.control, self.server.local):  # silent ones that stay
            for _ in range(200):
                knocker = socket.socket(socket.AF_UNIX)
                knocker.setblocking(False)
                try:
                    knocker.connect(str(path))
                except BlockingIOError:
                    pass
                many.append(knocker)
        for knocker in many:
            knocker.close()
        os.close(gift)
        self.server.queue_list()
        self.deliver("after")
        for role, count in before.items():
            wait_until(lambda role=role, count=count: self.descriptors(role) <= count, f"{role} to close what it was given")
        self.assertEqual(self.server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
