# SPDX-License-Identifier: ISC
"""Private keys, credentials and relay passwords are in the keeper's memory, and in no other process."""
import base64
import grp
import os
import pathlib
import pwd
import resource
import signal
import subprocess
import sys

import harness
from harness import Authority, Sealpost
from harness.acted import Relay
from harness.raw import Raw
from harness.server import users_line

HEAD_BYTES = 16  # of a piece that was freed: malloc(3) writes its own there, so we look for the rest
REGION_BYTES_MAX = 1 << 30  # larger ones are what a sanitizer reserves
RELAY_PASSWORD = b"a relay password that is nowhere else 7491"


def private_number(key):
    """The secret of an EC key, as its 32 bytes."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], capture_output=True, text=True,
                          check=True).stdout
    digits = text.split("priv:")[1].split("pub:")[0]
    return bytes.fromhex("".join(c for c in digits if c in "0123456789abcdef")).rjust(32, b"\0")[-32:]


def key_needles(key):
    number, text = private_number(key), key.read_bytes()
    return {
        "the private number": number,
        "the private number, as OpenSSL keeps it": number[::-1],
        "the key file": text.splitlines()[1],
        "the key file, decoded": base64.b64decode(b"".join(text.splitlines()[1:-1]))[:60],
    }


def memory(pid):
    """Every resident, writable part of a process's memory, as (bytes, the kernel's flags of the mapping)."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in smaps.read().splitlines():
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                region = [int(n, 16) for n in words[0].split("-")] if "w" in words[1] else None
            elif words[0] == "Rss:":
                resident = int(words[1]) > 0
            elif words[0] == "VmFlags:" and region and resident and region[1] - region[0] <= REGION_BYTES_MAX:
                try:
                    mem.seek(region[0])
                    yield mem.read(region[1] - region[0]), words[1:]
                except OSError:
                    pass  # the kernel's own pages


def b64(*parts):
    return base64.b64encode(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)).rstrip(b"=")[:-1]


class Memory(harness.Scenario):
    """What lies where. On the program without sanitizers: those keep what was freed. meson's MALLOC_PERTURB_ would
    overwrite it, and so hide what we look for."""

    def setUp(self):
        super().setUp()
        harness.case.need_root("reading the memory of other processes")
        self.program = os.environ.get("MEASURED")
        self.assertTrue(self.program and os.access(self.program, os.X_OK), "MEASURED must name a program built without sanitizers")
        os.environ.pop("MALLOC_PERTURB_", None)

    def serve(self, extra="", **more):
        secret = pathlib.Path(self.folder) / "relay.secret"
        secret.write_bytes(RELAY_PASSWORD + b"\n")
        secret.chmod(0o600)
        return self.start(Sealpost(self.folder, program=self.program, extra=extra.replace("SECRET", str(secret)), **more))

    def found(self, server, needles, locked=False):
        """Role -> names of the needles that lie in its memory; locked: all of their places must be locked, in no dump."""
        found = {}
        for role, pid in {**server.roles(), "supervisor": server.process.pid}.items():
            parts = list(memory(pid))
            self.assertGreater(sum(len(part) for part, _ in parts), 100_000, role)
            found[role] = set()
            for part, flags in parts:
                here = {name for name, needle in needles.items() if needle[HEAD_BYTES:] in part}
                found[role] |= here
                if here and locked:
                    self.assertGreaterEqual(set(flags), {"lo", "dd"}, f"{role}: {here}")
        return found

    def elsewhere(self, found):
        return {role: names for role, names in found.items() if names and role != "keeper"}

    def test_only_the_keeper_has_them(self):
        password = Sealpost.PASSWORDS["jada"]
        server = self.serve("""
relay hop {
    host localhost:9
    login mx1 file:SECRET
}""", fronts=2)
        for _ in range(4):
            with Raw(server.port_submissions, server.authority, "implicit", login=("jada", password)) as client:
                client.mail("jada@example.test", "sam@example.test")
                self.assertEqual(client.data("Subject: secret\r\nFrom: jada@example.test\r\n\r\n.\r\n", b".\r\n")[0], 250)
        verifier = users_line("jada", password).strip().partition("$")[2].partition("$")[2]
        found = self.found(server, {
            **key_needles(server.key),
            "the verifier": verifier.encode(),
            "the stored key": base64.b64decode(verifier.split(":")[0]),
            "the relay's password": RELAY_PASSWORD,
        }, locked=True)
        self.assertIn("front2", found)
        # That it is found in the keeper shows that this test can see.
        self.assertGreaterEqual(found["keeper"], {"the relay's password", "the verifier"})
        self.assertTrue(found["keeper"] & {"the private number", "the private number, as OpenSSL keeps it"}, found)
        self.assertFalse(found["keeper"] & {"the key file", "the key file, decoded"}, found)
        self.assertEqual(self.elsewhere(found), {})

    def test_passwords_of_logins_pass_without_a_trace(self):
        server = self.serve(fronts=1)
        name, right = "jada", Sealpost.PASSWORDS["jada"]
        wrong, odd, early = "a wrong password that nobody has 5530", "\u00fcml\u00e4ut p\u00e4ssword of some length 7712", \
            "a password in the wrong place 4410"
        needles = {}
        for word in (right, wrong, odd, early):
            for what, form in (("", word.encode()), (" in PLAIN", b64("\0", name, "\0", word)), (" in LOGIN", b64(word))):
                needles[word + what] = form
        open_sessions = []
        self.addCleanup(lambda: [client.close() for client in open_sessions])

        def connect(tls="implicit"):
            port = server.port_submissions if tls == "implicit" else server.port_submission
            open_sessions.append(Raw(port, server.authority, tls))
            return open_sessions[-1]

        def login_steps(client, *words):
            for word in words[:-1]:
                client.expect(word, 334)
            return client.cmd(words[-1])[0]

        plain = {word: base64.b64encode(f"\0{name}\0{word}".encode()).decode() for word in (right, wrong, odd, early)}
        jada, spelt = (base64.b64encode(word.encode()).decode() for word in (name, right))
        for tls in ("implicit", "starttls"):
            self.assertEqual(connect(tls).cmd("AUTH PLAIN " + plain[right])[0], 235)
        self.assertEqual(login_steps(connect(), "AUTH PLAIN", plain[right]), 235)
        self.assertEqual(login_steps(connect(), "AUTH LOGIN", jada, spelt), 235)
        # All in one segment, so that the password lies deep in a buffer and waits there.
        client = connect()
        padding = "x" * 400
        client.send(f"NOOP {padding}\r\nNOOP {padding}\r\nAUTH PLAIN {plain[right]}\r\n")
        self.assertEqual([client.reply()[0] for _ in range(3)], [250, 250, 235])
        for word in (wrong, odd):
            self.assertEqual(connect().cmd("AUTH PLAIN " + plain[word])[0], 535)
        # Where no password is expected: it is refused, and forgotten all the same.
        client.expect("AUTH PLAIN " + plain[early], 503)
        client.expect(plain[early], 500)
        clear = Raw(server.port_submission)
        open_sessions.append(clear)
        self.assertIn(clear.cmd("AUTH PLAIN " + plain[early])[0], (530, 538))
        # With the sessions open, and after they are gone.
        for _ in range(2):
            found = self.found(server, needles)
            self.assertEqual({role: names for role, names in found.items() if names}, {})
            while open_sessions:
                open_sessions.pop().close()

    def test_a_relay_login_leaves_no_password_in_the_courier(self):
        authority = Authority(self.folder)
        hop = self.start(Relay(authority.issue("localhost", file="hop")))
        server = self.serve(f"""
relay hop {{
    host localhost:{hop.port}
    tls implicit verify
    ca {authority.cert}
    login mx1 file:SECRET
}}""", authority=authority, route="otherwise relay hop")
        with Raw(server.port_submissions, authority, "implicit", login=("jada", Sealpost.PASSWORDS["jada"])) as client:
            client.mail("jada@example.test", "one@elsewhere.test")
            self.assertEqual(client.data("Subject: out\r\nFrom: jada@example.test\r\n\r\n.\r\n", b".\r\n")[0], 250)
        server.wait_for_line("delivered", "one@elsewhere.test")
        said = base64.b64encode(b"\0mx1\0" + RELAY_PASSWORD)
        self.assertIn(b"AUTH PLAIN " + said + b"\r\n", hop.heard)
        found = self.found(server, {"the password": RELAY_PASSWORD, "as it is sent": said[:-4]})
        self.assertEqual(self.elsewhere(found), {})
        self.assertEqual(found["keeper"], {"the password"})  # its file, and no login any more

    def test_a_reload_forgets_what_it_replaces(self):
        server = self.serve()
        old, password = server.key, "a password that comes with the reload 8081"
        server.cert, server.key = server.authority.issue("mx1.example.test", "localhost", "127.0.0.1", file="renewed")
        gone = users_line("jada", Sealpost.PASSWORDS["jada"]).strip().rpartition("$")[2].encode()
        server.users.write_text(users_line("jada", password) + users_line("sam", password))
        server.reload()
        server.wait_for_line("reloaded")
        self.assertEqual({role: names for role, names in self.found(server, {"the old verifier": gone}).items() if names}, {})

        def old_key_is_gone():  # handshakes that began with it are let end
            return not any(self.found(server, key_needles(old)).values())
        harness.wait_until(old_key_is_gone, "the old key to be forgotten")
        found = self.found(server, key_needles(server.key))
        self.assertTrue(found["keeper"])

    def test_all_of_the_keeper_is_locked_where_that_is_allowed(self):
        """Then what libraries copy for a moment is not swapped out, either."""
        server = self.serve()
        status = pathlib.Path(f"/proc/{server.roles()['keeper']}/status").read_text()
        locked, resident = (int(status.split(name)[1].split()[0]) for name in ("VmLck:", "VmRSS:"))
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == resource.RLIM_INFINITY:
            self.assertGreater(locked, resident)
        self.assertGreater(locked, 4000)  # the heap for private keys at least
        self.assertEqual([line for line in server.lines("trouble") if "locked" in line], [])


PROBE = """
import ctypes, os, sys
pid, uid, gid = map(int, sys.argv[1:])
if uid:
    os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
def may(look):
    try:
        return bool(look())
    except PermissionError:
        return False
libc = ctypes.CDLL(None, use_errno=True)
print(may(lambda: open(f"/proc/{pid}/mem", "rb")), may(lambda: os.listdir(f"/proc/{pid}/fd") or True),
      may(lambda: open(f"/proc/{pid}/environ", "rb").read()), libc.ptrace(16, pid, None, None) == 0)
"""


class Hidden(harness.Scenario):
    def probe(self, pid, uid):
        """Memory, descriptors, environment, ptrace: what may this user see of that process?"""
        return self.run_program(sys.executable, "-c", PROBE, pid, uid, grp.getgrnam("nogroup").gr_gid).split()

    def test_attack_43_nobody_of_the_same_user_looks_in(self):
        harness.case.need_root("becoming another user")
        server = self.start(Sealpost(self.folder))
        nobody = pwd.getpwnam("nobody").pw_uid
        idle = harness.case.Process("idle", ["sleep", "600"], self.folder, user=nobody, group="nogroup",
                                    extra_groups=[])
        harness.wait_until(lambda: pathlib.Path(f"/proc/{idle.pid}/cmdline").read_bytes().startswith(b"sleep"), "sleep")
        try:
            self.assertEqual(self.probe(idle.pid, nobody), ["True"] * 4)  # so this can be seen where it is not forbidden
        finally:
            idle.stop(signal.SIGKILL)
        roles = server.roles()
        self.assertGreaterEqual(set(roles), {"front", "spool", "courier", "porter", "keeper", "resolver"})
        for role, pid in roles.items():
            with self.subTest(role):
                self.assertEqual(os.stat(f"/proc/{pid}/task/{pid}/status").st_uid, 0)  # not dumpable: root's
                self.assertEqual(self.probe(pid, nobody), ["False"] * 4)
        core = subprocess.run([harness.case.need("gcore"), "-o", self.folder / "core", str(roles["keeper"])], user=nobody,
                              group="nogroup", extra_groups=[], capture_output=True, text=True, check=False)
        self.assertNotEqual(core.returncode, 0, core.stdout)
        self.assertEqual(list(pathlib.Path(self.folder).glob("core*")), [])

    def test_attack_74_an_open_key_is_refused(self):
        server = Sealpost(self.folder)
        self.started.append(server)
        for path, mode in ((server.key, 0o644), (server.users, 0o606)):
            path.chmod(mode)
            server.start(wait=False)
            self.assertEqual(server.process.popen.wait(60), 78)
            self.assertIn(f"chmod o= {path}", server.log())
            server.notify.close()
            path.chmod(0o600)
        server.start()
        server.key.chmod(0o604)
        server.reload()
        server.wait_for_line("reload-failed", f"chmod o= {server.key}")
        with Raw(server.port_submissions, server.authority, "implicit") as client:
            client.expect("NOOP", 250)  # the old one stays

    def test_attack_74_no_process_leaves_a_core(self):
        server = self.start(Sealpost(self.folder))
        for role, pid in {**server.roles(), "supervisor": server.process.pid}.items():
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            with self.subTest(role):
                self.assertRegex(limits, r"Max core file size +0 +0 ")


if __name__ == "__main__":
    harness.main()
