# SPDX-License-Identifier: ISC
"""A throw-away certificate authority, by the openssl command."""
import pathlib
import subprocess

from .case import need


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
        done = subprocess.run([need("openssl"), *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def issue(self, *names, kind="ec", file=None, start=None, end=None):
        """Returns the paths of a certificate and its key. start, end: YYYYMMDDHHMMSSZ instead of the next 30 days."""
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
        return cert, key

    def _with_dates(self, request, cert, extra, start, end):
        """Only `openssl ca` takes dates of the past."""
        base = self.folder / f"{self.tag}-ca"
        base.mkdir(exist_ok=True)
        (base / "index").touch()
        (base / "serial").write_text("01\n")
        (base / "conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index\nserial={base}/serial\nnew_certs_dir={base}\n"
            f"certificate={self.cert}\nprivate_key={self.key}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
            "[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-notext", "-config", base / "conf", "-in", request, "-out", cert, "-extfile", extra,
                      "-startdate", start, "-enddate", end)
