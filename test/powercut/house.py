# SPDX-License-Identifier: ISC
"""A real Sealpost with queue and mailboxes on the disks that are cut, its clients, a next hop, and the judge."""
import hashlib
import os
import random
import re
import shutil
import signal
import threading
import time

from harness import Acted, Sealpost, wait_until
from harness.case import LIBC, PR_SET_CHILD_SUBREAPER, children
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
CLIENTS = 4
KILLED = ("porter", "spool", "courier", "front")
MAILBOX, NEXT_HOP, HELD, REFUSED = "sam@example.test", "to@sink.test", "keep@held.test", "no@sink.test"
TEXT = re.compile(rb"BEGIN (\S+) (\w+)\n(.*?)\nEND \1\n", re.S)


def compose(name, chance):
    """A letter that can be known again and known to be whole, wherever it turns up."""
    lines = [f"{chance.getrandbits(200):x}" for _ in range(int(2 ** chance.uniform(1, 12)))]
    total = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = ["From: jada@example.test", f"Subject: {name}", "", f"BEGIN {name} {total}", *lines, f"END {name}", ""]
    return "\r\n".join(text).encode()


def whole(content, otherwise):
    """The letter's name, or otherwise, if this is not all of it."""
    found = TEXT.search(content.replace(b"\r\n", b"\n"))
    if not found or hashlib.sha256(found[3]).hexdigest() != found[2].decode():
        return otherwise
    return found[1].decode()


class Sink(Acted):
    """A next hop: refuses `no`, takes everything else, and tells whom() before it says 250."""

    def __init__(self, whom):
        super().__init__("sink")
        self.whom = whom

    def talk(self, peer):
        with peer.makefile("rb") as lines:
            peer.sendall(b"220 sink.test ESMTP\r\n")
            for line in lines:
                word = line.strip().upper()
                if word == b"DATA":
                    peer.sendall(b"354 go\r\n")
                    content = b""
                    for text in lines:
                        if text == b".\r\n":
                            self.whom(whole(content, "torn at the next hop"))
                            break
                        content += text
                    else:
                        return
                if word.startswith(b"RCPT TO:<NO@"):
                    peer.sendall(b"550 5.1.1 nobody of that name\r\n")
                else:
                    peer.sendall(b"250 ok\r\n")


class Held(list):
    """Even none is an answer."""

    def __bool__(self):
        return True


class House:
    """folder: for its own files; spool, mail: on the disks that are cut."""

    def __init__(self, folder, program, spool, mail):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)  # the roles are ours to wait for when the supervisor is dead
        self.letters, self.mark = {}, None
        self.sink = Sink(lambda name: self.mark("sunk", name))
        self.server = Sealpost(
            folder, program=program, deliver=f"maildir {mail}/{{domain}}/{{local}}", limits="connections-per-client 1000",
            route="to sink.test relay sink\notherwise hold", queue="retry 1s",
            extra=f"relay sink {{\n host 127.0.0.1:{self.sink.port}\n tls none\n}}")
        self.server.spool, self.server.mail = spool, mail
        self.sink.start()

    def furnish(self):
        """What an administrator makes, long before."""
        self.server.mail.mkdir()
        shutil.chown(self.server.mail, "nobody")

    def close(self):
        self.sink.stop()

    def start(self, program):
        self.others = {pid for pid, _ in children()}
        self.server.program = program
        self.server.start()

    def kill(self):
        """Nothing of it is left then that could hold the file system."""
        self.server.kill()
        wait_until(lambda: {pid for pid, _ in children()} <= self.others, "the last role to end")

    # -- while mail flows --------------------------------------------------------------------------

    def run(self, program, mark, number, seed, with_kills):
        """Four clients hand in so many letters each, while roles are killed or not; in the end every process is."""
        self.mark, self.done, self.troubles = mark, 0, []
        self.start(program)
        threads = [threading.Thread(target=self.hand_in, args=(f"{seed}-{which}", number)) for which in range(CLIENTS)]
        for thread in threads:
            thread.start()
        if with_kills:
            self.kill_roles(number * CLIENTS, random.Random(seed))
        for thread in threads:
            thread.join()
        self.kill()
        assert not self.troubles, f"{self.troubles}\n{self.server.log()[-4000:]}"

    def kill_roles(self, in_all, chance):
        """One after the other, at moments that are spread over the run."""
        roles = list(KILLED) * 3
        chance.shuffle(roles)
        for i, role in enumerate(roles):
            goal = in_all * (i + chance.random()) / len(roles)
            wait_until(lambda: self.done >= goal or self.troubles, "letters to be taken")
            pid = self.server.roles().get(role)
            if pid:
                self.mark("killed", role)
                os.kill(pid, signal.SIGKILL)

    def hand_in(self, prefix, number):
        chance, end, left = random.Random(prefix), time.monotonic() + 120, number
        try:
            while left > 0:
                assert time.monotonic() < end, f"{prefix}: {left} letters were not taken in two minutes"
                try:
                    with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA) as client:
                        while left > 0:
                            self.one(client, f"letter-{prefix}-{len(self.letters)}", chance)
                            left -= 1
                            self.done += 1
                except (Gone, OSError):
                    time.sleep(0.02)  # a role was killed: knock again
        except AssertionError as trouble:
            self.troubles.append(trouble)

    def one(self, client, name, chance):
        to = [who for who, share in ((MAILBOX, 0.8), (NEXT_HOP, 0.4), (HELD, 0.15), (REFUSED, 0.1))
              if chance.random() < share] or [MAILBOX]
        content = compose(name, chance)
        self.letters[name] = to
        if client.cmd("MAIL FROM:<jada@example.test>")[0] != 250:
            raise Gone("not now")
        for recipient in to:
            if client.cmd(f"RCPT TO:<{recipient}>")[0] != 250:
                raise Gone("not now")
        if client.cmd("DATA")[0] != 354:
            raise Gone("not now")
        if chance.random() < 0.05:
            client.send(content[:-10])
            raise Gone("in the middle")
        client.send(content)
        self.mark("dot", name)
        client.send(b".\r\n")
        if client.reply()[0] != 250:
            raise Gone("not now")
        self.mark("250", name)

    # -- after the cut -------------------------------------------------------------------------------

    def recover(self, program):
        """Starts again on what is mounted now; what is there when nothing more is to be done, by place."""
        found = {NEXT_HOP: []}
        self.mark = lambda word, name: found[NEXT_HOP].append(name)
        self.start(program)
        try:
            held = wait_until(self.all_held, "a queue in which nothing is due", 20)
            found[HELD] = [self.body(queue_id) for queue_id in held]
            self.refuse_damage()
        finally:
            self.kill()
        found[MAILBOX] = [whole(path.read_bytes(), f"torn {path.name}") for path in self.mailbox("sam")]
        found[REFUSED] = [name for path in self.mailbox("jada")
                          for name in re.findall(r"^Subject: (letter-\S+)", path.read_text(), re.M)]
        return found

    def refuse_damage(self):
        damaged = self.server.lines("queue-damaged")
        assert not damaged, damaged[0]

    def all_held(self):
        """Queue ids of what is held, once there is nothing else."""
        self.refuse_damage()
        if "queue is empty" in self.server.queue("list", status=None):
            return Held()
        rows = self.server.queue_list()
        if not rows or any(row["state"] != "held" for row in rows):
            return None
        return Held(row["id"] for row in rows)

    def body(self, queue_id):
        return whole(self.server.queue("show", "--body", queue_id).encode(), f"torn {queue_id}")

    def mailbox(self, user):
        return sorted((self.server.mail / "example.test" / user / "new").glob("*"))


class History:
    """What people outside have seen, over one life of the disk or several, each ended by a cut."""

    def __init__(self, *lives):
        self.lives = lives  # (log, where it was cut)

    def told(self, word):
        return [name for log, cut_at in self.lives for name in log.told(word, cut_at)]


def judge(letters, history, found):
    """What is wrong, in words; found is what recover() gave."""
    troubles = []
    acknowledged, ended = history.told("250"), set(history.told("dot"))
    before = {NEXT_HOP: history.told("sunk")}
    for name in acknowledged:
        troubles += [f"{name} is lost on its way to {to}" for to in letters[name]
                     if name not in before.get(to, []) + found[to]]
    for place, names in found.items():
        troubles += [f"at {place} is {name}, which has no end" for name in names if name not in ended]
        # One more for each crash or kill at a next hop; a mailbox has everything once.
        allowed = 1 + len(history.lives) + len(history.told("killed")) if place == NEXT_HOP else 1
        troubles += [f"{name} is too often at {place}" for name in set(names)
                     if (before.get(place, []) + names).count(name) > allowed]
    return troubles
