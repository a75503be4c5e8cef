#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""`sealpost try --once` shows every step of a letter, ends with 0, and fails loudly where it must."""
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile

from harness.case import die_with_us, wait_until

STEPS = ["server", "TCP", "TLS", "verified", "AUTH", "MAIL", "RCPT", "DATA", "reply", "delivered", "Maildir", "header"]


def free_base():
    """A port base whose three ports nobody has."""
    while True:
        base = random.randint(20000, 50000)
        try:
            for offset in (465, 587, 525):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue


def run(sealpost, *arguments):
    return subprocess.run([sealpost, "try", *arguments], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)


def letter_arrives(sealpost, folder):
    done = run(sealpost, "--once", "--port-base", str(free_base()), folder)
    log = pathlib.Path(folder, "sealpost.log")
    told = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    assert done.returncode == 0, f"status {done.returncode}\n{told}"
    at = 0
    for step in STEPS:
        found = re.compile(rf"^  {step}\b", re.M).search(done.stdout, at)
        assert found, f"the step {step} is missing or out of order\n{done.stdout}"
        at = found.end()
    path = re.search(r"^  Maildir +(\S+)$", done.stdout, re.M).group(1)
    letter = pathlib.Path(path).read_text()
    reply = re.search(r"^  reply +(.*)$", done.stdout, re.M).group(1)
    queue_id = re.search(r"queued as ([a-z0-9]+)", reply).group(1)
    assert "with ESMTPSA" in letter and queue_id in letter, letter
    assert "TLSv1.3" in done.stdout and "\\x" not in done.stdout, done.stdout
    password = pathlib.Path(folder, "password").read_text()
    assert password not in told and "sealed from end to end" not in told, "a secret is in the log"
    assert "sanitizer" not in told.lower(), told
    return done.stdout


def an_own_folder_is_removed(sealpost):
    done = run(sealpost, "--port-base", str(free_base()))  # without a terminal it ends by itself
    assert done.returncode == 0, done.stdout + done.stderr
    made = pathlib.Path(re.search(r"^(/tmp/sealpost-try-\w+),$", done.stdout, re.M).group(1))
    assert "Its folder is gone again" in done.stdout and not made.exists(), done.stdout
    base = free_base()
    with socket.socket() as s:
        s.bind(("127.0.0.1", base + 465))
        s.listen()
        done = run(sealpost, "--port-base", str(base))
    made = pathlib.Path(re.search(r"^(/tmp/sealpost-try-\w+),$", done.stdout, re.M).group(1))
    assert done.returncode != 0 and (made / "sealpost.log").exists(), done.stdout  # it tells why
    shutil.rmtree(made)


def taken_port_is_told(sealpost, folder):
    base = free_base()
    with socket.socket() as s:
        s.bind(("127.0.0.1", base + 465))
        s.listen()
        done = run(sealpost, "--once", "--port-base", str(base), folder)
    assert done.returncode != 0 and "--port-base" in done.stdout, done.stdout + done.stderr


def closed_folder_is_told(sealpost, folder):
    if os.geteuid() != 0:
        return
    os.chmod(folder, 0o700)
    done = run(sealpost, "--once", "--port-base", str(free_base()), folder)
    assert done.returncode == 1 and "chmod o+x" in done.stderr, done.stdout + done.stderr


def the_example_can_be_tried(sealpost):
    """etc/examples/test.conf, with what test.sh makes: as an ordinary user, DNSSEC validated, and a letter arrives."""
    examples = pathlib.Path(__file__).resolve().parents[2] / "etc/examples"
    whole = pathlib.Path(tempfile.mkdtemp(prefix="sealpost-example-test-"))
    whole.chmod(0o711)
    folder, program = whole / "house", whole / "sealpost"
    folder.mkdir()
    shutil.copy(sealpost, program)
    user = {}
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        user = {"user": 65534, "group": 65534, "extra_groups": []}
    base = free_base()
    conf = (examples / "test.conf").read_text().replace("/tmp/sealpost-test", str(folder))
    for port, offset in ((":2525", 525), (":2465", 465), (":5353", 587)):
        assert port in conf
        conf = conf.replace(port, f":{base + offset}")
    (whole / "test.conf").write_text(conf)
    environment = {**os.environ, "FOLDER": str(folder), "PORT": str(base + 587), "SEALPOST": str(program)}

    if user:  # root is told, before anything is made
        done = subprocess.run(["sh", examples / "test.sh"], capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert (done.returncode, list(folder.iterdir())) == (1, []) and "as an ordinary user, please" in done.stderr, done

    def call(*words, status=0):
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, env=environment, **user)
        assert status is None or done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout

    running = []

    def start(*words, **more):
        log = open(whole / f"log{len(running)}", "w+", encoding="utf-8")
        running.append((subprocess.Popen(words, stdout=log, stderr=log, env=environment, preexec_fn=die_with_us, **user, **more), log))

    def logs():
        return "".join(pathlib.Path(log.name).read_text() for _, log in running)

    try:
        with open(examples / "test.sh", encoding="utf-8") as script:
            start("sh", "-s", stdin=script)
        wait_until(lambda: "nsd started" in logs(), "the zone of the example")
        call("check", "-c", whole / "test.conf")
        start(program, "serve", "-c", whole / "test.conf")
        wait_until(lambda: '"dnssec": "validates"' in (told := call("status", "--json", "-c", whole / "test.conf", status=None))
                   or '"dnssec":"validates"' in told, "validated answers")
        (whole / "letter").write_text("Subject: tried\n\nhello\n")
        call("send", "--server", f"localhost:{base + 465}", "--ca", folder / "ca.pem", "--user", "jada", "--password-file",
             folder / "password", "--from", "jada@test.example", "--to", "jada@test.example", whole / "letter")
        wait_until(lambda: list(folder.glob("mail/jada/new/*")), "the letter")
    except BaseException:
        print(logs())
        raise
    finally:
        for process, log in reversed(running):
            process.terminate()
            process.wait(60)
            log.close()
        shutil.rmtree(whole)


def main():
    sealpost = os.environ["SEALPOST"]
    the_example_can_be_tried(sealpost)
    folder = tempfile.mkdtemp(prefix="sealpost-try-test-")
    os.chmod(folder, 0o711)  # the roles run under another account
    try:
        print(letter_arrives(sealpost, folder))
        letter_arrives(sealpost, folder)  # a second time in the same folder finds its own letter
        assert pathlib.Path(folder, "sealpost.conf").exists()
        an_own_folder_is_removed(sealpost)
        taken_port_is_told(sealpost, folder)
        closed_folder_is_told(sealpost, folder)
        done = run(sealpost, "--nonsense")
        assert done.returncode == 2 and "usage" in done.stderr, done.stderr
    finally:
        shutil.rmtree(folder)


main()
