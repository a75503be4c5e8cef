# SPDX-License-Identifier: ISC
"""`sealpost explain ADDRESS`: what would be done with a letter now, told by the servers' own answers, and nothing sent."""
import json
import socket
import subprocess

import harness
from harness import wait_until
from harness.internet import Internet
from harness.network import address, own_network
from harness.next_hop import closes_after_220

EXPLAIN_MAX = 8  # src/role/spool/spool.h


def setUpModule():
    own_network()


class Explain(harness.Scenario):
    def ask(self, to, *options, status):
        text = self.net.server.command("explain", to, "--json", *options, status=status)
        return [json.loads(line) for line in text.splitlines()]

    def answer(self, to, *options, status):
        lines = self.ask(to, *options, status=status)
        self.assertEqual(lines[-1]["kind"], "answer")
        way = next((line["way"] for line in lines if "way" in line), None)
        return {**lines[-1], "kinds": [line["kind"] for line in lines], "way": way, "lines": lines}

    def test_by_mx(self):
        net = self.net = Internet(self)
        good, bad = net.domain("good"), net.domain("bad")
        for domain in (good, bad):
            files = net.certificate("right", domain.mx)
            domain.host(files, tlsa=(3, 1, 1) if domain is good else None)
        bad.tlsa(net.certificate("self", "mx.other.test")[0])
        broken = net.domain("broken", net.plain)
        broken.host(net.certificate("right", broken.mx), starttls=closes_after_220)
        net.start()
        told = self.answer(f"sam@{good.name}", status=0)
        self.assertEqual((told["result"], told["host"], told["way"], told["level"]), ("yes", good.mx, "mx", "dane"))
        self.assertLessEqual({"route", "mx", "dane", "tlsa", "policy", "host", "tls", "cert"}, set(told["kinds"]))
        self.assertEqual(next(line for line in told["lines"] if line["kind"] == "mx")["secure"], "yes")
        text = net.server.command("explain", f"sam@{good.name}")
        self.assertRegex(text, r"(?m)^policy +dane won .*RFC 7672")
        self.assertRegex(text, r"(?m)^now +a letter would be handed over: .*; level dane$")

        told = self.answer(f"sam@{bad.name}", status=1)
        self.assertEqual((told["result"], told["host"]), ("later", bad.mx))
        self.assertIn("TLSA", told["text"])
        self.assertRegex(net.server.command("explain", f"sam@{bad.name}", status=1), r"(?m)^now +a letter would wait: ")

        told = self.answer(f"sam@{broken.name}", status=1)
        self.assertEqual(told["result"], "later")
        told = self.answer("sam@nowhere.secure.test", status=1)
        self.assertEqual(told["result"], "no")

        for domain in (good, bad, broken):
            self.assertEqual(domain.letters, [])
            for hop in domain.hops:
                self.assertNotIn(b"MAIL", hop.clear + hop.secret)
        self.assertEqual(net.server.queue_list(), [])

    def test_who_stands_behind_an_address_here(self):
        self.net = net = Internet(self)
        net.start(route='to @refused.test refuse "Not there"\n    otherwise direct')
        net.server.aliases.write_text("team: jada, sam@refused.test\ninfo: jada\naway: sam@refused.test\n")
        net.server.command("reload")
        box = net.server.mail / "example.test/jada"
        text = net.server.command("explain", "jada@example.test")
        self.assertRegex(text, r"(?m)^recipient +jada@example.test is a mailbox here$")
        self.assertRegex(text, rf"(?m)^route +into the Maildir {box}$")
        text = net.server.command("explain", "info@example.test")
        self.assertRegex(text, r"(?m)^recipient +info@example.test is expanded$")
        self.assertRegex(text, rf"(?m)^  to +jada@example.test: into the Maildir {box}$")
        text = net.server.command("explain", "team@example.test", status=1)
        self.assertRegex(text, r"(?m)^recipient +team@example.test is expanded, to 2 addresses$")
        self.assertRegex(text, r"(?m)^  to +sam@refused.test: refused: Not there$")
        self.assertEqual(self.answer("away@example.test", status=1)["result"], "no")
        told = self.answer("nobody@example.test", status=1)
        self.assertEqual((told["result"], told["code"], told["status"]), ("no", 550, "5.1.1"))
        self.assertRegex(net.server.command("explain", "nobody@example.test", status=1),
                         r"(?m)^recipient +nobody@example.test is unknown here$")

    def test_other_ways(self):
        """And a server that never answers: whoever asks goes away, no job stays behind, and stopping takes no time."""
        self.net = net = Internet(self)
        silent = net.domain("silent")
        never = socket.create_server((address(), 25))
        self.addCleanup(never.close)
        silent.at(never.getsockname()[0])
        net.start(route='to @refused.test refuse "Not there"\n    to @held.test hold\n'
                        "    sender news@example.test hold\n    otherwise direct")
        for to, status, way, result in (("sam@example.test", 0, "maildir", "yes"), ("sam@held.test", 1, "hold", "later"),
                                        ("sam@refused.test", 1, "refuse", "no"), ("sam@@no", 1, None, "no")):
            told = self.answer(to, status=status)
            self.assertEqual((told["way"], told["result"]), (way, result), to)
        self.assertEqual(self.answer(f"sam@{silent.name}", "--from", "news@example.test", status=1)["way"], "hold")
        asking = [subprocess.Popen([net.server.program, "explain", "-c", net.server.conf, f"sam@{silent.name}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(EXPLAIN_MAX)]
        try:
            told = wait_until(lambda: self.answer(f"sam@{silent.name}", status=1) if len(net.server.lines("control")) > EXPLAIN_MAX + 4
                              else None, "all of them asking")
            self.assertIn("as many addresses", told["text"])
        finally:
            for process in asking:
                process.kill()
                process.wait()
        net.server.stop()  # with status 0


if __name__ == "__main__":
    harness.main()
