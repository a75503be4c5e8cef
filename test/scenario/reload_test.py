# SPDX-License-Identifier: ISC
"""SIGHUP takes a new configuration and new certificates without dropping a connection."""
import hashlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess

import harness
from harness import Sealpost, free_ports, wait_until
from harness.case import need_root
from harness.message import unique_id
from harness.raw import Raw
from harness.server import ENVIRONMENT, binary

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class Reload(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))

    def fingerprint(self):
        with Raw(self.server.port_submissions, self.server.authority, "implicit") as client:
            return hashlib.sha256(client.socket.getpeercert(True)).hexdigest()

    def test_a_new_certificate(self):
        server = self.server
        before = self.fingerprint()
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test")
            client.expect("DATA", 354)
            client.send(f"From: jada@example.test\r\nSubject: {subject}\r\n\r\nbefore\r\n")
            server.cert, server.key = server.authority.issue("mx1.example.test", "localhost", "127.0.0.1", file="renewed")
            server.reload()
            server.wait_for_line("reloaded")
            after = wait_until(lambda: self.fingerprint() != before and self.fingerprint(), "the new certificate")
            self.assertEqual(after, hashlib.sha256(ssl.PEM_cert_to_DER_cert(server.cert.read_text())).hexdigest())
            client.send("after\r\n.\r\n")
            self.assertEqual(client.reply()[0], 250)
            client.mail("jada@example.test", "sam@example.test")
            client.expect("QUIT", 221)
        self.assertIn("after", server.wait_for_letter(subject).get_content())

    def test_the_same_paths_with_new_files(self):
        server = self.server
        before = self.fingerprint()
        cert, key = server.authority.issue("mx1.example.test", "localhost", file="renewed")
        server.cert.write_bytes(cert.read_bytes())
        server.key.write_bytes(key.read_bytes())
        server.command("reload")
        wait_until(lambda: self.fingerprint() != before, "the new certificate")

    def test_an_expired_certificate_is_told(self):
        server = self.server
        good = subprocess.run([server.program, "reload", "-c", server.conf], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual((good.stdout, good.stderr), (f"The new configuration is in force: {server.conf}.\n", ""))
        cert, key = server.authority.expired("mx1.example.test", "localhost", file="old")
        server.cert.write_bytes(cert.read_bytes())
        server.key.write_bytes(key.read_bytes())
        late = subprocess.run([server.program, "reload", "-c", server.conf], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(late.stdout, good.stdout)
        self.assertIn("mx1.example.test,localhost has expired", late.stderr)

    def test_renewed_in_place_and_a_process_that_dies(self):
        """Nobody has said reload: who is started again reads the new files, and the others must have them, too."""
        server = self.server
        server.roles_may_die = True
        for n, (role, generation) in enumerate((("keeper", 2), ("front", 3))):
            with self.subTest(role):
                before = self.fingerprint()
                cert, key = server.authority.issue("mx1.example.test", "localhost", file=f"renewed-{n}")
                server.cert.write_bytes(cert.read_bytes())
                server.key.write_bytes(key.read_bytes())
                os.kill(server.roles()[role], signal.SIGKILL)
                server.wait_for_line("reloaded", f"generation={generation}")
                self.assertNotEqual(self.fingerprint(), before)
                for _ in range(10):  # every front
                    self.assertEqual(self.fingerprint(), hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest())
        os.kill(server.roles()["keeper"], signal.SIGKILL)
        server.wait_for_line("confined", " keeper ", count=3)
        wait_until(self.fingerprint, "the same certificate as before")
        self.assertEqual(len(server.lines("reloaded")), 2)  # nothing has changed

    def test_errors_keep_the_old_one(self):
        server = self.server
        whole = server.conf.read_text()
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            server.conf.write_text(server.conf.read_text() + "\nlimits {\n    recipiens 5\n}\n")
            told = self.run_program(server.program, "reload", "-c", server.conf, status=1)
            self.assertIn("recipiens", told)
            self.assertIn("recipients", told)  # the nearest known word
            server.wait_for_state("STATUS=The configuration was refused")
            told = self.run_program(server.program, "check", "-c", server.conf, status=1)
            self.assertIn("recipiens", told)
            server.conf.write_text(server.conf.read_text() + "hostnam x\n")
            server.process.popen.send_signal(signal.SIGHUP)
            server.wait_for_line("reload-failed", "hostnam")
            lines = server.lines("reload-failed")
            self.assertEqual(["recipiens" in line for line in lines], [True, True, False])  # a line for each error
            self.assertNotIn("x0a", "".join(lines))
            server.conf.write_text(whole + "".join(f"wrong{i} x\n" for i in range(21)))
            server.process.popen.send_signal(signal.SIGHUP)
            server.wait_for_line("reload-failed", "more=1")
            self.assertEqual((len(server.lines("reload-failed")), "wrong19" in server.log(), "wrong20" in server.log()), (3 + 21, True, False))
            client.mail("jada@example.test", "sam@example.test")
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.expect("NOOP", 250)

    def test_a_file_that_is_being_edited_keeps_nobody_from_the_server(self):
        server = self.server
        whole = server.conf.read_text()
        for text in (whole + "\nlimits {\n    recipiens 5\n}\n", whole + "\ninclude not-there-yet\n", whole + "\nroute {\n"):
            server.conf.write_text(text)
            for words in (["status"], ["queue", "list"], ["why", "nobody@example.test"]):
                done = subprocess.run([server.program, *words, "-c", server.conf], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 0 if words == ["status"] else 1, done.stderr)
                self.assertIn("what can be read of it is enough to reach the server", done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 2 if words[0] == "why" else 1, done.stderr)
            done = subprocess.run([server.program, "sendmail", "-C", server.conf, "jada"], input=b"Subject: still here\n\nx\n",
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"what can be read of it is enough to reach the server", done.stderr)
        wait_until(lambda: len(server.letters("jada")) == 3, "what was handed in meanwhile")
        # What works on the queue's files needs all of it.
        self.assertIn("which directory", self.run_program(server.program, "queue", "backup", self.folder / "copy", "-c", server.conf, status=78))
        server.stop()
        self.assertIn("no server answers", self.run_program(server.program, "queue", "hold", "--all", "-c", server.conf, status=78))

    def test_listeners_come_and_go(self):
        server = self.server
        old = server.port_submission
        with Raw(old, server.authority, "starttls", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test")
            server.port_submission = free_ports(1)[0]
            server.reload()
            server.wait_for_line("reloaded")
            with Raw(server.port_submission, server.authority, "starttls", login=JADA) as second:
                second.expect("NOOP", 250)
            # At the old port there is an answer: taken, or come again.
            self.assertIn(client.data("From: jada@example.test\r\nSubject: x\r\n\r\nx")[0], (250, 451, 421))

            def refused():
                try:
                    Raw(old, hello=None).close()
                except OSError:
                    return True
                return False
            wait_until(refused, "the old port to close")

    def test_routes_change(self):
        server = self.server
        server.write_conf(route='to *.refused.test refuse "not from here"\n    otherwise hold')
        server.reload()
        server.wait_for_line("reloaded")
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.expect("MAIL FROM:<jada@example.test>", 250)
            client.expect("RCPT TO:<a@x.refused.test>", 550, "not from here")
            client.expect("RCPT TO:<a@other.test>", 250)

    def test_a_refusal_by_a_role_ends_the_reload(self):
        server = self.server
        server.key.write_text("no key\n")
        server.process.popen.send_signal(signal.SIGHUP)
        server.wait_for_state("RELOADING=1")
        server.wait_for_state("READY=1")
        server.wait_for_line("reload-failed")

    def ports_answer(self):
        server = self.server
        with Raw(server.port_mx) as client:
            client.expect("NOOP", 250)
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.expect("NOOP", 250)
        with Raw(server.port_submission, server.authority, "starttls", login=JADA) as client:
            client.expect("NOOP", 250)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.local))
        server.command("status")

    def test_refused_reloads_forget_no_listener(self):
        """Of each kind, wherever it is refused, twice in a row: then fronts that are started anew serve, and a good one is taken."""
        server, folder = self.server, self.folder
        server.roles_may_die = True
        whole, key, aliases = server.conf.read_text(), server.key.read_text(), server.aliases.read_text()
        stranger = server.authority.issue("other.example.test", file="stranger")[1].read_text()
        anchor = folder / "anchor"
        anchor.write_text("")
        port = free_ports(1)[0]
        client = folder / "client.conf"  # always finds the server
        client.write_text(whole)
        elsewhere = whole.replace(f"127.0.0.1:{server.port_submission}", f"127.0.0.1:{port}")  # it could be bound
        refusals = (  # what is written to which file, and what is said then
            ("as it is read", server.conf, whole + "hostnam x\n", "hostnam"),
            ("a server cannot move", server.conf, elsewhere.replace(str(server.spool), f"{server.spool}2"), "a running server cannot change it"),
            ("an address that is not ours", server.conf, elsewhere.replace(f"127.0.0.1:{server.port_mx}", f"192.0.2.1:{port}"),
             f"cannot listen on 192.0.2.1:{port}"),
            ("a control socket's folder", server.conf, elsewhere.replace(str(server.control), f"{folder}/none/control.sock"), f"{folder}/none"),
            ("by the keeper: aliases", server.aliases, aliases + "loop: loop\n", "loop"),
            ("by the keeper: no key", server.key, None, "key"),
            ("by the keeper: another's key", server.key, stranger, "does not fit"),
            ("by a worker: the anchor", server.conf, elsewhere + f"resolver {{\n    trust-anchor {anchor}\n}}\n", str(anchor)),
        )
        for what, path, text, words in refusals:
            with self.subTest(what):
                before = path.read_text()
                try:
                    if text is None:
                        path.rename(folder / "away")
                    else:
                        path.write_text(text)
                    told = [self.run_program(server.program, "reload", "-c", client, status=1) for _ in range(2)]
                finally:
                    if text is None:
                        (folder / "away").rename(path)
                    else:
                        path.write_text(before)
                for one in told:
                    self.assertIn(words, one)
                    self.assertNotIn("in use", one)
        for _ in range(2):  # by the old one, and by a good one
            front = server.roles()["front"]
            os.kill(front, signal.SIGKILL)
            wait_until(lambda: server.roles().get("front", front) != front, "another front")
            self.ports_answer()
            self.assertIn("The new configuration is in force", server.command("reload"))
        # What is there is not opened anew, and what was refused is closed again: three of them named another port.
        self.assertEqual(len(server.lines("listening")), 5 + 3 * 2)

    def test_what_is_refused_is_told_line_by_line(self):
        """By the supervisor and by a role; what is a warning there is one in the log."""
        server = self.server
        server.users.chmod(0o640)
        server.aliases.write_text(server.aliases.read_text() + "loop: loop\nother: other\n")
        self.run_program(server.program, "reload", "-c", server.conf, status=1)
        server.conf.write_text(server.conf.read_text() + "hostnam x\n")
        self.run_program(server.program, "reload", "-c", server.conf, status=1)
        lines = server.lines("reload-failed")
        self.assertTrue(any("name=keeper" in line for line in lines) and any("hostnam" in line for line in lines), lines)
        self.assertGreater(sum("aliases" in line for line in lines), 1)  # one for each that leads back to itself
        for line in lines + server.lines("trouble"):
            self.assertNotIn("\\x0a", line)
        self.assertNotIn("warning:", "".join(lines))

    def test_a_signal_during_a_reload_is_not_lost(self):
        """Also with a service manager that hears none of it: here nobody reads the socket."""
        server = self.server

        def words():
            with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
                client.expect("MAIL FROM:<jada@example.test>", 250)
                return str(client.cmd("RCPT TO:<a@x.refused.test>"))
        for n in range(5):
            server.process.popen.send_signal(signal.SIGHUP)
            server.write_conf(route=f'to *.refused.test refuse "words {n}"\n    otherwise hold')
            server.process.popen.send_signal(signal.SIGHUP)
            wait_until(lambda: f"words {n}" in words(), f"configuration {n}")


class Start(harness.Scenario):
    """What listened there a moment ago, as the roles of a killed supervisor do, is waited for; what stays is told."""
    STILL = "still in use"

    def listen(self, place):
        occupant = socket.socket(socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX)
        occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.addCleanup(occupant.close)
        occupant.bind(place)
        occupant.listen()
        return occupant

    def test_addresses_that_become_free(self):
        server = Sealpost(self.folder)
        occupants = [self.listen(("127.0.0.1", server.port_mx)), self.listen(str(server.control))]
        self.started.append(server)
        server.start(wait=False)
        server.wait_for_line("trouble", self.STILL, f"127.0.0.1:{server.port_mx}", str(server.control))
        for occupant in occupants:
            occupant.close()
        server.wait_ready()
        self.assertEqual(server.queue_list(), [])

    def test_an_address_that_does_not(self):
        server = Sealpost(self.folder)
        self.listen(("127.0.0.1", server.port_mx))
        server.write_conf()
        done = subprocess.run([server.program, "serve", "-c", server.conf], capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"cannot listen on 127.0.0.1:{server.port_mx}: Address already in use", done.stderr.decode())
        self.assertIn("`ss -ltxp` shows which process listens there\n", done.stderr.decode())

    def test_a_second_server(self):
        """It says at once whom it waits for, and again when it gives up."""
        server = self.start(Sealpost(self.folder))
        second = subprocess.Popen([server.program, "serve", "-c", server.conf], stderr=subprocess.PIPE, text=True)
        asked = 0
        while second.poll() is None:  # meanwhile the one that runs is not kept from answering
            server.command("status")
            asked += 1
        told = second.stderr.read()
        second.stderr.close()
        self.assertEqual(second.returncode, 78)
        self.assertGreater(asked, 3)
        self.assertEqual(server.lines("refused"), [])
        first, *others = told.splitlines()
        words = f"process {server.process.popen.pid} serves with this configuration already: `sealpost reload -c {server.conf}` has it read anew"
        self.assertIn(f'text="an address to listen on is still in use; waiting 5 seconds for it. {words}', first)
        self.assertIn("Address already in use; ", first)  # all of them, in one line
        self.assertNotIn("\\x0a", first)
        self.assertIn(f"{words}, `kill {server.process.popen.pid}` stops it", others)
        self.assertEqual(server.queue_list(), [])

    def test_what_belongs_to_another_account(self):
        """Who may not take it away is told so, and does not wait for a process that there is not; nor for what is no question of time."""
        need_root("another account")
        server = Sealpost(self.folder, "mine")
        server.user, server.as_root = "nobody", ""
        for path in (server.users, server.key):
            shutil.chown(path, "nobody")
        self.listen(str(server.control)).close()
        server.folder.chmod(0o755)
        server.program = shutil.copy(server.program, server.folder / "program")  # where it is built may be out of their reach
        lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        for port in (server.port_mx, lowest - 1):
            server.port_mx = port
            server.write_conf()
            done = subprocess.run([server.program, "serve", "-c", server.conf], capture_output=True, text=True, timeout=60, check=False,
                                  user="nobody", group="nogroup", extra_groups=[], cwd="/")
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"control: cannot listen on unix:{server.control}: a socket file of another account (root) is there; "
                          "name another place with `control`", done.stderr)
            self.assertNotIn("in use", done.stderr)
            self.assertNotIn("ss -ltxp", done.stderr)
        if lowest > 1:
            self.assertIn(f"cannot listen on 127.0.0.1:{port}: Permission denied", done.stderr)

    def test_a_queue_out_of_reach(self):
        """Inside of another, or behind a folder that its account may not pass: which one is told."""
        server = self.start(Sealpost(self.folder))
        other = Sealpost(self.folder, "other")
        other.spool = server.spool / "other"
        self.assertIn(f"queue directory {other.spool}: it lies in another queue ({server.spool})", self.refused(other))
        self.assertFalse(other.spool.exists())
        need_root("a folder that another may not pass")
        closed = self.folder / "closed"
        closed.mkdir(mode=0o700)
        other.spool = closed / "spool"
        self.assertIn(f"nobody may not pass {closed}, so the queue's directory {other.spool} cannot be reached", self.refused(other))

    def test_another_file_with_the_same_control_socket(self):
        """Who asks by it, or starts by it, is told which file the server has read; by a link to it, nothing."""
        server = self.start(Sealpost(self.folder))
        other, link = server.conf.with_name("other.conf"), server.conf.with_name("link.conf")
        other.write_text(re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_ports(1)[0]}", server.conf.read_text()))
        link.symlink_to(server.conf)

        def run(*words, status):
            done = subprocess.run([server.program, *words], capture_output=True, text=True, timeout=60, check=False,
                                  cwd=self.folder, env={**os.environ, **ENVIRONMENT})
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            return done.stdout + done.stderr
        said = run("serve", "-c", other, status=78)
        self.assertNotIn("this configuration already", said)
        self.assertIn(f"process {server.process.popen.pid} serves with {server.conf} at the same control socket: "
                      f"`sealpost reload -c {server.conf}` has that read anew", said)
        said = run("reload", "-c", other, status=0)
        self.assertIn(f"the server that runs reads {server.conf}, and not {other}: that has only told where it is\n", said)
        self.assertIn(f"The new configuration is in force: {server.conf}.\n", said)
        said = run("doctor", "-c", other, status=1)
        self.assertNotIn("it was changed after", said)
        self.assertIn(f"the server that runs reads this file, and not {other}", said)
        self.assertIn(f"`sealpost doctor -c {server.conf}`", said)
        for same in (link, os.path.relpath(server.conf, self.folder)):
            self.assertNotIn("reads", run("reload", "-c", same, status=0))
            self.assertNotIn("the server that runs reads", run("doctor", "-c", same, status=1))  # the resolver here is none
        self.assertIn(f"configuration 4 of {server.conf}\n", run("status", "-c", other, status=0))

    def test_a_second_server_on_the_same_queue(self):
        server = self.start(Sealpost(self.folder))
        other = pathlib.Path(server.conf).with_name("other.conf")
        text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_ports(1)[0]}", pathlib.Path(server.conf).read_text())
        other.write_text(text.replace("control.sock", "other-control.sock").replace("local.sock", "other-local.sock"))
        done = subprocess.run([server.program, "serve", "-c", other], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, **ENVIRONMENT})
        self.assertEqual(done.returncode, 78)
        self.assertRegex(done.stderr, r'start-failed name=spool text="the queue in (\S+) is in use by another process: `fuser -v \1/lock` names it"')
        self.assertEqual(server.queue_list(), [])

    def test_a_configuration_that_is_not_there(self):
        """Its name is told, once."""
        path = f"{self.folder}/nowhere.conf"
        done = subprocess.run([binary(), "serve", "-c", path], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (78, f"{path}: there is no such file (-c FILE names the configuration)\n"))

    @staticmethod
    def refused(server):
        """What a start says that must fail."""
        server.write_conf()
        done = subprocess.run([server.program, "serve", "-c", server.conf, "--fronts", "1"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, check=False, env={**os.environ, **ENVIRONMENT})
        words = done.stdout.decode()
        assert done.returncode == 78, f"status {done.returncode}:\n{words}"
        return words

    def test_a_first_start_that_is_refused_leaves_no_queue(self):
        """Neither makes the directory nor gives it away: what was refused may have named the wrong one."""
        server = Sealpost(self.folder)
        key = server.key.read_text()
        server.key.write_text("no key\n")
        words = self.refused(server)
        self.assertIn(" start-failed ", words)
        self.assertNotIn("reload-failed", words)
        self.assertFalse(server.spool.exists())
        server.spool.mkdir(mode=0o700)
        self.assertIn(" start-failed ", self.refused(server))
        self.assertEqual((server.spool.stat().st_uid, list(server.spool.iterdir())), (os.getuid(), []))
        server.key.write_text(key)
        self.start(server)
        self.assertEqual(server.queue_list(), [])
        if os.getuid() == 0:
            self.assertEqual(server.spool.stat().st_uid, pwd.getpwnam("nobody").pw_uid)

    def test_a_queue_of_another_owner_is_refused(self):
        """As one is that a backup brought back as root. Files that are no part of it may be anybody's."""
        need_root("giving files away")
        server = self.start(Sealpost(self.folder))
        server.stop()
        (server.spool / "lost+found").mkdir(mode=0o700)
        os.mkfifo(server.spool / "a-pipe", mode=0o600)
        nobody = pwd.getpwnam("nobody").pw_uid
        for path, what in ((server.spool / "queue.db", "its file queue.db"), (server.spool, "it")):
            os.chown(path, 64001, -1)
            words = self.refused(server)
            self.assertIn(f"queue directory {server.spool}: {what} belongs to user 64001, and the queue is nobody's", words)
            self.assertIn(f"chown -R nobody: {server.spool}", words)
            self.assertEqual(path.stat().st_uid, 64001)
            os.chown(path, nobody, -1)
        server.start()
        self.assertEqual(server.queue_list(), [])


if __name__ == "__main__":
    harness.main()
