# SPDX-License-Identifier: ISC
"""Next hops in every mood. They say of each letter what they have taken before they say 250."""
import random
import signal
import socket
import ssl
import time

from harness.acted import Acted
from letters import whole
from ledger import Journal

PATIENCE_S = 120


class Ends(Exception):
    """The hop hangs up."""


class Hop(Acted):
    """moods: word -> share of the occasions. calm: a shared flag; once set, the hop is like the best of them."""
    name_of = staticmethod(whole)

    def __init__(self, name, port, tls, journal, calm, hang_s, seed, **moods):
        super().__init__(name, ("127.0.0.1", port))
        self.journal, self.calm, self.hang_s, self.moods = journal, calm, hang_s, moods
        self.chance = random.Random(f"{seed}-{name}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*tls)

    def is_in_mood(self, word):
        share = self.moods.get(word, 0)
        return share >= 1 or not self.calm.value and self.chance.random() < share

    def talk(self, peer):
        peer.settimeout(PATIENCE_S)
        try:
            Dialogue(self, peer).run()
        except (Ends, ssl.SSLError):
            pass  # the courier may be killed at any moment


class Counted(Hop):
    """For `sealpost load`, whose letters are known by their recipients."""

    @staticmethod
    def name_of(content):
        return "burst" if content.endswith(b"\r\n") else None


class Dialogue:
    def __init__(self, hop, peer):
        self.hop, self.peer, self.pending = hop, peer, b""
        self.since, self.recipients, self.has_sender = 0, [], False

    def say(self, text):
        if self.hop.is_in_mood("slow"):
            time.sleep(self.hop.chance.uniform(0.1, 1))  # what it is to be slow; nothing waits for its end
        self.peer.sendall(text.encode() + b"\r\n")

    def hang(self):
        time.sleep(self.hop.chance.uniform(0.2, 1) * self.hop.hang_s)
        raise Ends

    def line(self):
        while b"\r\n" not in self.pending:
            piece = self.peer.recv(1 << 16)
            if not piece:
                raise Ends
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line.decode("latin-1")

    def content(self):
        """Up to CRLF . CRLF, the line end of DATA included: a content may be empty."""
        self.pending = b"\r\n" + self.pending
        pieces, tail = [self.pending], self.pending[-4:]
        end = self.pending.find(b"\r\n.\r\n")
        cut_after = self.hop.chance.randrange(1 << 15) if self.hop.is_in_mood("cut in content") else None
        taken = len(self.pending)
        while end < 0:
            piece = self.peer.recv(1 << 18)
            if not piece or cut_after is not None and taken > cut_after:
                raise Ends
            seen = (tail + piece).find(b"\r\n.\r\n")
            if seen >= 0:
                end = taken - len(tail) + seen
            pieces.append(piece)
            taken += len(piece)
            tail = (tail + piece)[-4:]
        all_of_it = b"".join(pieces)
        self.pending = all_of_it[end + 5:]
        return all_of_it[2:end + 2]

    def run(self):
        if self.hop.is_in_mood("no greeting"):
            self.hang()
        if self.hop.is_in_mood("421"):
            self.say("421 4.3.2 not now")
            raise Ends
        self.say("220 hop.test ESMTP")
        while True:
            line = self.line()
            getattr(self, "on_" + line[:4].strip().lower(), self.on_other)(line)

    def on_other(self, line):
        self.say("250 2.0.0 well")

    def on_ehlo(self, line):
        starttls = "" if isinstance(self.peer, ssl.SSLSocket) else "250-STARTTLS\r\n"
        self.say(f"250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 60000000\r\n{starttls}250 ENHANCEDSTATUSCODES")

    def on_star(self, line):
        self.say("220 2.0.0 go ahead")
        self.peer = self.hop.context.wrap_socket(self.peer, server_side=True)

    def on_mail(self, line):
        self.since, self.recipients, self.has_sender = time.monotonic(), [], not self.hop.is_in_mood("451")
        self.say("250 2.1.0 well" if self.has_sender else "451 4.3.0 not today")

    def on_rcpt(self, line):
        recipient = line[line.index("<") + 1:line.index(">")]
        if not self.has_sender:
            self.say("503 5.5.1 from whom?")
        elif self.hop.is_in_mood("450"):
            self.say("450 4.2.1 come again")
        elif self.hop.is_in_mood("550"):
            self.hop.journal.note("declined", recipient.partition(".")[0], recipient)
            self.say("550 5.1.1 nobody of that name")
        else:
            self.recipients.append(recipient)
            self.say("250 2.1.5 well")

    def on_data(self, line):
        if not self.recipients:
            self.say("554 5.5.1 to whom?")
            return
        if self.hop.is_in_mood("hang"):
            self.hang()
        self.say("354 go")
        name = self.hop.name_of(self.content())
        if self.hop.is_in_mood("452"):
            self.say("452 4.3.1 full")
        elif self.hop.is_in_mood("554"):
            self.note("declined", name)
            self.say("554 5.6.0 not that")
        elif self.hop.is_in_mood("hang at the dot"):
            self.hang()
        elif self.hop.is_in_mood("cut at the dot"):
            self.note("cut", name, self.since)
            raise Ends
        else:
            self.note("taken", name, self.since)
            self.say("250 2.0.0 taken")

    def note(self, word, name, *more):
        for recipient in self.recipients:
            if name is None:
                self.hop.journal.note("torn", f"what-came-to-{recipient}", self.since)
            else:
                self.hop.journal.note(word, name, recipient, *more)

    def on_quit(self, line):
        self.say("221 2.0.0 bye")
        raise Ends


MOODY = {"421": 0.03, "451": 0.03, "450": 0.05, "550": 0.03, "hang": 0.005, "cut in content": 0.02, "452": 0.03, "554": 0.02,
         "hang at the dot": 0.005, "cut at the dot": 0.02}
SLOW = {"slow": 0.7, "no greeting": 0.02}
DEAD = {"451": 1}
HURRIED = {"452": 0.05, "cut at the dot": 0.02}


def serve(folder, ports, tls, calm, hang_s, seed, ready):
    """A process: four hops, until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    journal = Journal(folder, "hops")
    for name, moods in (("good", {}), ("moody", MOODY), ("slow", SLOW), ("dead", DEAD)):
        Hop(name, ports[name], tls, journal, calm, hang_s, seed, **moods).start()
    ready.set()
    signal.pause()


def serve_bursts(folder, port, tls, calm, seed, ready):
    """A process: one hop, until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Counted("bulk", port, tls, Journal(folder, "bulk"), calm, 0, seed, **HURRIED).start()
    ready.set()
    signal.pause()
