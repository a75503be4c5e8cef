/* SPDX-License-Identifier: ISC */
/* The house itself: its clocks, its store, how it runs, opens and closes. */
#include "unit.h"

#include "role/spool/house.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "role/spool/spool.h"
#include "sys/clock.h"
#include "sys/loop_uv.h"
#include "sys/socket.h"

struct house h;
const struct store_selector everything = { .id = { NULL, 0 } };
static struct arena *scratch;
static struct store_ops ops;

static const char basic_conf[] =
	"hostname mx1.example.org\n"
	"postmaster pm@example.org\n"
	"control /tmp/unused.sock\n"
	"listen local {\n on unix:/tmp/unused-local.sock\n}\n"
	"domain example.org {\n recipients any\n deliver maildir /var/mail/{domain}/{local}\n}\n"
	"domain lists.example.org {\n recipients any\n deliver lmtp 127.0.0.1:24\n}\n";

/* ---- sys/clock.h, so that the wall clock can jump, and the loop's be put forward ---- */

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + h.ahead_ms;
}

/* Every house is built at noon, so that no test depends on when it is run. */
static int64_t to_noon_s;

static void make_it_noon(void)
{
	enum { DAY_S = 86400 };
	to_noon_s = DAY_S / 2 - (int64_t)time(NULL) % DAY_S;
}

int64_t clock_wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (t.tv_sec + to_noon_s + h.wall_jump_s) * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

int clock_zone_minutes(int64_t wall_s)
{
	(void)wall_s;
	return 0;
}

void random_bytes(void *to, size_t n)
{
	check(getentropy(to, n) == 0);
}

uint64_t random_u64(void)
{
	uint64_t v;
	random_bytes(&v, sizeof v);
	return v;
}

/* ---- the store ---- */

static fault open_same(struct str directory, const struct store_options *options, struct store **out, struct why *why)
{
	(void)directory, (void)options, (void)why;
	*out = h.store;
	return OK;
}

static void keep_open(struct store **s)
{
	*s = NULL;
}

static fault commit(struct store *s, struct store_commit *c, size_t n, struct store_outcome *o, size_t m,
                    struct why *why)
{
	if (h.commits++ == 0 && h.at_first_commit != NULL)
		h.at_first_commit();
	h.most_messages = n > h.most_messages ? n : h.most_messages;
	h.most_outcomes = m > h.most_outcomes ? m : h.most_outcomes;
	if (n > 0 && m > 0)
		h.most_both = n + m > h.most_both ? n + m : h.most_both;
	if (h.commit_fault == OK)
		return store_memory.commit(s, c, n, o, m, why);
	for (size_t i = 0; i < n; i++) {
		c[i].result = h.commit_fault;
		store_memory.draft_drop(s, &c[i].draft);
	}
	for (size_t i = 0; i < m; i++)
		o[i].result = h.commit_fault;
	return h.commit_fault;
}

static fault trim(struct store *s, struct str prefix, uint64_t most, uint64_t bytes_max, uint64_t *gone_out)
{
	h.trims.n++;
	h.trims.prefix = prefix;
	h.trims.most = most;
	h.trims.bytes = bytes_max;
	return store_memory.trim(s, prefix, most, bytes_max, gone_out);
}

static fault recall_some(struct store *s, struct str prefix, struct str after, size_t max,
                         void (*each)(void *owner, struct str key, struct str value, int64_t expires_s), void *owner, size_t *n_out)
{
	h.slices++;
	return store_memory.recall_some(s, prefix, after, max, each, owner, n_out);
}

static void list_made_up(struct store_place *place, struct store_rcpt *out, size_t max, size_t *n_out)
{
	for (*n_out = 0; *n_out < max && place->after < 2 * h.made_up; ++*n_out, place->after++)
		out[*n_out] = (struct store_rcpt){ .number = place->after % h.made_up + 1, .id = STR("m1"), .address = STR("b@y.example"),
			                           .key = STR("mx:y.example"), .attempts = place->after >= h.made_up };
	place->over = place->after == 2 * h.made_up;
}

static fault lease(struct store *s, int64_t now_s, int64_t lease_s, const struct store_room *room, struct arena *a, struct store_rcpt *out,
                   size_t max, size_t *n_out, struct why *why)
{
	TRY(store_memory.lease(s, now_s, lease_s, room, a, out, max, n_out, why));
	for (size_t i = 0; i < *n_out && h.damaged != NULL; i++)
		out[i].damaged = has(out[i].address, h.damaged);
	return OK;
}

static fault list(struct store *s, const struct store_selector *which, struct store_place *place, struct arena *a,
                  struct store_rcpt *out, size_t max, size_t *n_out)
{
	if (h.made_up > 0) {
		list_made_up(place, out, max, n_out);
		return OK;
	}
	TRY(store_memory.list(s, which, place, a, out, max, n_out));
	if (h.numbers_early && place != NULL)
		place->last = UINT64_MAX;
	if (!h.tells_twice || place == NULL)
		return OK;
	size_t n = *n_out;
	*n_out = 0;
	for (size_t i = 0; i < n; i++)
		if ((out[i].attempts > 0) == place->untried_over)
			out[(*n_out)++] = out[i];
	if (place->over && !place->untried_over) {
		place->over = false;
		place->untried_over = true;
		place->after = 0;
	}
	return OK;
}

static fault act_on(struct store *s, const struct store_rcpt *rows, size_t n, enum operator_action action, int64_t now_s, bool *did)
{
	if (h.acts++ == 0 && h.at_first_act != NULL)
		h.at_first_act();
	for (size_t i = 0; i < n && h.made_up > 0; i++)
		did[i] = true;
	return h.made_up > 0 ? OK : store_memory.act_on(s, rows, n, action, now_s, did);
}

static fault content(struct store *s, struct str id, uint64_t offset, char *to, size_t room, size_t *n_out)
{
	return h.content_fault != OK ? h.content_fault : store_memory.content(s, id, offset, to, room, n_out);
}

static fault glance(struct store *s, uint64_t after, struct arena *a, struct store_glance *out, size_t max, size_t *n_out)
{
	h.glances++;
	return (h.glance != NULL ? h.glance : store_memory.glance)(s, after, a, out, max, n_out);
}

static bool rest(struct store *s)
{
	h.rests++;
	return store_memory.rest(s);
}

static fault space(struct store *s, uint64_t *bytes, uint64_t *names)
{
	(void)s;
	*bytes = h.bytes_free;
	*names = h.names_free;
	return OK;
}

/* ---- running ---- */

static void too_late(void *owner)
{
	(void)owner;
	check(buf_add_char(&h.heard, '\0') == OK);
	const char *wanted = h.wanted;
	h.wanted = NULL;
	fail_msg("waited in vain for \"%s\"; heard:\n%s", wanted != NULL ? wanted : "peace", buf_view(&h.heard).p);
}

static void run(void)
{
	struct timer limit;
	timer_init(&limit, h.loop, too_late, NULL);
	timer_set(&limit, loop_now_ms(h.loop) + 20000);
	loop_run(h.loop);
	timer_clear(&limit);
}

void wait_for(const char *text)
{
	size_t at;
	if (str_find_str(str_from(buf_view(&h.heard), h.passed), str_of(text), &at)) {
		h.passed += at + strlen(text);
		return;
	}
	h.wanted = text;
	run();
}

bool was_heard(const char *text)
{
	size_t at;
	return str_find_str(buf_view(&h.heard), str_of(text), &at);
}

size_t times_heard(const char *what)
{
	size_t n = 0, at;
	for (struct str rest = buf_view(&h.heard); str_find_str(rest, str_of(what), &at); rest = str_from(rest, at + 1))
		n++;
	return n;
}

/* A status is asked until it shows that nothing is leased or in hand: the spool answers after its turn. */
void settle_down(void)
{
	for (int i = 0; i < 100; i++) {
		size_t before = buf_view(&h.heard).n, at;
		h.passed = before;
		channel_send(h.supervisor.channel, TO_ROLE_ASK_STATUS, &(struct to_role_ask_status){ .request = 1 });
		wait_for("supervisor: status");
		struct str status = str_from(buf_view(&h.heard), before);
		if (str_find_str(status, STR("\"leased\": 0"), &at) && str_find_str(status, STR("\"jobs\": 0"), &at))
			return;
	}
	fail_msg("it does not come to rest");
}

/* ---- the house ---- */

void house_prepare(void)
{
	make_it_noon();
	h = (struct house){ .bytes_free = UINT64_MAX, .names_free = UINT64_MAX };
	h.answer = (struct from_worker_outcome){ .class = OUTCOME_DONE, .code = 250, .status = STR("2.0.0"),
		                                 .text = STR("ok"), .host = STR("mx.y.example") };
	buf_init(&h.heard, 64 << 20);
	buf_init(&h.report_body, 1 << 20);
	scratch = arena_new(256 << 20);
	ops = store_memory;
	ops.open = open_same;
	ops.close = keep_open;
	ops.commit = commit;
	ops.content = content;
	ops.trim = trim;
	ops.recall_some = recall_some;
	ops.glance = glance;
	ops.space = space;
	ops.rest = rest;
	ops.lease = lease;
	ops.list = list;
	ops.act_on = act_on;
	assert_int_equal(store_memory.open(STR_NONE, NULL, &h.store, NULL), OK);
}

void house_fill(const char *id, const char *sender, const char *const *to, size_t n, unsigned notify, int64_t age_s,
                const char *text)
{
	struct store_rcpt rcpts[200];
	check(n <= COUNT(rcpts));
	for (size_t i = 0; i < n; i++)
		rcpts[i] = (struct store_rcpt){ .address = str_of(to[i]), .original = str_of(to[i]), .notify = notify,
			                        .key = h.key != NULL ? str_of(h.key) : STR("some:key"), .next_s = clock_wall_s() - age_s };
	struct store_commit c = { .message = { .id = str_of(id), .sender = str_of(sender),
		                               .arrived_s = clock_wall_s() - age_s },
		                  .rcpts = rcpts, .n_rcpts = n };
	assert_int_equal(store_memory.draft_new(h.store, &c.draft), OK);
	assert_int_equal(store_memory.draft_append(h.store, c.draft, str_of(text)), OK);
	assert_int_equal(store_memory.commit(h.store, &c, 1, NULL, 0, NULL), OK);
	assert_int_equal(c.result, OK);
}

void house_fill_many(unsigned letters, size_t rcpts, const char *address, int64_t age_s)
{
	const char *to[200];
	char id[16];
	check(rcpts <= COUNT(to));
	for (size_t i = 0; i < rcpts; i++)
		to[i] = address;
	for (unsigned i = 0; i < letters; i++) {
		snprintf(id, sizeof id, "m%02u", i);
		house_fill(id, "a@x.example", to, rcpts, 0, age_s, "x");
	}
}

static void listen_for_operator(void)
{
	struct endpoint at;
	struct why why;
	char text[80];
	int fd;
	strcpy(h.socket, "/tmp/spool-test-XXXXXX");
	if (mkdtemp(h.socket) == NULL)
		fail();
	strcat(h.socket, "/s");
	snprintf(text, sizeof text, "unix:%s", h.socket);
	assert_int_equal(endpoint_parse(str_of(text), &at), OK);
	assert_int_equal(socket_listen(&at, 10, &fd, &why), OK);
	channel_send_fd(h.supervisor.channel, TO_ROLE_CONTROL, &(struct to_role_control){ .generation = 1 }, fd);
}

void house_begin(void)
{
	if (h.store == NULL)
		house_prepare();
	h.loop = loop_new();
	h.spool = spool_start_on(h.loop, link_supervisor(), &ops);
}

void house_send_conf(const char *conf)
{
	struct buf text;
	static const char queue[] = "queue {\n";
	const char *rest = strstr(conf, queue);
	int before = rest != NULL ? (int)(rest - conf) : (int)strlen(conf), folder = (int)strlen(h.socket) - 2;
	buf_init(&text, 64 << 10);
	assert_int_equal(buf_addf(&text, "%s%.*s%s directory %.*s\n%s", basic_conf, before, conf, queue, folder, h.socket,
	                          rest != NULL ? rest + strlen(queue) : "}\n"), OK);
	struct to_role_config_text m = { .generation = 1, .name = STR("test.conf"), .text = buf_view(&text) };
	channel_send(h.supervisor.channel, TO_ROLE_CONFIG_TEXT, &m);
	channel_send(h.supervisor.channel, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = 1 });
	buf_fini(&text);
}

void house_configure(const char *conf)
{
	house_send_conf(conf);
	wait_for("supervisor: ready");
}

void house_open(const char *conf)
{
	if (h.spool == NULL)
		house_begin();
	listen_for_operator();
	house_configure(conf);
	link_front();
	link_worker(&h.courier);
	link_worker(&h.porter);
	link_keeper();
	link_resolver();
}

void house_close(void)
{
	role_free(&h.spool);
	struct neighbour *all[] = { &h.supervisor, &h.front, &h.courier, &h.porter, &h.operator, &h.resolver, &h.keeper };
	for (size_t i = 0; i < COUNT(all); i++)
		channel_close(&all[i]->channel);
	loop_free(&h.loop);
	for (size_t i = 0; i < h.n_jobs; i++)
		buf_fini(&h.jobs[i].body);
	store_memory.close(&h.store);
	buf_fini(&h.heard);
	buf_fini(&h.report_body);
	arena_free(&scratch);
	unlink(h.socket);
	h.socket[strlen(h.socket) - 2] = '\0';
	char history[100];
	glob_t files;
	snprintf(history, sizeof history, "%s/history-*", h.socket);
	if (glob(history, 0, NULL, &files) == 0)
		for (size_t i = 0; i < files.gl_pathc; i++)
			unlink(files.gl_pathv[i]);
	globfree(&files);
	rmdir(h.socket);
	h = (struct house){ 0 };
}

int setup_open(void **state)
{
	(void)state;
	house_open("");
	return 0;
}

int setup_prepared(void **state)
{
	(void)state;
	house_prepare();
	return 0;
}

int teardown(void **state)
{
	(void)state;
	house_close();
	return 0;
}

/* ---- looking ---- */

size_t rows(struct store_rcpt *out, size_t max)
{
	size_t n = 0;
	assert_int_equal(store_memory.list(h.store, &(struct store_selector){ .id = STR_NONE }, 0, scratch, out, max, &n), OK);
	return n;
}

struct str text_of(const char *id)
{
	char *p = arena_alloc(scratch, 4 << 20);
	size_t n = 0;
	assert_int_equal(store_memory.content(h.store, str_of(id), 0, p, (4 << 20) - 1, &n), OK);
	return (struct str){ p, n };
}

struct store_rcpt only_row(void)
{
	struct store_rcpt r[2];
	size_t n = rows(r, 2);
	if (n != 1)
		fail_msg("%zu recipients in the queue, not 1", n);
	return r[0];
}

const char *id_of(const struct store_rcpt *r)
{
	static char id[STORE_ID_MAX + 1];
	snprintf(id, sizeof id, "%.*s", STR_ARG(r->id));
	return id;
}

bool has(struct str text, const char *what)
{
	size_t at;
	return str_find_str(text, str_of(what), &at);
}
