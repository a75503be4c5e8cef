#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""`sealpost passwd` from standard input and from a terminal. usage: passwd_test.py SEALPOST"""
import base64
import hashlib
import hmac
import os
import pty
import re
import subprocess
import signal
import sys

LINE = re.compile(r"([^:]+):SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(\S+)\n")


def passwd(*args, stdin=b""):
    done = subprocess.run([sys.argv[1], "passwd", *args], input=stdin, capture_output=True, timeout=30)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def fits(line, name, password, iterations):
    found = LINE.fullmatch(line)
    assert found and found[1] == name and int(found[2]) == iterations, line
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(found[3]), iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    assert hashlib.sha256(client).digest() == base64.b64decode(found[4]), line
    assert hmac.digest(salted, b"Server Key", "sha256") == base64.b64decode(found[5]), line


def on_terminal(*typed):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], [sys.argv[1], "passwd", "jada"])
    shown = b""
    for prompt, line in zip((b"Password: ", b"again: "), typed):
        while not shown.endswith(prompt):
            shown += os.read(fd, 1)
        os.write(fd, line + b"\n")
    try:
        while more := os.read(fd, 4096):
            shown += more
    except OSError:
        pass  # the other end is closed
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode().replace("\r\n", "\n")


def main():
    signal.alarm(60)  # a hanging terminal must not hang the tests
    status, line, _ = passwd("jada", stdin=b"pencil\n")
    assert status == 0
    fits(line, "jada", b"pencil", 20000)
    assert passwd("jada", stdin=b"pencil\n")[1] != line, "the salt is always the same"

    status, line, _ = passwd("jada@example.org", "--iterations", "10000", stdin="grün\r\n".encode())
    assert status == 0
    fits(line, "jada@example.org", "grün".encode(), 10000)
    assert passwd("jada", stdin=b"x" * 1024)[0] == 0

    for args, stdin, expected, words in [
        (["jada"], b"", 65, "empty password"),
        (["jada"], b"\n", 65, "empty password"),
        (["jada"], b"x" * 1025, 65, "longer than 1024"),
        (["jada"], b"\xff\xfe\n", 65, "UTF-8"),
        (["jada"], b"a\x07b\n", 65, "control characters"),
        (["a:b"], b"x\n", 65, "no colon"),
        (["a b"], b"x\n", 65, "blank"),
        ([""], b"x\n", 65, "1 to 255"),
        (["#a"], b"x\n", 65, "begin with #"),
        (["a" * 256], b"x\n", 65, "1 to 255"),
        ([], b"x\n", 2, "Give a NAME"),
        (["a", "b"], b"x\n", 2, "one NAME"),
        (["a", "--iterations"], b"x\n", 2, "10000 to"),
        (["a", "--iterations", "9999"], b"x\n", 2, "10000 to"),
        (["a", "--iterations", "10000001"], b"x\n", 2, "10000 to"),
        (["a", "--what"], b"x\n", 2, "one NAME"),
    ]:
        status, out, err = passwd(*args, stdin=stdin)
        assert (status, out) == (expected, "") and words in err, (args, stdin, status, out, err)
    assert passwd("--help")[0] == 0

    status, shown = on_terminal(b"pencil", b"pencil")
    assert status == 0 and "pencil" not in shown, shown
    fits(shown[shown.index("jada:"):], "jada", b"pencil", 20000)
    status, shown = on_terminal(b"pencil", b"pencel")
    assert status == 65 and "differ" in shown, shown
    status, shown = on_terminal(b"\x03")
    assert status == 65 and "interrupted" in shown, shown
    print("passwd: every case as expected")


main()
