# SPDX-License-Identifier: ISC
"""DNS messages as bytes: just enough to know what is asked, and to take an answer apart and put it together again."""
import dataclasses
import struct

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "DS": 43, "RRSIG": 46, "NSEC": 47,
         "DNSKEY": 48, "NSEC3": 50, "TLSA": 52, "OPT": 41}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TRUNCATED, AUTHENTIC = 0x0200, 0x0020


@dataclasses.dataclass
class Record:
    """name: as bytes of the wire, uncompressed. data: as it is in the message; compressed names in it stay what they are."""
    name: bytes
    type: str
    cls: int
    ttl: int
    data: bytes


def name_to_wire(text):
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(message, at):
    """(the name uncompressed, where it ends)."""
    out, end = b"", None
    while (length := message[at]) != 0:
        if length >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
            continue
        out += message[at:at + 1 + length]
        at += 1 + length
    return out + b"\0", end or at + 1


def name_to_text(wire):
    labels, at = [], 0
    while wire[at]:
        labels.append(wire[at + 1:at + 1 + wire[at]].decode("latin-1"))
        at += 1 + wire[at]
    return ".".join(labels).lower() or "."


def question(message):
    """(name as text, type) of what is asked."""
    name, at = read_name(message, 12)
    number = struct.unpack_from(">H", message, at)[0]
    return name_to_text(name), NAMES.get(number, str(number))


def ask(name, kind, number=1):
    """A question that wants signatures (RFC 3225), and is not checked on the way."""
    return (struct.pack(">HHHHHH", number, 0x0110, 1, 0, 0, 1) + name_to_wire(name) + struct.pack(">HH", TYPES[kind], 1) +
            b"\0" + struct.pack(">HHIH", TYPES["OPT"], 4096, 0x8000, 0))


def take_apart(message):
    """The header's six numbers, the question as bytes, and three lists of records."""
    header = struct.unpack_from(">HHHHHH", message)
    _, at = read_name(message, 12)
    asked, at = message[12:at + 4], at + 4
    sections = []
    for count in header[3:]:
        records = []
        for _ in range(count):
            name, at = read_name(message, at)
            kind, cls, ttl, length = struct.unpack_from(">HHIH", message, at)
            data = message[at + 10:at + 10 + length]
            if kind in (TYPES["MX"], TYPES["CNAME"], TYPES["NS"], TYPES["PTR"]):
                skip = 2 if kind == TYPES["MX"] else 0
                data = data[:skip] + read_name(message, at + 10 + skip)[0]
            elif kind == TYPES["SOA"]:
                first, middle = read_name(message, at + 10)
                second, end = read_name(message, middle)
                data = first + second + message[end:at + 10 + length]
            records.append(Record(name, NAMES.get(kind, str(kind)), cls, ttl, data))
            at += 10 + length
        sections.append(records)
    return list(header), asked, sections


def put_together(header, asked, sections):
    out = struct.pack(">HHHHHH", header[0], header[1], header[2], *map(len, sections)) + asked
    for record in (r for records in sections for r in records):
        number = TYPES.get(record.type) or int(record.type)
        out += record.name + struct.pack(">HHIH", number, record.cls, record.ttl, len(record.data)) + record.data
    return out


def reply(query, rcode=NOERROR, answers=(), flags=0):
    """An answer of our own making, without any signature. answers: (type, data) for the name asked for."""
    header, asked, _ = take_apart(query)
    name, _ = read_name(asked, 0)
    records = [Record(name, kind, 1, 60, data) for kind, data in answers]
    return put_together([header[0], 0x8180 | flags | rcode, 1], asked, [records, [], []])
