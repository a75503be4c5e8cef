# SPDX-License-Identifier: ISC
"""DANE for mail (RFC 7672) with a real signed DNS and real servers: who is believed, and who waits."""
import harness
from harness.internet import Internet
from harness.network import address, own_network

SECRET = "the secret of the letter"


def setUpModule():
    own_network()


class Dane(harness.Scenario):
    """All domains at once: one Internet, one Sealpost, one table."""

    def setUp(self):
        super().setUp()
        self.net = Internet(self)
        self.expected = {}

    def expect(self, domain, outcome, *words):
        """words: what the log has to say of it."""
        self.expected[domain] = (outcome, words)
        return domain

    def end_entity(self, postfix):
        """DANE-EE(3) for each selector and matching type, with certificates that nothing else would believe."""
        kinds = {(0, 0): "self", (0, 1): "expired", (0, 2): "other-name", (1, 0): "unknown", (1, 1): "self", (1, 2): "right"}
        for (selector, matching), kind in kinds.items():
            domain = self.expect(self.net.domain(f"ee-{selector}-{matching}"), "delivered", "dane")
            files = self.net.certificate(kind, domain.mx)
            at = address()
            domain.at(at).tlsa(files[0], 3, selector, matching)
            postfix.append((at, files))

    def trust_anchor(self, postfix):
        """DANE-TA(2): the name counts, the time counts, and who issued it."""
        for kind, outcome, word, (selector, matching) in (
                ("right", "delivered", "dane", (0, 1)), ("right", "delivered", "dane", (1, 1)),
                ("right", "delivered", "dane", (0, 0)),
                ("expired", "deferred", "expired", (0, 1)), ("other-name", "deferred", "another name", (0, 1)),
                ("unknown", "deferred", "TLSA", (1, 1)), ("self", "deferred", "TLSA", (1, 2))):
            domain = self.expect(self.net.domain(f"ta-{kind}-{selector}-{matching}"), outcome, word)
            files = self.net.certificate(kind, domain.mx, chain=True)
            at = address()
            domain.at(at).tlsa(self.net.authority.cert, 2, selector, matching)
            postfix.append((at, files))
        # RFC 7672 3.2.2: the domain's own name will do, since its MX records are signed.
        domain = self.expect(self.net.domain("ta-domain"), "delivered", "dane")
        files, at = self.net.certificate("right", domain.name, chain=True), address()
        domain.at(at).tlsa(self.net.authority.cert, 2, 1, 1)
        postfix.append((at, files))

    def unusable(self):
        """RFC 7672 2.2, 3.1.3: TLS is mandatory then, its proof is not."""
        records = {"usage-0": {"usage": 0}, "usage-1": {"usage": 1}, "usage-9": {"usage": 9}, "selector-9": {"selector": 9},
                   "matching-9": {"matching": 9}, "empty": {"data": b""}, "short": {"data": b"\1" * 31},
                   "long": {"data": b"\1" * 33}, "no-der": {"matching": 0, "data": b"\x30\x05no"}}
        for name, record in records.items():
            record = {"data": b"\1" * 32, **record}
            with_tls, without = self.net.domain(f"odd-{name}"), self.net.domain(f"odd-clear-{name}")
            with_tls.host(self.net.certificate("self", with_tls.mx))
            without.host()
            for domain in (with_tls, without):
                domain.tlsa(**record)
            self.expect(with_tls, "delivered", "encrypt")
            self.expect(without, "deferred")

    def several(self):
        rolled = self.expect(self.net.domain("rolled"), "delivered", "dane")
        files = self.net.certificate("self", rolled.mx)
        rolled.host(files, tlsa=(3, 1, 1))
        rolled.tlsa(data=b"\2" * 32)
        wrong = self.expect(self.net.domain("wrong"), "deferred", "TLSA")
        wrong.host(self.net.certificate("right", wrong.mx))  # what PKIX would believe is no replacement
        wrong.tlsa(data=b"\2" * 32)
        agile = self.expect(self.net.domain("agile"), "deferred", "TLSA")  # RFC 7671 9: the stronger digest alone counts
        files = self.net.certificate("self", agile.mx)
        agile.host(files, tlsa=(3, 1, 1))
        agile.tlsa(usage=3, selector=1, matching=2, data=b"\2" * 64)
        second = self.expect(self.net.domain("second"), "delivered", "dane")  # one host fails, the other one is right
        second.host(self.net.certificate("self", second.mx))
        second.tlsa(data=b"\2" * 32)
        files = self.net.certificate("self", "second." + second.name)
        second.host(files, label="second", preference=20, tlsa=(3, 1, 1))

    def names(self):
        """CNAMEs, signed and not, and MX records that are not signed."""
        secure, plain = self.net.secure, self.net.plain
        # The TLSA record is an alias itself.
        alias = self.expect(self.net.domain("tlsa-alias"), "delivered", "dane")
        files = self.net.certificate("self", alias.mx)
        alias.host(files)
        secure.cname(f"_25._tcp.mx.{alias.label}", f"_25._tcp.kept.{alias.name}")
        alias.tlsa(files[0], label="kept")
        # The host is a signed alias of a signed host: its records are at the target (RFC 7672 2.2.2), the SNI, too.
        target = self.expect(self.net.domain("target"), "delivered", "dane")
        files = self.net.certificate("self", target.mx)
        target.host(files, tlsa=(3, 1, 1))
        host = self.expect(self.net.domain("alias"), "delivered", "dane")
        secure.mx(host.label, host.mx).cname(f"mx.{host.label}", target.mx)
        host.hops = target.hops
        # ... of an unsigned host: they are at the alias.
        far = self.expect(self.net.domain("far", plain), "delivered")
        files = self.net.certificate("self", far.mx)
        far.host(files)
        near = self.expect(self.net.domain("near"), "delivered", "dane")
        secure.mx(near.label, near.mx).cname(f"mx.{near.label}", far.mx)
        near.tlsa(files[0])
        near.hops = far.hops
        lost = self.expect(self.net.domain("near-wrong"), "deferred", "TLSA")
        secure.mx(lost.label, lost.mx).cname(f"mx.{lost.label}", far.mx)
        lost.tlsa(data=b"\2" * 32)
        # Unsigned MX records that lead to signed hosts: the host is proven if it can be.
        good = self.expect(self.net.domain("to-secure", plain), "delivered")
        plain.mx(good.label, target.mx)
        bad = self.expect(self.net.domain("to-wrong", plain), "deferred", "TLSA")
        plain.mx(bad.label, f"mx.wrong.{secure.name}")
        # Nothing is signed: as if there were no records, and clear text is what there is.
        nothing = self.expect(self.net.domain("unsigned", plain), "delivered")
        nothing.host()
        nothing.tlsa(data=b"\2" * 32)

    def test_attack_36_who_is_believed(self):
        postfix = []
        self.end_entity(postfix)
        self.trust_anchor(postfix)
        self.unusable()
        self.several()
        self.names()
        bogus = self.expect(self.net.domain("whole", self.net.bogus), "deferred", "DNSSEC")
        bogus.host(self.net.certificate("right", bogus.mx))
        self.net.add_postfix(postfix)
        server = self.net.start()
        addresses = self.net.send(*self.expected, secret=SECRET)
        for to, (domain, (outcome, words)) in zip(addresses, self.expected.items()):
            with self.subTest(domain.name):
                got, line = self.net.outcome(to)
                self.assertEqual(got, outcome, line)
                for word in words:
                    self.assertIn(word, line)
        for domain, (outcome, _) in self.expected.items():
            with self.subTest(domain.name):
                if outcome == "delivered" and domain.hops:
                    self.assertIn(f"sam@{domain.name}", " ".join(l.recipients[0].decode() for l in domain.letters))
                elif outcome == "deferred":
                    self.assertEqual(domain.letters, [])
                for hop in domain.hops:
                    if domain.label != "unsigned":
                        self.assertNotIn(SECRET.encode(), hop.clear)
                        self.assertNotIn(b"RCPT", hop.clear)
        target = next(d for d in self.expected if d.label == "target")
        self.assertEqual({l.server_name for l in target.letters}, {target.mx})
        near = next(d for d in self.expected if d.label == "near")
        self.assertIn(near.mx, {l.server_name for l in near.letters})
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
