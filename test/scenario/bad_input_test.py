# SPDX-License-Identifier: ISC
"""What must never be believed: too much, too long, out of order, bare line ends. A clear reply, nothing lost."""
import base64

import harness
from harness import Sealpost
from harness.case import SmallDisk, wait_until
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class BadInput(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder, limits="recipients 5\n    message-size 100K"))

    def raw(self, login=JADA):
        return Raw(self.server.port_submissions, self.server.authority, "implicit", login=login)

    def still_well(self):
        subject = f"letter {unique_id()}"
        with self.raw() as client:
            client.mail("jada@example.test", "sam@example.test")
            self.assertEqual(client.data(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nwell")[0], 250)
        self.server.wait_for_letter(subject)

    def test_long_lines(self):
        with self.raw() as client:
            client.expect("NOOP " + "x" * 500, 250)
            client.expect("NOOP " + "x" * 5000, 500)
            client.expect("MAIL FROM:<" + "a" * 65 + "@example.test>", 501)
            client.mail("jada@example.test", "sam@example.test")
            code, _ = client.data("From: jada@example.test\r\nSubject: x\r\n\r\n" + "y" * 998)
            self.assertEqual(code, 250)
        self.still_well()

    def test_too_large(self):
        with self.raw() as client:
            client.expect("MAIL FROM:<jada@example.test> SIZE=102401", 552, "5.3.4")
            client.expect("MAIL FROM:<jada@example.test> SIZE=99999999999999999999999", 501)
            client.expect("MAIL FROM:<jada@example.test> SIZE=10", 250)
            client.expect("RCPT TO:<sam@example.test>", 250)
            code, _ = client.data(b"From: jada@example.test\r\nSubject: too large\r\n\r\n" + b"x" * 98 + (b"\r\n" + b"x" * 98) * 1100)
            self.assertEqual(code, 552)
            client.mail("jada@example.test", "sam@example.test")
            content = b"From: jada@example.test\r\n\r\n" + (b"x" * 98 + b"\r\n") * 2000
            client.send(b"BDAT %d LAST\r\n" % len(content) + content)
            code, text = client.reply()
            self.assertEqual(code, 552, text)
        self.still_well()
        self.assertEqual([m for _, m in self.server.letters() if m["Subject"] == "too large"], [])

    def test_too_many_recipients(self):
        with self.raw() as client:
            client.expect("MAIL FROM:<jada@example.test>", 250)
            for _ in range(5):
                client.expect("RCPT TO:<sam@example.test>", 250)
            client.expect("RCPT TO:<sam@example.test>", 452, "4.5.3")

    def test_long_auth(self):
        with self.raw(login=None) as client:
            client.expect("AUTH PLAIN " + base64.b64encode(b"\0jada\0" + b"x" * 20000).decode(), 500)
        with self.raw(login=None) as client:
            client.expect("AUTH PLAIN", 334)
            code, _ = client.cmd(base64.b64encode(b"\0jada\0" + b"x" * 20000).decode())
            self.assertIn(code, (500, 501, 535))
        self.still_well()

    def test_order(self):
        with self.raw() as client:
            client.expect("RCPT TO:<sam@example.test>", 503)
            client.expect("DATA", 503)
            client.expect("BDAT 1 LAST\r\nx".encode(), 503)
            client.expect("MAIL FROM:<jada@example.test>", 250)
            client.expect("MAIL FROM:<jada@example.test>", 503)
            client.expect("DATA", 503)
            code, _ = client.cmd("STARTTLS")
            self.assertIn(code, (502, 503))
            client.expect("XYZZY", 500)
            client.expect("VRFY sam", 252)
        self.still_well()

    def test_bare_line_ends_end_nothing(self):
        """SMTP smuggling: only CRLF . CRLF ends the data, whatever else is there."""
        for ending in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\n\0.\r\n"):
            with self.subTest(ending):
                subject = f"letter {unique_id()}"
                with self.raw() as client:
                    client.mail("jada@example.test", "sam@example.test")
                    client.expect("DATA", 354)
                    client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nx".encode() + ending +
                                b"MAIL FROM:<sam@example.test>\r\nRCPT TO:<jada@example.test>\r\nDATA\r\n"
                                b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
                    replies = []
                    try:
                        replies.append(client.reply()[0])
                        client.expect("RSET", 250)  # exactly one reply, then this one
                    except Gone:
                        pass
                    self.assertEqual(len(replies), 1, replies)
                    self.assertIn(replies[0], (500, 501, 550, 554, 250))
        self.still_well()
        self.assertEqual([m for user in ("sam", "jada") for _, m in self.server.letters(user) if m["Subject"] == "smuggled"], [])

    def test_bare_line_ends_in_commands(self):
        for line in (b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"MAIL FROM:<jada@example.test>\nRCPT TO:<sam@example.test>\r\n",
                     b"NOOP \0\r\n"):
            with self.subTest(line), self.raw() as client:
                try:
                    code, _ = client.cmd(line)
                    self.assertIn(code, (500, 501, 554))
                    client.expect("RSET", 250)
                except Gone:
                    pass
        self.still_well()

    def test_eight_bits_where_seven_were_promised(self):
        with self.raw() as client:
            code, _ = client.cmd("MAIL FROM:<j\u00fcrgen@example.test>")
            self.assertIn(code, (501, 550, 553))
            client.expect("MAIL FROM:<jada@example.test> BODY=7BIT", 250)
            client.expect("RCPT TO:<sam@example.test>", 250)
            code, text = client.data("From: jada@example.test\r\nSubject: eight\r\n\r\nGr\u00fc\u00dfe".encode())
            self.assertIn(code, (250, 550, 554), text)
        self.still_well()

    def test_broken_headers(self):
        broken = [b"no header at all", b": empty name\r\n\r\nx", b"From jada\r\n\r\nx", b"From: <<<>>>\r\n\r\nx",
                  b"From: " + b"a" * 50000 + b"\r\n\r\nx", b"\r\n\r\n", b"", b"Subject: \xff\xfe\r\n\r\nx",
                  b"From: jada@example.test\r\nFrom: sam@example.test\r\n\r\nx", b" folded first\r\n\r\nx"]
        for content in broken:
            with self.subTest(content[:40]), self.raw() as client:
                client.mail("jada@example.test", "sam@example.test")
                code, text = client.data(content)
                self.assertIn(code, (250, 550, 554), text)
        with self.raw() as client:  # two authors of which one is a stranger
            client.mail("jada@example.test", "sam@example.test")
            code, _ = client.data(b"From: jada@example.test\r\nFrom: sam@example.test\r\n\r\nx")
            self.assertEqual(code // 100, 5)
        self.still_well()

    def test_loops(self):
        with Raw(self.server.port_mx) as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            code, text = client.data("Received: from a by b; Sat, 1 Jan 2022 00:00:00 +0000\r\n" * 120 + "Subject: loop\r\n\r\nx")
            self.assertEqual(code, 554, text)

    def test_many_errors(self):
        with self.raw() as client:
            codes = []
            try:
                for _ in range(200):
                    codes.append(client.cmd("XYZZY")[0])
            except (Gone, BrokenPipeError):
                pass
            self.assertLess(len(codes), 200)
            self.assertEqual(codes[-1], 421)
        self.still_well()

    def test_interrupted_data_is_never_delivered(self):
        subject = f"letter {unique_id()}"
        with self.raw() as client:
            client.mail("jada@example.test", "sam@example.test")
            client.expect("DATA", 354)
            client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nhalf a let")
        self.still_well()
        self.assertEqual([m for _, m in self.server.letters() if m["Subject"] == subject], [])
        self.assertEqual(self.server.queue_list(), [])


class FullDisk(harness.Scenario):
    """The queue on a file system of its own, which then fills up. Needs the right to mount; the tests run as root."""

    def test_full_disk(self):
        server = Sealpost(self.folder, queue="", limits="message-size 20M")
        self.start(SmallDisk(server.spool, "400m", "nobody"))
        self.start(server)
        login = {"login": JADA}
        kept = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", **login) as client:
            client.mail("jada@example.test", "sam@elsewhere.test")  # held: route otherwise hold
            self.assertEqual(client.data(f"From: jada@example.test\r\nSubject: {kept}\r\n\r\nx")[0], 250)
            filler = server.spool / "filler"
            with open(filler, "wb") as f:
                try:
                    while True:
                        f.write(bytes(1 << 20))
                        f.flush()
                except OSError:
                    pass
            refused = None
            for _ in range(200):
                code, text = client.cmd("MAIL FROM:<jada@example.test>")
                if code == 250:
                    code, text = client.cmd("RCPT TO:<sam@elsewhere.test>")
                if code == 250:
                    code, text = client.cmd("DATA")
                    if code == 354:
                        client.send(b"From: jada@example.test\r\n\r\n" + b"x" * 76 + (b"\r\n" + b"x" * 76) * 40000 + b"\r\n.\r\n")
                        code, text = client.reply()
                if code != 250:
                    refused = (code, text)
                    break
            self.assertIsNotNone(refused)
            self.assertIn(refused[0], (452, 451, 431), refused)
            self.assertTrue(refused[1].startswith("4.3."), refused)
            before = len(server.queue_list())
            filler.unlink()

            # A client of its own each time: who is refused too often is sent away.
            def taken_again():
                with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as another:
                    code, _ = another.cmd("MAIL FROM:<jada@example.test>")
                    if code == 250 and another.cmd("RCPT TO:<sam@example.test>")[0] == 250 and another.cmd("DATA")[0] == 354:
                        another.send(b"From: jada@example.test\r\nSubject: room again\r\n\r\nx\r\n.\r\n")
                        return another.reply()[0] == 250
                    return False
            wait_until(taken_again, "mail to be taken again")
        server.wait_for_letter("room again")
        self.assertEqual(len(server.queue_list()), before)


if __name__ == "__main__":
    harness.main()
