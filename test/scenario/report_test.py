# SPDX-License-Identifier: ISC
"""TLS reports (RFC 8460): counted, shown, posted to a real HTTPS server when the day is over, and read back; and those of others."""
import base64
import datetime
import gzip
import http.server
import json
import os
import pathlib
import resource
import shutil
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import wait_until
from harness.internet import Internet
from harness.network import address, own_network
from harness.server import binary

MEASURED = os.environ["MEASURED"]
DAY_S = 86400
PLACE = "https://reports.plain.test/in"


def setUpModule():
    own_network()


class Collector:
    """Takes what is posted. While `held` is set the answer to what it has taken does not come."""

    def __init__(self, files):
        self.taken, self.held, self.go_on = [], False, threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.taken.append((self.path, self.headers["Content-Type"], body))
                if collector.held:
                    collector.go_on.wait(60)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.address = address()
        self.server = http.server.ThreadingHTTPServer((self.address, 443), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    def reports(self):
        return [json.loads(gzip.decompress(body)) for _, _, body in self.taken]

    def domains(self):
        return sorted(policy["policy"]["policy-domain"] for one in self.reports() for policy in one["policies"])


class Whole(harness.Scenario):
    def clock(self):
        """A program whose clock is ahead by what the file says."""
        folder = pathlib.Path(self.folder) / "clock"
        folder.mkdir()
        folder.chmod(0o755)
        shim = shutil.copy(os.environ["CLOCK_SHIM"], folder / "clock_shim.so")
        self.offset = folder / "offset"
        self.ahead(0)
        program = folder / "program"
        program.write_text(f"#!/bin/sh\nexport LD_PRELOAD={shim} CLOCK_OFFSET={self.offset}\n"
                           f"export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0\nexec {binary()} \"$@\"\n")
        program.chmod(0o755)
        return program

    def ahead(self, seconds):
        with open(self.offset, "r+b" if self.offset.exists() else "wb") as file:
            file.write(struct.pack("<q", int(seconds)))

    def days_later(self, days):
        """So late on that day that every report has had its hour: some time from 00:30 to 06:30."""
        now = time.time()
        self.ahead(now // DAY_S * DAY_S + days * DAY_S + 7 * 3600 - now)

    def begin(self):
        net = self.net = Internet(self)
        self.collector = Collector(net.authority.issue("reports.plain.test"))
        self.addCleanup(self.collector.stop)
        net.plain.a("reports", self.collector.address)
        good = net.domain("good", net.plain)
        good.host(net.certificate("right", good.mx))
        dane = net.domain("dane")
        dane.host(net.certificate("right", dane.mx))
        dane.tlsa(net.certificate("right", "other.plain.test")[0])
        sts = net.domain("sts", net.plain)
        sts.host(net.certificate("other-name", sts.mx))
        sts.sts("enforce", sts.mx)
        stripped = net.domain("stripped", net.plain)
        stripped.host()
        mailto = net.domain("mailto", net.plain)
        mailto.host(net.certificate("right", mailto.mx))
        silent = net.domain("silent", net.plain)
        silent.host(net.certificate("right", silent.mx))
        for one in (good, dane, sts, stripped):
            one.zone.txt(f"_smtp._tls.{one.label}", f"v=TLSRPTv1; rua=mailto:tls@{one.name},{PLACE};")
        mailto.zone.txt("_smtp._tls.mailto", f"v=TLSRPTv1; rua=mailto:tls@{mailto.name}")
        self.good, self.dane, self.sts, self.stripped, self.mailto, self.silent = good, dane, sts, stripped, mailto, silent
        self.server = net.start(program=self.clock(), queue="retry 4h")
        return net

    def received(self):
        """What was posted, by `report --received`, as (domain, succeeded, failed, failures); and its sum."""
        folder = pathlib.Path(self.folder) / f"received-{len(self.collector.taken)}"
        folder.mkdir(exist_ok=True)
        for number, (_, _, body) in enumerate(self.collector.taken):
            (folder / f"{number}.json.gz").write_bytes(body)
        done = subprocess.run([binary(), "report", "--received", folder, "--json"], capture_output=True, text=True, timeout=60)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual({row["organization"] for row in rows[:-1]}, {"mx1.example.test"})
        return {row["domain"]: (row["succeeded"], row["failed"], row["failures"]) for row in rows[:-1]}, rows[-1]

    def some_looks(self):
        """The spool looks every two seconds for what is due: until it has noted down three times what waits."""
        before = time.monotonic()
        wait_until(lambda: time.monotonic() > before + 5, "some looks of the spool")

    def restart(self):
        self.server.kill()
        self.server.process = None
        self.server.start()

    def test_from_the_session_to_the_report_read_back(self):
        net = self.begin()
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        for one in (self.good, self.good, self.dane, self.sts, self.stripped, self.mailto, self.silent):
            net.send(one)
        names = ("good", "dane", "sts", "stripped", "mailto", "silent")
        wait_until(lambda: all(self.counted(getattr(self, name)) for name in names) and self.counted(self.good) == 2, "all outcomes")
        counts = {self.good.name: (2, 0, {}), self.dane.name: (0, 1, {"certificate-host-mismatch": 1}),
                  self.sts.name: (0, 1, {"certificate-host-mismatch": 1}), self.stripped.name: (0, 1, {"starttls-not-supported": 1})}

        # What would be sent, and where to.
        shown = self.server.command("report").splitlines()
        head = {line.split()[1]: line for line in shown if line.startswith(today)}
        self.assertEqual(set(head), {*counts, self.mailto.name, self.silent.name})
        for name, (succeeded, failed, _) in counts.items():
            self.assertEqual(head[name].split()[2:4], [str(succeeded), str(failed)], shown)
            self.assertTrue(head[name].endswith(f", to {PLACE}"), shown)
        self.assertIn("by mail alone", head[self.mailto.name])
        self.assertIn("the domain asks for none", head[self.silent.name])
        before = {one["policies"][0]["policy"]["policy-domain"]: one
                  for one in map(json.loads, self.server.command("report", "--json").splitlines())}
        self.assertEqual(set(before), set(head))
        self.assertEqual(self.collector.taken, [])

        # The day is over. The one who answers nothing has it, but nobody knows: killed then, the server sends it again, as the same.
        self.collector.held = True
        self.days_later(1)
        wait_until(lambda: len(self.collector.taken) >= 4, "the reports")
        self.assertEqual(self.collector.domains(), sorted(counts))
        self.server.kill()
        self.collector.held = False
        self.collector.go_on.set()
        self.server.process = None
        self.server.start()
        wait_until(lambda: len(self.collector.taken) >= 8, "the reports again")
        wait_until(lambda: len(self.lines("tls-report", "outcome=taken")) >= 4, "their ends")
        self.assertEqual({(path, kind) for path, kind, _ in self.collector.taken}, {("/in", "application/tlsrpt+gzip")})
        self.assertEqual(sorted(one["report-id"] for one in self.collector.reports()[:4]),
                         sorted(one["report-id"] for one in self.collector.reports()[4:]))
        rows, total = self.received()
        self.assertEqual(rows, counts)
        self.assertEqual((total["reports"], total["twice"]), (4, 4))
        for one in self.collector.reports():
            self.assertEqual(one, before[one["policies"][0]["policy"]["policy-domain"]])
            self.assertEqual(one["date-range"]["start-datetime"], f"{today}T00:00:00Z")

        # Taken is taken: killed the moment that it knows, it sends nothing twice, and nothing of it is shown any more.
        self.restart()
        self.some_looks()
        self.assertEqual(len(self.collector.taken), 8)
        left = subprocess.run([binary(), "report", "--json", "-c", self.server.conf], capture_output=True, text=True, timeout=60).stdout
        self.assertNotIn(f"{today}T00:00:00Z", left)
        # By mail nothing leaves: it would have to be signed.
        self.assertTrue(self.lines("tls-report", f"domain={self.mailto.name}", "outcome=unwanted"))
        self.assertEqual([len(one.letters) for one in (self.good, self.mailto, self.silent)], [2, 1, 1])

    def counted(self, domain):
        """Sessions of this domain that came to an end."""
        return len(self.lines("attempt", f"to=sam@{domain.name} "))

    def lines(self, event, *parts):
        return [line for line in self.server.lines(event) if all(part in line for part in parts)]


# ---- of others ----

def letter(body, parts=1):
    part = (b"--x\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
            base64.encodebytes(body).replace(b"\n", b"\r\n"))
    return b'Content-Type: multipart/report; report-type="tlsrpt"; boundary="x"\r\n\r\n' + part * parts + b"--x--\r\n"


class Received(harness.Scenario):
    REPORT = (b'{"organization-name":"Lighthouse","report-id":"1","date-range":{"start-datetime":"2016-04-01T00:00:00Z",'
              b'"end-datetime":"2016-04-01T23:59:59Z"},"policies":[{"policy":{"policy-type":"sts","policy-domain":"harbour.example"},'
              b'"summary":{"total-successful-session-count":5}}]}')

    def test_attack_53_who_reads_reports_is_confined(self):
        """Before the first byte, in the build that confines itself."""
        with subprocess.Popen([MEASURED, "report", "--received", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            status = pathlib.Path(f"/proc/{process.pid}/status")
            wait_until(lambda: "Seccomp:\t2" in status.read_text(), "its confinement")
            self.assertIn("NoNewPrivs:\t1", status.read_text())
            out, _ = process.communicate(letter(gzip.compress(self.REPORT)), timeout=30)
            self.assertEqual(process.returncode, 0)
            self.assertIn(b"harbour.example", out)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_a_maildir_that_is_anothers_alone(self):
        """Root reads it, though it gives up root's rights first."""
        place = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
        self.addCleanup(shutil.rmtree, place)
        place.chmod(0o755)
        new = place / "Maildir/new"
        new.mkdir(parents=True)
        (new / "1").write_bytes(letter(gzip.compress(self.REPORT)))
        for path in (new / "1", new, new.parent):
            path.chmod(0o600 if path.is_file() else 0o700)
            os.chown(path, 65534, 65534)
        done = subprocess.run([MEASURED, "report", "--received", new.parent], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("harbour.example", done.stdout)

    def test_attack_53_hostile_reports(self):
        """A Maildir of bombs, in bounded memory and time; what is right among them is summed."""
        cur = pathlib.Path(self.folder) / "Maildir/cur"
        cur.mkdir(parents=True)
        (cur / "1").write_bytes(letter(gzip.compress(self.REPORT)))
        (cur / "2").write_bytes(letter(gzip.compress(b" " * (64 << 20)), parts=8))
        (cur / "3").write_bytes(letter(gzip.compress(b"[" * (10 << 20)), parts=8))
        (cur / "4").write_bytes(letter(gzip.compress(b'{"policies":[' + b"0," * 199000 + b"0]}"), parts=8))
        (cur / "5").write_bytes(letter(gzip.compress(self.REPORT), parts=9))
        (cur / "6").write_bytes(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 3000000)
        (cur / "7").write_bytes(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--" * 8000000)
        (cur / "8").write_bytes(b"Content-Type: " + b"(" * 16000000)
        done = subprocess.run([MEASURED, "report", "--received", cur.parent, "--json"], capture_output=True, text=True, timeout=60,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20)))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual([(row["domain"], row["succeeded"]) for row in rows if row["row"] == "received"], [("harbour.example", 5)])
        self.assertEqual(rows[-1]["reports"], 1)
        self.assertEqual({row["file"] for row in rows if row["row"] == "skipped"}, {f"cur/{n}" for n in (2, 3, 4, 5, 6)})


if __name__ == "__main__":
    unittest.main(verbosity=2)
