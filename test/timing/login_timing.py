# SPDX-License-Identifier: ISC
"""Times of refused logins, for names that exist and names that do not; see README.md."""
import argparse
import base64
import ctypes
import pathlib
import random
import secrets
import ssl
import statistics
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from harness import Sealpost
from harness.raw import Raw
from harness.server import users_line

MARK = 4.5


def attempt(server, context, number, name):
    """Seconds from the password to the refusal, and its words."""
    address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
    with Raw(server.port_submissions, tls="implicit", context=context, source=address) as client:
        line = b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0a wrong password".encode()) + b"\r\n"
        began = time.perf_counter()
        reply = client.cmd(line)
        return time.perf_counter() - began, reply


def work(server, context, jobs, times, replies, troubles):
    while jobs:
        try:
            number, kind, name = jobs.pop()
        except IndexError:
            return
        try:
            took, reply = attempt(server, context, number, name)
        except (OSError, AssertionError) as trouble:
            troubles.append(trouble)
            continue
        times[kind].append(took)
        replies[kind].add(reply)


def verifiers(kind, names):
    if kind == "scram":
        return "".join(users_line(name, "the right password") for name in names)
    if kind == "mixed":
        return verifiers("scram", names[::2]) + verifiers("bcrypt", names[1::2])
    crypt = ctypes.CDLL("libcrypt.so.1").crypt  # Python's own module has gone with 3.13
    crypt.restype = ctypes.c_char_p
    cost = {"bcrypt": 9, "slow": 14}[kind]
    made = crypt(b"the right password", f"$2b${cost:02}${secrets.token_hex(10)}OO".encode()).decode()
    return "".join(f"{name}:{made}\n" for name in names)


def welch(a, b):
    spread = statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
    return (statistics.mean(a) - statistics.mean(b)) / spread ** 0.5


def measure(server, users, at_once):
    context = ssl.create_default_context(cafile=server.authority.cert)
    names = [("known", f"user{i}") for i in range(users)] + [("unknown", f"none{i}") for i in range(users)]
    random.shuffle(names)
    jobs = [(number, *pair) for number, pair in enumerate(names)]
    times, replies, troubles = {"known": [], "unknown": []}, {"known": set(), "unknown": set()}, []
    threads = [threading.Thread(target=work, args=(server, context, jobs, times, replies, troubles)) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, replies, troubles


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1000, help="of the server")
    parser.add_argument("--verifier", choices=("scram", "bcrypt", "mixed", "slow"), default="scram", help="what of a password they have")
    parser.add_argument("--at-once", type=int, default=4, help="more keep the keeper busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sealpost-timing-") as folder:
        pathlib.Path(folder).chmod(0o755)
        server = Sealpost(folder)
        names = [f"user{i}" for i in range(options.users)]
        server.users.write_text(server.users.read_text() + verifiers(options.verifier, names))
        server.start()
        try:
            times, replies, troubles = measure(server, options.users, options.at_once)
        finally:
            server.stop()
    for kind, all_times in times.items():
        ms = sorted(t * 1000 for t in all_times)
        print(f"{kind:8} n {len(ms)}  mean {statistics.mean(ms):.3f} ms  median {statistics.median(ms):.3f}  "
              f"deviation {statistics.stdev(ms):.3f}  p99 {ms[len(ms) * 99 // 100]:.3f}")
    t = welch(times["known"], times["unknown"])
    same = replies["known"] == replies["unknown"]
    print(f"t {t:.2f} (told apart beyond {MARK}); the words are {'the same' if same else f'not the same: {replies}'}; "
          f"{len(troubles)} attempts failed {troubles[:1] or ''}")
    return 1 if abs(t) > MARK or not same or troubles else 0


if __name__ == "__main__":
    sys.exit(main())
