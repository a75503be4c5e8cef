# SPDX-License-Identifier: ISC
"""What the DNS says of a domain is too much, too long, or leads in a circle: bounded, and nobody else waits for it."""
import os

import harness
from harness.internet import Internet
from harness.network import own_network

SECRET = "the secret of the letter"


def setUpModule():
    own_network()


class BadNames(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.net = Internet(self)
        self.secure = self.net.secure
        self.expected = {}

    def domain(self, label, *outcomes, files=True, host=True, tlsa=None, zone=None):
        made = self.net.domain(label, zone)
        if host:
            kind = self.net.certificate("self", made.mx) if files else (None, None)
            made.host(kind, tlsa=tlsa)
        self.expected[made] = outcomes
        return made

    def too_many(self):
        plain = self.net.plain
        lost = self.domain("many-lost", "bounced", "deferred", host=False)
        for n in range(500):
            self.secure.mx(lost.label, f"h{n}.{lost.name}", 10)
        found = self.domain("many-found", "delivered", zone=plain)  # the best one of them is there
        for n in range(800):
            plain.mx(found.label, f"h{n}.{found.name}", 20)
        more = self.domain("ten-thousand", "deferred", zone=plain)  # more than any answer can hold
        for n in range(10000):
            plain.mx(more.label, f"h{n}.{more.name}", 20)
        # Of hundreds of records not all are tried: whether the right one is among them or not, nobody else gets the letter.
        for label, outcomes in (("many-records", ("delivered", "deferred")), ("many-records-wrong", ("deferred",))):
            domain, right = self.domain(label, *outcomes), "delivered" in outcomes
            for n in range(300):
                domain.tlsa(data=n.to_bytes(32, "big"))
            if right:
                domain.tlsa(domain.hops[0].files[0], usage=3, selector=1, matching=1)

    def too_long(self):
        text = self.domain("long-text", "delivered", files=False)
        self.secure.txt(f"_mta-sts.{text.label}", "v=STSv1; id=1; x=" + "y" * 60000 + ";")
        texts = self.domain("many-texts", "delivered", files=False)
        for n in range(1000):
            self.secure.txt(f"_mta-sts.{texts.label}", f"v=STSv1; id={n};")
        data = self.domain("long-record", "deferred", files=False)
        data.tlsa(matching=0, data=b"\x30" * 30000)
        with_tls = self.domain("long-record-tls", "delivered", "deferred")
        with_tls.tlsa(matching=0, data=b"\x30" * 30000)
        return text, texts

    def circles(self):
        self.secure.cname("loop-a", f"loop-b.{self.secure.name}").cname("loop-b", f"loop-a.{self.secure.name}")
        for n in range(40):
            self.secure.cname(f"long{n}", f"long{n + 1}.{self.secure.name}")
        self.secure.a("long40", "192.0.2.1")
        self.domain("loop-a", "deferred", "bounced", host=False)
        self.domain("long0", "deferred", "bounced", "delivered", host=False)
        host = self.domain("loop-host", "deferred", "bounced", host=False)
        self.secure.mx(host.label, f"loop-a.{self.secure.name}")
        record = self.domain("loop-record", "deferred", files=False)
        self.secure.cname(f"_25._tcp.mx.{record.label}", f"_26._tcp.mx.{record.name}")
        self.secure.cname(f"_26._tcp.mx.{record.label}", f"_25._tcp.mx.{record.name}")

    def test_attack_34_what_the_dns_says_is_bounded(self):
        for part in (self.too_many, self.too_long, self.circles):
            part()
        others = [self.net.domain(f"other-{n}") for n in range(5)]
        for domain in others:
            domain.host()
        # Without sanitizers, for only so roles are confined: what is long comes over TCP, which takes other system calls.
        server = self.net.start(program=os.environ["MEASURED"])
        addresses = self.net.send(*self.expected, secret=SECRET)
        for to in self.net.send(*others):
            self.assertEqual(self.net.outcome(to)[0], "delivered")
        for to, (domain, outcomes) in zip(addresses, self.expected.items()):
            with self.subTest(domain.name):
                got, lines = self.net.outcome(to)
                self.assertIn(got, outcomes, lines)
                if got != "delivered":
                    self.assertEqual(domain.letters, [])
                    for hop in domain.hops:
                        self.assertNotIn(b"RCPT", hop.clear)
                self.assertLess(max(map(len, lines.splitlines())), 8000)
        asked = {name for name, kind in self.net.middle.asked if kind == "A" and ".many-lost." in name}
        self.assertLess(len(asked), 100)
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
