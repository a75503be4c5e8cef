# SPDX-License-Identifier: ISC
"""A small Internet for one Sealpost: signed and unsigned zones, a policy host, mail servers, and somebody on the way to the DNS.

    net = Internet(self)
    one = net.domain("one")                                   # one.secure.test
    one.host(net.authority.issue(one.mx), tlsa=(3, 1, 1))     # mx.one.secure.test, a server that the test plays
    server = net.start(route="otherwise direct")
"""
from .case import wait_until
from .certificates import Authority
from .dns_middle import DnsMiddle, without_data
from .message import letter
from .network import address
from .next_hop import NextHop
from .peers import Postfix
from .policy_host import PolicyHost, policy, right
from .raw import Raw
from .server import Sealpost
from .zone import Zones

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class Domain:
    """Mail for `name`; its first host is `mx`."""

    def __init__(self, net, label, zone):
        self.net, self.label, self.zone, self.hops = net, label, zone, []
        self.name, self.mx = f"{label}.{zone.name}", f"mx.{label}.{zone.name}"

    def at(self, address, label="mx", preference=10):
        """An MX host with this address."""
        self.zone.mx(self.label, f"{label}.{self.name}", preference).a(f"{label}.{self.label}", address)
        return self

    def host(self, files=(None, None), label="mx", preference=10, tlsa=None, **behaviour):
        """An MX host of its own. files: (certificate, key); tlsa: (usage, selector, matching) of that certificate."""
        hop = NextHop(address(), *files, name=f"{label}.{self.name}", **behaviour)
        self.net.hops.append(hop)
        self.hops.append(hop)
        self.at(hop.address, label, preference)
        if tlsa:
            self.tlsa(files[0], *tlsa, label=label)
        return hop

    def tlsa(self, certificate=None, usage=3, selector=1, matching=1, label="mx", **more):
        self.zone.tlsa(f"{label}.{self.label}", certificate, usage, selector, matching, **more)
        return self

    def sts(self, mode="enforce", *patterns, way=right, body=None, certificate=None):
        """A policy, by default for the first host."""
        self.zone.txt(f"_mta-sts.{self.label}", "v=STSv1; id=1;").a(f"mta-sts.{self.label}", self.net.policies.address)
        self.net.policies.serve(self.name, body or policy(mode, *(patterns or [self.mx])), way, certificate)
        return self

    @property
    def letters(self):
        return [taken for hop in self.hops for taken in hop.letters]


class Internet:
    CERTIFICATES = ("right", "expired", "other-name", "unknown", "self")

    def __init__(self, scenario):
        self.scenario, self.folder = scenario, scenario.folder
        self.authority, self.unknown = Authority(self.folder, "Known CA"), Authority(self.folder, "Unknown CA")
        self.zones = Zones(self.folder)
        self.secure, self.plain = self.zones.zone("secure.test"), self.zones.zone("plain.test", secure=False)
        self.bogus = self.zones.zone("bogus.test", bogus=True)
        self.policies = PolicyHost(address(), self.authority)
        self.hops, self.domains, self.postfix, self.middle = [], {}, None, None

    def domain(self, label, zone=None):
        made = Domain(self, label, zone or self.secure)
        self.domains[made.name] = made
        return made

    def certificate(self, kind, host, chain=False):
        """(certificate, key) for this host, right or wrong in one way."""
        file = f"{kind}-{host}"
        return {"right": lambda: self.authority.issue(host, file=file, chain=chain),
                "expired": lambda: self.authority.expired(host, file=file, chain=chain),
                "other-name": lambda: self.authority.issue("other.example.test", file=file, chain=chain),
                "unknown": lambda: self.unknown.issue(host, file=file, chain=chain),
                "self": lambda: self.authority.self_signed(host, file=file)}[kind]()

    def add_postfix(self, servers):
        """One Postfix with a server for each (address, (certificate, key))."""
        services = "".join(
            f"{at}:25 inet n - n - - smtpd -o smtpd_tls_cert_file={cert} -o smtpd_tls_key_file={key}"
            f" -o smtpd_tls_chain_files= -o syslog_name=postfix/{at}\n" for at, (cert, key) in servers)
        cert, key = self.authority.issue("localhost", file="postfix")
        self.postfix = Postfix(self.folder, cert, key, self.authority.cert, services=services,
                               settings="virtual_mailbox_domains = static:all\nmynetworks = 0.0.0.0/0")

    def start_others(self):
        """Everything but Sealpost."""
        for thing in (self.zones, self.policies, *self.hops, *([self.postfix] if self.postfix else [])):
            self.scenario.start(thing)
        self.middle = self.scenario.start(DnsMiddle(self.zones.port))
        for name in self.zones.emptied:
            self.middle.on(name, "TLSA", without_data)

    def start(self, direct="", resolver="", anchor=True, **parts):
        """Everything that does not run yet, and last a Sealpost that sends by MX. anchor False: the system's, not the zones'."""
        if self.middle is None:
            self.start_others()
        self.server = self.scenario.start(Sealpost(
            self.folder, authority=self.authority, route=parts.pop("route", "otherwise direct"),
            direct=f"family ipv4\n    ca {self.authority.cert}\n    allow-loopback yes\n    {direct}",
            extra=f"resolver {{\n    server {self.middle.server}\n{f'    trust-anchor {self.zones.anchor}' if anchor else ''}\n"
                  f"    ca {self.authority.cert}\n    {resolver}\n}}\n{parts.pop('extra', '')}", **parts))
        return self.server

    def send(self, *domains, secret="the secret of the letter"):
        """A letter for sam at each of these, one letter each; gives the addresses."""
        to = [f"sam@{domain.name}" for domain in domains]
        with Raw(self.server.port_submissions, self.authority, "implicit", login=JADA) as client:
            for one in to:
                client.mail("jada@example.test", one)
                code, text = client.data(letter(to=one, subject=one, body=f"{secret}\n").as_bytes())
                assert code == 250, text
        return to

    def outcome(self, to):
        """The first of "delivered", "deferred", "bounced" that this recipient came to, and what the log says of it, in lines."""
        return wait_until(lambda: self._outcome(to), f"what became of {to}")

    def _outcome(self, to):
        lines = [line for line in self.server.log().splitlines() if f" to={to} " in line + " "]
        for line in lines:
            for event in ("delivered", "deferred", "bounced"):
                if f" {event} " in line:
                    return event, "\n".join(lines)
        return None

    def why(self, to):
        """What `sealpost why` tells about this recipient."""
        return self.server.command("why", to)
