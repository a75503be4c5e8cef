# SPDX-License-Identifier: ISC
"""SMTP by hand: what no well-behaved client would send."""
import base64
import re
import socket
import ssl


class Gone(Exception):
    """The server has closed the connection."""


class Raw:
    """One connection. cmd() sends a line and gives (code, text); text has all lines of the reply."""

    def __init__(self, port, authority=None, tls=None, server_name="localhost", hello="client.test", host="127.0.0.1",
                 login=None, context=None, source="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=30, source_address=(source, 0))
        self.file = self.socket.makefile("rb")
        self.server_name = server_name
        self.context = context or (ssl.create_default_context(cafile=authority.cert) if authority else None)
        if tls == "implicit":
            self.wrap()
        self.greeting = self.reply()
        self.extensions = self.cmd("EHLO " + hello)[1] if hello else ""
        if tls == "starttls":
            code, text = self.cmd("STARTTLS")
            assert code == 220, (code, text)
            self.wrap()
            self.extensions = self.cmd("EHLO " + hello)[1]
        if login:
            code, text = self.login(*login)
            assert code == 235, (code, text)

    def wrap(self):
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server_name)
        self.file = self.socket.makefile("rb")

    def login(self, name, password):
        return self.cmd("AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode())

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        lines = []
        while True:
            try:
                line = self.file.readline()
            except (ConnectionError, ssl.SSLError) as gone:
                raise Gone(str(gone)) from gone
            if not line:
                raise Gone("\n".join(lines))
            assert line.endswith(b"\r\n"), line
            text = line[:-2].decode("utf-8")
            assert re.match(r"\d\d\d[- ]", text), text
            lines.append(text[4:])
            if text[3] == " ":
                return int(text[:3]), "\n".join(lines)

    def cmd(self, line):
        self.send(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return self.reply()

    def expect(self, line, code, part=""):
        got, text = self.cmd(line)
        assert got == code and part.lower() in text.lower(), f"{line!r}: wanted {code} {part!r}, got {got} {text!r}"
        return text

    def data(self, content, end=b"\r\n.\r\n"):
        """DATA with this content as it is; gives the reply to its end."""
        self.expect("DATA", 354)
        self.send((content if isinstance(content, bytes) else content.encode()) + end)
        return self.reply()

    def mail(self, sender, *recipients):
        self.expect(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", 250)

    def gone(self):
        """True if the server closes the connection without another word."""
        try:
            self.reply()
        except Gone:
            return True
        return False

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
