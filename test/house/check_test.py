#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""`sealpost check` and `sealpost explain` as a person meets them: what is said, where, and the exit status."""
import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SEALPOST = os.environ["SEALPOST"]
VERIFIER = "$y$j9T$saltsalt$hashhash"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def sealpost(*args):
    done = subprocess.run([SEALPOST, *args], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def make_pair(folder, name, names, days):
    """A certificate that ends in so many days (also less than none), and its key."""
    key, request, cert, extra = (folder / f"{name}.{end}" for end in ("key", "csr", "crt", "ext"))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    key.chmod(0o600)
    openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={names[0] if names else name}")
    extra.write_text("subjectAltName=" + ",".join("DNS:" + n for n in names) if names else "basicConstraints=CA:FALSE")
    if days > 0 or "-not_after" not in subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True).stderr:
        end = ("-days", str(days))
    else:  # OpenSSL from 3.4 on takes no negative number
        end = ("-not_before", f"{datetime.datetime.now() - datetime.timedelta(90):%Y%m%d%H%M%SZ}",
               "-not_after", f"{datetime.datetime.now() + datetime.timedelta(days):%Y%m%d%H%M%SZ}")
    openssl("x509", "-req", "-in", request, "-signkey", key, *end, "-extfile", extra, "-out", cert)


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kept = tempfile.TemporaryDirectory()
        cls.dir = pathlib.Path(cls.kept.name)
        cls.dir.chmod(0o755)
        make_pair(cls.dir, "good", ["mx1.example.org", "mail.example.org"], 90)
        make_pair(cls.dir, "other", ["other.example"], 90)
        make_pair(cls.dir, "nameless", [], 90)
        make_pair(cls.dir, "soon", ["mx1.example.org"], 3)
        make_pair(cls.dir, "expired", ["mx1.example.org"], -1)

    @classmethod
    def tearDownClass(cls):
        cls.kept.cleanup()

    def setUp(self):
        self.write("users", f"admin:{VERIFIER}\njada:{VERIFIER}\n", 0o600)
        self.write("aliases", "sales: jada\n")
        self.write("secret", "geheim\n", 0o600)
        (self.dir / "mail").mkdir(exist_ok=True)
        (self.dir / "mail").chmod(0o777)

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def config(self, cert="good", key=None, names="mx1.example.org", more=""):
        d = self.dir
        return self.write("sealpost.conf", f"""hostname mx1.example.org
postmaster admin@example.org
tls {names} {{
	cert {d}/{cert}.crt
	key  {d}/{key or cert}.key
}}
users staff {{
	source file {d}/users
}}
domain example.org {{
	users   staff
	aliases {d}/aliases
	deliver maildir {d}/mail/{{local}}
}}
listen submissions {{
	on   127.0.0.1:0
	auth staff
}}
{more}
run-as    nobody
mail-user nobody
""")

    def check(self, *args, **kw):
        return sealpost("check", "-c", str(self.config(*args, **kw)))

    def refused(self, place, message, *args, **kw):
        status, out, err = self.check(*args, **kw)
        self.assertEqual(status, 1, err)
        self.assertEqual(out, "")
        self.assertIn(f"sealpost.conf:{place}: {message}", err)
        self.assertIn("^", err)
        return err

    def warned(self, place, message, *args, **kw):
        status, out, err = self.check(*args, **kw)
        self.assertEqual(status, 0, err)
        self.assertIn(f"sealpost.conf:{place}: warning: {message}", err)
        return out, err

    def test_good(self):
        status, out, err = self.check()
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"sealpost.conf: ok: 1 listener, 1 domain, 2 users, 1 certificate \(.*good.crt has (89|90) days left\)")
        self.assertEqual(err, "")

    @unittest.skipUnless(os.geteuid() == 0, "only root has rights to give up")
    def test_missing_account(self):
        path = self.config()
        path.write_text(path.read_text().replace("nobody", "no-such-account"))
        status, _, err = sealpost("check", "-c", str(path))
        self.assertEqual(status, 1)
        for directive in ("run-as", "mail-user"):
            self.assertRegex(err, rf'{directive}: this machine has no user "no-such-account", and nothing runs as root')
        status, _, err = sealpost("serve", "-c", str(path))
        self.assertEqual(status, 78)
        for directive in ("run-as", "mail-user"):
            self.assertEqual(err.count(f'{directive}: this machine has no user "no-such-account", and nothing runs as root'), 1, err)

    def test_several_names(self):
        self.assertEqual(self.check(names="mx1.example.org mail.example.org")[0], 0)
        self.assertEqual(self.check(names="")[0], 0)

    def test_expired(self):
        """The server runs with it, so it is fit to run."""
        out, err = self.warned("4:7", "this certificate has expired, and clients refuse it: get a new one", cert="expired")
        self.assertIn("expired.crt has expired)", out)

    def test_mail_roots(self):
        mail = self.dir / "mail"
        mail.rmdir()
        status, _, err = self.check()
        self.assertEqual(status, 0, err)
        self.assertRegex(err, rf"sealpost.conf:10:1: warning: there is no folder {mail}, so no mail can be put there, and waits: make it")
        mail.write_text("")
        self.assertIn(f"warning: {mail} is no folder", self.check()[2])
        mail.unlink()
        mail.mkdir(mode=0o777)
        mail.chmod(0o777)
        self.assertEqual(self.check()[2], "")
        if os.geteuid() != 0:
            return
        mail.chmod(0o775)
        self.assertRegex(self.check()[2], f"warning: nobody, who owns the mail, may not write to {mail}, .*: chown nobody {mail}")
        mail.chmod(0o770)
        self.assertIn(f"warning: nobody, who owns the mail, may not look into {mail}, ", self.check()[2])
        below = self.dir / "below"
        (below / "mail").mkdir(parents=True)
        (below / "mail").chmod(0o777)
        below.chmod(0o700)
        path = self.config()
        path.write_text(path.read_text().replace(f"{mail}/{{local}}", f"{below}/mail/{{local}}"))
        self.assertRegex(sealpost("check", "-c", str(path))[2], f"warning: nobody, who owns the mail, may not pass {below}, .*: chmod o.x {below}")
        mail.chmod(0o777)

    def test_a_queue_that_is_open_to_others(self):
        queue = self.dir / "spool"
        queue.mkdir(mode=0o700)
        more = f"queue {{\n\tdirectory {queue}\n}}\n"
        self.assertEqual(self.check(more=more)[0], 0)
        queue.chmod(0o755)
        status, _, err = self.check(more=more)
        self.assertEqual(status, 1)
        self.assertIn(f"the queue's directory {queue} is open to others (mode 755), and the server does not start with it: chmod 700 {queue}", err)

    def test_a_queue_out_of_reach(self):
        queue = self.dir / "another"
        queue.mkdir()
        for name in ("queue.db", "lock"):
            status, _, err = self.check(more=f"queue {{\n\tdirectory {queue}/below/spool\n}}\n")
            self.assertEqual((status, err), (0, ""))
            (queue / name).touch()
        status, _, err = self.check(more=f"queue {{\n\tdirectory {queue}/below/spool\n}}\n")
        self.assertEqual(status, 1)
        self.assertIn(f"queue directory {queue}/below/spool: it lies in another queue ({queue}): name one outside of it", err)
        if os.geteuid() != 0:
            return
        closed = self.dir / "closed"
        closed.mkdir(mode=0o700)
        more = f"queue {{\n\tdirectory {closed}/spool\n}}\n"
        status, _, err = self.check(more=more)
        self.assertEqual(status, 0)
        self.assertIn(f"warning: nobody may not pass {closed}, so the queue's directory {closed}/spool cannot be reached", err)
        closed.chmod(0o701)
        self.assertEqual(self.check(more=more)[2], "")

    def test_sockets_in_folders_that_are_not_there(self):
        none = self.dir / "none"
        self.assertEqual(self.check(more=f"control {self.dir}/control.sock\n")[0], 0)
        status, _, err = self.check(more=f"control {none}/control.sock\nlisten local {{\n\ton unix:{none}/local.sock\n}}\n")
        self.assertEqual(status, 1)
        for name in ("control", "local"):
            self.assertIn(f"there is no folder {none} for the socket {none}/{name}.sock, and the server does not start: make it", err)

    def test_expires_soon(self):
        status, _, err = self.check(cert="soon")
        self.assertEqual(status, 0, err)
        self.assertRegex(err, "sealpost.conf:4:7: warning: this certificate expires in [23] days")

    def test_wrong_name(self):
        self.warned("4:7", 'this certificate is not for "mx1.example.org" but for: other.example', cert="other")
        self.warned("4:7", 'this certificate is not for the hostname "mx1.example.org" but for: other.example', cert="other",
                    names="")
        for names in ("mx1.example.org", ""):
            self.warned("4:7", "this certificate carries no name (SAN), and clients refuse it: get one for mx1.example.org",
                        cert="nameless", names=names)

    def test_wrong_key(self):
        self.refused("5:7", "the private key does not fit the certificate", key="other")

    def test_open_key(self):
        (self.dir / "good.key").chmod(0o644)
        try:
            err = self.refused("5:7", "everybody on this machine may read or write this secret: chmod o= ")
        finally:
            (self.dir / "good.key").chmod(0o600)
        self.assertIn("good.key", err)

    def test_a_secret_that_a_group_may_read(self):
        """Told, and no more; keys may be a group's, as distributions have it."""
        (self.dir / "users").chmod(0o640)
        (self.dir / "good.key").chmod(0o640)
        try:
            status, _, err = self.check()
        finally:
            (self.dir / "good.key").chmod(0o600)
        self.assertEqual(status, 0, err)
        self.assertEqual(err.count("its group may read this secret, and need not"), 1, err)
        self.assertIn(f"chmod g= {self.dir}/users", err)

    def test_attack_74_somebody_elses_files(self):
        if os.geteuid() != 0:
            self.skipTest("giving files away needs root")
        os.chown(self.dir / "good.key", 12345, 0)
        try:
            status, out, err = self.check()
        finally:
            os.chown(self.dir / "good.key", 0, 0)
        self.assertEqual(status, 0, err)
        self.assertIn("this secret belongs to user 12345, who can read and replace it: chown root ", err)
        path = self.config()
        for change, back, words in ((lambda: path.chmod(0o666), lambda: path.chmod(0o644),
                                     "everybody on this machine may write this file: chmod o-w "),
                                    (lambda: os.chown(path, 12345, 0), lambda: os.chown(path, 0, 0),
                                     "this file belongs to user 12345, who could have us do anything: chown root ")):
            change()
            status, out, err = sealpost("check", "-c", str(path))
            back()
            self.assertEqual((status, out), (1, ""), err)
            self.assertIn(f"{path}: {words}{path}", err)

    def test_not_pem(self):
        self.write("junk.crt", "hello\n")
        self.write("junk.key", "hello\n", 0o600)
        self.refused("4:7", "no certificate in PEM form", cert="junk")
        self.refused("5:7", "no private key in PEM form", key="junk")

    def test_missing_files(self):
        for name in ("users", "aliases"):
            (self.dir / name).rename(self.dir / "away")
            status, _, err = self.check()
            (self.dir / "away").rename(self.dir / name)
            self.assertEqual(status, 1)
            self.assertIn(f"{self.dir}/{name}", err)
            self.assertEqual(err.count("^"), 1, err)

    def test_users(self):
        self.write("users", f"admin:{VERIFIER}\njada:geheim\n", 0o600)
        status, _, err = self.check()
        self.assertEqual(status, 1)
        self.assertIn("users:2:1: this credential is of no known form", err)
        self.assertNotIn("geheim", err)

    def test_alias_loop(self):
        self.write("aliases", "a: b\nb: c, jada\nc: a\n")
        status, _, err = self.check()
        self.assertEqual(status, 1)
        self.assertIn('aliases:1:1: "a" leads back to itself: a -> b -> c -> a', err)

    def test_relay_files(self):
        relay = "relay corp {{\n\thost smtp.example:465\n\ttls implicit\n\tca {0}/good.crt\n\tlogin mx1 file:{0}/secret\n}}\n"
        self.assertEqual(self.check(more=relay.format(self.dir))[0], 0)
        self.write("secret", " \n", 0o600)
        self.refused("23:12", "no password is in the first line of this file", more=relay.format(self.dir))

    def test_every_error_in_one_run(self):
        self.write("aliases", "a: a\nb: |cat\n")
        (self.dir / "good.key").chmod(0o604)
        try:
            status, _, err = self.check(cert="good", key="good", names="wrong.example",
                                        more=f"relay corp {{\n\thost smtp.example:465\n\tca {self.dir}/none\n}}\n")
        finally:
            (self.dir / "good.key").chmod(0o600)
        self.assertEqual(status, 1)
        for part in ("everybody on this machine", "wrong.example", "leads back to itself", "never given to a command", "/none"):
            self.assertIn(part, err)
        self.assertTrue(err.rstrip().endswith("4 errors"), err)

    def test_syntax(self):
        path = self.write("broken.conf", "hostnam mx1.example.org\n")
        status, out, err = sealpost("check", "-c", str(path))
        self.assertEqual((status, out), (1, ""))
        self.assertIn('broken.conf:1:1: unknown directive "hostnam"; did you mean "hostname"?', err)

    def test_include(self):
        (self.dir / "conf.d").mkdir(exist_ok=True)
        self.write("conf.d/20.conf", "limits {\n\trecipients 0\n}\n")
        self.write("conf.d/10.conf", "origin example.org\n")
        self.write("conf.d/not-this.txt", "junk\n")
        status, _, err = self.check(more="include conf.d\n")
        self.assertEqual(status, 1)
        self.assertIn("conf.d/20.conf:2:13: \"0\" is too small", err)
        self.assertTrue(err.rstrip().endswith("1 error"), err)
        status, _, err = self.check(more="include nowhere\n")
        self.assertEqual(status, 1)
        self.assertIn("nowhere", err)

    def test_no_file(self):
        status, _, err = sealpost("check", "-c", str(self.dir / "absent.conf"))
        self.assertEqual(status, 1)
        self.assertIn("absent.conf", err)

    def test_usage(self):
        self.assertEqual(sealpost("check", "--frob")[0], 2)


class Explain(unittest.TestCase):
    def test_one(self):
        status, out, _ = sealpost("explain", "listen.auth")
        self.assertEqual(status, 0)
        self.assertIn("listen.auth TABLE ...", out)

    def test_bare_name_finds_every_block(self):
        out = sealpost("explain", "give-up")[1]
        for block in ("domain", "relay", "queue"):
            self.assertIn(f"{block}.give-up DURATION", out)

    def test_list(self):
        out = sealpost("explain")[1]
        for name in ("hostname", "tls.cert", "route.otherwise", "limits.message-size"):
            self.assertRegex(out, rf"(?m)^ *{name} ")

    def test_unknown(self):
        status, out, err = sealpost("explain", "lisen.auth")
        self.assertEqual((status, out), (1, ""))
        self.assertIn('did you mean "listen.auth"?', err)

    def test_address_asks_the_server(self):
        status, out, err = sealpost("explain", "a@example.org", "-c", "/nonexistent/sealpost.conf")
        self.assertEqual((status, out), (78, ""))
        self.assertIn("/nonexistent/sealpost.conf", err)
        self.assertEqual(sealpost("explain", "a@example.org", "--frmo", "b@example.org")[0], 2)


if __name__ == "__main__":
    unittest.main(verbosity=0)
