# SPDX-License-Identifier: ISC
"""Session tickets over real processes: good at every front and after a front's death, and nowhere else."""
import os
import signal
import socket
import ssl
import subprocess

import harness
from harness import Sealpost, wait_until
from harness.raw import Raw


class Tickets(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder, fronts=2))
        self.context = ssl.create_default_context(cafile=self.server.authority.cert)

    def visit(self, session=None, port=None, tls="implicit", context=None):
        """A handshake and a greeting; whether it resumed, and the session to resume."""
        context = context or self.context
        with socket.create_connection(("127.0.0.1", port or self.server.port_submissions), timeout=30) as plain:
            if tls == "starttls":
                file = plain.makefile("rb", 0)
                file.readline()
                plain.sendall(b"EHLO client.test\r\n")
                while file.readline()[3:4] == b"-":
                    pass
                plain.sendall(b"STARTTLS\r\n")
                self.assertEqual(file.readline()[:3], b"220")
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as client:
                client.sendall(b"NOOP\r\n")
                heard = b""
                while b"250 " not in heard:
                    piece = client.recv(4096)
                    self.assertTrue(piece, heard)
                    heard += piece
                return client.session_reused, client.session

    def restart(self, *roles):
        """Kills them and waits for their successors."""
        server = self.server
        server.roles_may_die = True
        before = server.roles()
        for role in roles:
            os.kill(before[role], signal.SIGKILL)

        def back():
            now = server.roles()
            return set(now) == set(before) and not {now[role] for role in roles} & set(before.values())
        wait_until(back, f"new processes for {roles}")

    def resumes(self, session, **more):
        return self.visit(session, **more)[0]

    def test_any_front_and_a_new_one_resumes(self):
        resumed, session = self.visit()
        self.assertFalse(resumed)
        self.assertTrue(session.has_ticket)
        self.assertTrue(all(self.resumes(session) for _ in range(12)))  # whichever front takes it
        self.restart("front", "front2")
        # Neither of those that sealed the ticket lives. Until its keeper is linked a new one does without tickets.
        wait_until(lambda: self.resumes(session), "a session resumed by a new front")

    def test_a_new_keeper_forgets(self):
        _, session = self.visit()
        self.assertTrue(self.resumes(session))
        self.restart("keeper")

        def signs():
            try:
                return self.visit()[1].has_ticket
            except (ConnectionError, ssl.SSLError):
                return False  # it has no configuration yet
        wait_until(signs, "the new keeper at work")
        wait_until(lambda: not self.resumes(session), "the old seeds gone from both fronts")
        self.assertFalse(any(self.resumes(session) for _ in range(6)))
        self.server.stop()
        self.server.start()
        self.assertFalse(self.resumes(session))

    def test_attack_42_a_ticket_of_one_port_is_nothing_to_another(self):
        server = self.server
        _, session = self.visit()
        self.assertTrue(self.resumes(session))
        self.assertFalse(self.resumes(session, port=server.port_mx, tls="starttls"))
        self.assertFalse(self.resumes(session, port=server.port_submission, tls="starttls"))
        _, session = self.visit(port=server.port_mx, tls="starttls")
        self.assertTrue(self.resumes(session, port=server.port_mx, tls="starttls"))
        self.assertFalse(self.resumes(session))

    def test_a_reload_keeps_tickets_and_a_new_certificate_ends_them(self):
        server = self.server
        _, session = self.visit()
        server.reload()
        server.wait_for_line("reloaded")
        self.assertTrue(self.resumes(session))
        server.cert, server.key = server.authority.issue("mx1.example.test", "localhost", file="renewed")
        server.reload()
        server.wait_for_line("reloaded", count=2)
        self.assertFalse(self.resumes(session))

    def test_attack_42_what_has_no_forward_secrecy_is_not_resumed(self):
        context = ssl.create_default_context(cafile=self.server.authority.cert)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        _, session = self.visit(context=context)
        self.assertFalse(session.has_ticket)
        self.assertFalse(self.resumes(session, context=context))

    def test_attack_41_no_early_data(self):
        server, kept = self.server, self.folder / "session"
        early = self.folder / "early"
        early.write_bytes(b"NOOP early\r\n" * 20)
        for more in ([f"-sess_out={kept}"], [f"-sess_in={kept}"], [f"-sess_in={kept}", f"-early_data={early}"]):
            words = [word for argument in more for word in argument.split("=")]
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port_submissions}", "-servername",
                                   "localhost", "-CAfile", server.authority.cert, "-crlf", "-ign_eof", *words],
                                  input=b"QUIT\n", capture_output=True, timeout=60, check=False)
            text = done.stdout.decode() + done.stderr.decode()
            if "-sess_out" in words:
                self.assertIn("New, TLSv1.3", text)
            elif "-early_data" in words:
                # The ticket allows none, so the client has nothing to send it with.
                self.assertIn("Early data was not sent", text)
            else:
                self.assertIn("Reused, TLSv1.3", text)


if __name__ == "__main__":
    harness.main()
