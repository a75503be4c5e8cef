# SPDX-License-Identifier: ISC
"""The operator's socket: who may command the server, how many at a time, and for how long they may be silent."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import harness
from harness import Sealpost, wait_until
from harness.case import need, need_root
from harness.server import ENVIRONMENT

SESSIONS = 32  # CONTROL_SESSIONS_MAX


class Commands(harness.Scenario):
    def command_as(self, server, user, *words):
        """As another user would: the tree of the program may lie where nobody else can go."""
        program = server.folder / "program"
        if not program.exists():
            shutil.copy(harness.server.binary(), program)
        return subprocess.run([program, *words, "-c", server.conf], capture_output=True, text=True, timeout=60, check=False,
                              user=user, group=65534, extra_groups=[], env={**os.environ, **ENVIRONMENT})

    def idle(self, server, n):
        held = []
        for _ in range(n):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(s.close)
            s.settimeout(60)
            s.connect(str(server.control))
            held.append(s)
        return held

    @staticmethod
    def refused(server):
        done = subprocess.run([server.program, "status", "-c", server.conf], capture_output=True, text=True, timeout=60, check=False)
        return done if done.returncode != 0 else None

    def test_silent_connections_take_no_place_for_long(self):
        server = self.start(Sealpost(self.folder))
        begin = time.monotonic()
        held = self.idle(server, SESSIONS - 1)
        server.command("status")  # there is one place left
        # The place of that one may still be taken when the last comes.
        refused = wait_until(lambda: held.extend(self.idle(server, 1)) or self.refused(server), "a command that is refused", 4)
        self.assertEqual(refused.returncode, 69)
        self.assertIn("as many commands as it does at a time: try again in a moment", refused.stderr)
        self.assertNotIn("only root", refused.stderr)
        server.wait_for_line("refused", "as many commands")
        late = self.idle(server, 100)  # some of them are told, the others hear nothing: all of them end
        for s in held[:SESSIONS - 1]:  # CONTROL_IDLE_MS
            self.assertEqual(s.recv(1), b"")
        self.assertGreaterEqual(time.monotonic() - begin, 4.9)
        told = 0
        for s in late:
            text = b""
            while more := s.recv(4096):
                text += more
            told += b"try again in a moment" in text
        self.assertLessEqual(told, 8)  # CONTROL_REFUSALS_MAX
        server.command("status")

    def test_who_may_command(self):
        need_root("an account of the server's own")
        server = self.start(Sealpost(self.folder))
        self.assertEqual(server.control.stat().st_mode & 0o777, 0o600)
        self.assertEqual(server.control.owner(), "nobody")
        self.assertEqual(self.command_as(server, "nobody", "status").returncode, 0)
        self.assertEqual(self.command_as(server, "root", "status").returncode, 0)
        done = self.command_as(server, "daemon", "status")
        self.assertEqual(done.returncode, 69)
        self.assertIn("not allowed: root and the server's own user (run-as) may command it", done.stderr)
        server.control.chmod(0o666)  # then who asks is looked at
        done = self.command_as(server, "daemon", "queue", "remove", "--all")
        self.assertEqual(done.returncode, 69)
        self.assertIn("only root and the server's own user (run-as) may command it", done.stderr)
        server.wait_for_line("refused", "only root")

    def with_accounts(self, server, *lines):
        """The file that the server takes for /etc/passwd, with these lines more in it."""
        server.as_root = "run-as op\nmail-user nobody\n"
        accounts = server.folder / "passwd"
        accounts.write_text(pathlib.Path("/etc/passwd").read_text() + "".join(lines))
        accounts.chmod(0o644)
        wrapper = server.folder / "with-accounts"
        wrapper.write_text(f"#!/bin/sh\nexec {need('unshare')} -m sh -c 'mount --bind {accounts} /etc/passwd && exec \"$0\" \"$@\"' "
                           f"{server.program} \"$@\"\n")
        wrapper.chmod(0o755)
        server.program = wrapper
        return accounts

    OP, OP_SPOOL = "op:x:64001:64001::/:/bin/sh\n", "op-spool:x:64002:64002::/:/bin/sh\n"

    def test_the_account_of_run_as_where_each_role_has_its_own(self):
        need_root("accounts of the server's own")
        server = Sealpost(self.folder)
        self.with_accounts(server, self.OP, self.OP_SPOOL)
        self.start(server)
        wait_until(lambda: "spool" in server.roles(), "the spool")
        self.assertEqual(os.stat(f"/proc/{server.roles()['spool']}").st_uid, 64002)
        self.assertEqual(server.control.stat().st_uid, 64001)
        self.assertEqual(self.command_as(server, 64001, "status").returncode, 0)
        server.command("status")
        server.wait_for_line("starting", "6 kinds of them under 3 accounts")

    def test_an_account_that_comes_later_waits_for_the_next_start(self):
        """The queue is not its own: a spool that took it at once could not open what is there."""
        need_root("accounts of the server's own")
        server = Sealpost(self.folder)
        accounts = self.with_accounts(server, self.OP)
        self.start(server)
        server.roles_may_die = True
        self.assertEqual(server.spool.stat().st_uid, 64001)
        old = wait_until(lambda: server.roles().get("spool"), "the spool")
        with accounts.open("a") as more:
            more.write(self.OP_SPOOL)
        server.reload()
        server.wait_for_line("trouble", "name=spool", "its account is op-spool (64002) by now", "goes on as op (64001)",
                             f"chown -R op-spool: {server.spool}")
        server.wait_for_line("reloaded")
        self.assertEqual(server.roles()["spool"], old)
        os.kill(old, signal.SIGKILL)
        server.wait_for_line("role-died", "name=spool")
        new = wait_until(lambda: server.roles().get("spool", old) != old and server.roles()["spool"], "another spool")
        wait_until(lambda: len([line for line in server.lines("confined") if f"pid={new} " in line + " "]) > 0
                   or os.stat(f"/proc/{new}").st_uid != 0, "its account")
        self.assertEqual(os.stat(f"/proc/{new}").st_uid, 64001)
        self.assertEqual(server.queue_list(), [])


if __name__ == "__main__":
    harness.main()
