# SPDX-License-Identifier: ISC
"""The HTTPS server behind mta-sts.DOMAIN (RFC 8461 3.3), right or wrong in every way that a policy host can be.

    host = self.start(PolicyHost(address(), authority))
    host.serve("one.test", policy("enforce", "mx.one.test"))
    host.serve("two.test", policy("enforce", "mx.two.test"), way=slow(30))
"""
import gzip
import ssl
import threading

from .acted import Acted

PATH = "/.well-known/mta-sts.txt"
HANDSHAKE_S, REQUEST_MAX = 10, 64 << 10


def policy(mode, *patterns, max_age=86400, version="STSv1", end="\r\n"):
    lines = [f"version: {version}", f"mode: {mode}", *(f"mx: {pattern}" for pattern in patterns), f"max_age: {max_age}"]
    return (end.join(lines) + end).encode()


def response(status="200 OK", body=b"", content_type="text/plain", length=None, **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Connection: close",
             f"Content-Length: {len(body) if length is None else length}",
             *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# A way sends what it wants to; `over` is set when the server stops.

def right(peer, body, over):
    peer.sendall(response(body=body))


def status(line):
    """404, 500 ...: with the policy in the body, which must not be taken."""
    return lambda peer, body, over: peer.sendall(response(line, body))


def redirect(to):
    return lambda peer, body, over: peer.sendall(response("301 Moved Permanently", Location=to))


def packed(peer, body, over):
    """Compressed without having been asked to."""
    peer.sendall(response(body=gzip.compress(body), Content_Encoding="gzip"))


def web_page(peer, body, over):
    peer.sendall(response(body=b"<!doctype html><title>Welcome</title>" + body, content_type="text/html"))


def endless(peer, body, over):
    """A policy that does not end, in chunks, as fast as they are taken."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        peer.sendall(b"4000\r\n" + b"mx: host.a.test\r\n" * 0x3C0 + b"#" * 0x40 + b"\r\n")


def huge(size):
    """The policy, and then lines that nobody knows until there are this many bytes."""
    return lambda peer, body, over: peer.sendall(response(body=body + b"x: y\r\n" * ((size - len(body)) // 6)))


def silent(peer, body, over):
    over.wait()


def slow(seconds):
    """Everything at once, after so long."""
    def way(peer, body, over):
        if not over.wait(seconds):
            right(peer, body, over)
    return way


def dribble(peer, body, over):
    """A byte at a time, never long enough apart to seem gone."""
    for byte in response(body=body):
        if over.wait(0.5):
            return
        peer.sendall(bytes([byte]))


def half(peer, body, over):
    """Ends before the length that it has told."""
    peer.sendall(response(body=body[:len(body) // 2], length=len(body)))


class PolicyHost(Acted):
    """Chooses certificate and way by the name that the client asks for (SNI). `asked` lists (domain, line) of each request.
    `began` counts the connections by the name in their hello, also of those that end before a request."""

    def __init__(self, address, authority, port=443, name="policy-host"):
        super().__init__(name, (address, port))
        self.address, self.authority, self.places = address, authority, {}
        self.asked, self.began, self.over, self.lock = [], [], threading.Event(), threading.Lock()
        self.context = self._context(*authority.issue("nobody.test", file=f"{name}-nobody"))
        self.context.sni_callback = self._choose

    def serve(self, domain, body, way=right, certificate=None):
        """certificate: (cert, key); without one, a right one is made."""
        host = f"mta-sts.{domain}"
        context = self._context(*(certificate or self.authority.issue(host)))
        with self.lock:
            self.places[host] = (context, body, way)

    def change(self, domain, body=None, way=None):
        """From now on; what is None stays."""
        with self.lock:
            context, old_body, old_way = self.places[f"mta-sts.{domain}"]
            self.places[f"mta-sts.{domain}"] = (context, body or old_body, way or old_way)

    def times(self, domain):
        return sum(1 for asked, _ in self.asked if asked == domain)

    def stop(self):
        self.over.set()
        super().stop()

    @staticmethod
    def _context(cert, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context

    def _choose(self, connection, host, context):
        connection.asked_for = host
        self.began.append(host)
        with self.lock:
            place = self.places.get(host)
        if place:
            connection.context = place[0]

    def talk(self, peer):
        peer.settimeout(HANDSHAKE_S)
        with self.context.wrap_socket(peer, server_side=True) as wrapped:
            request = b""
            while b"\r\n\r\n" not in request and len(request) < REQUEST_MAX:
                piece = wrapped.recv(4096)
                if not piece:
                    return
                request += piece
            wrapped.settimeout(None)
            host = getattr(wrapped, "asked_for", None) or ""
            line = request.split(b"\r\n")[0].decode("latin-1")
            self.asked.append((host.removeprefix("mta-sts."), line))
            with self.lock:
                _, body, way = self.places.get(host, (None, b"", status("404 Not Found")))
            if line != f"GET {PATH} HTTP/1.1":
                way = status("404 Not Found")
            way(wrapped, body, self.over)

