# SPDX-License-Identifier: ISC
"""Clients that come by IPv6: letters, and what counts as one client (a /64) and as one network (a /48)."""
import ipaddress
import socket
import struct
import unittest

import harness
from harness import Sealpost, letter
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
HERE = "::1"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind((HERE, 0))
    except OSError:
        return False
    return True


def free_ports(n):
    held = [socket.socket(socket.AF_INET6) for _ in range(n)]
    for s in held:
        s.bind((HERE, 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def proxied(client):
    """A PROXY header of version 2 for a client with this address."""
    addresses = ipaddress.IPv6Address(client).packed + ipaddress.IPv6Address(HERE).packed + struct.pack("!HH", 4660, 25)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack("!H", len(addresses)) + addresses


@unittest.skipUnless(has_ipv6(), "this machine has no IPv6")
class IPv6(harness.Scenario):
    def begin(self, proxy="", **more):
        self.port_mx, self.port_submissions = free_ports(2)
        server = Sealpost(self.folder, fronts=2, mx=f"on [{HERE}]:{self.port_mx}\n    {proxy}",
                          submissions=f"on [{HERE}]:{self.port_submissions}", **more)
        return self.start(server)

    def open(self, client=None):
        """What the greeting says: to us, or to a client behind us, if we are a proxy."""
        s = socket.create_connection((HERE, self.port_mx), timeout=30)
        self.addCleanup(s.close)
        if client:
            s.sendall(proxied(client))
        return s.recv(1000).decode().split("\r\n")[0]

    def test_letters_by_ipv6(self):
        server = self.begin()
        first, second = letter(), letter()
        with Raw(self.port_mx, host=HERE, source=HERE) as client:
            client.mail("a@elsewhere.test", "sam@example.test")
            self.assertEqual(client.data(first.as_bytes())[0], 250)
        self.assertIn("[IPv6:::1]", server.wait_for_letter(first["Subject"])["Received"])
        with Raw(self.port_submissions, server.authority, "implicit", login=JADA, host=HERE, source=HERE) as client:
            client.mail("jada@example.test", "sam@example.test")
            self.assertEqual(client.data(second.as_bytes())[0], 250)
        self.assertIn("[IPv6:::1]", server.wait_for_letter(second["Subject"])["Received"])
        server.wait_for_line("accepted", "client=::1", count=2)

    def test_attack_62_a_client_has_a_ceiling(self):
        self.begin(limits="connections-per-client 3")
        said = [self.open() for _ in range(5)]
        self.assertEqual([line[:3] for line in said], ["220"] * 3 + ["421"] * 2)
        self.assertIn("from your address", said[-1])

    def test_attack_62_a_client_is_a_64_and_a_network_a_48(self):
        server = self.begin(proxy=f"proxy {HERE}", limits="connections-per-client 2\n connections-per-network 3")
        for client, says in (("2001:db8:1:1::1", "220"), ("2001:db8:1:1:ffff::2", "220"),
                             ("2001:db8:1:1:1:2:3:4", "421 Too many connections from your address"),
                             ("2001:db8:1:2::1", "220"),  # another /64 ...
                             ("2001:db8:1:ffff::1", "421 Too many connections from your network"),  # ... of the same /48
                             ("2001:db8:2:1::1", "220")):
            self.assertTrue(self.open(client).startswith(says), client)
        server.wait_for_line("refused", "client=2001:db8:1:ffff::1", "connections-per-network")


if __name__ == "__main__":
    harness.main()
