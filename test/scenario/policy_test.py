# SPDX-License-Identifier: ISC
"""MTA-STS (RFC 8461) with a real DNS, an HTTPS server and mail servers: which policy binds, and what it keeps from whom."""
import harness
from harness import dns_middle, policy_host
from harness.internet import Internet
from harness.network import own_network
from harness.policy_host import policy

SECRET = "the secret of the letter"


def setUpModule():
    own_network()


class Policies(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.net = Internet(self)
        self.expected = {}

    def domain(self, label, outcome, kind, *words, **behaviour):
        """kind: of the host's certificate, None: no TLS."""
        made = self.net.domain(label, self.net.plain)  # MTA-STS is for those whose zones are not signed
        made.host(self.net.certificate(kind, made.mx) if kind else (None, None), **behaviour)
        self.expected[made] = (outcome, words)
        return made

    def certificates(self):
        """enforce: the certificate must be valid for the host; testing and none: it need not."""
        for kind in (*Internet.CERTIFICATES, None):
            self.domain(f"enforce-{kind or 'clear'}".lower(), "delivered" if kind == "right" else "deferred", kind).sts("enforce")
        for mode in ("testing", "none"):
            for kind in ("self", None):
                self.domain(f"{mode}-{kind or 'clear'}", "delivered", kind).sts(mode)

    def patterns(self):
        well = self.domain("wild", "delivered", "right")
        well.sts("enforce", f"*.{well.name}")
        deep = self.domain("deep", "deferred", "right", "MTA-STS")
        deep.sts("enforce", "*.plain.test")  # one label, not two
        other = self.domain("not-listed", "deferred", "right", "MTA-STS")
        other.sts("enforce", "mx.example.test")
        second = self.domain("second-listed", "delivered", "right")
        label = f"second.{second.name}"
        second.host(self.net.certificate("right", label), label="second", preference=20)
        second.sts("enforce", label)

    def hosts(self):
        """A policy that cannot be had, and was not had before, binds nobody: mail goes on as if there were none."""
        ways = {"404": policy_host.status("404 Not Found"), "500": policy_host.status("500 Oops"), "half": policy_host.half,
                "moved": policy_host.redirect(f"https://mta-sts.wild.plain.test{policy_host.PATH}"),
                "packed": policy_host.packed, "page": policy_host.web_page, "huge": policy_host.huge(10 << 20),
                "endless": policy_host.endless}
        for name, way in ways.items():
            self.domain(f"host-{name}", "delivered", None).sts("enforce", way=way)
        for kind in Internet.CERTIFICATES[1:]:
            domain = self.domain(f"host-{kind}", "delivered", None)
            domain.sts("enforce", certificate=self.net.certificate(kind, f"mta-sts.{domain.name}"))
        twice = self.domain("txt-twice", "delivered", None)
        twice.sts("enforce").zone.txt(f"_mta-sts.{twice.label}", "v=STSv1; id=2;")
        without = self.domain("no-txt", "delivered", None)
        self.net.policies.serve(without.name, policy("enforce", without.mx))
        self.domain("grammar", "delivered", None).sts("enforce", body=b"version: STSv1\nmode: enforce\nmax_age: x\nmx: a.test\n")
        slow = self.domain("host-slow", "deferred", None)
        slow.sts("enforce", way=policy_host.slow(1))

    def before_it(self):
        """RFC 8461 2: DANE comes first, whether it is stricter or not."""
        secure = self.net.secure
        for name, outcome, kind, data in (("dane-wrong", "deferred", "right", b"\2" * 32),
                                          ("dane-right", "delivered", "self", None)):
            domain = self.net.domain(name, secure)
            files = self.net.certificate(kind, domain.mx)
            domain.host(files)
            domain.tlsa(None if data else files[0], data=data)
            domain.sts("enforce")
            self.expected[domain] = (outcome, ())

    def test_attack_37_which_policy_binds(self):
        for part in (self.certificates, self.patterns, self.hosts, self.before_it):
            part()
        silent = self.net.domain("silent", self.net.plain)
        silent.host()
        silent.sts("enforce", way=policy_host.silent)
        server = self.net.start()
        self.net.send(silent, secret=SECRET)
        harness.wait_until(lambda: self.net.policies.times(silent.name), "a question that will have no answer")
        addresses = self.net.send(*self.expected, secret=SECRET)
        for to, (domain, (outcome, words)) in zip(addresses, self.expected.items()):
            with self.subTest(domain.name):
                got, line = self.net.outcome(to)
                self.assertEqual(got, outcome, line)
                for word in words:
                    self.assertIn(word, line)
                if outcome == "deferred":
                    self.assertEqual(domain.letters, [])
                    for hop in domain.hops:
                        self.assertNotIn(b"RCPT", hop.clear)
                        self.assertNotIn(SECRET.encode(), hop.clear + hop.secret)
        by_name = {domain.label: domain for domain in self.expected}
        for label in ("deep", "not-listed"):
            self.assertEqual(by_name[label].hops[0].connections, 0, label)
        self.assertEqual([len(hop.letters) for hop in by_name["second-listed"].hops], [0, 1])
        self.assertEqual(server.lines("role-died"), [])

    def test_attack_37_a_policy_once_seen(self):
        """Neither a host that is gone, nor a record that is gone, nor a restart takes back what a policy has promised."""
        kept = self.domain("kept", "delivered", "right")
        kept.sts("enforce")
        server = self.net.start()
        to, = self.net.send(kept)
        self.assertEqual(self.net.outcome(to)[0], "delivered")
        self.net.policies.change(kept.name, way=policy_host.status("404 Not Found"))
        self.net.middle.on(f"_mta-sts.{kept.name}", "TXT", dns_middle.deny)
        kept.hops[0].offer = False  # and now the attack
        server.stop()
        server.process = None
        server.start()
        self.net.send(kept, secret=SECRET)
        server.wait_for_line("deferred", to)
        self.assertNotIn(SECRET.encode(), kept.hops[0].clear)
        self.assertEqual(len(kept.letters), 1)


if __name__ == "__main__":
    harness.main()
