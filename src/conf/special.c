/* SPDX-License-Identifier: ISC */
/* conf/special.c -- the directives whose words form a small sentence. */
#include "conf/reader.h"

#include <string.h>
#include <time.h>

#include "base/check.h"
#include "conf/value.h"
#include "mail/address.h"

static bool missing(struct reader *r, const struct directive *d, const struct node *node, size_t words)
{
	if (node->n_words > words)
		return false;
	trouble_error(&r->troubles, end_of(node), "\"%s\" needs more words", d->name);
	expect_directive(r, d);
	return true;
}

static bool too_many(struct reader *r, const struct directive *d, const struct node *node, size_t words)
{
	if (node->n_words <= words + 1)
		return false;
	trouble_error(&r->troubles, node->words[words + 1].at, "too many words for \"%s\"", d->name);
	expect_directive(r, d);
	return true;
}

static bool is(const struct node *node, size_t i, const char *word)
{
	return i < node->n_words && str_eq(node->words[i].text, str_of(word));
}

static void unknown_word(struct reader *r, const struct directive *d, const struct word *w, const char *const *known)
{
	struct str words[10];
	size_t n = 0;
	for (; known[n] != NULL; n++) {
		check(n < COUNT(words));
		words[n] = str_of(known[n]);
	}
	trouble_error(&r->troubles, w->at, "\"%.*s\" is not a word of \"%s\"", SHOWN(w->text), d->name);
	trouble_near(&r->troubles, w->text, words, n);
	expect_directive(r, d);
}

void read_source(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	static const char *const known[] = { "file", NULL };
	struct conf_users *users = object;
	if (!is(node, 1, "file")) {
		unknown_word(r, d, &node->words[1], known);
		return;
	}
	if (missing(r, d, node, 2) || too_many(r, d, node, 2))
		return;
	if (read_path(r, &node->words[2], &users->file))
		note_file(r, users->file, CONF_FILE_USERS, node->words[2].at);
}

/* An address, or *@domain. */
static bool read_owned(struct reader *r, const struct word *w, struct str *out)
{
	struct str domain = w->text, ascii;
	if (!str_take(&domain, STR("*@")))
		return read_address(r, w, out);
	if (domain_to_ascii(domain, r->arena, &ascii) != OK) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a domain name after *@", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected an address, or *@DOMAIN for all of a domain");
		return false;
	}
	char *text = arena_alloc(r->arena, ascii.n + 3);
	memcpy(text, "*@", 2);
	memcpy(text + 2, ascii.p, ascii.n);
	*out = (struct str){ text, ascii.n + 2 };
	return true;
}

void read_send_as(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_users *users = object;
	struct conf_send_as line = { .user = arena_copy(r->arena, node->words[1].text) };
	if (missing(r, d, node, 2))
		return;
	if (str_has(line.user, '@') && !read_address(r, &node->words[1], &line.user))
		return;
	for (size_t i = 2; i < node->n_words; i++) {
		struct str address;
		if (read_owned(r, &node->words[i], &address))
			list_add(r, &line.addresses, address);
	}
	struct conf_send_as *slot = GROW(r, users->send_as, users->n_send_as);
	*slot = line;
}

void read_recipients(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	static const char *const known[] = { "any", "file", "verify", NULL };
	struct conf_domain *domain = object;
	bool file = is(node, 1, "file");
	if (!file && !is(node, 1, "any") && !is(node, 1, "verify")) {
		unknown_word(r, d, &node->words[1], known);
		return;
	}
	if (missing(r, d, node, file ? 2 : 1) || too_many(r, d, node, file ? 2 : 1))
		return;
	domain->recipients = file ? RECIPIENTS_FILE : is(node, 1, "any") ? RECIPIENTS_ANY : RECIPIENTS_VERIFY;
	if (file && read_path(r, &node->words[2], &domain->recipients_file))
		note_file(r, domain->recipients_file, CONF_FILE_RECIPIENTS, node->words[2].at);
}

static void check_template(struct reader *r, const struct word *w)
{
	struct str rest = w->text;
	bool has_local = false;
	for (size_t at; str_find(rest, '{', &at);) {
		struct str inside;
		rest = str_from(rest, at + 1);
		if (!str_take_until(&rest, '}', &inside) || (!str_eq(inside, STR("local")) && !str_eq(inside, STR("domain")))) {
			trouble_error(&r->troubles, w->at, "a Maildir's path knows {domain} and {local} only");
			trouble_expected(&r->troubles, "expected a path such as /var/vmail/{domain}/{local}");
			return;
		}
		has_local = has_local || str_eq(inside, STR("local"));
	}
	if (!has_local)
		trouble_warn(&r->troubles, w->at, "without {local} all users of the domain share one Maildir");
}

static bool read_lmtp(struct reader *r, const struct word *w, struct str *out)
{
	struct endpoint e;
	struct str host, ascii;
	struct conf_network ip;
	uint16_t port;
	bool loopback = true, named = false;
	if (value_endpoint(w->text, &e) && (e.is_unix || e.port > 0)) {
		loopback = e.is_unix || network_is_loopback(&e.ip);
	} else if (value_host_port(w->text, &host, &port) && !value_ip(host, &ip) &&
	           domain_to_ascii(host, r->arena, &ascii) == OK) {
		loopback = str_eq(ascii, STR("localhost"));
		named = true;
	} else {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not an LMTP server", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected unix:/PATH or HOST:PORT, such as unix:/run/dovecot/lmtp");
		return false;
	}
	if (!loopback)
		trouble_warn(&r->troubles, w->at, "mail crosses the network in clear text to this LMTP server");
	if (named)
		return put_host_port(r, ascii, port, out);
	*out = arena_copy(r->arena, w->text);
	return true;
}

void read_deliver(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	static const char *const known[] = { "maildir", "lmtp", "mx", "relay", NULL };
	struct conf_domain *domain = object;
	size_t which = 0;
	while (known[which] != NULL && !is(node, 1, known[which]))
		which++;
	if (known[which] == NULL) {
		unknown_word(r, d, &node->words[1], known);
		return;
	}
	static const enum conf_deliver kinds[] = { DELIVER_MAILDIR, DELIVER_LMTP, DELIVER_MX, DELIVER_RELAY };
	domain->deliver = kinds[which];
	size_t words = domain->deliver == DELIVER_MX ? 1 : 2;
	if (missing(r, d, node, words) || too_many(r, d, node, words))
		return;
	const struct word *to = &node->words[words];
	if (domain->deliver == DELIVER_MAILDIR && read_path(r, to, &domain->deliver_to)) {
		check_template(r, to);
	} else if (domain->deliver == DELIVER_LMTP) {
		read_lmtp(r, to, &domain->deliver_to);
	} else if (domain->deliver == DELIVER_RELAY && read_name(r, to, &domain->deliver_to)) {
		note_reference(r, to, true);
	}
}

void read_retry(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_retry *retry = (void *)((char *)object + d->at);
	struct directive one = *d;
	one.size = sizeof(int64_t);
	for (size_t i = 1; i < node->n_words; i++) {
		int64_t seconds;
		if (!read_number(r, &one, &node->words[i], &seconds))
			continue;
		int64_t *slot = GROW(r, retry->retry_s, retry->n_retry);
		*slot = seconds;
	}
}

enum { RATE_MAX = 1000000, DAY_S = 24 * 60 * 60 };

/* rate NUMBER/DURATION */
void read_rate(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_pace *pace = (void *)((char *)object + d->at);
	uint64_t number;
	int64_t seconds;
	if (missing(r, d, node, 1) || too_many(r, d, node, 1))
		return;
	struct str rest = node->words[1].text;
	if (!str_take_u64(&rest, &number) || !str_take_char(&rest, '/') || !value_duration(rest, &seconds)) {
		trouble_error(&r->troubles, node->words[1].at, "\"%.*s\" is not a rate", SHOWN(node->words[1].text));
		expect_directive(r, d);
	} else if (number < 1 || number > RATE_MAX || seconds < 1 || seconds > DAY_S) {
		trouble_error(&r->troubles, node->words[1].at, "\"%.*s\" is out of range", SHOWN(node->words[1].text));
		trouble_expected(&r->troubles, "expected from 1 to %d messages, in 1s to 1d", RATE_MAX);
	} else {
		pace->rate = number;
		pace->rate_s = seconds;
	}
}

bool read_domain_pattern(struct reader *r, const struct word *w, struct str *out)
{
	struct str rest = w->text, ascii;
	bool below = str_take(&rest, STR("*."));
	if (domain_to_ascii(rest, r->arena, &ascii) != OK) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a domain", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected DOMAIN, or *.DOMAIN for what is below it");
		return false;
	}
	char *text = arena_alloc(r->arena, ascii.n + 2);
	memcpy(text, "*.", 2);
	memcpy(text + 2, ascii.p, ascii.n);
	*out = below ? (struct str){ text, ascii.n + 2 } : ascii;
	return true;
}

static bool read_network(struct reader *r, const struct word *w, struct conf_network *out)
{
	char text[NETWORK_TEXT_MAX];
	struct conf_network network;
	if (!value_network(w->text, &network)) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not an address or network", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected an address or ADDRESS/BITS, such as 192.0.2.0/28 or 2001:db8::/32");
		return false;
	}
	if (!network_is_clean(&network)) {
		network = network_cleaned(&network);
		trouble_error(&r->troubles, w->at, "\"%.*s\" names one host of a network", SHOWN(w->text));
		trouble_expected(&r->troubles, "the network is %.*s", STR_ARG(network_text(&network, text)));
		return false;
	}
	*out = network;
	return true;
}

/* Hosts that are believed something: never all there are. */
static bool read_believed(struct reader *r, const struct word *w, const char *risk, struct conf_network *out)
{
	if (!read_network(r, w, out))
		return false;
	if (out->bits == 0)
		trouble_error(&r->troubles, w->at, "\"%.*s\" is the whole Internet: %s", SHOWN(w->text), risk);
	return out->bits > 0;
}

void read_trust(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_listener *listener = object;
	(void)d;
	for (size_t i = 1; i < node->n_words; i++) {
		const struct word *w = &node->words[i];
		struct conf_network network;
		if (!read_believed(r, w, "this would be an open relay", &network))
			continue;
		if (network.bits < (network.ipv6 ? 32 : 16))
			trouble_warn(&r->troubles, w->at, "\"%.*s\" trusts very many hosts to send as anybody", SHOWN(w->text));
		*(struct conf_network *)GROW(r, listener->trust, listener->n_trust) = network;
	}
}

void read_proxy(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_listener *listener = object;
	(void)d;
	for (size_t i = 1; i < node->n_words; i++) {
		struct conf_network network;
		if (read_believed(r, &node->words[i], "anybody could claim any address", &network))
			*(struct conf_network *)GROW(r, listener->proxies, listener->n_proxies) = network;
	}
}

void read_listen_tls(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_listener *listener = object;
	if (too_many(r, d, node, 1))
		return;
	if (is(node, 1, "required"))
		listener->tls_required = true;
	else if (is(node, 1, "none"))
		listener->tls_none = true;
	else
		unknown_word(r, d, &node->words[1], d->words);
}

static const char *const level_words[] = { "none", "opportunistic", "encrypt", "verify", "mta-sts", "dane", NULL };

/* True if the word is a level, told if it is one that cannot be promised yet. */
static bool take_level(struct reader *r, const struct word *w, enum tls_level *out)
{
	for (unsigned i = 0; level_words[i] != NULL; i++) {
		if (!str_eq(w->text, str_of(level_words[i])))
			continue;
		*out = (enum tls_level)i;
		if (*out > TLS_VERIFY) {
			trouble_error(&r->troubles, w->at, "the level \"%s\" cannot be demanded of every server", level_words[i]);
			trouble_expected(&r->troubles, "expected opportunistic, encrypt or verify; DANE and MTA-STS bind wherever they are published");
		}
		return true;
	}
	return false;
}

void read_relay_tls(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	static const char *const known[] = { "implicit", "starttls", "none", "opportunistic", "encrypt", "verify", NULL };
	struct conf_relay *relay = object;
	bool mode = false, level = false;
	relay->level = TLS_VERIFY;
	relay->implicit = false;
	for (size_t i = 1; i < node->n_words; i++) {
		const struct word *w = &node->words[i];
		bool is_mode = is(node, i, "implicit") || is(node, i, "starttls");
		if (is_mode && !mode) {
			mode = true;
			relay->implicit = is(node, i, "implicit");
		} else if (!is_mode && !level && take_level(r, w, &relay->level)) {
			level = true;
		} else if (is_mode) {
			trouble_error(&r->troubles, w->at, "TLS begins in one way only");
			expect_directive(r, d);
			return;
		} else {
			unknown_word(r, d, w, known);
			return;
		}
	}
	if (mode && relay->level == TLS_NONE) {
		trouble_error(&r->troubles, node->words[1].at, "%s and none exclude each other", relay->implicit ? "implicit" : "starttls");
		expect_directive(r, d);
	} else if (relay->implicit && relay->level == TLS_OPPORTUNISTIC) {
		trouble_error(&r->troubles, node->words[1].at, "implicit TLS cannot be opportunistic: there is no clear text to fall back to");
		trouble_expected(&r->troubles, "expected implicit encrypt or implicit verify");
	}
}

void read_direct_tls(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_direct *direct = object;
	if (too_many(r, d, node, 1))
		return;
	if (!take_level(r, &node->words[1], &direct->level)) {
		unknown_word(r, d, &node->words[1], level_words);
	} else if (direct->level == TLS_NONE) {
		trouble_error(&r->troubles, node->words[1].at, "clear text for all mail is not offered");
		trouble_expected(&r->troubles, "expected opportunistic, which still takes clear text where there is no TLS, encrypt or verify");
	}
}

/* "2027-01-31": the second after it ends. */
static bool read_day(struct str text, int64_t *end_s)
{
	struct tm day = { .tm_year = 0 };
	uint64_t n[3];
	struct str rest = text;
	for (size_t i = 0; i < 3; i++)
		if ((i > 0 && !str_take_char(&rest, '-')) || !str_take_u64(&rest, &n[i]) || n[i] > 9999)
			return false;
	if (rest.n > 0 || text.n != 10 || n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[0] < 2000)
		return false;
	day.tm_year = (int)n[0] - 1900;
	day.tm_mon = (int)n[1] - 1;
	day.tm_mday = (int)n[2];
	*end_s = (int64_t)timegm(&day) + DAY_S;
	return day.tm_mday == (int)n[2]; /* 31 April has become 1 May */
}

/* exception DOMAIN LEVEL until DAY reason TEXT */
void read_exception(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	static const char *const levels[] = { "none", "opportunistic", "encrypt", "verify", NULL };
	struct conf_direct *direct = object;
	struct conf_exception e = { .level = TLS_NONE };
	if (missing(r, d, node, 6) || too_many(r, d, node, 6))
		return;
	if (!read_host(r, &node->words[1], &e.domain))
		return;
	if (!take_level(r, &node->words[2], &e.level)) {
		unknown_word(r, d, &node->words[2], levels);
		return;
	}
	if (!is(node, 3, "until") || !is(node, 5, "reason") || node->words[6].text.n == 0) {
		trouble_error(&r->troubles, node->words[3].at, "an exception has an end and a reason");
		expect_directive(r, d);
		return;
	}
	if (!read_day(node->words[4].text, &e.until_s)) {
		trouble_error(&r->troubles, node->words[4].at, "\"%.*s\" is not a day", SHOWN(node->words[4].text));
		expect_directive(r, d);
		return;
	}
	e.day = arena_copy(r->arena, node->words[4].text);
	e.reason = arena_copy(r->arena, node->words[6].text);
	e.at = node->words[0].at;
	*(struct conf_exception *)GROW(r, direct->exceptions, direct->n_exceptions) = e;
}

void read_login(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	struct conf_relay *relay = object;
	if (missing(r, d, node, 2) || too_many(r, d, node, 2))
		return;
	relay->login_name = arena_copy(r->arena, node->words[1].text);
	struct word path = node->words[2];
	if (relay->login_name.n == 0 || !str_take(&path.text, STR("file:"))) {
		trouble_error(&r->troubles, path.at, "a password stands in a file of its own, never here");
		trouble_expected(&r->troubles, "expected login NAME file:/PATH");
		return;
	}
	if (read_path(r, &path, &relay->login_file))
		note_file(r, relay->login_file, CONF_FILE_SECRET, path.at);
}

/* Route lines ------------------------------------------------------------------------------------ */

static bool read_address_pattern(struct reader *r, const struct word *w, struct str *out)
{
	struct address address;
	struct str text;
	if (!read_address(r, w, &text))
		return false;
	fault parsed = address_parse(text, r->arena, &address);
	check(parsed == OK);
	if (!address.literal && domain_to_ascii(address.domain, r->arena, &address.domain) == OK)
		text = address_text(&address, r->arena);
	*out = text;
	return true;
}

/* "corp.example", "*.corp.example", "a@b", "@b" (also *@b), "<>" for a sender; with the domain in A-labels. */
static bool read_pattern(struct reader *r, const struct word *w, bool sender, struct str *out)
{
	struct str rest = w->text, ascii;
	const char *prefix = "";
	if (sender && str_eq(rest, STR("<>"))) {
		*out = STR("<>");
		return true;
	}
	if (str_take(&rest, STR("*.")))
		prefix = "*.";
	else if (str_take(&rest, STR("*@")) || str_take(&rest, STR("@")))
		prefix = "@";
	else if (str_has(rest, '@'))
		return read_address_pattern(r, w, out);
	if (domain_to_ascii(rest, r->arena, &ascii) != OK) {
		trouble_error(&r->troubles, w->at, "\"%.*s\" is not a pattern", SHOWN(w->text));
		trouble_expected(&r->troubles, "expected DOMAIN, *.DOMAIN for what is below it, or an address%s",
		                 sender ? ", or <>" : "");
		return false;
	}
	size_t n = strlen(prefix);
	char *text = arena_alloc(r->arena, n + ascii.n + 1);
	memcpy(text, prefix, n);
	memcpy(text + n, ascii.p, ascii.n);
	*out = (struct str){ text, n + ascii.n };
	return true;
}

/* One condition at node->words[*i]; false: the line is of no use. */
static bool read_condition(struct reader *r, const struct node *node, size_t *i, struct conf_route *route)
{
	const struct word *name = &node->words[*i], *value = &node->words[*i + 1];
	bool to = is(node, *i, "to"), sender = is(node, *i, "sender"), user = is(node, *i, "user");
	bool twice = to ? route->to.n > 0 : sender ? route->sender.n > 0 : user ? route->user.n > 0 : route->client != NULL;
	if (twice) {
		trouble_error(&r->troubles, name->at, "a second \"%.*s\" in one line", SHOWN(name->text));
		trouble_expected(&r->troubles, "each condition once: write a line for each pattern");
		return false;
	}
	if (*i + 1 == node->n_words) {
		trouble_error(&r->troubles, end_of(node), "\"%.*s\" needs a value", SHOWN(name->text));
		return false;
	}
	*i += 2;
	if (to || sender)
		return read_pattern(r, value, sender, to ? &route->to : &route->sender);
	if (user) {
		route->user = arena_copy(r->arena, value->text);
		return true;
	}
	route->client = ARENA_NEW(r->arena, struct conf_network);
	return read_network(r, value, route->client);
}

static bool read_action(struct reader *r, const struct node *node, size_t i, struct conf_route *route)
{
	static const struct { const char *name; enum route_action action; bool argument; } actions[] = {
		{ "relay", ROUTE_RELAY, true }, { "direct", ROUTE_DIRECT, false }, { "hold", ROUTE_HOLD, false },
		{ "refuse", ROUTE_REFUSE, true },
	};
	static const struct str known[] = { { "relay", 5 }, { "direct", 6 }, { "hold", 4 }, { "refuse", 6 }, { "to", 2 },
		{ "sender", 6 }, { "client", 6 }, { "user", 4 }, { "otherwise", 9 } };
	struct troubles *t = &r->troubles;
	size_t a = 0;
	while (a < COUNT(actions) && !is(node, i, actions[a].name))
		a++;
	if (a == COUNT(actions)) {
		if (i < node->n_words) {
			trouble_error(t, node->words[i].at, "\"%.*s\" is no condition and no action", SHOWN(node->words[i].text));
			trouble_near(t, node->words[i].text, known, COUNT(known));
		} else {
			trouble_error(t, end_of(node), "this line has no action");
		}
		trouble_expected(t, "expected to, sender, client or user with a value, then relay NAME, direct, hold or refuse \"TEXT\"");
		return false;
	}
	route->action = actions[a].action;
	size_t words = i + 1 + (actions[a].argument ? 1 : 0);
	if (node->n_words > words)
		trouble_error(t, node->words[words].at, "text after the action \"%s\"", actions[a].name);
	else if (node->n_words < words)
		trouble_error(t, end_of(node), "\"%s\" needs a value", actions[a].name);
	if (node->n_words != words) {
		trouble_expected(t, "expected relay NAME, direct, hold or refuse \"TEXT\" at the end of the line");
		return false;
	}
	if (!actions[a].argument)
		return true;
	if (route->action == ROUTE_RELAY) {
		note_reference(r, &node->words[i + 1], true);
		return read_name(r, &node->words[i + 1], &route->argument);
	}
	if (!str_is_ascii(node->words[i + 1].text) || node->words[i + 1].text.n == 0 || node->words[i + 1].text.n > 400) {
		trouble_error(t, node->words[i + 1].at, "a refusal is one line of ASCII text");
		return false;
	}
	route->argument = arena_copy(r->arena, node->words[i + 1].text);
	return true;
}

void read_route(struct reader *r, const struct directive *d, const struct node *node, void *object)
{
	(void)d, (void)object;
	const struct conf_route *last = r->conf->n_routes > 0 ? &r->conf->routes[r->conf->n_routes - 1] : NULL;
	bool closed = last != NULL && last->to.n + last->sender.n + last->user.n == 0 && last->client == NULL;
	for (const struct node *line = node->first; line != NULL; line = line->next) {
		struct conf_route route = { .at = line->words[0].at };
		size_t i = is(line, 0, "otherwise") ? 1 : 0;
		bool any = i == 1, good = true;
		while (good && !any && i < line->n_words &&
		       (is(line, i, "to") || is(line, i, "sender") || is(line, i, "client") || is(line, i, "user")))
			good = read_condition(r, line, &i, &route);
		if (!good || !read_action(r, line, i, &route))
			continue;
		if (i == 0) {
			trouble_error(&r->troubles, line->words[0].at, "an action without a condition");
			trouble_expected(&r->troubles, "expected otherwise before it, for the last line");
			continue;
		}
		if (closed)
			trouble_warn(&r->troubles, line->words[0].at, "this line never matches: an otherwise stands above it");
		closed = closed || any;
		struct conf_route *slot = GROW(r, r->conf->routes, r->conf->n_routes);
		*slot = route;
	}
}
