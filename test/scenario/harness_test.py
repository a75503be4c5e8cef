# SPDX-License-Identifier: ISC
"""The harness's own servers do what their names say, as other people's clients see them."""
import ssl

import harness
from harness import Authority, dns_middle, next_hop, policy_host
from harness.certificates import tlsa_data
from harness.dns_middle import DnsMiddle
from harness.network import address, own_network
from harness.next_hop import NextHop
from harness.policy_host import PolicyHost, policy
from harness.raw import Gone, Raw
from harness.zone import Zones


def setUpModule():
    own_network()


class Names(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.zones = Zones(self.folder)
        one = self.zones.zone("one.test").mx("@", "mx.one.test").a("mx", "192.0.2.9").cname("other", "mx.one.test")
        one.txt("long", "x" * 600).sts("192.0.2.8")
        authority = Authority(self.folder)
        self.cert, _ = authority.issue("mx.one.test", chain=True)
        for selector in (0, 1):
            for matching in (0, 1, 2):
                one.tlsa("mx", self.cert, usage=3, selector=selector, matching=matching)
        one.tlsa("mx", usage=9, selector=9, matching=9, data=b"").tlsa("mx", data=b"short")
        self.zones.zone("plain.test", secure=False).a("@", "192.0.2.7")
        self.zones.zone("odd.test", bogus=True).a("@", "192.0.2.6")
        self.start(self.zones)

    def drill(self, name, kind, port=None, *more):
        return self.run_program("drill", "-p", port or self.zones.port, *more, name, "@127.0.0.1", kind, status=None)

    def test_zones(self):
        self.assertIn("10 mx.one.test.", self.drill("one.test", "MX"))
        tlsa = self.drill("_25._tcp.mx.one.test", "TLSA", None, "-t").lower()
        for selector in (0, 1):
            for matching in (0, 1, 2):
                self.assertIn(f"3 {selector} {matching} {tlsa_data(self.cert, selector, matching).hex()}", tlsa)
        self.assertIn("9 9 9", tlsa)
        self.assertIn("3 1 1 " + b"short".hex(), tlsa)
        self.assertIn(" ".join('"' + "x" * n + '"' for n in (255, 255, 90)), self.drill("long.one.test", "TXT", None, "-t"))
        parent = [self.drill(f"{zone}.test", "DS") for zone in ("one", "plain", "odd")]
        self.assertEqual(["\tIN\tDS\t" in text for text in parent], [True, False, True])

    def test_middle(self):
        middle = self.start(DnsMiddle(self.zones.port))
        true = self.drill("one.test", "MX", middle.port)
        self.assertIn("10 mx.one.test.", true)
        for way, part in ((dns_middle.servfail, "SERVFAIL"), (dns_middle.refuse, "REFUSED"), (dns_middle.deny, "NXDOMAIN"),
                          (dns_middle.empty, "ANSWER: 0"), (dns_middle.tamper, "192.0.2.8"),
                          (dns_middle.forge(("A", bytes([192, 0, 2, 66]))), "192.0.2.66")):
            middle.on("mx.one.test", "A", way)
            self.assertIn(part, self.drill("mx.one.test", "A", middle.port), way)
            self.assertIn("10 mx.one.test.", self.drill("one.test", "MX", middle.port))
        name, = self.zones.emptied
        self.assertIn("9 9 9 00", self.drill(name, "TLSA", middle.port, "-t"))
        middle.on(name, "TLSA", dns_middle.without_data)
        self.assertRegex(self.drill(name, "TLSA", middle.port, "-t"), "9 9 9 *\n")
        middle.on("mx.one.test", "A", dns_middle.strip)
        self.assertIn("RRSIG", self.drill("mx.one.test", "A", None, "-D"))
        stripped = self.drill("mx.one.test", "A", middle.port, "-D")
        self.assertIn("192.0.2.9", stripped)
        self.assertNotIn("RRSIG", stripped)
        middle.on("mx.one.test", "A", dns_middle.reset)
        self.assertIn(" tc ", self.drill("mx.one.test", "A", middle.port))
        self.assertNotIn("192.0.2.9", self.drill("mx.one.test", "A", middle.port, "-t"))
        middle.on("mx.one.test", "A", None)
        self.assertIn("192.0.2.9", self.drill("mx.one.test", "A", middle.port, "-t"))


class Hosts(harness.Scenario):
    def curl(self, domain, *more, status=0):
        host = f"mta-sts.{domain}"
        return self.run_program("curl", "-sS", "--max-time", 60, "--cacert", self.authority.cert, "--resolve",
                                f"{host}:443:{self.host.address}", *more, f"https://{host}{policy_host.PATH}", status=status)

    def test_policy_host(self):
        self.authority, other = Authority(self.folder), Authority(self.folder, "Other CA")
        self.host = PolicyHost(address(), self.authority)
        body = policy("enforce", "mx.one.test")
        certificates = {"name": self.authority.issue("mta-sts.other.test"),
                        "expired": self.authority.expired("mta-sts.expired.test"),
                        "unknown": other.issue("mta-sts.unknown.test"), "self": other.self_signed("mta-sts.self.test")}
        ways = {"right": policy_host.right, "missing": policy_host.status("404 Not Found"), "packed": policy_host.packed,
                "moved": policy_host.redirect("https://mta-sts.right.test" + policy_host.PATH), "half": policy_host.half,
                "page": policy_host.web_page, "huge": policy_host.huge(1 << 20), "endless": policy_host.endless,
                "silent": policy_host.silent, "dribble": policy_host.dribble, "slow": policy_host.slow(0.1)}
        for name in (*ways, *certificates):
            self.host.serve(f"{name}.test", body, ways.get(name, policy_host.right), certificates.get(name))
        self.start(self.host)
        for name in ("right", "slow"):
            self.assertEqual(self.curl(f"{name}.test").encode(), body)
        self.assertEqual(self.host.asked[0], ("right.test", "GET /.well-known/mta-sts.txt HTTP/1.1"))
        self.assertEqual(self.curl("packed.test", "--compressed").encode(), body)
        self.assertEqual(self.curl("missing.test", "-o", "/dev/null", "-w", "%{http_code}"), "404")
        self.assertEqual(self.curl("moved.test", "-o", "/dev/null", "-w", "%{http_code}"), "301")
        self.assertEqual(len(self.curl("huge.test")), 1 << 20)
        self.assertIn("<!doctype", self.curl("page.test"))
        self.curl("half.test", status=(18, 56))  # who tells first that something is missing: HTTP, or TLS
        self.curl("endless.test", "--max-time", 0.3, "-o", "/dev/null", status=28)
        for name in ("silent", "dribble"):
            self.curl(f"{name}.test", "--max-time", 0.6, status=28)
        for name in certificates:
            self.curl(f"{name}.test", status=60)
        self.host.change("right.test", way=policy_host.status("500 Oops"))
        self.assertEqual(self.curl("right.test", "-o", "/dev/null", "-w", "%{http_code}"), "500")

    def test_next_hop(self):
        authority = Authority(self.folder)
        files = authority.issue("mx.one.test")
        hop = self.start(NextHop(address(), *files))
        self.send(hop, authority, "a@one.test")
        letter, = hop.letters
        self.assertEqual((letter.version, letter.server_name), ("TLSv1.3", "mx.one.test"))
        self.assertEqual(letter.content, b"Subject: x\r\n\r\ny\r\n")
        self.assertIn(b"STARTTLS", hop.clear)
        self.assertNotIn(b"a@one.test", hop.clear)
        self.assertIn(b"a@one.test", hop.secret)
        clear = self.start(NextHop(address()))
        with Raw(25, host=clear.address) as client:
            self.assertNotIn("STARTTLS", client.extensions)
            client.mail("s@client.test", "a@one.test")
            self.assertEqual(client.data("Subject: x\r\n\r\ny")[0], 250)
        self.assertEqual(clear.letters[0].version, "")
        self.assertIn(b"a@one.test", clear.clear)
        for way in (next_hop.refuses(), next_hop.closes, next_hop.closes_after_220, next_hop.resets_in_hello,
                    next_hop.closes_in_handshake, next_hop.garbage):
            hop = self.start(NextHop(address(), *files, starttls=way))
            with self.assertRaises((AssertionError, Gone, OSError), msg=way):
                self.send(hop, authority, "a@one.test")
            self.assertEqual(hop.letters, [])
        old = self.start(NextHop(address(), *files, at_most=ssl.TLSVersion.TLSv1))
        with self.assertRaises(ssl.SSLError):
            self.send(old, authority, "a@one.test")
        harness.wait_until(lambda: old.handshakes and old.handshakes[0], "the failed handshake")
        with self.assertRaises(Gone):
            self.send(self.start(NextHop(address(), *files, close_at="MAIL")), authority, "a@one.test")

    @staticmethod
    def send(hop, authority, to):
        with Raw(25, authority, "starttls", server_name="mx.one.test", host=hop.address, source="0.0.0.0") as client:
            client.mail("s@client.test", to)
            client.data("Subject: x\r\n\r\ny")


if __name__ == "__main__":
    harness.main()
