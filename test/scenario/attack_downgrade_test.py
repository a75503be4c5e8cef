# SPDX-License-Identifier: ISC
"""Somebody on the way to the mail server, or to the name server, takes protection away: the letter waits, and nobody reads it."""
import ssl

import harness
from harness import dns_middle, next_hop
from harness.internet import Internet
from harness.network import own_network

SECRET = "the secret of the letter"


def setUpModule():
    own_network()


def stripped(host, files):
    """No STARTTLS in the answer to EHLO."""
    return host(files, offer=False)


def too_old(host, files):
    return host(files, at_most=ssl.TLSVersion.TLSv1)


def somebody_else(host, files):
    """Has another key; its certificate names the host, but no authority that we know."""
    return host(host.__self__.net.certificate("unknown", host.__self__.mx))


def scripted(way):
    return lambda host, files: host(files, starttls=way)


# What is done, and a word that tells it to the sender.
ATTACKS = {
    "stripped": (stripped, "STARTTLS"),
    "454": (scripted(next_hop.refuses()), "STARTTLS"),
    "502": (scripted(next_hop.refuses(b"502 5.5.1 unknown command\r\n")), "STARTTLS"),
    "closed": (scripted(next_hop.closes), "connection was lost"),
    "closed-at-220": (scripted(next_hop.closes_after_220), "connection was lost"),
    "reset": (scripted(next_hop.resets_in_hello), "connection was lost"),
    "half-hello": (scripted(next_hop.closes_in_handshake), "connection was lost"),
    "garbage": (scripted(next_hop.garbage), "handshake"),
    "injected": (scripted(next_hop.injects()), "tampering"),
    "injected-mail": (scripted(next_hop.injects(b"250 ok\r\n" * 5 + b"354 go\r\n250 taken\r\n")), "tampering"),
    "old": (too_old, "handshake"),
    "other-key": (somebody_else, "certificate"),
}

NAME_ATTACKS = {
    "servfail": dns_middle.servfail,
    "refused": dns_middle.refuse,
    "denied": dns_middle.deny,
    "emptied": dns_middle.empty,
    "stripped-proof": dns_middle.strip,
    "tampered": dns_middle.tamper,
    "forged": dns_middle.forge(("TLSA", bytes([3, 1, 1]) + b"\3" * 32)),
    "tcp-reset": dns_middle.reset,
    "nonsense": dns_middle.garbage,
}


class Downgrade(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.net = Internet(self)

    def dane(self, domain, host, files):
        domain.tlsa(files[0], 3, 1, 1)

    def sts(self, domain, host, files):
        domain.sts("enforce")

    def both(self, domain, host, files):
        self.dane(domain, host, files)
        self.sts(domain, host, files)

    def domains_for(self, policy, name):
        """One domain for each attack on the connection."""
        made = {}
        for attack, (build, _) in ATTACKS.items():
            domain = made[attack] = self.net.domain(f"{name}-{attack}")
            files = self.net.certificate("right", domain.mx)
            policy(domain, build(domain.host, files), files)
        return made

    def waits(self, to, word):
        event, lines = self.net.outcome(to)
        self.assertEqual(event, "deferred", lines)
        self.assertIn(word, lines)
        return lines

    def listed(self, words):
        """`sealpost queue list` says it, too. words: {address: word}."""
        rows = {row["recipient"]: row["last_reply"] for row in self.net.server.queue_list()}
        for to, word in words.items():
            self.assertIn(word, rows.get(to, "(not in the list)"), to)

    def unread(self, domain):
        for hop in domain.hops:
            self.assertEqual(hop.letters, [], hop.name)
            for part in (SECRET.encode(), f"@{domain.name}".encode(), b"jada@example.test"):
                self.assertNotIn(part, hop.clear, hop.name)
                self.assertNotIn(part, hop.secret, hop.name)

    def test_attack_7_on_the_way_to_the_mail_server(self):
        """Whatever is done to the connection, a domain that has published a policy gets its mail by it or not at all."""
        cases = [(policy, name, attack, domain) for policy, name in ((self.dane, "dane"), (self.sts, "sts"), (self.both, "both"))
                 for attack, domain in self.domains_for(policy, name).items()]
        well = self.net.domain("well")
        files = self.net.certificate("right", well.mx)
        well.host(files, tlsa=(3, 1, 1))
        well.sts("enforce")
        open_to_all = self.net.domain("open")
        open_to_all.host()
        server = self.net.start()
        addresses = self.net.send(*(domain for *_, domain in cases), secret=SECRET)
        for (_, name, attack, domain), to in zip(cases, addresses):
            with self.subTest(f"{name}: {attack}"):
                self.waits(to, ATTACKS[attack][1])
                self.unread(domain)
        self.listed({to: ATTACKS[attack][1] for (*_, attack, _), to in zip(cases, addresses)})
        for (_, name, attack, domain), to in zip(cases, addresses):
            if name != "both":
                with self.subTest(f"{name}: {attack}, why"):
                    told = self.net.why(to)
                    for word in (ATTACKS[attack][1], domain.mx, {"dane": "RFC 7672", "sts": "RFC 8461"}[name]):
                        self.assertIn(word, told)
        server.queue("retry")  # and again, since there are attacks that only the first attempt withstands
        for (_, name, attack, domain), to in zip(cases, addresses):
            with self.subTest(f"{name}: {attack}, again"):
                server.wait_for_line("deferred", f" to={to} ", count=2)
                self.unread(domain)
        to, other = self.net.send(well, open_to_all)
        self.assertEqual(self.net.outcome(to)[0], "delivered")
        self.assertEqual(well.letters[0].version, "TLSv1.3")
        self.assertEqual(self.net.outcome(other)[0], "delivered")  # nothing is published: clear text, and the log says so
        server.wait_for_line("downgrade", open_to_all.name)
        self.assertEqual(server.lines("role-died"), [])

    def test_attack_36_on_the_way_to_the_name_server(self):
        """Whoever takes the TLSA answer away holds up that host's mail, and gets nothing; another host of the domain is used."""
        cases = {}
        for attack in (*NAME_ATTACKS, "dropped"):
            alone, two = self.net.domain(f"one-{attack}"), self.net.domain(f"two-{attack}")
            for domain in (alone, two):
                files = self.net.certificate("right", domain.mx)
                domain.host(files, tlsa=(3, 1, 1))
            label = f"second.{two.name}"
            two.host(self.net.certificate("self", label), label="second", preference=20, tlsa=None)
            two.tlsa(two.hops[1].files[0], label="second")
            cases[attack] = (alone, two)
        others = [self.net.domain(f"other-{n}") for n in range(5)]
        for domain in others:
            domain.host(self.net.certificate("self", domain.mx), tlsa=None)
            domain.tlsa(domain.hops[0].files[0])
        server = self.net.start()
        for attack, pair in cases.items():
            for domain in pair:
                self.net.middle.on(f"_25._tcp.{domain.mx}", "TLSA", NAME_ATTACKS.get(attack, dns_middle.drop))
        addresses = {attack: self.net.send(*pair, secret=SECRET) for attack, pair in cases.items()}
        for to in self.net.send(*others):
            self.assertEqual(self.net.outcome(to)[0], "delivered")
        for attack, (alone, two) in cases.items():
            with self.subTest(attack):
                self.waits(addresses[attack][0], "TLSA")
                self.assertIn("RFC 7672 2.1.1", self.net.why(addresses[attack][0]))
                self.unread(alone)
                event, lines = self.net.outcome(addresses[attack][1])
                self.assertEqual(event, "delivered", lines)
                self.assertEqual([len(hop.letters) for hop in two.hops], [0, 1])
        self.listed({pair[0]: "TLSA" for pair in addresses.values()})
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
