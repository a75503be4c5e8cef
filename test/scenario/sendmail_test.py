# SPDX-License-Identifier: ISC
"""`sealpost sendmail` as cron and PHP call it, against a server that writes down what it is told."""
import os
import pwd
import subprocess

import harness
from harness import Acted, Sealpost
from harness.message import unique_id

ME = pwd.getpwuid(os.geteuid()).pw_name


class Notebook(Acted):
    """Speaks SMTP on a Unix socket and keeps envelope and content; `replies` overrides what a verb gets."""

    def __init__(self, path, replies=None):
        super().__init__("notebook", path)
        self.path, self.replies, self.lines, self.content = path, replies or {}, [], b""

    def log(self):
        return "\n".join(self.lines)

    def talk(self, peer):
        with peer.makefile("rwb") as f:
            self.converse(f)

    def say(self, f, text):
        f.write(text.encode() + b"\r\n")
        f.flush()

    def converse(self, f):
        self.say(f, "220 notebook ESMTP")
        for line in iter(f.readline, b""):
            text = line.decode().rstrip("\r\n")
            assert line.endswith(b"\r\n"), line
            self.lines.append(text)
            verb = text.split()[0].upper() if text.split() else ""
            if text in self.replies or verb in self.replies:
                self.say(f, self.replies.get(text) or self.replies[verb])
            elif verb == "EHLO":
                self.say(f, "250-notebook\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES")
            elif verb == "DATA":
                self.say(f, "354 go")
                self.content = b""
                for part in iter(f.readline, b".\r\n"):
                    self.content += part[1:] if part.startswith(b".") else part
                self.say(f, "250 2.0.0 queued as q1")
            elif verb == "QUIT":
                self.say(f, "221 2.0.0 bye")
                return
            else:
                self.say(f, "250 2.1.0 ok")


class Sendmail(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.socket = self.folder / "local.sock"
        self.conf = self.folder / "sealpost.conf"
        self.conf.write_text(f"hostname mx.example\npostmaster a@example.org\norigin example.org\n"
                             f"limits {{\n message-size 1M\n}}\nlisten local {{\n on unix:{self.socket}\n}}\n")

    def server(self, **replies):
        return self.start(Notebook(self.socket, replies))

    def sendmail(self, *argv, input=b"", status=0, name="sealpost"):
        program = [os.environ["SEALPOST"], "sendmail"]
        if name != "sealpost":
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(os.environ["SEALPOST"])
            program = [str(link)]
        return self.run_program(*program, "-C", self.conf, *argv, input=input, status=status)

    def test_a_letter_from_cron(self):
        server = self.server()
        self.sendmail("-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", name="sendmail",
                      input=b"From: root (Cron Daemon)\nTo: root\nBcc: secret@y.example\nSubject: Cron\n\n.\n100%\rdone\nlast")
        self.assertIn(f"MAIL FROM:<{ME}@example.org>", server.lines[1])
        self.assertEqual([line for line in server.lines if line.startswith("RCPT")],
                         ["RCPT TO:<root@example.org>", "RCPT TO:<secret@y.example>"])
        self.assertEqual(server.content, b"From: root@example.org (Cron Daemon)\r\nTo: root@example.org\r\nSubject: Cron\r\n\r\n"
                                         b".\r\n100%\r\ndone\r\nlast\r\n")

    def test_names_as_arguments(self):
        server = self.server()
        self.sendmail("-f", "jada@x.example", "-F", "Jada Doe", "--", "kim", "Lee <lee@y.example>,mo", "-oddly@z.example",
                      input=b"text only\n.\nnot this\n")
        self.assertIn("MAIL FROM:<jada@x.example>", server.lines[1])
        self.assertEqual([line for line in server.lines if line.startswith("RCPT")],
                         ["RCPT TO:<kim@example.org>", "RCPT TO:<lee@y.example>", "RCPT TO:<mo@example.org>",
                          "RCPT TO:<-oddly@z.example>"])
        self.assertEqual(server.content, b'From: "Jada Doe" <jada@x.example>\r\n\r\ntext only\r\n')

    def test_null_sender_and_delivery_status(self):
        server = self.server()
        for null in ("", "<>"):
            self.sendmail("-f", null, "-N", "success,delay", "-R", "hdrs", "-V", "e1", "-i", "a@b.example", input=b"Subject: x\n\n")
            self.assertIn("MAIL FROM:<>", server.lines[1])
            self.assertIn("RET=HDRS", server.lines[1])
            self.assertIn("ENVID=e1", server.lines[1])
            self.assertIn("NOTIFY=SUCCESS,DELAY", server.lines[2])
            server.lines.clear()

    def test_smtp_on_standard_input(self):
        server = self.server()
        text = self.sendmail("-bs", input=b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n")
        self.assertEqual(text.splitlines()[0], "220 notebook ESMTP")
        self.assertEqual(text.splitlines()[-1], "221 2.0.0 bye")
        self.assertEqual(server.content, b".x\r\n")

    def test_nothing_to_do(self):
        self.sendmail("-q")
        self.sendmail("-q15m")

    def test_what_goes_wrong_has_its_status(self):
        for argv, status, words in (
                (("-Z", "a@b"), 64, "there is no such option"),
                (("-f",), 64, "wants a value"),
                (("-bd",), 64, "sealpost serve"),
                (("-bx",), 64, "only -bm"),
                (("-N", "sometimes", "a@b"), 64, "-N: never, or"),
                (("-N", "never,delay", "a@b"), 64, "never stands alone"),
                (("-R", "half", "a@b"), 64, "full or hdrs"),
                ((), 64, "no recipients"),
                (("-t",), 64, "To, Cc and Bcc name nobody"),
                (("John Smith",), 65, "John Smith: not a mail address"),
                (("-f", "a@b c", "x@y"), 65, "a@b c: not a mail address"),
                (("a@b.example",), 75, "")):  # no server
            self.assertIn(words, self.sendmail(*argv, input=b"Subject: x\n\n", status=status))
        self.assertIn("the header To is no list", self.sendmail("-t", input=b"To: a b\n\n", status=65))
        self.assertIn("larger than this server takes", self.sendmail("a@b", input=b"x" * (1 << 20) + b"xx", status=65))
        self.assertIn("no-such-file", self.run_program(os.environ["SEALPOST"], "sendmail", "-C", self.folder / "no-such-file", "a@b",
                                                      input=b"", status=78))
        self.conf.write_text("hostname mx.example\npostmaster a@b\nlisten mx {\n on 127.0.0.1:25\n}\ntls x {\n cert /x\n key /y\n}\n")
        self.assertIn("listen local", self.sendmail("a@b", status=78))
        self.conf.write_text("hostnome x\n")
        self.assertIn("sealpost check", self.sendmail("a@b", status=78))

    def test_what_the_server_says_has_its_status(self):
        server = self.server()
        for replies, status in (({"RCPT": "550 5.1.1 No such user"}, 67), ({"RCPT": "550 5.1.2 No such host"}, 68),
                                ({"MAIL": "452 4.3.1 disk full"}, 75), ({"RCPT": "452 4.3.1 disk full"}, 75)):
            server.replies = replies
            text = self.sendmail("a@b.example", input=b"Subject: x\n\n", status=status)
            self.assertIn(next(iter(replies.values())), text)


class RealServer(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def sendmail(self, *argv, input=b"", status=0, **more):
        return self.run_program(self.server.program, "sendmail", "-C", self.server.conf, *argv, input=input, status=status, **more)

    def test_cron_writes_to_a_user(self):
        subject = unique_id()
        self.sendmail("-i", "-t", "-v", input=f"From: root (Cron Daemon)\nTo: sam\nBcc: jada\nSubject: {subject}\n\n.\ndone\n".encode())
        for user in ("sam", "jada"):
            letter = self.server.wait_for_letter(subject, user)
            self.assertEqual(letter["Return-Path"], f"<{ME}@example.test>")
            self.assertEqual(letter["Delivered-To"], f"{user}@example.test")
            self.assertEqual(letter["From"].addresses[0].addr_spec, "root@example.test")
            self.assertEqual(letter["To"], "sam@example.test")
            self.assertIsNone(letter["Bcc"])
            self.assertIsNotNone(letter["Date"])
            self.assertIsNotNone(letter["Message-ID"])
            self.assertIn("(local)", letter["Received"])
            self.assertEqual(letter.get_payload().splitlines(), [".", "done"])

    def test_text_alone(self):
        self.sendmail("-F", "Backup", "-f", "backup@example.test", "sam", input=b"just text\n")
        letter = self.server.wait_for_letter(None)
        self.assertEqual(letter["From"], "Backup <backup@example.test>")
        self.assertEqual(letter.get_payload(), "just text\n")

    def test_nobody_is_refused(self):
        self.assertIn("5.1.1", self.sendmail("nobody", input=b"Subject: x\n\n", status=67))

    def test_smtp_by_hand(self):
        subject = unique_id()
        command = [self.server.program, "sendmail", "-C", self.server.conf, "-bs"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            def hear(code):
                for line in iter(program.stdout.readline, b""):
                    if line[3:4] == b" ":
                        return self.assertEqual(line[:3], code, line)
                return self.fail("the end came early")
            hear(b"220")
            for said, code in ((b"EHLO me", b"250"), (b"MAIL FROM:<a@x.test>", b"250"), (b"RCPT TO:<sam@example.test>", b"250"),
                               (b"DATA", b"354"), (f"Subject: {subject}\r\n\r\nx\r\n.".encode(), b"250"), (b"QUIT", b"221")):
                program.stdin.write(said + b"\r\n")
                program.stdin.flush()
                hear(code)
            program.stdin.close()
        self.assertEqual(program.returncode, 0)
        self.server.wait_for_letter(subject)

    def test_the_queue(self):
        self.assertIn("the queue is empty", self.sendmail("-bp"))
        self.sendmail("sam@elsewhere.test", input=b"Subject: x\n\n")  # has no mail server
        harness.wait_until(lambda: "sam@elsewhere.test" in self.sendmail("-bp"), "the letter in the queue")
        self.sendmail("-bi")
        self.server.wait_for_line("reloaded")


if __name__ == "__main__":
    harness.main()
