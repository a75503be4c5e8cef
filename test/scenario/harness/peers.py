# SPDX-License-Identifier: ISC
"""Other people's servers, each an instance of its own: Postfix, Exim, Dovecot, nsd."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess

from .case import Process, need, need_root, wait_until
from .message import parse, subject_of
from .ports import free_port, listens


def account(name):
    return pwd.getpwnam(name)


class Peer:
    def __init__(self, folder, name):
        self.name, self.folder = name, pathlib.Path(folder) / name
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.process = None

    def log(self):
        texts = [self.process.log() if self.process else ""]
        texts += [p.read_text(errors="replace") for p in sorted(self.folder.rglob("*.log"))]
        return "\n".join(texts)

    def stop(self):
        if self.process is not None:
            self.process.stop()

    def wait_for_port(self):
        def served():
            assert self.process.alive(), f"{self.name} ended early:\n{self.log()}"
            return listens(self.port)
        wait_until(served, f"{self.name} on port {self.port}")

    def own(self, path, user, mode=0o755):
        path.mkdir(exist_ok=True, parents=True)
        shutil.chown(path, user, account(user).pw_gid)
        path.chmod(mode)
        return path

    def maildir(self, path, subject=None):
        """Every message below this Maildir, or those with this subject."""
        return [parse(p.read_bytes()) for place in ("new", "cur") for p in sorted((path / place).glob("*"))
                if subject is None or subject_of(p) == subject]

    def wait_for(self, path, subject, count=1):
        def look():
            found = self.maildir(path, subject)
            return found if len(found) >= count else None
        found = wait_until(look, f"{subject!r} at {self.name}")
        assert len(found) == count, f"{subject!r} is there {len(found)} times"
        return found[0] if count == 1 else found


class Postfix(Peer):
    """Takes mail for `domain`; everything else goes to `relayhost`. `settings` are lines of main.cf."""
    SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def __init__(self, folder, cert, key, ca, domain="postfix.test", name="postfix", tls="may", relayhost="",
                 settings="", port=None, services=""):
        """services: further lines of master.cf."""
        need_root("Postfix")
        super().__init__(folder, name)
        self.port, self.domain = port or free_port(), domain
        need("postfix")
        self.inbox = self.own(self.folder / "mail", "nobody") / "inbox"
        self.own(self.folder / "data", "postfix", 0o700)
        queue = self.folder / "queue"  # what `postfix check` would make, in no time
        queue.mkdir()
        for part in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            self.own(queue / part, "postfix", 0o700)
        self.own(queue / "public", "postfix", 0o755)
        self.own(queue / "maildrop", "postfix", 0o733)
        (queue / "pid").mkdir()
        (self.folder / "conf").mkdir()
        (self.folder / "conf" / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n" + services + self.SERVICES)
        (self.folder / "conf" / "main.cf").write_text(f"""\
compatibility_level = 3.6
myhostname = mail.{domain}
mydomain = {domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
maillog_file = {self.folder}/postfix.log
maillog_file_prefixes = /tmp
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {self.folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{account('nobody').pw_uid}
virtual_gid_maps = static:{account('nobody').pw_gid}
virtual_minimum_uid = 1
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = {tls}
smtpd_tls_received_header = yes
smtp_tls_CAfile = {ca}
smtp_tls_security_level = secure
smtp_dns_support_level = disabled
smtp_host_lookup = native
relayhost = {relayhost}
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
disable_vrfy_command = yes
{settings}
""")

    def start(self):
        conf = self.folder / "conf"
        for file in conf.iterdir():  # Postfix does not touch files that may still be in the making
            os.utime(file, (0, 0))
        # When it ends, it ends the process group of which it must be the leader.
        self.process = Process("postfix-master", ["/usr/lib/postfix/sbin/master", "-c", conf, "-d"], self.folder,
                               start_new_session=True)
        self.wait_for_port()
        return self

    def stop(self):
        super().stop()
        # Its servers inherited the listening socket, and end after their master: a new one could not have the port.
        wait_until(lambda: not listens(self.port), f"{self.name} to leave port {self.port}")

    def wait_for_letter(self, subject, count=1):
        return self.wait_for(self.inbox, subject, count)


class Exim(Peer):
    """Unpacked by dev/setup beside an installed Postfix, and so without the account that it wants: it runs in a
    mount namespace whose /etc/passwd has it, and delivers without going back to root."""

    def __init__(self, folder, cert, key, ca, domain="exim.test", name="exim", next_hop=None, settings="",
                 transport=""):
        need_root("Exim in a mount namespace")
        super().__init__(folder, name)
        self.port, self.domain = free_port(), domain
        self.binary = self.folder / "exim4"
        shutil.copy(need("exim4", os.environ.get("EXIM", "")), self.binary)
        self.binary.chmod(0o755)
        nobody = account("nobody")
        readable = self.folder / "key"
        shutil.copy(key, readable)
        readable.chmod(0o644)  # a throw-away key; Exim reads it as nobody
        for part in ("spool", "log", "mail"):
            self.own(self.folder / part, "nobody", 0o755)
        self.inbox = self.folder / "mail" / "inbox"
        for file, entry in (("passwd", f"Debian-exim:x:{nobody.pw_uid}:{nobody.pw_gid}::/nonexistent:/bin/false\n"),
                            ("group", f"Debian-exim:x:{nobody.pw_gid}:\n")):
            (self.folder / file).write_text(entry + pathlib.Path("/etc", file).read_text())
        self.conf = self.folder / "exim.conf"
        self.conf.write_text(self.main(cert, readable, settings) + self.ways(ca, next_hop, transport))
        self.conf.chmod(0o644)

    def main(self, cert, key, settings):
        return f"""\
primary_hostname = mail.{self.domain}
domainlist local = {self.domain}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%s.log
pid_file_path =
exim_path = {self.binary}
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
acl_smtp_rcpt = check_rcpt
never_users =
deliver_drop_privilege = true
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
prdr_enable = true
dsn_advertise_hosts = *
smtp_accept_queue_per_connection = 0
log_selector = +tls_cipher +tls_certificate_verified +received_recipients
{settings}

"""

    def ways(self, ca, next_hop, transport):
        route = ""
        if next_hop:
            route = f"""
out:
  driver = manualroute
  domains = ! {self.domain}
  route_list = * 127.0.0.1
  self = send
  transport = out
"""
        return f"""
begin acl
check_rcpt:
  accept

begin routers
{route}
inbox:
  driver = accept
  domains = +local
  transport = inbox

begin transports
inbox:
  driver = appendfile
  maildir_format
  directory = {self.inbox}
  user = nobody
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add

out:
  driver = smtp
  port = {next_hop or 25}
  hosts_require_tls = *
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
  tls_verify_cert_hostnames =
  {transport}

begin retry
* * F,1h,2s
"""

    def start(self):
        script = ('mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && '
                  'shift && exec "$@"')
        self.process = Process("exim-daemon", [need("unshare"), "-m", "sh", "-c", script, "sh", self.folder, self.binary,
                                               "-C", self.conf, "-bdf", "-q2s"], self.folder)
        self.wait_for_port()
        return self

    def wait_for_letter(self, subject, count=1):
        return self.wait_for(self.inbox, subject, count)


class Dovecot(Peer):
    """LMTP over TCP and over a Unix socket; users jada and sam of `domain`."""

    def __init__(self, folder, domain="dovecot.test", name="dovecot", settings=""):
        need_root("Dovecot")
        super().__init__(folder, name)
        self.port, self.domain = free_port(), domain
        self.socket = self.folder / "lmtp.sock"
        need("dovecot")
        nobody = account("nobody")
        self.mail = self.own(self.folder / "mail", "nobody", 0o700)
        (self.folder / "users").write_text("".join(
            f"{user}@{domain}:{{plain}}x:{nobody.pw_uid}:{nobody.pw_gid}::{self.mail}/{user}::\n"
            for user in ("jada", "sam")))
        self.conf = self.folder / "dovecot.conf"
        self.conf.write_text((self.now() if self.version() >= (2, 4) else self.before_2_4()) + self.always() + settings + "\n")

    @staticmethod
    def version():
        text = subprocess.run([need("dovecot"), "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(map(int, text.split()[0].split("-")[0].split(".")[:2]))

    def before_2_4(self):
        return f"""\
protocols = lmtp
mail_location = maildir:~/Maildir
userdb {{
  driver = passwd-file
  args = username_format=%u {self.folder}/users
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {self.folder}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
  }}
}}
"""

    def now(self):
        return f"""\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols {{
  lmtp = yes
}}
mail_driver = maildir
mail_path = ~/Maildir
passwd_file_path = {self.folder}/users
userdb passwd-file {{
}}
passdb passwd-file {{
}}
service lmtp {{
  inet_listener lmtp {{
    listen = 127.0.0.1
  }}
}}
"""

    def always(self):
        return f"""\
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/dovecot.log
first_valid_uid = 1
first_valid_gid = 1
ssl = no
postmaster_address = postmaster@{self.domain}
hostname = mail.{self.domain}
service lmtp {{
  unix_listener {self.socket} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    port = {self.port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""

    def start(self):
        self.process = Process("dovecot-master", [need("dovecot"), "-F", "-c", self.conf], self.folder)
        self.wait_for_port()
        return self

    def wait_for_letter(self, subject, user="sam", count=1):
        return self.wait_for(self.mail / user / "Maildir", subject, count)


class Nsd(Peer):
    """Serves zones given as {name: text}; those named in `signed` are signed, and `anchor` then names a file with
    their keys. With a `parent`, which comes last, the others are delegated there, and its key alone is the anchor."""

    def __init__(self, folder, zones, signed=(), name="nsd", parent=None):
        super().__init__(folder, name)
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.anchor = self.folder / "anchor"
        self.signed = list(signed)
        anchors = []
        for zone, text in zones.items():
            if zone == parent:
                text += "".join(f"\n{z}. IN NS ns.{z}.\nns.{z}. IN A 127.0.0.1" for z in zones if z != parent)
                text, anchors = "\n".join((text, *anchors)), []
            self.write_zone(zone, text)
            if zone in self.signed:
                anchors.append(self._sign(zone))
        self.anchor.write_text("".join(anchors))
        blocks = "".join(f"zone:\n  name: {zone}\n  zonefile: {self._file(zone)}\n" for zone in zones)
        (self.folder / "nsd.conf").write_text(f"""\
server:
  ip-address: 127.0.0.1@{self.port}
  username: ""
  chroot: ""
  zonesdir: "{self.folder}"
  pidfile: "{self.folder}/pid"
  database: ""
  zonelistfile: "{self.folder}/list"
  xfrdfile: "{self.folder}/xfrd"
  xfrdir: "{self.folder}"
  server-count: 1
remote-control:
  control-enable: no
{blocks}""")

    def _file(self, zone):
        return self.folder / (zone + (".zone.signed" if zone in self.signed else ".zone"))

    def write_zone(self, zone, text):
        (self.folder / f"{zone}.zone").write_text(
            f"$ORIGIN {zone}.\n$TTL 60\n@ IN SOA ns host 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{text}\n")

    def _sign(self, zone):
        key = subprocess.run([need("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", zone], cwd=self.folder,
                             capture_output=True, text=True, check=True).stdout.strip()
        subprocess.run([need("ldns-signzone"), "-f", self._file(zone), f"{zone}.zone", key], cwd=self.folder, check=True)
        return (self.folder / f"{key}.ds").read_text()

    def start(self):
        self.process = Process("nsd-server", [need("nsd"), "-d", "-c", self.folder / "nsd.conf"], self.folder)
        wait_until(self._answers, f"an answer from nsd on port {self.port}")
        return self

    def _answers(self):
        assert self.process.alive(), self.log()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            try:
                s.connect(("127.0.0.1", self.port))
                s.send(b"\x12\x34\0\0\0\1\0\0\0\0\0\0\0\0\6\0\1")
                return s.recv(512)
            except OSError:
                return None
