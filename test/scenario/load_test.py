# SPDX-License-Identifier: ISC
"""Postfix's smtp-source as load: what it was told 250 for is there, and it never sees anything but 250."""
import harness
from harness import Sealpost, wait_until

SESSIONS, LETTERS, BYTES = 20, 400, 5000


class Load(harness.Scenario):
    def test_smtp_source(self):
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000"))
        said = self.run_program("smtp-source", "-s", SESSIONS, "-m", LETTERS, "-l", BYTES, "-S", "load",
                                "-f", "source@client.test", "-t", "sam@example.test", f"inet:127.0.0.1:{server.port_mx}")
        self.assertEqual(said.strip(), "")  # it tells every reply that it did not expect, and ends
        wait_until(lambda: "queue is empty" in server.queue("list", status=None), "an empty queue")
        letters = server.letters(subject="load")
        self.assertEqual(len(letters), LETTERS)
        self.assertTrue(all(path.stat().st_size > BYTES for path, _ in letters))
        self.assertEqual(server.lines("role-died"), [])


if __name__ == "__main__":
    harness.main()
