# SPDX-License-Identifier: ISC
"""P7, attack 64: room on the disk, names, descriptors, memory and file sizes run out while the server works. Shortage is told before
anything is accepted, what is queued still leaves, notices too, and when there is room again mail is taken again."""
import os
import resource
import subprocess

import harness
from harness import Sealpost, letter, wait_until
from harness.case import SmallDisk
from harness.message import unique_id
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
MB = 1 << 20
RESERVE_BYTES, RESERVE_NAMES = 32 * MB, 200


def submit(server, *to, size=0, subject=None):
    """(reply code, its text, which command it was for, subject)"""
    subject = subject or f"letter {unique_id()}"
    with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
        for command in ("MAIL FROM:<jada@example.test>", *(f"RCPT TO:<{r}>" for r in to), "DATA"):
            code, text = client.cmd(command)
            if code not in (250, 354):
                return code, text, command[:4], subject
        line = b"x" * 76 + b"\r\n"
        client.send(letter(subject=subject, to=to[0]).as_bytes() + line * (size // len(line)) + b".\r\n")
        code, text = client.reply()
        return code, text, ".", subject


def limit(pid, which, soft=None):
    """Lowers this soft limit of a role, or sets it back to what its hard limit allows; as the role's user, who may."""
    subprocess.run(["prlimit", "--pid", str(pid), f"--{which}={'unlimited' if soft is None else soft}:"], check=True,
                   **({"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}))


class Disk(harness.Scenario):
    def begin(self, options):
        server = Sealpost(self.folder)  # the route holds what is for elsewhere
        self.start(SmallDisk(server.spool, options, "nobody"))
        self.start(server)
        self.assertEqual(submit(server, "one@there.test")[0], 250)
        self.assertEqual(submit(server, "two@there.test")[0], 250)
        return server

    def refuses_and_lets_go(self, server, short_of):
        server.wait_for_line("shortage", short_of, "new mail is refused")
        code, text, command, _ = submit(server, "sam@example.test")
        self.assertEqual((code, text[:5], command), (452, "4.3.1", "MAIL"))  # before anything was sent
        self.assertIn(short_of, text)
        self.assertIn(f"{short_of.upper()}; new mail is refused", server.command("status"))
        # The reserve is for this: a notice is written, and delivered.
        server.queue("bounce", "--to", "one@there.test")
        wait_until(lambda: [m for _, m in server.letters("jada") if m.get_content_type() == "multipart/report"], "the notice")
        self.assertEqual([r["recipient"] for r in server.queue_list()], ["two@there.test"])

    def takes_again(self, server):
        server.wait_for_line("shortage", "there is room again")
        code, text, _, subject = submit(server, "sam@example.test")
        self.assertEqual(code, 250, text)
        server.wait_for_letter(subject)
        server.queue("verify")

    @staticmethod
    def free(server):
        have = os.statvfs(server.spool)
        return have.f_bavail * have.f_frsize

    def leave(self, server, free):
        """So much room, whatever others hold."""
        ballast = server.spool / "ballast"
        size = (ballast.stat().st_size if ballast.exists() else 0) + self.free(server) - free
        with ballast.open("ab") as file:
            if size < file.tell():
                file.truncate(size)
            else:
                file.write(bytes(size - file.tell()))
        return ballast

    def test_attack_64_the_disk_fills(self):
        server = self.begin("80m")

        def leave(free):
            return self.leave(server, free)
        wait_until(lambda: self.free(server) < RESERVE_BYTES * 3 // 2 + MB, "what may be prepared")
        leave(12 * MB)
        wait_until(lambda: (server.spool / "content-000001").stat().st_blocks < MB // 512, "what was prepared to be given back")
        leave(RESERVE_BYTES + 2 * MB)
        code, text, _, _ = submit(server, "two@there.test")
        self.assertEqual(code, 250, text)
        self.assertEqual(server.lines("shortage"), [])
        leave(RESERVE_BYTES - 2 * MB)
        server.queue("remove", "--to", "two@there.test")
        self.assertIn(submit(server, "two@there.test")[0], (250, 452))  # it is noticed within two seconds
        server.queue("remove", "--to", "two@there.test", status=None)
        server.wait_for_line("shortage", "new mail is refused")
        leave(RESERVE_BYTES * 5 // 4 + 2 * MB)
        server.wait_for_line("shortage", "there is room again")
        self.assertEqual(submit(server, "two@there.test")[0], 250)
        leave(RESERVE_BYTES - 2 * MB)
        server.wait_for_line("shortage", "new mail is refused", count=2)
        self.refuses_and_lets_go(server, "is full")
        leave(RESERVE_BYTES).unlink()
        server.wait_for_line("shortage", "there is room again", count=2)
        self.takes_again(server)

    def test_attack_64_a_small_disk_is_not_filled_ahead(self):
        """What is prepared for mail to come leaves the reserve alone, goes when others need the room, and keeps nobody from starting."""
        server = Sealpost(self.folder)
        self.start(SmallDisk(server.spool, "80m", "nobody"))
        self.start(server)
        for _ in range(2):
            wait_until(lambda: self.free(server) < RESERVE_BYTES * 3 // 2 + MB, "what may be prepared")
            self.assertGreater(self.free(server), RESERVE_BYTES * 5 // 4)
            for _ in range(3):
                code, text, _, _ = submit(server, "two@there.test", size=10 * MB)
                self.assertEqual(code, 250, text)
            server.queue("remove", "--all")
        ballast = self.leave(server, 16 * MB)
        wait_until(lambda: self.free(server) > RESERVE_BYTES * 5 // 4, "what was prepared to be given back")
        self.assertEqual(server.lines("shortage"), [])
        code, text, _, _ = submit(server, "two@there.test", size=2 * MB)
        self.assertEqual(code, 250, text)
        self.leave(server, RESERVE_BYTES)
        server.stop()
        server.start()
        self.assertEqual(len(server.queue_list()), 1)
        server.stop()
        self.leave(server, 0)
        done = subprocess.run([server.program, "serve", "-c", server.conf], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"make room on the disk of {server.spool}", done.stderr)
        ballast.unlink()
        server.start()
        self.assertEqual(len(server.queue_list()), 1)

    def test_attack_64_names_run_out(self):
        server = self.begin("200m,nr_inodes=1000")

        def leave(free):
            have, n = os.statvfs(server.spool).f_favail, 0
            while have - n > free:
                (server.spool / f"ballast-{have - n}").touch()
                n += 1
        leave(RESERVE_NAMES)
        code, text, _, subject = submit(server, "sam@example.test")
        self.assertEqual(code, 250, text)
        server.wait_for_letter(subject)
        self.assertEqual(server.lines("shortage"), [])
        leave(RESERVE_NAMES - 1)
        self.refuses_and_lets_go(server, "has no inodes left")
        for path in server.spool.glob("ballast-*"):
            path.unlink()
        self.takes_again(server)


class Limits(harness.Scenario):
    """Limits that are lowered for a role that runs, as an administrator's prlimit does."""

    @staticmethod
    def descriptors(pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def hard(pid):
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            return next(line.split()[4] for line in file if line.startswith("Max open files"))

    def test_attack_64_no_descriptors_at_the_door(self):
        server = self.start(Sealpost(self.folder))
        pid, held = server.roles()["front"], []
        self.assertEqual(submit(server, "sam@example.test")[0], 250)
        limit(pid, "nofile", self.descriptors(pid) + 3)
        try:
            while len(held) < 20:
                client = Raw(server.port_mx, hello=None)
                held.append(client)
                if client.greeting[0] != 220:
                    break
            self.assertEqual((held[-1].greeting[0], held[-1].greeting[1][:5]), (421, "4.3.2"))
            # Just as many as there was room for; the client of the letter may have been counted before it had left.
            self.assertIn(len(held) - 1, (2, 3, 4))
            held[0].cmd("EHLO client.test")  # who is in stays in
            self.assertEqual(held[0].cmd("NOOP")[0], 250)
            self.assertLess(len(server.lines("trouble")), 10)  # and the door does not spin
            held.pop(1).close()
            again = wait_until(lambda: self.greeted(server), "room for another")
            held.append(again)
        finally:
            for client in held:
                client.close()
        limit(pid, "nofile", self.hard(pid))
        self.assertEqual(server.roles()["front"], pid)
        self.assertEqual(submit(server, "sam@example.test")[0], 250)

    @staticmethod
    def greeted(server):
        try:
            client = Raw(server.port_mx, hello=None)
        except (OSError, Gone):
            return None
        if client.greeting[0] == 220:
            return client
        client.close()
        return None

    def test_attack_64_no_descriptors_for_a_delivery(self):
        server = self.start(Sealpost(self.folder, queue="retry 1s"))
        code, _, _, first = submit(server, "sam@example.test")
        self.assertEqual(code, 250)
        server.wait_for_letter(first)
        pid = server.roles()["porter"]
        limit(pid, "nofile", 3)
        code, _, _, subject = submit(server, "sam@example.test")
        self.assertEqual(code, 250)  # there is room in the queue
        server.wait_for_line("deferred", "sam@example.test")
        limit(pid, "nofile", self.hard(pid))
        server.wait_for_letter(subject)
        self.assertEqual(server.roles()["porter"], pid)

    def test_attack_64_a_file_may_not_grow(self):
        """RLIMIT_FSIZE: the write fails, SIGXFSZ does not kill."""
        server = self.start(Sealpost(self.folder))
        pid, accepted = server.roles()["spool"], []
        limit(pid, "fsize", 1 * MB)
        for _ in range(8):
            code, text, _, subject = submit(server, "one@there.test", size=300 << 10)
            if code != 250:
                break
            accepted.append(subject)
        self.assertEqual((code, text[:5]), (452, "4.3.1"))
        self.assertIn(len(accepted), (2, 3))
        limit(pid, "fsize")
        code, text, _, subject = submit(server, "one@there.test", size=300 << 10)
        self.assertEqual(code, 250, text)
        self.assertEqual(server.roles()["spool"], pid)
        self.assertEqual(len(server.queue_list()), len(accepted) + 1)
        server.queue("verify")


class Memory(harness.Scenario):
    """RLIMIT_AS needs a program without sanitizers, which reserve terabytes of addresses."""

    def test_attack_64_memory_runs_out(self):
        program = os.environ.get("MEASURED")
        self.assertTrue(program and os.access(program, os.X_OK), "MEASURED must name a program built without sanitizers")
        server = self.start(Sealpost(self.folder, program=program, queue="retry 1s"))
        server.roles_may_die = server.memory_may_end = True
        accepted, died = [], []
        for role in ("spool", "front", "porter", "keeper"):
            pid = server.roles()[role]
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            limit(pid, "as", used)
            for n in range(40):
                try:
                    code, _, _, subject = submit(server, *["sam@example.test", "jada@example.test"][:1 + n % 2],
                                                 size=(2 * MB if n % 4 == 3 else 1000))
                except (OSError, Gone, AssertionError):
                    code = 421
                if code == 250:
                    accepted.append(subject)
                if server.roles().get(role) != pid:
                    died.append(role)
                    break
            if server.roles().get(role) == pid:  # it got along with what it had
                limit(pid, "as")

            def taken():
                try:
                    return submit(server, "sam@example.test")[0] == 250
                except (OSError, Gone, AssertionError):
                    return False
            wait_until(taken, f"mail to be taken after {role} had no memory")
        print(f"\n{len(accepted)} letters accepted without memory; it ended {', '.join(died) or 'nobody'}")
        for subject in accepted:
            server.wait_for_letter(subject)
        wait_until(lambda: server.queue_list() == [], "an empty queue")
        self.assertTrue(died, "the limit was never felt")


if __name__ == "__main__":
    harness.main()
