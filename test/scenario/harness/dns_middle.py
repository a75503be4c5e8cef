# SPDX-License-Identifier: ISC
"""Somebody between the resolver and the name server, who forwards most and has a way of his own with some."""
import socket
import struct
import threading
import time

from . import dns_wire as dns
from .ports import free_port

PATIENCE_S = 10

# A way takes (query, forward, tcp) and gives the answer, None for none, or RESET. forward(query) asks the name server.
RESET = object()


def drop(query, forward, tcp):
    return None


def servfail(query, forward, tcp):
    return dns.reply(query, dns.SERVFAIL)


def refuse(query, forward, tcp):
    return dns.reply(query, dns.REFUSED)


def deny(query, forward, tcp):
    """Forged: there is no such name, without any proof."""
    return dns.reply(query, dns.NXDOMAIN)


def empty(query, forward, tcp):
    """Forged: there is nothing of that type, without any proof."""
    return dns.reply(query)


def reset(query, forward, tcp):
    """Truncated over UDP, and TCP is reset."""
    return RESET if tcp else dns.reply(query, flags=dns.TRUNCATED)


def garbage(query, forward, tcp):
    return query[:2] + b"\x81\x80\xff\xff" + b"\xc0\x0c" * 20


def strip(query, forward, tcp):
    """The true answer without signatures and proofs: what an old forwarder does that knows no DNSSEC."""
    header, asked, sections = dns.take_apart(forward(query))
    proofs = ("RRSIG", "NSEC", "NSEC3")
    return dns.put_together(header, asked, [[r for r in records if r.type not in proofs] for records in sections])


def tamper(query, forward, tcp):
    """The true answer with the last byte of each record of the type asked for changed."""
    _, kind = dns.question(query)
    header, asked, sections = dns.take_apart(forward(query))
    for record in sections[0]:
        if record.type == kind:
            record.data = record.data[:-1] + bytes([record.data[-1] ^ 1])
    return dns.put_together(header, asked, sections)


def without_data(query, forward, tcp):
    """The true answer, where a TLSA record with one byte of data loses it."""
    header, asked, sections = dns.take_apart(forward(query))
    for record in sections[0]:
        if record.type == "TLSA" and len(record.data) == 4:
            record.data = record.data[:3]
    return dns.put_together(header, asked, sections)


def delay(seconds):
    def way(query, forward, tcp):
        time.sleep(seconds)
        return forward(query)
    return way


def forge(*answers, rcode=dns.NOERROR):
    """Records of our own, each (type, bytes), unsigned and with AD set, which nobody is to believe."""
    return lambda query, forward, tcp: dns.reply(query, rcode, answers, dns.AUTHENTIC)


class DnsMiddle:
    """`server` is what the resolver is told to ask. `asked` lists (name, type) of all that came."""

    def __init__(self, target_port, name="dns-middle"):
        self.name, self.target, self.asked, self.ways, self.everywhere = name, target_port, [], {}, None
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"

    def on(self, name, kind, way):
        """From now on; way None: as everything else. kind None: each type."""
        self.ways[name.lower().rstrip("."), kind] = way

    def on_all(self, way):
        """Whatever has no way of its own."""
        self.everywhere = way

    def times(self, name, kind):
        return self.asked.count((name, kind))

    def start(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self.threads = [threading.Thread(target=work) for work in (self._over_udp, self._over_tcp)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", ("127.0.0.1", self.port))  # what is empty ends it
        for thread in self.threads:
            thread.join()
        self.tcp.close()
        self.udp.close()

    def log(self):
        return "\n".join(f"{kind} {name}" for name, kind in self.asked)

    def answer(self, query, tcp):
        name, kind = dns.question(query)
        self.asked.append((name, kind))
        way = self.ways.get((name, kind)) or self.ways.get((name, None)) or self.everywhere
        forward = self._forward_tcp if tcp else self._forward_udp
        return way(query, forward, tcp) if way else forward(query)

    def _forward_udp(self, query):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE_S)
            s.connect(("127.0.0.1", self.target))
            s.send(query)
            return s.recv(65535)

    def _forward_tcp(self, query):
        with socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE_S) as s, s.makefile("rb") as file:
            s.sendall(struct.pack(">H", len(query)) + query)
            return file.read(*struct.unpack(">H", file.read(2)))

    def _over_udp(self):
        while True:
            query, client = self.udp.recvfrom(65535)
            if not query:
                return
            threading.Thread(target=self._one_over_udp, args=(query, client), daemon=True).start()

    def _one_over_udp(self, query, client):
        try:
            answer = self.answer(query, False)
            if answer is not None and answer is not RESET:
                self.udp.sendto(answer, client)
        except OSError:
            pass  # stopped meanwhile; the resolver asks again, or is gone

    def _over_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._one_over_tcp, args=(peer,), daemon=True).start()

    def _one_over_tcp(self, peer):
        try:
            with peer, peer.makefile("rb") as file:
                while head := file.read(2):
                    answer = self.answer(file.read(*struct.unpack(">H", head)), True)
                    if answer is RESET:
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if answer is not None:
                        peer.sendall(struct.pack(">H", len(answer)) + answer)
        except OSError:
            pass
