# SPDX-License-Identifier: ISC
"""What somebody on the wire sees: a proxy that records, and tshark that tries to read the recording."""
import itertools
import re
import select
import socket
import struct
import subprocess
import time

from .acted import Acted
from .case import need

_streams = itertools.count(40000)
SEGMENT_BYTES = 1400


class Wire(Acted):
    """Carries connections to `target` and keeps every byte. port_seen: the server's port in the capture, from which
    tshark knows the protocol: 465, 587, 25."""

    def __init__(self, target, port_seen, name="wire"):
        super().__init__(f"{name}-{port_seen}")
        self.target, self.port_seen, self.connections = target, port_seen, []

    def talk(self, peer):
        pieces = []
        self.connections.append(pieces)
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            other = {peer: server, server: peer}
            while other:
                for end in select.select(list(other), [], [])[0]:
                    piece = end.recv(65536)
                    if piece:
                        pieces.append((end is peer, piece))
                        (server if end is peer else peer).sendall(piece)
                    else:
                        (server if end is peer else peer).shutdown(socket.SHUT_WR)
                        del other[end]

    def seen(self):
        """All that passed, each direction of each connection in one piece."""
        return [b"".join(piece for up, piece in pieces if up is way) for pieces in self.connections for way in (True, False)]


def _packet(up, ports, flags, sequence, payload=b""):
    source, target = ports if up else ports[::-1]
    addresses = [bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])][::1 if up else -1]
    tcp = struct.pack(">HHIIBBHHH", source, target, *sequence, 5 << 4, flags, 65535, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, *addresses) + tcp
    return struct.pack("<IIII", int(time.time()), 0, len(ip), len(ip)) + ip


def write_pcap(path, *wires):
    """The recordings as a capture of TCP connections."""
    syn, ack, fin = 2, 16, 1
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for wire in wires:
            for pieces in wire.connections:
                ports, sent = (next(_streams), wire.port_seen), {True: 1, False: 1}
                out.write(_packet(True, ports, syn, (0, 0)) + _packet(False, ports, syn | ack, (0, 1)))
                out.write(_packet(True, ports, ack, (1, 1)))
                for up, piece in pieces:
                    for at in range(0, len(piece), SEGMENT_BYTES):
                        part = piece[at:at + SEGMENT_BYTES]
                        out.write(_packet(up, ports, ack, (sent[up], sent[not up]), part))
                        sent[up] += len(part)
                out.write(_packet(True, ports, fin | ack, (sent[True], sent[False])))


def decrypt(pcap, keys=(), keylog=None):
    """Whatever tshark can show of a capture, in the clear or decrypted: by private RSA keys, or by a client's secrets."""
    options = [part for key in keys for part in ("-o", f'uat:rsa_keys:"{key}",""')]
    if keylog:
        options += ["-o", f"tls.keylog_file:{keylog}"]
    done = subprocess.run([need("tshark"), "-n", "-r", str(pcap), "-x", *options], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    sources = []
    for line in done.stdout.decode("latin-1").splitlines():
        row = re.match(r"([0-9a-f]{4,6})  ((?:[0-9a-f]{2} )+)", line + " ")
        if row and int(row[1], 16) == 0:
            sources.append(bytearray())
        if row:
            sources[-1] += bytes.fromhex(row[2])
    return [bytes(source) for source in sources]
