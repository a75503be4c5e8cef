# SPDX-License-Identifier: ISC
"""Very many mail servers, each at an address of its own, that one thread of the test plays; and addresses where nobody answers.

    village = self.start(Village([f"127.10.0.{n}" for n in range(1, 200)]))
    hole = self.start(BlackHole())          # every address that is nobody else's: what is sent there gets no answer at all
    village.taken: {address: how many letters}

Both use port 25 and need own_network().
"""
import collections
import heapq
import selectors
import socket
import threading
import time

PORT = 25


class Call:
    """One connection; replies that are due later wait in the village's heap."""

    def __init__(self, village, peer, address):
        self.village, self.peer, self.address = village, peer, address
        self.got, self.out, self.in_data, self.over = b"", b"", False, False

    def say(self, text):
        delay_s = self.village.delay_s.get(self.address, 0)
        if delay_s:
            self.village.put_off(delay_s, self, text)
        else:
            self.send(text)

    def send(self, text):
        if self.over:
            return
        try:
            self.peer.sendall(text)
        except OSError:
            self.close()

    def close(self):
        if not self.over:
            self.over = True
            self.village.selector.unregister(self.peer)
            self.peer.close()

    def readable(self):
        try:
            more = self.peer.recv(65536)
        except OSError:
            more = b""
        if not more:
            self.close()
            return
        self.got += more
        while not self.over and b"\r\n" in self.got:
            line, self.got = self.got.split(b"\r\n", 1)
            self.line(line)

    def line(self, line):
        word = line[:4].upper()
        if self.in_data:
            if line == b".":
                self.in_data = False
                self.village.taken[self.address] += 1
                self.say(b"250 2.0.0 taken\r\n")
        elif word == b"EHLO":
            self.say(b"250-village\r\n250 PIPELINING\r\n")
        elif word == b"DATA":
            self.in_data = True
            self.say(b"354 go\r\n")
        elif word == b"QUIT":
            self.send(b"221 bye\r\n")
            self.close()
        else:
            self.say(b"250 2.0.0 well\r\n")


class Village:
    def __init__(self, addresses, delay_s=None):
        """delay_s: {address: so long each reply takes}"""
        self.name, self.addresses, self.delay_s = "village", addresses, delay_s or {}
        self.taken = collections.Counter()
        self.selector, self.late, self.listeners = selectors.DefaultSelector(), [], []
        self.bell, self.rope = socket.socketpair()
        self.numbers = iter(range(1 << 60))

    def start(self):
        for address in self.addresses:
            listener = socket.create_server((address, PORT), backlog=100, reuse_port=True)
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ, address)
            self.listeners.append(listener)
        self.selector.register(self.bell, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def stop(self):
        self.rope.send(b"x")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.rope.close()

    def log(self):
        return ""

    def put_off(self, delay_s, call, text):
        heapq.heappush(self.late, (time.monotonic() + delay_s, next(self.numbers), call, text))

    def accept(self, listener, address):
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        call = Call(self, peer, address)
        self.selector.register(peer, selectors.EVENT_READ, call)
        call.say(b"220 village ESMTP\r\n")

    def run(self):
        while True:
            wait_s = max(0, self.late[0][0] - time.monotonic()) if self.late else None
            for key, _ in self.selector.select(wait_s):
                if key.data is None:
                    return
                if isinstance(key.data, Call):
                    key.data.readable()
                else:
                    self.accept(key.fileobj, key.data)
            while self.late and self.late[0][0] <= time.monotonic():
                _, _, call, text = heapq.heappop(self.late)
                call.send(text)


class BlackHole:
    """A listener whose queue of connections is full: the kernel drops what knocks, as a firewall does."""

    def __init__(self, address="0.0.0.0", port=PORT):
        self.name, self.address, self.port, self.fillers = "black-hole", address, port, []

    def start(self):
        self.listener = socket.socket()
        # Beside listeners at single addresses of this port, which come first.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(0)
        while True:
            filler = socket.socket()
            filler.settimeout(0.3)
            self.fillers.append(filler)
            try:
                filler.connect(("127.255.255.1", self.port))
            except TimeoutError:
                return

    def stop(self):
        for one in (*self.fillers, self.listener):
            one.close()

    def log(self):
        return ""
