# SPDX-License-Identifier: ISC
"""The steps of each role's work on a message, for `make profile PROFILE=--steps`: a sample of the processor's time belongs to the first
step of its role that names any function of its stack. test/house/steps_test.py holds the names to the code."""

LOG = ("the log", ("log_facts",))
LOOP = ("asking the kernel what is ready", ("epoll_wait", "epoll_pwait"))
REST = "the rest"


def messages(neighbours):
    """What passes between processes: system calls, encoding, decoding."""
    return f"messages from and to {neighbours}", ("write_some", "read_some", "channel_send_fd", "take_incoming")


STEPS = {
    "front": (
        ("the signature, asked of the keeper", ("channel_ask",)),
        ("the TLS handshake", ("tls_shake", "tls_session_new", "session_shake", "shaken")),
        ("a connection taken, and ended", ("session_abandon", "session_new", "socket_accept", "stream_close")),
        LOG,
        messages("spool and keeper"),
        ("reading from the client", ("stream_read",)),
        ("writing to the client", ("stream_write",)),
        ("decrypting", ("tls_feed", "tls_read")),
        ("encrypting", ("tls_write",)),
        ("header block and Received line", ("header_whole", "find_end", "send_header")),
        ("SMTP: commands, content, replies", ("drain_events", "smtp_server_feed", "smtp_server_next", "smtp_server_answer", "intake_on_spool")),
        LOOP,
    ),
    "spool": (
        LOG,
        ("history", ("record_verdicts", "record_held", "record_flush", "take_story")),
        messages("fronts and workers"),
        ("content: written", ("draft_record", "content_is_written")),
        ("content: flushed", ("content_log_sync",)),
        ("content: files made ready ahead of use, and used again", ("sqlite_tidy",)),
        ("content: read back", ("sqlite_content",)),
        ("database: rows added", ("add_message",)),
        ("database: rows removed or changed", ("settle",)),
        ("database: committed and flushed", ("transaction_end",)),
        ("leases, and the jobs made of them", ("spool_schedule",)),
        ("envelopes, checked anew", ("on_front",)),
        ("outcomes and content's credit", ("on_worker", "pump")),
        LOOP,
    ),
    "courier": (
        ("the TLS handshake", ("tls_shake", "tls_session_new")),
        ("a connection made, and ended", ("socket_connect", "visit_free", "stream_close")),
        LOG,
        messages("the spool"),
        ("reading from the next server", ("stream_read",)),
        ("writing to the next server", ("stream_write",)),
        ("decrypting", ("tls_feed", "tls_read")),
        ("encrypting", ("tls_write",)),
        ("SMTP: commands, content, replies", ("smtp_client_feed", "smtp_client_body", "smtp_client_mail", "smtp_client_body_end", "job_give_body")),
        ("evidence: what was said, and how it was protected", ("tell_outcome", "evidence_visit", "story_add")),
        ("route: hosts, addresses, protection", ("targets_find", "visit_start", "job_next")),
        LOOP,
    ),
    "keeper": (
        ("the signature", ("keys_sign",)),
        messages("the fronts"),
        LOOP,
    ),
}


def step_of(role, stack):
    """stack: names of functions, without what the compiler puts behind them."""
    for step, functions in STEPS.get(role, ()):
        if not stack.isdisjoint(functions):
            return step
    return REST
