/* SPDX-License-Identifier: ISC */
#include "proto/dsn/dsn.h"

#include "base/check.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "proto/dsn/evidence.h"

enum {
	WIDTH = 76,              /* of the text for people and of folded fields */
	LINE_MAX = 998,
	FOREIGN_MAX = 2000,      /* of one foreign string */
	DIALOGUES_MAX = 10,      /* the first ones only: a thousand recipients fail alike */
	DIALOGUE_LINES_MAX = 60,
	EVIDENCE_MAX = 16 << 10,
};

/* Where the notice is written. The first failure sticks, and everything after it does nothing. */
struct writer {
	struct buf *out;
	bool utf8;               /* foreign strings may keep their UTF-8 */
	fault failed;
};

static void put(struct writer *w, struct str s)
{
	if (w->failed == OK)
		w->failed = buf_add(w->out, s);
}

static void line(struct writer *w, const char *text)
{
	put(w, str_of(text));
	put(w, STR("\r\n"));
}

/* A foreign string becomes harmless: no control byte, no byte above 126 unless UTF-8 may be written; cut at max. */
static void put_foreign(struct writer *w, struct str s, size_t max)
{
	bool utf8 = w->utf8 && str_is_utf8(s);
	s = utf8 ? str_cut_utf8(s, max) : str_sub(s, 0, max);
	for (size_t i = 0; i < s.n && w->failed == OK; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool bad = c < 32 || c == 127 || (c > 127 && !utf8);
		w->failed = buf_add_char(w->out, bad ? '?' : (char)c);
	}
}

static void put_date(struct writer *w, const struct dsn_facts *facts, int64_t wall_s)
{
	if (w->failed == OK)
		w->failed = date_put(w->out, wall_s, facts->zone_minutes);
}

/* Words, wrapped at WIDTH, each line after `indent`. column: where the line that is begun ends, 0 for a new one. A
 * word that fits on no line stands alone and is cut. */
static void put_wrapped(struct writer *w, struct str text, const char *indent, size_t column)
{
	struct str word;
	size_t indent_n = str_of(indent).n;
	bool fresh = column == 0;
	if (fresh) {
		put(w, str_of(indent));
		column = indent_n;
	}
	for (; str_take_word(&text, &word); fresh = false) {
		if (word.n > LINE_MAX / 2)
			word.n = LINE_MAX / 2;
		if (!fresh && column + 1 + word.n > WIDTH) {
			put(w, STR("\r\n"));
			put(w, str_of(indent));
			column = indent_n;
		} else if (!fresh) {
			put(w, STR(" "));
			column++;
		}
		put_foreign(w, word, word.n);
		column += word.n;
	}
	put(w, STR("\r\n"));
}

static void paragraph(struct writer *w, const char *text)
{
	put_wrapped(w, str_of(text), "", 0);
}

/* -- what is said about a recipient ----------------------------------------------------------- */

static bool is_success(enum dsn_kind kind)
{
	return kind == DSN_DELIVERED || kind == DSN_RELAYED || kind == DSN_EXPANDED;
}

/* RFC 3464 2.3.4 wants one, whatever the other side has said. */
static struct status status_of(const struct dsn_rcpt *r)
{
	struct status s = r->reply.status;
	if (is_success(r->kind))
		return s.class == 2 ? s : (struct status){ 2, 0, 0 };
	if (s.class == 4 || s.class == 5)
		return s;
	bool for_now = r->kind == DSN_DELAYED || r->reply.code / 100 == 4;
	return (struct status){ for_now ? 4 : 5, 0, 0 };
}

static size_t count_kind(const struct dsn_facts *facts, enum dsn_kind kind, const struct dsn_rcpt **first)
{
	size_t n = 0;
	for (size_t i = 0; i < facts->n_rcpts; i++) {
		bool same = facts->rcpts[i].kind == kind || (is_success(kind) && is_success(facts->rcpts[i].kind));
		if (same && n++ == 0)
			*first = &facts->rcpts[i];
	}
	return n;
}

/* As the sender knows the recipient: what was written, not what an alias made of it. */
static struct str known_as(const struct dsn_rcpt *r)
{
	return r->original.n > 0 ? r->original : r->address;
}

/* -- the header of the notice ------------------------------------------------------------------ */

static void put_subject(struct writer *w, const struct dsn_facts *facts)
{
	static const struct { enum dsn_kind kind; const char *text; } subjects[] = {
		{ DSN_FAILED, "Your message was not delivered to" },
		{ DSN_DELAYED, "Your message is delayed on its way to" },
		{ DSN_DELIVERED, "Your message has reached" },
	};
	const struct dsn_rcpt *first = NULL;
	for (size_t i = 0; i < COUNT(subjects); i++) {
		size_t n = count_kind(facts, subjects[i].kind, &first);
		if (n == 0)
			continue;
		put(w, STR("Subject: "));
		if (facts->for_postmaster)
			put(w, STR("A message without a sender did not reach"));
		else if (subjects[i].kind == DSN_DELIVERED && first->kind == DSN_RELAYED)
			put(w, STR("Your message was passed on towards"));
		else
			put(w, str_of(subjects[i].text));
		put(w, known_as(first).n > 30 ? STR("\r\n ") : STR(" "));
		put_foreign(w, known_as(first), LINE_MAX / 2);
		if (n > 1 && w->failed == OK)
			w->failed = buf_addf(w->out, " and %zu %s", n - 1, n == 2 ? "other" : "others");
		line(w, "");
		return;
	}
	line(w, "Subject: Your message");
}

static struct str or_else(struct str s, struct str other)
{
	return s.n > 0 ? s : other;
}

static void put_address_or(struct writer *w, struct str address, struct str hostname)
{
	bool whole = address.n > 0 && (w->utf8 ? str_is_utf8(address) : str_is_ascii(address));
	if (whole) {
		put_foreign(w, address, LINE_MAX / 2);
		return;
	}
	put(w, STR("postmaster@"));
	put_foreign(w, hostname, LINE_MAX / 2);
}

static void put_header(struct writer *w, const struct dsn_facts *facts, bool eight_bit)
{
	put(w, STR("Date: "));
	put_date(w, facts, facts->now_s);
	put(w, STR("\r\nFrom: Mail Delivery System <"));
	put_address_or(w, facts->postmaster, facts->hostname);
	put(w, STR(">\r\nTo: <"));
	put_address_or(w, facts->to, facts->hostname);
	put(w, STR(">\r\n"));
	put_subject(w, facts);
	put(w, STR("Message-ID: "));
	put_foreign(w, facts->message_id, LINE_MAX / 2);
	line(w, "\r\nAuto-Submitted: auto-replied"); /* RFC 3834 5 */
	line(w, "MIME-Version: 1.0");
	/* RFC 6522 3: the subtype of the second part */
	line(w, facts->smtputf8 ? "Content-Type: multipart/report; report-type=global-delivery-status;"
	                        : "Content-Type: multipart/report; report-type=delivery-status;");
	put(w, STR("\tboundary=\""));
	put_foreign(w, facts->boundary, 70);
	line(w, "\"");
	if (eight_bit)
		line(w, "Content-Transfer-Encoding: 8bit");
	line(w, "");
}

/* -- part one: for people ------------------------------------------------------------------------ */

static void put_lines(struct writer *w, struct str text, const char *indent)
{
	struct str one;
	for (size_t n = 0; n < DIALOGUE_LINES_MAX && str_next_line(&text, &one); n++) {
		put(w, str_of(indent));
		put_foreign(w, one, LINE_MAX - 98);
		line(w, "");
	}
	if (text.n > 0)
		line(w, "      [...]");
}

static void put_reply(struct writer *w, const struct dsn_rcpt *r)
{
	struct buf said;
	buf_init(&said, FOREIGN_MAX + 64);
	struct smtp_reply reply = r->reply;
	reply.text = str_sub(reply.text, 0, FOREIGN_MAX / 4);
	if (w->failed == OK)
		w->failed = reply_put_line(&said, &reply);
	if (r->reply.code != 0) {
		put(w, STR("    "));
		put_foreign(w, or_else(r->host, STR("The other server")), 255);
		line(w, " said:");
	} else if (r->reply.text.n > 0) {
		line(w, "    In detail:");
	}
	if (r->reply.code != 0 || r->reply.text.n > 0)
		put_wrapped(w, buf_view(&said), "      ", 0);
	buf_fini(&said);
}

/* What the story of the attempt has to say: of a success how it was protected, else what stood in the way. */
static void put_story(struct writer *w, const struct dsn_rcpt *r, bool in_detail)
{
	struct buf text;
	struct str all, one;
	buf_init(&text, EVIDENCE_MAX);
	fault f = is_success(r->kind) ? dsn_put_proof(&text, r) : in_detail ? dsn_put_evidence(&text, r) : OK;
	if (f != OK && f != F_LIMIT && w->failed == OK) /* what has no room is left out */
		w->failed = f;
	for (all = buf_view(&text); str_next_line(&all, &one);)
		put_wrapped(w, one, "    ", 0);
	buf_fini(&text);
}

static void put_person_rcpt(struct writer *w, const struct dsn_facts *facts, size_t i)
{
	const struct dsn_rcpt *r = &facts->rcpts[i];
	put(w, STR("\r\n  "));
	put_foreign(w, known_as(r), LINE_MAX / 2);
	if (r->original.n > 0 && !str_eq(r->original, r->address) && !is_success(r->kind)) {
		put(w, STR(" (that is: "));
		put_foreign(w, r->address, LINE_MAX / 3);
		put(w, STR(")"));
	}
	line(w, "");
	put_wrapped(w, dsn_sentence(&r->reply, r->kind), "    ", 0);
	if (!is_success(r->kind))
		put_reply(w, r);
	put_story(w, r, i < DIALOGUES_MAX);
	if (r->protection.n > 0) {
		put(w, STR("    The connection: "));
		put_foreign(w, r->protection, 300);
		line(w, "");
	}
	if (r->kind == DSN_DELAYED && r->retry_until_s > 0) {
		put(w, STR("    We keep trying until "));
		put_date(w, facts, r->retry_until_s);
		line(w, ".");
	}
	if (r->dialogue.n > 0 && i < DIALOGUES_MAX) {
		line(w, "    What the servers said to each other:");
		put_lines(w, r->dialogue, "      ");
	}
}

static void put_person_kind(struct writer *w, const struct dsn_facts *facts, enum dsn_kind kind, const char *intro)
{
	const struct dsn_rcpt *first = NULL;
	if (count_kind(facts, kind, &first) == 0)
		return;
	line(w, "");
	paragraph(w, intro);
	for (size_t i = 0; i < facts->n_rcpts; i++)
		if (facts->rcpts[i].kind == kind || (is_success(kind) && is_success(facts->rcpts[i].kind)))
			put_person_rcpt(w, facts, i);
}

static void put_person(struct writer *w, const struct dsn_facts *facts, bool cut)
{
	put(w, STR("This is the mail system at "));
	put_foreign(w, facts->hostname, 255);
	line(w, ".");
	if (facts->for_postmaster) {
		line(w, "");
		paragraph(w, "You get this as the postmaster: the message below has no sender who could be told. Most likely it "
		             "is a notice of failure itself, and its address was forged.");
	}
	put_person_kind(w, facts, DSN_FAILED, "I am sorry: the message could not be delivered to the addresses below, "
	                                      "and will not be tried again.");
	put_person_kind(w, facts, DSN_DELAYED, "Your message has not reached the addresses below yet. You need not send "
	                                       "it again: I keep trying, and will tell you if it fails.");
	put_person_kind(w, facts, DSN_DELIVERED, "You asked to be told: this is what became of your message.");
	put(w, STR("\r\nThe message came in on "));
	put_date(w, facts, facts->arrived_s);
	line(w, "");
	put(w, STR("and is known here as "));
	put_foreign(w, facts->id, 64);
	put(w, STR(". If you need help, write to\r\n<"));
	put_address_or(w, facts->postmaster, facts->hostname);
	line(w, "> and include this notice.");
	if (facts->returned_lost) {
		line(w, "");
		paragraph(w, facts->returned.n > 0 ? "Not all of your message that should be returned is: the rest could not be read here."
		                                   : "Nothing of your message is returned: it could not be read here.");
	}
	if (!cut)
		return;
	line(w, "");
	paragraph(w, "Only the header lines of your message are returned: its text cannot be "
	             "sent back as it is.");
}

/* -- part two: for programs (RFC 3464 2) --------------------------------------------------------- */

/* A field, folded at its blanks. */
static void put_field(struct writer *w, const char *name, const char *type, struct str value)
{
	put(w, str_of(name));
	put(w, STR(": "));
	put(w, str_of(type));
	size_t column = str_of(name).n + 2 + str_of(type).n;
	if (!str_has(value, ' ')) {
		put_foreign(w, value, LINE_MAX - 98);
		line(w, "");
		return;
	}
	struct str word = STR_NONE;
	(void)str_take_word(&value, &word);
	put_foreign(w, word, LINE_MAX / 2);
	put_wrapped(w, value, " ", column + word.n);
}

static void put_date_field(struct writer *w, const struct dsn_facts *facts, const char *name, int64_t wall_s)
{
	if (wall_s == 0)
		return;
	put(w, str_of(name));
	put(w, STR(": "));
	put_date(w, facts, wall_s);
	line(w, "");
}

static void put_diagnostic(struct writer *w, const struct dsn_rcpt *r)
{
	struct buf said;
	if (is_success(r->kind) || (r->reply.code == 0 && r->reply.text.n == 0))
		return;
	buf_init(&said, FOREIGN_MAX + 64);
	struct smtp_reply reply = r->reply;
	reply.text = str_sub(reply.text, 0, FOREIGN_MAX / 4);
	if (w->failed == OK)
		w->failed = reply_put_line(&said, &reply);
	put_field(w, "Diagnostic-Code", reply.code != 0 ? "smtp; " : "x-sealpost; ", buf_view(&said));
	buf_fini(&said);
}

/* A field of our own: RFC 3464 2.4 lets those begin with X-. */
static void put_receipt(struct writer *w, const struct dsn_rcpt *r)
{
	struct buf text;
	buf_init(&text, FOREIGN_MAX);
	fault f = is_success(r->kind) ? dsn_put_receipt(&text, r) : OK;
	if (w->failed == OK)
		w->failed = f;
	if (buf_view(&text).n > 0)
		put_field(w, "X-Sealpost-Protection", "", buf_view(&text));
	buf_fini(&text);
}

static void put_fields_rcpt(struct writer *w, const struct dsn_facts *facts, const struct dsn_rcpt *r)
{
	static const char *const actions[] = {
		[DSN_FAILED] = "failed", [DSN_DELAYED] = "delayed", [DSN_DELIVERED] = "delivered",
		[DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded",
	};
	struct status status = status_of(r);
	line(w, "");
	if (r->orcpt.n > 0)
		put_field(w, "Original-Recipient", "", r->orcpt);
	put_field(w, "Final-Recipient", w->utf8 && !str_is_ascii(r->address) ? "utf-8; " : "rfc822; ", r->address);
	put_field(w, "Action", "", str_of((unsigned)r->kind < COUNT(actions) ? actions[r->kind] : "failed"));
	put(w, STR("Status: "));
	if (w->failed == OK)
		w->failed = status_put(w->out, status);
	line(w, "");
	if (r->host.n > 0)
		put_field(w, "Remote-MTA", "dns; ", r->host);
	put_diagnostic(w, r);
	put_date_field(w, facts, "Last-Attempt-Date", r->last_attempt_s);
	put_receipt(w, r);
	if (r->kind == DSN_DELAYED)
		put_date_field(w, facts, "Will-Retry-Until", r->retry_until_s);
}

static void put_fields(struct writer *w, const struct dsn_facts *facts)
{
	if (facts->envid.n > 0)
		put_field(w, "Original-Envelope-Id", "", facts->envid);
	put_field(w, "Reporting-MTA", "dns; ", facts->hostname);
	if (facts->id.n > 0)
		put_field(w, "X-Sealpost-Queue-ID", "", facts->id);
	put_date_field(w, facts, "Arrival-Date", facts->arrived_s);
	for (size_t i = 0; i < facts->n_rcpts; i++)
		put_fields_rcpt(w, facts, &facts->rcpts[i]);
}

/* -- part three: what is returned ------------------------------------------------------------------ */

static bool has_eight_bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* May the notice hold bytes above 127? Its envelope says so too, then. */
static bool may_be_eight_bit(const struct dsn_facts *facts)
{
	return facts->smtputf8 || facts->original_8bit;
}

/* Lines ended by CRLF and nothing else, none over 998, no NUL, nothing above 127 unless the notice may hold it: such a
 * message can go out as it is. */
static bool is_sendable(const struct dsn_facts *facts, struct str s)
{
	size_t start = 0;
	if (has_eight_bit(s) && !may_be_eight_bit(facts))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool crlf = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
		if (i - start > LINE_MAX || s.p[i] == '\0' || s.p[i] == '\n' || (s.p[i] == '\r' && !crlf))
			return false;
		if (crlf)
			start = ++i + 1;
	}
	return s.n - start <= LINE_MAX;
}

/* Header lines that cannot go out as they are: cut to length, and what is not allowed replaced. */
static void put_mended(struct writer *w, const struct dsn_facts *facts, struct str headers)
{
	struct writer own = *w;
	struct str one;
	own.utf8 = may_be_eight_bit(facts);
	while (str_next_line(&headers, &one)) {
		put_foreign(&own, one, LINE_MAX - 98);
		line(&own, "");
	}
	w->failed = own.failed;
}

static struct str headers_of(struct str message)
{
	size_t n;
	return header_end(message, &n) ? str_sub(message, 0, n) : message;
}

static bool returns_eight_bit(const struct dsn_facts *facts, bool full)
{
	return may_be_eight_bit(facts) && has_eight_bit(full ? facts->returned : headers_of(facts->returned));
}

static void put_returned(struct writer *w, const struct dsn_facts *facts, bool full)
{
	struct str body = full ? facts->returned : headers_of(facts->returned);
	const char *type = full ? (facts->smtputf8 ? "message/global" : "message/rfc822")
	                        : (facts->smtputf8 ? "message/global-headers" : "text/rfc822-headers");
	put(w, STR("Content-Type: "));
	line(w, type);
	line(w, full ? "Content-Description: Your message" : "Content-Description: The header lines of your message");
	line(w, returns_eight_bit(facts, full) ? "Content-Transfer-Encoding: 8bit\r\n" : "Content-Transfer-Encoding: 7bit\r\n");
	if (full || is_sendable(facts, body))
		put(w, body);
	else
		put_mended(w, facts, body);
}

/* -- the whole --------------------------------------------------------------------------------------- */

static void put_boundary(struct writer *w, const struct dsn_facts *facts, const char *end)
{
	put(w, STR("\r\n--"));
	put_foreign(w, facts->boundary, 70);
	line(w, end);
}

fault dsn_put(struct buf *out, const struct dsn_facts *facts)
{
	size_t before = buf_view(out).n;
	struct writer w = { .out = out, .utf8 = facts->smtputf8 };
	bool full = facts->returned_full && is_sendable(facts, facts->returned);
	bool eight_bit = facts->smtputf8 || returns_eight_bit(facts, full);

	put_header(&w, facts, eight_bit);
	put(&w, STR("This is a report in MIME form about a message that you sent.\r\n"));
	put_boundary(&w, facts, "");
	line(&w, "Content-Type: text/plain; charset=utf-8\r\nContent-Description: What happened");
	line(&w, facts->smtputf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "Content-Transfer-Encoding: 7bit\r\n");
	put_person(&w, facts, facts->returned_full && !full);

	put_boundary(&w, facts, "");
	line(&w, facts->smtputf8 ? "Content-Type: message/global-delivery-status" : "Content-Type: message/delivery-status");
	line(&w, "Content-Description: The same for programs");
	line(&w, facts->smtputf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "Content-Transfer-Encoding: 7bit\r\n");
	put_fields(&w, facts);

	if (facts->returned.n > 0) {
		put_boundary(&w, facts, "");
		put_returned(&w, facts, full);
	}
	put_boundary(&w, facts, "--");
	if (w.failed != OK)
		buf_cut(out, before);
	return w.failed;
}
