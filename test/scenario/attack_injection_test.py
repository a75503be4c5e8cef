# SPDX-License-Identifier: ISC
"""Addresses, parameters, names and texts that want to be more than that: in the queue, the log, bounces, Maildirs, the next hop."""
import base64
import os
import pathlib
import re

import harness
from harness import Acted, Sealpost, wait_until
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])

# Local parts that are nothing but local parts -> what the next hop has to hear.
LOCALS = {local: local for local in (
    "u%evil.test", "evil.test!u", "a!b%c", "root+${run{/bin/sh}}", "|id", "-oQ/tmp", "--", "`id`", "'OR'1'='1", "%s%n%p", "$", "/root",
    "a/b", "/etc/passwd", "=?utf-8?q?a=40evil.test=3e=00?=", "*", "?", "#", "~root", "{local}", "&", "new",
    '"u@evil.test"', '"../../root"', '"."', '".."', '"a b"', '"a\\"b"', '"\\\\"', '"a>b"', '"<a>"', '";id"', '"() { :;}; id"', '"a,b"', '""')}
LOCALS |= {'"ab"': "ab", '"a\\b"': "ab"}
# No addresses, or not of ours: refused.
REFUSED = [b"<@a,@any.test:u@evil.test>", b"<@any.test:u@evil.test>", b"<u@evil.test@any.test>", b"<u@evil.test>", b"<u@[127.0.0.1]>",
           b"<u@[IPv6:::1]>", b"<u@>", b"<@any.test>", b"<>", b"<u@any.test.>", b"<a(x@evil.test)@any.test>", b'<"a"b@any.test>',
           b'<"a"."b"@any.test>', b"<;sleep$IFS9;@any.test>", b"<() { :;}; id@any.test>", b"<a\x07@any.test>", b"<\x1b[2J@any.test>",
           b"<a..b@any.test>", b"<.@any.test>", b"<../../root@any.test>", b"<a@any.test> b@evil.test", b"<a@any.test><b@evil.test>",
           b"<a@any.test,b@evil.test>", b"<a@any_test>", b"<a@-any.test>", b"<u@any.test\\>", b"<u@any.test%evil.test>", b"u@any.test",
           "<u@any。test>".encode(), "<u＠any.test>".encode(), "<ü@any.test>".encode(), b"<\xc0\xae@any.test>", b"<" + b"a" * 65 + b"@any.test>",
           b'<"a\\\xffb"@any.test>', b"<u@any.test>\x0b", b"<u@any.test> X=1", b"<u@any.test> NOTIFY=NEVER,\x07"]


class Notebook(Acted):
    """An SMTP or LMTP server that writes down commands and contents, and refuses recipients that begin with "no"."""

    def __init__(self, name):
        super().__init__(name)
        self.commands, self.contents = [], []

    def talk(self, peer):
        stream, rcpts, lmtp = peer.makefile("rb"), 0, False
        peer.sendall(b"220 notebook.test ESMTP\r\n")
        for line in iter(stream.readline, b""):
            self.commands.append(line)
            word = line.split()[0].upper() if line.split() else b""
            if word in (b"EHLO", b"LHLO"):
                lmtp = word == b"LHLO"
                answer = b"250-notebook.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n"
            elif word == b"MAIL":
                rcpts, answer = 0, b"250 2.1.0 ok\r\n"
            elif word == b"RCPT" and b"TO:<no" in line:
                answer = b"550 5.1.1 no such user\r\n"
            elif word == b"RCPT":
                rcpts, answer = rcpts + 1, b"250 2.1.5 ok\r\n"
            elif word == b"DATA":
                peer.sendall(b"354 go\r\n")
                content = b""
                while not content.endswith(b"\r\n.\r\n"):
                    content += stream.readline()
                self.contents.append(content)
                answer = b"250 2.0.0 ok\r\n" * (rcpts if lmtp else 1)
            elif word == b"QUIT":
                peer.sendall(b"221 bye\r\n")
                return
            else:
                answer = b"250 2.0.0 ok\r\n"
            peer.sendall(answer)

    def heard(self, word):
        return [line for line in self.commands if line.upper().startswith(word)]


class Injection(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.sink = self.start(Notebook("sink"))
        self.server = self.start(Sealpost(self.folder, submissions="trust 127.0.0.1", route="to dsn.test relay sink\notherwise hold", extra=f"""
relay sink {{
    host 127.0.0.1:{self.sink.port}
    tls none
}}
domain any.test {{
    recipients any
    deliver lmtp 127.0.0.1:{self.sink.port}
}}
domain box.test {{
    recipients any
    deliver maildir {self.folder}/sealpost/mail/{{domain}}/{{local}}
}}"""))

    def trusted(self):
        return Raw(self.server.port_submissions, self.server.authority, "implicit")

    def judge_words(self):
        """What an operator sees is lines, and holds nothing that moves a cursor or turns the direction."""
        self.assertEqual(self.server.lines("role-died"), [])
        shown = self.server.log()
        for line in shown[shown.index(" ready "):].splitlines()[1:]:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[0-9:.]+Z (debug|info|notice|warn|error) \w+ [a-z-]+( |$)", line)
        for row in self.server.queue_list():
            shown += self.server.queue("show", row["id"])
        shown += self.server.queue("list") if self.server.queue_list() else ""
        self.assertNotRegex(shown, "[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    def test_attack_26_to_29_addresses_are_one_recipient_or_none(self):
        with Raw(self.server.port_mx) as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)
            for path in REFUSED:
                with self.subTest(path):
                    client.send(b"RCPT TO:" + path + b"\r\n")
                    self.assertEqual(client.reply()[0] // 100, 5)
                client.send(b"NOOP\r\n")  # and one answer it was
                self.assertEqual(client.reply()[0], 250)
                if REFUSED.index(path) % 15 == 14:  # before there were too many errors
                    client.expect("RCPT TO:<x@any.test>", 250)
                    self.assertEqual(client.data("Subject: x\r\n\r\nx")[0], 250)
                    client.expect("MAIL FROM:<a@elsewhere.test>", 250)
        wait_until(lambda: not self.server.queue_list(), "nothing to wait")
        for client, sender in ((Raw(self.server.port_mx), '<"u@evil.test"@elsewhere.test>'),
                               (self.trusted(), "<root+${run{/bin/sh}}@elsewhere.test>")):
            self.sink.commands.clear()
            with client:
                client.expect(f"MAIL FROM:{sender}", 250)
                for local in LOCALS:
                    client.expect(f"RCPT TO:<{local}@any.test>", 250)
                self.assertEqual(client.data("From: a@elsewhere.test\r\nSubject: x\r\n\r\nx")[0], 250)
            wait_until(lambda: self.sink.heard(b"QUIT") or not self.server.queue_list(), "the letter to arrive")
            wait_until(lambda: not self.server.queue_list(), "nothing to wait")
            heard = sorted({line.decode().split(" ORCPT")[0].rstrip() for line in self.sink.heard(b"RCPT")})
            self.assertEqual(heard, sorted({f"RCPT TO:<{local}@any.test>" for local in LOCALS.values()}))
            self.assertEqual({line.split(b">")[0] for line in self.sink.heard(b"MAIL")}, {f"MAIL FROM:{sender}".encode().split(b">")[0]})
        self.judge_words()

    def test_attack_67_a_mailbox_is_where_it_belongs(self):
        """Whatever the local part says: a Maildir right below its domain's folder, or none at all."""
        refused = set()
        with self.trusted() as client:
            for local in LOCALS:
                client.expect("MAIL FROM:<jada@example.test>", 250)
                code, _ = client.cmd(f"RCPT TO:<{local}@box.test>")
                if code == 250:
                    self.assertEqual(client.data(f"From: jada@example.test\r\nSubject: letter {unique_id()}\r\n\r\nx")[0], 250)
                else:
                    refused.add(local)
                    client.expect("RSET", 250)
        wait_until(lambda: not self.server.queue_list(), "all to be delivered or returned")
        box, wrong = self.server.mail / "box.test", []
        for folder, _, files in os.walk(self.folder):
            path = pathlib.Path(folder)
            for file in files:
                if ".Q" in file and not (path.name in ("new", "tmp") and path.parent.parent in (box, self.server.mail / "example.test")):
                    wrong.append(str(path / file))
        self.assertEqual(wrong, [])
        found = {path.name for path in box.iterdir()}
        self.assertFalse((self.server.mail / "root").exists() or (self.folder / "root").exists())
        plain = {local: re.sub(r'\\(.)', r"\1", local.strip('"')).lower() for local in LOCALS}
        self.assertTrue({"/etc/passwd", "/root", "a/b", '"."', '".."', '"../../root"', '""'} <= refused, refused)
        self.assertEqual(found, {plain[local].split("+")[0] for local in LOCALS if local not in refused})
        self.judge_words()

    def test_attack_20_parameters_are_decoded_checked_and_encoded_again(self):
        with self.trusted() as client:
            for line in ("ENVID=+0A", "ENVID=a+0D+0Ab", "ENVID=+4", "ENVID=+GG", "ENVID=+00", "AUTH=<+0D+0AX:1>", "AUTH=<>+0D",
                         "RET=FULL\x0bRET=HDRS", "SIZE=1+0D", "BODY=8BITMIME+0D", "ENVID=a ENVID=b"):
                self.assertEqual(client.cmd(f"MAIL FROM:<jada@example.test> {line}")[0] // 100, 5, line)
            client.expect("MAIL FROM:<jada@example.test> RET=HDRS ENVID=A+2B+3D+41+2Bz", 250)
            for line in ("ORCPT=rfc822;x+0D+0ADATA", "ORCPT=rf(c;x", "ORCPT=x", "ORCPT=rfc822;+00", "NOTIFY=NEVER,FAILURE", "ORCPT=a+3Bb;x"):
                self.assertEqual(client.cmd(f"RCPT TO:<one@dsn.test> {line}")[0] // 100, 5, line)
            client.expect("RCPT TO:<one@dsn.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By+40z", 250)
            client.expect("RCPT TO:<two@dsn.test> ORCPT=x-y;+20NOTIFY+3DNEVER+3C+3E", 250)
            self.assertEqual(client.data("From: jada@example.test\r\n\r\nx")[0], 250)
        wait_until(lambda: self.sink.contents, "the letter to arrive")
        mail, = self.sink.heard(b"MAIL")
        self.assertIn(b" ENVID=A+2B+3DA+2Bz", mail)
        one, two = sorted(self.sink.heard(b"RCPT"))
        self.assertIn(b" ORCPT=rfc822;x+2By@z", one)
        self.assertRegex(two, rb"^RCPT TO:<two@dsn\.test>( NOTIFY=[A-Z,]+)? ORCPT=x-y;\+20NOTIFY\+3DNEVER(\+3C|<)(\+3E|>)\r\n$")
        self.judge_words()

    def test_attack_21_22_names_and_texts_forge_no_line(self):
        """What a client calls itself, in headers, log and bounces."""
        names = ["a)(b;from=evil", "x;by=mx9.example.test;", "[127.0.0.1]", '"quoted', "(((", "a\\", "a@b", "<a>", "x,y", "%s%n",
                 "=?utf-8?q?=0d=0a?=", "a" * 255, "id=forged", 'x"id=1', "\\x1b]0;x"]
        for name in names:
            with self.subTest(name), Raw(self.server.port_mx, hello=name) as client:
                subject = f"letter {unique_id()}"
                client.mail("a@elsewhere.test", "sam@example.test", "no@any.test")
                self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
                message = self.server.wait_for_letter(subject)
                self.assertEqual([name.lower() for name in message.keys()], ["return-path", "delivered-to", "received", "subject"])
                received = message["Received"]
                self.assertEqual(len(re.findall(r"by mx1\.example\.test ", re.sub(r'\([^()]*\)|"[^"]*"', "", received))), 1, received)
                bare = re.sub(r"\\.", "", received)
                self.assertEqual(bare.count("("), bare.count(")"), received)
        for name in ("\x1b[2J", "a\0b", "x\u202ey", "a b", "x\x7f", "\x85"):
            with self.subTest(name), Raw(self.server.port_mx, hello=None) as client:
                try:
                    self.assertEqual(client.cmd(f"EHLO {name}")[0] // 100, 5)
                except Gone:
                    pass
        self.judge_words()

    def test_attack_22_users_and_addresses_in_the_log(self):
        with Raw(self.server.port_submission, self.server.authority, "starttls") as client:
            for user in ("\x1b]0;x\x07\u202egro.live\u2066", "x\r\n2026-01-01T00:00:00Z error front forged", "' OR 1=1 --%n" + "a" * 9000):
                secret = base64.b64encode(f"\0{user}\0password".encode()).decode()
                try:
                    code, _ = client.cmd(f"AUTH PLAIN {secret}")
                except Gone:
                    client.close()
                    client.__init__(self.server.port_submission, self.server.authority, "starttls")
                    continue
                self.assertIn(code, (421, 454, 501, 535))
                if code == 421:
                    client.close()
                    client.__init__(self.server.port_submission, self.server.authority, "starttls")
        self.run_program("openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port_submissions}", "-servername", "x\x1b]0;y\u202e",
                         status=None, input=b"")
        with self.trusted() as client:
            client.expect("MAIL FROM:<a\u202eb@elsewhere.test> SMTPUTF8", 250)
            client.expect("RCPT TO:<c\u2066d@elsewhere.test>", 250)
            client.expect("RCPT TO:<no\u202eb@any.test>", 250)
            client.expect('RCPT TO:<"x y=z"@elsewhere.test>', 250)
            self.assertEqual(client.data("From: jada@example.test\r\nSubject: \u202e\x1b]0;x\r\n\r\nx".encode())[0], 250)
        wait_until(lambda: len(self.server.queue_list()) >= 2, "what is held")
        self.assertNotRegex(self.server.log(), "(?m)^2026-01-01")
        self.judge_words()


if __name__ == "__main__":
    harness.main()
