# SPDX-License-Identifier: ISC
"""A throw-away certificate authority, by the openssl command."""
import datetime
import hashlib
import pathlib
import ssl
import subprocess

from .case import need


def _openssl(*arguments):
    done = subprocess.run([need("openssl"), *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def tlsa_data(cert, selector=1, matching=1):
    """The association data of a TLSA record (RFC 6698 2.1) for the first certificate of a PEM file."""
    pem = cert.read_text()
    first = pem[:pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    if selector == 0:
        data = ssl.PEM_cert_to_DER_cert(first)
    else:
        public = _openssl("x509", "-in", cert, "-noout", "-pubkey").decode().strip()
        data = ssl.PEM_cert_to_DER_cert(public.replace("PUBLIC KEY", "CERTIFICATE"))
    return {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching]


class Authority:
    def __init__(self, folder, name="Scenario CA"):
        self.folder = pathlib.Path(folder) / "tls"
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.tag = name.replace(" ", "-").lower()
        self.cert, self.key = self.folder / f"{self.tag}.crt", self.folder / f"{self.tag}.key"
        self._openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", self.key, "-out", self.cert, "-days", "30", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    @staticmethod
    def _openssl(*arguments):
        _openssl(*arguments)

    def expired(self, *names, **more):
        """As issue(); its time ended yesterday."""
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = (f"{now - datetime.timedelta(days=days):%Y%m%d%H%M%S}Z" for days in (30, 1))
        return self.issue(*names, start=start, end=end, **more)

    def issue(self, *names, kind="ec", file=None, start=None, end=None, chain=False):
        """Returns the paths of a certificate and its key. start, end: YYYYMMDDHHMMSSZ instead of the next 30 days.
        chain: the authority's own certificate follows in the file, as a trust anchor of usage 2 must be sent."""
        base = self.folder / (file or names[0])
        cert, key, request, extra = (base.with_name(base.name + s) for s in (".crt", ".key", ".csr", ".ext"))
        algorithm = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
                     "rsa": ["-newkey", "rsa:2048"]}[kind]
        self._openssl("req", "-new", *algorithm, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
        extra.write_text("subjectAltName=" + ",".join(
            ("IP:" if name.replace(".", "").isdigit() or ":" in name else "DNS:") + name for name in names) +
            "\nextendedKeyUsage=serverAuth,clientAuth\n")
        if start or end:
            self._with_dates(request, cert, extra, start, end)
        else:
            self._openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                          "-days", "30", "-extfile", extra, "-out", cert)
        if chain:
            cert.write_text(cert.read_text() + self.cert.read_text())
        return cert, key

    def self_signed(self, *names, file=None):
        """Nobody's: it is in the authority's folder, but not of it."""
        base = self.folder / (file or f"self-{names[0]}")
        cert, key = base.with_name(base.name + ".crt"), base.with_name(base.name + ".key")
        _openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                 "-out", cert, "-days", "30", "-subj", f"/CN={names[0]}",
                 "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
        return cert, key

    def _with_dates(self, request, cert, extra, start, end):
        """Only `openssl ca` takes dates of the past."""
        base = self.folder / f"{self.tag}-ca"
        base.mkdir(exist_ok=True)
        (base / "index").touch()
        if not (base / "serial").exists():
            (base / "serial").write_text("01\n")
        (base / "conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index\nserial={base}/serial\nnew_certs_dir={base}\n"
            f"certificate={self.cert}\nprivate_key={self.key}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
            "[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-notext", "-config", base / "conf", "-in", request, "-out", cert, "-extfile", extra,
                      "-startdate", start, "-enddate", end)
