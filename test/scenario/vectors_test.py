# SPDX-License-Identifier: ISC
"""Messages of other people's test suites, where SEALPOST_VECTORS names a folder that has them: each passes byte for byte, or is
refused with a reason."""
import os
import pathlib
import unittest

import harness
from harness import Sealpost, wait_until
from harness.message import unique_id
from harness.raw import Gone, Raw

FOLDERS = ("mime-mail-parser", "eai-messages")


def messages():
    root = pathlib.Path(os.environ.get("SEALPOST_VECTORS", "/nowhere"))
    return [path for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
            if path.is_file() and path.suffix not in (".json", ".md") and path.name != "SOURCE"]


def on_the_wire(raw):
    """The files end their lines with LF; a text ends with a line's end."""
    text = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") else text + b"\r\n"


@unittest.skipUnless(messages(), "SEALPOST_VECTORS names no folder with messages")
class Vectors(harness.Scenario):
    def test_p11_messages_of_others(self):
        """What is in the mailbox ends with what was sent; what stands in front of it is ours."""
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000"))
        sent, refused = {}, {}
        for path in messages():
            sender, text = f"{unique_id()}@client.test", on_the_wire(path.read_bytes())
            code, words = self.hand_in(server, sender, text)
            if code == 250:
                sent[sender] = (path, text)
            else:
                refused[path.name] = f"{code} {words}"
        wait_until(lambda: len(self.mailbox(server)) == len(sent), "all of them in the mailbox")
        letters = self.mailbox(server)
        for sender, (path, text) in sent.items():
            head, _, rest = letters[f"<{sender}>"].partition(b"Received: from client.test")
            self.assertTrue(rest.endswith(b"\n" + text.replace(b"\r\n", b"\n")), f"{path} has changed")
            self.assertEqual(head, f"Return-Path: <{sender}>\nDelivered-To: sam@example.test\n".encode())
        print(f"{len(sent)} messages passed unchanged, {len(refused)} were refused: {refused}")
        self.assertGreater(len(sent), 40)
        for words in refused.values():
            self.assertRegex(words, r"^5\d\d 5\.")

    def mailbox(self, server):
        """By what the Return-Path says."""
        contents = [path.read_bytes() for path in (server.mail / "example.test" / "sam" / "new").glob("*")]
        return {content.split(b"\n", 1)[0].decode().removeprefix("Return-Path: "): content for content in contents}

    def hand_in(self, server, sender, text):
        with Raw(server.port_mx) as client:
            client.expect(f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8", 250)
            client.expect("RCPT TO:<sam@example.test>", 250)
            client.expect("DATA", 354)
            try:
                client.send(b"".join(b"." + line if line.startswith(b".") else line for line in text.splitlines(True)) + b".\r\n")
                return client.reply()
            except (Gone, OSError) as gone:
                return 0, str(gone)


if __name__ == "__main__":
    harness.main()
