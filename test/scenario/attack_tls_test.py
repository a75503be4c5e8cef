# SPDX-License-Identifier: ISC
"""What a hostile TLS client tries first, at each of the three doors."""
import socket
import ssl
import subprocess
import threading

import harness
from harness import Sealpost
from harness.case import need
from harness.raw import Raw


class AttackTls(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))
        self.doors = [(self.server.port_submissions, []), (self.server.port_submission, ["-starttls", "smtp"]),
                      (self.server.port_mx, ["-starttls", "smtp"])]

    def s_client(self, port, *options, input=b""):
        return self.run_program("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options, status=None, input=input)

    def test_attack_39_old_versions(self):
        for port, starttls in self.doors:
            for version in ("-tls1", "-tls1_1"):
                text = self.s_client(port, *starttls, version, "-cipher", "ALL:@SECLEVEL=0")
                self.assertIn("no peer certificate available", text)
                self.assertIn("New, (NONE), Cipher is (NONE)", text)
            self.assertIn("Cipher is TLS_", self.s_client(port, *starttls))

    def test_attack_39_no_anonymous_null_or_export(self):
        for port, starttls in self.doors:
            for cipher in ("aNULL", "eNULL", "PSK", "kRSA", "3DES:RC4:IDEA:SEED"):
                text = self.s_client(port, *starttls, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
                self.assertNotRegex(text, r"New, TLS.*Cipher is [A-Z0-9]+-", cipher)
            self.assertRegex(self.s_client(port, *starttls, "-tls1_2"), r"New, TLSv1.2, Cipher is ECDHE-ECDSA-")

    def test_attack_40_renegotiation(self):
        """s_client asks for it when it reads R. It is told no."""
        for port, starttls in self.doors:
            command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *starttls, "-tls1_2", "-crlf"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
                said = self.read_until(client, b"---\n", count=3) if starttls else self.read_until(client, b"ESMTP")
                client.stdin.write(b"R\n")
                client.stdin.flush()
                hung_up = threading.Timer(30, client.kill)
                hung_up.start()
                said += client.stdout.read()  # to its end: it does not go on without
                hung_up.cancel()
                client.stdin.close()
            _, asked, answer = said.partition(b"RENEGOTIATING")
            self.assertTrue(asked, said)
            self.assertRegex(answer, b"no renegotiation")
            with Raw(port, self.server.authority, "starttls" if starttls else "implicit") as other:
                other.expect("NOOP", 250)

    def read_until(self, client, mark, count=1):
        said = b""
        while said.count(mark) < count:
            more = client.stdout.read1(4096)
            assert more, said.decode(errors="replace")
            said += more
        return said

    def test_attack_14_another_protocol_by_alpn(self):
        for port, starttls in self.doors:
            for protocol in ("http/1.1", "h2", "imap", "ftp", "smtpx"):
                with self.assertRaises((ssl.SSLError, ConnectionError), msg=protocol):
                    self.shake_hands(port, bool(starttls), [protocol])
            self.assertEqual(self.shake_hands(port, bool(starttls), ["h2", "smtp"]), "smtp")
            self.assertIsNone(self.shake_hands(port, bool(starttls), []))

    def shake_hands(self, port, starttls, protocols):
        context = ssl.create_default_context(cafile=self.server.authority.cert)
        if protocols:
            context.set_alpn_protocols(protocols)
        if not starttls:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30), server_hostname="localhost") as s:
                return s.selected_alpn_protocol()
        with Raw(port, context=context) as client:
            client.expect("STARTTLS", 220)
            client.wrap()
            return client.socket.selected_alpn_protocol()


if __name__ == "__main__":
    harness.main()
