# SPDX-License-Identifier: ISC
"""Private keys, credentials and relay passwords are in the keeper's memory, and in no other process."""
import base64
import pathlib
import subprocess

import harness
from harness import Sealpost
from harness.raw import Raw
from harness.server import users_line

REGION_BYTES_MAX = 1 << 30  # larger ones are what a sanitizer reserves
RELAY_PASSWORD = b"a relay password that is nowhere else 7491"


def private_number(key):
    """The secret of an EC key, as its 32 bytes."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], capture_output=True, text=True,
                          check=True).stdout
    digits = text.split("priv:")[1].split("pub:")[0]
    return bytes.fromhex("".join(c for c in digits if c in "0123456789abcdef")).rjust(32, b"\0")[-32:]


def memory(pid):
    """Every resident, writable part of a process's memory."""
    region = None
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in smaps.read().splitlines():
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                region = [int(n, 16) for n in words[0].split("-")] if "w" in words[1] else None
            elif words[0] == "Rss:" and region and int(words[1]) > 0 and region[1] - region[0] <= REGION_BYTES_MAX:
                try:
                    mem.seek(region[0])
                    yield mem.read(region[1] - region[0])
                except OSError:
                    pass  # the kernel's own pages


class Secrets(harness.Scenario):
    def test_only_the_keeper_has_them(self):
        password = Sealpost.PASSWORDS["jada"]
        secret = pathlib.Path(self.folder) / "relay.secret"
        secret.write_bytes(RELAY_PASSWORD + b"\n")
        secret.chmod(0o600)
        server = self.start(Sealpost(self.folder, extra=f"""
relay hop {{
    host localhost:9
    login mx1 file:{secret}
}}""", fronts=2))
        for _ in range(4):
            with Raw(server.port_submissions, server.authority, "implicit", login=("jada", password)) as client:
                client.mail("jada@example.test", "sam@example.test")
                self.assertEqual(client.data("Subject: secret\r\nFrom: jada@example.test\r\n\r\n.\r\n", b".\r\n")[0], 250)

        number = private_number(server.key)
        verifier = users_line("jada", password).strip().partition("$")[2].partition("$")[2]
        stored = base64.b64decode(verifier.split(":")[0])
        needles = {
            "the private number": number,
            "the private number, as OpenSSL keeps it": number[::-1],
            "the key file": server.key.read_bytes().splitlines()[1],
            "the verifier": verifier.encode(),
            "the stored key": stored,
            "the relay's password": RELAY_PASSWORD,
        }
        found = {}
        roles = {**server.roles(), "supervisor": server.process.pid}
        self.assertIn("front2", roles)
        for role, pid in roles.items():
            try:
                parts = list(memory(pid))
            except PermissionError:
                self.assertEqual(role, "keeper")  # nobody else may look into it, and without root neither may we
                continue
            self.assertGreater(sum(map(len, parts)), 100_000, role)
            found[role] = {name for name, needle in needles.items() if any(needle in part for part in parts)}
        # That it is found in the keeper shows that this test can see.
        keeper = found.pop("keeper", None)
        if keeper is not None:
            self.assertIn("the relay's password", keeper)
            self.assertIn("the verifier", keeper)
            self.assertTrue(keeper & {"the private number", "the private number, as OpenSSL keeps it"}, keeper)
            self.assertNotIn("the key file", keeper)
        self.assertEqual({role: names for role, names in found.items() if names}, {})


if __name__ == "__main__":
    harness.main()
