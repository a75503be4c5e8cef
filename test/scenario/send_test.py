# SPDX-License-Identifier: ISC
"""`sealpost send` hands a message to other people's servers, and its exit status says how it went."""
import harness
from harness import Authority, letter
from harness.peers import Exim, Postfix
from harness.ports import free_port
from harness.server import binary

ACCEPTED, NO_USER, TEMPORARY, PROTOCOL = 0, 67, 75, 76


class Send(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.files = (*self.authority.issue("localhost", file="peer"), self.authority.cert)

    def send(self, server, to, *more, status=ACCEPTED, ca=None, tls="starttls", message=None):
        self.message = message or letter(to=to)
        return self.run_program(binary(), "send", "--server", server, "--tls", tls, "--ca", ca or self.authority.cert, "--from",
                                "jada@example.test", "--to", to, *more, input=self.message.as_bytes(), status=status)

    def test_to_postfix(self):
        postfix = self.start(Postfix(self.folder, *self.files, tls="encrypt"))
        text = self.send(f"localhost:{postfix.port}", "one@postfix.test")
        self.assertIn("250 2.0.0", text)
        self.assertIn("TLSv1.3", text)
        arrived = postfix.wait_for_letter(self.message["Subject"])
        self.assertEqual(arrived.get_content(), self.message.get_content())

    def test_to_exim_by_implicit_tls(self):
        exim = Exim(self.folder, *self.files)
        exim.conf.write_text(exim.conf.read_text().replace("begin acl", f"tls_on_connect_ports = {exim.port}\n\nbegin acl", 1))
        self.start(exim)
        self.send(f"localhost:{exim.port}", "one@exim.test", tls="implicit")
        exim.wait_for_letter(self.message["Subject"])

    def test_what_can_go_wrong(self):
        postfix = self.start(Postfix(self.folder, *self.files, settings="smtpd_recipient_restrictions = check_recipient_access "
                                     "inline:{ {nobody@postfix.test=550 5.1.1 no such person}, {later@postfix.test=450 4.2.0 later} }, "
                                     "permit_mynetworks, reject\nmessage_size_limit = 10000"))
        here = f"localhost:{postfix.port}"
        stranger = Authority(self.folder, "Stranger CA")
        self.assertIn("no such person", self.send(here, "nobody@postfix.test", status=NO_USER))
        self.send(here, "later@postfix.test", status=TEMPORARY)
        self.send(here, "one@postfix.test", status=PROTOCOL, ca=stranger.cert)
        self.send(f"127.0.0.1:{postfix.port}", "one@postfix.test", status=PROTOCOL)  # the certificate says localhost
        self.send(here, "one@postfix.test", status=PROTOCOL, tls="implicit")         # plain text where TLS should begin
        text = self.send(f"localhost:{free_port()}", "one@postfix.test", status=None)
        self.assertIn("refused", text)
        text = self.send(here, "one@postfix.test", status=None, message=letter(body="x" * 20000))
        self.assertIn("takes at most 10000", text)  # known before a byte is sent
        self.assertEqual(postfix.maildir(postfix.inbox), [])

    def test_no_password_in_clear(self):
        postfix = self.start(Postfix(self.folder, *self.files))
        secret = self.folder / "secret"
        secret.write_text("very secret\n")
        text = self.send(f"localhost:{postfix.port}", "one@postfix.test", "--user", "jada", "--password-file", secret, tls="none",
                         status=None)
        self.assertNotIn("very secret", text + postfix.log())
        self.assertNotIn("AUTH", postfix.log())
        self.assertEqual(postfix.maildir(postfix.inbox), [])


if __name__ == "__main__":
    harness.main()
