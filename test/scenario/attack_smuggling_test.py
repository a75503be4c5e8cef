# SPDX-License-Identifier: ISC
"""SMTP smuggling through us: into Postfix, into Exim and into a server that writes down each byte. One letter in, one letter out."""
import re
import threading

import harness
from harness import Acted, Authority, Sealpost, wait_until
from harness.message import unique_id
from harness.peers import Exim, Postfix
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
EVIL = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<one@%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"
NEVER = [b"\n.\n", b"\n.\r\n", b"\n.\r", b"\r.\r", b"\r.\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
         b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\n\r.\r\n", b"\n\n.\r\n"]  # no end, and no text either: refused
# No end and good text, as DATA writes it. What arrives has one dot less where a line begins with one.
TEXTS = [b"\r\n .\r\n", b"\r\n..\r\n", b"\r\n...\r\n..\r\n", b"\r\n..\x0b\r\n", b"\r\n.\xc2\x85\r\n", b"\r\n.\x85\r\n", b"\r\n. \r\n",
         b"\r\n..QUIT\r\n"]


class Bytes(Acted):
    """A server that keeps everything it hears. With `chunks` it offers CHUNKING."""

    def __init__(self, name, chunks):
        super().__init__(name)
        self.offers = b"250-sink.test\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 " + (b"CHUNKING\r\n" if chunks else b"SIZE\r\n")
        self.heard, self.contents = [], []  # of each connection; of each message

    def talk(self, peer):
        heard = bytearray()
        self.heard.append(heard)
        stream = peer.makefile("rb")
        peer.sendall(b"220 sink.test ESMTP\r\n")
        content = b""
        for line in iter(stream.readline, b""):
            heard += line
            word = line.split()[0].upper() if line.split() else b""
            answer = b"250 2.0.0 ok\r\n"
            if word == b"EHLO":
                answer = self.offers
            elif word == b"BDAT":
                piece = stream.read(int(line.split()[1]))
                content += piece
                if b"LAST" in line:
                    self.contents.append(content)
                    content = b""
            elif word == b"DATA":
                peer.sendall(b"354 go\r\n")
                while not content.endswith(b"\r\n.\r\n"):
                    content += stream.readline()
                heard += content
                self.contents.append(re.sub(rb"(?m)^\.", b"", content[:-3]))
                content = b""
            elif word == b"QUIT":
                peer.sendall(b"221 bye\r\n")
                return
            peer.sendall(answer)


def arrived(text):
    """The text without what DATA adds in front of dots."""
    return re.sub(rb"(?m)^\.", b"", text)


class Smuggling(harness.Scenario):
    def setUp(self):
        super().setUp()
        authority = Authority(self.folder)
        files = (*authority.issue("localhost", file="peer"), authority.cert)
        self.postfix = self.start(Postfix(self.folder, *files))
        self.exim = self.start(Exim(self.folder, *files))
        self.sinks = {"plain.test": self.start(Bytes("plain", False)), "chunks.test": self.start(Bytes("chunks", True))}
        ports = {"postfix.test": self.postfix.port, "exim.test": self.exim.port, **{n: s.port for n, s in self.sinks.items()}}
        relays = "".join(f"relay {n} {{\n host 127.0.0.1:{port}\n tls none\n}}\n" for n, port in ports.items())
        self.server = self.start(Sealpost(self.folder, authority=authority, extra=relays, submissions="trust 127.0.0.1",
                                          route="\n".join(f"to {n} relay {n}" for n in ports) + "\notherwise hold"))
        self.to = [f"one@{n}" for n in ports]

    def client(self):
        return Raw(self.server.port_submissions, self.server.authority, "implicit")

    def inboxes(self):
        return [peer.maildir(peer.inbox) for peer in (self.postfix, self.exim)]

    def refused(self, ending, at_a_time=0, chunk=False):
        """One session that tries it. Exactly one answer comes, and it is no."""
        with self.client() as client:
            client.mail("jada@example.test", *self.to)
            content = b"From: jada@example.test\r\nSubject: carrier\r\n\r\nbody" + ending + EVIL % b"postfix.test"
            if chunk:
                client.send(b"BDAT %d LAST\r\n" % len(content) + content)
            else:
                client.expect("DATA", 354)
                for i in range(0, len(content), at_a_time or len(content)):
                    client.send(content[i:i + (at_a_time or len(content))])
            self.assertEqual(client.reply()[0], 550)
            try:
                client.expect("NOOP", 250)
            except (Gone, OSError):
                return
            self.assertTrue(chunk, "a session in which somebody smuggles goes on")

    def taken(self, text, chunk):
        subject = f"letter {unique_id()}"
        header = f"From: jada@example.test\r\nSubject: {subject}\r\n\r\n".encode()
        with self.client() as client:
            client.expect("MAIL FROM:<jada@example.test> BODY=8BITMIME", 250)
            for to in self.to:
                client.expect(f"RCPT TO:<{to}>", 250)
            if chunk:
                content = header + arrived(text)
                client.send(b"BDAT %d LAST\r\n" % len(content) + content)
                self.assertEqual(client.reply()[0], 250)
            else:
                self.assertEqual(client.data(header + text, end=b".\r\n")[0], 250)
        return subject, arrived(text)

    def test_attack_01_02_03_one_letter_in_one_letter_out(self):
        clients = [threading.Thread(target=self.refused, args=(ending, at, chunk))
                   for ending in NEVER for at, chunk in ((0, False), (7, False), (0, True))]
        troubles = []
        threading.excepthook = lambda trouble: troubles.append(trouble.exc_value)
        for i in range(0, len(clients), 8):
            for client in clients[i:i + 8]:
                client.start()
            for client in clients[i:i + 8]:
                client.join()
        self.assertEqual(troubles, [])
        self.refused(NEVER[0], at_a_time=1)

        body = EVIL % b"exim.test"
        letters = {}
        for text in TEXTS:
            for chunk in (False, True):
                whole = b"x" + text + body.replace(b"\r\n.\r\n", b"\r\n..\r\n")
                subject, content = self.taken(whole, chunk)
                letters[subject] = content
        for whole in (b"", b"..\r\n", b"..x\r\n", b"...\r\n..\r\n"):  # a dot just behind the header, and nothing at all
            subject, content = self.taken(whole, False)
            letters[subject] = content

        wait_until(lambda: self.server.queue_list() == [], "every letter to leave")
        n = len(letters)
        for inbox in wait_until(lambda: [i for i in self.inboxes() if len(i) >= n] if all(len(i) >= n for i in self.inboxes()) else None,
                                "the letters at Postfix and Exim"):
            self.assertEqual(sorted(m["Subject"] for m in inbox), sorted(letters))
        for sink in self.sinks.values():
            self.assertEqual(len(sink.contents), n)
            for content in sink.contents:
                header, _, text = content.partition(b"\r\n\r\n")
                subject = re.search(rb"(?m)^Subject: (.*)\r", header + b"\r")[1].decode()
                self.assertEqual(text, letters[subject])
            for heard in sink.heard:
                self.assertIsNone(re.search(rb"(?<!\r)\n|\r(?!\n)|\0", heard))
        # Every header line of ours came in front, and nothing is left of those that tried.
        self.assertNotIn("smuggled", str([m["Subject"] for inbox in self.inboxes() for m in inbox]))
        self.assertEqual(len(self.server.lines("accepted")), n)


if __name__ == "__main__":
    harness.main()
