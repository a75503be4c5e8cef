# SPDX-License-Identifier: ISC
"""Postfix, Exim and Dovecot as next hops and as senders."""
import smtplib
import ssl

import harness
from harness import Authority, Sealpost, letter
from harness.message import unique_id
from harness.peers import Dovecot, Exim, Postfix
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class NextHops(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.files = (*self.authority.issue("localhost", file="peer"), self.authority.cert)

    def sealpost(self, port, tls="starttls verify", more="", **parts):
        return self.start(Sealpost(self.folder, authority=self.authority, route="otherwise relay hop", extra=f"""
relay hop {{
    host localhost:{port}
    tls {tls}
    ca {self.authority.cert}
    {more}
}}
{parts.pop('extra', '')}""", **parts))

    def send(self, server, *to, message=None, **options):
        message = message or letter(to=", ".join(to))
        with smtplib.SMTP_SSL("localhost", server.port_submissions,
                              context=ssl.create_default_context(cafile=self.authority.cert)) as client:
            client.login(*JADA)
            client.sendmail("jada@example.test", list(to), message.as_bytes(), **options)
        return message

    def test_postfix(self):
        postfix = self.start(Postfix(self.folder, *self.files, tls="encrypt"))
        server = self.sealpost(postfix.port)
        message = self.send(server, "one@postfix.test", "two@postfix.test")
        arrived = postfix.wait_for_letter(message["Subject"], count=2)
        self.assertIn("TLSv1.3", arrived[0]["Received"])
        self.assertEqual(arrived[0].get_content(), message.get_content())
        # Both recipients in one transaction: Postfix gave both the same queue id.
        self.assertEqual(len({m["Received"].split(" id ")[1].split()[0] for m in arrived}), 1)
        server.wait_for_line("delivered", "two@postfix.test", "attempts=1 ")
        self.assertEqual(server.queue_list(), [])
        self.assertIn("verify", "".join(server.lines("attempt")))

    def test_exim(self):
        exim = self.start(Exim(self.folder, *self.files))
        server = self.sealpost(exim.port)
        message = self.send(server, "one@exim.test")
        arrived = exim.wait_for_letter(message["Subject"])
        self.assertIn("with esmtps", arrived["Received"])
        self.assertEqual(arrived.get_content(), message.get_content())
        server.wait_for_line("delivered", "one@exim.test")

    def test_chunks_reach_exim_unchanged(self):
        exim = self.start(Exim(self.folder, *self.files))
        server = self.sealpost(exim.port)
        body = "".join(f"{'.' * (n % 3)}line {n} {'x' * (n % 70)}\r\n" for n in range(20000))
        message = letter(to="one@exim.test", body=body, subject=f"letter {unique_id()}")
        self.send(server, "one@exim.test", message=message)
        arrived = exim.wait_for_letter(message["Subject"])
        self.assertEqual(arrived.get_content().replace("\r\n", "\n"), body.replace("\r\n", "\n"))

    def test_a_bounce_that_mail_programs_understand(self):
        postfix = self.start(Postfix(self.folder, *self.files, settings="smtpd_recipient_restrictions = check_recipient_access "
                                     "inline:{ {nobody@postfix.test=550 5.1.1 there is no such person} }, permit_mynetworks, reject"))
        server = self.sealpost(postfix.port)
        message = self.send(server, "nobody@postfix.test", "one@postfix.test",
                            mail_options=["RET=HDRS", "ENVID=letter-7"])
        postfix.wait_for_letter(message["Subject"])
        bounce = harness.wait_until(lambda: self.bounces(server), "a bounce to jada")[0]
        self.assertEqual(bounce.message["Return-Path"], "<>")
        self.assertEqual(bounce.message["Auto-Submitted"], "auto-replied")
        self.assertEqual(bounce.about_message["Original-Envelope-Id"], "letter-7")
        self.assertEqual(bounce.about_message["Reporting-MTA"].replace(" ", ""), "dns;mx1.example.test")
        self.assertEqual(len(bounce.recipients), 1)
        failed = bounce.recipients[0]
        self.assertEqual((failed["Action"], failed["Status"]), ("failed", "5.1.1"))
        self.assertIn("nobody@postfix.test", failed["Final-Recipient"])
        self.assertIn("there is no such person", failed["Diagnostic-Code"])
        self.assertIn("nobody@postfix.test", bounce.text)
        self.assertIn("there is no such person", bounce.text)
        self.assertEqual(bounce.returned.get_content_type(), "text/rfc822-headers")
        self.assertIn(message["Subject"], str(bounce.returned.get_payload()))
        self.assertEqual(server.queue_list(), [])

    @staticmethod
    def bounces(server):
        return [harness.parse_bounce(m) for _, m in server.letters("jada") if m.get_content_type() == "multipart/report"]

    def test_a_certificate_of_somebody_else_is_not_accepted(self):
        stranger = Authority(self.folder, "Stranger CA")
        files = stranger.issue("localhost", file="stranger")
        postfix = self.start(Postfix(self.folder, *files, self.authority.cert))
        server = self.sealpost(postfix.port)
        self.send(server, "one@postfix.test")
        server.wait_for_line("deferred", "one@postfix.test")
        waiting = server.queue_list()
        self.assertEqual([r["state"] for r in waiting], ["queued"])
        self.assertIn("certificate", waiting[0]["last_reply"])
        self.assertEqual(postfix.maildir(postfix.inbox), [])

    def test_a_next_hop_without_tls_is_not_used(self):
        postfix = self.start(Postfix(self.folder, *self.files, tls="none"))
        server = self.sealpost(postfix.port)
        self.send(server, "one@postfix.test")
        server.wait_for_line("deferred", "one@postfix.test")
        self.assertIn("STARTTLS", server.queue_list()[0]["last_reply"])

    def test_a_relay_that_wants_a_login(self):
        """The next hop is another Sealpost: port 465, SCRAM, and the password only in the keeper."""
        secret = self.folder / "secret"
        secret.write_text(JADA[1] + "\n")
        secret.chmod(0o600)
        outer = self.start(Sealpost(self.folder, name="outer", authority=self.authority))
        server = self.sealpost(outer.port_submissions, tls="implicit verify", more=f"login jada file:{secret}",
                               extra="domain unused.test {\n recipients any\n deliver relay hop\n}")
        message = letter(to="sam@unused.test")
        with Raw(server.port_submissions, self.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@elsewhere.test")
            self.assertEqual(client.data(message.as_bytes())[0], 250)
        # The outer one relays for those who have logged in, and its route holds.
        outer.wait_for_line("login", "jada")
        harness.wait_until(lambda: outer.queue_list(), "the letter in the queue of the outer server")
        self.assertNotIn(JADA[1], server.log())

    def test_postfix_sends_to_25(self):
        server = self.start(Sealpost(self.folder, authority=self.authority))
        postfix = self.start(Postfix(self.folder, *self.files, relayhost=f"[localhost]:{server.port_mx}"))
        message = letter()
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.send_message(message)
        arrived = server.wait_for_letter(message["Subject"])
        self.assertIn("with ESMTPS ", " ".join(arrived.get_all("Received")[0].split()))

    def test_postfix_sends_to_465_and_587(self):
        server = self.start(Sealpost(self.folder, authority=self.authority))
        passwords = self.folder / "sasl"
        for port, more in ((server.port_submissions, "smtp_tls_wrappermode = yes"), (server.port_submission, "")):
            passwords.write_text(f"[localhost]:{port} jada:{JADA[1]}\n")
            postfix = self.start(Postfix(self.folder, *self.files, name=f"postfix-{port}", relayhost=f"[localhost]:{port}",
                                         settings=f"smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:{passwords}\n"
                                                  f"smtp_sasl_security_options = noanonymous\n{more}"))
            message = letter()
            with smtplib.SMTP("127.0.0.1", postfix.port) as client:
                client.send_message(message)
            arrived = server.wait_for_letter(message["Subject"])
            self.assertIn("with ESMTPSA ", " ".join(arrived.get_all("Received")[0].split()))

    def test_exim_sends_to_25(self):
        server = self.start(Sealpost(self.folder, authority=self.authority))
        exim = self.start(Exim(self.folder, *self.files, next_hop=server.port_mx))
        message = letter()
        with smtplib.SMTP("127.0.0.1", exim.port) as client:
            client.send_message(message)
        arrived = server.wait_for_letter(message["Subject"])
        self.assertIn("with ESMTPS ", " ".join(arrived.get_all("Received")[0].split()))

    def test_a_domain_that_asks_its_next_hop_for_recipients(self):
        postfix = self.start(Postfix(self.folder, *self.files, settings="smtpd_recipient_restrictions = check_recipient_access "
                                     "inline:{ {nobody@postfix.test=550 5.1.1 there is no such person} }, permit_mynetworks, reject"))
        server = self.sealpost(postfix.port, extra="domain postfix.test {\n recipients verify\n deliver relay hop\n}")
        message = letter(to="one@postfix.test")
        with Raw(server.port_mx) as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)
            client.expect("RCPT TO:<nobody@postfix.test>", 550, "there is no such person")
            client.expect("RCPT TO:<one@postfix.test>", 250)
            self.assertEqual(client.data(message.as_bytes())[0], 250)
        postfix.wait_for_letter(message["Subject"])


class Lmtp(harness.Scenario):
    def deliver(self, where):
        server = self.start(Sealpost(self.folder, extra=f"""
domain dovecot.test {{
    recipients any
    deliver lmtp {where}
}}"""))
        message = letter(to="sam@dovecot.test")
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@dovecot.test", "jada@dovecot.test", "nobody@dovecot.test")
            self.assertEqual(client.data(message.as_bytes())[0], 250)
        for user in ("sam", "jada"):
            self.dovecot.wait_for_letter(message["Subject"], user)
        # A reply for each recipient: the third does not exist, and only that one comes back.
        bounce = harness.wait_until(lambda: NextHops.bounces(server), "a bounce to jada")[0]
        self.assertEqual([r["Final-Recipient"].split(";")[1].strip() for r in bounce.recipients], ["nobody@dovecot.test"])
        self.assertEqual(server.queue_list(), [])

    def setUp(self):
        super().setUp()
        self.dovecot = self.start(Dovecot(self.folder))

    def test_tcp(self):
        self.deliver(f"127.0.0.1:{self.dovecot.port}")

    def test_unix(self):
        self.deliver(f"unix:{self.dovecot.socket}")

    def test_we_serve_lmtp_too(self):
        socket = self.folder / "lmtp.sock"
        server = self.start(Sealpost(self.folder, extra=f"listen lmtp {{\n on unix:{socket}\n}}"))
        message = letter()
        with smtplib.LMTP(str(socket)) as client:
            refused = client.sendmail("a@elsewhere.test", ["sam@example.test", "nobody@example.test"], message.as_bytes())
        self.assertEqual(list(refused), ["nobody@example.test"])
        server.wait_for_letter(message["Subject"])


if __name__ == "__main__":
    harness.main()
