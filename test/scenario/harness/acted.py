# SPDX-License-Identifier: ISC
"""A server whose part the test itself plays: each connection is a thread that runs the subclass's talk(peer)."""
import socket
import ssl
import threading


class Acted:
    def __init__(self, name, address=("127.0.0.1", 0)):
        """address: (host, port), or the path of a Unix socket."""
        self.name, self.talks, self.troubles = name, [], []
        if isinstance(address, tuple):
            self.listener = socket.create_server(address, backlog=200)
            self.port = self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(address))
            self.listener.listen()

    def start(self):
        self.thread = threading.Thread(target=self.accept_all)
        self.thread.start()

    def stop(self):
        # Only closed, accept() would go on waiting for a descriptor's number, and that may be another listener's by then.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def log(self):
        return "\n".join(map(str, self.troubles))

    def accept_all(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(peer,), daemon=True).start()

    def one(self, peer):
        try:
            with peer:
                self.talk(peer)
        except (OSError, ValueError) as gone:
            self.troubles.append(gone)

    def talk(self, peer):
        """Until it returns or the peer is gone."""
        raise NotImplementedError


class Sink(Acted):
    """A next hop that refuses recipients called `no` and takes everything else.

    taken: what name_of() makes of each letter's content, which is asked before it hears 250."""

    def __init__(self, name_of):
        super().__init__("sink")
        self.name_of, self.taken = name_of, []

    def talk(self, peer):
        with peer.makefile("rb") as lines:
            peer.sendall(b"220 sink.test ESMTP\r\n")
            for line in lines:
                word = line.strip().upper()
                if word == b"DATA":
                    peer.sendall(b"354 go\r\n")
                    content = b""
                    for text in lines:
                        if text == b".\r\n":
                            self.taken.append(self.name_of(content))
                            break
                        content += text
                    else:
                        return
                if word.startswith(b"RCPT TO:<NO@"):
                    peer.sendall(b"550 5.1.1 nobody of that name\r\n")
                else:
                    peer.sendall(b"250 ok\r\n")


class Relay(Acted):
    """A relay with implicit TLS that wants a PLAIN login and believes everything."""

    def __init__(self, certificate, keylog=None):
        super().__init__("hop")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.keylog_filename = keylog
        self.heard = []

    def talk(self, peer):
        with self.context.wrap_socket(peer, server_side=True) as wrapped, wrapped.makefile("rb") as file:
            self.dialogue(wrapped, file)

    def dialogue(self, peer, file):
        says = {b"EHLO": b"250-hop\r\n250 AUTH PLAIN\r\n", b"DATA": b"354 go\r\n", b"AUTH": b"235 2.7.0 well\r\n",
                b"QUIT": b"221 bye\r\n"}
        peer.sendall(b"220 hop ESMTP\r\n")
        while line := file.readline():
            self.heard.append(line)
            word = line.split()[0].upper()
            peer.sendall(says.get(word, b"250 2.0.0 well\r\n"))
            if word == b"DATA":
                while file.readline() != b".\r\n":
                    pass
                peer.sendall(b"250 2.0.0 taken\r\n")
