# SPDX-License-Identifier: ISC
"""Zones that a real nsd serves, signed with keys of the test, below a parent whose key is the trust anchor.

    zones = Zones(folder)
    one = zones.zone("one.test")                    # secure: the parent has its DS
    two = zones.zone("two.test", secure=False)      # an insecure delegation: no DS, no signatures
    odd = zones.zone("odd.test", bogus=True)        # signed, but by another key than the parent says
    one.mx("@", "mx.one.test").a("mx", "192.0.2.7").tlsa("mx", certificate, usage=3)
    self.start(zones)
    ... resolver { server {zones.server} trust-anchor {zones.anchor} }

Names are relative to their zone unless they end in a dot; a host that MX or CNAME points to is written in full, without one.
"""
import re
import string
import subprocess

from .case import need
from .certificates import tlsa_data
from .peers import Nsd

KEY_ALGORITHM = "ECDSAP256SHA256"
TEXT_MAX = 255  # RFC 1035 3.3: of one character-string
NO_DATA = b"\0"  # stands in nsd's zones for the data of a TLSA record that has none: newer ones refuse such a zone
PLAIN = set((string.ascii_letters + string.digits + " -.:;=_/@").encode())


class Zone:
    def __init__(self, name, secure, bogus):
        self.name, self.secure, self.bogus, self.lines = name, secure, bogus, []
        self.emptied = []  # names of TLSA records without data

    def add(self, line):
        """A line of the zone file."""
        self.lines.append(line)
        return self

    def record(self, name, kind, data):
        return self.add(f"{name} IN {kind} {data}")

    def a(self, name, address):
        return self.record(name, "A", address)

    def aaaa(self, name, address):
        return self.record(name, "AAAA", address)

    def mx(self, name, host, preference=10):
        return self.record(name, "MX", f"{preference} {host}.")

    def cname(self, name, target):
        return self.record(name, "CNAME", f"{target}.")

    def txt(self, name, text):
        """As many character-strings as it takes."""
        raw = text.encode()
        parts = [raw[at:at + TEXT_MAX] for at in range(0, len(raw), TEXT_MAX)] or [b""]
        quoted = " ".join('"' + "".join(chr(b) if b in PLAIN else f"\\{b:03}" for b in part) + '"' for part in parts)
        return self.record(name, "TXT", quoted)

    def tlsa(self, host, certificate=None, usage=3, selector=1, matching=1, port=25, data=None):
        """For this certificate (a PEM file), or with this data (bytes) whatever it is."""
        data = tlsa_data(certificate, selector, matching) if data is None else data
        raw = bytes([usage, selector, matching]) + data
        name = f"_{port}._tcp" if host == "@" else f"_{port}._tcp.{host}"
        if not data:
            self.emptied.append(f"{name}.{self.name}")
            raw += b"" if self.secure else NO_DATA
        return self.add(f"{name} IN TYPE52 \\# {len(raw)} {raw.hex()}")  # RFC 3597: malformed ones can be written, too

    def sts(self, address, identity="1"):
        """What an MTA-STS domain has in the DNS: the record, and the policy host's address."""
        return self.txt("_mta-sts", f"v=STSv1; id={identity};").a("mta-sts", address)

    def text(self):
        return "\n".join(self.lines)


class Zones:
    """A parent (signed, the trust anchor) and the zones below it; one nsd has them all."""

    def __init__(self, folder, parent="test", name="zones"):
        self.folder, self.name = folder, name
        self.parent = Zone(parent, True, False)
        self.zones, self.nsd = {parent: self.parent}, None

    def zone(self, name, secure=True, bogus=False):
        assert name.endswith("." + self.parent.name) and name not in self.zones, name
        made = self.zones[name] = Zone(name, secure or bogus, bogus)
        return made

    @property
    def server(self):
        return self.nsd.server

    @property
    def port(self):
        return self.nsd.port

    @property
    def anchor(self):
        return self.nsd.anchor

    @property
    def emptied(self):
        """Names whose TLSA record is to be without data, which the signatures are for: dns_middle.without_data makes it so."""
        return [name for zone in self.zones.values() for name in zone.emptied]

    def start(self):
        self.nsd = DelegatingNsd(self.folder, self.parent, [z for z in self.zones.values() if z is not self.parent], self.name)
        self.nsd.start()
        return self

    def stop(self):
        if self.nsd:
            self.nsd.stop()

    def log(self):
        return self.nsd.log() if self.nsd else ""


class DelegatingNsd(Nsd):
    """The children are signed first: the parent holds what their keys have to be."""

    def __init__(self, folder, parent, children, name):
        self.children = {zone.name: zone for zone in children}
        texts = {zone.name: zone.text() for zone in children}
        super().__init__(folder, {**texts, parent.name: parent.text()},
                         signed=[z.name for z in (*children, parent) if z.secure], name=name, parent=parent.name)

    def _sign(self, zone):
        made = super()._sign(zone)
        self._write_odd_ones(self._file(zone))
        child = self.children.get(zone)
        return self._another_key(zone) if child and child.bogus else made

    @staticmethod
    def _write_odd_ones(path):
        """ldns writes TLSA records without data so that nsd cannot read them."""
        path.write_text(re.sub(r"\tTLSA\t(\d+) (\d+) (\d+) *$",
                               lambda m: "\tTYPE52\t\\# 4 " + (bytes(map(int, m.groups())) + NO_DATA).hex(),
                               path.read_text(), flags=re.MULTILINE))

    def _another_key(self, zone):
        key = subprocess.run([need("ldns-keygen"), "-a", KEY_ALGORITHM, "-k", zone], cwd=self.folder, capture_output=True,
                             text=True, check=True).stdout.strip()
        return (self.folder / f"{key}.ds").read_text()
