# SPDX-License-Identifier: ISC
"""Who may send what to whom: AUTH, owned senders, recipients, relaying, certificates by name."""
import base64
import smtplib
import socket
import ssl

import harness
from harness import Authority, Sealpost, letter
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
SAM = ("sam", Sealpost.PASSWORDS["sam"])


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Login(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def raw(self, tls="implicit", **more):
        port = self.server.port_submissions if tls == "implicit" else self.server.port_submission
        return Raw(port, self.server.authority, tls, **more)

    def test_what_is_offered(self):
        with self.raw() as client:
            for word in ("PIPELINING", "SIZE ", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS ",
                         "AUTH "):
                self.assertIn(word, client.extensions)
            auth = next(line for line in client.extensions.splitlines() if line.startswith("AUTH "))
            self.assertEqual(set(auth.split()[1:]), {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"})
            self.assertNotIn("BINARYMIME", client.extensions)
            self.assertNotIn("STARTTLS", client.extensions)
        with self.raw(tls=None) as client:
            self.assertIn("STARTTLS", client.extensions)
            self.assertNotIn("AUTH", client.extensions)
        with Raw(self.server.port_mx) as client:
            self.assertIn("STARTTLS", client.extensions)
            self.assertNotIn("AUTH", client.extensions)

    def test_mechanisms(self):
        with self.raw(login=JADA):
            pass
        with self.raw(login=SAM):  # a password that is not ASCII
            pass
        with self.raw() as client:  # PLAIN without an initial response
            client.expect("AUTH PLAIN", 334)
            client.expect(b64("\0jada\0" + JADA[1]), 235)
        with self.raw(tls="starttls") as client:
            client.expect("AUTH LOGIN", 334)
            client.expect(b64(JADA[0]), 334)
            client.expect(b64(JADA[1]), 235)
        with self.raw() as client:  # by the whole address
            client.expect("AUTH PLAIN " + b64("\0jada@example.test\0" + JADA[1]), 235)
            client.expect("AUTH PLAIN " + b64("\0jada\0" + JADA[1]), 503)

    def test_refusals(self):
        with self.raw() as client:
            client.expect("MAIL FROM:<jada@example.test>", 530, "5.7.0")
            client.expect("AUTH PLAIN " + b64("\0jada\0wrong"), 535, "5.7.8")
            client.expect("AUTH PLAIN " + b64("\0nobody\0wrong"), 535, "5.7.8")
            client.expect("AUTH PLAIN " + b64("sam\0jada\0" + JADA[1]), 535)  # as somebody else
        with self.raw() as client:
            client.expect("AUTH PLAIN !", 501)
            client.expect("AUTH LOGIN", 334)
            client.expect("*", 501)
            client.expect("AUTH NTLM", 504)
            client.expect("AUTH PLAIN " + b64("\0jada\0" + JADA[1]), 235)
        self.server.wait_for_line("login-failed", "code=535")
        self.server.wait_for_line("login-denied", "user=jada", "mechanism=PLAIN")

    def test_587_wants_tls_first(self):
        with self.raw(tls=None) as client:
            client.expect("MAIL FROM:<jada@example.test>", 530, "STARTTLS")
            code, _ = client.cmd("AUTH PLAIN " + b64("\0jada\0" + JADA[1]))
            self.assertIn(code, (502, 503, 530, 538))
            client.expect("NOOP", 250)

    def test_25_relays_for_nobody(self):
        for tls in (None, "starttls"):
            with Raw(self.server.port_mx, self.server.authority, tls) as client:
                code, _ = client.cmd("AUTH PLAIN " + b64("\0jada\0" + JADA[1]))
                self.assertIn(code, (502, 503, 504))
                client.expect("MAIL FROM:<jada@example.test>", 250)
                client.expect("RCPT TO:<sam@elsewhere.test>", 550, "5.7.1")
                client.expect("RCPT TO:<sam%elsewhere.test@example.test>", 550)
                client.expect("RCPT TO:<@example.test:sam@elsewhere.test>", 501)
                client.expect("RCPT TO:<sam@example.test>", 250)

    def test_the_passwd_command_and_the_users_file(self):
        line = self.run_program(self.server.program, "passwd", "kim", input=b"a third password\n")
        self.assertRegex(line, r"^kim:SCRAM-SHA-256\$")
        with open(self.server.users, "a", encoding="utf-8") as users:
            users.write(line.splitlines()[0] + "\n")
        self.server.reload()
        self.server.wait_for_line("reloaded")
        with self.raw(login=("kim", "a third password")):
            pass


class Senders(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def test_owned_addresses(self):
        with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA) as client:
            for owned in ("jada@example.test", "sales@example.test", "loved@example.test", "info@example.test",
                          "anything@news.example.test", ""):
                client.expect(f"MAIL FROM:<{owned}>", 250)
                client.expect("RSET", 250)
            for foreign in ("sam@example.test", "team@example.test", "jada@elsewhere.test", "nobody@example.test"):
                code, text = client.cmd(f"MAIL FROM:<{foreign}>")
                self.assertEqual((code, text[:5]), (553, "5.7.1"), foreign)

    def test_headers_too(self):
        with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA) as client:
            for field, value, wanted in (("From", "Sam <sam@example.test>", 550), ("Sender", "sam@example.test", 550),
                                         ("From", "Sales <sales@example.test>", 250)):
                client.mail("jada@example.test", "sam@example.test")
                others = "From: jada@example.test\r\n" if field == "Sender" else ""
                code, text = client.data(f"{others}{field}: {value}\r\nSubject: forged\r\n\r\nx")
                self.assertEqual(code, wanted, (field, value, text))


class Recipients(harness.Scenario):
    def test_aliases_tags_unknown(self):
        server = self.start(Sealpost(self.folder))
        subject = f"letter {unique_id()}"
        with Raw(server.port_mx) as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)
            client.expect("RCPT TO:<nobody@example.test>", 550, "5.1.1")
            client.expect("RCPT TO:<../../etc/passwd@example.test>", 501)
            client.expect("RCPT TO:<\"../sam\"@example.test>", 550)
            client.expect("RCPT TO:<postmaster>", 250)
            client.expect("RCPT TO:<team@example.test>", 250)
            client.expect("RCPT TO:<SAM+tag@EXAMPLE.test>", 250)
            code, _ = client.data(f"Subject: {subject}\r\n\r\nto many")
            self.assertEqual(code, 250)
        # postmaster and team both lead to jada, team and the tag to sam.
        server.wait_for_letter(subject, "jada")
        server.wait_for_letter(subject, "sam")

    def test_catch_all_and_a_file(self):
        listed = self.folder / "listed"
        server = Sealpost(self.folder, domain="catch-all jada@example.test", extra=f"""
domain lists.test {{
    recipients file {listed}
    deliver maildir {self.folder}/sealpost/mail/{{domain}}/{{local}}
}}""")
        listed.write_text("one@lists.test\ntwo\n")
        self.start(server)
        subject = f"letter {unique_id()}"
        with Raw(server.port_mx) as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)
            client.expect("RCPT TO:<three@lists.test>", 550, "5.1.1")
            client.expect("RCPT TO:<one@lists.test>", 250)
            client.expect("RCPT TO:<two@lists.test>", 250)
            client.expect("RCPT TO:<whoever@example.test>", 250)
            self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
        server.wait_for_letter(subject, "one", "lists.test")
        server.wait_for_letter(subject, "two", "lists.test")
        server.wait_for_letter(subject, "jada")

    def test_trusted_networks_need_no_login(self):
        server = self.start(Sealpost(self.folder, submission="trust 127.0.0.0/8", submissions="trust 192.0.2.0/24"))
        with Raw(server.port_submission, server.authority, None) as client:
            client.expect("MAIL FROM:<jada@example.test>", 530)  # TLS still required
        with Raw(server.port_submission, server.authority, "starttls") as client:
            client.mail("printer@example.test", "sam@example.test")
        with Raw(server.port_submissions, server.authority, "implicit") as client:
            client.expect("MAIL FROM:<printer@example.test>", 530)


class Certificates(harness.Scenario):
    def test_chosen_by_name(self):
        authority = Authority(self.folder)
        cert, key = authority.issue("second.test")
        server = self.start(Sealpost(self.folder, authority=authority,
                                     extra=f"tls second.test {{\n cert {cert}\n key {key}\n}}"))
        for asked, given in (("second.test", "second.test"), ("mx1.example.test", "mx1.example.test"),
                             ("unknown.test", "mx1.example.test"), (None, "mx1.example.test")):
            for port, tls in ((server.port_submissions, False), (server.port_submission, True), (server.port_mx, True)):
                self.assertIn(given, self.names(port, tls, asked, authority), (asked, port))

    def names(self, port, starttls, asked, authority):
        context = ssl.create_default_context(cafile=authority.cert)
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", port)) as plain:
            if starttls:
                for line in (None, b"EHLO x.test\r\n", b"STARTTLS\r\n"):
                    if line:
                        plain.sendall(line)
                    while not (text := plain.recv(4096)).splitlines()[-1][3:4] == b" ":
                        assert text
            with context.wrap_socket(plain, server_hostname=asked) as sealed:
                return {value for kind, value in sealed.getpeercert()["subjectAltName"] if kind == "DNS"}

    def test_rsa_beside_ecdsa(self):
        authority = Authority(self.folder)
        cert, key = authority.issue("mx1.example.test", "localhost", kind="rsa", file="rsa")
        server = Sealpost(self.folder, authority=authority)
        server.cert = f"{server.cert}\n    key {server.key}\n    cert {cert}"
        server.key = key
        self.start(server)
        for suite in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            context = ssl.create_default_context(cafile=authority.cert)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(suite)
            with Raw(server.port_submissions, tls="implicit", context=context) as client:
                self.assertEqual(client.socket.cipher()[0], suite)
                client.expect("QUIT", 221)


class Extensions(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def raw(self):
        return Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA)

    def test_bdat(self):
        subject = f"letter {unique_id()}"
        chunks = [f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n".encode(), b"first\r\n", b".\r\nsecond\r\n", b""]
        with self.raw() as client:
            client.mail("jada@example.test", "sam@example.test")
            for chunk in chunks[:-1]:
                self.assertEqual(client.cmd(b"BDAT %d\r\n" % len(chunk) + chunk)[0], 250)
            self.assertEqual(client.cmd(b"BDAT 0 LAST\r\n")[0], 250)
            client.mail("jada@example.test", "sam@example.test")
            client.expect(b"BDAT 3\r\nabc", 250)
            client.expect("DATA", 503)  # RFC 3030 2: not mixed
        message = self.server.wait_for_letter(subject)
        self.assertEqual(message.get_payload().replace("\r\n", "\n"), "first\n.\nsecond\n")

    def test_pipelining(self):
        subject = f"letter {unique_id()}"
        with self.raw() as client:
            client.send("MAIL FROM:<jada@example.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<sam@example.test>\r\n"
                        "NOOP\r\nDATA\r\n")
            self.assertEqual([client.reply()[0] for _ in range(5)], [250, 550, 250, 250, 354])
            client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n..dot\r\n.\r\nQUIT\r\n")
            self.assertEqual([client.reply()[0] for _ in range(2)], [250, 221])
            self.assertTrue(client.gone())
        message = self.server.wait_for_letter(subject)
        self.assertEqual(message.get_payload().strip(), ".dot")

    def test_smtputf8(self):
        subject = f"letter {unique_id()}"
        with self.raw() as client:
            client.expect("MAIL FROM:<jada@example.test> SMTPUTF8 BODY=8BITMIME", 250)
            client.expect("RCPT TO:<j\u00fcrgen@example.test>", 550)
            client.expect("RCPT TO:<sam@example.test>", 250)
            code, _ = client.data(f"From: jada@example.test\r\nTo: J\u00fcrgen <sam@example.test>\r\nSubject: {subject}"
                                  "\r\n\r\nGr\u00fc\u00dfe")
            self.assertEqual(code, 250)
        path = next(p for p, m in self.server_letters(subject))
        self.assertIn("Gr\u00fc\u00dfe".encode(), path.read_bytes())
        self.assertIn("with UTF8SMTPSA", " ".join(path.read_text("utf-8").split()))

    def server_letters(self, subject):
        self.server.wait_for_letter(subject)
        return [(p, m) for p, m in self.server.letters() if m["Subject"] == subject]

    def test_a_success_is_told_on_request(self):
        message = letter()
        with smtplib.SMTP_SSL("localhost", self.server.port_submissions,
                              context=ssl.create_default_context(cafile=self.server.authority.cert)) as client:
            client.login(*JADA)
            client.sendmail("jada@example.test", ["sam@example.test"], message.as_bytes(),
                            mail_options=["RET=HDRS", "ENVID=env+2B1"],
                            rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;sam+40x@example.test"])
        self.server.wait_for_letter(message["Subject"])
        bounce = harness.case.wait_until(self.reports, "a report to jada")[0]
        self.assertEqual(bounce.about_message["Original-Envelope-Id"], "env+1")
        self.assertEqual(bounce.recipients[0]["Action"], "delivered")
        self.assertIn("sam@x@example.test", bounce.recipients[0]["Original-Recipient"].replace("+40", "@"))
        self.assertTrue(bounce.recipients[0]["Status"].startswith("2."))
        self.assertEqual(bounce.message["Return-Path"], "<>")

    def test_an_alias_for_several_is_told_of_as_expanded(self):
        """RFC 3461 5.2.7.3 (c): once, and nothing more when they have it."""
        message = letter()
        with smtplib.SMTP_SSL("localhost", self.server.port_submissions,
                              context=ssl.create_default_context(cafile=self.server.authority.cert)) as client:
            client.login(*JADA)
            client.sendmail("jada@example.test", ["team@example.test"], message.as_bytes(),
                            rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;team@example.test"])
        for user in ("sam", "jada"):
            self.server.wait_for_letter(message["Subject"], user)

        def about_it():
            return [one for report in self.reports() for one in report.recipients if "team@" in one.get("Original-Recipient", "")]
        harness.case.wait_until(about_it, "a report to jada")
        harness.case.wait_until(lambda: self.server.queue_list() == [], "an empty queue")
        recipient, = about_it()
        self.assertEqual((recipient["Action"], recipient["Final-Recipient"]), ("expanded", "rfc822; team@example.test"))
        self.assertTrue(recipient["Status"].startswith("2."))

    def reports(self):
        return [harness.parse_bounce(m) for _, m in self.server.letters("jada")
                if m.get_content_type() == "multipart/report"]

    def test_starttls_injection(self):
        for glued in (b"STARTTLS\r\nRSET\r\n", b"STARTTLS\r\nx"):
            with Raw(self.server.port_submission, self.server.authority) as client:
                client.send(glued)
                try:
                    self.assertIn(client.reply()[0], (220, 554))
                    self.assertTrue(client.gone())
                except Gone:
                    pass


if __name__ == "__main__":
    harness.main()
