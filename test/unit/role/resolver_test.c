/* SPDX-License-Identifier: ISC */
/* The resolver's parts against a real nsd: who waits for what, and whether DNSSEC comes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "dns/nsd.h"
#include "role/resolver/lookups.h"
#include "role/resolver/upstream.h"
#include "sys/clock.h"
#include "sys/channel.h"
#include "sys/socket.h"

static struct nsd nsd;
static struct loop *loop;
static struct dns *dns;
static struct lookups *lookups;

/* A neighbour, and what it has heard: "request: record record = result". */
struct asker { struct channel *channel; struct buf heard; size_t ends, wanted; bool closed; };

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	static const char *const results[] = { "found", "nodata", "nxdomain", "bogus", "failed" };
	static const char *const states[] = { "none", "policy", "trouble", "unasked" };
	struct asker *a = owner;
	assert_int_equal(fd, -1);
	if (kind == RESOLVED_RECORD) {
		const struct resolved_record *m = msg;
		assert_int_equal(buf_addf(&a->heard, "%u:%u/%.*s ", (unsigned)m->request, (unsigned)m->number,
		                          STR_ARG(m->text)), OK);
		return;
	}
	if (kind == RESOLVED_POLICY) {
		const struct resolved_policy *m = msg;
		assert_int_equal(buf_addf(&a->heard, "%u:policy %s;", (unsigned)m->request, states[m->state]), OK);
		loop_stop(loop);
		return;
	}
	const struct resolved_end *m = msg;
	assert_int_equal(buf_addf(&a->heard, "%u:%s%s;", (unsigned)m->request, results[m->result],
	                          m->secure ? "+" : ""), OK);
	if (++a->ends == a->wanted)
		loop_stop(loop);
}

static void on_closed(void *owner, const char *reason)
{
	struct asker *a = owner;
	(void)reason;
	a->closed = true;
	channel_close(&a->channel);
	loop_stop(loop);
}

static void link_asker(struct asker *a, unsigned number)
{
	static const struct channel_handler handler = { on_message, on_closed };
	int fds[2];
	*a = (struct asker){ .wanted = 1 };
	buf_init(&a->heard, 1 << 20);
	assert_int_equal(socket_pair(fds), OK);
	a->channel = channel_new(loop, fds[0], &from_resolver, &to_resolver, &handler, a);
	lookups_link(lookups, number, fds[1], true);
}

static void end_asker(struct asker *a)
{
	channel_close(&a->channel);
	buf_fini(&a->heard);
}

static void ask(struct asker *a, uint64_t request, enum dns_kind kind, struct str name)
{
	channel_send(a->channel, RESOLVE, &(struct resolve){ .request = request, .kind = kind, .name = name });
}

static void expect_heard(struct asker *a, const char *text)
{
	assert_int_equal(buf_add_char(&a->heard, '\0'), OK);
	assert_string_equal(buf_view(&a->heard).p, text);
	buf_clear(&a->heard);
	a->ends = 0;
}

static struct dns_options options_for(struct str *server, const char *anchor)
{
	return (struct dns_options){ .servers = server, .n_servers = 1, .trust_anchor = str_of(anchor) };
}

static int begin(void **state)
{
	(void)state;
	nsd_start(&nsd);
	loop = loop_new();
	struct str server = str_of(nsd.server);
	struct dns_options options = options_for(&server, nsd.anchor);
	struct why why = { "" };
	if (dns_new(loop, &options, &dns, &why) != OK)
		fail_msg("%s", why.text);
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

static int begin_lookups(void **state)
{
	(void)state;
	lookups = lookups_new(loop, NULL);
	return 0;
}

static int end_lookups(void **state)
{
	(void)state;
	lookups_free(&lookups);
	return 0;
}

static void answers_go_to_who_asked(void **state)
{
	(void)state;
	struct asker front, courier;
	lookups_use(lookups, dns);
	link_asker(&front, 1);
	link_asker(&courier, 2);
	ask(&front, 7, DNS_A, STR("mx1.signed.test"));
	loop_run(loop);
	expect_heard(&front, "7:0/192.0.2.1 7:found+;");
	ask(&courier, 7, DNS_MX, STR("signed.test"));
	loop_run(loop);
	expect_heard(&courier, "7:10/mx1.signed.test 7:20/mx2.signed.test 7:found+;");
	ask(&courier, 8, DNS_A, STR("broken.signed.test"));
	loop_run(loop);
	expect_heard(&courier, "8:bogus;");
	assert_int_equal(buf_view(&front.heard).n, 0);
	end_asker(&front);
	end_asker(&courier);
}

/* Also what differs by case only. Held back until there is somebody to ask, so that all of them wait. */
static void equal_questions_are_asked_once(void **state)
{
	(void)state;
	struct asker a, b;
	link_asker(&a, 1);
	link_asker(&b, 2);
	a.wanted = 3;
	ask(&a, 1, DNS_A, STR("mx.plain.test"));
	ask(&a, 2, DNS_A, STR("MX.plain.test"));
	ask(&a, 3, DNS_AAAA, STR("mx.plain.test"));
	ask(&b, 4, DNS_A, STR("mx.plain.test"));
	ask(&b, 5, 99, STR("mx.plain.test")); /* refused at once: b knows that its others have arrived */
	loop_run(loop);
	expect_heard(&b, "5:failed;");
	assert_int_equal(lookups_open(lookups), 2);
	b.wanted = 0; /* a, which waits for both names, ends the run */
	lookups_use(lookups, dns);
	loop_run(loop);
	assert_int_equal(lookups_open(lookups), 0);
	end_asker(&a);
	end_asker(&b);
}

static void strange_names_are_refused(void **state)
{
	(void)state;
	struct asker a;
	char name[256];
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = 'a';
	lookups_use(lookups, dns);
	link_asker(&a, 1);
	ask(&a, 1, DNS_A, (struct str){ name, 256 });
	loop_run(loop);
	expect_heard(&a, "1:failed;");
	ask(&a, 2, DNS_A, (struct str){ name, 255 });
	loop_run(loop);
	expect_heard(&a, "2:nxdomain;");
	ask(&a, 3, DNS_PTR, STR("not an address"));
	loop_run(loop);
	expect_heard(&a, "3:nxdomain;");
	end_asker(&a);
}

/* One more question than the limit, nobody to ask: only the last is answered. */
static void open_questions_have_a_limit(void **state)
{
	(void)state;
	struct asker a;
	char name[32];
	link_asker(&a, 1);
	for (unsigned i = 0; i < LOOKUPS_MAX; i++) {
		(void)snprintf(name, sizeof name, "n%u.plain.test", i);
		ask(&a, i, DNS_A, str_of(name));
	}
	ask(&a, LOOKUPS_MAX, DNS_A, STR("n0.plain.test")); /* waits with the first */
	ask(&a, LOOKUPS_MAX + 1, DNS_A, STR("over.plain.test"));
	loop_run(loop);
	expect_heard(&a, "1025:failed;");
	assert_int_equal(lookups_open(lookups), LOOKUPS_MAX);
	a.wanted = LOOKUPS_MAX + 1;
	lookups_use(lookups, dns);
	loop_run(loop);
	assert_int_equal(a.ends, LOOKUPS_MAX + 1);
	assert_int_equal(lookups_open(lookups), 0);
	end_asker(&a);
}

static void waiting_requests_have_a_limit(void **state)
{
	(void)state;
	struct asker a;
	link_asker(&a, 1);
	for (unsigned i = 0; i < WAITERS_MAX + 1; i++)
		ask(&a, i, DNS_A, STR("mx.plain.test"));
	loop_run(loop);
	expect_heard(&a, "2048:failed;");
	/* None could be known under this name; under that one, perhaps. */
	channel_send(a.channel, RESOLVE_POLICY, &(struct resolve_policy){ .request = 1, .domain = STR("-.plain.test") });
	loop_run(loop);
	expect_heard(&a, "1:policy none;");
	channel_send(a.channel, RESOLVE_POLICY, &(struct resolve_policy){ .request = 2, .domain = STR("plain.test") });
	loop_run(loop);
	expect_heard(&a, "2:policy unasked;");
	assert_int_equal(lookups_open(lookups), 1);
	end_asker(&a);
}

/* What the policies want to be kept, or to be forgotten: the last key, and how many. */
struct kept { char forgotten[64]; unsigned n_forgotten; };

static void on_keep(void *owner, struct str key, struct str value, int64_t expires_s)
{
	struct kept *k = owner;
	(void)value;
	if (expires_s != 0)
		return;
	k->n_forgotten++;
	(void)snprintf(k->forgotten, sizeof k->forgotten, "%.*s", STR_ARG(key));
}

static void on_policy(void *owner, const struct policy_answer *answer)
{
	(void)owner;
	(void)answer;
	fail_msg("nobody was asked");
}

static void wonder(struct policies *p, unsigned from, unsigned to)
{
	char name[32];
	for (unsigned i = from; i < to; i++) {
		(void)snprintf(name, sizeof name, "n%u.plain.test", i);
		struct policy_waiter *w = policies_ask(p, str_of(name), on_policy, NULL);
		assert_non_null(w);
		policies_cancel(&w);
	}
}

static void names_without_a_policy_push_out_none_that_has_one(void **state)
{
	(void)state;
	struct kept kept = { .n_forgotten = 0 };
	char value[100], key[64];
	struct policies *p = policies_new(&(struct policies_house){ .loop = loop, .keep = on_keep, .owner = &kept });
	(void)snprintf(value, sizeof value, "1 %lld 86400 %lld enforce 1\nmx.plain.test", (long long)clock_wall_s(), (long long)clock_wall_s());
	policies_kept(p, STR("mta-sts/old.plain.test"), str_of(value), clock_wall_s() + 86400);
	wonder(p, 0, POLICIES_MAX + 100);
	assert_int_equal(kept.n_forgotten, 0);
	struct policies_facts facts;
	policies_facts(p, &facts);
	assert_int_equal(facts.enforced, 1);
	/* Where all have one, the longest unused goes. */
	for (unsigned i = 0; i < POLICIES_MAX; i++) {
		(void)snprintf(key, sizeof key, "mta-sts/p%u.plain.test", i);
		policies_kept(p, str_of(key), str_of(value), clock_wall_s() + 86400);
	}
	assert_int_equal(kept.n_forgotten, 1);
	assert_string_equal(kept.forgotten, "mta-sts/old.plain.test");
	policies_facts(p, &facts);
	assert_int_equal(facts.enforced, POLICIES_MAX);
	policies_free(&p);
}

static void an_asker_that_goes_leaves_nothing(void **state)
{
	(void)state;
	struct asker gone, again;
	link_asker(&gone, 1);
	ask(&gone, 1, DNS_A, STR("mx.plain.test"));
	ask(&gone, 2, 99, STR("x"));
	loop_run(loop);
	expect_heard(&gone, "2:failed;");
	end_asker(&gone);
	link_asker(&again, 1); /* under the same number: the old one is replaced */
	ask(&again, 3, DNS_A, STR("mx.plain.test"));
	ask(&again, 4, 99, STR("x"));
	loop_run(loop);
	expect_heard(&again, "4:failed;");
	assert_int_equal(lookups_open(lookups), 1);
	lookups_use(lookups, dns);
	loop_run(loop);
	expect_heard(&again, "3:0/192.0.2.9 3:found;");
	end_asker(&again);
}

static void questions_survive_a_change_of_servers(void **state)
{
	(void)state;
	struct str server = STR("192.0.2.1"); /* answers nobody */
	struct dns_options options = options_for(&server, NULL);
	struct dns *silent = NULL;
	struct asker a;
	assert_int_equal(dns_new(loop, &options, &silent, NULL), OK);
	lookups_use(lookups, silent);
	link_asker(&a, 1);
	ask(&a, 1, DNS_A, STR("mx.plain.test"));
	ask(&a, 2, 99, STR("x"));
	loop_run(loop);
	expect_heard(&a, "2:failed;");
	lookups_use(lookups, NULL);
	dns_free(&silent);
	lookups_use(lookups, dns);
	loop_run(loop);
	expect_heard(&a, "1:0/192.0.2.9 1:found;");
	end_asker(&a);
}

/* --- upstream --- */

static void on_changed(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

static void on_validated(void *owner)
{
	(void)owner;
}

static struct upstream *new_upstream(const char *server, const char *anchor, bool strict)
{
	static struct upstream_memory memory;
	struct str text = str_of(server);
	struct dns_options options = options_for(&text, anchor);
	struct upstream *u = NULL;
	struct why why = { "" };
	memory = (struct upstream_memory){ .known = true };
	if (upstream_new(&(struct upstream_house){ loop, &memory, on_changed, on_validated, NULL }, &options, strict, &u, &why) != OK)
		fail_msg("%s", why.text);
	return u;
}

static enum upstream_state verdict(const char *server, const char *anchor, bool strict, bool *usable_out)
{
	struct upstream *u = new_upstream(server, anchor, strict);
	assert_null(upstream_dns(u));
	loop_run(loop);
	enum upstream_state state = upstream_state(u);
	*usable_out = upstream_dns(u) != NULL;
	upstream_free(&u);
	assert_null(u);
	return state;
}

/* The digest of a key that signed.test does not have: as if its signatures had been lost on the way. */
#define FOREIGN "signed.test. IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000"

static void dnssec_is_tried_at_the_start(void **state)
{
	(void)state;
	bool usable = false;
	assert_int_equal(verdict(nsd.server, nsd.anchor, true, &usable), UPSTREAM_VALIDATES);
	assert_true(usable);
	assert_int_equal(verdict(nsd.server, FOREIGN, false, &usable), UPSTREAM_CANNOT);
	assert_true(usable);
	assert_int_equal(verdict(nsd.server, FOREIGN, true, &usable), UPSTREAM_CANNOT);
	assert_true(usable);
	assert_int_equal(verdict(nsd.server, NULL, false, &usable), UPSTREAM_NO_ANCHOR);
	assert_true(usable);
}

/* The first verdict takes too long: from then on questions are asked all the same. */
static void silent_servers_stall_nothing(void **state)
{
	(void)state;
	bool usable = false;
	int64_t before_ms = loop_now_ms(loop);
	assert_int_equal(verdict("192.0.2.1", nsd.anchor, false, &usable), UPSTREAM_TESTING);
	assert_true(usable);
	assert_in_range(loop_now_ms(loop) - before_ms, UPSTREAM_VERDICT_MS - 1, UPSTREAM_VERDICT_MS + 5000);
}

static void lost_signatures(const char *question, bool strict, const char *expected)
{
	struct upstream *u = new_upstream(nsd.server, FOREIGN, strict);
	struct asker a;
	loop_run(loop);
	lookups_use(lookups, upstream_dns(u));
	link_asker(&a, 1);
	ask(&a, 1, DNS_A, str_of(question));
	loop_run(loop);
	expect_heard(&a, expected);
	end_asker(&a);
	lookups_use(lookups, NULL);
	upstream_free(&u);
}

static void lost_signatures_do_not_stop_the_mail(void **state)
{
	(void)state;
	lost_signatures("mx1.signed.test", false, "1:0/192.0.2.1 1:found;");
}

static void an_anchor_of_the_configuration_binds(void **state)
{
	(void)state;
	lost_signatures("mx1.signed.test", true, "1:bogus;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_go_to_who_asked, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(equal_questions_are_asked_once, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(strange_names_are_refused, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(open_questions_have_a_limit, begin_lookups, end_lookups),
		cmocka_unit_test(names_without_a_policy_push_out_none_that_has_one),
		cmocka_unit_test_setup_teardown(waiting_requests_have_a_limit, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(an_asker_that_goes_leaves_nothing, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(questions_survive_a_change_of_servers, begin_lookups, end_lookups),
		cmocka_unit_test(dnssec_is_tried_at_the_start),
		cmocka_unit_test(silent_servers_stall_nothing),
		cmocka_unit_test_setup_teardown(lost_signatures_do_not_stop_the_mail, begin_lookups, end_lookups),
		cmocka_unit_test_setup_teardown(an_anchor_of_the_configuration_binds, begin_lookups, end_lookups),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
