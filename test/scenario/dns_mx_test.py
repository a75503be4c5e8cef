# SPDX-License-Identifier: ISC
"""Mail for other domains finds its way by MX records, which a real nsd serves."""
import signal

import harness
from harness import Authority, Sealpost, letter
from harness.message import unique_id
from harness.peers import Exim, Nsd, Postfix
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])

ZONE = """\
a IN A 127.0.0.1
mx1 IN A 127.0.0.1
mx2 IN A 127.0.0.1
mx3 IN AAAA ::1
@ IN MX 10 mx1
best IN MX 10 nobody
best IN MX 20 mx1
implicit IN A 127.0.0.1
under IN MX 10 mx_1
mx_1 IN A 127.0.0.1
null IN MX 0 .
lost IN MX 10 nowhere
six IN MX 10 mx3
alias IN CNAME implicit
literal IN MX 10 127.0.0.1.
private IN MX 10 a
backup IN MX 10 mx1
backup IN MX 20 mx1.example.test.
own IN MX 10 mx1.example.test.
zero IN A 0.0.0.0
other127 IN A 127.9.9.9
mapped IN AAAA ::ffff:127.0.0.1
six1 IN AAAA ::1
link IN A 169.254.1.1
many IN MX 10 zero
many IN MX 10 six1
many IN MX 20 literal
"""


class Mx(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.files = (*self.authority.issue("mx1.there.test", "localhost", file="peer"), self.authority.cert)

    def begin(self, loopback=True, zone=ZONE, signed=("there.test",), resolver="", family="ipv4", tls="may", **parts):
        self.postfix = self.start(Postfix(self.folder, *self.files, domain="there.test", tls=tls,
                                          settings="virtual_mailbox_domains = static:all"))
        self.nsd = self.start(Nsd(self.folder, {"there.test": zone}, signed=signed))
        anchor = f"trust-anchor {self.nsd.anchor}" if signed else ""
        direct = f"port {self.postfix.port}\n    family {family}\n" + ("    allow-loopback yes\n" if loopback else "")
        self.server = self.start(Sealpost(
            self.folder, authority=self.authority, route="otherwise direct", direct=direct + parts.pop("direct", ""),
            extra=f"resolver {{\n    server {self.nsd.server}\n    {anchor}\n    {resolver}\n}}\n"
                  f"{parts.pop('extra_domains', '')}", **parts))

    def send(self, *to):
        subject = f"letter {unique_id()}"
        with Raw(self.server.port_submissions, self.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", *to)
            self.assertEqual(client.data(letter(subject=subject, to=to[0]).as_bytes())[0], 250)
        return subject

    def bounce(self):
        return harness.wait_until(lambda: [harness.parse_bounce(m) for _, m in self.server.letters("jada")
                                           if m.get_content_type() == "multipart/report"], "a bounce")[-1]

    def test_by_preference_and_implicit(self):
        self.begin()
        self.server.wait_for_line("dnssec", "validates")
        for address in ("one@there.test", "one@best.there.test", "one@implicit.there.test", "one@alias.there.test",
                        "one@under.there.test"):
            with self.subTest(address):
                arrived = self.postfix.wait_for_letter(self.send(address))
                self.assertIn("TLS", arrived["Received"])  # opportunistic: Postfix offers it
        self.assertEqual(self.server.queue_list(), [])

    def test_two_domains_of_one_letter(self):
        self.begin()
        self.postfix.wait_for_letter(self.send("one@there.test", "two@implicit.there.test"), count=2)

    def test_backup_mx(self):
        """deliver mx: only to hosts that are better than we are; and we never speak with ourselves."""
        self.begin(extra_domains="domain backup.there.test own.there.test {\n recipients any\n deliver mx\n}")
        subject = f"letter {unique_id()}"
        with Raw(self.server.port_mx) as client:  # mail for these is taken from strangers
            client.mail("a@elsewhere.test", "one@backup.there.test")
            self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
        self.postfix.wait_for_letter(subject)
        self.send("one@own.there.test")
        failed = self.bounce().recipients[0]
        self.assertEqual((failed["Action"], failed["Status"]), ("failed", "5.4.6"))

    def test_null_mx(self):
        self.begin()
        self.send("one@null.there.test")
        failed = self.bounce().recipients[0]
        self.assertEqual((failed["Action"], failed["Status"]), ("failed", "5.1.10"))

    def test_no_such_domain(self):
        self.begin()
        self.send("one@missing.there.test")
        failed = self.bounce().recipients[0]
        self.assertEqual((failed["Action"], failed["Status"]), ("failed", "5.1.2"))

    def test_loopback_is_never_dialled_for_remote_mail(self):
        self.begin(loopback=False, family="any")
        names = ["", "zero.", "other127.", "mapped.", "six1.", "link.", "many.", "literal.", "private."]
        for name in names:
            self.send(f"one@{name}there.test")
        for name in names:
            harness.wait_until(lambda to=f"to=one@{name}there.test ": [
                line for line in self.server.lines("deferred") + self.server.lines("bounced") if to in line], f"{name} decided")
        self.assertEqual(self.postfix.maildir(self.postfix.inbox), [])
        self.assertNotIn(": connect from", self.postfix.log().partition("lost connection after CONNECT")[2])

    def test_a_server_without_tls(self):
        """Opportunistic takes what there is and says so; the floor `encrypt` waits."""
        self.begin(tls="none")
        arrived = self.postfix.wait_for_letter(self.send("one@there.test"))
        self.assertNotIn("TLS", arrived["Received"])
        self.server.wait_for_line("downgrade", "there.test")
        self.server.write_conf(direct=self.server.parts["direct"] + "    tls encrypt\n")
        self.server.process.popen.send_signal(signal.SIGHUP)
        self.server.wait_for_line("reloaded")
        self.send("two@there.test")
        self.server.wait_for_line("deferred", "two@there.test")
        self.assertEqual(len(self.postfix.maildir(self.postfix.inbox)), 1)

    def test_what_does_not_validate_waits(self):
        """The records are there, but their signatures are of another key."""
        self.begin()
        other = self.folder / "other"
        other.write_text("there.test. IN DS 1 13 2 " + "00" * 32 + "\n")
        self.server.stop()
        self.server.process = None
        self.server.write_conf(extra=f"resolver {{\n server {self.nsd.server}\n trust-anchor {other}\n}}")
        self.server.start()
        self.server.wait_for_line("dnssec-off", "cannot-validate")
        self.send("one@there.test")
        self.server.wait_for_line("deferred", "one@there.test")
        self.assertIn("DNSSEC", self.server.queue_list()[0]["last_reply"])
        self.assertEqual(self.postfix.maildir(self.postfix.inbox), [])

    def test_levels(self):
        """verify: the certificate must be of the MX and of a known authority."""
        self.begin(direct=f"    tls verify\n    ca {self.authority.cert}\n")
        self.postfix.wait_for_letter(self.send("one@there.test"))
        self.send("one@implicit.there.test")  # whose name the certificate lacks
        self.server.wait_for_line("deferred", "implicit.there.test")

    def test_exim_is_a_next_hop_by_mx(self):
        exim = self.start(Exim(self.folder, *self.files, domain="there.test"))
        nsd = self.start(Nsd(self.folder, {"there.test": ZONE}, signed=["there.test"]))
        server = self.start(Sealpost(self.folder, authority=self.authority, route="otherwise direct",
                                     direct=f"port {exim.port}\n    family ipv4\n    allow-loopback yes\n    tls encrypt",
                                     extra=f"resolver {{\n server {nsd.server}\n trust-anchor {nsd.anchor}\n}}"))
        self.server = server
        exim.wait_for_letter(self.send("one@there.test"))


if __name__ == "__main__":
    harness.main()
