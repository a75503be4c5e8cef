# SPDX-License-Identifier: ISC
"""Next hops whose part the test plays, on port 25 of an address of their own, honest or hostile, which remember every byte.

    hop = self.start(NextHop(address(), *authority.issue("mx.one.test")))
    hop = self.start(NextHop(address(), starttls=no_starttls))
    hop.letters: what it took; hop.clear: all that it heard outside of TLS; hop.secret: what it heard inside
"""
import dataclasses
import socket
import ssl
import struct
import warnings

from .acted import Acted

PATIENCE_S = 30
EHLO = b"250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10000000\r\n"


@dataclasses.dataclass
class Letter:
    sender: bytes
    recipients: list
    content: bytes
    version: str       # of TLS; "" if it came in clear text
    server_name: str   # which the client has asked for (SNI)


class Closed(Exception):
    """The test's server ends the connection here."""


# What may happen at STARTTLS: each takes (hop, session), and gives True when TLS is on.

def honest(hop, session):
    session.say(b"220 go ahead\r\n")
    session.shake(hop.context)
    return True


def refuses(reply=b"454 4.7.0 TLS not available due to temporary reason\r\n"):
    def way(hop, session):
        session.say(reply)
        return False
    return way


def closes(hop, session):
    """Instead of an answer."""
    raise Closed


def closes_after_220(hop, session):
    session.say(b"220 go ahead\r\n")
    raise Closed


def resets_in_hello(hop, session):
    """RST when the ClientHello has begun to come."""
    session.say(b"220 go ahead\r\n")
    session.more()
    session.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Closed


def closes_in_handshake(hop, session):
    """Half of our own hello, and gone."""
    session.say(b"220 go ahead\r\n")
    come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = hop.context.wrap_bio(come, gone, server_side=True)
    come.write(session.more())
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    flight = gone.read()
    session.peer.sendall(flight[:len(flight) // 2])
    raise Closed


def garbage(hop, session):
    session.say(b"220 go ahead\r\n")
    session.more()
    session.peer.sendall(b"\0" * 9000)
    raise Closed


def injects(replies=b"250-hop.test\r\n250 AUTH PLAIN\r\n"):
    """These follow the 220 in the same segment, before the handshake: who takes them for answers inside of TLS is lost."""
    def way(hop, session):
        session.say(b"220 go ahead\r\n" + replies)
        session.shake(hop.context)
        return True
    return way


class NextHop(Acted):
    def __init__(self, address, cert=None, key=None, port=25, name=None, starttls=honest, offer=None, at_most=None,
                 tls12_groups=None, extensions=b"", close_at=None, replies=None):
        """starttls: what happens there. offer: says it has STARTTLS; without a word, if it has a certificate.
        at_most: the highest ssl.TLSVersion. close_at: a command before which it closes, or "content", in the middle of it.
        replies: {command: reply} instead of the usual."""
        super().__init__(name or f"hop-{address}", (address, port))
        self.address, self.files, self.starttls, self.close_at = address, (cert, key), starttls, close_at
        self.extensions, self.replies = extensions, replies or {}
        self.offer = offer if offer is not None else bool(cert) or starttls is not honest
        self.letters, self.pieces, self.connections, self.handshakes = [], [], 0, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._note_name
        if tls12_groups:
            self.context.set_ecdh_curve(tls12_groups)
        if cert:
            self.context.load_cert_chain(cert, key)
        if at_most:
            self._only_old(at_most)

    def _only_old(self, version):
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is what they are here for
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = version

    @staticmethod
    def _note_name(connection, host, context):
        connection.asked_for = host

    @property
    def clear(self):
        return b"".join(piece for piece, tls in list(self.pieces) if not tls)

    @property
    def secret(self):
        return b"".join(piece for piece, tls in list(self.pieces) if tls)

    def log(self):
        return super().log() + "\n" + "\n".join(repr(line) for line in self.clear.splitlines())

    def talk(self, peer):
        self.connections += 1
        peer.settimeout(PATIENCE_S)
        session = Session(self, peer)
        try:
            session.run()
        except Closed:
            pass
        finally:
            if session.tls:
                session.peer.close()


class Session:
    def __init__(self, hop, peer):
        self.hop, self.peer, self.pending, self.tls = hop, peer, b"", None
        self.sender, self.recipients = b"", []

    def say(self, data):
        self.peer.sendall(data)

    def shake(self, context):
        first = self.peer.recv(65536, socket.MSG_PEEK)
        if not first.startswith(b"\x16"):
            self.more()  # no handshake: whatever it is, it came in clear text
            raise Closed
        try:
            self.peer = self.tls = context.wrap_socket(self.peer, server_side=True)
        except (OSError, ValueError) as failed:
            self.hop.handshakes.append(str(failed))
            raise
        self.hop.handshakes.append("")

    def more(self):
        piece = self.peer.recv(65536)
        if not piece:
            raise Closed
        self.hop.pieces.append((piece, self.tls is not None))
        self.pending += piece
        return piece

    def until(self, mark):
        while mark not in self.pending:
            self.more()
        part, _, self.pending = self.pending.partition(mark)
        return part

    def run(self):
        self.say(b"220 hop.test ESMTP\r\n")
        while True:
            line = self.until(b"\r\n")
            word = line.split(b" ")[0].split(b":")[0].decode("latin-1").upper()
            if word == self.hop.close_at:
                raise Closed
            if word in self.hop.replies:
                self.say(self.hop.replies[word])
            else:
                getattr(self, f"on_{word.lower()}", self.on_unknown)(line)

    def on_unknown(self, line):
        self.say(b"502 5.5.1 no\r\n")

    def on_ehlo(self, line):
        offer = b"250-STARTTLS\r\n" if self.hop.offer and not self.tls else b""
        self.say(EHLO + offer + self.hop.extensions + b"250 ENHANCEDSTATUSCODES\r\n")

    def on_starttls(self, line):
        self.hop.starttls(self.hop, self)

    def on_mail(self, line):
        self.sender, self.recipients = line, []
        self.say(b"250 2.1.0 well\r\n")

    def on_rcpt(self, line):
        self.recipients.append(line)
        self.say(b"250 2.1.5 well\r\n")

    def on_rset(self, line):
        self.say(b"250 2.0.0 well\r\n")

    def on_noop(self, line):
        self.say(b"250 2.0.0 well\r\n")

    def on_data(self, line):
        self.say(b"354 go\r\n")
        if self.hop.close_at == "content":
            self.more()
            raise Closed
        content = self.until(b"\r\n.\r\n") + b"\r\n"
        self.hop.letters.append(Letter(self.sender, self.recipients, content, self.tls.version() if self.tls else "",
                                       getattr(self.tls, "asked_for", "") or ""))
        self.say(b"250 2.0.0 taken\r\n")

    def on_quit(self, line):
        self.say(b"221 2.0.0 bye\r\n")
        raise Closed
