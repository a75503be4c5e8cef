# SPDX-License-Identifier: ISC
"""What a recording of the wire gives away, now and once the server's private key is known: nothing.

The keys are RSA ones, because with those old TLS was read so. That tshark would read, if it could, is shown each time: with
the client's own secrets it reads the same recording, and with the server's key one of a server that uses it for more than
signing.
"""
import base64
import socket
import ssl
import struct
import threading

import harness
from harness import Authority, Sealpost, Wire, unique_id
from harness.acted import Relay
from harness.peers import Postfix
from harness.raw import Raw
from harness.wire import decrypt, write_pcap

PASSWORD = Sealpost.PASSWORDS["jada"]
RELAY_PASSWORD = "a relay password that travels 3308"
JADA, SAM, FAR, HOP = "jada@example.test", "sam@example.test", "far@postfix.test", "near@elsewhere.test"


def every_form(words):
    """Each as it is and as base64 may show it, whatever comes before it."""
    forms = {}
    for word in words:
        raw = word.encode()
        forms[word] = [raw] + [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0:-4] for shift in range(3)]
    return forms


class Strict(Raw):
    """A client to whom an end without close_notify is an error."""

    def wrap(self):
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server_name, suppress_ragged_eofs=False)
        self.file = self.socket.makefile("rb")


class Visit(Raw):
    """A client that may resume, and tells its session afterwards."""

    def __init__(self, *arguments, session=None, **more):
        self.session = session
        super().__init__(*arguments, **more)

    def wrap(self):
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server_name, session=self.session)
        self.file = self.socket.makefile("rb")


class Leave(harness.Scenario):
    DATA_SEGMENTS_IN = 152  # of Linux's struct tcp_info

    def segments(self, client):
        return struct.unpack_from("I", client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), self.DATA_SEGMENTS_IN)[0]

    def test_the_last_reply_and_close_notify_are_one_packet(self):
        """Whoever closes at 221 is not sent a second one, which he would answer with a reset."""
        server = self.start(Sealpost(self.folder))
        for port in (server.port_submissions, server.port_submission):
            with self.subTest(port):
                client = Strict(port, server.authority, "implicit" if port == server.port_submissions else "starttls")
                client.expect("NOOP", 250)
                before = self.segments(client)
                client.send("QUIT\r\n")
                self.assertEqual(client.socket.recv(1000)[:4], b"221 ")
                self.assertEqual(client.socket.recv(1000), b"")  # by close_notify: else it would be an SSLEOFError
                self.assertEqual(self.segments(client) - before, 1)
                client.socket.close()


class OnTheWire(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.keylog, self.words = self.folder / "keylog", [PASSWORD, RELAY_PASSWORD, JADA, SAM, FAR, HOP]

    def issue(self, name, *more):
        return self.authority.issue("localhost", *more, kind="rsa", file=name)

    def context(self, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        context = ssl.create_default_context(cafile=self.authority.cert)
        context.keylog_filename, context.maximum_version = self.keylog, newest
        return context

    def found(self, sources):
        return {word for word, forms in every_form(self.words).items() if any(form in source for form in forms
                                                                             for source in sources)}

    def talk(self, wire, tls, context, login=True, to=SAM, session=None):
        """One letter by way of the recorder, and the session."""
        subject = f"letter {unique_id()} of somebody"
        self.words.append(subject)
        with Visit(wire.port, tls=tls, context=context, session=session) as client:
            if login:
                client.expect("AUTH LOGIN", 334)
                client.expect(base64.b64encode(b"jada").decode(), 334)
                client.expect(base64.b64encode(PASSWORD.encode()).decode(), 235)
            client.mail(JADA if login else "someone@else.test", to)
            self.assertEqual(client.data(f"From: {JADA}\r\nSubject: {subject}\r\n\r\nhidden\r\n")[0], 250)
            return client.socket.session, client.socket.session_reused

    def test_attack_43_nothing_of_what_clients_say(self):
        server = Sealpost(self.folder, authority=self.authority)
        server.cert, server.key = self.issue("server", "mx1.example.test")
        self.start(server)
        wires = [self.start(Wire(port, seen)) for port, seen in ((server.port_submissions, 465), (server.port_submission, 587),
                                                                (server.port_mx, 25))]
        now, old = self.context(), self.context(ssl.TLSVersion.TLSv1_2)
        for context in (now, old):
            session, _ = self.talk(wires[0], "implicit", context)
            _, resumed = self.talk(wires[0], "implicit", context, session=session)
            self.assertEqual(resumed, context is now)
            self.talk(wires[1], "starttls", context)
            self.talk(wires[2], "starttls", context, login=False)
        self.words += ["hidden", "someone@else.test"]
        self.words.remove(RELAY_PASSWORD)
        self.words.remove(FAR)
        self.words.remove(HOP)
        self.judge(wires, [server.key])

    def test_attack_43_nothing_of_what_we_say_to_others(self):
        hop = self.start(Relay(self.issue("hop"), self.keylog))
        files = self.issue("postfix")
        postfix = self.start(Postfix(self.folder, *files, self.authority.cert, tls="encrypt"))
        wires = [self.start(Wire(hop.port, 465, "hop")), self.start(Wire(postfix.port, 25, "postfix"))]
        secret = self.folder / "relay.secret"
        secret.write_text(RELAY_PASSWORD + "\n")
        secret.chmod(0o600)
        server = self.start(Sealpost(self.folder, authority=self.authority, route="to @postfix.test relay far\n"
                                     "    otherwise relay near", extra=f"""
relay far {{
    host localhost:{wires[1].port}
    ca {self.authority.cert}
}}
relay near {{
    host localhost:{wires[0].port}
    tls implicit verify
    ca {self.authority.cert}
    login mx1 file:{secret}
}}"""))
        context = ssl.create_default_context(cafile=self.authority.cert)
        for to in (FAR, HOP):
            with Raw(server.port_submissions, tls="implicit", context=context, login=("jada", PASSWORD)) as client:
                client.mail(JADA, to)
                self.assertEqual(client.data(f"From: {JADA}\r\nSubject: a letter to {to}\r\n\r\nhidden\r\n")[0], 250)
            server.wait_for_line("delivered", to)
        server.stop()  # every connection is over
        self.words.remove(PASSWORD)
        self.words.remove(SAM)
        # Of the two the one to our own relay is known from inside.
        self.judge(wires, [self.folder / "tls" / "hop.key", files[1]], readable=set(self.words) - {FAR})

    def judge(self, wires, keys, readable=None):
        pcap = self.folder / "wire.pcap"
        write_pcap(pcap, *wires)
        seen = [part for wire in wires for part in wire.seen()]
        self.assertGreater(sum(map(len, seen)), 2000 * len(wires))
        self.assertEqual(self.found(seen), set())
        self.assertEqual(self.found(decrypt(pcap, keys)), set(), "the private key opens the recording")
        # Every one of the words was there, for who has the secrets of one of the ends.
        self.assertEqual(self.found(decrypt(pcap, keylog=self.keylog)), readable or set(self.words))

    def test_the_private_key_would_open_what_can_be_opened(self):
        """A server that lets the client encrypt the session's key to it (RSA key exchange), which ours never does."""
        cert, key = self.issue("old")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-GCM-SHA256")
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            peer, _ = listener.accept()
            with context.wrap_socket(peer, server_side=True) as wrapped:
                wrapped.recv(1000)
                wrapped.sendall(b"235 well\r\n")
        thread = threading.Thread(target=serve)
        thread.start()
        wire = self.start(Wire(listener.getsockname()[1], 465))
        client_context = ssl.create_default_context(cafile=self.authority.cert)
        client_context.set_ciphers("AES128-GCM-SHA256")
        client_context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", wire.port)) as plain, \
                client_context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"AUTH PLAIN " + base64.b64encode(f"\0jada\0{PASSWORD}".encode()) + b"\r\n")
            client.recv(1000)
        thread.join()
        listener.close()
        write_pcap(self.folder / "old.pcap", wire)
        self.assertEqual(self.found(wire.seen()), set())
        self.assertEqual(self.found(decrypt(self.folder / "old.pcap", [key])), {PASSWORD})
        self.assertEqual(self.found(decrypt(self.folder / "old.pcap")), set())


if __name__ == "__main__":
    harness.main()
