/* SPDX-License-Identifier: ISC */
#include "cmd/story_print.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "cmd/control_client.h"
#include "mail/json.h"

enum { COLUMN = 14, LINE_MAX = 16 << 10 };

/* ---- a line as it is put together; what has no room is left out ---- */

struct words { struct buf text; };

static void put(struct words *w, struct str s)
{
	fault f = buf_add(&w->text, s);
	(void)f;
}

static bool is(const json_t *o, const char *key, const char *word)
{
	return str_eq(text_in_json(o, key), str_of(word));
}

/* before, the value, after; nothing without a value. True: there was one. */
static bool add(struct words *w, const json_t *o, const char *key, const char *before, const char *after)
{
	struct str value = text_in_json(o, key);
	const json_t *v = json_object_get(o, key);
	char number[24];
	if (json_is_integer(v)) {
		(void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
		value = str_of(number);
	}
	if (value.n == 0)
		return false;
	if (buf_view(&w->text).n > 0)
		put(w, str_of(before));
	put(w, value);
	put(w, str_of(after));
	return true;
}

void story_print_line(const char *indent, const char *name, struct str text)
{
	if (text.n == 0)
		return;
	printf("%s%-*s", indent, COLUMN, name);
	print_safely(text);
	putchar('\n');
}

/* ---- the kinds ---- */

static void put_way(const json_t *o, struct words *w)
{
	static const struct { const char *kind, *words; } ways[] = {
		{ "mx", "to the mail servers of the domain " }, { "relay", "by the relay " }, { "lmtp", "by LMTP to " },
		{ "maildir", "into the Maildir " }, { "hold", "held " }, { "refuse", "refused: " },
	};
	for (size_t i = 0; i < COUNT(ways); i++)
		if (is(o, "way", ways[i].kind))
			put(w, str_of(ways[i].words));
	put(w, text_in_json(o, "name"));
}

static void of_recipient(const json_t *o, struct words *w)
{
	put(w, text_in_json(o, "address"));
	put(w, is(o, "result", "mailbox") ? STR(" is a mailbox here") : is(o, "result", "expanded") ? STR(" is expanded")
	       : STR(" is unknown here"));
	add(w, o, "targets", ", to ", " addresses");
}

static void of_target(const json_t *o, struct words *w)
{
	add(w, o, "address", "", ": ");
	put_way(o, w);
}

static void of_mx(const json_t *o, struct words *w)
{
	if (!add(w, o, "hosts", "", ""))
		put(w, STR("none"));
	if (!is(o, "result", "found"))
		add(w, o, "result", ": ", "");
	put(w, is(o, "secure", "yes") ? STR(" (signed by DNSSEC)")
	       : is(o, "secure", "no") ? STR(" (not signed)") : STR(" (DNSSEC cannot be validated here)"));
}

static void of_dane(const json_t *o, struct words *w)
{
	add(w, o, "host", "", ": ");
	put(w, is(o, "result", "none") ? STR("no signed TLSA records") : is(o, "result", "usable") ? STR("signed TLSA records, usable")
	       : is(o, "result", "unusable") ? STR("signed TLSA records, none usable") : STR("could not be found out"));
	add(w, o, "base", ", of ", "");
	add(w, o, "text", "; ", "");
}

static void of_tls(const json_t *o, struct words *w)
{
	if (!add(w, o, "version", "", ""))
		put(w, STR("without TLS"));
	add(w, o, "group", ", group ", "");
	add(w, o, "cipher", ", cipher ", "");
	add(w, o, "level", "; level ", "");
	add(w, o, "demanded", ", demanded ", "");
	if (is(o, "verified", "yes") && !add(w, o, "by", "; proven by ", ""))
		put(w, STR("; proven"));
	else if (is(o, "verified", "no"))
		put(w, STR("; the server's name is not proven"));
	add(w, o, "problem", ": ", "");
	add(w, o, "hello", "; hello with ", "");
}

static void of_answer(const json_t *o, struct words *w)
{
	put(w, is(o, "result", "yes") ? STR("a letter would be handed over: ") : is(o, "result", "no") ? STR("a letter would be returned: ")
	       : STR("a letter would wait: "));
	put(w, text_in_json(o, "text"));
	add(w, o, "code", " (", ")");
	add(w, o, "host", "; ", "");
	add(w, o, "ip", " [", "]");
	add(w, o, "level", "; level ", "");
}

static void of_anything(const json_t *o, struct words *w)
{
	const char *key;
	json_t *value;
	if (add(w, o, "text", "", "") || add(w, o, "record", "", ""))
		return;
	json_object_foreach((json_t *)(uintptr_t)o, key, value) {
		if (str_eq(str_of(key), STR("kind")))
			continue;
		put(w, buf_view(&w->text).n > 0 ? STR(", ") : STR_NONE);
		put(w, str_of(key));
		put(w, STR(" "));
		put(w, text_in_json(o, key));
	}
}

/* Each kind's name, and its words: values with what goes before and after them, or a function where that is not enough. */
static const struct kind {
	const char *kind, *name;
	void (*print)(const json_t *o, struct words *w);
	struct { const char *before, *key, *after; } values[8];
} kinds[] = {
	{ "recipient", "recipient", of_recipient, { { 0 } } },
	{ "target", "  to", of_target, { { 0 } } },
	{ "route", "route", put_way, { { 0 } } },
	{ "mx", "mail servers", of_mx, { { 0 } } },
	{ "mta-sts", "MTA-STS", NULL,
	  { { "", "mode", " mode" }, { ", allows ", "mx", "" }, { ", policy ", "id", "" }, { "; ", "text", "" } } },
	{ "dane", "DANE", of_dane, { { 0 } } },
	{ "tlsa", "  record", of_anything, { { 0 } } },
	{ "policy", "policy", NULL,
	  { { "", "name", "" }, { " ", "verdict", "" }, { " for ", "host", "" }, { ": ", "text", "" }, { " (", "source", ")" } } },
	{ "host", "server", NULL,
	  { { "", "name", "" }, { ", port ", "port", "" }, { " [", "ip", "]" }, { ", ", "mode", "" }, { " from ", "from", "" },
	    { ", a connection ", "connection", "" }, { ": ", "result", "" } } },
	{ "tls", "connection", of_tls, { { 0 } } },
	{ "cert", "certificate", NULL,
	  { { "", "subject", "" }, { ", issued by ", "issuer", "" }, { ", for ", "names", "" }, { ", valid until ", "until", "" },
	    { ", days left: ", "days_left", "" }, { ", ", "key", "" } } },
	{ "reply", "reply", NULL, { { "", "code", "" }, { " ", "status", "" }, { " ", "text", "" } } },
	{ "answer", "now", of_answer, { { 0 } } },
	{ "finding", "", NULL, { { "", "about", "" }, { ": ", "text", "" } } },
	{ "tlsrpt", "TLS reports", of_anything, { { 0 } } },
};

static void put_words(const struct kind *k, const json_t *o, struct words *w)
{
	if (k->print != NULL)
		k->print(o, w);
	for (size_t i = 0; i < COUNT(k->values) && k->values[i].key != NULL; i++)
		add(w, o, k->values[i].key, k->values[i].before, k->values[i].after);
}

void story_print(const json_t *story, const char *indent)
{
	size_t i;
	json_t *o;
	json_array_foreach(story, i, o) {
		struct words w;
		const char *name = NULL;
		buf_init(&w.text, LINE_MAX);
		for (size_t k = 0; k < COUNT(kinds); k++)
			if (is(o, "kind", kinds[k].kind)) {
				name = kinds[k].name;
				put_words(&kinds[k], o, &w);
			}
		if (is(o, "kind", "finding"))
			name = json_string_value(json_object_get(o, "weight"));
		if (is(o, "kind", "cut")) {
			name = "";
			put(&w, STR("(the rest was too long to keep)"));
		} else if (name == NULL) {
			name = json_string_value(json_object_get(o, "kind"));
			of_anything(o, &w);
		}
		story_print_line(indent, name != NULL ? name : "", buf_view(&w.text));
		buf_fini(&w.text);
	}
}
