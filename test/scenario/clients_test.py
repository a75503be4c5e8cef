# SPDX-License-Identifier: ISC
"""Every client that people use hands a letter in, over 465, 587 and 25."""
import os
import smtplib
import ssl
import subprocess

import harness
from harness import Sealpost
from harness.case import need
from harness.message import letter, unique_id

JADA, PASSWORD = "jada", Sealpost.PASSWORDS["jada"]


class Clients(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))
        self.ca = self.server.authority.cert
        self.subject = f"letter {unique_id()}"

    def context(self):
        return ssl.create_default_context(cafile=self.ca)

    def arrives(self, protocol, subject=None):
        """In sam's Maildir, with a Received line that says how it came."""
        message = self.server.wait_for_letter(subject or self.subject)
        received = " ".join(message["Received"].split())
        self.assertIn(f"with {protocol} ", received)
        self.assertIn("by mx1.example.test", received)
        if protocol.endswith(("S", "SA")):
            self.assertIn("TLSv1.", received)
        self.assertEqual(message["Delivered-To"], "sam@example.test")
        self.assertIn("jada@example.test", message["Return-Path"])
        return message

    def text(self):
        return letter(subject=self.subject).as_bytes()

    def test_smtplib_465(self):
        with smtplib.SMTP_SSL("localhost", self.server.port_submissions, context=self.context()) as client:
            client.login(JADA, PASSWORD)
            client.send_message(letter(subject=self.subject))
        self.arrives("ESMTPSA")

    def test_smtplib_587(self):
        with smtplib.SMTP("localhost", self.server.port_submission) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("auth"), "AUTH is offered before TLS")
            client.starttls(context=self.context())
            client.login(JADA, PASSWORD)
            client.send_message(letter(subject=self.subject))
        self.arrives("ESMTPSA")

    def test_smtplib_25(self):
        with smtplib.SMTP("localhost", self.server.port_mx) as client:
            client.starttls(context=self.context())
            client.ehlo()
            self.assertFalse(client.has_extn("auth"), "AUTH is offered on port 25")
            client.send_message(letter(subject=self.subject))
        self.arrives("ESMTPS")

    def test_smtplib_25_in_clear(self):
        with smtplib.SMTP("localhost", self.server.port_mx) as client:
            client.send_message(letter(subject=self.subject))
        self.arrives("ESMTP")

    def swaks(self, port, *more):
        return self.run_program("swaks", "--server", "127.0.0.1", "--port", port, "--from", "jada@example.test", "--to",
                                "sam@example.test", "--header", f"Subject: {self.subject}", "--ehlo", "client.test",
                                "--tls-verify", "--tls-ca-path", self.ca, *more)

    def test_swaks_465(self):
        login = ("--auth-user", JADA, "--auth-password", PASSWORD)
        text = self.swaks(self.server.port_submissions, "--tls-on-connect", "--auth", "PLAIN", *login)
        self.assertIn("~> AUTH PLAIN", text)
        self.arrives("ESMTPSA")

    def test_swaks_587(self):
        login = ("--auth-user", JADA, "--auth-password", PASSWORD)
        text = self.swaks(self.server.port_submission, "--tls", "--auth", "LOGIN", *login)
        self.assertIn("~> AUTH LOGIN", text)
        self.arrives("ESMTPSA")

    def test_swaks_25(self):
        self.swaks(self.server.port_mx, "--tls")
        self.arrives("ESMTPS")

    def curl(self, url, *more, status=0):
        mail = self.folder / "mail.eml"
        mail.write_bytes(self.text())
        return self.run_program("curl", "--silent", "--show-error", "--verbose", "--url", url, "--cacert", self.ca,
                                "--mail-from", "jada@example.test", "--mail-rcpt", "sam@example.test", "--upload-file",
                                mail, *more, status=status)

    def test_curl_465(self):
        self.curl(f"smtps://localhost:{self.server.port_submissions}/client.test", "--user", f"{JADA}:{PASSWORD}")
        self.arrives("ESMTPSA")

    def test_curl_587(self):
        self.curl(f"smtp://localhost:{self.server.port_submission}/client.test", "--ssl-reqd", "--user",
                  f"{JADA}:{PASSWORD}")
        self.arrives("ESMTPSA")

    def test_curl_25(self):
        self.curl(f"smtp://localhost:{self.server.port_mx}/client.test", "--ssl-reqd")
        self.arrives("ESMTPS")

    def test_curl_sees_a_wrong_name(self):
        self.curl(f"smtps://wrong.test:{self.server.port_submissions}/client.test", "--resolve",
                  f"wrong.test:{self.server.port_submissions}:127.0.0.1", status=60)

    def msmtp(self, port, *more, login=True):
        """With what protocol, where the transfer is one over TLS: newer versions say SMTPUTF8 wherever it is offered (RFC 6531 4.3)."""
        passing = [f"--passwordeval=printf %s '{PASSWORD}'", f"--user={JADA}"] if login else []
        done = self.run_program("msmtp", "--host=localhost", f"--port={port}", "--tls=on", f"--tls-trust-file={self.ca}",
                                "--from=jada@example.test", "--debug", *passing, *more, "sam@example.test",
                                input=self.text(), env={**os.environ, "HOME": str(self.folder)})
        mail = next(line for line in done.splitlines() if "MAIL FROM:" in line)
        return done, ("UTF8SMTPS" if "SMTPUTF8" in mail else "ESMTPS") + ("A" if login else "")

    def scram(self):
        """As msmtp has it: one that can bind to TLS fails without that, in its SASL library."""
        return "scram-sha-256-plus" if "scram-sha-256-plus" in self.run_program("msmtp", "--version") else "scram-sha-256"

    def test_msmtp_465(self):
        for mechanism in ("plain", "login", self.scram()):
            with self.subTest(mechanism):
                self.subject = f"letter {unique_id()}"
                _, protocol = self.msmtp(self.server.port_submissions, "--tls-starttls=off", f"--auth={mechanism}")
                self.arrives(protocol)

    def test_msmtp_587(self):
        scram = self.scram()
        text, protocol = self.msmtp(self.server.port_submission, "--tls-starttls=on", f"--auth={scram}")
        self.assertIn(f"AUTH {scram.upper()}", text)
        self.arrives(protocol)

    def test_channel_binding(self):
        """SCRAM-SHA-256-PLUS with tls-exporter (RFC 9266), by the GNU SASL client."""
        text = self.run_program("gsasl", "--smtp", f"--connect=localhost:{self.server.port_submission}", "--verbose",
                                "--mechanism=SCRAM-SHA-256-PLUS", f"--x509-ca-file={self.ca}", f"--authentication-id={JADA}",
                                f"--password={PASSWORD}", "--authorization-id=", input=b"")
        self.assertIn("SCRAM-SHA-256-PLUS", text)
        self.server.wait_for_line("login", "jada")

    def test_msmtp_25(self):
        _, protocol = self.msmtp(self.server.port_mx, "--tls-starttls=on", "--auth=off", login=False)
        self.arrives(protocol)

    def s_nail(self, url, *more):
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        self.run_program("s-nail", "-:/", "-v", "-Sv15-compat", "-Sttycharset=utf-8", "-Ssendwait", "-Shostname=client.test",
                         "-Sfrom=jada@example.test", f"-Smta={url}", f"-Stls-ca-file={self.ca}", "-Stls-verify=strict",
                         "-Stls-ca-no-defaults", *more, "-s", self.subject, "sam@example.test", input=b"Hello\n",
                         env={**os.environ, "HOME": str(home), "MAILRC": "/dev/null"})

    def test_s_nail_465(self):
        password = PASSWORD.replace(" ", "%20")
        self.s_nail(f"smtps://{JADA}:{password}@localhost:{self.server.port_submissions}", "-Ssmtp-auth=plain")
        self.arrives("ESMTPSA")

    def test_s_nail_587(self):
        password = PASSWORD.replace(" ", "%20")
        self.s_nail(f"submission://{JADA}:{password}@localhost:{self.server.port_submission}", "-Ssmtp-use-starttls",
                    "-Ssmtp-auth=login")
        self.arrives("ESMTPSA")

    def test_s_nail_25(self):
        self.s_nail(f"smtp://localhost:{self.server.port_mx}", "-Ssmtp-use-starttls", "-Ssmtp-auth=none")
        self.arrives("ESMTPS")  # though it says HELO after STARTTLS: RFC 3848 has no "SMTPS"

    def s_client(self, port, *more, login=True):
        """A person who types SMTP: one line after each reply."""
        argv = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(self.ca), "-verify_return_error",
                "-servername", "mx1.example.test", "-verify_hostname", "mx1.example.test", "-quiet", "-crlf", "-ign_eof",
                *more]
        log = open(self.folder / "s_client.err", "wb")
        person = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(log.close)

        def reply():
            while True:
                line = person.stdout.readline()
                self.assertTrue(line, (self.folder / "s_client.err").read_text())
                if line[3:4] == b" ":
                    return int(line[:3])

        def type_line(line):
            person.stdin.write(line.encode() + b"\n")
            person.stdin.flush()

        steps = [("EHLO client.test", 250)]
        if login:
            steps += [("AUTH LOGIN", 334), ("amFkYQ==", 334), ("Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==", 235)]
        steps += [("MAIL FROM:<jada@example.test>", 250), ("RCPT TO:<sam@example.test>", 250), ("DATA", 354),
                  (f"From: jada@example.test\nSubject: {self.subject}\n\nby hand\n.", 250), ("QUIT", 221)]
        if "-starttls" not in more:  # with it, s_client has read the greeting itself
            self.assertEqual(reply(), 220)
        for line, code in steps:
            type_line(line)
            self.assertEqual(reply(), code, line)
        person.stdin.close()
        self.assertEqual(person.wait(30), 0)
        person.stdout.close()

    def test_openssl_465(self):
        self.s_client(self.server.port_submissions)
        message = self.arrives("ESMTPSA")
        # RFC 6409 8: what the person forgot.
        self.assertTrue(message["Date"])
        self.assertTrue(message["Message-ID"].endswith("@mx1.example.test>"), message["Message-ID"])

    def test_openssl_587(self):
        self.s_client(self.server.port_submission, "-starttls", "smtp")
        self.arrives("ESMTPSA")

    def test_openssl_25(self):
        self.s_client(self.server.port_mx, "-starttls", "smtp", login=False)
        message = self.arrives("ESMTPS")
        self.assertIsNone(message["Message-ID"])  # on 25 nothing is added

    def test_our_own(self):
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        for port, mode in ((self.server.port_submissions, "implicit"), (self.server.port_submission, "starttls")):
            self.subject = f"letter {unique_id()}"
            text = self.run_program(self.server.program, "send", "--server", f"localhost:{port}", "--tls", mode, "--ca", self.ca,
                                    "--user", JADA, "--password-file", password, "--from", "jada@example.test", "--to",
                                    "sam@example.test", input=self.text())
            self.assertIn("250", text)
            self.arrives("ESMTPSA")


if __name__ == "__main__":
    harness.main()
