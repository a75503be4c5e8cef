/* SPDX-License-Identifier: ISC */
/*
 * proto/smtp/server_say.h -- every reply that the server core gives of its own accord, in one table.
 *
 * What a policy says (no such user, relaying denied) comes from the owner through answer(). A test
 * plays dialogues until every row has been said.
 *
 * Source   RFC 5321 4.2, RFC 3463, RFC 2034 4 (3yz, the greeting and EHLO carry no status), RFC 4954 6,
 *          RFC 6531 3.5, RFC 5248.
 * Tests    test/talk/smtp-server, fuzz/smtp_server.c
 */
#ifndef PROTO_SMTP_SERVER_SAY_H
#define PROTO_SMTP_SERVER_SAY_H

#include "mail/reply.h"

/* SAY(enumerator, code, class, subject, detail, text) */
#define SMTP_SERVER_SAYS(SAY)                                                                                          \
	SAY(SAY_HELP, 214, 2, 0, 0,                                                                                    \
	    "Commands: EHLO HELO LHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET VRFY NOOP QUIT HELP")                     \
	SAY(SAY_GREETING, 220, 0, 0, 0, "")                                                                            \
	SAY(SAY_TLS_GO, 220, 2, 0, 0, "Go ahead with TLS")                                                             \
	SAY(SAY_BYE, 221, 2, 0, 0, "Goodbye")                                                                          \
	SAY(SAY_LOGGED_IN, 235, 2, 7, 0, "Logged in")                                                                  \
	SAY(SAY_HELLO, 250, 0, 0, 0, "")                                                                               \
	SAY(SAY_DONE, 250, 2, 0, 0, "Ok")                                                                              \
	SAY(SAY_SENDER_OK, 250, 2, 1, 0, "Ok")                                                                         \
	SAY(SAY_RCPT_OK, 250, 2, 1, 5, "Ok")                                                                           \
	SAY(SAY_VRFY, 252, 2, 0, 0, "Addresses are not confirmed here: send the message and see")                      \
	SAY(SAY_CHALLENGE, 334, 0, 0, 0, "")                                                                           \
	SAY(SAY_GO_AHEAD, 354, 0, 0, 0, "Send the message, end it with <CR><LF>.<CR><LF>")                             \
	SAY(SAY_TIMED_OUT, 421, 4, 4, 2, "Nothing came for too long: closing")                                         \
	SAY(SAY_TOO_SLOW, 421, 4, 4, 2, "The message comes too slowly: closing")                                       \
	SAY(SAY_SESSION_OVER, 421, 4, 4, 2, "This session has lasted long enough: connect again")                      \
	SAY(SAY_SHUTTING_DOWN, 421, 4, 3, 2, "Shutting down: try again in a minute")                                   \
	SAY(SAY_TOO_MANY_ERRORS, 421, 4, 7, 0, "Too many errors: closing")                                             \
	SAY(SAY_TOO_MANY_COMMANDS, 421, 4, 7, 0, "Too many commands without a message: closing")                       \
	SAY(SAY_TOO_MANY_LOGINS, 421, 4, 7, 0, "Too many failed logins: closing")                                      \
	SAY(SAY_TOO_MANY_RCPTS, 452, 4, 5, 3, "Too many recipients: send the others in another message")               \
	SAY(SAY_UNKNOWN, 500, 5, 5, 1, "Unknown command")                                                              \
	SAY(SAY_LINE_TOO_LONG, 500, 5, 5, 2, "The line is too long")                                                   \
	SAY(SAY_BAD_BYTES, 500, 5, 5, 2, "Control bytes have no place in a command")                                   \
	SAY(SAY_BARE_LF, 500, 5, 5, 2, "A line ends with CR LF, never with LF alone")                                  \
	SAY(SAY_BARE_CR, 500, 5, 5, 2, "A line ends with CR LF, never with CR alone")                                  \
	SAY(SAY_AUTH_LINE_TOO_LONG, 500, 5, 5, 6, "The line is too long for a login")                                  \
	SAY(SAY_BAD_SENDER, 501, 5, 1, 7, "This is no sender address: MAIL FROM:<name@domain>")                        \
	SAY(SAY_BAD_RCPT, 501, 5, 1, 3, "This is no recipient address: RCPT TO:<name@domain>")                         \
	SAY(SAY_MAIL_SYNTAX, 501, 5, 5, 4, "Say MAIL FROM:<name@domain>")                                              \
	SAY(SAY_RCPT_SYNTAX, 501, 5, 5, 4, "Say RCPT TO:<name@domain>")                                                \
	SAY(SAY_HELLO_SYNTAX, 501, 5, 5, 4, "Say who you are: a host name or [address]")                               \
	SAY(SAY_NO_ARGUMENT, 501, 5, 5, 4, "This command takes no argument")                                           \
	SAY(SAY_NEEDS_ARGUMENT, 501, 5, 5, 4, "This command needs an argument")                                        \
	SAY(SAY_BAD_PARAMETER, 501, 5, 5, 4, "A parameter is written wrongly")                                         \
	SAY(SAY_TWICE, 501, 5, 5, 4, "A parameter is given twice")                                                     \
	SAY(SAY_NO_BINARYMIME, 501, 5, 6, 1, "BINARYMIME is not offered here: send BODY=8BITMIME")                     \
	SAY(SAY_BDAT_SYNTAX, 501, 5, 5, 4, "Say BDAT and a number of octets, then LAST for the last chunk")            \
	SAY(SAY_AUTH_SYNTAX, 501, 5, 5, 4, "Say AUTH and a mechanism, then a response in base64")                      \
	SAY(SAY_AUTH_BASE64, 501, 5, 5, 2, "This is not base64: the login is cancelled")                               \
	SAY(SAY_AUTH_CANCELLED, 501, 5, 0, 0, "The login is cancelled")                                                \
	SAY(SAY_NO_EXPN, 502, 5, 5, 1, "EXPN is not offered here")                                                     \
	SAY(SAY_NO_AUTH, 502, 5, 5, 1, "AUTH is not offered here: log in at port 465 or 587")                          \
	SAY(SAY_NO_TLS, 502, 5, 5, 1, "STARTTLS is not offered here")                                                  \
	SAY(SAY_HELLO_FIRST, 503, 5, 5, 1, "Say EHLO first")                                                           \
	SAY(SAY_LHLO_FIRST, 503, 5, 5, 1, "Say LHLO first")                                                            \
	SAY(SAY_MAIL_FIRST, 503, 5, 5, 1, "Say MAIL first")                                                            \
	SAY(SAY_RCPT_FIRST, 503, 5, 5, 1, "Name a recipient with RCPT first")                                          \
	SAY(SAY_IN_MAIL, 503, 5, 5, 1, "A message is under way: finish it, or say RSET")                               \
	SAY(SAY_MIXED, 503, 5, 5, 1, "A message begun with BDAT goes on with BDAT: it is dropped now")                 \
	SAY(SAY_TLS_ALREADY, 503, 5, 5, 1, "TLS is on already")                                                        \
	SAY(SAY_AUTH_ALREADY, 503, 5, 5, 1, "You are logged in already")                                               \
	SAY(SAY_NO_MECHANISM, 504, 5, 5, 4, "This login mechanism is not offered here")                                \
	SAY(SAY_TLS_FIRST, 530, 5, 7, 0, "Say STARTTLS first")                                                         \
	SAY(SAY_AUTH_FIRST, 530, 5, 7, 0, "Log in with AUTH first")                                                    \
	SAY(SAY_AUTH_NEEDS_TLS, 538, 5, 7, 11, "A login needs TLS: say STARTTLS first")                                \
	SAY(SAY_TEXT_LINE, 550, 5, 6, 0, "A line of the message is too long: send it as quoted-printable or base64")   \
	SAY(SAY_BARE_IN_TEXT, 550, 5, 6, 11, "The message holds a bare CR, a bare LF or a NUL: lines end with CR LF")  \
	SAY(SAY_TOO_BIG, 552, 5, 3, 4, "The message is too big for this server")                                       \
	SAY(SAY_NEEDS_SMTPUTF8, 553, 5, 6, 7, "An address beyond ASCII needs SMTPUTF8 in MAIL")                        \
	SAY(SAY_TOO_EARLY, 554, 5, 5, 0, "You spoke before it was your turn: closing")                                 \
	SAY(SAY_NOT_TLS_PORT, 554, 5, 7, 0,                                                                            \
	    "This port starts in clear text: choose STARTTLS in the client, or port 465 for SSL/TLS")                  \
	SAY(SAY_NOT_HTTP, 554, 5, 7, 0, "This is a mail server, not a web server: closing")                            \
	SAY(SAY_UNKNOWN_PARAMETER, 555, 5, 5, 4, "A parameter is not known here")

#define SMTP_SAY_ENUM(name, code, c, s, d, text) name,
enum smtp_say { SAY_NOTHING, SMTP_SERVER_SAYS(SMTP_SAY_ENUM) SAY_COUNT };

struct smtp_reply smtp_say(enum smtp_say what);

#endif
