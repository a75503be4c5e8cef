#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""`sealpost report --received`: reports of others, in messages and files, hostile ones among them. usage: report_test.py SEALPOST"""
import base64
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SEALPOST = sys.argv.pop(1)
FILE_MAX = 16 << 20


def report(organization="Lighthouse", number="1", domain="harbour.example", day=1, succeeded=5, **failures):
    details = [{"result-type": name.replace("_", "-"), "failed-session-count": n} for name, n in failures.items()]
    return json.dumps({
        "organization-name": organization, "contact-info": "tls@lighthouse.example", "report-id": number,
        "date-range": {"start-datetime": f"2016-04-{day:02}T00:00:00Z", "end-datetime": f"2016-04-{day:02}T23:59:59Z"},
        "policies": [{"policy": {"policy-type": "sts", "policy-domain": domain}, "failure-details": details,
                      "summary": {"total-successful-session-count": succeeded,
                                  "total-failure-session-count": sum(failures.values())}}]}).encode()


def letter(body, kind="gzip", end=b"\r\n"):
    lines = [b"From: tls@lighthouse.example", b"TLS-Report-Domain: harbour.example",
             b'Content-Type: multipart/report; report-type="tlsrpt";', b'\tboundary="x y"', b"", b"--x y",
             b"Content-Type: text/plain", b"", b"A report is attached.", b"--x y",
             b'Content-Type: application/tlsrpt+' + kind.encode() + b'; name="a!b!1!2.json.gz"',
             b"Content-Transfer-Encoding: base64", b"", *base64.encodebytes(body).splitlines(), b"--x y--", b""]
    return end.join(lines)


class Received(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sealpost-report-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_it(self, path, *more, stdin=b""):
        done = subprocess.run([SEALPOST, "report", "--received", str(path), *more], input=stdin, capture_output=True, timeout=60)
        self.assertNotIn(done.returncode, (-6, -11), done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def rows(self, path, stdin=b""):
        status, out, err = self.run_it(path, "--json", stdin=stdin)
        self.assertEqual(err, "")
        self.assertTrue(out.isascii())
        return status, [json.loads(line) for line in out.splitlines()]

    def put(self, name, body):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def test_one_report_in_every_form(self):
        text = report(certificate_expired=2, starttls_not_supported=1)
        forms = {"message": letter(gzip.compress(text)), "unix": letter(gzip.compress(text), end=b"\n"),
                 "plain": letter(text, "json"), "a.json": text, "a.json.gz": gzip.compress(text)}
        for name, body in forms.items():
            with self.subTest(name):
                status, rows = self.rows(self.put(name, body))
                self.assertEqual((status, len(rows)), (0, 2))
                self.assertEqual(rows[0], {"row": "received", "domain": "harbour.example", "organization": "Lighthouse", "reports": 1,
                                           "succeeded": 5, "failed": 3, "failures": {"certificate-expired": 2, "starttls-not-supported": 1},
                                           "from": "2016-04-01", "to": "2016-04-01"})
                self.assertEqual(rows[1], {"row": "sum", "reports": 1, "twice": 0, "without": 0, "skipped": 0})
                self.assertEqual(self.rows("-", stdin=body), (0, rows))
        # All of them are one report.
        status, rows = self.rows(self.folder)
        self.assertEqual((status, rows[0]["reports"], rows[-1]["twice"]), (0, 1, len(forms) - 1))

    def test_a_maildir(self):
        self.put("cur/1:2,S", letter(gzip.compress(report(number="1", certificate_expired=2))))
        self.put("new/2", letter(gzip.compress(report(number="2", day=3, certificate_expired=3))))
        self.put("new/3", letter(gzip.compress(report("Anchor, Inc.", "1", succeeded=7))))
        self.put("new/4", letter(gzip.compress(report("Anchor, Inc.", "2", "quay.example"))))
        self.put("new/5", letter(gzip.compress(report(number="2", day=3, certificate_expired=3))))
        self.put("new/6", b"Subject: lunch\r\n\r\nToday?\r\n")
        self.put("new/.7", b"{ hidden")
        self.put("tmp/8", letter(b"half of it"))
        self.put("notes", b"{ not in cur, not in new")
        status, out, err = self.run_it(self.folder)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual([" ".join(line.split()) for line in out.splitlines()], [
            "DOMAIN REPORTED BY REPORTS SUCCEEDED FAILED DAYS",
            "harbour.example Anchor, Inc. 1 7 0 2016-04-01 to 2016-04-01",
            "harbour.example Lighthouse 2 10 5 2016-04-01 to 2016-04-03",
            "certificate-expired 5",
            "quay.example Anchor, Inc. 1 5 0 2016-04-01 to 2016-04-01",
            "4 reports, 1 more came twice, 1 message without one"])

    def test_what_cannot_be_read_is_named_and_the_rest_is_summed(self):
        self.put("01-good", letter(gzip.compress(report())))
        self.put("02-torn", letter(gzip.compress(report(number="2"))[:-4]))
        self.put("03-bomb", letter(gzip.compress(b" " * (11 << 20))))
        self.put("04-no-json", letter(b"{", "json"))
        self.put("05-no-report", letter(b"[]", "json"))
        self.put("06-deep", b"[" * 100000)
        self.put("07-deep.json", b'{"a":' + b"[" * 100000)
        self.put("08-no-base64", letter(report(), "json").replace(b"base64\r\n\r\n", b"base64\r\n\r\n!!!"))
        self.put("09-parts", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 1000)
        self.put("10-inside", b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (i, i) for i in range(20)))
        self.put("11-mbox", b"From a@b Fri Nov 20 10:00:00 2026\n" + letter(gzip.compress(report(number="3")), end=b"\n"))
        self.put("12-numbers.json", report().replace(b": 5", b": -5"))
        big = b"x" * (FILE_MAX + 1000)
        self.put("13-giant", letter(gzip.compress(report(number="4"))) + big)
        self.put("14-giant-of-another-kind", b"Subject: a film\r\n\r\n" + big)
        self.put("15-in-a-folder/message", letter(gzip.compress(report(number="5"))))
        os.mkfifo(self.folder / "16-fifo")
        (self.folder / "17-link").symlink_to(self.folder / "01-good")
        self.put("18-empty", b"")
        self.put("19-binary", bytes(range(256)) * 100)
        status, rows = self.rows(self.folder)
        self.assertEqual(status, 1)
        self.assertEqual([row["organization"] for row in rows if row["row"] == "received"], ["Lighthouse"])
        named = {pathlib.Path(row["file"]).name: row["text"] for row in rows if row["row"] == "skipped"}
        words = {"02-torn": "no whole gzip", "03-bomb": "unpacks to more than", "04-no-json": "no JSON", "05-no-report": "no TLS report",
                 "07-deep.json": "levels deep", "08-no-base64": "not in the encoding", "09-parts": "more than 200 parts",
                 "10-inside": "inside each other", "11-mbox": "mbox", "12-numbers.json": "no count", "13-giant": "larger than 16 MB",
                 "17-link": "symbolic link"}
        self.assertEqual(set(named), set(words))
        for name, text in words.items():
            self.assertIn(text, named[name])
        self.assertEqual(rows[-1], {"row": "sum", "reports": 1, "twice": 0, "without": 4, "skipped": len(words)})
        status, out, err = self.run_it(self.folder)
        self.assertEqual((status, len(err.splitlines())), (1, len(words)))
        self.assertIn("1 report, 4 messages without one, 12 not read", out)

    def test_a_file_at_its_limit(self):
        """16 MB, and a byte more."""
        text = letter(gzip.compress(report()))
        for more in (0, 1):
            with self.subTest(more):
                path = self.put("file", text + b"x" * (FILE_MAX - 1 - len(text) + more))
                self.assertEqual(self.rows(path)[0], more)

    def test_nothing_reaches_the_terminal_as_it_came(self):
        nasty = "\x1b]0;owned\x07\u009b31m\u202eevil\u2066\U000e0041"
        self.put("cur/\x1b[2Jname", letter(b"{", "json"))
        self.put("cur/\udcff\u202e", letter(b"{", "json"))
        self.put("cur/good", letter(gzip.compress(report(nasty, nasty, nasty, **{nasty: 3}))))
        for more in ((), ("--json",)):
            status, out, err = self.run_it(self.folder, *more)
            self.assertEqual(status, 1)
            for shown in (out, err):
                self.assertNotRegex(shown.replace("\n", ""), "[\x00-\x1f\x7f-\x9f\u200b-\u202e\u2060-\u206f\U000e0000-\U000e007f]")
            self.assertIn("name", out + err)
        self.assertIn("evil", out)

    def test_nothing_to_read(self):
        for path, text in ((self.folder / "none", "No such file"), (self.put("empty", b""), "no TLS report is in it"),
                           (self.put("letter", b"Subject: lunch\r\n\r\nToday?\r\n"), "no TLS report is in it")):
            with self.subTest(path.name):
                status, _, err = self.run_it(path)
                self.assertEqual(status, 1)
                self.assertIn(text, err)
        empty = self.folder / "folder"
        empty.mkdir()
        status, out, err = self.run_it(empty)
        self.assertEqual((status, out, err), (1, "0 reports\n", ""))

    def test_wrong_words(self):
        for words in (["--received"], ["--received", "a", "--received", "b"], ["harbour.example", "--received", "a"], ["a", "b"], ["--x"]):
            with self.subTest(words):
                done = subprocess.run([SEALPOST, "report", *words], capture_output=True, timeout=60, text=True)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("usage: sealpost report", done.stderr)


if __name__ == "__main__":
    unittest.main()
