# SPDX-License-Identifier: ISC
"""`sealpost load` and `sealpost sink`, against each other and against a server that the test plays."""
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Acted
from harness.case import Process
from harness.server import ENVIRONMENT, binary


class Sink:
    """`sealpost sink` on a free port; totals() ends it and says what it has counted."""

    def __init__(self, folder, name, *options):
        self.folder, self.name, self.options, self.process = folder, name, options, None

    def start(self):
        self.process = Process(self.name, [binary(), "sink", "--json", *self.options, "0"], self.folder, env={**os.environ, **ENVIRONMENT})
        self.process.wait_for_log('"ready"')
        self.port = self.lines()[0]["port"]

    def lines(self):
        return [json.loads(line) for line in self.log().splitlines()]

    def log(self):
        return self.process.log()

    def stop(self):
        status = self.process.stop(signal.SIGINT)
        assert status == 0, self.log()

    def totals(self):
        self.stop()
        return self.lines()[-1]


class Door(Acted):
    """Takes all mail. Of the connections, by their number, some are sent away and some are never answered. `heard` has all commands in order."""

    def __init__(self, name, sent_away=(), unanswered=()):
        super().__init__(name)
        self.sent_away, self.unanswered, self.heard = sent_away, unanswered, []
        self.numbers, self.ending = itertools.count(), threading.Event()

    def talk(self, peer):
        number = next(self.numbers)
        if number in self.unanswered:
            self.ending.wait(60)
            return
        peer.sendall(b"421 x\r\n" if number in self.sent_away else b"220 x\r\n")
        f = peer.makefile("rb")
        while line := f.readline():
            verb = line[:4].strip()
            self.heard.append(verb.decode())
            peer.sendall({b"DATA": b"354 x\r\n", b"QUIT": b"221 x\r\n"}.get(verb, b"250 x\r\n"))
            while verb == b"DATA" and (line := f.readline()) != b".\r\n":
                pass
            if verb == b"DATA":
                peer.sendall(b"250 x\r\n")

    def stop(self):
        self.ending.set()
        super().stop()


def load(*options, status=0, environment=None):
    """The text that it prints."""
    done = subprocess.run([binary(), "load", *map(str, options)], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, **ENVIRONMENT, **(environment or {})})
    assert done.returncode == status, f"{options}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if status in (0, 1) else done.stderr


def connected(port):
    """Has somebody a connection to this port? From the kernel's table, which names it in hexadecimal."""
    with open("/proc/net/tcp") as table:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in table.readlines()[1:])


class LoadAndSink(harness.Scenario):
    def sink(self, *options):
        return self.start(Sink(self.folder, f"sink-{len(self.started)}", *options))

    def load(self, sink, *options, to="sam@example.test", **more):
        return json.loads(load("--json", "--quiet", "--to", to, *options, f"127.0.0.1:{sink.port}", **more))

    def both(self, of_sink, of_load):
        sink = self.sink(*of_sink)
        return self.load(sink, *of_load), sink.totals()

    def test_every_mode(self):
        """What one has counted, the other has counted, too."""
        for tls in ("implicit", "starttls", "none"):
            for more in ((), ("--pipelining",), ("--lmtp",)):
                with self.subTest(tls=tls, more=more):
                    lmtp = ("--lmtp",) if "--lmtp" in more else ()
                    sent, got = self.both(("--tls", tls, *lmtp),
                                          ("--tls", tls, *more, "--count", 60, "--connections", 5, "--messages", 4, "--recipients", 3,
                                           "--size", 5001))
                    self.assertEqual((sent["accepted"], sent["failed"], sent["recipients"], sent["octets"]), (60, 0, 180, 60 * 5001))
                    self.assertEqual((got["messages"], got["recipients"], got["octets"]), (60, 180, 60 * 5001))
                    self.assertGreaterEqual(sent["connections"], 15)
                    self.assertEqual(sent["handshakes"], 0 if tls == "none" else sent["connections"])
                    self.assertEqual(sent["tls"].split(" ")[0], "" if tls == "none" else "TLSv1.3")
                    dot = sent["dot_ms"]
                    self.assertTrue(0 < dot["p50"] <= dot["p90"] <= dot["p99"] <= dot["max"], dot)

    def test_resuming(self):
        of_load = ("--count", 20, "--connections", 2, "--messages", 1)
        for options, of_sink, resumed in (((), (), False), (("--resume",), (), True), (("--resume",), ("--no-tickets",), False)):
            with self.subTest(options=options, of_sink=of_sink):
                sent, got = self.both(("--tls", "implicit", *of_sink), (*of_load, *options))
                self.assertEqual(sent["resumed"], got["resumed"])
                self.assertEqual(sent["resumed"], sent["handshakes"] - 2 if resumed else 0)

    def test_sizes(self):
        """Sizes beside the length of a line and of the block that the body is made of; the least is a header."""
        for tls in ("none", "implicit"):
            sink = self.sink("--tls", tls)
            sent = 0
            for size in (1000, 1001, 10007, 62400, 62401, 65536, 65537, 66000, 300001, 3000001):
                told = self.load(sink, "--tls", tls, "--count", 1, "--size", size, "--patience", "20s")
                self.assertEqual((told["accepted"], told["octets"]), (1, size))
                sent += size
            self.assertEqual(sink.totals()["octets"], sent)

    def test_last_lines(self):
        """A body that would end in a line of no octet, of one and of two: it ends with CRLF all the same, or the dot would not count."""
        heard = []

        class Server(Acted):
            def talk(self, peer):
                f = peer.makefile("rb")
                peer.sendall(b"220 x\r\n")
                while line := f.readline():
                    if line == b"DATA\r\n":
                        peer.sendall(b"354 x\r\n")
                        content = b""
                        while (line := f.readline()) != b".\r\n":
                            content += line
                        heard.append(content)
                    peer.sendall(b"221 x\r\n" if line == b"QUIT\r\n" else b"250 x\r\n")

        server = self.start(Server("lines"))
        options = ("--quiet", "--tls", "none", "--to", "sam@example.test", "--connections", 1, "--count", 1)
        load(*options, "--size", 0, f"127.0.0.1:{server.port}")
        header = len(heard[0])
        self.assertTrue(heard[0].endswith(b"\r\n\r\n"))
        for more in (780, 781, 782, 859):
            load(*options, "--size", header + more, f"127.0.0.1:{server.port}")
            self.assertEqual((len(heard[-1]), heard[-1][-2:], heard[-1].count(b"\n")), (header + more, b"\r\n", heard[-1].count(b"\r\n")))

    def test_fates(self):
        for at in ("dot", "rcpt", "mail"):
            with self.subTest(at=at):
                sink = self.sink("--tls", "none", "--defer", "30%", "--refuse", "20%", "--drop", "10%", "--at", at, "--seed", 7)
                sent = self.load(sink, "--tls", "none", "--count", 100, "--connections", 2, status=1)
                got = sink.totals()
                self.assertEqual(sent["accepted"], got["messages"])
                self.assertEqual(sent["refused"], {"451": got["deferred"], "550": got["refused"]})
                self.assertEqual(sent["lost"], {"closed": got["dropped"]})
                self.assertEqual(sent["accepted"] + sent["failed"], 100)
                self.assertTrue(min(got["deferred"], got["refused"], got["dropped"]) > 0, got)

    def test_delay(self):
        sent, _ = self.both(("--delay", "30ms"), ("--tls", "starttls", "--count", 4, "--connections", 2))
        self.assertGreaterEqual(sent["dot_ms"]["p50"], 29)

    def test_login(self):
        (self.folder / "password").write_text("not shown\n")
        sink = self.sink("--auth")
        for options in (("--password-file", self.folder / "password"), ("--password-variable", "SECRET"),
                        ("--password-variable", "SECRET", "--mechanism", "LOGIN")):
            sent = self.load(sink, "--tls", "starttls", "--user", "jada", *options, "--count", 3, environment={"SECRET": "whatever"})
            self.assertEqual(sent["accepted"], 3)
        none = self.load(sink, "--tls", "starttls", "--user", "jada", "--password-variable", "SECRET", "--mechanism", "SCRAM-SHA-256",
                         "--count", 3, environment={"SECRET": "whatever"}, status=1)
        self.assertEqual(none["lost"], {"login": 3})

    def until(self, word, server, *options, status=0):
        """What it says that is interrupted once it has said this word, however long that takes."""
        running = Process(f"load-{len(self.started)}", [binary(), "load", "--json", "--quiet", *map(str, options), f"127.0.0.1:{server.port}"],
                          self.folder, env={**os.environ, **ENVIRONMENT})
        running.wait_for_log(f'"{word}"')
        self.assertEqual(running.stop(signal.SIGINT), status, running.log())
        return [json.loads(line) for line in running.log().splitlines()]

    def test_hold(self):
        sink = self.sink("--tls", "implicit")
        held, total = self.until("held", sink, "--hold", "--connections", 20, "--opening", 3)
        self.assertEqual((held["kind"], held["connections"], total["held"]), ("held", 20, 20))
        self.assertEqual(sink.totals()["connections_most"], 20)

    def test_hold_for_so_long(self):
        sink = self.sink("--tls", "none")
        begin = time.monotonic()
        told = load("--json", "--tls", "none", "--hold", "--connections", 1, "--duration", "200ms", f"127.0.0.1:{sink.port}")
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)
        self.assertEqual(json.loads(told.splitlines()[-1])["kind"], "total")

    def test_hold_after_messages(self):
        sink = self.sink("--tls", "implicit")
        held, total = self.until("held", sink, "--hold", "--connections", 5, "--messages", 3, "--to", "sam@example.test")
        self.assertEqual((held["kind"], held["connections"], total["held"], total["accepted"]), ("held", 5, 5, 15))
        self.assertEqual(sink.totals()["messages"], 15)

    def test_hold_says_how_many_when_one_is_sent_away(self):
        server = self.start(Door("door", sent_away=[2]))
        held, total = self.until("held", server, "--tls", "none", "--hold", "--connections", 5, status=1)
        self.assertEqual((held["connections"], total["held"], total["lost"]), (4, 4, {"closed": 1}))

    def test_gather(self):
        """Nobody sends before all stand, in whatever order they come; who is sent away comes again."""
        for sent_away, lost in (((), {}), ((0, 3), {"closed": 2})):
            with self.subTest(sent_away=sent_away):
                server = self.start(Door(f"door-{len(sent_away)}", sent_away))
                told = load("--json", "--quiet", "--tls", "none", "--to", "sam@example.test", "--gather", "60s", "--opening", 2, "--connections", 5,
                            "--count", 20, f"127.0.0.1:{server.port}")
                gathered, total = map(json.loads, told.splitlines())
                self.assertEqual((gathered["kind"], gathered["stood"], gathered["of"], gathered["lost"]), ("gathered", 5, 5, lost))
                self.assertEqual((total["accepted"], total["failed"], total["gathered"]["stood"]), (20, 0, 5))
                first = server.heard.index("MAIL")
                self.assertEqual((server.heard[:first].count("EHLO"), server.heard.count("EHLO")), (5, 5))

    def test_gather_and_hold(self):
        server = self.start(Door("door", sent_away=[1]))
        gathered, held, total = self.until("held", server, "--tls", "none", "--hold", "--gather", "60s", "--connections", 5, "--messages", 2, "--to",
                                           "sam@example.test")
        self.assertEqual((gathered["stood"], held["connections"], total["accepted"]), (5, 5, 10))

    def test_gather_has_an_end(self):
        """Who does not stand by then stays out, and is not asked again; the others send."""
        for patience in ("300ms", "3s", "30s"):  # long enough for the one that is answered, on this machine
            server = self.start(Door(f"door-{patience}", unanswered=[1]))
            told = load("--json", "--quiet", "--tls", "none", "--to", "sam@example.test", "--gather", patience, "--connections", 3, "--opening", 1,
                        "--count", 10, f"127.0.0.1:{server.port}", status=1)
            gathered, total = map(json.loads, told.splitlines())
            if gathered["stood"] > 0:
                break
        self.assertEqual((gathered["stood"], gathered["of"]), (1, 3))  # one is opened at a time
        self.assertEqual((total["accepted"], total["failed"], total["lost"]), (10, 0, {}))
        self.assertEqual(next(server.numbers), 2)
        text = load("--quiet", "--tls", "none", "--gather", "1s", "--hold", "--duration", "1s", "--connections", 2, "127.0.0.1:1", status=1)
        self.assertRegex(text, r"^0 of 2 connections stood after 1\.\d s \(\d+ x could not connect\); the others stay out\n")

    def test_gather_is_interrupted(self):
        server = self.start(Door("door", unanswered=[0]))
        running = Process("load", [binary(), "load", "--json", "--quiet", "--to", "sam@example.test", "--tls", "none", "--gather", "1h",
                                   f"127.0.0.1:{server.port}"], self.folder, env={**os.environ, **ENVIRONMENT})
        harness.wait_until(lambda: server.heard.count("EHLO") == 9, "all but one")
        self.assertEqual(running.stop(signal.SIGINT), 1)
        told, = map(json.loads, running.log().splitlines())
        self.assertEqual((told["kind"], told["accepted"], told["gathered"]["stood"]), ("total", 0, 0))

    def test_duration_and_warm_up(self):
        sink = self.sink("--tls", "none")
        begin = time.monotonic()
        sent = self.load(sink, "--tls", "none", "--duration", "400ms", "--warm-up", "200ms", "--size", 1000)
        self.assertGreaterEqual(sent["seconds"], 0.39)
        self.assertLessEqual(sent["seconds"], time.monotonic() - begin - 0.19)
        self.assertLess(sent["accepted"], sent["accepted_in_all"])
        self.assertEqual(sink.totals()["messages"], sent["accepted_in_all"])

    def test_count_and_warm_up(self):
        """Not one more than asked for, though more connections had a message under way when the warm-up ended."""
        sink = self.sink("--tls", "none", "--delay", "20ms")
        sent = self.load(sink, "--tls", "none", "--connections", 50, "--count", 20, "--warm-up", "100ms", "--size", 1000)
        self.assertEqual(sent["accepted"], 20)

    def test_several_processes(self):
        """Shares and sums: as from one."""
        sink = self.sink("--tls", "none", "--defer", "10%")
        sent = self.load(sink, "--tls", "none", "--processes", 3, "--connections", 4, "--count", 50, "--messages", 5, status=1)
        got = sink.totals()
        self.assertEqual((sent["accepted"], sent["refused"]), (got["messages"], {"451": got["deferred"]}))
        self.assertEqual((sent["accepted"] + sent["failed"], sent["connections"]), (50, got["connections"]))

    def test_interrupted(self):
        """What has been measured until then is told, once nothing is under way."""
        sink = self.sink("--tls", "none")
        running = Process("load", [binary(), "load", "--json", "--quiet", "--to", "sam@example.test", "--tls", "none", "--duration", "1h",
                                   f"127.0.0.1:{sink.port}"], self.folder, env={**os.environ, **ENVIRONMENT})
        harness.wait_until(lambda: connected(sink.port), "a connection to the sink")
        status = running.stop(signal.SIGINT)
        told = json.loads(running.log())
        self.assertEqual(status, 0 if told["accepted_in_all"] > 0 else 1, running.log())
        self.assertEqual(told["accepted_in_all"], sink.totals()["messages"])

    def test_the_end_waits_for_no_greeting(self):
        gone = threading.Event()

        class Silent(Acted):
            def talk(self, peer):
                gone.wait(60)

        server = self.start(Silent("silent"))
        begin = time.monotonic()
        told = json.loads(load("--json", "--to", "a@example.test", "--duration", "100ms", f"127.0.0.1:{server.port}", status=1))
        self.assertLess(time.monotonic() - begin, 9)  # ten seconds are for messages under way
        self.assertEqual((told["accepted"], told["failed"]), (0, 0))
        gone.set()

    def test_a_server_that_answers_before_it_is_told(self):
        """Each reply provokes more commands than it is long: they must not be kept, as many as there may be of them."""
        for extensions in (b"250 x\r\n", b"250-x\r\n250 PIPELINING\r\n"):
            class Hasty(Acted):
                def talk(self, peer):
                    peer.sendall(b"220 x\r\n")
                    peer.recv(100)
                    peer.sendall(extensions)
                    while True:
                        peer.sendall(b"250 n\r\n" * 10000)

            server = self.start(Hasty(f"hasty-{len(extensions)}"))
            with self.subTest(extensions=extensions):
                told = json.loads(load("--json", "--quiet", "--tls", "none", "--pipelining", "--to", "sam@example.test", "--connections", 1,
                                       "--duration", "1s", f"127.0.0.1:{server.port}", status=1))
                self.assertEqual((told["accepted"], list(told["refused"])), (0, ["250"]))

    def test_nobody_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            told = json.loads(load("--json", "--to", "a@example.test", "--count", 3, f"127.0.0.1:{s.getsockname()[1]}", status=1))
        self.assertEqual((told["accepted"], told["lost"]), (0, {"connect": 3}))

    def test_only_this_machine(self):
        """Not even a packet goes to others without permission (192.0.2.0/24 is nobody's)."""
        told = load("--to", "a@example.test", "192.0.2.1:25", status=78)
        self.assertIn("--with-permission", told)
        told = json.loads(load("--json", "--quiet", "--with-permission", "--patience", "100ms", "--to", "a@example.test", "--count", 1,
                               "--connections", 1, "192.0.2.1:25", status=1))
        self.assertEqual(told["lost"], {"connect": 1})

    def test_wrong_options(self):
        many = [word for _ in range(101) for word in ("--to", "a@b.test")]
        for options, words in (
                (["127.0.0.1:1"], "--to is missing"),
                (["--to", "a@b.test"], "which server"),
                (["--to", "a b@c.test", "127.0.0.1:1"], "not a pattern"),
                (["--to", "%x@c.test", "127.0.0.1:1"], "not a pattern"),
                (["--to", "%0m@c.test", "127.0.0.1:1"], "not a pattern"),
                (["--to", "a" * 122 + "@b.test", "127.0.0.1:1"], "not a pattern"),
                ([*many, "127.0.0.1:1"], "more than 100 times"),
                (["--to", "a@b.test", "--recipients", "1001", "127.0.0.1:1"], "from 1 to 1000"),
                (["--to", "a@b.test", "--connections", "100001", "127.0.0.1:1"], "from 1 to 100000"),
                (["--to", "a@b.test", "--processes", "65", "127.0.0.1:1"], "from 1 to 64"),
                (["--to", "a@b.test", "--processes", "64", "127.0.0.1:1"], "as many connections"),
                (["--to", "a@b.test", "--size", "1025M", "127.0.0.1:1"], "up to 1G"),
                (["--to", "a@b.test", "--processes", "2", "--gather", "1m", "127.0.0.1:1"], "--gather is for one process"),
                (["--to", "a@b.test", "--gather", "0s", "127.0.0.1:1"], "not a time up to a day"),
                (["--to", "a@b.test", "--duration", "5", "127.0.0.1:1"], "write 30s"),
                (["--to", "a@b.test", "--gather", "25h", "127.0.0.1:1"], "not a time up to a day"),
                (["--to", "a@b.test", "--count", "1", "--duration", "1s", "127.0.0.1:1"], "contradict"),
                (["--to", "a@b.test", "--user", "x", "127.0.0.1:1"], "--password-file"),
                (["--to", "a@b.test", "--user", "x", "--password-variable", "HOME", "--tls", "none", "127.0.0.1:1"], "never goes in clear"),
                (["--to", "a@b.test", "--nonsense", "127.0.0.1:1"], "no option --nonsense"),
                (["--tls", "none", "-zq", "127.0.0.1:1"], "no option -z")):
            self.assertIn(words, load(*options, status=2), options)

    def test_patterns(self):
        """Just under the limits, and what an address becomes."""
        heard = []

        class Server(Acted):
            def talk(self, peer):
                f = peer.makefile("rb")
                peer.sendall(b"220 x\r\n")
                while line := f.readline():
                    heard.append(line)
                    peer.sendall({b"QUIT": b"221 x\r\n", b"RCPT": b"550 no\r\n"}.get(line[:4].strip(), b"250 x\r\n"))

        server = self.start(Server("patterns"))
        load("--quiet", "--tls", "none", "--connections", 1, "--count", 3, "--recipients", 3, "--from", "%c-%2m%%@x.test", "--to",
             "%r.%m@x.test", "--to", "a" * 121 + "@b.tst", f"127.0.0.1:{server.port}", status=1)
        self.assertEqual([line for line in heard if line.startswith(b"MAIL")],
                         [b"MAIL FROM:<0-0%@x.test>\r\n", b"MAIL FROM:<0-1%@x.test>\r\n", b"MAIL FROM:<0-0%@x.test>\r\n"])
        self.assertEqual([line for line in heard if line.startswith(b"RCPT")][3:6],
                         [b"RCPT TO:<0.1@x.test>\r\n", b"RCPT TO:<" + b"a" * 121 + b"@b.tst>\r\n", b"RCPT TO:<2.1@x.test>\r\n"])

    def test_sink_line_limit(self):
        sink = self.sink("--tls", "none")
        for octets, reply in ((2047, b"500 5.5.1"), (2049, b"500 5.5.2 The line is too long")):
            with socket.create_connection(("127.0.0.1", sink.port)) as s:
                f = s.makefile("rb")
                f.readline()
                s.sendall(b"x" * octets + b"\n")
                self.assertTrue(f.readline().startswith(reply), octets)

    def test_sink_recipient_limit(self):
        sink = self.sink("--tls", "none")
        with socket.create_connection(("127.0.0.1", sink.port)) as s:
            f = s.makefile("rb")
            s.sendall(b"HELO x\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<a@b>\r\n" * 1001)
            replies = [f.readline()[:3] for _ in range(3 + 1001)][3:]
        self.assertEqual(replies, [b"250"] * 1000 + [b"452"])

    def test_sink_is_a_fair_server(self):
        """Dots at the seams of packets, chunks, commands in the wrong order."""
        sink = self.sink("--tls", "none", "--count", 3)
        with socket.create_connection(("127.0.0.1", sink.port)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            f = s.makefile("rb")

            def ask(*lines, last):
                for line in lines:
                    s.sendall(line)
                while True:
                    line = f.readline()
                    if line.startswith(last):
                        return line
                    self.assertTrue(line[:1] in b"235" and line, line)
            ask(b"DATA\r\n", last=b"503")
            ask(b"EHLO x\r\n", last=b"250 ")
            ask(b"RCPT TO:<a@b>\r\n", last=b"503")
            ask(b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b>\r\n", b"DATA\r\n", last=b"354")
            for octet in b"a\r\n..\r\n.\n\r\n.":
                s.sendall(bytes([octet]))
            ask(b"\r", b"\n", last=b"250 2.0.0")
            ask(b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b>\r\n", b"DATA\r\n", last=b"354")
            ask(b".\r\n", last=b"250 2.0.0")
            ask(b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b>\r\n", b"BDAT 5\r\n.\r\n.\r", b"BDAT 1 LAST\r\n\n", last=b"250 2.0.0 Ok: gone")
        self.assertEqual(sink.process.popen.wait(60), 0)
        self.assertEqual(sink.lines()[-1]["octets"], len(b"a\r\n..\r\n.\n\r\n") + 0 + 6)

    def test_sink_wrong_options(self):
        for options, words in ((["--defer", "101%", "0"], "not a share"), (["--defer", "0.00001%", "0"], "not a share"),
                               (["--defer", "60%", "--drop", "41%", "0"], "more than 100%"),
                               (["--defer", "5", "0"], "write 5%"), (["--drop", "0", "0"], "write 5%"), (["--cert", "x", "0"], "go together"),
                               ([], "on which port"), (["65536"], "not a place"), (["--tls", "none", "--auth", "0"], "--tls none"),
                               (["--delay", "601s", "0"], "10 minutes"),
                               (["--delay", "5", "0"], "write 50ms or 2s"), (["--duration", "5", "0"], "write 30s or 5m")):
            done = subprocess.run([binary(), "sink", *options], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 2, options)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    harness.main()
