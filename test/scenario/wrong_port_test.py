# SPDX-License-Identifier: ISC
"""The wrong protocol at the door: recognised, and answered or logged with the mending."""
import socket
import ssl

import harness
from harness import Authority, Sealpost
from harness.message import unique_id
from harness.raw import Raw


class WrongPort(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def talk(self, port, data, wait_greeting=False):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
            if wait_greeting:
                s.recv(4096)
            answer = b""
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(4096):
                    answer += chunk
            except ConnectionError:
                pass
            return answer

    def test_plain_text_on_465(self):
        answer = self.talk(self.server.port_submissions, b"EHLO client.test\r\n").decode(errors="replace")
        self.assertRegex(answer, r"^(554|421|500) ")
        self.assertIn("TLS from the first byte", answer)
        self.assertIn("587", answer)
        line = self.server.wait_for_line("wrong-port")[0]
        self.assertIn("TLS from the first byte", line)

    def test_tls_on_587_and_25(self):
        hello = self.client_hello()
        for port in (self.server.port_submission, self.server.port_mx):
            before = len(self.server.lines("wrong-port"))
            answer = self.talk(port, hello, wait_greeting=True)
            lines = self.server.wait_for_line("wrong-port", count=before + 1)
            self.assertIn("STARTTLS", lines[-1] + answer.decode(errors="replace"))

    @staticmethod
    def client_hello():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def refused(self, *options):
        text = self.run_program("openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port_submissions}", *options,
                                status=None, input=b"")
        self.assertIn("no peer certificate available", text, text)
        return text

    def test_old_tls_and_weak_ciphers(self):
        for options in (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
                        ("-tls1_2", "-cipher", "AES128-SHA256"),             # no forward secrecy
                        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),  # no AEAD
                        ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256")):
            with self.subTest(options):
                before = len(self.server.lines("tls-failed"))
                self.refused(*options)
                self.server.wait_for_line("tls-failed", count=before + 1)

    def test_other_protocols_by_alpn(self):
        context = ssl.create_default_context(cafile=self.server.authority.cert)
        context.set_alpn_protocols(["http/1.1"])
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            Raw(self.server.port_submissions, tls="implicit", context=context)
        context.set_alpn_protocols(["smtp"])
        with Raw(self.server.port_submissions, tls="implicit", context=context) as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), "smtp")

    def test_garbage(self):
        for port in (self.server.port_submissions, self.server.port_submission, self.server.port_mx):
            self.talk(port, b"\x16\x03\x01\xff\xff" + b"\0" * 70000)
            self.talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.talk(port, b"\0\xff\xfe" * 100 + b"\r\n")
        with Raw(self.server.port_mx) as client:
            client.expect("QUIT", 221)


class AtTheStart(harness.Scenario):
    """What is wrong with files is found by `check`, and at the start, with words that help."""

    def refused(self, server, *parts):
        server.write_conf()
        text = self.run_program(server.program, "check", "-c", server.conf, status=1)
        for part in parts:
            self.assertIn(part, text)
        text = self.run_program(server.program, "serve", "-c", server.conf, status=78)
        for part in parts:
            self.assertIn(part, text)
        return text

    def test_the_start_tells_as_much_as_check(self):
        server = Sealpost(self.folder)
        server.cert.unlink()
        server.aliases.write_text("a: b\nb: a\n")
        server.users.chmod(0o644)
        text = self.refused(server, "everybody on this machine may read", "leads back to itself", server.cert.name)
        self.assertEqual(text.count("everybody on this machine may read"), 1, text)
        server.users.chmod(0o600)
        self.refused(server, "leads back to itself", server.cert.name)  # these the keeper refuses, the first of them alone

    def test_expired(self):
        authority = Authority(self.folder)
        server = Sealpost(self.folder, authority=authority)
        server.cert, server.key = authority.issue("mx1.example.test", start="20200101000000Z", end="20200201000000Z", file="old")
        server.write_conf()
        text = self.run_program(server.program, "check", "-c", server.conf, status=None)
        self.assertIn("expired", text)

    def test_expired_at_the_start(self):
        """It serves all the same: senders that do not look at the date still get through sealed. But it says so."""
        authority = Authority(self.folder)
        server = Sealpost(self.folder, authority=authority)
        server.cert, server.key = authority.issue("mx1.example.test", start="20200101000000Z", end="20200201000000Z", file="old")
        self.start(server)
        server.wait_for_line("trouble", "expired", str(server.cert))
        self.assertIn("2020-02-01", server.command("status"))

    def test_a_key_of_another_certificate(self):
        authority = Authority(self.folder)
        server = Sealpost(self.folder, authority=authority)
        server.key = authority.issue("other.test")[1]
        self.refused(server, "key", str(server.key))

    def test_a_name_the_certificate_lacks(self):
        authority = Authority(self.folder)
        server = Sealpost(self.folder, authority=authority)
        server.cert, server.key = authority.issue("other.test")
        server.write_conf()
        text = self.run_program(server.program, "check", "-c", server.conf, status=None)
        self.assertIn("mx1.example.test", text)

    def test_files_that_are_not_there(self):
        server = Sealpost(self.folder)
        server.users = self.folder / "nowhere"
        self.refused(server, str(server.users))
        server.users = self.folder / "sealpost" / "users"
        server.cert = self.folder / "nowhere.crt"
        self.refused(server, str(server.cert))

    def test_a_broken_users_file(self):
        server = Sealpost(self.folder)
        server.users.write_text("jada:not a credential\n")
        self.refused(server, "users", "1")

    def test_an_unreadable_users_file_at_reload(self):
        server = self.start(Sealpost(self.folder))
        server.users.write_text("jada:not a credential\n")
        server.reload()
        server.wait_for_line("reload-failed")
        with Raw(server.port_submissions, server.authority, "implicit", login=("jada", Sealpost.PASSWORDS["jada"])) as client:
            client.mail("jada@example.test", "sam@example.test")
            code, _ = client.data(f"From: jada@example.test\r\nSubject: {unique_id()}\r\n\r\nstill here")
            self.assertEqual(code, 250)


if __name__ == "__main__":
    harness.main()
