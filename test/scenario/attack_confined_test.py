# SPDX-License-Identifier: ISC
"""Roles that somebody has taken over try what they must not do, and whole letters pass while nobody may do it.

Runs the programs of MEASURED and DEEDS, which are built without sanitizers: only there roles are confined.
"""
import concurrent.futures
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import unittest

import harness
from harness import Authority, Sealpost, letter, wait_until
from harness.raw import Raw

ROLES = ("front", "spool", "courier", "porter", "keeper", "resolver")
JADA = ("jada", Sealpost.PASSWORDS["jada"])
KILLED, DENIED, DONE = "signal 31 (Bad system call)", "refused EACCES", "done"

# What happens to each role that tries: the word for most of them, and those for whom it is another one.
# "open": what happens to a process of the same account that is not confined, which shows that the deed is possible or that
# it is not the lack of an account that stops it.
OWN, OTHER = "own", "other"  # a folder named at the role's start; another one of the same account
DEEDS = [
    # deed,              argument,  most,   others,                                   open
    ("read_file",        "passwd",  DENIED, {},                                       DONE),
    ("read_file",        "key",     DENIED, {},                                       DONE),
    ("read_file",        "queue",   DENIED, {"spool": DONE},                          DONE),
    ("write_file",       "queue",   DENIED, {"spool": DONE},                          DONE),
    ("tell_size",        "key",     DENIED, {"spool": DONE, "porter": DONE},          DONE),
    ("list_folder",      "/",       DENIED, {},                                       DONE),
    ("leave_root",       "",        DENIED, {},                                       DONE),
    ("empty_file",       "key",     KILLED, {"spool": DENIED, "porter": DENIED},      DONE),
    ("make_file",        OTHER,     DENIED, {},                                       DONE),
    ("make_file",        OWN,       DENIED, {"spool": DONE, "porter": DONE},          DONE),
    ("make_folder",      OTHER,     KILLED, {"spool": DENIED, "porter": DENIED},      DONE),
    ("make_folder",      OWN,       KILLED, {"spool": DONE, "porter": DONE},          DONE),
    ("link_file",        OTHER,     KILLED, {"spool": DENIED, "porter": DENIED}, DONE),
    ("link_file",        OWN,       KILLED, {"spool": DONE, "porter": DONE},          DONE),
    ("remove_file",      OTHER,     KILLED, {"spool": DENIED, "porter": DENIED},      DONE),
    ("remove_file",      OWN,       KILLED, {"spool": DONE, "porter": DONE},          DONE),
    ("make_fifo",        OWN,       KILLED, {},                                       DONE),
    ("make_symlink",     OWN,       KILLED, {},                                       DONE),
    ("make_socket_file", OWN,       KILLED, {},                                       DONE),
    ("change_mode",      "key",     KILLED, {},                                       DONE),
    ("change_root",      "",        KILLED, {},                                       DONE),
    ("connect_tcp",      "port",    KILLED, {"courier": DONE, "resolver": DONE},      DONE),
    ("connect_by_sending", "port",  KILLED, {},                                       DONE),
    ("send_fast_open",   "port",    KILLED, {},                                       DONE),
    ("send_udp",         "port",    KILLED, {"resolver": DONE},                       DONE),
    ("connect_unix",     "socket",  KILLED, {},                                       DONE),
    ("bind_tcp",         "free",    KILLED, {"courier": DENIED, "resolver": DENIED},  DONE),
    ("bind_any_port",    "",        KILLED, {"courier": DONE, "resolver": DONE},      DONE),
    ("listen_tcp",       "",        KILLED, {},                                       DONE),
    ("listen_here",      "",        KILLED, {},                                       DONE),
    ("ask_netlink",      "",        KILLED, {"courier": DONE},                        DONE),
    ("ask_netfilter",    "",        KILLED, {},                                       None),
    ("raw_packets",      "",        KILLED, {},                                       "refused EPERM"),
    ("other_family",     "",        KILLED, {},                                       None),
    ("execute",          "",        KILLED, {},                                       "exit status 0"),
    ("execute_memory",   "",        KILLED, {},                                       DONE),
    ("run_written_memory", "",      KILLED, {},                                       DONE),
    ("fork_away",        "",        KILLED, {},                                       DONE),
    ("start_thread",     "",        KILLED, {"resolver": DONE},                       DONE),
    ("read_memory_file", "victim",  DENIED, {},                                       DONE),
    ("read_memory",      "victim",  KILLED, {},                                       DONE),
    ("trace",            "victim",  KILLED, {},                                       DONE),
    ("signal_process",   "victim",  KILLED, {},                                       DONE),
    ("hold_process",     "victim",  KILLED, {},                                       DONE),
    ("signal_parent",    "",        KILLED, {},                                       None),
    ("become_root",      "",        KILLED, {},                                       "refused EPERM"),
    ("become_group",     "",        KILLED, {},                                       "refused EPERM"),
    ("change_groups",    "",        KILLED, {},                                       "refused EPERM"),
    ("raise_capabilities", "",      KILLED, {},                                       "refused EPERM"),
    ("mount_something",  "",        KILLED, {},                                       "refused EPERM"),
    ("own_namespace",    "",        KILLED, {},                                       None),
    ("keyring",          "",        KILLED, {},                                       None),
    ("own_ring",         "",        KILLED, {},                                       None),
    ("watch_performance", "",       KILLED, {},                                       None),
    ("load_program",     "",        KILLED, {},                                       None),
    ("raise_limit",      "",        "refused EPERM", {},                              None),
    ("be_dumped",        "",        "refused EPERM", {},                              DONE),
    ("unknown_call",     "",        "refused ENOSYS", {},                             "refused ENOSYS"),
    ("other_machines_call", "",     KILLED, {},                                       None),
]


def program(variable):
    path = os.environ.get(variable)
    assert path and os.access(path, os.X_OK), f"{variable} must name a program built without sanitizers: `make test` does"
    return path


class Deeds(harness.Scenario):
    """Each role, each deed, in a process of its own."""

    def setUp(self):
        super().setUp()
        self.deeds = program("DEEDS")
        self.account = pwd.getpwnam("nobody")
        self.ports = harness.ports.free_ports(1)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.addCleanup(self.listener.close)
        self.unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.unix.close)
        self.unix.bind(str(self.folder / "listening"))
        self.unix.listen(64)
        (self.folder / "listening").chmod(0o666)
        # Somebody else of the same account: another role's process.
        self.reachable = self.folder / "deeds"  # the build's folder may not be for everybody
        shutil.copy(self.deeds, self.reachable)
        self.reachable.chmod(0o755)
        account = {"user": "nobody", "group": self.account.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        self.victim = subprocess.Popen([self.reachable, "victim"], stdout=subprocess.PIPE, preexec_fn=harness.case.die_with_us,
                                       **account)
        self.addCleanup(self.victim.wait)
        self.addCleanup(self.victim.stdout.close)
        self.addCleanup(self.victim.kill)
        self.victim.stdout.read(1)

    def scene(self, name):
        """Files and folders of the role's account, as they are with one account for all roles; and the key, which it could read."""
        at = self.folder / name
        for kind in (OWN, OTHER):
            for part in ("a", "b"):
                (at / kind / part).mkdir(parents=True)
            for file in ("one", "victim"):
                (at / kind / "a" / file).write_text("x")
        for kind in (OWN, OTHER):
            (at / kind / "queue.db").write_text("queue")
        (at / OTHER / "key.pem").write_text("key")
        if os.getuid() == 0:
            for path in (at, *at.rglob("*")):
                os.chown(path, self.account.pw_uid, self.account.pw_gid)
        at.chmod(0o755)
        return at

    def outcome(self, number, role, deed, argument, user):
        at = self.scene(f"{number}-{role}-{deed}-{user}")
        arguments = {
            "passwd": "/etc/passwd", "key": at / OTHER / "key.pem", "queue": at / (OWN if role == "spool" else OTHER) / "queue.db", OWN: at / OWN,
            OTHER: at / OTHER, "port": self.listener.getsockname()[1], "free": self.ports[0],
            "socket": self.folder / "listening", "victim": self.victim.pid,
        }
        words = [self.reachable, role, "-" if user else "nobody", deed, arguments.get(argument, argument), at / OWN]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd="/", timeout=60, check=False,
                              user=user or None, group=user and self.account.pw_gid or None, extra_groups=[] if user else None)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def all_outcomes(self, roles, user):
        """{(role, deed, argument): what happened}"""
        jobs = [(role, deed, argument) for role in roles for deed, argument, *_ in DEEDS]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            found = pool.map(lambda job: self.outcome(job[0], *job[1], user), enumerate(jobs))
            return dict(zip(jobs, found))

    def judge(self, user):
        wrong = []
        for (role, deed, argument), got in self.all_outcomes((*ROLES, "nobody"), user).items():
            row = next(r for r in DEEDS if r[:2] == (deed, argument))
            expected = row[4] if role == "nobody" else row[3].get(role, row[2])
            if deed == "change_root" and user and role == "nobody":
                expected = "refused EPERM"
            if expected is not None and got != expected:
                wrong.append(f"{role:9} {deed:18} {argument:8} {got} instead of {expected}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_p10_no_role_does_what_it_must_not(self):
        self.judge("")

    @unittest.skipUnless(os.getuid() == 0, "then the test above has been it")
    def test_p10_nor_as_an_ordinary_user(self):
        self.judge("nobody")


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


class Whole(harness.Scenario):
    """Whole letters on every way, and all that a running server goes through, with every role confined: none trips."""

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)

    def sealpost(self, name="sealpost", **parts):
        return self.start(Sealpost(self.folder, name=name, program=program("MEASURED"), authority=self.authority, **parts))

    @staticmethod
    def send(server, *to):
        message = letter(to=", ".join(to))
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", *to)
            assert client.data(message.as_bytes())[0] == 250
        return message["Subject"]

    def test_p10_what_is_in_force_is_told_and_true(self):
        server = self.sealpost(fronts=2)
        told = {row["role"]: row["confinement"] for row in json.loads(server.command("status", "--json"))["roles"]}
        landlock = {row["landlock"] for row in told.values()}
        for role, pid in server.roles().items():
            kind = role.rstrip("2")
            status = status_of(pid)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), role)
            self.assertEqual({status[set] for set in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {"0" * 16}, role)
            self.assertEqual(told[kind]["user"], int(status["Uid"].split()[0]), role)
            self.assertTrue(told[kind]["seccomp"] and told[kind]["no_new_privileges"] and not told[kind]["capabilities"], role)
            if os.getuid() == 0:
                self.assertNotEqual(told[kind]["user"], 0)
                self.assertEqual(told[kind]["empty_root"], kind not in ("spool", "porter"), role)
                if told[kind]["empty_root"]:
                    self.assertEqual(os.listdir(f"/proc/{pid}/root"), [], role)
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size +0 +0")
            if kind not in ("keeper", "resolver"):
                self.assertRegex(limits, r"Max processes +0 +0")
            server.wait_for_line("confined", f" {kind} ", "calls=listed")
        self.assertEqual(len(landlock), 1)
        people = server.command("status")
        self.assertIn("CONFINED", people)
        self.assertRegex(people, r"courier +user \d+, .*listed system calls")

    def test_p10_every_way_in_and_out(self):
        lmtp = self.folder / "lmtp.sock"
        far = self.sealpost("far", extra=f"""
domain far.test {{
    users staff
    deliver maildir {self.folder}/far/mail/{{domain}}/{{local}}
}}
domain lists.test {{
    users staff
    deliver maildir {self.folder}/far/mail/{{domain}}/{{local}}
}}
listen lmtp {{
    on unix:{lmtp}
}}""")
        near = self.sealpost("near", queue="retry 1s", route="to far.test relay hop\n    otherwise hold", extra=f"""
relay hop {{
    host localhost:{far.port_mx}
    tls starttls verify
    ca {self.authority.cert}
}}
domain lists.test {{
    recipients any
    deliver lmtp unix:{lmtp}
}}""")
        subject = self.send(near, "sam@example.test", "sam@far.test", "sam@lists.test", "nobody@far.test")
        near.wait_for_letter(subject)
        far.wait_for_letter(subject, domain="far.test")
        far.wait_for_letter(subject, domain="lists.test")
        near.wait_for_line("bounced", "nobody@far.test")
        wait_until(lambda: near.letters("jada"), "the bounce")
        self.assertIn("TLSv1.3", "".join(near.lines("attempt")))
        # A local program is known by its account, which the front cannot look up itself.
        self.run_program(near.program, "sendmail", "-C", near.conf, "-i", "sam@example.test", input=b"Subject: by hand\n\nx\n")
        near.wait_for_letter("by hand")
        near.wait_for_line("accepted", f"user={pwd.getpwuid(os.getuid()).pw_name}")
        for server in (near, far):
            self.assertEqual(server.lines("role-died"), [])

    def test_p10_reload_replaces_a_porter_with_other_folders(self):
        server = self.sealpost()
        porter = server.roles()["porter"]
        server.cert, server.key = server.authority.issue("mx1.example.test", "localhost", "127.0.0.1", file="renewed")
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        if os.getuid() == 0:
            shutil.chown(elsewhere, "nobody")
        server.deliver = f"maildir {elsewhere}/{{domain}}/{{local}}"
        server.reload()
        server.wait_for_line("reloaded")
        server.wait_for_line("role-replaced", "name=porter", f"pid={porter}")
        self.assertNotEqual(server.roles()["porter"], porter)
        server.mail = elsewhere
        server.wait_for_letter(self.send(server, "sam@example.test"))
        # The queue is another matter: what is in it must not be left behind.
        text = server.conf.read_text()
        server.conf.write_text(text.replace(f"directory {server.spool}", f"directory {self.folder}/other"))
        refused = self.run_program(server.program, "reload", "-c", server.conf, status=1)
        self.assertIn("queue directory: a running server cannot change it", refused)
        self.assertFalse((self.folder / "other").exists())
        server.conf.write_text(text)
        server.wait_for_letter(self.send(server, "sam@example.test"))
        self.assertEqual(server.lines("role-died"), [])

    def test_p10_a_folder_that_is_another_one_now(self):
        """As after mounting the file system for mail: what was confined to the old folder cannot have the new one."""
        server = self.sealpost(queue="retry 1s")
        server.wait_for_letter(self.send(server, "sam@example.test"))
        server.mail.rename(self.folder / "before")
        server.mail.mkdir()
        if os.getuid() == 0:
            shutil.chown(server.mail, "nobody")
        subject = self.send(server, "sam@example.test")
        if json.loads(server.command("status", "--json"))["roles"][0]["confinement"]["landlock"] > 0:
            server.wait_for_line("role-replaced", "name=porter")
        server.wait_for_letter(subject)
        self.assertEqual(server.lines("role-died"), [])

    def test_p10_a_folder_that_is_made_late(self):
        """Until the folder is there a letter waits. Then a retry brings it in, without another failure."""
        server = self.sealpost(queue="retry 1h")
        server.mail.rename(self.folder / "before")
        server.stop()
        server.start()
        subject = self.send(server, "sam@example.test")
        server.wait_for_line("deferred", "to=sam@example.test")
        explained = [json.loads(line) for line in server.command("explain", "sam@example.test", "--json", status=1).splitlines()]
        ways = {line["way"] for line in explained if "way" in line}
        self.assertEqual((ways, explained[-1]["result"]), ({"maildir"}, "later"))
        self.assertIn(f"{server.mail}: the folder does not exist: make it", explained[-1]["text"])
        server.mail.mkdir()
        if os.getuid() == 0:
            shutil.chown(server.mail, "nobody")
        server.queue("retry", "--all")
        server.wait_for_letter(subject)
        server.wait_for_line("delivered", "to=sam@example.test")  # a moment after the file is there
        self.assertEqual([line.split(" outcome=")[1].split()[0] for line in server.lines("attempt")], ["later", "done"], server.log())
        self.assertIn("it is put into this mailbox", server.command("explain", "sam@example.test"))
        self.assertEqual(server.lines("role-died"), [])

    def test_p10_roles_that_died_are_confined_again(self):
        server = self.sealpost(queue="retry 1s")
        server.roles_may_die = True
        for name, pid in server.roles().items():
            os.kill(pid, signal.SIGKILL)
            server.wait_for_line("role-died", f"name={name}", "Killed")
        wait_until(lambda: len(server.roles()) == len(ROLES), "every role's successor")
        server.wait_for_line("confined", count=2 * len(ROLES))
        server.wait_for_letter(self.send(server, "sam@example.test"))
        for name, pid in server.roles().items():
            self.assertEqual(status_of(pid)["Seccomp"], "2", name)

    @unittest.skipUnless(os.getuid() == 0, "an ordinary user's roles are the caller's")
    def test_p10_without_its_account_a_role_does_not_run(self):
        """Somebody has removed the account, or it cannot be looked up: no role runs as root instead."""
        accounts, switch, wrapped = (self.folder / name for name in ("passwd", "nsswitch.conf", "with-other-accounts"))
        whole = pathlib.Path("/etc/passwd").read_text()
        accounts.write_text(whole)
        switch.write_text("passwd: files\ngroup: files\n")
        wrapped.write_text(f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {accounts} /etc/passwd && mount --bind {switch} "
                           f"/etc/nsswitch.conf && exec \"$@\"' sh {program('MEASURED')} \"$@\"\n")
        for path, mode in ((accounts, 0o644), (switch, 0o644), (wrapped, 0o755)):
            path.chmod(mode)
        server = self.start(Sealpost(self.folder, program=wrapped, authority=self.authority))
        server.roles_may_die = True
        accounts.write_text("".join(line for line in whole.splitlines(True) if not line.startswith("nobody:")))
        os.kill(server.roles()["courier"], signal.SIGKILL)
        server.wait_for_line("trouble", "name=courier", "no role runs as root")
        self.assertNotIn("courier", server.roles())
        accounts.write_text(whole)
        courier = wait_until(lambda: server.roles().get("courier"), "a courier, once it has its account again")
        server.wait_for_line("confined", count=len(ROLES) + 1)
        self.assertNotEqual(status_of(courier)["Uid"].split()[1], "0")
        self.assertNotIn(" user=0 ", server.log())

    @unittest.skipUnless(os.getuid() == 0, "who may not look into a spool cannot fail its calls either")
    def test_p10_a_queue_opens_again_after_its_storage_failed(self):
        server = self.sealpost()
        tracer = subprocess.Popen(["strace", "-qq", "-f", "-p", str(server.roles()["spool"]), "-o", self.folder / "trace",
                                   "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"],
                                  preexec_fn=harness.case.die_with_us)
        try:
            wait_until(lambda: status_of(server.roles()["spool"])["TracerPid"] != "0", "strace")
            message = letter()
            with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
                client.mail("jada@example.test", "sam@example.test")
                self.assertEqual(client.data(message.as_bytes())[0], 451)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        server.wait_for_line("queue-failed")
        server.wait_for_line("queue-opened", count=2)
        server.wait_for_letter(self.send(server, "sam@example.test"))
        self.assertEqual(server.lines("role-died"), [])

    @unittest.skipUnless(os.getuid() == 0, "then every other test is this one")
    def test_p10_without_root_it_is_confined_all_the_same(self):
        server = Sealpost(self.folder, program=program("MEASURED"), authority=self.authority)
        server.program = shutil.copy(server.program, server.folder / "program")
        for path in [server.folder, *server.folder.rglob("*"), *server.authority.folder.rglob("*")]:
            shutil.chown(path, "nobody", "nogroup")
        server.user = "nobody"
        self.start(server)
        self.assertIn("confined all the same", server.lines("starting")[0])
        server.wait_for_letter(self.send(server, "sam@example.test"))
        for name, pid in server.roles().items():
            self.assertEqual(status_of(pid)["Seccomp"], "2", name)
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
