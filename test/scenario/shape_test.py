# SPDX-License-Identifier: ISC
"""Next hops that have too much to do, or are gone, and come back; and others beside them, which do not notice."""
import smtplib
import ssl
import threading

import harness
from harness import Sealpost, letter, wait_until as until
from harness.acted import Acted, Sink


class Busy(Acted):
    """Says 421 at once, or 451 4.3.2 at MAIL, as long as `says`; then it takes everything. Counts letters that are under way at a
    time: a connection that is kept for the next one, or that says goodbye, is none."""

    def __init__(self, says):
        super().__init__("busy")
        self.says, self.taken, self.here, self.most, self.turned_away = says, 0, 0, 0, 0
        self.lock, self.may_go_on = threading.Lock(), threading.Event()
        self.may_go_on.set()

    def count(self, more):
        with self.lock:
            self.here += more
            self.most = max(self.most, self.here)

    def talk(self, peer):
        with peer.makefile("rb") as lines:
            if self.says == 421:
                self.turned_away += 1
                peer.sendall(b"421 4.3.2 too many connections\r\n")
                return
            peer.sendall(b"220 busy.test ESMTP\r\n")
            for line in lines:
                word = line.strip().upper()
                if word == b"DATA":
                    self.may_go_on.wait(60)
                    peer.sendall(b"354 go\r\n")
                    while next(lines, b".\r\n") != b".\r\n":
                        pass
                    self.count(-1)  # before our reply: what follows it counts anew
                    with self.lock:
                        self.taken += 1
                if word.startswith(b"MAIL") and self.says == 451:
                    self.turned_away += 1
                    peer.sendall(b"451 4.3.2 too busy\r\n")
                else:
                    if word.startswith(b"MAIL"):
                        self.count(1)
                    peer.sendall(b"250 ok\r\n")


class Shaping(harness.Scenario):
    LETTERS = 30

    def sealpost(self, busy, sink, shape=""):
        def relay(name, port, more):
            return f"relay {name} {{\n host 127.0.0.1:{port}\n tls none\n {more}\n}}\n"
        return self.start(Sealpost(
            self.folder, route="to busy.test relay busy\n otherwise relay fine",
            extra=relay("busy", busy.port, f"retry 1h\n {shape}") + relay("fine", sink.port, "")))

    def send(self, server, domain, n):
        with smtplib.SMTP_SSL("localhost", server.port_submissions, context=ssl.create_default_context(cafile=server.authority.cert)) as client:
            client.login("jada", Sealpost.PASSWORDS["jada"])
            for i in range(n):
                client.sendmail("jada@example.test", [f"u{i}@{domain}"], letter(to=f"u{i}@{domain}").as_bytes())

    def what_is_said(self, server, untried):
        """An operator reads why nothing goes there, wherever he looks."""
        waits = r"its destination: .+; (it rests for \d+s, then one letter tries|its next letter tries, alone, whether it answers again)"
        for row in [w for w in untried if w["state"] == "queued"]:
            self.assertRegex(row["waits_for"], "^" + waits + "$")
        self.assertRegex(server.queue("list", "--domain", "busy.test"), rf"\n {{17}}waits for {waits}\n")
        self.assertRegex(server.queue("show", untried[-1]["id"]), rf"\n  waits for +{waits}\n")
        self.assertRegex(server.command("why", untried[-1]["id"]), rf"\n +waits for +{waits}\n")
        table = server.queue("list", "--by", "domain")
        self.assertRegex(table, r"\n    by relay busy: ")
        self.assertRegex(table, r"(?m)^busy\.test .* \d now, 1 allowed, 20 at most$")
        until(lambda: "\nqueue: 1 destination rests after failures, then gets one letter to try: `sealpost queue list --by domain`"
              in server.command("status"), "the status to tell of a rest")

    def slowed_and_back(self, says, by_itself):
        busy = self.start(Busy(says))
        sink = self.start(Sink(lambda content: content))
        server = self.sealpost(busy, sink)
        self.send(server, "busy.test", self.LETTERS)
        server.wait_for_line("destination-slowed", "to=busy", str(says), "it rests for")
        # Beside it everything goes on; what waits has not been tried.
        self.send(server, "fine.test", 5)
        until(lambda: len(sink.taken) == 5, "the letters for who answers")
        waiting = server.queue_list()
        self.assertEqual(len(waiting), self.LETTERS)
        self.assertLess(busy.turned_away, self.LETTERS // 2)
        untried = [w for w in waiting if w["attempts"] == 0]
        self.assertEqual(len(untried), self.LETTERS - busy.turned_away)
        self.what_is_said(server, untried)
        # It is well again: one that tries shows it, and all that waits untried goes out at once.
        busy.says = None
        if not by_itself:
            server.queue("retry")
        server.wait_for_line("destination-recovered", "to=busy")
        if by_itself:
            until(lambda: busy.taken == len(untried), "what had not been tried")
            server.queue("retry")
        until(lambda: busy.taken == self.LETTERS, "all of them")
        until(lambda: server.queue_list() == [], "an empty queue")

    def test_too_many_connections(self):
        self.slowed_and_back(421, by_itself=True)

    def test_too_busy(self):
        self.slowed_and_back(451, by_itself=False)

    def test_ceiling_and_rate(self):
        busy, sink = self.start(Busy(None)), self.start(Sink(lambda content: content))
        server = self.sealpost(busy, sink, shape="concurrency 2\n rate 7/1h")
        others = 0

        def all_has_been_given():
            """What comes later, and goes where there is no limit, has come out."""
            nonlocal others
            others += 5
            self.send(server, "fine.test", 5)
            until(lambda: len(sink.taken) == others, "the letters for who has no limit")

        busy.may_go_on.clear()
        self.send(server, "busy.test", 12)
        until(lambda: busy.here == 2, "as many letters as the ceiling allows")
        all_has_been_given()
        self.assertEqual((busy.here, busy.most, busy.taken), (2, 2, 0))
        busy.may_go_on.set()
        until(lambda: busy.taken == 7, "as many as the rate allows")
        all_has_been_given()
        self.assertEqual(busy.taken, 7)
        self.assertEqual([w["attempts"] for w in server.queue_list()], [0] * 5)
        # Another ceiling holds as soon as the configuration is read.
        server.write_conf(extra=server.parts["extra"].replace("rate 7/1h", "rate 9/1h"))
        server.reload()
        until(lambda: busy.taken == 9, "two more")
        all_has_been_given()
        self.assertEqual((busy.taken, busy.most), (9, 2))


if __name__ == "__main__":
    harness.main()
