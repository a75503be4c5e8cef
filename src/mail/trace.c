/* SPDX-License-Identifier: ISC */
#include "mail/trace.h"

#include <time.h>

#include "base/base64.h"

enum { FOLD_AT = 76, NAME_MAX_BYTES = 255, TLS_MAX_BYTES = 200, ADDRESS_MAX_BYTES = 320 };

static const int64_t wall_min_s = -62135596800, wall_max_s = 253402300799; /* years 1 to 9999 */

/* -- folding and filtering ------------------------------------------------------------------ */

/* A header line under construction: a word goes onto the next line where it would pass FOLD_AT. */
struct line { struct buf *out; size_t column; };

/* One word, and what stands right before and after it. */
static fault put_enclosed(struct line *l, struct str before, struct str word, struct str after)
{
	size_t n = before.n + word.n + after.n;
	bool fold = l->column + 1 + n > FOLD_AT;
	TRY(BUF_ADD_ALL(l->out, fold ? STR("\r\n\t") : STR(" "), before, word, after));
	l->column = (fold ? 8 : l->column + 1) + n;
	return OK;
}

static fault put_word(struct line *l, struct str word)
{
	return put_enclosed(l, STR_NONE, word, STR_NONE);
}

static fault put_break(struct line *l)
{
	l->column = 7;
	return buf_add(l->out, STR("\r\n\t"));
}

/* The word right after put_break, which has brought its blank along. */
static fault put_first(struct line *l, struct str word)
{
	l->column += 1 + word.n;
	return buf_add(l->out, word);
}

static bool is_name_sign(char c)
{
	return ascii_is_alnum((unsigned char)c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

static bool is_word_sign(char c)
{
	return is_name_sign(c) && c != '[' && c != ']';
}

static bool is_address_sign(char c)
{
	return c >= 32 && c != 127;
}

/* What a foreign string may become: cut to max, every sign that is not allowed replaced. */
static struct str filter(char *to, struct str s, size_t max, bool (*allowed)(char c))
{
	if (s.n > max)
		s.n = max;
	for (size_t i = 0; i < s.n; i++)
		to[i] = allowed(s.p[i]) ? s.p[i] : '?';
	return (struct str){ to, s.n };
}

static bool is_utf8_or_plain(char c)
{
	return is_address_sign(c) || (unsigned char)c > 127;
}

/* An address in its canonical text. One that is no UTF-8 loses what is not ASCII. */
static struct str filter_address(char to[ADDRESS_MAX_BYTES], struct str address)
{
	return filter(to, address, ADDRESS_MAX_BYTES, str_is_utf8(address) ? is_utf8_or_plain : is_address_sign);
}

/* -- Received ------------------------------------------------------------------------------- */

/* RFC 5321 4.4: from HELO (verified name [address]) */
static fault put_from(struct line *l, const struct trace_facts *facts)
{
	char text[NAME_MAX_BYTES];
	struct str helo = filter(text, facts->helo, sizeof text, is_name_sign);
	if (helo.n == 0)
		helo = STR("unknown");
	TRY(put_word(l, STR("from")));
	TRY(put_word(l, helo));
	if (facts->client.n == 0)
		return put_word(l, STR("(local)"));

	struct str name = filter(text, facts->name, sizeof text, is_word_sign);
	if (name.n > 0)
		TRY(put_enclosed(l, STR("("), name, STR_NONE));
	bool six = str_has(facts->client, ':');
	char ip[64];
	struct str client = filter(ip, facts->client, sizeof ip, is_word_sign);
	struct str before = six ? STR("([IPv6:") : STR("([");
	return put_enclosed(l, str_from(before, name.n > 0 ? 1 : 0), client, STR("])"));
}

static bool is_cipher_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum((unsigned char)s.p[i]) && s.p[i] != '_')
			return false;
	return s.n > 0 && ascii_is_alpha((unsigned char)s.p[0]);
}

/* RFC 8314 4.3: the registered name of the cipher suite has a clause; the version, and what is not registered, a
 * comment. */
static fault put_tls(struct line *l, struct str facts)
{
	char text[TLS_MAX_BYTES];
	struct str rest = filter(text, facts, sizeof text, is_word_sign), version, cipher, group;
	for (size_t i = 0; i < rest.n; i++)
		if (facts.p[i] == ' ')
			text[i] = ' ';
	bool whole = str_take_word(&rest, &version) && str_take_word(&rest, &cipher);
	bool grouped = whole && str_take_word(&rest, &group);
	bool named = whole && is_cipher_name(cipher);
	TRY(put_break(l));
	if (named) {
		TRY(put_first(l, STR("tls")));
		TRY(put_word(l, cipher));
		if (grouped) {
			TRY(put_word(l, STR("group")));
			TRY(put_word(l, group));
		}
		rest = version;
	} else {
		rest = (struct str){ text, facts.n < sizeof text ? facts.n : sizeof text };
	}
	if (named)
		return put_enclosed(l, STR("("), rest, STR(")"));
	l->column += 1 + rest.n + 2;
	return BUF_ADD_ALL(l->out, STR("("), rest, STR(")"));
}

static fault put_for(struct line *l, const struct trace_facts *facts)
{
	char text[ADDRESS_MAX_BYTES];
	struct str address = filter_address(text, facts->for_address);
	bool utf8 = str_starts(facts->with, STR("UTF8"));
	if (address.n == 0 || (!utf8 && !str_is_ascii(address))) /* RFC 6531 3.7.3 */
		return OK;
	TRY(put_word(l, STR("for")));
	return put_enclosed(l, STR("<"), address, STR(">"));
}

static fault put_by(struct line *l, const struct trace_facts *facts)
{
	char text[NAME_MAX_BYTES];
	TRY(put_break(l));
	TRY(put_first(l, STR("by")));
	TRY(put_word(l, filter(text, facts->hostname, sizeof text, is_name_sign)));
	if (facts->with.n > 0) {
		TRY(put_word(l, STR("with")));
		TRY(put_word(l, filter(text, facts->with, 32, is_word_sign)));
	}
	if (facts->id.n > 0) {
		TRY(put_word(l, STR("id")));
		TRY(put_word(l, filter(text, facts->id, 64, is_word_sign)));
	}
	TRY(put_for(l, facts));
	return facts->tls.n > 0 ? put_tls(l, facts->tls) : OK;
}

static fault put_received(struct buf *out, const struct trace_facts *facts)
{
	struct line l = { out, sizeof "Received:" - 1 };
	TRY(buf_add(out, STR("Received:")));
	TRY(put_from(&l, facts));
	TRY(put_by(&l, facts));
	TRY(buf_add(out, STR(";\r\n\t")));
	TRY(date_put(out, facts->wall_s, facts->zone_minutes));
	return buf_add(out, STR("\r\n"));
}

/* What a failed call began is taken back. */
static fault all_or_nothing(struct buf *out, size_t before, fault f)
{
	if (f != OK)
		buf_cut(out, before);
	return f;
}

fault trace_put_received(struct buf *out, const struct trace_facts *facts)
{
	size_t before = buf_view(out).n;
	return all_or_nothing(out, before, put_received(out, facts));
}

struct str trace_with(bool lmtp, bool extended, bool tls, bool auth, bool utf8)
{
	static const char *const words[2][3][4] = {
		{ { "SMTP", "SMTPS", "SMTPA", "SMTPSA" }, { "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
		  { "LMTP", "LMTPS", "LMTPA", "LMTPSA" } },
		/* RFC 6531 4.3: UTF8SMTP stands for the extended protocol */
		{ { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
		  { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
		  { "UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA" } },
	};
	return str_of(words[utf8][lmtp ? 2 : extended][tls + 2 * auth]);
}

/* -- other lines ---------------------------------------------------------------------------- */

fault trace_put_return_path(struct buf *out, struct str sender)
{
	char text[ADDRESS_MAX_BYTES];
	struct str address = filter_address(text, sender);
	return buf_addf(out, "Return-Path: <%.*s>\r\n", STR_ARG(address));
}

fault trace_put_delivered_to(struct buf *out, struct str address)
{
	char text[ADDRESS_MAX_BYTES];
	struct str clean = filter_address(text, address);
	return buf_addf(out, "Delivered-To: %.*s\r\n", STR_ARG(clean));
}

static struct tm split_time(int64_t wall_s)
{
	struct tm tm = { .tm_mday = 1, .tm_year = 70 };
	time_t t = (time_t)(wall_s < wall_min_s ? wall_min_s : wall_s > wall_max_s ? wall_max_s : wall_s);
	(void)gmtime_r(&t, &tm);
	return tm;
}

static fault put_clock(struct buf *out, const struct tm *tm)
{
	TRY(buf_add_padded(out, (uint64_t)tm->tm_hour, 2));
	TRY(buf_add_char(out, ':'));
	TRY(buf_add_padded(out, (uint64_t)tm->tm_min, 2));
	TRY(buf_add_char(out, ':'));
	return buf_add_padded(out, (uint64_t)tm->tm_sec, 2);
}

static fault put_date(struct buf *out, int64_t wall_s, int zone_minutes)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	if (zone_minutes <= -24 * 60 || zone_minutes >= 24 * 60)
		zone_minutes = 0;
	if (wall_s > wall_max_s)
		wall_s = wall_max_s;
	if (wall_s < wall_min_s)
		wall_s = wall_min_s;
	struct tm tm = split_time(wall_s + zone_minutes * 60);
	int off = zone_minutes < 0 ? -zone_minutes : zone_minutes;
	TRY(BUF_ADD_ALL(out, str_of(days[tm.tm_wday]), STR(", ")));
	TRY(buf_add_padded(out, (uint64_t)tm.tm_mday, 2));
	TRY(BUF_ADD_ALL(out, STR(" "), str_of(months[tm.tm_mon]), STR(" ")));
	TRY(buf_add_padded(out, (uint64_t)(tm.tm_year + 1900), 4));
	TRY(buf_add_char(out, ' '));
	TRY(put_clock(out, &tm));
	TRY(buf_add(out, zone_minutes < 0 ? STR(" -") : STR(" +")));
	return buf_add_padded(out, (uint64_t)(off / 60 * 100 + off % 60), 4);
}

fault date_put(struct buf *out, int64_t wall_s, int zone_minutes)
{
	size_t before = buf_view(out).n;
	return all_or_nothing(out, before, put_date(out, wall_s, zone_minutes));
}

fault date_put_rfc3339(struct buf *out, int64_t wall_s)
{
	struct tm tm = split_time(wall_s);
	return buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	                tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static fault put_message_id(struct buf *out, const unsigned char random[16], int64_t wall_s, struct str hostname)
{
	char text[NAME_MAX_BYTES];
	struct str host = filter(text, hostname, sizeof text, is_word_sign);
	TRY(buf_add_char(out, '<'));
	TRY(hex_put(out, (struct str){ (const char *)random, 16 }));
	TRY(buf_add_char(out, '.'));
	TRY(buf_add_u64(out, wall_s > 0 ? (uint64_t)wall_s : 0));
	return buf_addf(out, "@%.*s>", host.n > 0 ? (int)host.n : 9, host.n > 0 ? host.p : "localhost");
}

fault message_id_put(struct buf *out, const unsigned char random[16], int64_t wall_s, struct str hostname)
{
	size_t before = buf_view(out).n;
	return all_or_nothing(out, before, put_message_id(out, random, wall_s, hostname));
}
