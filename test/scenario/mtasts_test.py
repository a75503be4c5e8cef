# SPDX-License-Identifier: ISC
"""MTA-STS policies of other domains: found by a real DNS, fetched from a real HTTPS server, kept over a restart."""
import http.server
import ssl
import threading
import time
import unittest

import harness
from harness import Authority, dns_middle
from harness.alone import ResolverAlone
from harness.internet import Internet
from harness.network import address, own_network
from harness.policy_host import (PolicyHost, dribble, endless, half, huge, packed, policy, redirect, right, silent, slow, status,
                                 web_page)
from harness.zone import Zones

BODY_MAX, HEAD_MAX = 64 << 10, 16 << 10


def setUpModule():
    own_network()


class ReportTaker(http.server.BaseHTTPRequestHandler):
    """Takes what is posted to /reports, refuses the rest."""
    taken = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, self.headers["Content-Type"], self.headers["Host"], body))
        self.send_response(201 if self.path.startswith("/reports") else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Mtasts(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder, "Known CA")
        self.zones = Zones(self.folder)
        self.zone = self.zones.zone("plain.test", secure=False)
        self.at = address()
        self.host = PolicyHost(self.at, self.authority)

    def domain(self, label, way=right, body=None, certificate=None, identity="1", at=None):
        name = f"{label}.plain.test"
        if identity:
            self.zone.txt(f"_mta-sts.{label}", f"v=STSv1; id={identity};")
        self.zone.a(f"mta-sts.{label}", at or self.at)
        self.host.serve(name, body or policy("enforce", f"mx.{name}", f"*.{name}"), way, certificate)
        return name

    def begin(self, settings="", program=None):
        self.settings, self.program = settings, program
        self.start(self.zones)
        self.start(self.host)
        self.resolver = self.alone()

    def alone(self, kept=None):
        ca = self.authority.cert
        config = (f"resolver {{\n    server {self.zones.server}\n    trust-anchor {self.zones.anchor}\n"
                  f"    ca {ca}\n    {self.settings}\n}}\n")
        return self.start(ResolverAlone(self.folder, config, {str(path): path for path in (self.zones.anchor, ca)}, kept,
                                        self.program))

    def again(self):
        """The resolver starts anew, and is told what it has given to be kept."""
        self.resolver.stop()
        self.resolver = self.alone(self.resolver.kept)

    def nsd_again(self):
        """A name server with what the zone is now; the resolver asks that one, and has no cache of the DNS."""
        fresh = Zones(self.folder, name=f"zones-{len(self.started)}")
        fresh.zone("plain.test", secure=False).lines = self.zone.lines
        self.zones.stop()
        self.zones, self.zone = self.start(fresh), fresh.zones["plain.test"]
        self.again()

    def test_every_way_of_a_policy_host(self):
        """One resolver, all at once: what is right comes at once, whatever the others do."""
        unknown = Authority(self.folder, "Unknown CA")
        head = policy("enforce", "mx.full.plain.test")
        ways = {
            "good": ({}, None), "slow": ({"way": slow(2)}, None),
            "full": ({"way": lambda peer, body, over: peer.sendall(self.padded(head, BODY_MAX))}, None),
            "head": ({"way": lambda peer, body, over: peer.sendall(self.long_head(body, HEAD_MAX))}, None),
            "head-over": ({"way": lambda peer, body, over: peer.sendall(self.long_head(body, HEAD_MAX + 1))}, "policy-invalid"),
            "testing": ({"body": policy("testing", "mx.testing.plain.test", end="\n")}, None),
            "nobody": ({"body": policy("none", max_age=60)}, None),
            "over": ({"way": lambda peer, body, over: peer.sendall(self.padded(head, BODY_MAX + 1))}, "policy-invalid"),
            "huge": ({"way": huge(1 << 20)}, "policy-invalid"), "endless": ({"way": endless}, "policy-invalid"),
            "packed": ({"way": packed}, "policy-invalid"), "page": ({"way": web_page}, "policy-invalid"),
            "moved": ({"way": redirect("https://mta-sts.good.plain.test/.well-known/mta-sts.txt")}, "fetch-error"),
            "missing": ({"way": status("404 Not Found")}, "fetch-error"),
            "broken": ({"way": status("500 Oh No")}, "fetch-error"), "half": ({"way": half}, "fetch-error"),
            "other": ({"certificate": self.authority.issue("www.other.plain.test", file="other")}, "webpki-invalid"),
            "unknown": ({"certificate": unknown.issue("mta-sts.unknown.plain.test")}, "webpki-invalid"),
            "expired": ({"certificate": self.authority.issue("mta-sts.expired.plain.test", start="20200101000000Z",
                                                             end="20200201000000Z")}, "webpki-invalid"),
            "inside": ({"at": "127.0.0.1"}, "fetch-error"), "private": ({"at": "10.1.2.3"}, "fetch-error"),
            "nonsense": ({"body": b"mode: enforce\r\nmx: a.test\r\nmax_age: 1\r\n"}, "policy-invalid"),
        }
        for label, (how, _) in ways.items():
            self.domain(label, **how)
        for label in ("silent", "dribble"):
            self.domain(label, way={"silent": silent, "dribble": dribble}[label])
        self.zone.txt("_mta-sts.two", "v=STSv1; id=1;").txt("_mta-sts.two", "v=STSv1; id=2;")
        self.zone.txt("_mta-sts.odd", "v=STSv1; id=;")
        self.begin()
        never = [self.resolver.ask(f"{label}.plain.test") for label in ("silent", "dribble")]
        asked = {label: self.resolver.ask(f"{label}.plain.test") for label in (*ways, "two", "odd", "none")}
        for label, number in asked.items():
            with self.subTest(label):
                answer = self.resolver.answer(number, 30)
                trouble = ways[label][1] if label in ways else None
                if label in ("two", "odd", "none"):
                    self.assertEqual((answer.state, answer.trouble), ("none", "fine"))
                    self.assertEqual("RFC 8461" in answer.text, label != "none")
                elif trouble:
                    self.assertEqual((answer.state, answer.trouble), ("trouble", trouble), answer)
                    self.assertNotEqual(answer.text, "")
                else:
                    mode = {"testing": "testing", "nobody": "none"}.get(label, "enforce")
                    self.assertEqual((answer.state, answer.mode, answer.id, answer.cached, answer.trouble),
                                     ("policy", mode, "1", False, "fine"), answer)
        self.assertEqual(self.host.times("inside.plain.test"), 0)
        self.assertEqual(self.host.times("good.plain.test"), 1)  # also by nobody's redirect
        # A second question costs no fetch, and a failure is not tried again at once.
        for label in ("good", "missing"):
            again = self.resolver.policy(f"{label}.plain.test")
            self.assertEqual(self.host.times(f"{label}.plain.test"), 1)
        self.assertEqual((again.state, again.trouble), ("trouble", "fetch-error"))
        self.assertEqual(len(never), 2)  # nobody has waited for these

    @staticmethod
    def long_head(body, size):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {len(body)}\r\n".encode()
        while len(head) < size - 2:
            line = min(1000, size - 2 - len(head))
            line -= 5 if 0 < size - 2 - len(head) - line < 5 else 0
            head += b"x: " + b"y" * (line - 5) + b"\r\n"
        assert len(head) == size - 2
        return head + b"\r\n" + body

    @staticmethod
    def padded(body, size):
        body += b"x: " + b"y" * (size - len(body) - 5) + b"\r\n"
        assert len(body) == size
        return (f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def test_kept_over_a_restart_whatever_happens(self):
        name = self.domain("there")
        self.begin()
        first = self.resolver.policy(name)
        self.assertEqual((first.mode, first.mx, first.max_age), ("enforce", [f"mx.{name}", f"*.{name}"], 86400))
        self.again()
        second = self.resolver.policy(name)
        self.assertEqual((second.state, second.cached, second.mx, second.expires), ("policy", True, first.mx, first.expires))
        self.assertEqual(self.host.times(name), 1)
        # Another id, and a policy host that fails: the policy stays, with the trouble beside it.
        self.zone.lines = [line.replace("id=1", "id=2") for line in self.zone.lines]
        self.host.change(name, way=status("503 Later"))
        self.nsd_again()
        third = self.resolver.policy(name)
        self.assertEqual((third.state, third.mode, third.id, third.trouble), ("policy", "enforce", "1", "fetch-error"))
        self.assertEqual(self.host.times(name), 2)
        self.assertIn("mta-sts-trouble", self.resolver.log())
        # No record at all, and no policy host: it stays.
        self.zone.lines = [line for line in self.zone.lines if "mta-sts" not in line]
        self.nsd_again()
        fourth = self.resolver.policy(name)
        self.assertEqual((fourth.state, fourth.mode, fourth.cached), ("policy", "enforce", True))
        # A new id and a host that answers: the new policy.
        self.zone.txt("_mta-sts.there", "v=STSv1; id=3;").a("mta-sts.there", self.at)
        self.host.change(name, body=policy("testing", "new.there.plain.test"), way=right)
        self.nsd_again()
        fifth = self.resolver.policy(name)
        self.assertEqual((fifth.mode, fifth.id, fifth.mx, fifth.cached), ("testing", "3", ["new.there.plain.test"], False))

    def test_expired_over_the_restart(self):
        name = self.domain("short", body=policy("enforce", "mx.short.plain.test", max_age=1))
        self.begin()
        first = self.resolver.policy(name)
        self.assertEqual(first.state, "policy")
        self.host.change(name, way=status("404 Not Found"))
        harness.wait_until(lambda: time.time() > first.expires + 1, "the end of the policy")
        self.again()
        self.assertEqual(self.resolver.policy(name).state, "trouble")

    def test_loopback_is_gone_to_only_if_the_configuration_says_so(self):
        self.at = "127.0.0.1"
        self.host = PolicyHost(self.at, self.authority)
        name = self.domain("inside")
        self.begin(settings="allow-private yes")
        self.assertEqual(self.resolver.policy(name).state, "policy")

    def test_who_wants_reports(self):
        self.zone.txt("_smtp._tls.yes", "v=TLSRPTv1; rua=mailto:tls@yes.plain.test,https://in.yes.plain.test/tls?a=1;")
        self.zone.txt("_smtp._tls.yes", "some other text")
        self.zone.txt("_smtp._tls.two", "v=TLSRPTv1; rua=mailto:a@b").txt("_smtp._tls.two", "v=TLSRPTv1; rua=mailto:c@d")
        self.zone.txt("_smtp._tls.odd", "v=TLSRPTv1; rua=")
        self.zone.txt("_smtp._tls.ftp", "v=TLSRPTv1; rua=ftp://ftp.plain.test/")
        self.begin()
        self.assertEqual(self.resolver.report_wish("yes.plain.test"),
                         ("wanted", "mailto:tls@yes.plain.test https://in.yes.plain.test/tls?a=1"))
        for name in ("two", "odd", "ftp", "none"):
            with self.subTest(name):
                self.assertEqual(self.resolver.report_wish(f"{name}.plain.test"), ("unwanted", ""))
        self.assertEqual(self.resolver.report_wish("no name"), ("unwanted", ""))
        self.zones.stop()
        self.assertEqual(self.resolver.report_wish("later.plain.test"), ("unknown", ""))

    def test_reports_are_posted(self):
        self.zone.a("reports", address())
        at = self.zone.lines[-1].split()[-1]
        server = http.server.ThreadingHTTPServer((at, 443), ReportTaker)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue("reports.plain.test"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.begin()
        body = bytes(range(256)) * 100
        self.assertEqual(self.resolver.report("https://reports.plain.test/reports/x?y=1", body)[0], 1)
        self.assertEqual(ReportTaker.taken, [("/reports/x?y=1", "application/tlsrpt+gzip", "reports.plain.test", body)])
        for url in ("https://reports.plain.test/elsewhere", "http://reports.plain.test/reports", f"https://{at}/reports",
                    "https://nobody.plain.test/reports", "https://user@reports.plain.test/reports", "mailto:a@b.test"):
            with self.subTest(url):
                ok, text = self.resolver.report(url, b"")
                self.assertEqual(ok, 0)
                self.assertNotEqual(text, "")
        self.assertEqual(len(ReportTaker.taken), 2)  # the one that was refused arrived, and no other


class Whole(harness.Scenario):
    def test_the_whole_server_keeps_a_policy_over_its_restart(self):
        """The first letter makes it known. After the restart the policy host is gone and the only MX is one that the policy does not
        allow: the letter waits, although nobody could tell the server any more that there is a policy."""
        net = Internet(self)
        where = address()
        net.policies = PolicyHost(where, net.authority)
        net.policies.address = where
        one = net.domain("one", net.plain)
        one.host(net.certificate("right", one.mx))
        one.sts("enforce", one.mx, f"*.allowed.{one.name}")
        net.plain.a("evil", one.hops[0].address)
        server = net.start()
        self.assertEqual(net.outcome(net.send(one)[0])[0], "delivered")
        server.wait_for_line("mta-sts", one.name, "enforce")
        server.stop()
        net.policies.change(one.name, way=status("404 Not Found"))
        one.hops[0].letters.clear()
        server.process = None
        net.middle.on(f"_mta-sts.{one.name}", "TXT", dns_middle.deny)
        net.middle.on(one.name, "MX", dns_middle.forge(("MX", b"\0\1\4evil\5plain\4test\0")))
        server.start()
        self.assertEqual(net.policies.times(one.name), 1)
        net.send(one)
        self.assertEqual(self.fate(server, one), "deferred")
        self.assertEqual(one.hops[0].letters, [])

    @staticmethod
    def fate(server, domain):
        return harness.wait_until(lambda: next((line.split()[3] for line in reversed(server.log().splitlines())
                                                if f"to=sam@{domain.name} " in line + " " and
                                                (" deferred " in line or " bounced " in line)), None), "the second letter's fate")


if __name__ == "__main__":
    unittest.main(verbosity=2)
