# SPDX-License-Identifier: ISC
"""Load: what a client was told 250 for is there, and it never sees anything but 250."""
import concurrent.futures
import os
import pathlib
import signal
import ssl
import time

import harness
from harness import Sealpost, wait_until
from harness.raw import Raw

SESSIONS, LETTERS, BYTES = 20, 400, 5000
MANY, LARGE = 400, 300_000  # more than a channel may hold (64 MB), and with what each may be ahead as well
MB = 1 << 20


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

    def test_p9_a_spool_that_stands_still(self):
        """Nobody's flush takes so long, but some take long: what comes in meanwhile must not fill the memory, nor be refused."""
        program = os.environ["MEASURED"]
        server = self.start(Sealpost(self.folder, program=program, submissions="trust 127.0.0.1",
                                     limits="connections-per-client 1000\nconnections-per-network 1000"))
        roles, clients = server.roles(), []
        self.addCleanup(lambda: [client.close() for client in clients])
        context = ssl.create_default_context(cafile=server.authority.cert)
        for n in range(MANY):
            clients.append(Raw(server.port_submissions, context=context, tls="implicit"))
            clients[-1].mail("load@example.test", f"r{n}@elsewhere.test")
            clients[-1].expect("DATA", 354)
        before = own_bytes(roles["front"])
        os.kill(roles["spool"], signal.SIGSTOP)
        try:
            with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
                replies = pool.map(hand_in, clients)
                wait_until(lambda: own_bytes(roles["front"]) - before > 14 * MB, "content that the spool does not take")
                wait_until(lambda: is_quiet(roles["front"]), "a front that reads no more")
                grown = own_bytes(roles["front"]) - before
                os.kill(roles["spool"], signal.SIGCONT)
                self.assertEqual({code for code, _ in replies}, {250})
        finally:
            os.kill(roles["spool"], signal.SIGCONT)
        self.assertEqual(server.lines("channel-broken"), [])
        self.assertLess(grown, MANY * LARGE / 2)  # what the spool has not read, and buffers of each connection: not all that was sent


CONTENT = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * (LARGE // 1000) + b".\r\n"


def hand_in(client):
    client.socket.settimeout(60)
    client.send(CONTENT)
    return client.reply()


def is_quiet(pid):
    """It waits, and has used no time since the last look."""
    path = pathlib.Path(f"/proc/{pid}/stat")

    def used():
        return path.read_text().rpartition(")")[2].split()[:15]
    looks = []
    for _ in range(5):
        looks.append(used())
        time.sleep(0.1)  # between two looks; nothing relies on its length
    return all(look == looks[0] and look[0] == "S" for look in looks)


def own_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss_Anon:")) * 1024


if __name__ == "__main__":
    harness.main()
