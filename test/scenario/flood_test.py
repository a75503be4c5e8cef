# SPDX-License-Identifier: ISC
"""Floods: very many connections, half-open handshakes, guessed logins and recipients; and what other clients notice."""
import base64
import concurrent.futures
import contextlib
import os
import signal
import socket
import ssl
import statistics
import threading
import time

import harness
from harness import Sealpost, letter
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


def connect(port, source="127.0.0.1"):
    """A connection that was greeted, or None and what was said instead."""
    try:
        connection = Raw(port, hello=None, source=source)
    except (OSError, Gone) as gone:
        return None, str(gone)
    if connection.greeting[0] == 220:
        return connection, ""
    connection.close()
    return None, connection.greeting[1]


def hello(authority):
    """The first flight of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=authority.cert).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


class Honest:
    """Another client, in a thread: hands in a letter again and again, and takes the time."""

    def __init__(self, server, source="127.0.9.9"):
        self.server, self.source, self.times, self.failure = server, source, [], None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set() or len(self.times) < 20:
                began = time.monotonic()
                with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA, source=self.source) as client:
                    client.mail("jada@example.test", "sam@example.test")
                    code, text = client.data(letter().as_bytes())
                    assert code == 250, (code, text)
                self.times.append(time.monotonic() - began)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        self.thread.join()

    def told(self, during):
        assert self.failure is None, f"the honest client failed: {self.failure!r}"
        ordered = sorted(self.times)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        print(f"# {during}: {len(ordered)} letters of another client, each over a connection of its own: "
              f"median {statistics.median(ordered) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms", flush=True)


class Connections(harness.Scenario):
    def tearDown(self):
        for connection in getattr(self, "held", []):
            connection.close()

    def fill(self, port, source="127.0.0.1", tries=20):
        """Opens what is let in; returns how many were, and what the others heard."""
        opened, words = 0, set()
        for _ in range(tries):
            connection, said = connect(port, source)
            if connection:
                self.held.append(connection)
                opened += 1
            else:
                words.add(said)
        return opened, words

    def test_attack_62_the_counts_hold_over_all_fronts(self):
        self.held = []
        server = Sealpost(self.folder, limits="connections-per-client 6", fronts=3)
        server.roles_may_die = True
        self.start(server)
        opened, words = self.fill(server.port_mx)
        self.assertEqual((opened, words), (6, {"Too many connections from your address"}))
        # A front that dies gives back what it held, and no more.
        for name in sorted(name for name in server.roles() if name.startswith("front")):
            before, pid = len(server.lines("role-died")), server.roles().get(name)
            if pid is None:
                continue
            os.kill(pid, signal.SIGKILL)
            server.wait_for_line("role-died", "name=front", count=before + 1)
            for connection in [c for c in self.held if self.is_closed(c)]:
                connection.close()
                self.held.remove(connection)
            self.fill(server.port_mx)
            self.assertEqual(len(self.held), 6)
        self.assertTrue(server.lines("role-died"))

    @staticmethod
    def is_closed(connection):
        connection.socket.settimeout(0.5)
        try:
            return connection.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def test_attack_62_a_network_has_a_ceiling(self):
        self.held = []
        server = self.start(Sealpost(self.folder, limits="connections-per-client 3\n connections-per-network 5", fronts=2))
        self.assertEqual(self.fill(server.port_mx, "127.0.0.1"), (3, {"Too many connections from your address"}))
        self.assertEqual(self.fill(server.port_mx, "127.0.0.2"), (2, {"Too many connections from your network"}))
        self.assertEqual(self.fill(server.port_mx, "127.0.0.3"), (0, {"Too many connections from your network"}))
        self.assertEqual(self.fill(server.port_mx, "127.0.1.1"), (3, {"Too many connections from your address"}))
        refused = server.wait_for_line("refused", "connections-per-network")
        self.assertIn("client=127.0.0.2", refused[0])

    def test_attack_62_all_together_have_a_ceiling(self):
        self.held = []
        server = self.start(Sealpost(self.folder, limits="connections 4", fronts=2))
        self.assertEqual(self.fill(server.port_mx), (4, {"4.3.2 Too many connections: try again later"}))
        self.assertEqual(self.fill(server.port_mx, "127.0.1.1")[0], 0)
        self.held.pop().close()
        harness.wait_until(lambda: self.fill(server.port_mx, "127.0.1.1", 1)[0], "room for one")


class Handshakes(harness.Scenario):
    def test_attack_62_half_open_handshakes(self):
        self.half_open(fronts=1)

    def test_attack_62_half_open_handshakes_at_two_fronts(self):
        self.half_open(fronts=2)

    def half_open(self, fronts):
        """300 hellos that nothing follows, and as many half ones, from a few networks: an honest client is served meanwhile."""
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000\n connections-per-network 1000", fronts=fronts))
        whole, held = hello(server.authority), []
        with Honest(server) as honest:
            for i in range(600):
                s = socket.create_connection(("127.0.0.1", server.port_submissions), source_address=(f"127.0.{i % 8}.1", 0))
                s.sendall(whole if i % 2 else whole[:20])
                held.append(s)
        honest.told(f"600 half-open handshakes, fronts: {fronts}")
        for s in held:
            s.close()


class Guesses(harness.Scenario):
    """Names and recipients, guessed at from several addresses and over several sessions."""

    @staticmethod
    def try_login(server, name, password, source):
        with Raw(server.port_submissions, server.authority, "implicit", source=source) as client:
            return client.login(name, password)

    @staticmethod
    def guess_often(server, name, times):
        """Nobody waits for the answers, which come ever later: a failure counts when it is one."""
        for i in range(times):
            client = Raw(server.port_submissions, server.authority, "implicit", source=f"127.0.{10 + i % 20}.1")
            client.send("AUTH PLAIN " + base64.b64encode(f"\0{name}\0guess {i}".encode()).decode() + "\r\n")
            server.wait_for_line("login-denied", f"user={name}", count=i + 1)
            client.close()

    def test_attack_57_a_name_that_everybody_guesses_at(self):
        server = self.start(Sealpost(self.folder))
        self.assertEqual(self.try_login(server, *JADA, "127.0.5.5")[0], 235)
        self.guess_often(server, "jada", 100)
        # For a stranger a right password is as good as a wrong one; its owner gets in from where they were before.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            right, wrong = pool.map(lambda password: self.try_login(server, "jada", password, "127.0.6.6"), (JADA[1], "wrong"))
        self.assertEqual(right[0], 454)
        self.assertEqual(right, wrong)
        self.assertEqual(self.try_login(server, *JADA, "127.0.5.5")[0], 235)

    def test_attack_35_recipients_are_not_guessed_for_long(self):
        """The hundredth guess is answered, late; the next one ends the session, whatever the session and the front."""
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000", fronts=2))
        clients = [Raw(server.port_mx) for _ in range(102)]
        for client in clients:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)
        began = time.monotonic()
        for i, client in enumerate(clients[:100]):
            client.send(f"RCPT TO:<guess{i}@example.test>\r\n")
            server.wait_for_line("refused", "command=RCPT", count=i + 1)  # counted; two fronts at the same moment may count one
        self.assertEqual([client.reply()[0] for client in clients[:100]], [550] * 100)
        self.assertGreater(time.monotonic() - began, 4)
        for client in clients[100:]:
            client.expect("RCPT TO:<guess@example.test>", 421, "Too many recipients that are not here")
            self.assertTrue(client.gone())
        # What is here is still delivered to, from there as well.
        with Raw(server.port_mx) as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(client.data(letter().as_bytes())[0], 250)
        for client in clients:
            client.close()


if __name__ == "__main__":
    harness.main()
