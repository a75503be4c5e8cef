# SPDX-License-Identifier: ISC
"""Clients that take their time before they say anything that is to be understood; the later states are in test/talk."""
import socket
import threading
import time

import harness
from flood_test import hello
from harness import Sealpost


class Slow(harness.Scenario):
    """All at once, since waiting is all that they do."""

    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))
        self.ended = {}

    def wait_for_end(self, name, connection):
        heard, began = b"", time.monotonic()
        connection.settimeout(60)
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                break
            heard += more
        self.ended[name] = (heard, time.monotonic() - began)
        connection.close()

    def dribble(self, connection, data, over):
        for byte in data:
            if over.wait(0.5):
                return
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                return

    def test_attack_61_slow_handshakes(self):
        whole, over = hello(self.server.authority), threading.Event()
        connections = {name: socket.create_connection(("127.0.0.1", self.server.port_submissions))
                       for name in ("silent", "dribbling", "half", "mute")}
        connections["half"].sendall(whole[:-1])
        connections["mute"].sendall(whole)
        threads = [threading.Thread(target=self.wait_for_end, args=pair) for pair in connections.items()]
        threads.append(threading.Thread(target=self.dribble, args=(connections["dribbling"], whole, over)))
        for thread in threads:
            thread.start()
        for thread in threads[:-1]:
            thread.join()
        over.set()
        threads[-1].join()
        self.assertIn(b"554 5.7.0 This port expects TLS", self.ended["silent"][0])
        for name, at_least_s in (("silent", 9), ("dribbling", 9), ("half", 9), ("mute", 19)):
            heard, after_s = self.ended[name]
            self.assertGreater(after_s, at_least_s, name)
            self.assertLess(after_s, at_least_s + 15, name)
        self.assertEqual(self.ended["dribbling"][0] + self.ended["half"][0], b"")
        self.assertTrue(self.ended["mute"][0].startswith(b"\x16\x03"))
        self.server.wait_for_line("tls-failed", "took too long", count=3)


if __name__ == "__main__":
    harness.main()
