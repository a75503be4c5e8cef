# SPDX-License-Identifier: ISC
"""Letters to send, and what comes back."""
import email
import email.message
import email.policy
import email.utils
import itertools
import os

_numbers = itertools.count(1)


def unique_id():
    return f"{os.getpid()}-{next(_numbers)}"


def letter(sender="jada@example.test", to="sam@example.test", subject=None, body="Hello,\n\nsealed.\n", **headers):
    """A message with a Subject that no other has, by which it is found again."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = sender, to
    message["Subject"] = subject or f"letter {unique_id()}"
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid(domain="client.test")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def subject_of(path):
    """Reads no more than the header may need: some letters of the tests are large."""
    with open(path, "rb") as f:
        return email.message_from_bytes(f.read(64 << 10), policy=email.policy.default)["Subject"]


def parse(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


class Bounce:
    """A multipart/report (RFC 6522) as Python's email package sees it."""

    def __init__(self, message):
        assert message.get_content_type() == "multipart/report", message.get_content_type()
        assert message.get_param("report-type") == "delivery-status", message["Content-Type"]
        parts = list(message.iter_parts())
        assert len(parts) in (2, 3), [p.get_content_type() for p in parts]
        assert parts[1].get_content_type() in ("message/delivery-status", "message/global-delivery-status")
        self.message, self.text = message, parts[0].get_content()
        blocks = parts[1].get_payload()
        self.about_message, self.recipients = blocks[0], blocks[1:]
        self.returned = parts[2] if len(parts) == 3 else None


def parse_bounce(raw):
    return Bounce(parse(raw) if isinstance(raw, bytes) else raw)
