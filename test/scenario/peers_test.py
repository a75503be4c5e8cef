# SPDX-License-Identifier: ISC
"""The peers themselves: that each can be started, spoken to and stopped, without Sealpost."""
import smtplib
import ssl

import harness
from harness.certificates import Authority
from harness.peers import Dovecot, Exim, Nsd, Postfix


class Peers(harness.Scenario):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder)
        self.cert, self.key = self.authority.issue("localhost", "127.0.0.1")
        self.files = (self.cert, self.key, self.authority.cert)

    def hand_in(self, port, to):
        letter = harness.letter(to=to)
        context = ssl.create_default_context(cafile=self.authority.cert)
        with smtplib.SMTP("localhost", port, timeout=30) as client:
            client.starttls(context=context)
            client.send_message(letter)
        return letter

    def test_postfix_takes_a_letter(self):
        postfix = self.start(Postfix(self.folder, *self.files))
        letter = self.hand_in(postfix.port, "anybody@postfix.test")
        postfix.wait_for_letter(letter["Subject"])

    def test_exim_takes_a_letter(self):
        exim = self.start(Exim(self.folder, *self.files))
        letter = self.hand_in(exim.port, "anybody@exim.test")
        exim.wait_for_letter(letter["Subject"])

    def test_postfix_sends_to_exim(self):
        exim = self.start(Exim(self.folder, *self.files))
        postfix = self.start(Postfix(self.folder, *self.files, relayhost=f"[localhost]:{exim.port}"))
        letter = self.hand_in(postfix.port, "anybody@exim.test")
        exim.wait_for_letter(letter["Subject"])

    def test_exim_sends_to_postfix(self):
        postfix = self.start(Postfix(self.folder, *self.files))
        exim = self.start(Exim(self.folder, *self.files, next_hop=postfix.port))
        letter = self.hand_in(exim.port, "anybody@postfix.test")
        postfix.wait_for_letter(letter["Subject"])

    def test_dovecot_takes_a_letter(self):
        dovecot = self.start(Dovecot(self.folder))
        for address, port in (("127.0.0.1", dovecot.port), (str(dovecot.socket), None)):
            letter = harness.letter(to="sam@dovecot.test")
            with smtplib.LMTP(address, port) as client:
                client.send_message(letter)
            dovecot.wait_for_letter(letter["Subject"])

    def test_nsd_serves_a_signed_zone(self):
        nsd = self.start(Nsd(self.folder, {"signed.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"}, signed=["signed.test"]))
        text = self.run_program("drill", "-D", "-p", nsd.port, "@127.0.0.1", "signed.test", "MX")
        self.assertIn("RRSIG", text)
        self.assertIn("signed.test.\tIN\tDS", nsd.anchor.read_text())


if __name__ == "__main__":
    harness.main()
