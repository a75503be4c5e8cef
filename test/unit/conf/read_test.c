/* SPDX-License-Identifier: ISC */
/* What a good configuration gives: values, defaults, included files, warnings; and values at their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "conf/conf.h"
#include "conf/trouble.h"
#include "conf/value.h"

#define BASE "hostname MX1.example.org\npostmaster admin@example.org\nlisten local {\n on unix:/run/sealpost/local.sock\n}\n"

static struct conf_report report;

static struct conf *read_texts(const struct conf_text *texts, size_t n)
{
	struct conf *conf = NULL;
	conf_report_fini(&report);
	conf_report_init(&report);
	fault f = conf_read(texts, n, &conf, &report);
	assert_true((f == OK) == (conf != NULL));
	assert_true((f == OK) == (report.errors == 0));
	return conf;
}

static struct conf *read_text(const char *text)
{
	struct conf_text one = { STR("sealpost.conf"), str_of(text) };
	return read_texts(&one, 1);
}

static struct conf *good(const char *text)
{
	struct conf *conf = read_text(text);
	if (conf == NULL)
		fail_msg("refused:\n%.*s", STR_ARG(buf_view(&report.text)));
	return conf;
}

static void assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_of(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static void assert_list(const struct conf_list *list, const char *want)
{
	char text[300] = "";
	for (size_t i = 0; i < list->n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i > 0 ? " " : "", STR_ARG(list->items[i]));
	assert_string_equal(text, want);
}

static void defaults(void **state)
{
	(void)state;
	struct conf *c = good(BASE);
	assert_str(c->hostname, "mx1.example.org");
	assert_list(&c->postmaster, "admin@example.org");
	assert_str(c->origin, "mx1.example.org");
	assert_str(c->run_as, "sealpost");
	assert_str(c->mail_user, "vmail");
	assert_str(c->control, "/run/sealpost/control.sock");
	assert_false(c->log_json);
	assert_int_equal(c->direct.level, TLS_OPPORTUNISTIC);
	assert_int_equal(c->direct.port, 25);
	assert_str(c->direct.ehlo, "mx1.example.org");
	assert_int_equal(c->direct.family, FAMILY_ANY);
	assert_false(c->direct.allow_loopback);
	assert_int_equal(c->queue.retry.n_retry, 4);
	assert_int_equal(c->queue.retry.retry_s[0], 300);
	assert_int_equal(c->queue.retry.retry_s[3], 4 * 3600);
	assert_int_equal(c->queue.retry.give_up_s, 5 * 86400);
	assert_int_equal(c->queue.delay_warning_s, 4 * 3600);
	assert_false(c->queue.return_full);
	assert_str(c->queue.directory, "/var/spool/sealpost");
	assert_int_equal(c->queue.destination_concurrency, 20);
	assert_int_equal(c->resolver.servers.n, 0);
	assert_int_equal(c->limits.message_bytes, 50 << 20);
	assert_int_equal(c->limits.recipients, 1000);
	assert_int_equal(c->limits.connections, 10000);
	assert_int_equal(c->limits.connections_per_client, 100);
	assert_int_equal(report.warnings, 0);
	assert_int_equal(c->n_listeners, 1);
	assert_int_equal(c->listeners[0].kind, LISTEN_LOCAL);
	conf_free(&c);
	assert_null(c);
}

/* Every directive once, or more often where it may be. */
static const char whole[] =
	"hostname   mx1.example.org          # a comment\r\n"
	"postmaster admin@example.org other@example.net\n"
	"origin     example.org\n"
	"run-as seal\nmail-user post\nlog json\ncontrol /tmp/c.sock\n"
	"tls mx1.example.org b\xc3\xbc" "cher.example {\n cert /c1 /c2\n key /k1\n key /k2\n}\n"
	"tls other.example {\n cert /c3\n key /k3\n}\n"
	"users staff {\n source file /etc/users\n send-as jada sales@example.org *@news.example.org\n send-as bo x@example.org\n}\n"
	"domain example.org example.net {\n users staff\n aliases /etc/aliases /etc/more\n catch-all lost@example.org\n"
	" tag none\n deliver maildir /var/mail/{domain}/{local}\n retry 1m 2m\n give-up 30d\n}\n"
	"domain lists.example.org {\n recipients any\n deliver lmtp unix:/run/lmtp.sock\n}\n"
	"domain partner.example {\n recipients file /etc/partner\n deliver mx\n}\n"
	"domain corp.example {\n recipients verify\n deliver relay corp\n}\n"
	"listen mx {\n on 0.0.0.0:25 [::]:25\n tls required\n}\n"
	"listen submissions {\n on 0.0.0.0:465\n auth staff\n}\n"
	"listen submission {\n on 0.0.0.0:587\n auth staff\n trust 192.0.2.0/28 2001:db8::/32\n}\n"
	"listen lmtp {\n on unix:/run/in.sock 127.0.0.1:24 [::1]:24\n}\n"
	"relay corp {\n host smtp.corp.example:465 [2001:db8::1]:465\n tls implicit verify\n ca /ca.pem\n"
	" login mx1 file:/secret\n retry 9s\n concurrency 4\n rate 30/1h\n}\n"
	"relay near {\n host 127.0.0.1:25\n tls none\n}\n"
	"route {\n to *.Corp.example relay corp\n client 192.0.2.0/28 hold\n sender <> user jada refuse \"No, thanks\"\n"
	" to @b\xc3\xbc" "cher.example sender a@b.example direct\n otherwise direct\n}\n"
	"shape *.Corp.example b\xc3\xbc" "cher.example {\n rate 100/1m\n}\nshape mx.corp.example {\n concurrency 7\n}\n"
	"shape *.mx.corp.example {\n concurrency 1000\n rate 1000000/1d\n}\n"
	"direct {\n tls verify\n port 2525\n bind 192.0.2.10 2001:db8::10\n ehlo out.example.org\n family ipv4\n}\n"
	"queue {\n retry 1s\n give-up 2w\n delay-warning none\n return full\n directory /q\n concurrency 3\n}\n"
	"resolver {\n server 127.0.0.1:5353 192.0.2.53 2001:db8::53\n trust-anchor /anchor\n ca /ca.pem\n}\n"
	"limits {\n message-size 1M\n recipients 100\n connections 5\n connections-per-client 1\n}\n";

static void whole_certificates_and_users(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	assert_list(&c->postmaster, "admin@example.org other@example.net");
	assert_true(c->log_json);
	assert_int_equal(c->n_tls, 2);
	assert_list(&c->tls[0].names, "mx1.example.org xn--bcher-kva.example");
	assert_list(&c->tls[0].certs, "/c1 /c2");
	assert_list(&c->tls[0].keys, "/k1 /k2");

	const struct conf_users *staff = conf_users_find(c, STR("staff"));
	assert_str(staff->file, "/etc/users");
	assert_int_equal(staff->n_send_as, 2);
	assert_str(staff->send_as[0].user, "jada");
	assert_list(&staff->send_as[0].addresses, "sales@example.org *@news.example.org");
	conf_free(&c);
}

static void whole_domains(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	const struct conf_domain *d = conf_domain_find(c, STR("example.net"));
	assert_ptr_equal(d, conf_domain_find(c, STR("example.org")));
	assert_null(conf_domain_find(c, STR("example.com")));
	assert_list(&d->aliases, "/etc/aliases /etc/more");
	assert_str(d->catch_all, "lost@example.org");
	assert_int_equal(d->tag, 0);
	assert_int_equal(d->deliver, DELIVER_MAILDIR);
	assert_str(d->deliver_to, "/var/mail/{domain}/{local}");
	assert_int_equal(d->retry.n_retry, 2);
	assert_int_equal(d->retry.give_up_s, 30 * 86400);
	d = conf_domain_find(c, STR("lists.example.org"));
	assert_int_equal(d->recipients, RECIPIENTS_ANY);
	assert_int_equal(d->tag, '+');
	assert_int_equal(d->retry.n_retry, 0);
	assert_str(d->deliver_to, "unix:/run/lmtp.sock");
	d = conf_domain_find(c, STR("partner.example"));
	assert_int_equal(d->recipients, RECIPIENTS_FILE);
	assert_str(d->recipients_file, "/etc/partner");
	assert_int_equal(d->deliver, DELIVER_MX);
	conf_free(&c);
}

static void whole_listeners_and_relays(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	assert_int_equal(c->n_listeners, 4);
	assert_true(c->listeners[0].tls_required);
	assert_list(&c->listeners[0].on, "0.0.0.0:25 [::]:25");
	assert_int_equal(c->listeners[2].n_trust, 2);
	assert_int_equal(c->listeners[2].trust[0].bits, 28);
	assert_true(c->listeners[2].trust[1].ipv6);
	assert_list(&c->listeners[2].auth, "staff");

	const struct conf_relay *corp = conf_relay_find(c, STR("corp"));
	assert_true(corp->implicit);
	assert_int_equal(corp->level, TLS_VERIFY);
	assert_list(&corp->hosts, "smtp.corp.example:465 [2001:db8::1]:465");
	assert_str(corp->login_name, "mx1");
	assert_str(corp->login_file, "/secret");
	assert_int_equal(corp->retry.retry_s[0], 9);
	assert_int_equal(conf_relay_find(c, STR("near"))->level, TLS_NONE);
	conf_free(&c);
}

static void whole_routes(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	assert_int_equal(c->n_routes, 5);
	assert_str(c->routes[0].to, "*.corp.example");
	assert_int_equal(c->routes[0].action, ROUTE_RELAY);
	assert_str(c->routes[0].argument, "corp");
	assert_int_equal(c->routes[1].client->bits, 28);
	assert_int_equal(c->routes[1].action, ROUTE_HOLD);
	assert_str(c->routes[2].sender, "<>");
	assert_str(c->routes[2].user, "jada");
	assert_str(c->routes[2].argument, "No, thanks");
	assert_str(c->routes[3].to, "@xn--bcher-kva.example");
	assert_int_equal(c->routes[4].action, ROUTE_DIRECT);
	conf_free(&c);
}

static void whole_shapes(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	const struct conf_relay *corp = conf_relay_find(c, STR("corp"));
	assert_int_equal(corp->pace.concurrency, 4);
	assert_int_equal(corp->pace.rate, 30);
	assert_int_equal(corp->pace.rate_s, 3600);
	assert_int_equal(c->n_shapes, 3);
	assert_list(&c->shapes[0].domains, "*.corp.example xn--bcher-kva.example");
	assert_int_equal(c->shapes[0].pace.concurrency, 0);
	assert_int_equal(c->shapes[0].pace.rate_s, 60);
	const struct { struct str domain; int shape; } shaped[] = {
		{ STR("corp.example"), -1 }, { STR("a.corp.example"), 0 }, { STR("A.B.Corp.example"), 0 }, { STR("mx.corp.example"), 1 },
		{ STR("a.mx.corp.example"), 2 }, { STR("xn--bcher-kva.example"), 0 }, { STR("a.xn--bcher-kva.example"), -1 },
		{ STR("xcorp.example"), -1 }, { STR(".corp.example"), -1 }, { STR(""), -1 }, { STR("example"), -1 },
	};
	for (size_t i = 0; i < COUNT(shaped); i++)
		assert_ptr_equal(conf_shape_find(c, shaped[i].domain), shaped[i].shape < 0 ? NULL : &c->shapes[shaped[i].shape]);
	assert_int_equal(c->shapes[2].pace.rate, 1000000);
	assert_int_equal(c->shapes[2].pace.rate_s, 86400);
	conf_free(&c);
}

static void whole_queue_and_ways_out(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	assert_int_equal(c->direct.port, 2525);
	assert_int_equal(c->direct.family, FAMILY_IPV4);
	assert_int_equal(c->queue.retry.n_retry, 1);
	assert_int_equal(c->queue.delay_warning_s, 0);
	assert_true(c->queue.return_full);
	assert_int_equal(c->queue.destination_concurrency, 3);
	assert_list(&c->resolver.servers, "127.0.0.1:5353 192.0.2.53:53 [2001:db8::53]:53");
	conf_free(&c);
}

static void whole_files(void **state)
{
	(void)state;
	struct conf *c = good(whole);
	const struct conf_file *files;
	size_t n = conf_files(c, &files);
	assert_int_equal(n, 13);
	for (size_t i = 0; i < n; i++)
		if (str_eq(files[i].path, STR("/ca.pem")))
			assert_int_equal(files[i].use, CONF_FILE_CA | CONF_FILE_POLICY_CA);
	conf_free(&c);
}

static void included(void **state)
{
	(void)state;
	struct conf_text texts[] = {
		{ STR("/etc/sealpost/sealpost.conf"), STR("include conf.d\n" BASE "route {\n to last.example hold\n}\ninclude /srv/more/\n") },
		{ STR("/etc/sealpost/conf.d/10-a.conf"), STR("route {\n to a.example hold\n}\n") },
		{ STR("/etc/sealpost/conf.d/20-b.conf"), STR("# nothing but words\n") },
		{ STR("/etc/sealpost/conf.d/30-c.conf"), STR("route {\n to c.example hold\n}\n") },
		{ STR("/srv/more/x.conf"), STR("route {\n to x.example hold\n}\norigin example.net\n") },
	};
	struct conf *c = read_texts(texts, COUNT(texts));
	assert_non_null(c);
	static const char *const order[] = { "a.example", "c.example", "last.example", "x.example" };
	assert_int_equal(c->n_routes, COUNT(order));
	for (size_t i = 0; i < COUNT(order); i++)
		assert_str(c->routes[i].to, order[i]);
	assert_str(c->origin, "example.net");
	conf_free(&c);

	struct arena *a = arena_new(1 << 16);
	struct conf_list dirs;
	conf_includes(&texts[0], a, &dirs);
	assert_list(&dirs, "/etc/sealpost/conf.d /srv/more");
	struct conf_text beside = { STR("sealpost.conf"), STR("include conf.d\ninclude ./x") };
	conf_includes(&beside, a, &dirs);
	assert_list(&dirs, "conf.d ./x");
	arena_free(&a);
}

static void assert_report(const struct conf_text *texts, size_t n, const char *want)
{
	struct conf *c = read_texts(texts, n);
	struct str got = buf_view(&report.text);
	if (!str_eq(got, str_of(want)))
		fail_msg("got\n%.*swant\n%s", STR_ARG(got), want);
	conf_free(&c);
}

static void include_errors(void **state)
{
	(void)state;
	struct conf_text nested[] = { { STR("/e/main.conf"), STR(BASE "include d\n") },
		{ STR("/e/d/a.conf"), STR("\ninclude e\nlog jsn\n") } };
	assert_report(nested, 2,
	              "/e/d/a.conf:2:1: an included file includes nothing itself\n    include e\n    ^\n"
	              "  expected include in /e/main.conf alone\n"
	              "/e/d/a.conf:3:5: \"jsn\" is not a word of \"log\"; did you mean \"json\"?\n    log jsn\n        ^\n"
	              "  expected text or json\n");
	struct conf_text twice[] = { { STR("/e/main.conf"), STR(BASE "include d\ninclude /e/d/\n") },
		{ STR("/e/d/a.conf"), STR("\n") } };
	assert_report(twice, 2, "/e/main.conf:7:9: this directory is included twice\n    include /e/d/\n            ^\n");
	struct conf_text unasked[] = { { STR("/e/main.conf"), STR(BASE) }, { STR("/e/d/a.conf"), STR("\n") } };
	assert_report(unasked, 2, "/e/d/a.conf: no include line asks for this file\n");
	struct conf_text open_block[] = { { STR("/e/main.conf"), STR(BASE "include d\n") }, { STR("/e/d/a.conf"), STR("queue {\n") } };
	assert_report(open_block, 2, "/e/d/a.conf:1:1: the block of \"queue\" is not closed\n    queue {\n    ^\n"
	                             "  expected a } before the end of the file\n");
}

static const struct { const char *text, *warning; } weak[] = {
	{ "listen mx {\n on 127.0.0.1:25\n tls none\n}\n", "mail is taken in clear text here" },
	{ "listen submission {\n on [::1]:587\n trust 10.0.0.0/16\n tls none\n}\n", "mail is taken in clear text here" },
	{ "tls {\n cert /c\n key /k\n}\nlisten mx {\n on 0.0.0.0:465\n}\n", "port 465 is known for listen submissions: who connects there expects that" },
	{ "tls {\n cert /c\n key /k\n}\nlisten submission {\n on 0.0.0.0:25\n trust 10.0.0.0/16\n}\n",
	  "port 25 is known for listen mx: who connects there expects that" },
	{ "tls {\n cert /c\n key /k\n}\nlisten submissions {\n on [::]:587\n trust 10.0.0.0/16\n}\n",
	  "port 587 is known for listen submission: who connects there expects that" },
	{ "direct {\n allow-loopback yes\n}\n", "a foreign MX record can lead mail to services of this machine" },
	{ "direct {\n bind 192.0.2.1\n family ipv6\n}\n", "an address of the family that is switched off" },
	{ "domain a.example {\n recipients any\n deliver mx\n}\n", "mail to nobody is accepted, and bounces to senders that are often forged" },
	{ "domain a.example {\n aliases /a\n deliver maildir /m\n}\n", "without {local} all users of the domain share one Maildir" },
	{ "domain a.example {\n aliases /a\n deliver lmtp mail.example:24\n}\n", "mail crosses the network in clear text to this LMTP server" },
	{ "domain a.example {\n aliases /a /a\n}\n", "\"/a\" stands here twice" },
	{ "relay a {\n host b.example:25\n tls opportunistic\n}\n", "tls opportunistic: nobody proves to be this relay" },
	{ "relay a {\n host b.example:25\n tls encrypt\n}\n", "tls encrypt: nobody proves to be this relay" },
	{ "relay a {\n host localhost:25\n tls none\n}\n", "tls none: nobody proves to be this relay" },
	{ "relay a {\n host b.example:25\n tls encrypt\n login me file:/s\n}\n", "the password goes to whoever answers: the certificate is not verified" },
	{ "route {\n otherwise direct\n to a.example hold\n}\n", "this line never matches: an otherwise stands above it" },
	{ "route {\n otherwise direct\n}\nroute {\n to a.example hold\n}\n", "this line never matches: an otherwise stands above it" },
	{ "queue {\n retry 2h\n give-up 1h\n delay-warning none\n}\n", "letters go back before the second attempt" },
	{ "queue {\n give-up 4h\n}\n", "letters go back before anybody is warned" },
	{ "limits {\n recipients 99\n}\n", "a server should take 100 recipients (RFC 5321 4.5.3.1.8)" },
	{ "limits {\n message-size 65535\n}\n", "a server should take 64K (RFC 5321 4.5.3.1.7)" },
	{ "tls {\n cert /c\n key /k\n}\nlisten submission {\n on 0.0.0.0:587\n trust 10.0.0.0/15\n}\n",
	  "\"10.0.0.0/15\" trusts very many hosts to send as anybody" },
};

static void warnings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(weak); i++) {
		char text[1000], want[300];
		snprintf(text, sizeof text, "%s%s", weak[i].text, BASE);
		snprintf(want, sizeof want, ": warning: %s\n", weak[i].warning);
		struct conf *c = good(text);
		size_t at;
		if (report.warnings != 1 || !str_find_str(buf_view(&report.text), str_of(want), &at))
			fail_msg("\"%s\" gave %u warnings:\n%.*s", weak[i].text, report.warnings, STR_ARG(buf_view(&report.text)));
		conf_free(&c);
	}
}

/* One value just inside and one just outside each limit. */
static const struct { const char *format, *inside, *outside; } limits[] = {
	{ "queue {\n give-up %s\n retry 1s\n delay-warning none\n}\n", "90d", "91d" },
	{ "queue {\n give-up %s\n retry 1s\n delay-warning none\n}\n", "7776000s", "7776001s" },
	{ "queue {\n give-up %s\n retry 1s\n delay-warning none\n}\n", "1s", "0s" },
	{ "queue {\n retry %s\n give-up 90d\n}\n", "7d", "169h" },
	{ "queue {\n retry %s\n}\n", "1s", "0s" },
	{ "queue {\n delay-warning %s\n give-up 90d\n}\n", "30d", "31d" },
	{ "queue {\n concurrency %s\n}\n", "1000", "1001" },
	{ "queue {\n concurrency %s\n}\n", "1", "0" },
	{ "limits {\n message-size %s\n}\n", "1K", "1023" },
	{ "limits {\n message-size %s\n}\n", "1G", "1025M" },
	{ "limits {\n message-size %s\n}\n", "1073741824", "1073741825" },
	{ "limits {\n recipients %s\n}\n", "1", "0" },
	{ "limits {\n recipients %s\n}\n", "10000", "10001" },
	{ "limits {\n connections %s\n}\n", "1000000", "1000001" },
	{ "limits {\n connections-per-client %s\n}\n", "1", "0" },
	{ "limits {\n connections %s\n}\n", "18", "18446744073709551616" },
	{ "direct {\n port %s\n}\n", "65535", "65536" },
	{ "direct {\n port %s\n}\n", "1", "0" },
	{ "listen lmtp {\n on 127.0.0.1:%s\n}\n", "65535", "65536" },
	{ "listen lmtp {\n on 127.0.0.1:%s\n}\n", "0", "-1" },
	{ "route {\n client 192.0.2.1/%s hold\n}\n", "32", "33" },
	{ "route {\n client 2001:db8::1/%s hold\n}\n", "128", "129" },
	{ "run-as %s\n", "a234567890123456789012345678901234567890123456789012345678901234",
	  "a2345678901234567890123456789012345678901234567890123456789012345" },
	{ "domain a.example {\n aliases /a\n tag %s\n}\n", "-", "--" },
	{ "domain a.example {\n aliases /a\n tag %s\n}\n", "=", "@" },
};

static void values_at_their_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(limits); i++) {
		char text[1000];
		int n = snprintf(text, sizeof text, limits[i].format, limits[i].inside);
		snprintf(text + n, sizeof text - (size_t)n, "%s", BASE);
		struct conf *c = good(text);
		conf_free(&c);
		n = snprintf(text, sizeof text, limits[i].format, limits[i].outside);
		snprintf(text + n, sizeof text - (size_t)n, "%s", BASE);
		c = read_text(text);
		if (c != NULL || report.errors != 1)
			fail_msg("%s with %s: %u errors", limits[i].format, limits[i].outside, report.errors);
	}
}

static void text_at_its_limits(void **state)
{
	(void)state;
	static char text[CONF_BYTES_MAX + 1];
	memset(text, '#', sizeof text);
	memcpy(text, BASE, sizeof BASE - 1);
	struct conf_text one = { STR("sealpost.conf"), { text, CONF_BYTES_MAX } };
	struct conf *c = read_texts(&one, 1);
	assert_non_null(c);
	conf_free(&c);
	one.text.n++;
	assert_report(&one, 1, "configuration: more than 4194304 bytes\n");

	/* A file of errors: all counted, the first thousand told, nothing aborts. */
	memset(text, '\n', sizeof text);
	enum { ERRORS = 50000 };
	for (size_t i = 0; i < ERRORS; i++)
		text[2 * i] = 'x';
	one.text.n = 2 * ERRORS;
	assert_null(read_texts(&one, 1));
	assert_int_equal(report.errors, ERRORS + 2);
	assert_true(str_ends_nocase(buf_view(&report.text), STR("... and more; mend these first\n")));
}

static void words_and_braces(void **state)
{
	(void)state;
	struct conf *c = good(BASE "domain a.example {\n aliases \"/with blank\" \"/q\\\"\\\\\" /b{r}a#c\"e  # comment {\n}\n");
	assert_list(&c->domains[0].aliases, "/with blank /q\"\\ /b{r}a#c\"e");
	assert_int_equal(c->domains[0].aliases.n, 3);
	conf_free(&c);
	c = good("\xef\xbb\xbf" BASE);
	conf_free(&c);
}

static void near_words(void **state)
{
	(void)state;
	static const struct str known[] = { { "listen", 6 }, { "limits", 6 }, { "log", 3 }, { "users", 5 } };
	assert_str(nearest_word(STR("lisen"), known, COUNT(known)), "listen");
	assert_str(nearest_word(STR("lsiten"), known, COUNT(known)), "listen");
	assert_str(nearest_word(STR("limit"), known, COUNT(known)), "limits");
	assert_str(nearest_word(STR("user"), known, COUNT(known)), "users");
	assert_str(nearest_word(STR("lgo"), known, COUNT(known)), "log");
	assert_str(nearest_word(STR("frobnicate"), known, COUNT(known)), "");
	assert_str(nearest_word(STR("x"), known, COUNT(known)), "");
	assert_str(nearest_word(STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), known, COUNT(known)), "");
}

static void networks(void **state)
{
	(void)state;
	static const struct { const char *network, *ip; bool inside; } cases[] = {
		{ "192.0.2.0/28", "192.0.2.15", true }, { "192.0.2.0/28", "192.0.2.16", false },
		{ "192.0.2.0/28", "::ffff:192.0.2.1", true }, { "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false }, { "0.0.0.0/0", "203.0.113.9", true }, { "0.0.0.0/0", "2001:db8::1", false },
		{ "2001:db8::/32", "2001:db8:ffff::1", true }, { "2001:db8::/32", "2001:db9::1", false },
		{ "::/0", "2001:db8::1", true }, { "::/0", "192.0.2.1", false }, { "::ffff:192.0.2.0/124", "192.0.2.7", true },
		{ "10.128.0.0/9", "10.127.255.255", false }, { "10.128.0.0/9", "10.128.0.0", true },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conf_network network, ip;
		assert_true(value_network(str_of(cases[i].network), &network));
		assert_true(value_ip(str_of(cases[i].ip), &ip));
		if (network_holds(&network, &ip) != cases[i].inside)
			fail_msg("%s in %s", cases[i].ip, cases[i].network);
	}
}

static void bare_names_stay_here(void **state)
{
	static const struct { const char *more, *origin; } rows[] = {
		{ "", "mx1.example.org" },
		{ "domain example.net example.com {\n recipients any\n deliver lmtp unix:/x\n}\n", "example.net" },
		{ "domain example.net mx1.example.org {\n recipients any\n deliver lmtp unix:/x\n}\n", "mx1.example.org" },
		{ "origin o.example\ndomain example.net {\n recipients any\n deliver lmtp unix:/x\n}\n", "o.example" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[1000];
		(void)snprintf(text, sizeof text, "%s%s", BASE, rows[i].more);
		struct conf *c = good(text);
		assert_str(c->origin, rows[i].origin);
		conf_free(&c);
	}
}

/* The DNS knows no U-labels. */
static void next_hops_are_written_as_the_dns_has_them(void **state)
{
	(void)state;
	struct conf *c = good(BASE "relay corp {\n host B\xc3\xbc" "cher.example:465 Smtp.example:25 [2001:db8::1]:465\n tls implicit verify\n}\n"
	                      "domain example.net {\n recipients any\n deliver lmtp b\xc3\xbc" "cher.example:24\n}\n");
	assert_str(c->relays[0].hosts.items[0], "xn--bcher-kva.example:465");
	assert_str(c->relays[0].hosts.items[1], "smtp.example:25");
	assert_str(c->relays[0].hosts.items[2], "[2001:db8::1]:465");
	assert_str(c->domains[0].deliver_to, "xn--bcher-kva.example:24");
	conf_free(&c);
}

/* What commands need that ask a running server, while somebody edits the file. */
static void of_a_broken_file_the_rest_can_be_had(void **state)
{
	static const struct { const char *more; const char *control; } rows[] = {
		{ "hostnam x\n", "/run/sealpost/control.sock" }, { "control /run/x.sock\nrout {\n", "/run/x.sock" },
		{ "control \"/run/x.sock\n", "/run/sealpost/control.sock" }, { "control run/x.sock\n", "" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[1000];
		struct conf *conf = NULL;
		struct conf_text one = { STR("sealpost.conf"), { text, 0 } };
		(void)snprintf(text, sizeof text, "%s%s", BASE, rows[i].more);
		one.text.n = strlen(text);
		conf_report_fini(&report);
		conf_report_init(&report);
		assert_int_equal(conf_read_some(&one, 1, &conf, &report), F_SYNTAX);
		assert_true(report.errors > 0);
		assert_non_null(conf);
		assert_true(str_eq(conf->control, str_of(rows[i].control)));
		assert_true(str_eq(conf->hostname, STR("mx1.example.org")));
		assert_int_equal(conf->n_listeners, 1);
		conf_free(&conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bare_names_stay_here),
		cmocka_unit_test(next_hops_are_written_as_the_dns_has_them),
		cmocka_unit_test(of_a_broken_file_the_rest_can_be_had),
		cmocka_unit_test(defaults),
		cmocka_unit_test(whole_certificates_and_users), cmocka_unit_test(whole_domains), cmocka_unit_test(whole_listeners_and_relays),
		cmocka_unit_test(whole_routes), cmocka_unit_test(whole_shapes), cmocka_unit_test(whole_queue_and_ways_out), cmocka_unit_test(whole_files),
		cmocka_unit_test(included),
		cmocka_unit_test(include_errors), cmocka_unit_test(warnings), cmocka_unit_test(values_at_their_limits),
		cmocka_unit_test(text_at_its_limits), cmocka_unit_test(words_and_braces), cmocka_unit_test(near_words),
		cmocka_unit_test(networks),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_report_fini(&report);
	return failed;
}
