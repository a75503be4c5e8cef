# SPDX-License-Identifier: ISC
"""Reads the Maildirs empty, as people do, and writes down what was there."""
import pathlib
import signal
import time

from ledger import Journal
from letters import notice, whole

PAUSE_S = 0.5


def empty(mail, journal):
    """How many letters it has found."""
    ahead_s = time.time() - time.monotonic()
    found = 0
    for box in pathlib.Path(mail).glob("*/*/new"):
        mailbox = f"{box.parent.name}@{box.parent.parent.name}"
        for path in box.iterdir():
            since = path.stat().st_mtime - ahead_s
            content = path.read_bytes()
            told = notice(content) if b"multipart/report" in content[:4096] else None
            if told:
                for recipient in told[1]:
                    journal.note("returned", told[0], recipient, since, at=since)
            else:
                name = whole(content)
                if name:
                    journal.note("taken", name, mailbox, since, at=since)
                else:
                    journal.note("torn", path.name, since)
            path.unlink()
            found += 1
    return found


def serve(folder, mail, done):
    """A process: until it is told that nothing more comes, and has read all of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    journal = Journal(folder, "boxes")
    while True:
        last = done.wait(PAUSE_S)
        while empty(mail, journal):
            pass
        if last:
            return
