# SPDX-License-Identifier: ISC
"""What `sealpost why` can tell of a letter, while it waits and after it has left."""
import json
import re
import shutil

import harness
from harness import Authority, Sealpost, letter, next_hop, wait_until
from harness.acted import Relay, Sink
from harness.internet import Internet
from harness.message import unique_id
from harness.network import own_network
from harness.ports import free_port
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
SECRET = "the-text-of-the-letter"


def setUpModule():
    own_network()


def post(server, to, sender="jada@example.test", notify=""):
    """One letter; gives its id."""
    with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
        client.expect(f"MAIL FROM:<{sender}>", 250)
        for one in [to] if isinstance(to, str) else to:
            client.expect(f"RCPT TO:<{one}>{notify}", 250)
        code, text = client.data(letter(to="somebody", subject=unique_id(), body=f"{SECRET}\n").as_bytes())
        assert code == 250, text
        return re.search(r"\b[0-9a-z]{15}\b", text)[0]


def rows(server, what, status=0):
    return [json.loads(line) for line in server.command("why", what, "--json", status=status).splitlines()]


def events(server, what, recipient=None):
    return [row["event"] for row in rows(server, what, status=None)
            if row["row"] == "event" and recipient in (None, row["recipient"])]


def wait_for_event(server, what, event, recipient=None):
    wait_until(lambda: event in events(server, what, recipient), f"{event} in the history of {what}")


class Why(harness.Scenario):
    def told(self, server, *to):
        """recipient -> (what a notice has of him for programs, its text for people)"""
        def found():
            reports = [harness.parse_bounce(m) for _, m in server.letters("jada") if m.get_content_type() == "multipart/report"]
            each = {r["Final-Recipient"].split("; ")[1]: (r, report.text) for report in reports for r in report.recipients}
            return each if set(to) <= set(each) else None
        return wait_until(found, f"notices about {to}")

    def test_what_binds_a_letter(self):
        """A signed domain, one whose records fit another certificate, one without any."""
        net = Internet(self)
        good, bad, plain = net.domain("good"), net.domain("bad"), net.domain("open", net.plain)
        good.host(net.authority.issue(good.mx), tlsa=(3, 1, 1))
        bad.host(net.authority.issue(bad.mx, file="really"))
        bad.tlsa(net.authority.issue(bad.mx, file="said")[0])
        plain.host(net.authority.self_signed(plain.mx))
        server = net.start(queue="retry 1h")
        first = post(server, [f"sam@{good.name}", f"sam@{plain.name}"], notify=" NOTIFY=SUCCESS,FAILURE")
        second = post(server, f"sam@{bad.name}")
        wait_for_event(server, first, "relayed", f"sam@{good.name}")
        wait_for_event(server, first, "relayed", f"sam@{plain.name}")
        wait_for_event(server, second, "deferred")

        row = next(r for r in rows(server, first) if r["recipient"] == f"sam@{good.name}")
        kinds = {}
        for line in row["story"]:
            kinds.setdefault(line["kind"], []).append(line)
        self.assertEqual((row["level"], row["attempt"], row["host"]), ("dane", 1, good.mx))
        self.assertEqual((kinds["mx"][0]["secure"], kinds["mx"][0]["hosts"]), ("yes", good.mx))
        won = next(p for p in kinds["policy"] if p["verdict"] == "won")
        self.assertEqual(won["name"], "dane")
        self.assertIn("RFC 7672", won["source"])
        self.assertTrue(all(p["text"] and p["source"] for p in kinds["policy"]))
        self.assertEqual(kinds["tls"][-1]["version"], "TLSv1.3")
        self.assertTrue(kinds["tls"][-1]["group"] and kinds["tls"][-1]["cipher"])
        self.assertIn("DANE-EE", kinds["tls"][-1]["by"])
        self.assertIn(good.mx, kinds["cert"][0]["subject"] + kinds["cert"][0].get("names", ""))
        accepted = next(r["accepted"] for r in rows(server, first) if "accepted" in r)
        self.assertEqual((accepted["user"], accepted["client"]), ("jada", "127.0.0.1"))

        text = server.command("why", second)
        for part in ("deferred", "signed by DNSSEC", "dane won", "RFC 7672", "next try", "waiting in the queue", "now"):
            self.assertIn(part, text)
        self.assertNotIn(SECRET, text + server.command("why", first))
        self.assertEqual(next(r for r in rows(server, first) if r["recipient"] == f"sam@{plain.name}")["level"], "opportunistic")

        # The receipt: each recipient with what was proven of it; the log has the same.
        told = self.told(server, f"sam@{good.name}", f"sam@{plain.name}")
        self.assertRegex(told[f"sam@{good.name}"][0]["X-Sealpost-Protection"], r"^DANE; TLSv1\.3; \w+")
        self.assertIn("(DANE)", " ".join(told[f"sam@{good.name}"][1].split()))
        self.assertRegex(told[f"sam@{plain.name}"][0]["X-Sealpost-Protection"], r"^opportunistic; TLSv1\.3; \w+")
        self.assertIn("level=dane", server.wait_for_line("attempt", f"to=sam@{good.name}")[0])

        # What cannot be proven comes back in the end, and the bounce says what stood in the way.
        server.queue("bounce", second)
        wait_for_event(server, second, "bounced")
        self.assertEqual(events(server, second), ["deferred", "bounced"])

    def six_letters(self):
        """A server, and letters of which each has come to something else."""
        sink = self.start(Sink(lambda content: content))
        server = self.start(Sealpost(self.folder, queue="retry 1h", route=(
            "to sink.test relay sink\n    to closed.test relay closed\n    otherwise hold"), extra=(
                f"relay sink {{\n    host 127.0.0.1:{sink.port}\n    tls none\n}}\n"
                f"relay closed {{\n    host 127.0.0.1:{free_port()}\n    tls none\n}}")))
        to = {"relayed": "yes@sink.test", "bounced": "no@sink.test", "deferred": "late@closed.test", "held": "kept@else.test",
              "removed": "gone@else.test", "delivered": "sam+tag@example.test"}
        letters = {what: post(server, whom) for what, whom in to.items()}
        for what in ("relayed", "bounced", "deferred", "held", "delivered"):
            wait_for_event(server, letters[what], what)
        server.queue("remove", letters["removed"])
        return server, letters

    def check_six(self, server, letters):
        self.assertEqual(events(server, letters["relayed"]), ["relayed"])
        self.assertEqual(events(server, letters["bounced"]), ["bounced"])
        self.assertEqual([r["row"] for r in rows(server, letters["deferred"])], ["event", "queue"])
        self.assertEqual(events(server, letters["removed"]), ["held", "removed"])
        self.assertEqual(events(server, "gone@else.test"), ["held", "removed"])
        self.assertEqual(rows(server, letters["held"])[-1]["state"], "held")

    def test_all_that_can_become_of_a_letter(self):
        server, letters = self.six_letters()
        self.assertEqual(rows(server, "0" * 15, status=1), [])
        self.assertEqual(rows(server, "nobody@example.net", status=1), [])
        server.command("why", status=2)
        self.check_six(server, letters)
        row = rows(server, letters["bounced"])[0]
        self.assertIn("550 5.1.1 nobody of that name", row["reply"])
        self.assertTrue(any("RCPT TO:<no@sink.test>" in line for line in row["dialogue"]), row["dialogue"])
        self.assertIn("delivered", events(server, row["notice"]))
        self.assertEqual(rows(server, letters["delivered"])[0]["original_recipient"], "sam+tag@example.test")
        self.assertTrue(rows(server, letters["delivered"])[0]["file"])
        self.assertRegex(rows(server, letters["deferred"])[0]["next_attempt"], r"^\d{4}-\d\d-\d\dT")
        self.assertNotIn("without TLS", server.command("why", letters["deferred"]))  # nobody was there to speak with
        everything = server.command("why", "sam+tag@example.test") + server.command("why", letters["bounced"])
        self.assertNotIn(SECRET, everything)

    def test_two_recipients_of_one_mailbox(self):
        """An alias and a tag that lead to the same: each is told by itself, with its one attempt."""
        server = self.start(Sealpost(self.folder))
        sent = post(server, ["postmaster@example.test", "jada+x@example.test"])
        wait_until(lambda: events(server, sent) == ["delivered"] * 2, "two deliveries")
        told = server.command("why", sent)
        self.assertEqual(re.findall(r"written as (\S+): delivered", told), ["postmaster@example.test", "jada+x@example.test"], told)
        self.assertEqual(re.findall(r"attempt (\d+)  delivered", told), ["1", "1"], told)

    def goes_on(self, server, letters):
        held, deferred = letters["held"], letters["deferred"]
        server.queue("release", held)
        self.assertIn("released", events(server, held))
        told = server.command("why", held)
        self.assertEqual(told.count("came in"), 1, told)
        self.assertNotRegex(told, r"\b0 bytes")
        server.queue("retry", deferred)
        wait_until(lambda: events(server, deferred) == ["deferred"] * 2, "another attempt")
        told = server.command("why", deferred)
        self.assertEqual(re.findall(r"attempt (\d+)  deferred", told), ["1", "2"], told)
        self.assertIn("queued, 2 attempts", told)

    def test_it_survives(self):
        """A clean end, and one that is not; and what is torn or old is passed over."""
        server, letters = self.six_letters()
        server.stop()
        old = server.spool / "history-20200101"
        old.write_text("\nevent at=1 id=abc\n")
        shutil.chown(old, server.spool.owner(), server.spool.group())
        today = max(server.spool.glob("history-2*"), key=lambda path: path.name)
        with open(today, "ab") as file:
            file.write(b"\nevent at=1795219200 id=torn sen")
        self.assertNotIn(SECRET.encode(), today.read_bytes())
        self.assertEqual(today.stat().st_mode & 0o777, 0o600)
        server.start()
        self.check_six(server, letters)
        wait_until(lambda: not old.exists(), "the end of an old day")
        another = post(server, "yes@sink.test")
        wait_for_event(server, another, "relayed")
        server.kill()
        server.start()
        self.check_six(server, letters)
        self.assertEqual(events(server, another), ["relayed"])
        self.goes_on(server, letters)

    def test_no_credentials(self):
        authority = Authority(self.folder)
        hop = Relay(authority.issue("localhost", file="hop"))
        hop.dialogue = self.refusing(hop)
        self.start(hop)
        password = self.folder / "password"
        password.write_text("open sesame\n")
        password.chmod(0o600)
        server = self.start(Sealpost(self.folder, authority=authority, queue="retry 1h", route="otherwise relay hop", extra=(
            f"relay hop {{\n    host localhost:{hop.port}\n    tls implicit verify\n    ca {authority.cert}\n"
            f"    login mx1 file:{password}\n}}")))
        one = post(server, "one@there.test")
        wait_for_event(server, one, "bounced")
        told = server.command("why", one) + server.command("why", one, "--json")
        self.assertIn("RCPT TO:<one@there.test>", told)
        for secret in ("sesame", "AG14MQBvcGVuIHNlc2FtZQ", SECRET):
            self.assertNotIn(secret, told)
        self.assertTrue(any(b"AG14MQBvcGVuIHNlc2FtZQ" in line for line in hop.heard), hop.heard)

    @staticmethod
    def refusing(hop):
        def dialogue(peer, file):
            says = {b"EHLO": b"250-hop\r\n250 AUTH PLAIN\r\n", b"AUTH": b"235 2.7.0 well\r\n", b"RCPT": b"550 5.1.1 no\r\n",
                    b"DATA": b"503 5.5.1 no\r\n", b"QUIT": b"221 bye\r\n"}
            peer.sendall(b"220 hop ESMTP\r\n")
            while line := file.readline():
                hop.heard.append(line)
                peer.sendall(says.get(line.split()[0].upper(), b"250 2.0.0 well\r\n"))
        return dialogue


if __name__ == "__main__":
    harness.main()
