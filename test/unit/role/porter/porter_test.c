/* SPDX-License-Identifier: ISC */
/* The porter between a supervisor and a spool made of two channels: what it delivers and what it says of it. */
#include "unit.h"

#include "maildirs.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/spool_delivery.h"
#include "ipc/supervisor.h"
#include "role/role.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "sys/socket.h"

/* Whether the folders are others than those that the process was confined to. */
static bool stale;
bool __wrap_confine_is_stale(void);
bool __wrap_confine_is_stale(void)
{
	return stale;
}

struct rig {
	struct loop *loop;
	struct role_base *porter;
	struct channel *control, *spool;
	struct buf heard;              /* outcomes, a line each */
	uint64_t ready, failed, credit, done, drained, stale;
	uint64_t wait_done, wait_credit;
};

static void on_control(void *owner, unsigned kind, const void *msg, int fd)
{
	struct rig *r = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_ROLE_FAILED)
		print_message("# %.*s\n", STR_ARG(((const struct from_role_failed *)msg)->text));
	r->ready += kind == FROM_ROLE_READY;
	r->failed += kind == FROM_ROLE_FAILED;
	r->drained += kind == FROM_ROLE_DRAINED;
	r->stale += kind == FROM_ROLE_STALE;
	loop_stop(r->loop);
}

static void on_spool(void *owner, unsigned kind, const void *msg, int fd)
{
	struct rig *r = owner;
	assert_int_equal(fd, -1);
	if (kind == FROM_WORKER_OUTCOME) {
		const struct from_worker_outcome *o = msg;
		struct str name = o->detail;
		size_t at;
		if (str_starts(name, str_of(root)))
			name = str_from(name, strlen(root));
		if (str_find_str(name, STR("/new/"), &at))
			name.n = at + 4;
		assert_ok(buf_addf(&r->heard, "%u/%u: %u %.*s %.*s;", (unsigned)o->job, (unsigned)o->index, (unsigned)o->class,
		                   STR_ARG(o->status), STR_ARG(name)));
	} else if (kind == FROM_WORKER_WANT) {
		r->credit += ((const struct from_worker_want *)msg)->bytes;
	} else if (kind == FROM_WORKER_DONE) {
		r->done++;
		assert_ok(buf_addf(&r->heard, "%u done;", (unsigned)((const struct from_worker_done *)msg)->job));
	} else if (kind == FROM_WORKER_GIVEN_BACK) {
		r->done++;
		assert_ok(buf_addf(&r->heard, "%u given back;", (unsigned)((const struct from_worker_given_back *)msg)->job));
	} else if (kind == FROM_WORKER_RESTING) {
		assert_ok(buf_addf(&r->heard, "resting;"));
	}
	if ((r->wait_done > 0 && r->done >= r->wait_done) || (r->wait_credit > 0 && r->credit >= r->wait_credit))
		loop_stop(r->loop);
}

static void on_gone(void *owner, const char *reason)
{
	struct rig *r = owner;
	(void)r;
	fail_msg("a channel broke: %s", reason);
}

static void link_spool(struct rig *r)
{
	static const struct channel_handler handler = { on_spool, on_gone };
	int fds[2];
	assert_ok(socket_pair(fds));
	channel_close(&r->spool);
	r->spool = channel_new(r->loop, fds[0], &worker_to_spool, &spool_to_worker, &handler, r);
	channel_send_fd(r->control, TO_ROLE_LINK, &(struct to_role_link){ .arrow = ARROW_SPOOL_PORTER }, fds[1]);
}

static void configure(struct rig *r, uint64_t generation, const char *deliver_to)
{
	struct buf text;
	buf_init(&text, 8192);
	assert_ok(buf_addf(&text, "hostname mx.example\npostmaster a@example.org\nmail-user nobody\nlisten local {\n on unix:/run/sealpost-test.sock\n}\n"
	                   "domain example.org {\n recipients any\n deliver maildir %s\n}\n", deliver_to));
	channel_send(r->control, TO_ROLE_CONFIG_TEXT, &(struct to_role_config_text){
		.generation = generation, .name = STR("sealpost.conf"), .text = buf_view(&text) });
	channel_send(r->control, TO_ROLE_COMMIT, &(struct to_role_commit){ .generation = generation });
	buf_fini(&text);
	loop_run(r->loop);
}

static const char *template_(void)
{
	static char text[128];
	(void)snprintf(text, sizeof text, "%s/{domain}/{local}", root);
	return text;
}

static void rig_begin(struct rig *r)
{
	static const struct channel_handler handler = { on_control, on_gone };
	int fds[2];
	*r = (struct rig){ .loop = loop_new() };
	buf_init(&r->heard, 1 << 20);
	assert_ok(socket_pair(fds));
	r->control = channel_new(r->loop, fds[0], &role_to_supervisor, &supervisor_to_role, &handler, r);
	r->porter = porter_start(r->loop, fds[1]);
	configure(r, 1, template_());
	assert_int_equal(r->ready, 1);
	link_spool(r);
}

static void rig_end(struct rig *r)
{
	role_free(&r->porter);
	channel_close(&r->control);
	channel_close(&r->spool);
	loop_free(&r->loop);
	buf_fini(&r->heard);
}

static void expect_heard(struct rig *r, const char *want)
{
	assert_str(buf_view(&r->heard), want);
	buf_clear(&r->heard);
	r->done = r->wait_done = r->wait_credit = 0;
}

static void send_job(struct rig *r, uint64_t job, const char *id, uint64_t purpose)
{
	channel_send(r->spool, WORKER_JOB, &(struct worker_job){
		.job = job, .purpose = purpose, .id = str_of(id), .route_name = str_of(template_()), .sender = STR("s@x.example"),
		.size_bytes = 10, .attempt = 1, .arrived_s = clock_wall_s() });
}

static void send_rcpt(struct rig *r, uint64_t job, uint64_t index, const char *address)
{
	channel_send(r->spool, WORKER_RCPT, &(struct worker_rcpt){ .job = job, .index = index, .address = str_of(address) });
}

static void send_body(struct rig *r, uint64_t job, const char *bytes, bool whole)
{
	channel_send(r->spool, WORKER_BODY, &(struct worker_body){ .job = job, .bytes = str_of(bytes) });
	channel_send(r->spool, WORKER_BODY_END, &(struct worker_body_end){ .job = job, .whole = whole });
}

static void go(struct rig *r, uint64_t job)
{
	channel_send(r->spool, WORKER_GO, &(struct worker_go){ .job = job });
}

static void wait_credit(struct rig *r)
{
	r->wait_credit = r->credit + 1;
	loop_run(r->loop);
	r->wait_credit = 0;
}

static void wait_done(struct rig *r, uint64_t n)
{
	r->wait_done = n;
	if (r->done < n)
		loop_run(r->loop);
}

static struct str only_letter(const char *below)
{
	struct str s = STR_NONE;
	DIR *d = opendir(path_of(below));
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char path[512];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", below, e->d_name);
		s = content_of(path);
	}
	if (d != NULL)
		(void)closedir(d);
	return s;
}

static void a_job_goes_into_every_mailbox(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	send_rcpt(&r, 1, 1, "kim@example.org");
	send_rcpt(&r, 1, 2, "\"../x\"@example.org");
	go(&r, 1);
	wait_credit(&r);
	assert_int_equal(r.credit, DELIVERY_CREDIT_BYTES);
	channel_send(r.spool, WORKER_BODY, &(struct worker_body){ .job = 1, .bytes = STR("Subject: x\r\n\r\none\r") });
	send_body(&r, 1, "\n\r\ntwo\r\n", true);
	wait_done(&r, 1);
	expect_heard(&r, "1/2: 2 5.1.3 ;1/0: 0 2.0.0 /example.org/jada/new;1/1: 0 2.0.0 /example.org/kim/new;1 done;");
	assert_str(only_letter("example.org/jada/new"),
	           "Return-Path: <s@x.example>\nDelivered-To: jada@example.org\nSubject: x\n\none\n\ntwo\n");
	assert_str(only_letter("example.org/kim/new"),
	           "Return-Path: <s@x.example>\nDelivered-To: kim@example.org\nSubject: x\n\none\n\ntwo\n");
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	rig_end(&r);
}

static void a_repeated_job_finds_the_first(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	char command[256];
	int64_t arrived = clock_wall_s() - 1;
	for (int round = 0; round < 2; round++) {
		link_spool(&r); /* as after a crash of the spool */
		channel_send(r.spool, WORKER_JOB, &(struct worker_job){
			.job = 1, .id = STR("q1"), .route_name = str_of(template_()), .sender = STR(""), .attempt = 1,
			.arrived_s = arrived });
		send_rcpt(&r, 1, 0, "jada@example.org");
		go(&r, 1);
		if (round == 0) {
			wait_credit(&r);
			send_body(&r, 1, "x\r\n", true);
		}
		wait_done(&r, 1);
		expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1 done;");
		assert_int_equal(count_files("example.org/jada/new") + count_files("example.org/jada/cur"), 1);
		(void)snprintf(command, sizeof command,
		               "cd %s/example.org/jada && for f in new/*; do [ ! -e $f ] || mv $f cur/${f#new/}:2,S; done", root);
		assert_int_equal(system(command), 0); /* it is read in between */
	}
	assert_str(only_letter("example.org/jada/cur"), "Return-Path: <>\nDelivered-To: jada@example.org\nx\n");
	rig_end(&r);
}

static void nothing_torn_or_released_or_forbidden_is_delivered(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER); /* the content ends in a tear */
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_body(&r, 1, "half", false);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 1 4.3.0 ;1 done;");

	send_job(&r, 2, "q2", JOB_DELIVER); /* released on the way */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	wait_credit(&r);
	channel_send(r.spool, WORKER_RELEASE, &(struct worker_release){ .job = 2 });
	wait_done(&r, 1);
	expect_heard(&r, "2 done;");

	channel_send(r.spool, WORKER_JOB, &(struct worker_job){ /* a folder that no line of the configuration names */
		.job = 3, .id = STR("q3"), .route_name = STR("/etc/{local}"), .arrived_s = 1, .attempt = 1 });
	send_rcpt(&r, 3, 0, "jada@example.org");
	go(&r, 3);
	wait_done(&r, 1);
	expect_heard(&r, "3/0: 1 4.3.5 ;3 done;");

	send_job(&r, 4, "q4", JOB_VERIFY);
	send_rcpt(&r, 4, 7, "jada@example.org");
	go(&r, 4);
	wait_done(&r, 1);
	expect_heard(&r, "4/7: 0 2.1.5 ;4 done;");

	go(&r, 99); /* messages about nothing */
	send_body(&r, 99, "x", true);
	send_job(&r, 5, "q5", JOB_DELIVER);
	go(&r, 5);
	wait_done(&r, 1);
	expect_heard(&r, "5 done;");
	assert_int_equal(count_files("example.org/jada/new"), 0);
	assert_int_equal(count_files("example.org/jada/tmp"), 0);
	rig_end(&r);
}

static void a_mailbox_in_trouble_does_not_hold_up_the_others(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	assert_int_equal(mkdir(path_of("example.org"), 0700), 0);
	assert_int_equal(symlink("/tmp", path_of("example.org/jada")), 0);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	send_rcpt(&r, 1, 1, "kim@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_body(&r, 1, "x\r", true); /* a CR at the very end stays one */
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 1 4.3.0 ;1/1: 0 2.0.0 /example.org/kim/new;1 done;");
	assert_str(only_letter("example.org/kim/new"), "Return-Path: <s@x.example>\nDelivered-To: kim@example.org\nx\r");
	rig_end(&r);
}

/* A limit on file sizes stands for a quota: the write fails while the disk has room. */
static void what_does_not_fit_waits(void **state)
{
	(void)state;
	struct rig r;
	struct rlimit old, small;
	rig_begin(&r);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 100, old.rlim_max };
	for (uint64_t job = 1; job <= 2; job++) {
		channel_send(r.spool, WORKER_JOB, &(struct worker_job){
			.job = job, .id = STR("q1"), .route_name = str_of(template_()), .attempt = 1, .arrived_s = clock_wall_s(),
			.size_bytes = job == 1 ? 200 : UINT64_MAX }); /* no disk has room for the second */
		send_rcpt(&r, job, 0, "jada@example.org");
		go(&r, job);
		wait_credit(&r);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		send_body(&r, job, "0123456789012345678901234567890123456789012345678901234567890123456789"
		                   "0123456789012345678901234567890123456789\r\n", true);
		wait_done(&r, 1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		expect_heard(&r, job == 1 ? "1/0: 1 4.2.2 ;1 done;" : "2/0: 1 4.3.1 ;2 done;");
		assert_int_equal(count_files("example.org/jada/tmp") + count_files("example.org/jada/new"), 0);
	}
	rig_end(&r);
}

/* An alias and its target, or the same RCPT a thousand times: one letter, and nobody is put off for it. */
static void who_is_named_twice_gets_it_once(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	for (uint64_t i = 0; i < 3; i++)
		send_rcpt(&r, 1, i, "jada@example.org");
	go(&r, 1);
	send_job(&r, 2, "q1", JOB_DELIVER); /* the next hundred of the same message: waits for the first */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	wait_credit(&r);
	send_body(&r, 1, "x\r\n", true);
	wait_done(&r, 2);
	expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1/1: 0 2.0.0 /example.org/jada/new;"
	                 "1/2: 0 2.0.0 /example.org/jada/new;1 done;2/0: 0 2.0.0 /example.org/jada/new;2 done;");
	assert_int_equal(count_files("example.org/jada/new"), 1);

	send_job(&r, 3, "q3", JOB_DELIVER); /* torn: the twin has no outcome and comes again */
	send_rcpt(&r, 3, 0, "kim@example.org");
	send_rcpt(&r, 3, 1, "kim@example.org");
	go(&r, 3);
	wait_credit(&r);
	send_body(&r, 3, "x", false);
	wait_done(&r, 1);
	expect_heard(&r, "3/0: 1 4.3.0 ;3 done;");
	assert_int_equal(count_files("example.org/kim/new"), 0);
	rig_end(&r);
}

/* 400 letters are open at most: the fifth hundred waits its turn instead of being put off for minutes. */
static void many_mailboxes_take_turns(void **state)
{
	(void)state;
	struct rig r;
	char address[64], id[8];
	rig_begin(&r);
	for (uint64_t job = 1; job <= 5; job++) {
		(void)snprintf(id, sizeof id, "q%u", (unsigned)job);
		send_job(&r, job, id, JOB_DELIVER);
		for (uint64_t i = 0; i < 100; i++) {
			(void)snprintf(address, sizeof address, "u%u@example.org", (unsigned)(job * 100 + i));
			send_rcpt(&r, job, i, address);
		}
		go(&r, job);
	}
	while (r.credit < 4 * DELIVERY_CREDIT_BYTES)
		wait_credit(&r);
	assert_int_equal(r.credit, 4 * DELIVERY_CREDIT_BYTES);
	send_body(&r, 1, "x\r\n", true);
	while (r.credit < 5 * DELIVERY_CREDIT_BYTES)
		wait_credit(&r);
	for (uint64_t job = 2; job <= 5; job++)
		send_body(&r, job, "x\r\n", true);
	wait_done(&r, 5);
	size_t at;
	assert_false(str_find_str(buf_view(&r.heard), STR(" 4."), &at));
	assert_str(only_letter("example.org/u599/new"), "Return-Path: <s@x.example>\nDelivered-To: u599@example.org\nx\n");
	rig_end(&r);
}

static void credit_bounds_what_is_on_the_way(void **state)
{
	(void)state;
	struct rig r;
	static char chunk[DELIVERY_CHUNK_BYTES + 1];
	memset(chunk, 'x', DELIVERY_CHUNK_BYTES);
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	uint64_t sent = 0;
	for (int i = 0; i < 15; i++) {
		while (r.credit < sent + DELIVERY_CHUNK_BYTES)
			wait_credit(&r);
		channel_send(r.spool, WORKER_BODY, &(struct worker_body){ .job = 1, .bytes = str_of(chunk) });
		sent += DELIVERY_CHUNK_BYTES;
		assert_true(r.credit <= sent + DELIVERY_CREDIT_BYTES);
	}
	send_body(&r, 1, "\r\n", true);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 0 2.0.0 /example.org/jada/new;1 done;");
	assert_int_equal(only_letter("example.org/jada/new").n, 58 + sent + 1);
	rig_end(&r);
}

static void draining_waits_for_what_is_in_hand(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_credit(&r);
	send_job(&r, 2, "q1", JOB_DELIVER); /* the same message: it waits for the first one */
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	channel_send(r.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 1000 });
	configure(&r, 2, template_()); /* answered after the drain was heard */
	assert_int_equal(r.ready, 2);
	assert_int_equal(r.drained, 0);
	send_job(&r, 3, "q3", JOB_DELIVER); /* it came too late */
	send_rcpt(&r, 3, 0, "jada@example.org");
	go(&r, 3);
	send_body(&r, 1, "x\r\n", true);
	wait_done(&r, 3);
	expect_heard(&r, "resting;2 given back;3 given back;1/0: 0 2.0.0 /example.org/jada/new;1 given back;");
	assert_int_equal(count_files("example.org/jada/new"), 1);
	/* Not before the spool has said that it has heard the last of it. */
	configure(&r, 3, template_());
	assert_int_equal(r.drained, 0);
	channel_send(r.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	while (r.drained == 0)
		loop_run(r.loop);
	rig_end(&r);
}

/* The folder was made, or something was mounted there: this porter can never have it, and the next one can. No attempt is lost on it. */
static void a_new_folder_is_for_the_next_porter(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	assert_int_equal(mkdir(path_of("example.org"), 0700), 0);
	assert_int_equal(chmod(path_of("example.org"), 0), 0);
	send_job(&r, 1, "q1", JOB_DELIVER);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 1 4.3.0 ;1 done;"); /* an ordinary failure */
	stale = true;
	send_job(&r, 2, "q2", JOB_DELIVER);
	send_rcpt(&r, 2, 0, "jada@example.org");
	send_rcpt(&r, 2, 1, "kim@example.org");
	go(&r, 2);
	send_job(&r, 3, "q3", JOB_DELIVER); /* the spool had not heard yet */
	wait_done(&r, 2);
	expect_heard(&r, "resting;2 given back;3 given back;");
	channel_send(r.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	configure(&r, 2, template_());
	assert_int_equal(r.stale, 1);
	assert_int_equal(r.drained, 0); /* it waits to be told */
	channel_send(r.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 1000 });
	channel_send(r.spool, WORKER_RESTED, &(struct worker_rested){ 0 });
	while (r.drained == 0)
		loop_run(r.loop);
	expect_heard(&r, "resting;");
	stale = false;
	assert_int_equal(chmod(path_of("example.org"), 0700), 0);
	rig_end(&r);
}

static void explaining_looks_and_makes_nothing(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	send_job(&r, 1, "x", JOB_EXPLAIN);
	send_rcpt(&r, 1, 0, "jada@example.org");
	go(&r, 1);
	wait_done(&r, 1);
	expect_heard(&r, "1/0: 0 2.1.5 ;1 done;");
	assert_int_equal(access(path_of("example.org"), F_OK), -1);
	assert_int_equal(mkdir(path_of("example.org"), 0), 0);
	send_job(&r, 2, "x", JOB_EXPLAIN);
	send_rcpt(&r, 2, 0, "jada@example.org");
	go(&r, 2);
	wait_done(&r, 1);
	expect_heard(&r, "2/0: 1 4.3.0 ;2 done;");
	assert_int_equal(rmdir(path_of("example.org")), 0);
	char away[sizeof root + 8];
	(void)snprintf(away, sizeof away, "%s.away", root);
	assert_int_equal(rename(root, away), 0);
	send_job(&r, 3, "x", JOB_EXPLAIN);
	send_rcpt(&r, 3, 0, "jada@example.org");
	go(&r, 3);
	wait_done(&r, 1);
	expect_heard(&r, "3/0: 1 4.3.0 ;3 done;");
	assert_int_equal(rename(away, root), 0);
	rig_end(&r);
}

static void draining_ends_without_a_spool(void **state)
{
	(void)state;
	struct rig r;
	rig_begin(&r);
	channel_send(r.control, TO_ROLE_DRAIN, &(struct to_role_drain){ .grace_ms = 1000 });
	configure(&r, 2, template_());
	assert_int_equal(r.drained, 0);
	channel_close(&r.spool);
	while (r.drained == 0)
		loop_run(r.loop);
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(a_job_goes_into_every_mailbox),
		ON_DISK(a_repeated_job_finds_the_first),
		ON_DISK(nothing_torn_or_released_or_forbidden_is_delivered),
		ON_DISK(a_mailbox_in_trouble_does_not_hold_up_the_others),
		ON_DISK(what_does_not_fit_waits),
		ON_DISK(who_is_named_twice_gets_it_once),
		ON_DISK(many_mailboxes_take_turns),
		ON_DISK(credit_bounds_what_is_on_the_way),
		ON_DISK(draining_waits_for_what_is_in_hand),
		ON_DISK(a_new_folder_is_for_the_next_porter),
		ON_DISK(explaining_looks_and_makes_nothing),
		ON_DISK(draining_ends_without_a_spool),
	};
	return cmocka_run_group_tests(tests, become_nobody, NULL);
}
