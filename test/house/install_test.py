#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""`make install` with DESTDIR and PREFIX: what lies where, that it runs, and that a configuration is never overwritten.

usage: install_test.py SOURCE BUILD
"""
import configparser
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = (pathlib.Path(arg) for arg in sys.argv[1:3])
ROLES = ("front", "spool", "courier", "keeper", "resolver")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def option(build, name):
    return next(o["value"] for o in json.loads(run("meson", "introspect", build, "--buildoptions")) if o["name"] == name)


def unit(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(path)
    return parser


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kept = tempfile.TemporaryDirectory()
        cls.top = pathlib.Path(cls.kept.name)
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.top)
        cls.prefix = cls.top / option(BUILD, "prefix").lstrip("/")

    @classmethod
    def tearDownClass(cls):
        cls.kept.cleanup()

    def test_program(self):
        self.assertIn("listen.auth", run(self.prefix / "sbin/sealpost", "explain"))

    def test_manual(self):
        self.assertIn(".Dt SEALPOST.CONF 5", (self.prefix / "share/man/man5/sealpost.conf.5").read_text())
        self.assertIn(".Dt SEALPOST 8", (self.prefix / "share/man/man8/sealpost.8").read_text())

    def test_unit(self):
        service = unit(self.prefix / "lib/systemd/system/sealpost.service")["Service"]
        program = option(BUILD, "prefix") + "/" + option(BUILD, "sbindir") + "/sealpost"
        self.assertEqual(service["ExecStart"], f"{program} serve -c /etc/sealpost/sealpost.conf")
        self.assertEqual((service["Type"], service["NotifyAccess"]), ("notify", "main"))
        self.assertIn("-HUP", service["ExecReload"])

    def test_accounts(self):
        lines = (self.prefix / "lib/sysusers.d/sealpost.conf").read_text().splitlines()
        users = {line.split()[1] for line in lines if line.startswith("u ")}
        self.assertEqual(users, {"sealpost", "vmail", *("sealpost-" + role for role in ROLES)})
        owners = {line.split()[3] for line in (self.prefix / "lib/tmpfiles.d/sealpost.conf").read_text().splitlines()
                  if line.startswith("d ")}
        self.assertLessEqual(owners, users | {"root"})

    def test_folders_of_the_defaults(self):
        folders = {line.split()[1]: tuple(line.split()[2:4])
                   for line in (self.prefix / "lib/tmpfiles.d/sealpost.conf").read_text().splitlines() if line.startswith("d ")}

        def default(directive):
            told = run(self.prefix / "sbin/sealpost", "explain", directive)
            return next(line.split()[1] for line in told.splitlines() if line.startswith("  default "))
        self.assertEqual(folders[default("queue.directory")], ("0700", "sealpost-spool"))
        self.assertEqual(folders[str(pathlib.Path(default("control")).parent)], ("0755", "root"))
        mail = [owner for _, owner in folders.values() if owner == default("mail-user")]
        self.assertEqual(len(mail), 1)

    def test_examples_and_nothing_in_etc(self):
        examples = {p.name for p in (self.prefix / "share/doc/sealpost/examples").iterdir()}
        self.assertEqual(examples, {"sealpost.conf"} | {p.name for p in (SOURCE / "etc/examples").iterdir()})
        self.assertEqual([p for p in self.top.rglob("*") if p.is_file() and "etc" in p.relative_to(self.top).parts], [])

    def test_nothing_else(self):
        for path in self.top.rglob("*"):
            self.assertTrue(path == self.prefix or self.prefix in path.parents or path in self.prefix.parents, path)

    def test_another_prefix(self):
        with tempfile.TemporaryDirectory() as build:
            run("meson", "setup", build, SOURCE, "--prefix=/opt/post")
            service = unit(pathlib.Path(build) / "etc/sealpost.service")["Service"]
            plan = json.loads(run("meson", "introspect", build, "--install-plan"))
        self.assertTrue(service["ExecStart"].startswith("/opt/post/sbin/sealpost serve"))
        self.assertIn("sealpost", {pathlib.Path(p).name for p in plan["targets"]})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=0)
