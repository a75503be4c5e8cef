# SPDX-License-Identifier: ISC
"""`sealpost send` to a server that does whatever the test wants: steps, JSON, exit statuses."""
import json
import ssl

import harness
from harness import Acted, Authority
from harness.ports import free_port
from harness.server import binary


class Actor(Acted):
    """A small server: `tls` is implicit, starttls or none; `replies` overrides what a verb or a whole line gets; None
    hangs up."""

    def __init__(self, files, tls="implicit", replies=None, extensions=("PIPELINING", "8BITMIME", "AUTH PLAIN LOGIN")):
        super().__init__("actor")
        self.tls, self.replies, self.extensions, self.lines = tls, replies or {}, extensions, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*files)

    def log(self):
        return "\n".join([*self.lines, super().log()])

    def talk(self, peer):
        self.converse(self.context.wrap_socket(peer, server_side=True) if self.tls == "implicit" else peer)

    def say(self, sock, text):
        sock.sendall(text.encode() + b"\r\n")

    def converse(self, sock):
        f, in_tls, in_data = sock.makefile("rb"), self.tls == "implicit", False
        self.say(sock, self.replies.get("greeting", "220 actor"))
        while line := f.readline():
            text = line.decode("latin-1").removesuffix("\r\n")
            self.lines.append(text)
            verb = text.split(" ")[0]
            if in_data:
                in_data = text != "."
                verb = "." if not in_data else None
            reply = self.replies.get(text, self.replies.get(verb, ""))
            if verb is None:
                continue
            if reply is None:
                return
            if reply:
                self.say(sock, reply)
            elif verb == "EHLO":
                more = ("STARTTLS",) if self.tls == "starttls" and not in_tls else ()
                self.say(sock, "".join(f"250-{e}\r\n" for e in ("actor", *self.extensions, *more)) + "250 HELP")
            elif verb == "STARTTLS":
                self.say(sock, "220 go")
                sock, in_tls = self.context.wrap_socket(sock, server_side=True), True
                f = sock.makefile("rb")
            elif verb == "AUTH":
                self.say(sock, "235 2.7.0 welcome")
            elif verb == "DATA":
                self.say(sock, "354 go")
                in_data = True
            elif verb == "QUIT":
                self.say(sock, "221 bye")
                return
            else:
                self.say(sock, "250 2.0.0 Ok")


class SendStatuses(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.files = self.authority.issue("localhost")
        self.secret = self.folder / "secret"
        self.secret.write_text("right horse\n")

    def send(self, *options, status=0, message=b"Subject: hello\n\n.dot\n", to=("sam@there.test",), ca=True):
        options = [*options, "--from", "jada@here.test"] + [word for address in to for word in ("--to", address)]
        if ca:
            options += ["--ca", self.authority.cert]
        return self.run_program(binary(), "send", *options, input=message, status=status)

    def actor(self, *arguments, **options):
        return self.start(Actor(self.files, *arguments, **options))

    def test_implicit_tls_and_login(self):
        actor = self.actor()
        text = self.send("--server", f"localhost:{actor.port}", "--user", "jada", "--password-file", self.secret, "-v")
        for step in ("TCP", "TLS", "verified", "AUTH", "MAIL", "RCPT", "DATA", "reply"):
            self.assertRegex(text, rf"(?m)^{step} ")
        self.assertNotIn("right horse", text)
        self.assertIn("..dot", actor.lines)

    def test_json(self):
        actor = self.actor(replies={".": "250 2.0.0 Ok: queued as abc42"})
        result = json.loads(self.send("--server", f"localhost:{actor.port}", "--json"))
        self.assertEqual((result["status"], result["code"], result["id"]), (0, 250, "abc42"))
        self.assertEqual((result["tls"]["version"], result["tls"]["verified"], result["tls"]["name"]), ("TLSv1.3", True, "localhost"))

    def test_a_file_that_is_not_there_is_named_once(self):
        self.assertEqual(self.send("--server", "localhost", "--ca", "/nonexistent", ca=False, status=78).count("/nonexistent"), 1)

    def test_a_password_never_goes_in_clear(self):
        login = ("--user", "jada", "--password-file", self.secret)
        clear, plain = self.actor("none"), self.actor("none")
        self.send("--server", f"localhost:{clear.port}", "--tls", "none", *login, status=78)
        self.send("--server", f"localhost:{plain.port}", "--tls", "starttls", *login, status=76)
        self.assertEqual(clear.lines, [])
        self.assertFalse([line for line in plain.lines if line.startswith(("AUTH", "MAIL"))])
        self.send("--server", f"localhost:{clear.port}", "--tls", "none", ca=False)

    def test_exit_statuses(self):
        rows = [
            ({"AUTH": "535 5.7.8 no"}, 77, True), ({"AUTH": "454 4.7.0 later"}, 75, True),
            ({"RCPT": "550 5.1.1 no such user"}, 67, False), ({"RCPT": "450 4.2.1 later"}, 75, False),
            ({"MAIL": "550 5.7.1 not you"}, 77, False), ({"RCPT": "550 5.1.2 no such host"}, 68, False),
            ({".": "554 5.6.0 broken"}, 65, False), ({".": "452 4.3.1 full"}, 75, False), ({".": None}, 75, False),
            ({"MAIL": "552 5.3.4 too big"}, 69, False), ({"MAIL": "354 what"}, 76, False),
            ({"greeting": "421 4.3.2 full"}, 75, False), ({"greeting": "hello"}, 76, False), ({"DATA": None}, 75, False),
        ]
        for replies, status, login in rows:
            with self.subTest(replies):
                actor = self.actor(replies=replies)
                login = ("--user", "jada", "--password-file", self.secret) if login else ()
                text = self.send("--server", f"localhost:{actor.port}", *login, status=status)
                self.assertIn("sealpost send: ", text)

    def test_some_recipients(self):
        actor = self.actor(replies={"RCPT TO:<nobody@there.test>": "550 5.1.1 no such user"})
        text = self.send("--server", f"localhost:{actor.port}", to=("sam@there.test", "nobody@there.test"), status=67)
        self.assertIn("nobody@there.test: 550 5.1.1 no such user", text)
        self.assertIn("accepted for 1 of 2 recipients", text)
        self.assertIn(".", actor.lines)

    def test_certificates(self):
        actor = self.actor()
        stranger = self.start(Actor(Authority(self.folder, "Stranger CA").issue("localhost", file="stranger")))
        self.assertIn("another name", self.send("--server", f"localhost:{actor.port}", "--name", "other.test", status=76))
        self.assertIn("certificate", self.send("--server", f"127.0.0.1:{actor.port}", status=76))
        self.assertIn("certificate", self.send("--server", f"localhost:{stranger.port}", status=76))
        self.assertFalse([line for line in actor.lines + stranger.lines if line.startswith("MAIL")])

    def test_wrong_mode(self):
        starttls = self.actor("starttls")
        self.assertIn("STARTTLS", self.send("--server", f"localhost:{starttls.port}", status=76))

    def test_nobody_there(self):
        self.assertIn("Cannot connect", self.send("--server", f"127.0.0.1:{free_port()}", status=69))
        self.assertIn("nowhere.invalid", self.send("--server", "nowhere.invalid", status=68))

    def test_what_cannot_be_carried(self):
        actor = self.actor(extensions=("PIPELINING", "SIZE 10"))
        self.assertIn("5.3.4", self.send("--server", f"localhost:{actor.port}", status=65))
        plain = self.actor(extensions=("PIPELINING",))
        where = ("--server", f"localhost:{plain.port}")
        self.assertIn("5.6.3", self.send(*where, message="Subject: x\n\nü\n".encode(), status=65))
        self.assertIn("5.6.7", self.send(*where, to=("jörg@there.test",), status=65))
        self.assertIn("5.6.0", self.send(*where, message=b"Subject: x\n\na\rb\n", status=65))
        self.assertFalse([line for line in plain.lines if line == "."])
        self.send(*where, to=("sam@bücher.test",))
        self.assertIn("RCPT TO:<sam@xn--bcher-kva.test>", plain.lines)

    def test_usage(self):
        for options in ((), ("--server", "x"), ("--server", "x", "--from", "a@b.test"), ("--what",), ("--tls", "maybe"),
                        ("--server", "x", "--from", "a@b.test", "--to", "c@d.test", "--user", "jada")):
            self.assertIn("usage: sealpost send", self.run_program(binary(), "send", *options, status=2))
        for server in ("", "x:", "x:0", "x:65536", "[::1", "unix:relative"):
            self.run_program(binary(), "send", "--server", server or "[]", "--from", "a@b.test", "--to", "c@d.test", input=b"",
                             status=65)
        self.run_program(binary(), "send", "--server", "x", "--from", "a@b.test", "--to", "not an address", input=b"", status=65)


if __name__ == "__main__":
    harness.main()
