# SPDX-License-Identifier: ISC
"""The servers that are measured, each started from its files in peers/ with a folder of its own on the queue's disk.

hold: what is accepted stays in the queue. Else it goes on to the sink at next_hop, over STARTTLS.
"""
import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

from harness.case import die_with_us, need, wait_until
from harness.ports import free_ports, listens

from group import Group

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent
ACCOUNTS = {  # name -> number, of those that this machine may lack; they live in our mount namespace only
    **{f"sealpost{role}": 61000 + i for i, role in enumerate(("", "-front", "-spool", "-courier", "-keeper", "-resolver"))},
    "vmail": 61010, "Debian-exim": 61011, "opensmtpd": 61012, "opensmtpq": 61013, "haraka": 61014, "postfix": 61015, "postdrop": 61016,
}


def make_accounts(folder):
    """In a mount namespace of our own (see the Makefile), so nothing of the machine changes."""
    for kind in ("passwd", "group"):
        text = pathlib.Path("/etc", kind).read_text()
        known = {line.split(":")[0] for line in text.splitlines()}
        for name, number in ACCOUNTS.items():
            if name not in known:
                text += f"{name}:x:{number}:{number}::/nonexistent:/bin/false\n" if kind == "passwd" else f"{name}:x:{number}:\n"
        (folder / kind).write_text(text)
        (folder / kind).chmod(0o644)
        subprocess.run(["mount", "--bind", folder / kind, f"/etc/{kind}"], check=True)


@contextlib.contextmanager
def workplace(name, parent):
    """A folder that every account may enter, and those accounts; at the end both are gone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"sealpost-{name}-", dir=parent))
    folder.chmod(0o755)
    try:
        make_accounts(folder)
        yield folder
    finally:
        for kind in ("passwd", "group"):
            subprocess.run(["umount", "-l", f"/etc/{kind}"], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    name = ""
    idle = 1000                  # connections of the memory row
    stages = ()                  # of dev/setup, beside `bench`
    reads_key_as = None          # the account that reads the private key, if not root

    def __init__(self, folder, tls, hold, next_hop=0, processes=100):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.cert, self.key = tls
        if self.reads_key_as:
            self.key = shutil.copy(self.key, self.folder / "key")
            os.chown(self.key, pwd.getpwnam(self.reads_key_as).pw_uid, -1)
            self.key.chmod(0o400)
        self.port_tls, self.port_starttls = free_ports(2)
        self.hold, self.next_hop, self.processes = hold, next_hop, processes
        self.group = Group(self.name)
        self.out = self.folder / "out"

    def fill(self, file, to, **words):
        """A file of peers/ with its @WORDS@."""
        text = (HERE / "peers" / file).read_text()
        words = {"FOLDER": self.folder, "CERT": self.cert, "KEY": self.key, "PORT_TLS": self.port_tls, "PORT_SINK": self.next_hop or 1,
                 "PORT_STARTTLS": self.port_starttls, "PROCESSES": self.processes, **words}
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        assert "@" + "HOLD@" not in text, file
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text)
        return to

    def own(self, path, user, mode=0o755):
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        path.chmod(mode)
        return path

    def run(self, *argv, **more):
        def prepare():
            die_with_us()
            self.group.enter()
        with open(self.out, "ab") as out:
            self.popen = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare,
                                          **more)

    def start(self):
        self.begin()

        def served():
            assert self.popen.poll() is None, f"{self.name} ended early:\n{self.out.read_text(errors='replace')[-4000:]}"
            return listens(self.port_tls)
        wait_until(served, f"{self.name} on port {self.port_tls}")
        return self

    def stop(self):
        self.popen.terminate()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            pass
        self.group.end()
        self.popen.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @classmethod
    def prepare(cls):
        """Brings what dev/setup cannot."""

    @classmethod
    def version(cls):
        raise NotImplementedError

    def begin(self):
        raise NotImplementedError


class Sealpost(Server):
    name = "Sealpost"
    program = None
    idle = 10_000
    fronts = None                # as many as it likes

    def begin(self):
        (self.folder / "users").write_text("")
        (self.folder / "users").chmod(0o600)
        conf = self.fill("sealpost/sealpost.conf", self.folder / "sealpost.conf", ROUTE="hold" if self.hold else "relay sink")
        self.run(self.program, "serve", "-c", conf, *(("--fronts", str(self.fronts)) if self.fronts else ()))

    @classmethod
    def version(cls):
        return subprocess.run([cls.program, "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


class Postfix(Server):
    name = "Postfix"
    idle = 200

    def begin(self):
        queue = self.folder / "queue"
        queue.mkdir()
        self.own(self.folder / "data", "postfix", 0o700)
        for part in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            self.own(queue / part, "postfix", 0o700)
        self.own(queue / "public", "postfix", 0o755)
        self.own(queue / "maildrop", "postfix", 0o733)
        (queue / "pid").mkdir()
        conf = self.fill("postfix/main.cf", self.folder / "conf" / "main.cf", NEXT_HOP=f"[127.0.0.1]:{self.next_hop}" if self.next_hop else "",
                         HOLD="check_recipient_access static:HOLD," if self.hold else "").parent
        self.fill("postfix/master.cf", conf / "master.cf")
        for file in conf.iterdir():  # Postfix does not touch files that may still be in the making
            os.utime(file, (0, 0))
        self.run("/usr/lib/postfix/sbin/master", "-c", conf, "-d", start_new_session=True)

    @classmethod
    def version(cls):
        done = subprocess.run([need("postconf"), "-dh", "mail_version"], capture_output=True, text=True, check=True)
        return f"Postfix {done.stdout.strip()}"


class Exim(Server):
    """Unpacked beside an installed Postfix, which it excludes."""
    name = "Exim"
    stages = ("unpack",)
    idle = 200
    reads_key_as = "Debian-exim"
    program = TOP / "build-peers/usr/sbin/exim4"

    def begin(self):
        for part in ("spool", "log"):
            self.own(self.folder / part, "Debian-exim")
        conf = self.fill("exim/exim.conf", self.folder / "exim.conf", HOLD="queue_only" if self.hold else "", PROGRAM=self.program)
        self.run(self.program, "-C", conf, "-bdf", "-q5s")

    @classmethod
    def version(cls):
        done = subprocess.run([cls.program, "-bV", "-C", "/dev/null"], capture_output=True, text=True, check=False)
        return " ".join(done.stdout.split()[:3:2])


class OpenSmtpd(Server):
    """Unpacked, as Exim. Its places are built in, so it gets a mount namespace in which they are those of its folder."""
    name = "OpenSMTPD"
    stages = ("unpack-opensmtpd", "bench-opensmtpd")
    idle = 200
    program = TOP / "build-peers/usr/sbin/smtpd"
    script = ("mount -t tmpfs -o mode=755 none /var/lib && mkdir -p /var/lib/opensmtpd/empty && mount -t tmpfs -o mode=755 none /var/spool && "
              "mkdir /var/spool/smtpd && mount --bind \"$1\" /var/spool/smtpd && mount -t tmpfs -o mode=755 none /run && shift && exec \"$@\"")

    @classmethod
    def prepare(cls):
        number = re.search(r"(\d+)\.", cls.version())
        if number is None or int(number[1]) < 7:
            raise SystemExit(f"bench: {cls.version()} fails in every TLS handshake under OpenSSL 3 (its issue 1239): version 7 of Debian 13 is "
                             "the first that can be measured")

    def begin(self):
        queue = self.folder / "queue"
        queue.mkdir()
        queue.chmod(0o711)
        conf = self.fill("opensmtpd/smtpd.conf", self.folder / "smtpd.conf")
        self.run("unshare", "--mount", "sh", "-c", self.script, "sh", queue, self.program, "-d", "-f", conf,
                 *(("-P", "mta") if self.hold else ()))

    @classmethod
    def version(cls):
        done = subprocess.run([cls.program, "-h"], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).splitlines()[0].removeprefix("version: ")


class Haraka(Server):
    """From npm, in build-peers/haraka; node and npm must be there."""
    name = "Haraka"
    place = TOP / "build-peers/haraka"

    @classmethod
    def prepare(cls):
        if not (cls.place / "node_modules/Haraka").exists():
            cls.place.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / "peers/haraka/package.json", cls.place)
            subprocess.run([need("npm"), "install", "--omit=optional", "--no-audit", "--no-fund"], cwd=cls.place, check=True,
                           stdout=subprocess.DEVNULL)

    def begin(self):
        home = self.folder / "home"
        for file in (HERE / "peers/haraka").rglob("*"):
            if file.is_file():
                self.fill(file.relative_to(HERE / "peers"), home / file.relative_to(HERE / "peers/haraka"),
                          HOLD="true" if self.hold else "false")
        shutil.copy(self.place / "node_modules/Haraka/config/connection.ini", home / "config")
        (home / "queue").mkdir()
        self.run(need("node"), self.place / "node_modules/Haraka/bin/haraka", "-c", home)

    @classmethod
    def version(cls):
        return "Haraka " + json.loads((cls.place / "node_modules/Haraka/package.json").read_text())["version"]


SERVERS = {"sealpost": Sealpost, "postfix": Postfix, "exim": Exim, "opensmtpd": OpenSmtpd, "haraka": Haraka}
