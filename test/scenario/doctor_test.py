# SPDX-License-Identifier: ISC
"""`sealpost doctor`: nothing to mend with a sound server; then each trouble, planted once, is told, with the words to mend it."""
import datetime
import json
import os
import pathlib
import re
import shlex
import socket
import sqlite3
import time

import harness
from harness import Sealpost, dns_middle, wait_until
from harness.dns_middle import DnsMiddle
from harness.internet import Internet
from harness.message import letter
from harness.network import own_network
from harness.next_hop import closes_after_220, honest
from harness.raw import Raw
from harness.zone import Zones

DAY_S = 86400
UTC = datetime.timezone.utc
ESCAPES = "\x1b]0;owned\x07\u202e"


def setUpModule():
    own_network()


def day(days):
    """So many days from now, as the configuration writes it."""
    return f"{datetime.datetime.now(UTC) + datetime.timedelta(days=days):%Y-%m-%d}"


class Doctor(harness.Scenario):
    def server_with(self, resolver, **parts):
        return Sealpost(self.folder, extra=f"resolver {{\n    {resolver}\n}}", **parts)

    def signed(self):
        """A resolver whose answers are validated."""
        self.zones = Zones(self.folder)
        self.zones.zone("secure.test")
        self.start(self.zones)
        return f"server {self.zones.server}\n    trust-anchor {self.zones.anchor}"

    def look(self, server, *options, status):
        """Facts by kind, findings by what; what people see has the same findings."""
        rows = [json.loads(line) for line in server.command("doctor", "--json", *options, status=status).splitlines()]
        facts, findings = {}, {}
        for row in rows:
            facts.setdefault(row["kind"], []).append(row)
            if row["kind"] == "finding":
                findings.setdefault(row["what"], []).append(row)
        shown = server.command("doctor", *options, status=status)
        self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        for row in facts.get("finding", []):
            words = max(re.split(r"\d+", row["text"]), key=len)  # numbers of seconds go on meanwhile
            self.assertRegex(shown, rf"(?m)^{row['weight']} +.*{re.escape(words)}")
        mended = sum(row["weight"] != "advice" for row in facts.get("finding", []))
        self.assertIn("Nothing needs mending." if mended == 0 else f"{mended} thing{'s' * (mended > 1)} to mend.", shown)
        errors = facts["configuration"][0]["errors"]
        self.assertEqual(status, 78 if errors > 0 or (status == 78 and mended > 0) else int(mended > 0))
        return facts, findings

    def only(self, findings, what, weight, words):
        """This trouble is told, and no other, but perhaps that files have changed."""
        self.assertEqual([row["weight"] for row in findings.get(what, [])], [weight], findings)
        self.assertIn(words, findings[what][0]["text"])
        self.assertEqual([w for w, rows in findings.items() if w not in (what, "reload") and any(r["weight"] != "advice" for r in rows)], [])

    def test_sound(self):
        server = self.start(self.server_with(self.signed()))
        server.wait_for_line("dnssec", "state=validates")
        facts, findings = self.look(server, status=0)
        self.assertLessEqual(set(findings), {"confinement"})  # a build with sanitizers has none
        self.assertEqual(facts["dnssec"][0]["dane"], "active")
        self.assertEqual(facts["server"][0]["hostname"], "mx1.example.test")
        self.assertEqual(facts["queue"][0]["messages"], 0)
        certificate = facts["certificate"][0]
        self.assertEqual((certificate["key_fits"], certificate["key_mode"]), (True, "0600"))
        self.assertIn(certificate["days_left"], (29, 30))
        self.assertEqual(facts["configuration"][0]["warnings"], 0)
        self.assertEqual(sorted(role for fact in facts["confinement"] for role in fact["roles"]),
                         ["courier", "front", "keeper", "porter", "resolver", "spool"])

    def test_files(self):
        """What is wrong with files is told with the server and without it."""
        server = self.start(self.server_with(self.signed()))
        server.wait_for_line("dnssec", "state=validates")

        away = self.folder / "away"
        server.mail.rename(away)
        _, findings = self.look(server, status=1)
        self.only(findings, "configuration", "weak", f"there is no folder {server.mail}, so no mail can be put there")
        if os.getuid() == 0:
            server.mail.mkdir(mode=0o700)
            _, findings = self.look(server, status=1)
            self.only(findings, "configuration", "weak", f"may not look into {server.mail}")
            server.mail.chmod(0o755)
            _, findings = self.look(server, status=1)
            self.only(findings, "configuration", "weak", f"may not write to {server.mail}")
            server.mail.rmdir()
        away.rename(server.mail)

        made_s = server.cert.stat().st_mtime
        good, expired = server.cert.read_bytes(), server.authority.expired("mx1.example.test", "localhost", file="old")
        server.cert.write_bytes(expired[0].read_bytes())
        _, findings = self.look(server, status=78)
        told = [row["text"] for row in findings["configuration"]]
        self.assertIn("this certificate has expired, and clients refuse it: get a new one", told)
        self.assertTrue(any("does not fit" in text for text in told), told)
        server.cert.write_bytes(good)
        os.utime(server.cert, (made_s, made_s))

        server.users.chmod(0o640)
        _, findings = self.look(server, status=1)
        self.only(findings, "configuration", "weak", f"chmod g= {server.users}")
        server.users.chmod(0o600)
        server.key.chmod(0o640)
        _, findings = self.look(server, status=0)
        self.assertEqual(findings["key"][0]["weight"], "advice")
        server.key.chmod(0o600)

        server.write_conf(direct="\n    ".join(f'exception {name}.test encrypt until {day(days)} reason "{reason}"' for name, days, reason in (
            ("past", -3, "was broken"), ("soon", 5, "their ticket 4711"), ("later", 60, "who knows"))))
        facts, findings = self.look(server, status=1)
        self.assertEqual([(f["domain"], f["state"], f["reason"]) for f in facts["exception"]],
                         [("past.test", "ended", "was broken"), ("soon.test", "ending", "their ticket 4711"),
                          ("later.test", "active", "who knows")])
        self.assertIn("this exception has ended", findings["configuration"][0]["text"])
        self.assertEqual(findings["exception"][0]["about"], "soon.test")
        server.write_conf(direct="")

        server.stop()
        facts, findings = self.look(server, status=1)
        self.only(findings, "server", "broken", "no server answers there")
        self.assertEqual(facts["server"][0]["running"], False)
        self.assertGreater(facts["queue"][0]["disk_free_bytes"], 0)
        self.assertEqual(facts["queue"][0]["messages"], 0)
        with socket.create_server(("127.0.0.1", server.port_mx)):
            _, findings = self.look(server, status=1)
        self.assertEqual([(row["about"], row["weight"]) for row in findings["port"]], [(f"127.0.0.1:{server.port_mx}", "broken")])
        (self.folder / "anchor").write_text("; nothing\n")
        server.write_conf(extra=f"resolver {{\n    trust-anchor {self.folder}/anchor\n}}")
        _, findings = self.look(server, status=1)
        self.assertIn("there is no record of a trust anchor in this file", findings["trust-anchor"][0]["text"])

    def test_what_to_watch(self):
        """Each command of docs/MONITORING.md is one, and finds nothing to mend with a sound server; each key is there."""
        server = self.start(self.server_with(self.signed()))
        server.wait_for_line("dnssec", "state=validates")
        page = (pathlib.Path(__file__).parents[2] / "docs/MONITORING.md").read_text()
        commands = [shlex.split(line) for line in re.findall(r"(?m)^    sealpost (.*)$", page)]
        self.assertEqual({words[0] for words in commands}, {"doctor", "probe", "status", "queue"})
        for words in commands:
            place = {"mx1.example.org:25": server.port_mx, "mx1.example.org:465": server.port_submissions}
            words = [f"127.0.0.1:{place[word]}" if word in place else word for word in words]
            if words[0] == "probe":
                words += ["--ca", str(server.authority.cert)]
            with self.subTest(words):
                said = server.command(*words, status=None if words[0] == "queue" else 0)
            if words[0] == "status":
                status = json.loads(said)
        roles = {role["role"]: role for role in status["roles"]}
        for role, keys in re.findall(r"(?m)^\| (each|`[a-z]+`) \| (.*?) \|", page):
            for key in re.findall(r"`(\w+)`", keys):
                for one in roles.values() if role == "each" else [roles[role.strip("`")]]:
                    self.assertIn(key, one)
        self.assertIn("days_left", status["certificates"][0])
        self.assertEqual(status["configuration"], str(server.conf))

    def test_a_file_that_is_missing(self):
        """An error, as `check` says, and so does the status."""
        server = self.server_with(self.signed())
        server.write_conf()
        server.aliases.unlink()
        facts, findings = self.look(server, status=78)
        self.assertEqual((facts["configuration"][0]["errors"], findings["configuration"][0]["weight"]), (1, "broken"))

    def test_a_configuration_that_is_being_edited(self):
        """Its errors are told, and what can be read of it is looked at."""
        server = self.start(self.server_with(self.signed()))
        server.wait_for_line("dnssec", "state=validates")
        whole = server.conf.read_text()
        for text, word in ((whole + "\nlimits {\n    recipiens 5\n}\n", "recipiens"), (whole + "\nroute {\n", "route"),
                           (whole + "\ninclude not-there-yet\n", "not-there-yet"), (whole + "\ntls half {\n    cert /nowhere\n}\n", "key")):
            with self.subTest(word):
                server.conf.write_text(text)
                facts, findings = self.look(server, status=78)
                self.assertTrue(any(word in row["text"] and row["weight"] == "broken" for row in findings["configuration"]), findings)
                self.assertEqual(facts["server"][0]["running"], True)
                self.assertEqual(facts["queue"][0]["messages"], 0)
                self.assertEqual(len(facts["certificate"]), 1)
        server.stop()
        facts, findings = self.look(server, status=78)
        self.assertGreater(facts["queue"][0]["disk_free_bytes"], 0)
        server.conf.write_text("nothing that can be read\n")
        self.assertIn("has 3 errors; going on with what can be read of it", self.run_program(server.program, "doctor", "-c", server.conf, status=78))

    def test_changed_files(self):
        """What the server has is older than what lies there."""
        server = self.start(self.server_with(self.signed()))
        server.wait_for_line("dnssec", "state=validates")
        later = time.time() + 5
        for path in (server.conf, server.cert, server.users, server.aliases):
            os.utime(path, (later, later))
            _, findings = self.look(server, status=1)
            self.assertEqual([(row["about"], row["weight"]) for row in findings.get("reload", [])], [(str(path), "weak")])
            os.utime(path, (later - 3600, later - 3600))
        self.look(server, status=0)

    def test_queue(self):
        """What waits is told by the server, and by its files when it has ended in order."""
        server = self.start(self.server_with(self.signed(), queue="delay-warning 1s"))
        server.wait_for_line("dnssec", "state=validates")
        with Raw(server.port_submissions, server.authority, "implicit", login=("jada", Sealpost.PASSWORDS["jada"])) as client:
            for n in range(2):
                client.mail("jada@example.test", f"sam{n}@far.test", f"kim{n}@far.test")
                self.assertEqual(client.data(letter(to="sam@far.test", subject="held").as_bytes())[0], 250)
        wait_until(lambda: "waiting" in self.look(server, status=0)[1], "a letter that is old")
        for running in (True, False):
            facts, findings = self.look(server, status=0 if running else 1)
            self.assertEqual([facts["queue"][0][key] for key in ("messages", "queued", "held", "damaged")], [2, 0, 4, 0])
            self.assertGreater(facts["queue"][0]["oldest_s"], 0)
            self.assertIn("4 recipients are held", findings["held"][0]["text"])
            self.assertIn("a letter has been waiting for", findings["waiting"][0]["text"])
            if running:
                server.stop()
        left = sorted(os.listdir(server.spool))
        server.start()
        server.kill()
        facts, findings = self.look(server, status=1)
        self.assertNotIn("messages", facts["queue"][0])
        self.assertIn("did not end in order", facts["queue"][0]["problem"])
        self.assertLessEqual(set(left), set(os.listdir(server.spool)))
        self.assertEqual({path.owner() for path in server.spool.iterdir()}, {server.spool.owner()})  # nothing of ours is left there
        server.start()  # as if nothing had been

    def test_dnssec(self):
        """Name servers that answer nothing, and such as strip signatures."""
        resolver = self.signed()
        middle = self.start(DnsMiddle(self.zones.port))
        for way, state, weight, words in ((dns_middle.refuse, "not-tried", "broken", "no name server answers"),
                                          (dns_middle.strip, "cannot-validate", "weak", "check resolver { server, trust-anchor }")):
            middle.on_all(way)
            server = self.server_with(resolver.replace(self.zones.server, middle.server), name=state)
            self.start(server)
            server.wait_for_line("dnssec-off", f"state={state}")
            facts, findings = self.look(server, status=1)
            self.only(findings, "dnssec", weight, words)
            self.assertEqual((facts["dnssec"][0]["dnssec"], facts["dnssec"][0]["dane"]), (state, "inactive"))
            self.assertLess(abs(time.time() - facts["dnssec"][0]["dnssec_since_s"]), 60)
            server.stop()

    def test_a_hello_that_was_too_much(self):
        """A real server that bears the second, smaller hello alone: listed, over a restart, with the day when that ends."""
        def picky(hop, session):
            tried.append(hop)
            (closes_after_220 if len(tried) == 1 else honest)(hop, session)
        tried, net = [], Internet(self)
        domain = net.domain("picky")
        domain.host(net.certificate("right", domain.mx), starttls=picky)
        server = net.start(queue="retry 1s")
        net.send(domain)
        wait_until(lambda: domain.letters, "the letter")
        for restarted in (False, True):
            if restarted:
                server.stop()
                server.start()
            facts = wait_until(lambda: self.look(server, status=1)[0], "facts")
            self.assertEqual([fact["host"] for fact in facts["hello"]], [domain.mx])
            until = datetime.datetime.strptime(facts["hello"][0]["until"], "%Y-%m-%dT%H:%M:%SZ")
            self.assertEqual((until - datetime.datetime.now(UTC).replace(tzinfo=None)).days, 6)
            self.assertEqual(facts["remembered"][0]["domains"], 1)

    def test_memories(self):
        """What was learned of others is listed; nothing that others may have chosen reaches the terminal as it is."""
        server = self.start(self.server_with(self.signed()))
        server.stop()
        now, soon = int(time.time()), int(time.time()) + 7 * DAY_S
        with sqlite3.connect(server.spool / "queue.db") as db:
            db.executemany("INSERT INTO observation VALUES(?,?,?)", [
                ("shape/mx.old.test", "1", soon), ("shape/mx.past.test", "2", now - 5), (f"shape/{ESCAPES}.test", "3", soon),
                ("shape/mx.odd.test", "77", soon), ("mta-sts/some.test", "whatever", soon), ("spool:other", "x", soon),
                *((f"seen/d{n:04}.test", f"{'dane' if n % 2 else 'verify'} {now - n} {now}", now + 30 * DAY_S) for n in range(1, 1001))])
        db.close()
        server.start()
        server.wait_for_line("dnssec", "state=validates")
        facts, _ = self.look(server, status=0)
        self.assertEqual([(f["host"], f["shape"]) for f in facts["hello"]],
                         [(f"{ESCAPES}.test", facts["hello"][0]["shape"]), ("mx.old.test", "no post-quantum share")])
        self.assertEqual((facts["remembered"][0]["domains"], facts["remembered"][0]["levels"]), (1000, {"dane": 500, "verify": 500}))
        self.assertNotIn("seen", facts)
        facts, _ = self.look(server, "--seen", status=0)
        self.assertEqual(len(facts["seen"]), 1000)
        self.assertEqual((facts["seen"][0]["domain"], facts["seen"][0]["level"]), ("d0001.test", "dane"))
        self.assertEqual(facts["seen"][0]["at"], f"{datetime.datetime.fromtimestamp(now - 1, UTC):%Y-%m-%dT%H:%M:%SZ}")


if __name__ == "__main__":
    harness.main()
