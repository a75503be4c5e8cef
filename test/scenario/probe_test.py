# SPDX-License-Identifier: ISC
"""`sealpost probe`: what is seen from outside of real zones, policies and certificates, right and wrong, and what is to be mended."""
import json
import socket
import ssl
import subprocess

import harness
from harness import dns_middle
from harness.dns_middle import DnsMiddle
from harness.internet import Internet
from harness.network import address, own_network
from harness.next_hop import NextHop
from harness.policy_host import redirect
from harness.server import ENVIRONMENT, binary


def setUpModule():
    own_network()


class Implicit(NextHop):
    """TLS from the first byte."""

    def talk(self, peer):
        with self.context.wrap_socket(peer, server_side=True) as tls:
            super().talk(tls)


class ImplicitThatSpeaks(Implicit):
    """To who does not say hello it says why, in clear text."""

    def talk(self, peer):
        peer.settimeout(0.5)
        try:
            hello = peer.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            hello = b""
        peer.settimeout(10)
        if hello != b"\x16":
            peer.sendall(b"554 5.7.0 TLS from the first byte\r\n")
            return
        super().talk(peer)


class Probe(harness.Scenario):
    def begin(self):
        """What has been built so far, without a Sealpost."""
        for thing in (self.net.zones, self.net.policies, *self.net.hops):
            self.start(thing)

    def run_probe(self, target, *options, status):
        done = subprocess.run(
            [binary(), "probe", target, "--resolve", self.net.zones.server, "--trust-anchor", self.net.zones.anchor,
             "--ca", self.net.authority.cert, "--patience", "3", *options], capture_output=True, text=True, timeout=60, check=False,
            env=ENVIRONMENT)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def probe(self, target, *options, status):
        lines = [json.loads(line) for line in self.run_probe(target, "--json", *options, status=status).splitlines()]
        self.lines = lines
        weights = [line["weight"] for line in lines if line["kind"] == "finding"]
        self.assertEqual(weights, sorted(weights, key=["broken", "weak", "advice"].index))
        return {(line["what"], line["about"]): line for line in lines if line["kind"] == "finding"}

    def kind(self, kind):
        return [line for line in self.lines if line["kind"] == kind]

    def test_a_domain_that_does_all(self):
        net = self.net = Internet(self)
        one = net.domain("one")
        one.host(net.certificate("right", one.mx), tlsa=(3, 1, 1))
        one.sts("enforce")
        net.secure.txt("_smtp._tls.one", "v=TLSRPTv1; rua=mailto:tls@one.secure.test")
        self.begin()
        self.assertEqual(self.probe(one.name, status=0), {})
        self.assertEqual(self.kind("mx")[0]["secure"], "yes")
        self.assertEqual(self.kind("mta-sts")[0]["mode"], "enforce")
        self.assertEqual(self.kind("tlsrpt")[0]["rua"], "mailto:tls@one.secure.test")
        self.assertEqual(self.kind("dane")[0]["result"], "usable")
        self.assertEqual([line["matches"] for line in self.kind("tlsa")], [True])
        self.assertEqual((self.kind("tls")[0]["version"], self.kind("tls")[0]["verified"]), ("TLSv1.3", "yes"))
        self.assertTrue(self.kind("versions")[0]["tls12"])
        self.assertNotIn(b"MAIL", one.hops[0].secret)
        days = self.kind("cert")[0]["days_left"]
        self.assertEqual(self.probe(one.name, "--days", str(days - 1), status=0), {})
        self.assertIn(("expires-soon", f"{one.mx}:25"), self.probe(one.name, "--days", str(days + 2), status=1))
        text = self.run_probe(one.name, status=0)
        self.assertIn("Nothing needs mending.", text)
        self.assertRegex(text, r"(?m)^mail servers +mx\.one\.secure\.test \(signed by DNSSEC\)$")

    def test_what_is_wrong_is_named(self):
        net = self.net = Internet(self)
        bare = net.domain("bare", net.plain)
        bare.host()
        dane = net.domain("dane")
        dane.host(net.certificate("self", dane.mx))
        dane.tlsa(net.certificate("right", "other.test")[0]).tlsa(net.certificate("right", "third.test")[0], usage=1)
        left = net.domain("left", net.plain)
        left.host(net.certificate("right", left.mx))
        left.sts("enforce", "*.elsewhere.test")
        moved = net.domain("moved", net.plain)
        moved.host(net.certificate("other-name", moved.mx))
        moved.sts("enforce", way=redirect("https://example.test/"))
        late = net.domain("late")
        late.host(net.certificate("expired", late.mx), tlsa=(3, 1, 1))
        old = net.domain("old", net.plain)
        old.host(net.certificate("unknown", old.mx)).context.maximum_version = ssl.TLSVersion.TLSv1_2
        gone = net.domain("gone", net.plain)
        gone.at(address())
        self.begin()
        for domain, expected in (
                (bare, {("broken", "no-starttls"), ("advice", "no-sts"), ("advice", "no-tlsrpt")}),
                (dane, {("broken", "dane-mismatch"), ("weak", "tlsa-unusable"), ("weak", "not-trusted")}),
                (left, {("broken", "sts-mx")}),
                (moved, {("broken", "sts-fetch"), ("weak", "name")}),
                (old, {("weak", "no-tls13"), ("weak", "not-trusted")}),
                (gone, {("broken", "unreachable")})):
            found = {(line["weight"], line["what"]) for line in self.probe(domain.name, status=1).values()}
            self.assertLessEqual(expected, found, domain.name)
            unexpected = {what for what in found if what[0] != "advice"} - expected
            self.assertEqual(unexpected, set(), domain.name)
        # The date plays no part for who proves it by DANE-EE(3).
        found = {(line["weight"], line["what"]) for line in self.probe(late.name, status=0).values()}
        self.assertIn(("advice", "expired"), found)
        self.assertIn("thing to mend", self.run_probe(left.name, status=1))

    def test_ports_and_modes(self):
        """TLS where clear text is due, and the reverse; a server by its name or address; nobody there."""
        net = self.net = Internet(self)
        one = net.domain("one", net.plain)
        files, at = net.certificate("right", one.mx), address()
        one.at(at)
        self.start(Implicit(at, *files, port=587, name="implicit-587"))
        self.start(NextHop(at, *files, port=465, name="clear-465"))
        self.start(NextHop(at, *files, port=25, name="clear-25"))
        self.start(ImplicitThatSpeaks(at, *files, port=10465, name="implicit-10465"))
        self.begin()
        found = self.probe(one.mx, status=1)
        self.assertEqual({key for key, line in found.items() if line["weight"] != "advice"},
                         {("mode-mismatch", f"{one.mx}:587"), ("mode-mismatch", f"{one.mx}:465")})
        self.assertEqual([(line["port"], line["mode"]) for line in self.kind("host")],
                         [(25, "starttls"), (465, "starttls"), (587, "implicit")])
        self.probe(f"{one.mx}:25", status=0)
        self.probe(f"{one.mx}:10465", status=0)
        self.assertEqual([line["mode"] for line in self.kind("host")], ["implicit"])
        self.assertIn(("name", f"{at}:25"), self.probe(f"{at}:25", status=1))
        self.assertIn(("unreachable", f"{one.mx}:2525"), self.probe(f"{one.mx}:2525", status=1))
        self.assertIn(("no-address", "nobody.plain.test"), self.probe("nobody.plain.test", status=1))
        with socket.create_server((address(), 25)) as silent:
            at = f"{silent.getsockname()[0]}:25"
            self.assertIn(("silent", at), self.probe(at, status=1))
        for wrong in ("", "a b", "mx.test:0", "mx.test:70000", "mx.test:", "[::1"):
            self.run_probe(wrong, status=2)
        self.run_probe(one.mx, "--days", "0", status=2)
        self.run_probe(one.mx, "--ca", "/nonexistent", status=78)

    def test_what_could_not_be_asked_is_not_said_to_be_none(self):
        net = self.net = Internet(self)
        one = net.domain("one")
        one.host(net.certificate("right", one.mx), tlsa=(3, 1, 1))
        net.secure.txt("_smtp._tls.one", "v=TLSRPTv1; rua=mailto:tls@one.secure.test")
        self.begin()
        middle = self.start(DnsMiddle(net.zones.port))
        for way in (dns_middle.servfail, dns_middle.drop):
            middle.on(f"_smtp._tls.{one.name}", "TXT", way)
            found = self.probe(one.name, "--resolve", middle.server, status=1)
            self.assertEqual(self.kind("tlsrpt")[0]["text"], "the record cannot be had")
            self.assertEqual(found["no-tlsrpt", one.name]["weight"], "weak")

    def test_a_machine_that_cannot_validate_does_not_blame_the_domain(self):
        net = self.net = Internet(self)
        one = net.domain("one")
        one.host(net.certificate("right", one.mx), tlsa=(3, 1, 1))
        self.begin()
        middle = self.start(DnsMiddle(net.zones.port))
        middle.on_all(dns_middle.strip)
        found = self.probe(one.name, "--resolve", middle.server, status=0)
        self.assertEqual(found["no-validation", one.name]["weight"], "advice")
        self.assertIn("That is not the domain's fault", found["no-validation", one.name]["text"])
        self.assertEqual(found.get(("mx-lookup", one.name)), None)
        self.assertEqual(self.kind("mx")[0]["hosts"], one.mx)
        self.assertEqual([weight["what"] for weight in found.values() if "mx" in weight["what"]], [])


if __name__ == "__main__":
    harness.main()
