# SPDX-License-Identifier: ISC
"""A thousand destinations of which half never answer, or answer slowly: the other half does not notice."""
import os
import pathlib
import tempfile
import time
import unittest

import harness
from harness import Sealpost
from harness.network import own_network
from harness.raw import Raw
from harness.village import BlackHole, Village
from harness.zone import Zones

JADA = ("jada", Sealpost.PASSWORDS["jada"])
DESTINATIONS = int(os.environ.get("DEAD_HOSTS_DESTINATIONS", "1000"))
LETTERS = int(os.environ.get("DEAD_HOSTS_LETTERS", "2"))  # to each of them
SLOW_S = 20
FULL = "DEAD_HOSTS_FULL" in os.environ  # make shaping: how much the others notice, in figures


def setUpModule():
    own_network()


def place(n, network):
    return f"127.{network}.{n // 250}.{1 + n % 250}"


class DeadHosts(harness.Scenario):
    def begin(self, living, others, slow=(), slow_s=SLOW_S, program=None):
        """living, others: numbers of destinations that answer, and of such that do not, or slowly."""
        living_at = {n: place(n, 10) for n in living}
        others_at = {n: place(n, 20) for n in others}
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        zones = Zones(folder)
        zone = zones.zone("there.test", secure=False)
        for n, address in {**living_at, **others_at}.items():
            zone.mx(f"d{n}", f"mx.d{n}.there.test").a(f"mx.d{n}", address)
        self.village = self.start(Village([*living_at.values(), *(others_at[n] for n in slow)],
                                          {others_at[n]: slow_s for n in slow}))
        self.start(BlackHole())
        self.start(zones)
        self.server = self.start(Sealpost(
            folder, route="otherwise direct", direct="family ipv4\n    allow-loopback yes\n    tls opportunistic",
            limits="recipients 1000", program=program,
            extra=f"resolver {{\n    server {zones.server}\n    trust-anchor {zones.anchor}\n}}\n"))
        self.living_at, self.others_at = living_at, others_at

    def send(self, *destinations):
        """One letter to each of these, in this order."""
        with Raw(self.server.port_submissions, self.server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", *(f"sam@d{n}.there.test" for n in destinations))
            self.assertEqual(client.data("Subject: x\r\n\r\nx\r\n")[0], 250)

    def living_have(self, letters):
        return sum(self.village.taken[address] for address in self.living_at.values()) >= letters * len(self.living_at)

    def gave_up(self):
        """Connections whose time was over."""
        return [line for line in self.server.lines("attempt") if "host-failed" in line]

    def run_once(self, half_is_dead, program=None):
        """How long it takes until the living have everything."""
        everybody = range(DESTINATIONS)
        living, dead = everybody[::2], everybody[1::2]
        self.begin(living, dead, program=program)
        began = time.monotonic()
        for _ in range(LETTERS):
            self.send(*(everybody if half_is_dead else living))
        harness.wait_until(lambda: self.living_have(LETTERS), "the letters for the living")
        return time.monotonic() - began

    def test_half_of_a_thousand_is_dead(self):
        self.run_once(True)
        # Nothing had to end before others could begin: the dead are still being waited for.
        self.assertEqual(self.gave_up(), [])
        waiting = self.server.queue_list()
        self.assertEqual(len(waiting), LETTERS * (DESTINATIONS // 2))
        self.assertTrue(all(row["last_reply"] == "" for row in waiting))

    def test_slow_ones_hold_up_nobody(self):
        """Each of their replies takes so long that a letter to them takes minutes."""
        everybody = range(DESTINATIONS // 2)
        living, slow = everybody[::2], everybody[1::2]
        self.begin(living, slow, slow=slow)
        for _ in range(LETTERS):
            self.send(*everybody)
        harness.wait_until(lambda: self.living_have(LETTERS), "the letters for the living")
        self.assertEqual(sum(self.village.taken.values()), LETTERS * len(living))
        self.assertEqual(self.gave_up(), [])
        self.server.expect_dead = True  # else each of them would be waited for
        self.server.kill()

    @unittest.skipUnless(FULL, "make shaping")
    def test_tarpits_give_way(self):
        """More than there are places for new destinations; a letter to each takes them four minutes and more."""
        living, tarpits = range(2000, 2001), range(2000)
        self.begin(living, tarpits, slow=tarpits, slow_s=50)
        self.send(*tarpits[:1000])
        self.send(*tarpits[1000:])
        harness.wait_until(lambda: sum(row["state"] == "leased" for row in self.server.queue_list()) >= 1500, "all the places taken")
        began = time.monotonic()
        self.send(*living)
        harness.wait_until(lambda: self.living_have(1), "the letter for the living")
        print(f"2000 tarpits before it: {time.monotonic() - began:.0f} s")
        self.assertEqual(sum(self.village.taken.values()), 1)
        self.server.expect_dead = True
        self.server.kill()

    @unittest.skipUnless(FULL, "make shaping")
    def test_rates(self):
        """Two runs, one without the dead; printed, not judged."""
        took_s = {}
        for half_is_dead in (False, True, False, True):
            took_s.setdefault(half_is_dead, []).append(self.run_once(half_is_dead))
            self.stop_all()
        letters = LETTERS * DESTINATIONS // 2
        for half_is_dead, what in ((False, "without the dead"), (True, "with as many that never answer")):
            best = min(took_s[half_is_dead])
            print(f"{what:32} {letters} letters to {DESTINATIONS // 2} destinations in {best:5.1f} s: {letters / best:6.0f}/s")

    def stop_all(self):
        while self.started:
            self.started.pop().stop()


if __name__ == "__main__":
    harness.main()
