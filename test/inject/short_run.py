# SPDX-License-Identifier: ISC
"""A short run of a server that meets a fault, and the oracle over what came out of it."""
import collections
import functools
import hashlib
import json
import re
import socket
import ssl
import subprocess
import time

from harness import Acted, Sealpost, wait_until
from harness.case import children
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
TRY_S = 15       # a client that hears nothing for so long goes away
RUN_S = 40       # after the fault everything is settled within this ...
DNS_S = 110      # ... but the DNS library remembers for a minute what it could not validate
END = b"the end of it"


class Sink(Acted):
    """A next hop that takes everything but for refuse@, and keeps what it took with its recipient."""

    def __init__(self):
        super().__init__("sink")
        self.taken = []

    def talk(self, peer):
        with peer.makefile("rb") as lines:
            peer.sendall(b"220 sink.test ESMTP\r\n")
            to = []
            for line in lines:
                word = line.strip().upper()
                answer = b"250 ok\r\n"
                if word.startswith(b"MAIL"):
                    to = []
                elif word.startswith(b"RCPT"):
                    address = re.search(rb"<([^>]*)>", line).group(1).decode()
                    if address.startswith("refuse"):
                        answer = b"550 5.1.1 nobody of that name\r\n"
                    else:
                        to.append(address)
                elif word == b"DATA":
                    peer.sendall(b"354 go\r\n")
                    content = b""
                    for text in lines:
                        if text == b".\r\n":
                            break
                        content += text
                    else:
                        return
                    self.taken += [(address, content) for address in to]
                peer.sendall(answer)


def tag_of(content):
    found = re.search(rb"^Subject: (letter [^\r\n]+)", content, re.M)
    return found.group(1).decode() if found else None


class Letter:
    """What is handed in again and again, each time under another subject, until one try is told 250."""

    def __init__(self, name, door, recipients, lines):
        self.name, self.door, self.recipients, self.lines = name, door, recipients, lines

    def content(self, subject):
        return (f"From: jada@example.test\r\nTo: {self.recipients[0]}\r\nSubject: {subject}\r\n"
                f"Date: Sat, 21 Nov 2026 03:00:00 +0000\r\nMessage-ID: <{unique_id()}@client.test>\r\n\r\n").encode() + \
            body_of(self.lines) + END + b"\r\n"


@functools.lru_cache(maxsize=None)
def body_of(lines):
    return b"".join(b"%06d %s\r\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode()) for i in range(lines))


TO_MAILBOX, TO_SINK, REFUSED = "sam@example.test", "one@sink.test", "refuse@sink.test"
LETTERS = (
    Letter("mx", "mx", (TO_MAILBOX,), 3),
    Letter("three", "submissions", (TO_MAILBOX, TO_SINK, REFUSED), 3),
    Letter("long", "submissions", (TO_SINK, TO_MAILBOX), 2500),  # three chunks
)
FRESH = Letter("fresh", "submissions", (TO_MAILBOX, TO_SINK), 3)


class Lost(AssertionError):
    """The oracle says no."""


class ShortRun:
    def __init__(self, rig, sink, point=None, measure=None, plant=None):
        self.rig, self.sink, self.point, self.measure, self.plant = rig, sink, point, measure, plant
        self.accepted, self.unfinished, self.tried = {}, set(), {}
        self.refused_to_start, self.slow_s, self.notes = 0, 0.0, []
        self.crashes_before, self.fired_before, self.fired_during = 0, False, False

    # ---- the client ----

    def client(self, door):
        if door == "mx":
            connection = Raw(self.rig.port_mx)
        else:
            connection = Raw(self.rig.port_submissions, self.rig.authority, "implicit", login=JADA)
        connection.socket.settimeout(TRY_S)
        return connection

    def once(self, letter):
        subject = f"letter {letter.name} {unique_id()}"
        content = letter.content(subject)
        with self.client(letter.door) as client:
            client.mail("jada@example.test" if letter.door != "mx" else "a@elsewhere.test", *letter.recipients)
            client.expect("DATA", 354)
            self.tried[subject] = (letter, content)
            client.send(content + b".\r\n")
            if client.reply()[0] != 250:
                return False
        self.accepted[subject] = letter
        return True

    def hand_in(self, letter):
        end = time.monotonic() + RUN_S
        while True:
            started = time.monotonic()
            try:
                done = self.once(letter)
            except (AssertionError, OSError, Gone, ssl.SSLError, ValueError):
                done = False
            self.slow_s = max(self.slow_s, time.monotonic() - started)
            if done:
                return
            if time.monotonic() > end:
                raise Lost(f"no letter passes: {letter.name}")
            if not self.rig.process.alive():
                self.start_again()
            time.sleep(0.01)  # it is down; knock again

    def half(self):
        """DATA that breaks off before its final dot."""
        subject = f"letter half {unique_id()}"
        self.unfinished.add(subject)
        try:
            with self.client("mx") as client:
                client.mail("a@elsewhere.test", TO_MAILBOX)
                client.expect("DATA", 354)
                client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nhalf a let")
        except (AssertionError, OSError, Gone, ssl.SSLError, ValueError):
            pass

    # ---- the course ----

    def start_again(self):
        """The server has ended by itself, or with its supervisor: nothing of it may be left, and a new start works at once."""
        if self.point is None or self.refused_to_start:
            raise Lost(f"the server ended by itself: {self.rig.process.popen.returncode}")
        self.refused_to_start += 1
        status = self.rig.process.popen.returncode
        if status == 0:
            raise Lost("the server ended with status 0")
        if self.point.role != "supervisor" or self.point.kind != "KILL":
            self.notes.append(f"ended with status {status}: {last_words(self.rig.log())}")
        self.crashes_before = self.rig.died() + 1
        self.fired_before = self.rig.fired()
        self.rig.end()
        wait_until(lambda: not [c for c in children() if c[1] == "sealpost"], "every role to go with its supervisor", 10)
        self.rig.notify.close()
        self.rig.start()

    def run(self):
        rig, point = self.rig, self.point
        rig.start(point, self.measure, wait=False)
        try:
            try:
                rig.wait_ready()
            except AssertionError:
                if rig.process.alive():
                    raise Lost("not ready, and not ended") from None
                self.start_again()
            if self.measure:
                rig.mark_ready()
            if point and point.life == "again" and not self.refused_to_start:
                rig.kill_role(point.role)
            for letter in LETTERS:
                self.hand_in(letter)
            self.half()
            self.hand_in(FRESH)
            self.settle()
            if self.plant:
                PLANTS[self.plant](self)
            self.fired_during = self.fired_before or rig.fired()
            self.judge()
        finally:
            self.stop()
        return self

    def stop(self):
        process = self.rig.process
        if process is None:
            return
        try:
            self.rig.stop()
        except AssertionError as trouble:
            # A supervisor that meets its fault while it stops may say so; everything is settled by now.
            if not (self.point and self.point.role == "supervisor") or "did not stop" in str(trouble):
                raise
        finally:
            self.rig.end()
        wait_until(lambda: not [c for c in children() if c[1] == "sealpost"], "every role to end with its supervisor", 10)

    def mailbox(self, user):
        return [path.read_bytes() for path in (self.rig.mail / "example.test" / user / "new").glob("*")]

    def settle(self):
        look_s = time.monotonic() + 5

        def settled():
            if not self.rig.process.alive():
                self.start_again()
            if not self.all_there() and time.monotonic() < look_s:
                return False  # to ask costs more
            listing = self.rig.queue("list", "--json", status=None)
            self.left = [json.loads(line) for line in listing.splitlines() if line.startswith("{")]
            return (not self.left and "error" not in listing and self.all_there()) or \
                (self.left and all(entry["state"] == "held" for entry in self.left))
        end = time.monotonic() + (DNS_S if self.point and self.point.role == "resolver" else RUN_S)
        while not settled_once(settled):
            if time.monotonic() > end:
                raise Lost(f"not settled: {self.left} missing {self.missing()}")
            time.sleep(0.02)  # between two looks
        if self.left:
            self.notes.append(f"held: {[e.get('last_reply') for e in self.left]}")
            self.rig.queue("release", "--all", status=None)
            wait_until(self.all_there, "what was held and is released", 20)

    # ---- the oracle ----

    def counts(self):
        counts = collections.Counter()
        for place, contents in ((TO_MAILBOX, self.mailbox("sam")), (TO_SINK, [c for _, c in self.sink.taken])):
            for content in contents:
                counts[place, tag_of(content)] += 1
        for report in self.mailbox("jada"):
            counts[REFUSED, tag_of(report)] += 1
        return counts

    def missing(self):
        counts = self.counts()
        missing = [(place, subject) for subject, letter in self.accepted.items() for place in letter.recipients
                   if counts[place, subject] == 0]
        # A notice that was written while the content could not be read tells of the recipient, and returns no header.
        for entry in [entry for entry in missing if entry[0] == REFUSED][:counts[REFUSED, None]]:
            missing.remove(entry)
        return missing

    def all_there(self):
        return not self.missing()

    def judge(self):
        rig = self.rig
        if self.missing():
            raise Lost(f"accepted and gone: {self.missing()}")
        crashes = rig.died() + self.crashes_before
        if self.fired_during and not crashes:
            crashes = 1  # an outcome that could not be kept
        counts = self.counts()
        for (place, subject), n in counts.items():
            if subject in self.unfinished:
                raise Lost(f"without its final dot: {subject} at {place}")
            if subject in self.tried and n > 1 + (crashes if place == TO_SINK else 0):
                raise Lost(f"{n} times: {subject} at {place}, {crashes} crashes")
        for content in self.mailbox("sam") + [c for _, c in self.sink.taken]:
            letter, sent = self.tried.get(tag_of(content), (None, None))
            if letter and not content.replace(b"\r\n", b"\n").endswith(sent.replace(b"\r\n", b"\n")):
                raise Lost(f"not what was sent: {tag_of(content)}")


# ---- faults on purpose, which the oracle must see ----

def place_of(run, name):
    """Where an accepted letter lies in its mailbox."""
    subject = next(s for s, letter in run.accepted.items() if letter.name == name)
    return next(p for p in (run.rig.mail / "example.test" / "sam" / "new").glob("*") if tag_of(p.read_bytes()) == subject)


def plant_half(run):
    subject = next(iter(run.unfinished))
    place_of(run, "mx").with_name("half").write_bytes(f"Subject: {subject}\r\n\r\nhalf a let".encode())


PLANTS = {
    "lost": lambda run: place_of(run, "mx").unlink(),
    "lost at the next hop": lambda run: run.sink.taken.clear(),
    "twice": lambda run: place_of(run, "mx").with_name("copy").write_bytes(place_of(run, "mx").read_bytes()),
    "cut": lambda run: place_of(run, "long").write_bytes(place_of(run, "long").read_bytes()[:-100]),
    "half": plant_half,
}


def settled_once(look):
    try:
        return look()
    except subprocess.TimeoutExpired:
        return False


def last_words(log):
    lines = [line for line in log.splitlines() if " error " in line or " warn " in line or not line.startswith("20")]
    return lines[-1][:300] if lines else "no word"
