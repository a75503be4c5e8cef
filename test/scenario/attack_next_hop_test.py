# SPDX-License-Identifier: ISC
"""Next hops that answer with anything at all: never taken for a delivery, never written down raw, never fatal."""
import re

import harness
from harness import Acted, Sealpost, wait_until
from harness.message import unique_id
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
OK = b"250 ok\r\n"


class Hostile(Acted):
    """A server that says what `says` has for each word it hears: bytes, or None to close. "body" is what follows 354."""

    def __init__(self, banner=b"220 hostile.test ESMTP\r\n", then_close=False, garbage=None, patience_s=30, **says):
        super().__init__("hostile")
        self.banner, self.then_close = banner, then_close
        self.garbage, self.patience_s = garbage, patience_s
        self.says = {"ehlo": OK, "lhlo": OK, "mail": OK, "rcpt": OK, "data": b"354 go\r\n", "body": OK, "quit": b"221 bye\r\n",
                     **says}
        self.bodies, self.heard = [], []

    def log(self):
        return "\n".join(map(repr, self.heard))

    def talk(self, peer):
        peer.settimeout(self.patience_s)
        self.dialogue(peer)

    def dialogue(self, peer):
        peer.sendall(self.banner)
        if self.then_close:
            return
        pending = b""
        while True:
            while b"\r\n" not in pending:
                chunk = peer.recv(65536)
                if not chunk:
                    return
                pending += chunk
            line, _, pending = pending.partition(b"\r\n")
            self.heard.append(line)
            word = line.split(b" ")[0].decode("latin-1").lower()
            answer = self.says.get(word, b"502 no\r\n")
            if answer is None:
                return
            peer.sendall(answer)
            if word == "starttls" and self.garbage:
                peer.recv(65536)
                peer.sendall(self.garbage)
            if word == "data" and answer.startswith(b"354"):
                while b"\r\n.\r\n" not in pending:
                    chunk = peer.recv(65536)
                    if not chunk:
                        return
                    pending += chunk
                body, _, pending = pending.partition(b"\r\n.\r\n")
                self.bodies.append(body)
                if self.says["body"] is None:
                    return
                peer.sendall(self.says["body"])
            if word == "quit":
                return


def hops():
    """Name -> (server, what the recipient's outcome may be, and of TLS what is asked for)."""
    go = b"220 go ahead\r\n"
    tls = b"250-hostile.test\r\n250 STARTTLS\r\n"
    return {
        "binary-banner": (Hostile(banner=b"\xff\xfe\0\r\n220 x\r\n"), "later"),
        "endless-banner": (Hostile(banner=b"220 " + b"x" * 3_000_000), "later"),
        "many-lines": (Hostile(banner=b"220-x\r\n" * 100_000), "later"),
        "five-digits": (Hostile(banner=b"2200 x\r\n"), "later"),
        "pop3": (Hostile(banner=b"+OK ready\r\n"), "later"),
        "no-text": (Hostile(rcpt=b"550\r\n"), "never"),
        "mixed-codes": (Hostile(rcpt=b"250-a\r\n550 b\r\n"), "later never"),
        "bare-lf": (Hostile(rcpt=b"550-a\r\n550 x\ntype: mda\nto: root\r\n"), "later never"),
        "escapes": (Hostile(rcpt="550 5.1.1 \x1b]0;x\x07 \x00 \u202e gone\r\n".encode()), "later never"),
        "not-utf8": (Hostile(rcpt=b"550 5.1.1 \xc0\xae\xff\r\n"), "later never"),
        "long-refusal": (Hostile(rcpt=b"550-" + b"y" * 400 + b"\r\n" + b"550-z\r\n" * 60 + b"550 end\r\n"), "later never"),
        "answers-in-advance": (Hostile(banner=b"220 x\r\n" + OK * 20, then_close=True), "later"),
        "dot-answered-in-advance": (Hostile(data=b"354 go\r\n250 queued\r\n", body=None), "later"),
        "closed-at-mail": (Hostile(mail=None), "later"),
        "closed-at-rcpt": (Hostile(rcpt=None), "later"),
        "closed-at-data": (Hostile(data=None), "later"),
        "closed-after-dot": (Hostile(body=None), "later"),
        "354-to-mail": (Hostile(mail=b"354 go\r\n"), "later never"),
        "250-to-data": (Hostile(data=OK), "later never"),
        "half-a-reply": (Hostile(body=b"250-stored\r\n", patience_s=2), "later"),
        "421-at-rcpt": (Hostile(rcpt=b"421 closing\r\n"), "later"),
        "998-code": (Hostile(body=b"998 well\r\n"), "later"),
        "injected-behind-starttls": (Hostile(ehlo=tls, starttls=go + b"250-AUTH PLAIN\r\n250 x\r\n"), "later", "starttls encrypt"),
        "garbage-for-tls": (Hostile(ehlo=tls, starttls=go, garbage=b"\0" * 9000), "later", "starttls encrypt"),
        "starttls-refused": (Hostile(ehlo=tls, starttls=b"454 not now\r\n"), "later", "starttls encrypt"),
        "starttls-closed": (Hostile(ehlo=tls, starttls=None), "later", "starttls encrypt"),
        "clear-text-for-tls": (Hostile(), "later", "implicit encrypt"),
    }


class HostileNextHops(harness.Scenario):
    def test_every_answer(self):
        peers = {name: (*rest, "none") if len(rest) == 2 else rest for name, rest in hops().items()}
        for server, *_ in peers.values():
            self.start(server)
        relays = "".join(f"relay {name} {{\n host 127.0.0.1:{peer.port}\n tls {tls}\n}}\n" for name, (peer, _, tls) in peers.items())
        routes = "\n".join(f"to {name}.test relay {name}" for name in peers) + "\notherwise hold"
        server = self.start(Sealpost(self.folder, extra=relays, route=routes))
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", *(f"to@{name}.test" for name in peers))
            self.assertEqual(client.data(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n..\r\n...two\r\nthree")[0], 250)
        for name, (peer, outcomes, _) in peers.items():
            with self.subTest(name):
                line = server.wait_for_line("attempt", f"to=to@{name}.test")[0]
                outcome = re.search(r"outcome=(\w+)", line)[1]
                self.assertIn(outcome, outcomes.split(), line)
                self.assertLess(len(line), 8000)
        for body in (b for peer, *_ in peers.values() for b in peer.bodies):
            self.assertTrue(body.endswith(b"\r\n\r\n..\r\n...two\r\nthree"), body[-60:])
        self.judge_words(server)

    def judge_words(self, server):
        """Nothing of what was answered comes out raw: not in the log, not in lists, not in bounces."""
        self.assertEqual(server.lines("role-died"), [])
        log = server.log()
        for line in log[log.index(" ready "):].splitlines()[1:]:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT", line)
            self.assertNotRegex(line, "[\x00-\x08\x0b-\x1f\x7f\u202e]")
        rows = wait_until(server.queue_list, "those that wait")
        self.assertTrue(all(row["last_reply"] for row in rows), rows)
        for row in rows:
            self.assertNotRegex(server.queue("show", row["id"]), "[\x00-\x08\x0b-\x1f\x7f\u202e]")
        bounces = wait_until(lambda: [m for _, m in server.letters("jada") if m.get_content_type() == "multipart/report"], "bounces")
        for bounce in bounces:
            raw = bounce.as_bytes()
            self.assertNotRegex(raw, rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
            for block in harness.parse_bounce(bounce).recipients:
                self.assertEqual([k for k in block.keys() if k.lower() in ("type", "to")], [])

    def test_lmtp_that_answers_for_one_of_three(self):
        """Who was answered for is delivered to once; the others again, and nobody is bounced."""
        peer = self.start(Hostile(body=b"250 one\r\n", patience_s=2))  # gone between two replies
        server = self.start(Sealpost(self.folder, extra=f"domain lists.test {{\n recipients any\n deliver lmtp 127.0.0.1:{peer.port}\n}}"))
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "one@lists.test", "two@lists.test", "three@lists.test")
            self.assertEqual(client.data("From: jada@example.test\r\n\r\nx")[0], 250)
        server.wait_for_line("deferred", count=2)
        self.assertEqual(len(server.lines("delivered")), 1)
        self.assertEqual(len(server.queue_list()), 2)
        server.queue("retry")
        wait_until(lambda: len(server.lines("delivered")) == 2, "the second of them")
        wait_until(lambda: len(server.queue_list()) == 1, "the last one to wait")
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
