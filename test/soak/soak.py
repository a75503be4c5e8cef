#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A real server under mixed load for a long time, roles killed at times: is every letter accounted for, is memory steady?
test/soak/README.md says more."""
import argparse
import collections
import concurrent.futures
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import types

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
import boxes
import clients
import hops
import watch
from harness.case import LIBC, PR_SET_CHILD_SUBREAPER, SANITIZER_MARKS, die_with_us, need_root
from harness.network import own_network
from house import PASSWORD, USERS, Bulk, House, make_accounts
from ledger import Journal, Ledger, judge_bursts, read

KILLED = ("front", "front2", "spool", "keeper", "resolver", "courier", "porter")
TELL_EVERY_S = 15
REST_S = 40
STOPPED = 130  # the status of who was ended by Ctrl-C


def options_of(words):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--minutes", default=30, type=float, help="of load; the queue's end comes after them")
    p.add_argument("--seed", default=1, type=int, help="the same letters and deeds each time")
    p.add_argument("--rate", default=50, type=float, help="letters a second, as many as the machine allows")
    p.add_argument("--clients", default=16, type=int, help="that hand letters in")
    p.add_argument("--bad", default=6, type=int, help="clients that misbehave")
    p.add_argument("--kill-every", default=20, type=float, help="seconds, in the first half; 0: never")
    p.add_argument("--reload-every", default=45, type=float, help="seconds; 0: never")
    p.add_argument("--burst-every", default=60, type=float, help="seconds; 0: never")
    p.add_argument("--burst", default=1000, type=int, help="letters of a burst")
    p.add_argument("--hang", default=30, type=float, help="how long a next hop hangs, in seconds, at most")
    p.add_argument("--give-up", default=60, type=int, help="seconds after which letters for the dead next hop are returned")
    p.add_argument("--program", default=os.environ.get("SEALPOST", "build/sealpost"), type=pathlib.Path, help="the Sealpost that is tried")
    p.add_argument("--folder", default="/var/tmp", help="on the disk where the queue is to lie")
    p.add_argument("--keep", action="store_true", help="leave journals and logs where they are")
    o = p.parse_args(words)
    o.program = o.program.resolve()
    return o


def say(text):
    print(text, flush=True)


class Soak:
    def __init__(self, o, folder):
        self.o, self.folder, self.chance = o, folder, random.Random(o.seed)
        self.journals = folder / "journals"
        self.journals.mkdir()
        self.burst_journals = folder / "bursts"
        self.burst_journals.mkdir()
        self.journal = Journal(self.journals, "main")
        self.house = House(folder, o.program, o.give_up)
        self.calm, self.done, self.ending = (multiprocessing.Value("b", 0), multiprocessing.Event(), multiprocessing.Event())
        self.processes, self.troubles, self.next_killed = [], [], []
        self.tally = multiprocessing.Array("l", 8)

    def fork(self, function, *arguments):
        def begin():
            die_with_us()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
            function(*arguments)
        process = multiprocessing.Process(target=begin, daemon=True)
        process.start()
        self.processes.append(process)
        return process

    def start(self):
        house, o = self.house, self.o
        house.start()
        self.bulk = Bulk(house)
        ready, ready_too = multiprocessing.Event(), multiprocessing.Event()
        tls = house.authority.issue("hop.test", file="hop")
        self.bursts = self.fork(hops.serve_bursts, self.burst_journals, house.hops["bulk"], tls, self.calm, o.seed, ready_too)
        self.hops = self.fork(hops.serve, self.journals, house.hops, tls, self.calm, o.hang, o.seed, ready)
        assert ready.wait(60) and ready_too.wait(60), "the next hops did not start"
        self.boxes = self.fork(boxes.serve, self.journals, house.mail, self.done)
        self.rest = watch.sample(house)
        self.watch = watch.Watch(house, min(watch.PAUSE_S, o.minutes))
        self.watch.start()
        plan = types.SimpleNamespace(
            seed=o.seed, authority=str(house.authority.cert), port_mx=house.port_mx, port_submissions=house.port_submissions,
            port_submission=house.port_submission, ports=(house.port_mx, house.port_submissions, house.port_submission),
            senders=[(name, PASSWORD) for name in ("jada", "sam")], users=USERS, many=(20, 300), ending=self.ending, rate=o.rate,
            clients=o.clients, bad=o.bad, bad_rate=0.3, processes=2)
        self.clients = [self.fork(clients.serve, plan, self.journals, n, self.tally) for n in range(plan.processes)]

    # -- while mail flows --------------------------------------------------------------------------

    def kill(self):
        if not self.next_killed:
            self.next_killed = self.chance.sample(KILLED, len(KILLED))
        role = self.next_killed.pop()
        pid = self.house.roles().get(role)
        if pid is None:
            return
        self.journal.note("killed", role.rstrip("2"))
        self.killed[role] += 1
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def moments(self, every_s, until_s):
        """Seeded times, so far from each other on the average."""
        at, found = 0.0, []
        while every_s > 0:
            at += self.chance.uniform(0.5, 1.5) * every_s
            if at > until_s:
                break
            found.append(at)
        return found

    def load(self):
        o, length, begin = self.o, self.o.minutes * 60, time.monotonic()
        self.killed, deeds = collections.Counter(), []
        kills = self.moments(o.kill_every, length / 2)
        pool = concurrent.futures.ThreadPoolExecutor(2)
        bursts = []
        deeds += [(at, self.kill) for at in kills]
        deeds += [(at, self.house.change) for at in self.moments(o.reload_every, length * 0.9)]
        deeds += [(at, lambda: bursts.append(pool.submit(self.bulk.burst, o.burst))) for at in self.moments(o.burst_every, length * 0.95)]
        deeds += [(at, self.tell) for at in range(TELL_EVERY_S, int(length), TELL_EVERY_S)]
        self.begun = begin
        for at, deed in sorted(deeds, key=lambda pair: pair[0]):
            self.sleep_until(begin + at)
            deed()
        self.sleep_until(begin + length)
        # What is judged of the memory: from the last kill on, and a tenth of the whole later, since roles warm up.
        self.judged = begin + (kills[-1] if kills else 0) + length / 10, time.monotonic()
        self.ending.set()
        for burst in bursts:
            burst.result()
        pool.shutdown()
        for client in self.clients:
            client.join(200)
            if client.is_alive() or client.exitcode != 0:
                self.troubles.append(f"a process of clients did not end well ({client.exitcode})")

    def sleep_until(self, at):
        while (left := at - time.monotonic()) > 0:
            self.alive()
            time.sleep(min(left, 1))

    def alive(self):
        assert self.house.process.alive(), f"the server ended with {self.house.process.popen.returncode}"
        for process in self.processes:
            assert process.is_alive() or process in self.clients and self.ending.is_set(), "a process of the soak has ended"

    def tell(self):
        last = self.watch.samples[-1] if self.watch.samples else self.rest
        say(f"{time.monotonic() - self.begun:5.0f} s: {sum(self.tally):,} letters accepted or refused, {sum(self.killed.values())} roles killed, "
            f"{self.house.reloads} reloads, {len(self.bulk.told)} bursts; "
            + ", ".join(f"{role} {kb / 1024:.1f}" for role, kb in sorted(last.own_kb.items())) + f" MB; queue {last.queue_kb / 1024:.0f} MB")

    # -- the end -------------------------------------------------------------------------------------

    def drain(self):
        """The next hops come to their senses, and the queue empties."""
        self.calm.value = 1
        patience = max(120, 2 * self.o.give_up) + self.o.minutes * 10
        begin, told = time.monotonic(), 0
        while rows := self.house.queue_list():
            self.alive()
            left = time.monotonic() - begin
            if left > patience:
                self.troubles.append(f"{len(rows)} recipients are still in the queue after {patience:.0f} s without load, the first: {rows[0]}")
                break
            if left > told:
                say(f"drain: {len(rows):,} recipients in the queue")
                told += TELL_EVERY_S
            time.sleep(0.2)
        return rows

    def queued(self, rows):
        """Letters' names are in their recipients, but for mailboxes: those are looked up."""
        found = set()
        for row in rows:
            name = row["recipient"].partition(".")[0]
            if row["recipient"].endswith("@example.test"):
                shown = self.house.queue("show", "--body", row["id"], status=None)
                name = shown.partition("X-Soak: ")[2].partition(" ")[0]
            found.add((name, row["recipient"]))
        return found

    def end(self):
        queued = self.queued(self.drain())
        self.watch.stop()
        self.hops.kill()  # who is kept for later letters is let go of as well
        self.bursts.kill()
        self.took, troubles = judge_bursts(read(self.burst_journals), self.bulk.told)
        self.troubles += troubles
        self.troubles += self.come_to_rest()
        self.read_log()
        try:
            self.house.stop()
        except AssertionError as trouble:
            self.troubles.append(str(trouble)[:2000])
        self.done.set()
        self.boxes.join(300)
        if self.boxes.exitcode != 0:
            self.troubles.append("the mailboxes could not be read to their end")
        ledger = Ledger(read(self.journals), queued)
        troubles, self.counts = ledger.judge()
        self.troubles += troubles

    def come_to_rest(self):
        """What is kept open for a while is closed some time."""
        say("drain: the queue is empty; now all come to rest")
        end = time.monotonic() + REST_S
        while True:
            self.at_rest = watch.sample(self.house)
            troubles = watch.descriptors(self.rest, self.at_rest)
            if not troubles or time.monotonic() > end:
                return troubles
            time.sleep(0.2)

    def read_log(self):
        deaths, self.events = [], collections.Counter()
        for line in self.house.log_lines():
            words = line.split(" ", 3)
            if len(words) > 2:
                self.events[words[2]] += 1
            if " role-died " in line:
                deaths.append(line.strip())
            elif " queue-damaged " in line or " trouble " in line or any(mark in line for mark in SANITIZER_MARKS):
                self.troubles.append(line.strip()[:400])
        others = [line for line in deaths if "signal 9" not in line]
        self.troubles += [f"a role died by itself: {line}" for line in others]
        if len(deaths) - len(others) > sum(self.killed.values()):
            self.troubles.append(f"{len(deaths)} roles died of signal 9, and we have killed {sum(self.killed.values())}")

    # -- the verdict ---------------------------------------------------------------------------------

    def table(self):
        rows, troubles, self.is_judged = watch.steady(self.watch.samples, *self.judged)
        self.troubles += troubles
        lines = [["", "first half", "second half", "most ever", "at rest, before", "and after", "descriptors: most", "at rest", "killed"]]
        for what, first, second, most in rows:
            number = lambda v: "-" if v is None else f"{v:,.0f} KB"
            line = [what, number(first), number(second), number(most)]
            if what in self.rest.own_kb:
                line += [number(self.rest.own_kb[what]), number(self.at_rest.own_kb.get(what)),
                         str(max(s.fds.get(what, 0) for s in self.watch.samples)), str(self.at_rest.fds[what]), str(self.killed[what])]
            else:
                line += [number(getattr(at, f"{what}_kb")) for at in (self.rest, self.at_rest)] + ["-"] * 3
            lines.append(line)
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        for number, line in enumerate(lines):
            say("| " + " | ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths))) + " |")
            if number == 0:
                say("| " + " | ".join("-" * w for w in widths) + " |")
        say("Memory of its own after the last kill and a tenth of the run, in two halves: medians. "
            + (f"More than {watch.GROWTH_SHARE:.0%} and {watch.GROWTH_KB} KB above the first is a failure." if self.is_judged
               else "Too short to be judged."))

    def verdict(self):
        c = self.counts
        say(f"\n{self.o.minutes:g} minutes, seed {self.o.seed}: {sum(self.tally):,} letters of honest clients, and {self.bulk.accepted:,} in "
            f"{len(self.bulk.told)} bursts; {sum(self.killed.values())} roles killed, {self.house.reloads} reloads")
        say(f"recipients accepted: {c['accepted']:,}; delivered {c['taken']:,}, delivered to a hop that cut off its 250 {c['cut']:,}, "
            f"returned to the sender {c['returned']:,}, still queued {c['queued']:,}, lost {c['LOST']:,}")
        say("beside that: " + (", ".join(f"{word} {n:,}" for word, n in sorted(c.items())
                                         if word not in ("accepted", "taken", "cut", "returned", "queued", "LOST")) or "nothing"))
        say(f"bursts: {self.bulk.accepted:,} accepted, {self.bulk.open:,} without a 250; {self.took:,} different ones at the next hop\n")
        self.table()
        if c["accepted"] == 0 or c["taken"] == 0:
            self.troubles.append("nothing was accepted or delivered: this run says nothing")
        for trouble in self.troubles[:40]:
            say(f"WRONG: {trouble}")
        if len(self.troubles) > 40:
            say(f"WRONG: and {len(self.troubles) - 40} more")
        grows = "and nothing grows" if self.is_judged else "whether anything grows was not judged"
        say(f"\nsoak: {'FAILED' if self.troubles else f'passed: every recipient is accounted for, {grows}'}")
        return 1 if self.troubles else 0


def main():
    o = options_of(sys.argv[1:])
    need_root("a soak, with the server's own accounts,")
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sealpost-soak-", dir=o.folder))
    folder.chmod(0o755)
    status = 1
    try:
        own_network()
        make_accounts(folder)
        soak = Soak(o, folder)
        try:
            soak.start()
            soak.load()
            soak.end()
            status = soak.verdict()
        except KeyboardInterrupt:
            say("\nsoak: stopped by Ctrl-C: nothing is judged")
            status = STOPPED
        except BaseException:
            if soak.house.process:
                say("".join(list(soak.house.log_lines())[-40:]))
            raise
        finally:
            for process in soak.processes:
                process.kill()
    finally:
        if o.keep or status not in (0, STOPPED):
            say(f"journals and logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before it began, or while it was stopped
        sys.exit(STOPPED)
