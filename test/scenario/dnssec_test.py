# SPDX-License-Identifier: ISC
"""DNSSEC that is withheld, by a network that strips it or by somebody in the way, as against one zone that is bogus: a real validator,
real signed zones, and the resolver's clocks in the test's hand."""
import os
import pathlib
import signal
import tempfile

import harness
from harness import dns_middle, wait_until
from harness.clock import Clocks
from harness.internet import Internet
from harness.network import own_file, own_network
from harness.server import binary

ROOT_KEY = "/usr/share/dns/root.key"
HALF_AN_HOUR_S, A_MINUTE_S = 1800, 61   # role/resolver/upstream.h
ANCHOR = None                           # stands for the system's root key, which no test has the other half of
SECRET = "the secret of the letter"


def setUpModule():
    global ANCHOR
    own_network()
    handle, name = tempfile.mkstemp(prefix="sealpost-anchor-")
    os.close(handle)
    ANCHOR = pathlib.Path(name)
    ANCHOR.chmod(0o644)
    own_file(ROOT_KEY, ANCHOR)


def tearDownModule():
    ANCHOR.unlink()


def strips(middle):
    """A forwarder that knows no DNSSEC: no signatures, no keys, no proofs."""
    middle.on_all(dns_middle.strip)


class Dnssec(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.net = Internet(self)

    def domain(self, label, dane="right", zone=None):
        """With a right certificate, and TLSA records that are right, wrong, or none."""
        made = self.net.domain(label, zone)
        files = self.net.certificate("right", made.mx)
        made.host(files)
        if dane == "right":
            made.tlsa(files[0])
        elif dane:
            made.tlsa(data=b"\0" * 32)
        return made

    def begin(self, way=lambda middle: None, **parts):
        self.net.start_others()
        ANCHOR.write_text(self.net.zones.anchor.read_text())
        self.middle = self.net.middle
        way(self.middle)
        self.clocks = Clocks(self.folder, binary(), role="resolver")
        self.server = self.net.start(anchor=False, program=self.clocks.program, queue="retry 1s", **parts)
        return self.server

    def forward(self, seconds):
        """Time passes for the resolver, which hears of it."""
        self.clocks.forward(seconds)
        self.server.command("status")

    def states(self):
        """What was said of DNSSEC, from the first word on."""
        return [next(word for word in line.split() if word.startswith("state=")).removeprefix("state=")
                for line in self.server.log().splitlines() if " dnssec " in line or " dnssec-off " in line]

    def wait_for_state(self, *states):
        wait_until(lambda: self.states() == list(states), f"{states}, not {self.states()}")

    def is_delivered(self, to, level, count=1):
        self.server.wait_for_line("delivered", f" to={to} ", count=count)
        done = [line for line in self.server.lines("attempt") if f" to={to} " in line and " outcome=done " in line]
        self.assertIn(f" level={level} ", done[-1])

    def waits(self, to, *words, delivered=0):
        """delivered: so many letters before."""
        lines = wait_until(lambda: [line for line in self.server.lines("deferred") if f" to={to} " in line
                                    and all(word in line for word in words)], f"{to} to wait for {words}")
        self.assertEqual(len([line for line in self.server.lines("delivered") if f" to={to} " in line]), delivered)
        return lines

    def test_attack_36_a_forwarder_that_strips_from_the_start(self):
        """Said once and loudly; mail goes on by the rules that remain; and it comes back by itself."""
        wrong, right, open_to_all = self.domain("wrong", "wrong"), self.domain("right"), self.domain("open", None)
        server = self.begin(strips)
        server.wait_for_line("dnssec-off", "cannot-validate", "DANE is inactive")
        for to in self.net.send(wrong, right, open_to_all):
            self.is_delivered(to, "verify")  # a known authority stands behind the certificate, and nobody asked
        for _ in range(3):
            asked = self.middle.times("test", "TXT")
            self.forward(A_MINUTE_S)
            # With and without an anchor; a jump in between would take the answer's time away.
            wait_until(lambda asked=asked: self.middle.times("test", "TXT") >= asked + 2, "another self-test")
            server.command("status")
        told = server.command("status")
        self.assertIn("cannot-validate", told)
        self.assertIn("inactive", told)
        self.wait_for_state("cannot-validate")
        self.assertIn("DNSSEC cannot be validated here", self.net.why(f"sam@{right.name}"))
        # The forwarder is mended: what was published counts again.
        self.middle.on_all(None)
        self.forward(2 * A_MINUTE_S)
        self.wait_for_state("cannot-validate", "validates")
        self.assertIn("\"dane\":\"active\"", server.command("status", "--json"))
        stays, goes = self.net.send(wrong, right)
        self.is_delivered(goes, "dane", count=2)
        server.wait_for_line("deferred", f" to={stays} ", "TLSA")
        self.assertEqual(len(wrong.letters), 1)

    def test_attack_36_signatures_that_are_lost_while_it_runs(self):
        """Half an hour of waiting, over a restart too; then mail goes on, but for a domain that is known to have DANE."""
        known, fresh, later = self.domain("known"), self.domain("fresh", "wrong"), self.domain("later", "wrong")
        server = self.begin()
        self.wait_for_state("validates")
        to, = self.net.send(known, secret=SECRET)
        self.is_delivered(to, "dane")
        strips(self.middle)
        self.forward(A_MINUTE_S)
        first, = self.net.send(fresh)
        self.waits(first, "DNSSEC")
        self.wait_for_state("validates", "lost")
        # A new resolver does not begin from nothing.
        server.roles_may_die = True
        os.kill(server.roles()["resolver"], signal.SIGKILL)
        self.wait_for_state("validates", "lost", "lost")
        second, = self.net.send(later)
        self.waits(second, "DNSSEC")
        self.forward(HALF_AN_HOUR_S)
        self.wait_for_state("validates", "lost", "lost", "cannot-validate")
        self.is_delivered(first, "verify")
        self.is_delivered(second, "verify")
        again, = self.net.send(known, secret=SECRET)
        self.waits(again, "has had DANE", "validated", delivered=1)
        told = self.net.why(again)
        self.assertIn("RFC 7672 2.1.1", told)
        # Nor after another restart, with all that time gone by.
        os.kill(server.roles()["resolver"], signal.SIGKILL)
        self.wait_for_state("validates", "lost", "lost", "cannot-validate", "cannot-validate")
        before = len(server.lines("deferred"))
        server.queue("retry")
        wait_until(lambda: len(server.lines("deferred")) > before, "another attempt")
        self.assertEqual(len(known.letters), 1)
        # It is over.
        self.middle.on_all(None)
        self.forward(2 * A_MINUTE_S)
        self.wait_for_state("validates", "lost", "lost", "cannot-validate", "cannot-validate", "validates")
        self.is_delivered(again, "dane", count=2)

    def test_attack_36_one_zone_that_is_bogus(self):
        """Its mail waits, and so does that of a zone whose keys nobody sends; all other mail flows, by DANE."""
        good = [self.domain(f"good{n}") for n in range(3)]
        bogus = self.domain("there", None, self.net.bogus)
        keyless = self.domain("there", None, self.net.zones.zone("keyless.test"))
        server = self.begin(lambda middle: middle.on("keyless.test", "DNSKEY", dns_middle.servfail))
        self.wait_for_state("validates")
        self.forward(A_MINUTE_S)
        first, *others = self.net.send(good[0], bogus, keyless)
        self.is_delivered(first, "dane")
        self.waits(others[0], "DNSSEC")
        self.assertNotIn("bogus", self.waits(others[1], "DNSSEC keys")[0])
        for domain in good[1:]:
            asked = self.middle.times("test", "TXT")
            self.forward(A_MINUTE_S)  # the next bogus answer raises a doubt
            wait_until(lambda asked=asked: self.middle.times("test", "TXT") > asked, "the self-test")
            to, = self.net.send(domain)
            self.is_delivered(to, "dane")
        self.assertIn("\"dane\":\"active\"", server.command("status", "--json"))
        self.wait_for_state("validates")
        for domain in (bogus, keyless):
            self.assertEqual(domain.letters, [])

    def test_attack_37_a_record_that_is_bogus_or_withheld(self):
        """Whether there is a policy is not known: the letter waits, unless DANE proves the host, or a policy is cached."""
        ways = {"bogus": dns_middle.tamper, "denied": dns_middle.deny, "stripped": dns_middle.strip, "silent": dns_middle.servfail}
        domains = {way: self.domain(way, None).sts("testing") for way in ways}
        cached, dane = self.domain("cached", None).sts("enforce", "other.test"), self.domain("dane").sts("enforce", "other.test")
        plain = self.domain("plain", None, self.net.plain)

        def attack(middle):
            for way, domain in domains.items():
                middle.on(f"_mta-sts.{domain.name}", "TXT", ways[way])
            middle.on(f"_mta-sts.{plain.name}", "TXT", dns_middle.servfail)
            middle.on(f"_mta-sts.{dane.name}", "TXT", dns_middle.deny)
        server = self.begin(attack)
        self.wait_for_state("validates")
        to = dict(zip(domains, self.net.send(*domains.values(), secret=SECRET)))
        for way in ways:
            with self.subTest(way):
                self.waits(to[way], "MTA-STS policy could not be found out")
                told = self.net.why(to[way])
                self.assertIn("could not be looked up" if way == "silent" else "does not validate", told)
                self.assertEqual(domains[way].letters, [])
        through, proven = self.net.send(plain, dane)
        self.is_delivered(through, "verify")
        self.is_delivered(proven, "dane")
        # What is cached stays, whatever the record says now: the policy names another host, so the letter waits for that.
        held, = self.net.send(cached)
        self.waits(held, "does not name this host")
        self.middle.on(f"_mta-sts.{cached.name}", "TXT", dns_middle.deny)
        self.forward(A_MINUTE_S)
        asked = self.middle.times(f"_mta-sts.{cached.name}", "TXT")
        before = len(self.waits(held))
        server.queue("retry")
        wait_until(lambda: self.middle.times(f"_mta-sts.{cached.name}", "TXT") > asked and len(self.waits(held)) > before, "a look")
        self.assertIn("does not name this host", self.waits(held)[-1])
        # And those that are mended go.
        for domain in domains.values():
            self.middle.on(f"_mta-sts.{domain.name}", "TXT", None)
        self.forward(A_MINUTE_S)
        for way in ways:
            self.is_delivered(to[way], "verify")


if __name__ == "__main__":
    harness.main()
