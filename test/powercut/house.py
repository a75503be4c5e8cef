# SPDX-License-Identifier: ISC
"""A real Sealpost with queue and mailboxes on the disks that are cut, its clients, and a next hop."""
import contextlib
import os
import random
import re
import shutil
import signal
import threading
import time

from harness import Sealpost, Sink, wait_until
from harness.case import LIBC, PR_SET_CHILD_SUBREAPER, children
from harness.raw import Gone, Raw
from judge import HELD, MAILBOX, NEXT_HOP, REFUSED, compose, whole

JADA = ("jada", Sealpost.PASSWORDS["jada"])
CLIENTS = 4
KILLED = ("porter", "spool", "courier", "front")


class Held(list):
    """Even none is an answer."""

    def __bool__(self):
        return True


class House:
    """folder: for its own files; spool, mail: on the disks that are cut."""

    def __init__(self, folder, program, spool, mail):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)  # the roles are ours to wait for when the supervisor is dead
        self.letters, self.mark = {}, None
        self.sink = Sink(self.sunk)
        self.server = Sealpost(
            folder, program=program, deliver=f"maildir {mail}/{{domain}}/{{local}}", limits="connections-per-client 1000",
            route="to sink.test relay sink\notherwise hold", queue="retry 1s",
            extra=f"relay sink {{\n host 127.0.0.1:{self.sink.port}\n tls none\n}}")
        self.server.spool, self.server.mail = spool, mail
        self.sink.start()

    def sunk(self, content):
        name = whole(content, "torn at the next hop")
        self.mark("sunk", name)
        return name

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
                with contextlib.suppress(ProcessLookupError):  # it has just ended with another one
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
