# SPDX-License-Identifier: ISC
"""TLS clients that change their keys again and again, each time at our expense: cut off, and others are served meanwhile."""
import ctypes
import ctypes.util
import socket
import threading

import harness
from flood_test import Honest
from harness import Sealpost

UPDATES_MAX = 256  # of one connection: KEY_UPDATES_MAX in src/tls/session.c
NOT_REQUESTED = 0


def library():
    tls = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(tls, name).restype = ctypes.c_void_p
    return tls


TLS = library()


class Client:
    """OpenSSL itself, since Python's ssl has no word for KeyUpdate."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setblocking(True)
        self.context = ctypes.c_void_p(TLS.SSL_CTX_new(ctypes.c_void_p(TLS.TLS_client_method())))
        self.ssl = ctypes.c_void_p(TLS.SSL_new(self.context))
        assert TLS.SSL_set_fd(self.ssl, self.socket.fileno()) == 1
        assert TLS.SSL_connect(self.ssl) == 1, "no TLS"

    def update_keys(self):
        """False: the connection is broken."""
        return TLS.SSL_key_update(self.ssl, NOT_REQUESTED) == 1 and TLS.SSL_do_handshake(self.ssl) == 1

    def say(self, text):
        return TLS.SSL_write(self.ssl, text, len(text)) == len(text)

    def hear(self):
        """What comes next; nothing at the end."""
        room = ctypes.create_string_buffer(4096)
        n = TLS.SSL_read(self.ssl, room, len(room))
        return room.raw[:max(n, 0)]

    def close(self):
        TLS.SSL_free(self.ssl)
        TLS.SSL_CTX_free(self.context)
        self.socket.close()


class KeyUpdates(harness.Scenario):
    def test_attack_40_so_many_and_no_more(self):
        server = self.start(Sealpost(self.folder))
        client = Client(server.port_submissions)
        self.assertTrue(client.hear().startswith(b"220 "))
        for _ in range(UPDATES_MAX):
            self.assertTrue(client.update_keys())
        self.assertTrue(client.say(b"NOOP\r\n"))
        self.assertTrue(client.hear().startswith(b"250 "))
        client.update_keys()
        client.say(b"NOOP\r\n")
        self.assertEqual(client.hear(), b"")
        client.close()

    def test_attack_40_a_flood_of_key_updates(self):
        server = self.start(Sealpost(self.folder, limits="connections-per-client 1000"))
        cut = []

        def flood():
            client = Client(server.port_submissions)
            client.hear()
            while client.update_keys():
                pass
            cut.append(client)

        with Honest(server) as honest:
            for _ in range(3):
                threads = [threading.Thread(target=flood) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
        honest.told("6 floods of KeyUpdate")
        self.assertEqual(len(cut), 6)
        for client in cut:
            client.close()


if __name__ == "__main__":
    harness.main()
