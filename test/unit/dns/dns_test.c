/* SPDX-License-Identifier: ISC */
/* The whole way: libunbound in its thread, a real nsd, DNSSEC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "dns/decode.h"
#include "dns/dns.h"
#include "dns/nsd.h"
#include "dns/servers.h"

static struct nsd nsd;
static struct loop *loop;
static struct dns *dns;

/* An answer as one line: result, secure, canonical, records. */
struct heard { struct buf line; unsigned times; };

static void on_answer(void *owner, const struct dns_answer *a)
{
	static const char *const results[] = { "found", "nodata", "nxdomain", "bogus", "failed" };
	struct heard *h = owner;
	buf_clear(&h->line);
	assert_int_equal(buf_addf(&h->line, "%s%s%s", results[a->result], a->secure ? " secure" : "",
	                          a->unvalidated ? " unvalidated" : ""), OK);
	if (a->canonical.n > 0)
		assert_int_equal(buf_addf(&h->line, " =%.*s", STR_ARG(a->canonical)), OK);
	for (size_t i = 0; i < a->n_records; i++)
		assert_int_equal(buf_addf(&h->line, " %u/%.*s", a->records[i].number, STR_ARG(a->records[i].text)), OK);
	if (h->times++ == 0)
		loop_stop(loop);
}

static void expect(enum dns_kind kind, struct str name, const char *line)
{
	struct heard heard = { .times = 0 };
	buf_init(&heard.line, 4096);
	assert_non_null(dns_ask(dns, kind, name, on_answer, &heard));
	assert_int_equal(heard.times, 0); /* never from within dns_ask */
	loop_run(loop);
	assert_int_equal(heard.times, 1);
	assert_int_equal(buf_add_char(&heard.line, '\0'), OK);
	assert_string_equal(buf_view(&heard.line).p, line);
	buf_fini(&heard.line);
}

static struct dns *make(const char *server, struct str anchor, int64_t patience_ms)
{
	struct str servers[] = { str_of(server) };
	struct dns_options options = { .servers = servers, .n_servers = 1, .trust_anchor = anchor,
	                               .patience_ms = patience_ms };
	struct dns *made = NULL;
	struct why why = { "" };
	if (dns_new(loop, &options, &made, &why) != OK)
		fail_msg("%s", why.text);
	return made;
}

static int begin(void **state)
{
	(void)state;
	nsd_start(&nsd);
	loop = loop_new();
	dns = make(nsd.server, str_of(nsd.anchor), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	dns_free(&dns);
	loop_free(&loop);
	nsd_stop(&nsd);
	return 0;
}

static void secure_answers(void **state)
{
	(void)state;
	expect(DNS_MX, STR("Signed.TEST"), "found secure 10/mx1.signed.test 20/mx2.signed.test");
	expect(DNS_A, STR("mx1.signed.test"), "found secure 0/192.0.2.1");
	expect(DNS_AAAA, STR("mx1.signed.test."), "found secure 0/2001:db8::1");
	expect(DNS_A, STR("alias.signed.test"), "found secure =mx1.signed.test 0/192.0.2.1");
	expect(DNS_TXT, STR("txt.signed.test"), "found secure 0/v=one two");
	expect(DNS_MX, STR("nomail.signed.test"), "found secure 0/");
	expect(DNS_TLSA, STR("_25._tcp.mx2.signed.test"), "nxdomain secure");
	expect(DNS_AAAA, STR("mx2.signed.test"), "nodata secure");
}

static void tlsa_is_the_raw_data(void **state)
{
	(void)state;
	struct heard heard = { .times = 0 };
	buf_init(&heard.line, 4096);
	(void)dns_ask(dns, DNS_TLSA, STR("_25._tcp.mx1.signed.test"), on_answer, &heard);
	loop_run(loop);
	assert_true(str_starts(buf_view(&heard.line), STR("found secure 0/\3\1\1\x8c\xb0")));
	assert_int_equal(buf_view(&heard.line).n, sizeof "found secure 0/" - 1 + 35);
	buf_fini(&heard.line);
}

/* RFC 7672 2.1.3: an answer through a chain is as secure as its weakest part; the question for the CNAME itself tells how
 * secure the first one is. */
static void aliases_one_by_one(void **state)
{
	(void)state;
	expect(DNS_A, STR("outside.signed.test"), "found =mx.plain.test 0/192.0.2.9");
	expect(DNS_CNAME, STR("outside.signed.test"), "found secure 0/mx.plain.test");
	expect(DNS_A, STR("twice.signed.test"), "found =mx.plain.test 0/192.0.2.9");
	expect(DNS_CNAME, STR("twice.signed.test"), "found secure 0/outside.signed.test");
	expect(DNS_A, STR("inside.plain.test"), "found =mx1.signed.test 0/192.0.2.1");
	expect(DNS_CNAME, STR("inside.plain.test"), "found 0/mx1.signed.test");
	expect(DNS_CNAME, STR("mx1.signed.test"), "nodata secure");
	expect(DNS_CNAME, STR("nobody.signed.test"), "nxdomain secure");
}

static void aliases_in_a_circle_end(void **state)
{
	(void)state;
	expect(DNS_A, STR("round.signed.test"), "failed");
	expect(DNS_TLSA, STR("round.signed.test"), "failed");
	expect(DNS_CNAME, STR("round.signed.test"), "found secure 0/about.signed.test");
}

/* 500 of them, which come by TCP; all are signed, so one that is kept is as good as any. */
static void a_crowd_of_records_is_bounded(void **state)
{
	(void)state;
	struct heard heard = { .times = 0 };
	buf_init(&heard.line, 1 << 16);
	(void)dns_ask(dns, DNS_TLSA, STR("_25._tcp.crowd.signed.test"), on_answer, &heard);
	loop_run(loop);
	struct str rest = buf_view(&heard.line), head = STR(" 0/\3\1\1");
	size_t n = 0, at;
	assert_true(str_starts(rest, STR("found secure")));
	for (; str_find_str(rest, head, &at); rest = str_from(rest, at + head.n))
		n++;
	assert_int_equal(n, DNS_RECORDS_MAX);
	buf_fini(&heard.line);
}

static void insecure_answers(void **state)
{
	(void)state;
	expect(DNS_MX, STR("plain.test"), "found 5/mx.plain.test");
	expect(DNS_A, STR("nobody.plain.test"), "nxdomain");
	expect(DNS_PTR, STR("192.0.2.9"), "found 0/mx.plain.test");
}

static void bogus_answers(void **state)
{
	(void)state;
	expect(DNS_A, STR("broken.signed.test"), "bogus");
}

static void unusable_answers(void **state)
{
	(void)state;
	expect(DNS_MX, STR("odd.signed.test"), "failed"); /* a dot inside a label */
	expect(DNS_MX, STR("elsewhere.example"), "failed"); /* REFUSED by every server there is */
	expect(DNS_MX, STR("no such name"), "nxdomain");
}

static void without_an_anchor_nothing_is_secure_or_bogus(void **state)
{
	(void)state;
	struct dns *other = dns;
	dns = make(nsd.server, STR_NONE, 0);
	expect(DNS_A, STR("mx1.signed.test"), "found unvalidated 0/192.0.2.1");
	expect(DNS_A, STR("broken.signed.test"), "found unvalidated 0/192.0.2.67");
	expect(DNS_A, STR("missing.signed.test"), "nxdomain unvalidated");
	dns_free(&dns);
	dns = other;
}

/* 192.0.2.0/24 answers nobody. */
static void patience_ends(void **state)
{
	(void)state;
	struct dns *other = dns;
	dns = make("192.0.2.1", STR_NONE, 50);
	expect(DNS_A, STR("mx.plain.test"), "failed unvalidated");
	dns_free(&dns);
	dns = other;
}

static void cancelled_questions_stay_silent(void **state)
{
	(void)state;
	struct heard first = { .times = 0 }, second = { .times = 0 };
	buf_init(&first.line, 4096);
	buf_init(&second.line, 4096);
	struct dns_question *q = dns_ask(dns, DNS_A, STR("cancel.plain.test"), on_answer, &first);
	struct dns_question *bad = dns_ask(dns, DNS_A, STR(""), on_answer, &first);
	(void)dns_ask(dns, DNS_MX, STR("plain.test"), on_answer, &second);
	dns_cancel(&q);
	dns_cancel(&bad);
	assert_null(q);
	dns_cancel(&q);
	loop_run(loop);
	assert_int_equal(first.times, 0);
	assert_int_equal(second.times, 1);
	buf_fini(&first.line);
	buf_fini(&second.line);
}

static void open_questions_end_with_it(void **state)
{
	(void)state;
	struct heard heard = { .times = 0 };
	struct dns *short_lived = make(nsd.server, STR_NONE, 0);
	(void)dns_ask(short_lived, DNS_A, STR("mx.plain.test"), on_answer, &heard);
	(void)dns_ask(short_lived, DNS_A, STR(""), on_answer, &heard);
	dns_free(&short_lived);
	assert_null(short_lived);
	assert_int_equal(heard.times, 0);
}

/* ---- a library that has stopped ---- */

enum { DEAF = 70, PATIENT = 5, SHORT_MS = 300 };

static void on_any_answer(void *owner, const struct dns_answer *a)
{
	(void)owner;
	(void)a;
}

static void on_first_answer(void *owner, const struct dns_answer *a)
{
	(void)a;
	loop_stop(owner);
}

static void on_enough(void *owner)
{
	(void)owner;
	_exit(PATIENT);
}

/* What leads to its thread and to name servers leads nowhere from now on. */
static void cut_off(int first)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat st;
	for (int fd = first; fd < 256; fd++)
		if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
			(void)dup2(null, fd);
}

/* A process of its own asks a server that never answers; gives its exit status. */
static int ask_in_vain(bool deaf)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	char server[64];
	int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), status = 0;
	assert_int_equal(bind(silent, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(server, sizeof server, "127.0.0.1:%u", ntohs(at.sin_port));
	pid_t pid = fork();
	if (pid == 0) {
		struct timer enough;
		loop = loop_new();
		int before = dup(silent);
		dns = make(server, STR_NONE, SHORT_MS);
		timer_init(&enough, loop, on_enough, NULL);
		timer_set(&enough, loop_now_ms(loop) + (deaf ? 60000 : 4 * (int64_t)SHORT_MS));
		/* The thread runs and has its descriptors once it has answered something. */
		(void)dns_ask(dns, DNS_A, STR("localhost"), on_first_answer, loop);
		loop_run(loop);
		if (deaf)
			cut_off(before);
		(void)dns_ask(dns, DNS_A, STR("a.plain.test"), on_any_answer, NULL);
		loop_run(loop);
		_exit(1);
	}
	(void)close(silent);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_library_that_stopped_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(ask_in_vain(true), DEAF);
}

static void servers_that_are_silent_do_not(void **state)
{
	(void)state;
	assert_int_equal(ask_in_vain(false), PATIENT);
}

static void expect_refused(struct str server, struct str anchor, const char *part)
{
	struct dns_options options = { .servers = &server, .n_servers = 1, .trust_anchor = anchor };
	struct dns *made = NULL;
	struct why why = { "" };
	size_t at;
	assert_int_equal(dns_new(loop, &options, &made, &why), F_SYNTAX);
	assert_null(made);
	assert_true(str_find_str(str_of(why.text), str_of(part), &at));
}

static void wrong_options_are_said(void **state)
{
	(void)state;
	expect_refused(STR("ns.example.org"), STR_NONE, "\"ns.example.org\" is not the address of a name server");
	expect_refused(STR("127.0.0.1"), STR("; only a comment\n"), "holds no DS or DNSKEY record");
	expect_refused(STR("127.0.0.1"), STR("signed.test. IN DS not a digest\n"), "anchor");
	expect_refused(STR("127.0.0.1"), STR("hello\n"), "anchor");
}

/* What stands behind the last one may be anything. */
static void so_many_servers_are_looked_at(void **state)
{
	(void)state;
	char text[64 * (DNS_SERVERS_MAX + 1)];
	struct dns *other = NULL;
	for (int good = DNS_SERVERS_MAX - 1; good <= DNS_SERVERS_MAX; good++) {
		int n = 0;
		for (int i = 0; i < good; i++)
			n += snprintf(text + n, sizeof text - (size_t)n, "nameserver 192.0.2.%d\n", i + 1);
		n += snprintf(text + n, sizeof text - (size_t)n, "nameserver hello\n");
		struct dns_options options = { .resolv_conf = { text, (size_t)n } };
		struct why why = { "" };
		assert_int_equal(dns_new(loop, &options, &other, &why), good == DNS_SERVERS_MAX ? OK : F_SYNTAX);
		dns_free(&other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secure_answers),
		cmocka_unit_test(tlsa_is_the_raw_data),
		cmocka_unit_test(aliases_one_by_one),
		cmocka_unit_test(aliases_in_a_circle_end),
		cmocka_unit_test(a_crowd_of_records_is_bounded),
		cmocka_unit_test(insecure_answers),
		cmocka_unit_test(bogus_answers),
		cmocka_unit_test(unusable_answers),
		cmocka_unit_test(without_an_anchor_nothing_is_secure_or_bogus),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(cancelled_questions_stay_silent),
		cmocka_unit_test(open_questions_end_with_it),
		cmocka_unit_test(a_library_that_stopped_ends_the_process),
		cmocka_unit_test(servers_that_are_silent_do_not),
		cmocka_unit_test(wrong_options_are_said),
		cmocka_unit_test(so_many_servers_are_looked_at),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
