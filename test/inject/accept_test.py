# SPDX-License-Identifier: ISC
"""Without descriptors a front rests instead of spinning, turns away who waits, and serves again as soon as it can."""
import socket
import subprocess
import time

import harness
from harness import Sealpost, wait_until
from harness.case import die_with_us, need
from harness.raw import Gone, Raw

DESCRIPTORS = 64  # of each process; fewer, and a front cannot be given all that it needs
WINDOW_S = 1.0  # over which calls are counted


class Accept(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.server = self.start(Sealpost(self.folder))
        self.front = self.server.roles()["front"]

    def strace(self, *more):
        trace = self.folder / "trace"
        tracer = subprocess.Popen([need("strace"), "-f", "-qq", "-o", trace, *more, "-p", str(self.front)],
                                  stdin=subprocess.DEVNULL, preexec_fn=die_with_us)
        self.addCleanup(tracer.kill)
        with open(f"/proc/{self.front}/status", encoding="ascii") as status:
            def traced():
                status.seek(0)
                return "TracerPid:\t0" not in status.read()
            wait_until(traced, "strace to attach")
        return tracer, trace

    def calls_without(self, error):
        """Every accept4() fails while a client waits: how often it was called, and the client, still waiting."""
        tracer, trace = self.strace("-e", "trace=accept4,epoll_wait", "-e", f"inject=accept4:error={error}")
        client = socket.create_connection(("127.0.0.1", self.server.port_mx), timeout=30)
        time.sleep(WINDOW_S)  # it is a rate that is measured
        tracer.terminate()
        tracer.wait()
        return trace.read_text().count("accept4("), trace.read_text().count("epoll_wait("), client

    def test_p7_accept_never_spins(self):
        for error in ("EMFILE", "ENOMEM"):
            with self.subTest(error):
                accepts, waits, client = self.calls_without(error)
                print(f"{error}: {accepts} accept4(), {waits} epoll_wait() in {WINDOW_S} s")
                self.assertGreater(accepts, 0)
                self.assertLess(accepts, 10)
                self.assertLess(waits, 50)
                with client:
                    self.assertTrue(client.recv(100).startswith(b"220 "))  # who waited is served after all

    def test_p7_no_descriptors_left(self):
        """The limit is reached in earnest: who comes then is hung up on, and who is there is still served."""
        few = self.folder / "few"
        few.write_text(f"#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec {harness.server.binary()} \"$@\"\n")
        few.chmod(0o755)
        self.server.stop()
        self.server = self.start(Sealpost(self.folder, name="few-descriptors", program=few, limits="connections-per-client 1000"))
        held = []
        try:
            while self.greeted(held):
                self.assertLess(len(held), DESCRIPTORS)
            self.assertGreater(len(held), 5)
            held[0].mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(held[0].data("Subject: letter of one who was there\r\n\r\nx")[0], 250)
            self.server.wait_for_letter("letter of one who was there")
            self.server.wait_for_line("trouble", "no descriptors left")
        finally:
            for connection in held:
                connection.close()
        with wait_until(lambda: self.greeted([]), "room for another") as client:
            client.expect("NOOP", 250)

    def greeted(self, held):
        try:
            held.append(Raw(self.server.port_mx))
        except (Gone, OSError):
            return None
        return held[-1]


if __name__ == "__main__":
    harness.main()
