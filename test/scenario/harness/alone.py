# SPDX-License-Identifier: ISC
"""A real resolver process without the rest of the server: the test plays supervisor, spool and courier.

    resolver = self.start(ResolverAlone(folder, f"resolver {{\\n server {zones.server}\\n ca {ca}\\n}}\\n", {str(ca): ca}))
    answer = resolver.policy("there.test")             # asks, and waits
    answer.mode, answer.mx, answer.cached
    resolver.stop(); resolver = self.start(ResolverAlone(..., kept=resolver.kept))   # a restart

What passes is ipc/codec.h: the length, the kind, then numbers of 8 bytes and strings behind their length.
"""
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import time
import types

from .case import PATIENCE_S, die_with_us

CONFIG_TEXT, FILE, COMMIT, LINK = 0, 1, 4, 5
READY, FAILED = 0, 1
COURIER_RESOLVER, RESOLVER_SPOOL = 8, 9
RESOLVE, RESOLVE_POLICY = 0, 1
RESOLVED_POLICY = 2
KEEP_OBSERVATION, SENT_REPORT, REPORT_WISH = 0, 1, 2
KEPT_OBSERVATION, SEND_REPORT, ASK_REPORT = 0, 1, 2
HAS_FD = 0x8000
STATES, MODES = ("none", "policy", "trouble", "unasked"), ("none", "testing", "enforce")
TROUBLES = ("fine", "fetch-error", "policy-invalid", "webpki-invalid", "record-error")


def pack(kind, *fields):
    body = b"".join(struct.pack("<q", f) if isinstance(f, int) else struct.pack("<I", len(f)) + f for f in fields)
    return struct.pack("<IH", len(body), kind) + body


def unpack(shape, body):
    fields = []
    for kind in shape:
        if kind == "s":
            n, = struct.unpack_from("<I", body)
            fields.append(body[4:4 + n].decode())
            body = body[4 + n:]
        else:
            fields.append(struct.unpack_from("<q", body)[0])
            body = body[8:]
    assert not body
    return fields


class Link:
    def __init__(self, ours):
        self.ours, self.waiting = ours, b""

    def send(self, kind, *fields, fd=None):
        frame = pack(kind | (HAS_FD if fd is not None else 0), *fields)
        if fd is None:
            self.ours.sendall(frame)
        else:
            socket.send_fds(self.ours, [frame], [fd])

    def take(self, patience_s=PATIENCE_S):
        """(kind, payload); None when there was nothing in time, EOFError when the other end has gone."""
        end = time.monotonic() + patience_s
        while True:
            if len(self.waiting) >= 6:
                n, kind = struct.unpack_from("<IH", self.waiting)
                if len(self.waiting) >= 6 + n:
                    body, self.waiting = self.waiting[6:6 + n], self.waiting[6 + n:]
                    return kind, body
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            more = self.ours.recv(1 << 16)
            if not more:
                raise EOFError("the resolver has closed the link")
            self.waiting += more


class ResolverAlone:
    name = "resolver"

    def __init__(self, folder, config, files, kept=None, program=None):
        self.folder, self.config, self.files = pathlib.Path(folder), config, files
        self.program = program or os.environ["SEALPOST"]
        self.kept, self.number, self.answers, self.sent = dict(kept or {}), 0, {}, {}

    def start(self):
        ours, theirs = socket.socketpair()
        self.log_path = self.folder / "resolver.out"

        def prepare():
            die_with_us()
            os.dup2(theirs.fileno(), 3)

        with open(self.log_path, "ab") as out:
            self.popen = subprocess.Popen([self.program, "role", "resolver"], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out, preexec_fn=prepare, pass_fds=(3,))
        self.pid = self.popen.pid
        theirs.close()
        self.control = Link(ours)
        self.courier, self.spool = self.link(COURIER_RESOLVER), self.link(RESOLVER_SPOOL)
        text = "hostname mx.example.test\npostmaster admin@example.test\nlisten local {\n    on unix:/nowhere\n}\n" + self.config
        self.control.send(CONFIG_TEXT, 1, b"sealpost.conf", text.encode())
        for path, file in self.files.items():
            with open(file, "rb") as f:
                self.control.send(FILE, 1, path.encode(), fd=f.fileno())
        self.control.send(COMMIT, 1)
        while True:
            kind, body = self.control.take()
            assert kind != FAILED, body
            if kind == READY:
                break
        for key, (value, expires) in self.kept.items():
            self.spool.send(KEPT_OBSERVATION, key.encode(), value.encode(), expires)
        self.spool.send(KEPT_OBSERVATION, b"", b"", 0)
        return self

    def link(self, arrow):
        ours, theirs = socket.socketpair()
        self.control.send(LINK, arrow, 0, fd=theirs.fileno())
        theirs.close()
        return Link(ours)

    def log(self):
        return self.log_path.read_text(errors="replace") if hasattr(self, "log_path") else ""

    def ask(self, domain):
        self.number += 1
        self.courier.send(RESOLVE_POLICY, self.number, domain.encode())
        return self.number

    def answer(self, number, patience_s=PATIENCE_S):
        while number not in self.answers:
            taken = self.courier.take(patience_s)
            assert taken is not None, f"no answer to {number}"
            kind, body = taken
            assert kind == RESOLVED_POLICY
            request, state, mode, identity, mx, expires, cached, text, trouble, max_age = unpack("uuussiusuu", body)
            self.answers[request] = types.SimpleNamespace(
                state=STATES[state], mode=MODES[mode], id=identity, mx=mx.split(), expires=expires, cached=bool(cached),
                text=text, trouble=TROUBLES[trouble], max_age=max_age)
        return self.answers.pop(number)

    def policy(self, domain):
        answer = self.answer(self.ask(domain))
        self.hear_spool(0)
        return answer

    def hear_spool(self, patience_s):
        while True:
            taken = self.spool.take(patience_s)
            if taken is None:
                return
            kind, body = taken
            if kind == KEEP_OBSERVATION:
                key, value, expires = unpack("ssi", body)
                self.kept[key] = (value, expires)
            else:  # REPORT_WISH has the same shape
                request, ok, text = unpack("uus", body)
                self.sent[request] = (ok, text)

    def report(self, url, body):
        return self.ask_as_spool(SEND_REPORT, url.encode(), body)

    def report_wish(self, domain):
        wish, uris = self.ask_as_spool(ASK_REPORT, domain.encode())
        return ("unwanted", "wanted", "unknown")[wish], uris

    def ask_as_spool(self, kind, *fields):
        self.number += 1
        self.spool.send(kind, self.number, *fields)
        while self.number not in self.sent:
            self.hear_spool(0.05)
            assert self.popen.poll() is None, self.log()
        return self.sent.pop(self.number)

    def stop(self):
        if not hasattr(self, "popen"):
            return
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()
        for link in (self.control, self.courier, self.spool):
            link.ours.close()
