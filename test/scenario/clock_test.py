# SPDX-License-Identifier: ISC
"""P8, attack 65: the date is set wrong by years, ahead and back, while the server runs and while it does not. Nothing expires, nothing
stalls."""
import datetime

import harness
from harness import Sealpost, letter, wait_until
from harness.clock import Clocks
from harness.message import unique_id
from harness.ports import free_port
from harness.raw import Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])
YEARS = 10 * 365 * 86400


class Clock(harness.Scenario):
    def begin(self):
        server = Sealpost(self.folder, queue="retry 1s\n    give-up 5d\n    delay-warning 4h", route="otherwise relay hop",
                          extra=f"relay hop {{\n host 127.0.0.1:{free_port()}\n}}")
        self.clocks = Clocks(server.folder, server.program)
        server.program = self.clocks.program
        self.start(server)
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "one@there.test")
            self.assertEqual(client.data(letter(to="one@there.test").as_bytes())[0], 250)
        self.goes_on(server)
        return server

    def jump(self, seconds):
        self.clocks.set(wall_s=seconds)

    def goes_on(self, server):
        """Two more attempts, no notice, and mail for here arrives."""
        before = len(server.lines("deferred"))
        subject = f"letter {unique_id()}"
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test")
            self.assertEqual(client.data(letter(subject=subject).as_bytes())[0], 250)
        server.wait_for_letter(subject)
        wait_until(lambda: len(server.lines("deferred")) >= before + 2, "two more attempts")
        self.assertEqual(server.letters("jada"), [])  # neither returned nor called late
        rows = server.queue_list()
        self.assertEqual([r["recipient"] for r in rows], ["one@there.test"])
        self.assertIn(rows[0]["state"], ("queued", "leased"))

    def year(self, server):
        return int(server.queue_list()[0]["arrived"][:4])

    def test_attack_65_jumps_while_it_runs(self):
        server = self.begin()
        for seconds in (YEARS, -YEARS, 0):
            with self.subTest(seconds):
                self.jump(seconds)
                self.goes_on(server)
        self.assertTrue(any("clock has jumped" in line for line in server.lines("trouble")))

    def test_attack_65_jumps_between_two_runs(self):
        server = self.begin()
        real = datetime.date.today().year
        for seconds in (YEARS, -YEARS, 0):
            with self.subTest(seconds):
                server.stop()
                self.jump(seconds)
                server.start()
                self.goes_on(server)
                wrong = real + seconds // (365 * 86400)
                self.assertIn(self.year(server), (wrong - 1, wrong, wrong + 1))  # the queue goes with the new date

    def test_attack_65_a_jump_and_then_a_restart(self):
        server = self.begin()
        for seconds in (YEARS, 0):
            with self.subTest(seconds):
                self.jump(seconds)
                self.goes_on(server)
                server.stop()
                server.start()
                self.goes_on(server)


if __name__ == "__main__":
    harness.main()
