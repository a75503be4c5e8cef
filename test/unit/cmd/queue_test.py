# SPDX-License-Identifier: ISC
"""sealpost queue, status and reload: what they say when they cannot do their work."""
import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAM = sys.argv.pop(1)
CONF = """hostname mx1.example.org
postmaster pm@example.org
control {socket}
listen local {{
    on unix:{folder}/local.sock
}}
"""


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.conf = pathlib.Path(self.folder.name) / "sealpost.conf"
        self.conf.write_text(CONF.format(folder=self.folder.name, socket=self.folder.name + "/control.sock"))

    def run_it(self, *words):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_wrong_words(self):
        for words in ([], ["what"], ["list", "--to"], ["list", "--older", "soon"], ["list", "--nonsense"], ["show"],
                      ["remove"], ["bounce"], ["hold"], ["release"], ["list", "-c"], ["show", "a", "b"], ["remove", "1m80"],
                      ["show", "1m7y2dsmfp8newkk"], ["list", "1M7Y2DSMFP8NEWK"]):
            with self.subTest(words):
                status, out, err = self.run_it("queue", *words)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("usage: sealpost queue", err)
        self.assertEqual(self.run_it("status", "now")[0], 2)
        self.assertEqual(self.run_it("reload", "--json")[0], 2)

    def test_the_word_that_is_wrong_is_named(self):
        for command in ("status", "reload", "doctor", "report", "why"):
            self.says(f'sealpost {command}: "--jsn" has no place here: ', command, "--jsn")
        self.says('"--jsn" has no place here: ', "explain", "a@b.example", "--jsn")
        for words in (["list"], ["hold", "--all"], ["backup", "x"], ["list", "--by", "domain"]):
            self.says("--body goes with `show ID`", "queue", *words, "--body")

    def says(self, text, *words):
        with self.subTest(words):
            status, out, err = self.run_it(*words)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(text, err)

    def test_a_selector_is_given_once(self):
        for name in ("--to", "--from", "--user", "--domain"):
            self.says(f"{name} is given twice", "queue", "remove", name, "a@b.example" if name != "--domain" else "b.example", name, "c")
        self.says("--older is given twice", "queue", "list", "--older", "1h", "--older=2h")
        self.says("one ID at a time", "queue", "remove", "1m7y2dsmfp8newk", "1m7y2dsmfp8newj")
        for words in (["abc"], ["--domain", "b.example"], ["--older", "1h"]):
            self.says("verify looks at the whole queue", "queue", "verify", *words)

    def test_a_configuration_is_given_once(self):
        for words in (["queue", "list"], ["why", "abc"], ["status"], ["reload"], ["doctor"], ["report"], ["explain", "a@b.example"], ["check"],
                      ["serve"], ["probe", "b.example"]):
            self.says("-c is given twice: one.conf would not count", *words, "-c", "one.conf", "-c", str(self.conf))
        self.says('"extra" has no place here; is it the configuration? That is named with -c FILE', "check", "extra")
        self.says('"extra" has no place here; is it', "check", "-c", str(self.conf), "extra")
        self.says('"--frob" has no place here: expected -c FILE or nothing', "check", "--frob")
        self.says("-c wants a value", "check", "-c")
        self.says("--fronts wants a value", "serve", "--fronts")
        for number in ("0", "65", "x"):
            self.says("--fronts with a number from 1 to 64", "serve", "--fronts", number)
            self.says("--fronts with a number from 1 to 64", "serve", f"--fronts={number}")

    def test_no_option_is_another_ones_value(self):
        for words in (["queue", "list", "--to"], ["queue", "remove", "--from"], ["queue", "list", "--user"], ["queue", "list", "--domain"],
                      ["queue", "list", "--older"], ["explain", "a@b.example", "--from"]):
            self.says(f"{words[-1]} wants a value, and --json looks like an option; a value that begins so is given as "
                      f"{words[-1]}=--json", *words, "--json")
            self.says(f"{words[-1]} wants a value", *words)
        for words in (["queue", "list"], ["why", "abc"], ["status"], ["reload"], ["doctor"], ["report"], ["explain", "a@b.example"]):
            self.says("-c wants a value, and --json looks like an option; a file that is called so is ./--json", *words, "-c", "--json")
            self.says("-c wants a value", *words, "-c")
        self.says("--domain wants a value, and -x looks", "queue", "list", "--domain", "-x")
        self.says("--received wants a value, and --json looks", "report", "--received", "--json")
        self.says("--server wants a value, and --to looks", "send", "--server", "--to", "a@b.example")
        self.says("--days wants a value, and --json looks", "probe", "b.example", "--days", "--json")
        for words in (["--to", "-x@b.example"], ["--to=--x@b.example"], ["--from="], ["--from", ""], ["--older=1h"],
                      ["--domain", "B.Example"], ["--domain", "bücher.example"], ["--domain", "[192.0.2.1]"],
                      ["--domain", "b.example."]):
            with self.subTest(words):  # then a server is asked
                self.assertEqual(self.run_it("queue", "list", *words, "-c", str(self.conf))[0], 69)

    def test_what_was_meant(self):
        for words in (["dead.example"], ["@dead.example"], ["--domain", "@dead.example"], ["--to", "dead.example"]):
            self.says("did you mean --domain dead.example?", "queue", "remove", *words)
        for words in (["--to", "@dead.example"], ["--to", "*@dead.example"]):
            self.says("for all recipients of a domain: --domain dead.example", "queue", "remove", *words)
        for words in (["*.dead.example"], ["--domain", "*.dead.example"], ["*"]):
            self.says("`sealpost queue list --by domain` shows them all", "queue", "remove", *words)
        self.says("did you mean it with --to, or with --from?", "queue", "remove", "a@dead.example")
        self.says("for an address there are --to and --from", "queue", "remove", "--domain", "a@dead.example")
        for domain in ("bad domain", "a..b", "b.example..", ".", "..", "-x.example", "b\x1b.example"):
            self.says("is no domain, and no mail can be for it", "queue", "list", f"--domain={domain}")
        self.says("did you mean --domain?", "queue", "list", "--domian", "dead.example")
        self.says("--to, --from, --user, --domain, --older, --by domain", "queue", "list", "--zzzzzzzz")
        self.says("counted --by domain, not by \"sender\"", "queue", "list", "--by", "sender")
        self.says("such as 90s, 15m, 4h or 2d, not \"soon\"", "queue", "list", "--older", "soon")
        self.says("there is --all", "queue", "remove", "--to", "")
        for words in (["remove", "", "--older", "4h"], ["retry", ""], ["list", ""], ["hold", "--domain", "dead.example", ""]):
            self.says("the ID is empty", "queue", *words)
        self.says("list, show, retry, hold, release, bounce, remove, verify and backup are", "queue", "zzzzzzzz")
        self.says("`sealpost queue list --domain dead.example`", "why", "dead.example")
        for domain in ("b ad", "a..b", ".", "b.example..", "-", "*.b.example", "jada@b.example"):
            self.says("is no domain" if domain != "-" else "expected", "report", domain)

    def test_words_do_nothing_to_a_terminal(self):
        for words in (["queue", "show", "a\x1b[2J@b"], ["queue", "a\x1b[2J\n"], ["queue", "list", "--a\x1b[2J"],
                      ["queue", "list", "--older", "\x1b[2J"], ["report", "a\x1b[2J b"], ["why", "a.\x1b[2J"], ["a\x1b[2J"], ["queue\x1b[2J"]):
            with self.subTest(words):
                status, out, err = self.run_it(*words)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("[2J", err)
                self.assertNotIn("\x1b", err)

    def test_a_slip_of_the_pen(self):
        for words, meant in ((["queue", "lst"], "list"), (["queue", "backpu", "x"], "backup"), (["queue", "relase", "--all"], "release"),
                             (["queu", "list"], "queue"), (["exlpain"], "explain"), (["--vers"], None), (["rol"], None),
                             (["queue", "--lst"], None), (["queue", "zzzzzz"], None)):
            with self.subTest(words):
                status, out, err = self.run_it(*words)
                self.assertEqual((status, out), (2, ""))
                if meant:
                    self.assertIn(f'did you mean "{meant}"?', err)
                else:
                    self.assertNotIn("did you mean", err)

    def test_the_words_of_other_servers(self):
        for meant, theirs in (("remove", "delete rm purge drop cancel"), ("retry", "flush requeue kick"), ("hold", "freeze suspend"),
                              ("release", "unfreeze thaw resume unhold"), ("list", "ls mailq"), ("show", "view"), ("show ID --body", "cat")):
            for word in theirs.split():
                self.says(f'there is no "{word}"; did you mean "{meant}"?', "queue", word, "--all")
                self.says(f'there is no command "{word}"; did you mean "queue {meant}"?', word)

    def test_what_is_no_id(self):
        for words in (["queue", "remove"], ["queue", "list"], ["queue", "show"], ["why"]):
            self.says('"1m80" is no ID: those have 15 letters and digits', *words, "1m80")
        self.assertEqual(self.run_it("queue", "remove", "1m7y2dsmfp8newk", "-c", str(self.conf))[0], 69)

    def test_an_age_of_nothing(self):
        for words in (["remove", "--older", "0s"], ["list", "--older=0d"], ["hold", "--older", "0m", "--all"]):
            self.says("would select everything, for which there is --all", "queue", *words)
        self.assertEqual(self.run_it("queue", "list", "--older", "1s", "-c", str(self.conf))[0], 69)

    def cut_off_after(self, *rows, words):
        """What a command says whose server sends so much, and is gone."""
        frames = b"".join(struct.pack("<IHI", 4 + len(row), 0, len(row)) + row.encode() for row in rows)  # kind 0 is a row
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.folder.name + "/control.sock")
            listener.listen()

            def serve():
                with listener.accept()[0] as client:
                    client.recv(4096)
                    client.sendall(frames)
            server = threading.Thread(target=serve)
            server.start()
            answer = self.run_it(*words, "-c", str(self.conf))
            server.join()
        pathlib.Path(self.folder.name, "control.sock").unlink()
        return answer

    def test_a_server_that_dies_in_the_middle(self):
        words = ["queue", "hold", "--all"]
        for rows, n in (((), 0), (('{"so_far":200}', '{"so_far":1200}'), 1200), (('{"so_far":1}',), 1)):
            status, out, err = self.cut_off_after(*rows, words=[*words, "--json"])
            told = {"action": "hold", "recipients": n, "complete": False, "on_the_way": None, "left": None}
            self.assertEqual((status, json.loads(out)), (69, told))
            self.assertIn(f"{n} recipient{' was' if n == 1 else 's were'} done when it last said so, perhaps more since", err)
            status, out, text = self.cut_off_after(*rows, words=words)
            self.assertEqual((status, out, text), (69, "", err))
        last = '{"action":"hold","recipients":3,"complete":true,"on_the_way":0,"left":0}'
        status, out, err = self.cut_off_after('{"so_far":2}', last, words=[*words, "--json"])
        self.assertEqual((status, out), (69, last + "\n"))
        self.assertIn("3 recipients were done", err)

    def test_version(self):
        for words in (["version"], ["--version"]):
            status, out, _ = self.run_it(*words)
            self.assertEqual(status, 0)
            self.assertRegex(out, r"^Sealpost \d+\.\d+\.\d+\nOpenSSL \d\S+ .*\nSQLite 3\.\S+\nlibunbound \d\S+\n$")
        self.assertEqual(self.run_it("version", "x")[0], 2)
        self.assertRegex(self.run_it("version", "--help")[1], r"^usage: sealpost version\n")

    def test_passwd_shows_a_safe_way(self):
        _, out, _ = self.run_it("passwd", "--help")
        self.assertIn("(umask 077; sealpost passwd jada >> /etc/sealpost/users)", out)
        self.assertNotRegex(out, r"(?m)^ *sealpost passwd .*>>")

    def test_help(self):
        for command in ("queue", "status", "reload"):
            status, out, _ = self.run_it(command, "--help")
            self.assertEqual(status, 0)
            self.assertIn("example:", out)

    def test_no_server(self):
        for words in (["queue", "list"], ["queue", "remove", "--all"], ["status", "--json"], ["reload"]):
            with self.subTest(words):
                status, out, err = self.run_it(*words, "-c", str(self.conf))
                self.assertEqual((status, out), (69, ""))
                self.assertIn("no server answers there", err)

    def test_no_configuration(self):
        status, _, err = self.run_it("queue", "list", "-c", self.folder.name + "/none.conf")
        self.assertEqual(status, 78)
        self.assertIn("none.conf", err)
        self.conf.write_text("hostnam x\n")
        status, _, err = self.run_it("status", "-c", str(self.conf))
        self.assertEqual(status, 78)
        self.assertIn("did you mean \"hostname\"?", err)

    def test_a_path_too_long_for_a_socket(self):
        self.conf.write_text(CONF.format(folder=self.folder.name, socket="/" + "x" * 120))
        status, _, err = self.run_it("queue", "list", "-c", str(self.conf))
        self.assertIn(status, (69, 78))
        self.assertTrue(err)


if __name__ == "__main__":
    unittest.main()
