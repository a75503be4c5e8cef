# SPDX-License-Identifier: ISC
"""Sessions that break off, change their protocol or say what nobody should: nothing of it becomes a message."""
import re
import socket
import ssl
import struct

import harness
from harness import Sealpost, wait_until
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class UnderTls:
    """TLS by hand over a socket, so that what leaves can be held in hand: close_notify, and bytes in clear behind it."""

    def __init__(self, server, port, plain_first=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if plain_first:
            self.clear(b"")
            for line in (b"EHLO a.test\r\n", b"STARTTLS\r\n"):
                self.clear(line)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=server.authority.cert)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.step(self.tls.do_handshake)

    def clear(self, line):
        self.socket.sendall(line)
        reply = b""
        while not re.search(rb"(?m)^\d\d\d .*\r\n", reply):
            reply += self.socket.recv(4096)

    def step(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise Gone("closed") from None
                self.incoming.write(data)
                continue
            self.socket.sendall(self.outgoing.read())
            return result

    def say(self, data, wanted=None):
        self.step(self.tls.write, data)
        reply = b""
        while wanted and not re.search(rb"(?m)^\d\d\d .*\r\n", reply):
            reply += self.step(self.tls.read, 65536)
        assert wanted is None or reply.splitlines()[-1].startswith(wanted), reply

    def close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.socket.sendall(self.outgoing.read())

    def rest(self):
        """What still comes in clear or cipher, until the other side has closed."""
        data = b""
        try:
            while more := self.socket.recv(65536):
                data += more
        except ConnectionError:
            pass
        self.socket.close()
        return data


class Sessions(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder, submissions="trust 127.0.0.1"))
        self.ports = {"mx": self.server.port_mx, "submission": self.server.port_submission,
                      "submissions": self.server.port_submissions}

    def nothing_came(self):
        """A letter afterwards arrives, and it is the only one."""
        subject = f"letter {unique_id()}"
        with Raw(self.server.port_mx) as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
        self.server.wait_for_letter(subject)
        self.assertEqual([m["Subject"] for _, m in self.server.letters()], [subject])
        self.assertEqual(len(self.server.lines("accepted")), 1)
        self.assertEqual(self.server.queue_list(), [])
        self.assertEqual(self.server.lines("role-died"), [])

    def test_attack_09_tls_ends_in_the_middle(self):
        envelope = ((b"EHLO a.test\r\n", b"250"), (b"MAIL FROM:<a@elsewhere.test>\r\n", b"250"), (b"RCPT TO:<sam@example.test>\r\n", b"250"))
        data, letter = (b"DATA\r\n", b"354"), b"Subject: never\r\n\r\nhalf"
        ways = {
            "in DATA": ((*envelope, data, (letter, None)), b"\r\n.\r\n"),
            "just before the dot's LF": ((*envelope, data, (letter + b"\r\n.\r", None)), b"\n"),
            "in a chunk": ((*envelope, (b"BDAT 100 LAST\r\n" + letter, None)), b"x" * 100),
            "between chunks": ((*envelope, (b"BDAT 4\r\nab\r\n", b"250")), b"BDAT 0 LAST\r\n"),
            "with one octet missing": ((*envelope, (b"BDAT 3 LAST\r\nab", None)), b"c"),
            "in a command": ((*envelope, (b"DA", None)), b"TA\r\nSubject: never\r\n\r\n.\r\n"),
        }
        for port in ("submissions", "mx"):
            for name, (steps, behind) in ways.items():
                with self.subTest(port=port, when=name):
                    client = UnderTls(self.server, self.ports[port], plain_first=port == "mx")
                    if port == "submissions":
                        client.say(b"", b"220")
                    for data, wanted in steps:
                        client.say(data, wanted)
                    client.close_notify()
                    try:
                        client.socket.sendall(behind)
                    except ConnectionError:
                        pass
                    self.assertNotRegex(client.rest(), rb"\d\d\d ")  # no answer in clear, and the end
        self.nothing_came()

    def test_attack_09_a_connection_that_breaks_is_no_end(self):
        for way in (b"DATA\r\n", b"BDAT 100 LAST\r\n"):
            for reset in (False, True):
                with Raw(self.server.port_mx) as client:
                    client.mail("a@elsewhere.test", "sam@example.test")
                    client.send(way)
                    if way == b"DATA\r\n":
                        client.reply()
                    client.send(b"Subject: never\r\n\r\nhalf\r\n.")
                    if reset:
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.nothing_came()

    def test_attack_14_other_protocols(self):
        inside = b"EHLO a.test\r\nMAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<sam@example.test>\r\nDATA\r\nSubject: never\r\n\r\n.\r\nQUIT\r\n"
        starts = [verb + b" / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n" for verb in
                  (b"POST", b"GET", b"PUT", b"OPTIONS", b"HEAD", b"CONNECT", b"DELETE", b"PATCH", b"post")]
        starts += [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Host: x\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n",
                   b"SSH-2.0-x\x00\r\n", b"\x80\x2e\x01\x00\x02\r\n", b"\0\0\0\x2fxyz\r\n"]
        for port in ("mx", "submission"):
            for start in starts:
                with self.subTest(port=port, start=start[:12]), Raw(self.ports[port], hello=None) as client:
                    client.send(start + inside)
                    code, _ = client.reply()
                    self.assertIn(code, (500, 554))
                    self.assertTrue(client.gone())
        self.server.wait_for_line("wrong-port", count=2 * 12)
        self.nothing_came()

    def test_attack_14_nothing_is_reflected(self):
        """A browser that is made to speak with us finds nothing of its own in our replies."""
        mark = "<script>x</script>"
        with Raw(self.server.port_mx, hello=f"{mark}.test") as client:
            replies = [client.extensions]
            for line in (mark, f"EHLO {mark}", f"MAIL FROM:<{mark}@x.test>", f"MAIL FROM:<a@x.test> {mark}=1", "MAIL FROM:<a@x.test>",
                         f"RCPT TO:<\"{mark}\"@example.test>", f"RCPT TO:<a@{mark}.test>", f"RCPT TO:<\"{mark}\"@elsewhere.test>", f"VRFY {mark}",
                         f"HELP {mark}", f"EXPN {mark}", f"NOOP {mark}", f"AUTH {mark}", f"BDAT {mark}"):
                replies.append(client.cmd(line)[1])
        for reply in replies:
            self.assertNotIn("script", reply)
        self.nothing_came()

    def test_attack_14_alpn(self):
        context = ssl.create_default_context(cafile=self.server.authority.cert)
        for protocols in (["h2"], ["http/1.1"], ["h2", "http/1.1", "ftp", "imap", "pop3"], ["smtp2"]):
            context.set_alpn_protocols(protocols)
            with self.subTest(protocols):
                with self.assertRaises((ssl.SSLError, ConnectionError)) as trouble:
                    Raw(self.server.port_submissions, tls="implicit", context=context)
                self.assertIn("no application protocol", str(trouble.exception))
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    Raw(self.server.port_mx, tls="starttls", context=context)
        self.nothing_came()

    def test_attack_08_who_speaks_too_early(self):
        for port in ("mx", "submission"):
            with self.subTest(port), socket.create_connection(("127.0.0.1", self.ports[port])) as client:
                client.sendall(b"EHLO a.test\r\nMAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<sam@example.test>\r\nDATA\r\nSubject: never\r\n\r\n.\r\n")
                client.settimeout(30)
                heard = b""
                try:
                    while more := client.recv(4096):
                        heard += more
                except ConnectionError:
                    pass
                self.assertRegex(heard, rb"\A(220 [^\r]*\r\n)?(250[- ][^\r]*\r\n)*554 [^\r]*\r\n\Z")
        for lines in (b"EHLO a.test\r\nNOOP\r\n", b"DATA\r\nSubject: never\r\n\r\n.\r\n", b"STARTTLS\r\nNOOP\r\n"):
            with Raw(self.server.port_mx) as client:
                client.mail("a@elsewhere.test", "sam@example.test")
                client.send(lines)
                self.assertEqual(client.reply()[0], 554)
                self.assertTrue(client.gone())
        self.nothing_came()

    def test_attack_73_the_postmaster_can_be_reached(self):
        """With and without a domain, in any case, by anybody; and who claims to be one of us on port 25 is nobody special."""
        spellings = ("Postmaster", "POSTMASTER", "postmaster@example.test", "PostMaster@EXAMPLE.TEST", '"postmaster"@example.test')
        for to in spellings:
            with self.subTest(to), Raw(self.server.port_mx) as client:
                client.mail("", to)
                subject = f"letter {unique_id()}"
                self.assertEqual(client.data(f"Subject: {subject}\r\n\r\nx")[0], 250)
                self.server.wait_for_letter(subject, "jada")
        with Raw(self.server.port_mx) as client:
            client.expect("MAIL FROM:<jada@example.test>", 250)
            client.expect("RCPT TO:<stranger@elsewhere.test>", 550, "5.7.1")
            client.expect("RCPT TO:<sam@example.test>", 250)

    def test_attack_75_nothing_inside_is_told(self):
        """No version, no path, no process: in no reply, no notice and no header."""
        inside = re.compile(rb"0\.1\.0|/tmp|sqlite|Maildir|pid|Linux|Python|front|spool|courier|porter|keeper|resolver", re.I)
        heard = []
        with Raw(self.server.port_mx) as client:
            heard += [client.greeting[1], client.extensions]
            for line in ("HELP", "VRFY root", "EXPN root", "XYZZY", "RCPT TO:<sam@example.test>", "MAIL FROM:<", "MAIL FROM:<a@elsewhere.test>",
                         "RCPT TO:<nobody@example.test>", "RCPT TO:<x@elsewhere.test>", "AUTH PLAIN", "ETRN x", "RCPT TO:<sam@example.test>"):
                heard.append(client.cmd(line)[1])
            heard.append(client.data(f"Subject: letter {unique_id()}\r\n\r\nx")[1])
            heard.append(client.cmd("QUIT")[1])
        with Raw(self.server.port_submissions, self.server.authority, "implicit") as client:
            client.mail("sam@example.test", "x@elsewhere.test")
            heard.append(client.data("From: sam@example.test\r\n\r\nx")[1])
        self.server.queue("bounce", wait_until(self.server.queue_list, "the letter that is held")[0]["id"])
        wait_until(lambda: len(self.server.letters()) == 2, "a letter and a bounce")
        for path, message in self.server.letters():
            heard.append(message.as_string())
        for text in heard:
            self.assertIsNone(inside.search(text.encode()), text)


if __name__ == "__main__":
    harness.main()
