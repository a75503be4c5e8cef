# SPDX-License-Identifier: ISC
"""The server, with accounts of its own in a mount namespace of our own, and bursts of `sealpost load`."""
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess

from harness import Sealpost, free_ports
from harness.case import die_with_us
from harness.network import own_file
from harness.server import ENVIRONMENT

USERS = ["jada", "sam", *(f"user{n}" for n in range(28))]
PASSWORD = "correct horse battery staple"
ROLES = ("", "-front", "-spool", "-courier", "-keeper", "-resolver")


def make_accounts(folder):
    """For us and what we start; nothing of the machine changes."""
    for kind, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
        text = pathlib.Path("/etc", kind).read_text()
        known = {line.split(":")[0] for line in text.splitlines()}
        for number, name in enumerate([*(f"sealpost{role}" for role in ROLES), "vmail"], 61000):
            text += "" if name in known else line.format(name, number)
        (folder / kind).write_text(text)
        (folder / kind).chmod(0o644)
        own_file(f"/etc/{kind}", folder / kind)


class House(Sealpost):
    PASSWORDS = {name: PASSWORD for name in USERS}
    CHANGING = ("message-size 30M", "message-size 31M")

    def __init__(self, folder, program, give_up_s):
        self.hops = dict(zip(("good", "moody", "slow", "dead", "bulk"), free_ports(5)))
        retry = "1s 2s 5s 10s" if give_up_s > 20 else "1s 2s"
        relays = "".join(
            f"relay {name} {{\n host 127.0.0.1:{port}\n tls starttls encrypt\n retry {retry}\n"
            f" give-up {give_up_s if name == 'dead' else 24 * 3600}s\n}}\n" for name, port in self.hops.items())
        super().__init__(folder, program=program, fronts=2, route="\n".join(f"to {n}.test relay {n}" for n in self.hops) + "\notherwise hold",
                         extra=relays, limits="connections-per-client 1000\nconnections-per-network 2000\n" + self.CHANGING[0])
        self.as_root = "run-as sealpost\nmail-user vmail\n"
        self.roles_may_die = True
        shutil.chown(self.mail, "vmail")
        self.reloads = 0

    def change(self):
        """A reload, every third time with a new certificate."""
        self.reloads += 1
        was, new = self.CHANGING[(self.reloads - 1) % 2], self.CHANGING[self.reloads % 2]
        if self.reloads % 3 == 0:
            cert, key = self.authority.issue("mx1.example.test", "localhost", "127.0.0.1", file="renewed")
            self.cert.write_bytes(cert.read_bytes())
            self.key.write_bytes(key.read_bytes())
        self.write_conf(limits=self.parts["limits"].replace(was, new))
        self.process.popen.send_signal(signal.SIGHUP)

    def log_lines(self):
        with open(self.process.log_path, errors="replace") as log:
            yield from log


class Bulk:
    """Bursts of `sealpost load`, which does not say which letters it was told 250 for, but of how many; their recipients are numbered."""

    def __init__(self, house):
        self.house, self.numbers, self.told = house, itertools.count(1), {}

    def burst(self, count):
        number = next(self.numbers)
        words = [self.house.program, "load", "--json", "--quiet", "--tls", "starttls", "--user", "jada", "--password-variable", "SECRET",
                 "--from", "jada@example.test", "--to", f"r%m-{number}@bulk.test", "--count", count, "--connections", 20, "--messages", 10,
                 "--size", 4000, f"127.0.0.1:{self.house.port_submission}"]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, preexec_fn=die_with_us, timeout=300,
                              env={**os.environ, **ENVIRONMENT, "SECRET": PASSWORD})
        assert done.returncode in (0, 1), done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        self.told[number] = (told["accepted_in_all"], told["failed"])

    @property
    def accepted(self):
        return sum(accepted for accepted, _ in self.told.values())

    @property
    def open(self):
        return sum(left for _, left in self.told.values())
