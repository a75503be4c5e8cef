# SPDX-License-Identifier: ISC
"""Behind haproxy, which names its clients in PROXY headers of version 2."""
import socket
import time

import harness
from harness import Sealpost, letter
from harness.case import Process, need
from harness.ports import free_ports
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
PROXY = "127.0.8.8"


class Haproxy:
    """Two ports in front of a server's mx and submissions; looks now and then whether it lives."""

    def __init__(self, folder, server):
        self.name, self.folder, self.server, self.process = "haproxy", folder, server, None
        self.port_mx, self.port_submissions = free_ports(2)

    def start(self):
        conf = self.folder / "haproxy.cfg"
        conf.write_text("defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n" + "".join(
            f"listen {name}\n bind 127.0.0.1:{here}\n"
            f" server sealpost 127.0.0.1:{there} source {PROXY} send-proxy-v2 check inter 200ms\n"
            for name, here, there in (("mx", self.port_mx, self.server.port_mx),
                                      ("submissions", self.port_submissions, self.server.port_submissions))))
        self.process = Process(self.name, [need("haproxy"), "-db", "-f", conf], self.folder)
        harness.wait_until(self.listens, "haproxy at its ports")

    def listens(self):
        assert self.process.alive(), self.process.log()
        try:
            socket.create_connection(("127.0.0.1", self.port_submissions)).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.stop()

    def log(self):
        return self.process.log()


class Proxied(harness.Scenario):
    def setUp(self):
        super().setUp()
        line = f"proxy {PROXY}"
        self.server = self.start(Sealpost(self.folder, mx=line, submissions=line, limits="connections-per-client 2", fronts=2))

    def test_attack_25_letters_through_haproxy(self):
        proxy = self.start(Haproxy(self.folder, self.server))
        first, second = letter(), letter()
        with Raw(proxy.port_mx, source="127.0.5.5") as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(client.data(first.as_bytes())[0], 250)
            self.assertIn("[127.0.5.5]", self.server.wait_for_letter(first["Subject"])["Received"])
            # The named client's connections are what counts, not haproxy's.
            with Raw(proxy.port_mx, source="127.0.5.5"):
                refused = Raw(proxy.port_mx, source="127.0.5.5", hello=None)
                self.assertEqual(refused.greeting, (421, "Too many connections from your address"))
                refused.close()
                with Raw(proxy.port_mx, source="127.0.5.6"):
                    pass
        with Raw(proxy.port_submissions, self.server.authority, "implicit", login=JADA, source="127.0.5.7") as client:
            client.mail("jada@example.test", "sam@example.test")
            self.assertEqual(client.data(second.as_bytes())[0], 250)
        self.assertIn("[127.0.5.7]", self.server.wait_for_letter(second["Subject"])["Received"])
        self.server.wait_for_line("accepted", "client=127.0.5.7")
        # haproxy's own look whether we live comes without a client, and is no reason to complain.
        self.assertEqual([line for line in self.server.lines("refused") if "PROXY" in line], [])

    def test_attack_25_a_header_has_its_time(self):
        dribbling = socket.create_connection(("127.0.0.1", self.server.port_mx), source_address=(PROXY, 0))
        silent = socket.create_connection(("127.0.0.1", self.server.port_mx), source_address=(PROXY, 0))
        began = time.monotonic()
        for byte in b"\r\n\r\n\0\r\nQUIT":
            dribbling.sendall(bytes([byte]))
        for s in (dribbling, silent):
            s.settimeout(60)
            self.assertEqual(s.recv(100), b"")
            s.close()
        self.assertGreater(time.monotonic() - began, 4)
        self.server.wait_for_line("refused", f"proxy={PROXY}", "in time", count=2)

    def test_attack_25_from_elsewhere_it_is_noise(self):
        with Raw(self.server.port_mx, hello=None) as client:
            code, _ = client.cmd(b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 25\r\n")
            self.assertEqual(code, 500)
            client.expect("EHLO client.test", 250)
            client.expect("XCLIENT ADDR=192.0.2.1", 500)
            client.expect("XFORWARD ADDR=192.0.2.1", 500)
        with self.assertRaises((Gone, OSError)):
            Raw(self.server.port_mx, source=PROXY)


if __name__ == "__main__":
    harness.main()
