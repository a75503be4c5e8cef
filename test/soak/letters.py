# SPDX-License-Identifier: ISC
"""Letters that can be known again, and known to be whole, wherever they turn up."""
import email
import email.policy
import hashlib
import random
import re
import zlib

MARK = re.compile(rb"^X-Soak: (\S+) (\w+)\r?$", re.M)
LINE = 76
_chance = random.Random(0)
BLOCK = b"".join(b"%0*x\n" % (LINE - 1, _chance.getrandbits(4 * (LINE - 1))) for _ in range(4096))


def compose(name, size, sender, to):
    """About so many octets, with CRLF, no line that begins with a dot, and no final dot."""
    count = max(1, size // (LINE + 1))
    start = zlib.crc32(name.encode()) % 4096 * LINE
    body = (BLOCK[start:] + BLOCK * (count * LINE // len(BLOCK) + 1))[:count * LINE]
    total = hashlib.sha256(body).hexdigest()
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: {name}\r\nX-Soak: {name} {total}\r\n\r\n"
    return head.encode() + body.replace(b"\n", b"\r\n")


def whole(content):
    """The letter's name; None if this is not all of one."""
    content = content.replace(b"\r\n", b"\n")
    head, _, body = content.partition(b"\n\n")
    found = MARK.search(head)
    if not found or hashlib.sha256(body).hexdigest() != found[2].decode():
        return None
    return found[1].decode()


def notice(content):
    """(name, recipients that are given up) if this is a notice about one of our letters; those that only wait are none."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    if message.get_content_type() != "multipart/report":
        return None
    parts = list(message.iter_parts())
    found = MARK.search(content)
    if len(parts) != 3 or not found:
        return None
    failed = []
    for block in parts[1].get_payload()[1:]:
        if block["Action"] == "failed":
            failed.append(block["Final-Recipient"].partition(";")[2].strip())
    return found[1].decode(), failed


def a_size(chance):
    """1 KB to 10 MB: most letters are small, most octets are in large ones."""
    share = chance.random()
    low, high = (1e3, 2e4) if share < 0.82 else (2e4, 2e5) if share < 0.975 else (2e5, 2e6) if share < 0.996 else (5e6, 1e7)
    return int(low * (high / low) ** chance.random())
