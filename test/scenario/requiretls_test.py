# SPDX-License-Identifier: ISC
"""Senders who demand TLS all the way (REQUIRETLS) and such who set it aside (TLS-Required: No), over a signed zone: RFC 8689."""
import harness
from harness import letter, wait_until
from harness.internet import JADA, Internet
from harness.network import own_network
from harness.next_hop import NextHop
from harness.raw import Raw
from harness.server import binary

PROMISE = b"250-REQUIRETLS\r\n250-DSN\r\n"
SECRET = "the secret of the letter"


def setUpModule():
    own_network()


class Requiretls(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.net = Internet(self)

    def hop(self, label, extensions=PROMISE, kind="right", **more):
        """A domain with one server, whose MX record is signed."""
        domain = self.net.domain(label)
        files = self.net.certificate(kind, domain.mx) if kind else (None, None)
        domain.host(files, extensions=extensions, **more)
        return domain

    def send(self, domain, parameters=" REQUIRETLS RET=FULL", fields="", sender="jada@example.test"):
        to = f"sam@{domain.name}"
        text = fields.encode() + letter(to=to, subject=to, body=f"{SECRET}\n").as_bytes()
        with Raw(self.server.port_submissions, self.net.authority, "implicit", login=JADA) as client:
            client.expect(f"MAIL FROM:<{sender}>{parameters}", 250)
            client.expect(f"RCPT TO:<{to}>", 250)
            self.assertEqual(client.data(text)[0], 250)
        return to

    def bounce_about(self, domain):
        def told():
            return [m for _, m in self.server.letters("jada") if domain.name in m.as_string()]
        return wait_until(told, f"a bounce about {domain.name}")[-1].as_string()

    def assert_kept_from(self, domain):
        for hop in domain.hops:
            heard = hop.clear + hop.secret
            self.assertNotIn(b"MAIL", heard)
            self.assertNotIn(SECRET.encode(), heard)

    def test_attack_38_with_and_without_the_word(self):
        good, tlsa = self.hop("good"), self.hop("tlsa", kind="self")
        tlsa.tlsa(tlsa.hops[0].files[0], 3, 1, 1)
        silent, clear = self.hop("silent", b""), self.hop("clear", kind=None)
        unproven = self.hop("unproven", kind="unknown")
        second = self.hop("second", b"")
        second.host(self.net.certificate("right", f"mx2.{second.name}"), label="mx2", preference=20, extensions=PROMISE)
        plain = self.net.domain("plain", self.net.plain)
        plain.host(self.net.certificate("right", plain.mx), extensions=PROMISE)
        self.server = self.net.start()
        for domain in (good, tlsa, second):
            with self.subTest(domain.name):
                self.assertEqual(self.net.outcome(self.send(domain))[0], "delivered")
                self.assertIn(b" REQUIRETLS", domain.letters[0].sender)
                self.assertNotIn(b"RET=FULL", domain.letters[0].sender)
        self.assertEqual(second.hops[0].letters, [])
        for domain, status in ((silent, "5.7.30"), (clear, "5.7.10"), (unproven, "5.7.10"), (plain, "5.7.10")):
            with self.subTest(domain.name):
                outcome, lines = self.net.outcome(self.send(domain))
                self.assertEqual(outcome, "bounced", lines)
                self.assert_kept_from(domain)
                bounce = self.bounce_about(domain)
                self.assertIn(status, bounce)
                self.assertNotIn(SECRET, bounce)  # RET=FULL or not
        self.assertEqual(self.server.queue_list(), [])

    def test_a_bounce_is_promised_where_it_can_be(self):
        good, careless, clear = self.hop("good"), self.hop("careless", b""), self.hop("clear", kind=None)
        self.server = self.net.start()
        for domain, word in ((good, True), (careless, False), (clear, False)):
            with self.subTest(domain.name):
                self.assertEqual(self.net.outcome(self.send(domain, sender=""))[0], "delivered")
                self.assertEqual(b" REQUIRETLS" in domain.letters[0].sender, word)

    def test_what_the_sender_sets_aside(self):
        stale, expired = self.hop("stale", b""), self.hop("expired", b"", kind="expired")
        stale.tlsa(data=b"\1" * 32)
        held = self.hop("held", b"").tlsa(data=b"\1" * 32)
        self.server = self.net.start()
        for domain in (expired, stale):
            with self.subTest(domain.name):
                self.assertEqual(self.net.outcome(self.send(domain, "", "TLS-Required: No\r\n"))[0], "delivered")
                self.assertEqual(domain.letters[0].version, "TLSv1.3")  # TLS all the same
        twice = "TLS-Required: No\r\nTLS-Required: No\r\n"
        self.assertEqual(self.net.outcome(self.send(held, "", twice))[0], "deferred")
        self.assertEqual(held.letters, [])
        shown = self.server.queue("show", self.server.queue_list()[0]["id"])
        self.assertNotIn("tls wish", shown)

    def test_send_and_queue_show(self):
        lost = self.net.domain("lost").at("127.0.0.99")
        self.server = self.net.start()
        text = letter(to=f"sam@{lost.name}", subject="x", body="x\n").as_bytes()
        secret = self.folder / "password"
        secret.write_text(JADA[1] + "\n")
        for option, field, wish in ((["--require-tls"], b"", "required"), ([], b"TLS-Required: No\n", "optional")):
            sent = self.run_program(binary(), "send", "--server", f"localhost:{self.server.port_submissions}", "--ca",
                                    self.net.authority.cert, "--user", "jada", "--password-file", secret, "--from",
                                    "jada@example.test", "--to", f"sam@{lost.name}", *option, input=field + text)
            self.assertIn("queued as ", sent)
            identity = wait_until(self.server.queue_list, "the letter in the queue")[0]["id"]
            self.assertRegex(self.server.queue("show", identity), f"tls wish +{wish}")
            self.assertIn(f"the sender calls TLS {wish}", self.server.command("why", identity))
            self.server.queue("remove", identity)

    def test_send_to_who_does_not_promise(self):
        hop = self.start(NextHop("127.0.0.77", *self.net.authority.issue("localhost", file="hop")))
        refused = self.run_program(binary(), "send", "--server", "127.0.0.77:25", "--name", "localhost", "--tls", "starttls", "--ca",
                                   self.net.authority.cert, "--from", "a@b.test", "--to", "c@d.test", "--require-tls",
                                   input=b"Subject: x\n\nx\n", status=69)
        self.assertIn("does not offer REQUIRETLS", refused)
        self.assertNotIn(b"MAIL", hop.secret + hop.clear)


if __name__ == "__main__":
    harness.main()
