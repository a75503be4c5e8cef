# SPDX-License-Identifier: ISC
"""Those who hand mail in: honest ones, which write down what they were told, and the others."""
import itertools
import os
import random
import signal
import socket
import ssl
import threading
import time

from harness.raw import Gone, Raw
from ledger import Journal
from letters import a_size, compose

REMOTE = [("good.test", 0.7), ("moody.test", 0.2), ("slow.test", 0.05), ("dead.test", 0.05)]
TROUBLE = (Gone, OSError, ssl.SSLError, AssertionError, UnicodeDecodeError)


class Client(threading.Thread):
    """One after the other, many connections with some letters each. plan: what soak.py gives to all."""

    def __init__(self, plan, journal, name):
        super().__init__(daemon=True)
        self.plan, self.journal, self.prefix = plan, journal, name
        self.chance, self.numbers = random.Random(f"{plan.seed}-{name}"), itertools.count()
        self.context = ssl.create_default_context(cafile=plan.authority)

    def run(self):
        while not self.plan.ending.is_set():
            begin = time.monotonic()
            try:
                self.act()
            except TROUBLE:
                self.plan.ending.wait(0.05)  # a role was killed: knock again
            self.plan.ending.wait(max(0, self.pause_s() - (time.monotonic() - begin)))

    def connect(self, way, source="127.0.0.1"):
        plan = self.plan
        if way == "mx":
            return Raw(plan.port_mx, context=self.context, tls="starttls", source=source)
        login = self.sender = self.chance.choice(plan.senders)
        port, tls = (plan.port_submissions, "implicit") if way == "submissions" else (plan.port_submission, "starttls")
        return Raw(port, context=self.context, tls=tls, login=login, source=source)

    def recipients(self, name, way):
        mailboxes = [f"{user}@example.test" for user in self.chance.sample(self.plan.users, self.chance.choice((1, 1, 1, 2, 5)))]
        if way == "mx":
            return mailboxes
        share, (low, high) = self.chance.random(), self.plan.many
        n = 1 if share < 0.6 else self.chance.randint(2, 10) if share < 0.97 else self.chance.randint(low, high)
        domains, weights = zip(*REMOTE)
        remote = [f"{name}.{i}@{domain}" for i, domain in enumerate(self.chance.choices(domains, weights, k=n))]
        share = self.chance.random()
        return remote if share < 0.5 else mailboxes if share < 0.8 else remote + mailboxes

    def begin(self, client, way):
        """MAIL, RCPT, DATA; (name, recipients that were taken, content)."""
        name = f"{self.prefix}-{next(self.numbers)}"
        sender = f"{name}@elsewhere.test" if way == "mx" else f"{self.sender[0]}@example.test"
        wanted = self.recipients(name, way)
        client.expect(f"MAIL FROM:<{sender}>", 250)
        taken = [to for to in wanted if client.cmd(f"RCPT TO:<{to}>")[0] == 250]
        client.expect("DATA", 354)
        return name, taken, compose(name, a_size(self.chance), sender, wanted[0])

    def end(self, client, name, taken):
        """The final dot."""
        self.journal.note("offered", name, ",".join(taken))
        client.send(b".\r\n")
        code, _ = client.reply()
        if code == 250:
            self.journal.note("accepted", name)
        else:
            self.journal.note("refused", name, code)

    def a_way(self):
        return self.chance.choice(("submissions", "submission", "mx"))


class Honest(Client):
    def pause_s(self):
        return 0

    def act(self):
        way = self.a_way()
        with self.connect(way) as client:
            client.socket.settimeout(120)
            for _ in range(self.chance.choice((1, 1, 3, 10))):
                due = time.monotonic() + self.chance.expovariate(self.plan.rate / self.plan.clients)
                name, taken, content = self.begin(client, way)
                client.send(content)
                self.end(client, name, taken)
                self.plan.count()
                self.plan.ending.wait(max(0, due - time.monotonic()))
                if self.plan.ending.is_set():
                    return
            client.cmd("QUIT")


class Bad(Client):
    """From other addresses, so that nobody honest is taken for one of them."""

    def pause_s(self):
        return self.chance.expovariate(self.plan.bad_rate)

    def act(self):
        way = self.chance.choice([name for name in dir(self) if name.startswith("way_")])
        getattr(self, way)(f"127.0.{self.chance.randint(1, 250)}.{self.chance.randint(1, 250)}")

    def socket(self, port, source):
        return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))

    def way_cut_in_content(self, source):
        with self.connect(way := self.a_way(), source) as client:
            _, _, content = self.begin(client, way)
            client.send(content[:self.chance.randrange(len(content))])

    def way_reset_in_content(self, source):
        with self.connect(way := self.a_way(), source) as client:
            _, _, content = self.begin(client, way)
            client.send(content[:self.chance.randrange(min(len(content), 1 << 16))])
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def way_slow(self, source):
        """It takes its time, and is honest for the rest."""
        with self.connect(way := self.a_way(), source) as client:
            name, taken, content = self.begin(client, way)
            cut = self.chance.randrange(len(content))
            for piece in (content[:cut], content[cut:]):
                client.send(piece)
                self.plan.ending.wait(self.chance.uniform(0, 3))
            self.end(client, name, taken)

    def way_silent(self, source):
        with self.socket(self.chance.choice(self.plan.ports), source):
            self.plan.ending.wait(self.chance.uniform(0, 15))

    def way_garbage(self, source):
        with self.socket(self.chance.choice(self.plan.ports), source) as s:
            s.sendall(self.chance.randbytes(self.chance.randrange(1, 1 << 14)))
            s.recv(4096)

    def way_half_a_handshake(self, source):
        come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(come, gone, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = gone.read()
        with self.socket(self.plan.port_submissions, source) as s:
            s.sendall(hello[:self.chance.randrange(1, len(hello) + 1)])
            self.plan.ending.wait(self.chance.uniform(0, 3))

    def way_guesses(self, source):
        with self.connect("mx", source) as client:
            client.expect("MAIL FROM:<x@elsewhere.test>", 250)
            for n in range(self.chance.randint(1, 12)):
                client.cmd(f"RCPT TO:<nobody{n}@example.test>")

    def way_wrong_password(self, source):
        with Raw(self.plan.port_submissions, context=self.context, tls="implicit", source=source) as client:
            client.login(f"mallory{self.chance.randrange(1000)}", "guess")

    def way_too_large(self, source):
        with self.connect("mx", source) as client:
            client.cmd(f"MAIL FROM:<x@elsewhere.test> SIZE={1 << 40}")
            self.begin(client, "mx")
            block = b"x" * 998 + b"\r\n"
            for _ in range(self.chance.randrange(1, 60)):
                client.send(block * 256)

    def way_many_commands(self, source):
        with self.connect("mx", source) as client:
            client.send(b"".join(self.chance.choice((b"NOOP\r\n", b"RSET\r\n", b"VRFY x\r\n", b"FOO\r\n")) for _ in range(90)))
            for _ in range(90):
                client.reply()


def serve(plan, folder, number, tally):
    """A process with its share of the clients, until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(2)  # the server comes first
    journal = Journal(folder, f"clients-{number}")
    plan.count = lambda: tally.__setitem__(number, tally[number] + 1)
    threads = [Honest(plan, journal, f"h{number}x{i}") for i in range(plan.clients // plan.processes)]
    threads += [Bad(plan, journal, f"b{number}x{i}") for i in range(plan.bad // plan.processes)]
    for thread in threads:
        thread.start()
    plan.ending.wait()
    for thread in threads:
        thread.join(180)
        if thread.is_alive():
            journal.note("torn", f"client-{thread.prefix}-does-not-end", 0)
