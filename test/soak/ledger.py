# SPDX-License-Identifier: ISC
"""What everybody has seen, each in a journal of its own, and what must be true of all of it together.

A journal's line: the time (CLOCK_MONOTONIC, the same for all processes), a word, then what belongs to the word.

    client    offered ID RECIPIENT,...        recipients that were taken; before the final dot is sent
              accepted ID                     the final 250 has been read
              refused ID CODE                 ... or this reply
    hop       taken ID RECIPIENT SINCE        before 250 is said; SINCE is when this transaction began
              cut ID RECIPIENT SINCE          the same, but 250 is never said
              declined ID RECIPIENT           5yz
    boxes     taken ID MAILBOX SINCE
              returned ID RECIPIENT SINCE     a notice says so
              torn NAME SINCE                 what is not whole, or nobody's
    main      killed ROLE
"""
import collections
import os
import pathlib
import time

# Whose death may lead to what: it takes with it what it had in hand, and what its neighbours were about to hear of it.
AT_HOP, IN_BOX, TO_CLIENT = ("spool", "courier"), ("spool", "porter"), ("spool", "front")
BEFORE_S, AFTER_S = 2.0, 5.0


class Journal:
    """Lines are whole, and there before the next thing happens."""

    def __init__(self, folder, name):
        self.fd = os.open(pathlib.Path(folder) / f"{name}.journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, word, *rest, at=None):
        now = time.monotonic() if at is None else at
        os.write(self.fd, " ".join((f"{now:.3f}", word, *map(str, rest))).encode() + b"\n")


def read(folder):
    """Every line of all journals, by time."""
    rows = []
    for path in pathlib.Path(folder).glob("*.journal"):
        for line in path.read_text().splitlines():
            at, word, *rest = line.split(" ")
            rows.append((float(at), word, rest))
    return sorted(rows, key=lambda row: row[0])


def judge_bursts(rows, told):
    """(different letters that came, troubles). told: {burst: (letters that were accepted, letters of which nobody knows)}"""
    came, troubles = collections.defaultdict(set), []
    for _, word, rest in rows:
        if word == "torn":
            troubles.append(f"{rest[0]} is not whole")
        elif word == "taken":
            came[int(rest[1].partition("@")[0].partition("-")[2])].add(rest[1])
    for burst, (accepted, unknown) in told.items():
        if not accepted <= len(came[burst]) <= accepted + unknown:
            troubles.append(f"in burst {burst} {accepted} letters were accepted, of {unknown} nobody knows, "
                            f"and {len(came[burst])} different ones came")
    troubles += [f"burst {burst}, which never was, has {len(letters)} letters" for burst, letters in came.items() if burst not in told]
    return sum(map(len, came.values())), troubles


class Ledger:
    """queued: (id, recipient) of what is still in the queue at the end."""

    def __init__(self, rows, queued=()):
        self.offered, self.accepted, self.refused = {}, set(), {}
        self.taken = collections.defaultdict(list)     # (id, recipient) -> [(since, until)], 250 was said
        self.cut = collections.defaultdict(list)       # the same, 250 was not said
        self.returned = collections.defaultdict(list)  # (id, recipient) -> [(since, until)]
        self.declined, self.torn, self.killed, self.queued = set(), [], [], set(queued)
        for at, word, rest in rows:
            getattr(self, f"_{word}")(at, *rest)

    def _offered(self, at, name, recipients):
        self.offered[name] = (at, recipients.split(","))

    def _accepted(self, at, name):
        self.accepted.add(name)

    def _refused(self, at, name, code):
        self.refused[name] = (at, code)

    def _taken(self, at, name, recipient, since):
        self.taken[name, recipient].append((float(since), at))

    def _cut(self, at, name, recipient, since):
        self.cut[name, recipient].append((float(since), at))

    def _declined(self, at, name, recipient):
        self.declined.add((name, recipient))

    def _returned(self, at, name, recipient, since):
        self.returned[name, recipient].append((float(since), at))

    def _torn(self, at, name, since):
        self.torn.append(name)

    def _killed(self, at, role):
        self.killed.append((at, role))

    # -- what must be true -------------------------------------------------------------------------

    def disturbed(self, roles, since, until):
        """Did one of these roles die near this?"""
        return any(role in roles and since - BEFORE_S <= at <= until + AFTER_S for at, role in self.killed)

    @staticmethod
    def _roles(recipient):
        return IN_BOX if recipient.endswith("@example.test") else AT_HOP

    def pairs(self):
        """What we have been told 250 for."""
        return [(name, recipient) for name in self.accepted for recipient in self.offered[name][1]]

    def judge(self):
        """(troubles in words, counts by word)"""
        counts, troubles = collections.Counter(), [f"{name} is not whole" for name in self.torn]
        for pair in self.pairs():
            counts["accepted"] += 1
            fate = [word for word in ("taken", "cut", "returned", "queued") if pair in getattr(self, word)]
            counts[fate[0] if fate else "LOST"] += 1
            if not fate:
                troubles.append(f"{pair[0]} to {pair[1]} was accepted, and is nowhere")
        self._judge_repeated(counts, troubles)
        self._judge_unasked(counts, troubles)
        return troubles, counts

    def _judge_repeated(self, counts, troubles):
        for pair, times in self.taken.items():
            if len(times) > 1:
                counts["twice, a role had died"] += len(times) - 1
                times.sort(key=lambda t: t[1])
                troubles += [f"{pair[0]} came to {pair[1]} again, and nobody had died at the first time"
                             for since, until in times[:-1] if not self.disturbed(self._roles(pair[1]), since, until)]
            if pair in self.cut:
                counts["twice, the 250 was cut off"] += 1
        for pair, times in self.returned.items():
            if len(times) > 1:
                counts["told of twice"] += len(times) - 1
                troubles += [f"of {pair[0]} to {pair[1]} its sender was told again, and nobody had died"
                             for since, until in times[:-1] if not self.disturbed(IN_BOX, since, until)]
            if pair in self.taken and not any(self.disturbed(self._roles(pair[1]), *t) for t in self.taken[pair]):
                troubles.append(f"{pair[0]} to {pair[1]} was taken, and returned as well")

    def _judge_unasked(self, counts, troubles):
        for pair in [*self.taken, *self.cut, *self.returned]:
            name, recipient = pair
            _, recipients = self.offered.get(name, (0, ()))
            if recipient not in recipients:
                troubles.append(f"{name} came to {recipient}, which nobody had asked for or ended")
            elif name in self.refused:
                at, code = self.refused[name]
                counts["refused, and came all the same"] += 1
                if not self.disturbed(TO_CLIENT, at, at):
                    troubles.append(f"{name} was refused with {code}, and came to {recipient} all the same; nobody had died")
            elif name not in self.accepted:
                counts["came, its 250 was lost"] += 1
