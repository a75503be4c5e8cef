# SPDX-License-Identifier: ISC
"""Ceilings on connections, TLS on port 25, a server that runs as an ordinary user."""
import os
import pwd
import shutil

import harness
from harness import Sealpost, letter
from harness.raw import Gone, Raw

JADA = ("jada", Sealpost.PASSWORDS["jada"])


class Limits(harness.Scenario):
    def test_connections_of_one_client(self):
        server = self.start(Sealpost(self.folder, limits="connections-per-client 3"))
        held = [Raw(server.port_mx) for _ in range(3)]
        try:
            refused = Raw(server.port_mx, hello=None)
            self.assertEqual(refused.greeting[0], 421)
            refused.close()
            held.pop().close()
            again = harness.wait_until(lambda: self.greeted(server), "room for another")
            held.append(again)
        finally:
            for connection in held:
                connection.close()

    @staticmethod
    def greeted(server):
        try:
            connection = Raw(server.port_mx, hello=None)
        except (OSError, Gone):
            return None
        if connection.greeting[0] == 220:
            return connection
        connection.close()
        return None

    def test_tls_required_on_25(self):
        server = self.start(Sealpost(self.folder, mx="tls required"))
        with Raw(server.port_mx) as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 530, "STARTTLS")
        with Raw(server.port_mx, server.authority, "starttls") as client:
            client.expect("MAIL FROM:<a@elsewhere.test>", 250)

    def test_several_fronts(self):
        server = self.start(Sealpost(self.folder, fronts=3))
        self.assertEqual(len([r for r in server.roles() if r.startswith("front")]), 3)
        for _ in range(6):
            message = letter()
            with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
                client.mail("jada@example.test", "sam@example.test")
                self.assertEqual(client.data(message.as_bytes())[0], 250)
            server.wait_for_letter(message["Subject"])


class OrdinaryUser(harness.Scenario):
    """Started without root it runs everything as the caller, on high ports, and says so."""

    def test_as_nobody(self):
        nobody = pwd.getpwnam("nobody")
        server = Sealpost(self.folder)
        # The tree may lie where nobody cannot go.
        server.program = shutil.copy(server.program, server.folder / "program")
        for path in [server.folder, *server.folder.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        server.user = "nobody"
        self.start(server)
        self.assertRegex(server.lines("starting")[0], "as=.*nobody|without root|caller")
        message = letter()
        with Raw(server.port_submissions, server.authority, "implicit", login=JADA) as client:
            client.mail("jada@example.test", "sam@example.test", "one@there.test")
            self.assertEqual(client.data(message.as_bytes())[0], 250)
        server.wait_for_letter(message["Subject"])
        self.assertEqual(len(server.queue_list()), 1)
        for role, pid in server.roles().items():
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid, nobody.pw_uid, role)

    def test_as_root_no_role_stays_root(self):
        server = self.start(Sealpost(self.folder))
        nobody = pwd.getpwnam("nobody")
        for role, pid in server.roles().items():
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid, nobody.pw_uid, role)

    def test_a_queue_directory_that_was_made_but_not_given_away(self):
        """As a start leaves it that is killed just then."""
        server = Sealpost(self.folder)
        server.spool.mkdir(mode=0o700)
        self.start(server)
        self.assertEqual(server.spool.stat().st_uid, pwd.getpwnam("nobody").pw_uid)


if __name__ == "__main__":
    harness.main()
