# SPDX-License-Identifier: ISC
"""A real `sealpost serve` with a configuration of its own."""
import base64
import contextlib
import functools
import hashlib
import hmac
import json
import os
import pathlib
import signal
import socket
import subprocess

from .case import Process, die_with_us, processes, wait_until
from .certificates import Authority
from .message import parse, subject_of
from .ports import free_ports

ITERATIONS = 4096
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def binary():
    path = os.environ.get("SEALPOST")
    assert path and os.access(path, os.X_OK), "SEALPOST must name the built program: run this through `meson test`"
    return path


@functools.lru_cache(maxsize=None)
def users_line(name, password):
    """What `sealpost passwd` prints, computed here a second time (RFC 5802 3, RFC 5803)."""
    salt = hashlib.sha256(name.encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    b64 = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"{name}:SCRAM-SHA-256${ITERATIONS}:{b64[0]}${b64[1]}:{b64[2]}\n"


class Sealpost:
    """Users jada and sam of example.test with Maildirs; alias, tags; nothing goes out unless `extra` says how.

    Text of the configuration: `extra` is added at the end, `domain` inside the domain block, `mx`,
    `submissions`, `submission` inside the listeners; `limits` and `queue` inside theirs.
    """
    PASSWORDS = {"jada": "correct horse battery staple", "sam": "s3cret \u00fcml\u00e4ut"}

    def __init__(self, folder, name="sealpost", extra="", domain="", mx="", submissions="", submission="", limits="",
                 queue="", top="", route="otherwise hold", direct="", program=None, fronts=1, deliver=None,
                 authority=None):
        self.name, self.folder = name, pathlib.Path(folder) / name
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.program, self.fronts = program or binary(), fronts
        self.port_mx, self.port_submissions, self.port_submission = free_ports(3)
        self.mail, self.spool = self.folder / "mail", self.folder / "spool"
        self.control, self.local = self.folder / "control.sock", self.folder / "local.sock"
        self.authority = authority or Authority(self.folder)
        self.cert, self.key = self.authority.issue("mx1.example.test", "localhost", "127.0.0.1")
        self.users, self.aliases = self.folder / "users", self.folder / "aliases"
        self.users.write_text("".join(users_line(*pair) for pair in self.PASSWORDS.items()))
        self.users.chmod(0o600)
        self.aliases.write_text("info: jada\nteam: jada, sam\nloved: jada@example.test\npostmaster: jada\n")
        self.mail.mkdir()
        self.mail.chmod(0o755)
        if os.getuid() == 0:
            subprocess.run(["chown", "nobody", self.mail], check=True)
        self.deliver = deliver or f"maildir {self.mail}/{{domain}}/{{local}}"
        self.parts = {"extra": extra, "domain": domain, "mx": mx, "submissions": submissions, "submission": submission,
                      "limits": limits, "queue": queue, "top": top, "route": route, "direct": direct}
        self.process = None
        self.user = None            # the account that starts it; None: we
        self.as_root = "run-as nobody\nmail-user nobody\n"
        self.roles_may_die = False  # a scenario that kills some says so

    @property
    def conf(self):
        return self.folder / "sealpost.conf"

    def write_conf(self, **changes):
        self.parts.update(changes)
        p = self.parts
        as_root = self.as_root if os.getuid() == 0 and not self.user else ""
        limits = f"limits {{\n    {p['limits']}\n}}" if p["limits"] else ""
        direct = f"direct {{\n    {p['direct']}\n}}" if p["direct"] else ""
        self.conf.write_text(f"""\
hostname mx1.example.test
postmaster jada@example.test
origin example.test
{as_root}{p['top']}
tls mx1.example.test localhost {{
    cert {self.cert}
    key {self.key}
}}
users staff {{
    source file {self.users}
    send-as jada sales@example.test *@news.example.test
}}
domain example.test {{
    users staff
    aliases {self.aliases}
    tag +
    deliver {self.deliver}
    {p['domain']}
}}
listen mx {{
    on 127.0.0.1:{self.port_mx}
    {p['mx']}
}}
listen submissions {{
    on 127.0.0.1:{self.port_submissions}
    auth staff
    {p['submissions']}
}}
listen submission {{
    on 127.0.0.1:{self.port_submission}
    auth staff
    {p['submission']}
}}
listen local {{
    on unix:{self.local}
}}
route {{
    {p['route']}
}}
queue {{
    directory {self.spool}
    {p['queue']}
}}
control {self.control}
{limits}
{direct}
{p['extra']}
""")

    def start(self, wait=True):
        self.write_conf()
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        environment = {**os.environ, **ENVIRONMENT, "NOTIFY_SOCKET": str(notify)}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(notify))
        notify.chmod(0o666)
        self.process = Process(self.name, [self.program, "serve", "-c", self.conf, "--fronts", self.fronts], self.folder,
                               env=environment, user=self.user, group=self.user and "nogroup",
                               extra_groups=[] if self.user else None)
        if wait:
            self.wait_ready()
        return self

    def wait_for_state(self, state):
        """The next time that the service manager would hear this word."""
        def told():
            assert self.process.alive(), f"{self.name} ended with {self.process.popen.returncode}:\n{self.log()}"
            self.notify.settimeout(0.2)
            try:
                return state in self.notify.recv(4096).decode()
            except TimeoutError:
                return False
        wait_until(told, f"{state} from {self.name}")

    def wait_ready(self):
        self.wait_for_state("READY=1")

    def log(self):
        return self.process.log() if self.process else ""

    def lines(self, event):
        return [line for line in self.log().splitlines() if f" {event} " in line or line.endswith(f" {event}")]

    def wait_for_line(self, event, *parts, count=1):
        def found():
            lines = [line for line in self.lines(event) if all(part in line for part in parts)]
            return lines if len(lines) >= count else None
        try:
            return wait_until(found, f"{event} {parts} in the log of {self.name}")
        except AssertionError as trouble:
            raise AssertionError(f"{trouble}\n{self.log()[-8000:]}") from None

    def reload(self):
        self.write_conf()
        self.process.popen.send_signal(signal.SIGHUP)

    def stop(self):
        """Drains. Ending in any other way than with status 0 is a failure."""
        if self.process is None:
            return
        process, self.process_was, self.process = self.process, self.process, None
        self.notify.close()
        if not process.alive() and getattr(self, "expect_dead", False):
            self.process = Ended(process)
            return
        try:
            status = process.stop()
        finally:
            self.process = Ended(process)
        assert status == 0, f"{self.name} ended with status {status}:\n{process.log()[-8000:]}"

    def kill(self):
        """As if the power had gone, for the supervisor and every role of it."""
        pids = [self.process.pid, *self.roles().values()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # a role that has seen the supervisor go
                os.kill(pid, signal.SIGKILL)
        self.process.popen.wait()
        self.notify.close()

    def roles(self):
        """Name -> pid of each role's process; the fronts are front, front2 ..."""
        found = {}
        for pid, _, _, parent in processes():
            if parent != self.process.pid:
                continue
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"role" in words:
                name = words[words.index(b"role") + 1].decode()
                while name in found:
                    name += "2"
                found[name] = pid
        return found

    # What people do with it.

    def command(self, *arguments, status=0, input=None, timeout=60):
        done = subprocess.run([self.program, arguments[0], "-c", self.conf, *map(str, arguments[1:])], input=input,
                              capture_output=True, env={**os.environ, **ENVIRONMENT}, preexec_fn=die_with_us,
                              timeout=timeout, check=False)
        text = done.stdout.decode() + done.stderr.decode()
        assert status is None or done.returncode == status, f"{arguments}: status {done.returncode}\n{text}"
        return done.stdout.decode()

    def queue(self, *arguments, status=0):
        return self.command("queue", *arguments, status=status)

    def queue_list(self, *selectors):
        listing = self.queue("list", "--json", *selectors, status=None)
        return [json.loads(line) for line in listing.splitlines() if line.strip()]

    def letters(self, user="sam", domain="example.test", subject=None):
        """Every message in a Maildir, or those with this subject, as (path, message)."""
        found = []
        for place in ("new", "cur"):
            for path in sorted((self.mail / domain / user / place).glob("*")):
                if subject is None or subject_of(path) == subject:
                    found.append((path, parse(path.read_bytes())))
        return found

    def wait_for_letter(self, subject, user="sam", domain="example.test", count=1):
        """The message with this subject, once it is in the Maildir; `count` of them as a list."""
        def look():
            found = [m for _, m in self.letters(user, domain, subject)]
            return found if len(found) >= count else None
        try:
            found = wait_until(look, f"{subject!r} in the Maildir of {user}")
        except AssertionError as trouble:
            raise AssertionError(f"{trouble}\n{self.log()[-8000:]}") from None
        assert len(found) == count, f"{subject!r} is there {len(found)} times"
        return found[0] if count == 1 else found


class Ended:
    """What is left of a process: its log."""

    def __init__(self, process):
        self.log, self.pid, self.popen = process.log, process.pid, process.popen

    def alive(self):
        return False

    def stop(self):
        return self.popen.returncode
