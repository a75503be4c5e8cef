# SPDX-License-Identifier: ISC
"""Letters that can be known again, and what must be true of them after a cut."""
import hashlib
import re

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
