/* SPDX-License-Identifier: ISC */
/*
 * test/sim/sim.c -- the whole server in one process and in virtual time: supervisor and all roles, the same objects as the
 * program's, on a world of ours (world.h), with scripted clients (senders.h) and next hops (hosts.h).
 *
 * usage: sim [--seed N] [--seeds FIRST LAST] [--verbose] [--plant lost|twice|unsynced]
 * exit status 1 if a promise of the queue was broken; with --plant, if the oracle has missed it
 *
 * A run: letters are handed in while connections break, roles crash, disks fill and answers are late; after some hours the
 * weather clears, and then everything that was accepted must end. The seed's remainder by four chooses the weather:
 * 0 fair, 1 a bad network, 2 crashing roles and a power cut, 3 everything, and a
 * failing disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "hosts.h"
#include "ledger.h"
#include "proto/sasl/credential.h"
#include "role/supervisor/supervisor.h"
#include "senders.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tls/certificate.h"
#include "tls/tls.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* RAND_METHOD: the one way to seed a handshake */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

enum {
	LETTERS = 40,
	HANDING_IN_MS = 10 * 60 * 1000,
	ROUGH_MS = 90 * 60 * 1000,
	LOOK_MS = 10 * 60 * 1000,
	AFTERWARDS_MS = 3 * 3600 * 1000,
	LATEST_MS = 4 * 86400 * 1000,
	CRASHES_MAX = 8,
	SEEN_MAX = 4096,
};

static struct {
	struct loop *loop;
	struct supervisor *supervisor;
	char dir[64], conf_path[128];
	struct timer letter, calm, look, stop, restart, reload, power, again;
	unsigned letters_left;
	bool ready, ended, stopping, restarting, settled;
	int64_t settled_ms, began_ms;
	int status;
	EVP_PKEY *key;
	struct buf ca, chain, key_pem;
	char *seen[SEEN_MAX];
	size_t n_seen;
} run;

static struct { unsigned long runs, letters, accepted, crashes, broken, faults, copies, dsns, turns, sessions, violations; } sum;

/* --- OpenSSL's chance is the seed's, too --- */

static int seeded_bytes(unsigned char *to, int n)
{
	random_bytes(to, (size_t)n);
	return 1;
}

static int seeded_status(void)
{
	return 1;
}

static const RAND_METHOD seeded = { .bytes = seeded_bytes, .pseudorand = seeded_bytes, .status = seeded_status };

/* --- the peers' certificate: their key is at home, asked for directly --- */

static fault sign_at_home(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message,
                          struct buf *signature_out)
{
	(void)owner;
	(void)key_id;
	(void)padding;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char name[32] = "";
	size_t n = 0;
	check(digest.n < sizeof name);
	memcpy(name, digest.p, digest.n);
	const unsigned char *bytes = (const unsigned char *)message.p;
	check(EVP_DigestSignInit(ctx, NULL, EVP_get_digestbyname(name), NULL, run.key) == 1);
	check(EVP_DigestSign(ctx, NULL, &n, bytes, message.n) == 1);
	unsigned char *to = (unsigned char *)buf_reserve(signature_out, n);
	check(to != NULL && EVP_DigestSign(ctx, to, &n, bytes, message.n) == 1);
	buf_filled(signature_out, n);
	EVP_MD_CTX_free(ctx);
	return OK;
}

static void make_certificate(void)
{
	const struct str names[] = { STR("mx1.sim.example"), STR("relay.corp.example") };
	struct why why = { "" };
	buf_init(&run.ca, 16 << 10);
	buf_init(&run.chain, 16 << 10);
	buf_init(&run.key_pem, 16 << 10);
	if (certificate_make(names, COUNT(names), &run.ca, &run.chain, &run.key_pem, &why) != OK)
		fprintf(stderr, "sim: %s\n", why.text);
	BIO *pem = BIO_new_mem_buf(buf_view(&run.key_pem).p, (int)buf_view(&run.key_pem).n);
	run.key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
	BIO_free(pem);
	check(run.key != NULL);
}

/* --- the files of a run --- */

static void put_file(const char *name, struct str text)
{
	char path[128];
	int fd = -1;
	(void)snprintf(path, sizeof path, "%s/%s", run.dir, name);
	check(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE, 0600, &fd, NULL) == OK);
	check(file_write(fd, text) == OK);
	fd_close(&fd);
}

static void put_users(void)
{
	static const char *const names[] = { "jada", "admin", "ann", "ben", "cleo" };
	struct buf text;
	struct credential credential;
	buf_init(&text, 8192);
	check(credential_make(STR("secret of jada"), 4096, STR("salt of the sea"), &credential) == OK);
	for (size_t i = 0; i < COUNT(names); i++)
		check(buf_addf(&text, "%s:", names[i]) == OK && credential_put(&text, &credential) == OK &&
		      buf_add_char(&text, '\n') == OK);
	put_file("users", buf_view(&text));
	buf_fini(&text);
}

static void put_configuration(void)
{
	struct buf text;
	buf_init(&text, 8192);
	check(buf_addf(&text,
	               "hostname mx1.sim.example\npostmaster admin@sim.example\n"
	               "tls mx1.sim.example {\n\tcert %s/crt\n\tkey %s/key\n}\n"
	               "users staff {\n\tsource file %s/users\n}\n"
	               "domain sim.example {\n\tusers staff\n\tdeliver maildir %s/mail/{local}\n}\n"
	               "domain lists.example {\n\trecipients any\n\tdeliver lmtp 203.0.113.9:24\n}\n"
	               "listen mx {\n\ton 192.0.2.1:25\n}\nlisten submissions {\n\ton 192.0.2.1:465\n\tauth staff\n}\n"
	               "listen lmtp {\n\ton 127.0.0.1:24\n}\n",
	               run.dir, run.dir, run.dir, run.dir) == OK);
	check(buf_addf(&text,
	               "relay corp {\n\thost relay.corp.example:465\n\ttls implicit verify\n\tca %s/ca\n"
	               "\tlogin mx1 file:%s/secret\n}\n"
	               "route {\n\tto corp.example relay corp\n\totherwise direct\n}\ndirect {\n\ttls opportunistic\n}\n"
	               "queue {\n\tretry 5m 15m 1h\n\tgive-up 9h\n\tdelay-warning 4h\n\tdirectory %s/queue\n}\n"
	               "control %s/control.sock\n",
	               run.dir, run.dir, run.dir, run.dir) == OK);
	put_file("conf", buf_view(&text));
	buf_fini(&text);
}

static void put_files(void)
{
	char path[128];
	(void)snprintf(run.dir, sizeof run.dir, "/tmp/sealpost-sim-XXXXXX");
	check(mkdtemp(run.dir) != NULL);
	(void)snprintf(path, sizeof path, "%s/mail", run.dir);
	check(directory_make(FILE_CWD, path, 0700) == OK);
	put_file("crt", buf_view(&run.chain));
	put_file("key", buf_view(&run.key_pem));
	put_file("ca", buf_view(&run.ca));
	put_file("secret", STR("secret of the relay\n"));
	put_users();
	put_configuration();
	power_forget(); /* these lie there since yesterday */
}

static void remove_all(int at, const char *name)
{
	int fd = -1;
	if (file_remove(at, name) == OK || directory_open(at, name, &fd, NULL) != OK)
		return;
	struct directory_reader *d = directory_read(fd);
	for (struct str inner; directory_next(d, &inner);)
		remove_all(fd, inner.p);
	directory_close(&d);
	fd_close(&fd);
	char path[512];
	if (at == FILE_CWD)
		(void)rmdir(name);
	else if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", at, name) > 0)
		(void)rmdir(path);
}

/* --- the Maildirs --- */

static bool new_to_us(const char *path)
{
	for (size_t i = 0; i < run.n_seen; i++)
		if (strcmp(run.seen[i], path) == 0)
			return false;
	check(run.n_seen < SEEN_MAX);
	run.seen[run.n_seen++] = strdup(path);
	return true;
}

static void look_at_file(int at, const char *user, const char *folder, const char *name)
{
	char path[400], recipient[64];
	int fd = -1;
	struct buf text;
	struct str sender = STR_NONE, line, rest;
	(void)snprintf(path, sizeof path, "%s/%s/%s", user, folder, name);
	if (!new_to_us(path))
		return;
	buf_init(&text, 32 << 20);
	check(file_open(at, name, FILE_READ, 0, &fd, NULL) == OK && file_read_all(fd, &text) == OK);
	fd_close(&fd);
	rest = buf_view(&text);
	if (str_take_line(&rest, &line) && str_take_nocase(&line, STR("Return-Path: <")) &&
	    !str_take_until(&line, '>', &sender))
		sender = STR("?");
	(void)snprintf(recipient, sizeof recipient, "%s@sim.example", user);
	struct letter_rcpt *r = ledger_arrival(path, sender, str_of(recipient), buf_view(&text), false);
	if (r != NULL && ++r->copies > 1)
		ledger_violation("%s has its letter twice: a file's name should have met the first", recipient);
	buf_fini(&text);
}

static void look_into(const char *user, const char *folder)
{
	char path[256];
	int fd = -1;
	(void)snprintf(path, sizeof path, "%s/mail/%s/%s", run.dir, user, folder);
	if (directory_open(FILE_CWD, path, &fd, NULL) != OK)
		return;
	struct directory_reader *d = directory_read(fd);
	for (struct str name; directory_next(d, &name);)
		look_at_file(fd, user, folder, name.p);
	directory_close(&d);
	fd_close(&fd);
}

static void look_at_mail(void)
{
	static const char *const users[] = { "jada", "admin", "ann", "ben", "cleo" };
	for (size_t i = 0; i < COUNT(users); i++) {
		look_into(users[i], "new");
		look_into(users[i], "cur");
	}
}

/* Nobody takes mail out of these Maildirs, so what was there once is there at the end. */
static void look_for_vanished(void)
{
	char path[600];
	for (size_t i = 0; i < run.n_seen; i++) {
		(void)snprintf(path, sizeof path, "%s/mail/%s", run.dir, run.seen[i]);
		if (access(path, F_OK) != 0)
			ledger_violation("%s has vanished from its Maildir", run.seen[i]);
	}
}

/* --- the course of a run --- */

static void next_letter(void *owner)
{
	(void)owner;
	if (run.letters_left == 0)
		return;
	run.letters_left--;
	senders_start();
	timer_set(&run.letter, world.now_ms + (int64_t)chance_below(2 * HANDING_IN_MS / LETTERS));
}

static void clear_up(void *owner)
{
	(void)owner;
	world.weather = (struct weather){ 0 };
	hosts_calm = true;
}

static void stop_server(void *owner)
{
	(void)owner;
	run.stopping = true;
	if (run.supervisor != NULL)
		supervisor_stop(run.supervisor);
}

/* As an administrator does it: drains, ends with status 0, and starts again. */
static void restart_server(void *owner)
{
	(void)owner;
	if (run.supervisor == NULL || run.stopping)
		return;
	run.restarting = true;
	supervisor_stop(run.supervisor);
}

static void reload(void *owner)
{
	(void)owner;
	if (run.supervisor != NULL)
		supervisor_reload(run.supervisor);
}

/* From time to time: has everything ended? Then wait a while for strays, and stop. */
static void look(void *owner)
{
	(void)owner;
	look_at_mail();
	bool done = run.letters_left == 0 && senders_at_work() == 0 && hosts_calm && ledger_settled();
	if (!done)
		run.settled = false;
	else if (!run.settled) {
		run.settled = true;
		run.settled_ms = world.now_ms;
	}
	if ((run.settled && world.now_ms - run.settled_ms > AFTERWARDS_MS) || world.now_ms - run.began_ms > LATEST_MS) {
		timer_set(&run.stop, world.now_ms);
		return;
	}
	timer_set(&run.look, world.now_ms + LOOK_MS);
}

static struct weather weather_of(uint64_t seed)
{
	struct weather w = { 0 };
	bool everything = seed % 4 == 3;
	if (seed % 4 == 1 || everything) {
		w.short_io = 3000;
		w.delay = 5000;
		w.delay_ms_max = 1 + (unsigned)chance_below(3000);
		w.break_tcp = 40;
		w.refuse_tcp = 800;
		w.accept_limit = 500;
	}
	if (seed % 4 == 2 || everything)
		w.crash = 5;
	if (everything) {
		w.disk_full = 60;
		w.sync_fails = 60;
	}
	return w;
}

/* The whole machine goes down, and comes up again a little later. */
static void start_server(void);

static void power_cut(void *owner)
{
	(void)owner;
	if (world.verbose)
		fprintf(stderr, "%8lld ms: the power fails\n", (long long)world.now_ms);
	roles_end();
	world.dying = true;
	supervisor_free(&run.supervisor);
	world.dying = false;
	power_fails();
	timer_set(&run.again, world.now_ms + (int64_t)chance_below(60000));
}

static void power_back(void *owner)
{
	(void)owner;
	supervisor_free(&run.supervisor);
	start_server();
}

static void on_ready(void *owner)
{
	(void)owner;
	if (run.ready)
		return; /* after a power cut */
	run.ready = true;
	world.weather = weather_of(world.seed);
	run.began_ms = world.now_ms;
	run.letters_left = LETTERS;
	timer_set(&run.letter, world.now_ms);
	timer_set(&run.calm, world.now_ms + ROUGH_MS);
	timer_set(&run.look, world.now_ms + LOOK_MS);
	if (chance_below(2) == 0)
		timer_set(&run.reload, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
	if (world.weather.crash > 0)
		timer_set(&run.power, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
	else
		timer_set(&run.restart, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
}

static void on_ended(void *owner, int status)
{
	(void)owner;
	if (run.restarting && !run.stopping && status == 0) {
		run.restarting = false;
		timer_set(&run.again, world.now_ms + (int64_t)chance_below(5000));
		return;
	}
	run.ended = true;
	run.status = status;
	loop_stop(run.loop);
}

static void between_turns(void *owner)
{
	(void)owner;
	if (world.crashes < CRASHES_MAX && chance_of(world.weather.crash))
		(void)roles_crash_one();
}

static struct tls_server *peers_tls(void)
{
	struct tls_signer signer = { .sign = sign_at_home, .owner = NULL };
	const struct str names[] = { STR("mx.example") };
	struct why why = { "" };
	struct tls_server *tls = tls_server_new(&signer, true);
	check(tls_server_add(tls, names, 1, buf_view(&run.chain), &why) == OK);
	return tls;
}

static void begin_timers(void)
{
	timer_init(&run.letter, run.loop, next_letter, NULL);
	timer_init(&run.calm, run.loop, clear_up, NULL);
	timer_init(&run.look, run.loop, look, NULL);
	timer_init(&run.stop, run.loop, stop_server, NULL);
	timer_init(&run.reload, run.loop, reload, NULL);
	timer_init(&run.restart, run.loop, restart_server, NULL);
	timer_init(&run.power, run.loop, power_cut, NULL);
	timer_init(&run.again, run.loop, power_back, NULL);
}

static void clear_timers(void)
{
	struct timer *const timers[] = { &run.letter, &run.calm, &run.look, &run.stop, &run.restart, &run.reload, &run.power, &run.again };
	for (size_t i = 0; i < COUNT(timers); i++)
		timer_clear(timers[i]);
}

static void start_server(void)
{
	struct conf_report report;
	(void)snprintf(run.conf_path, sizeof run.conf_path, "%s/conf", run.dir);
	struct supervisor_options options = { .conf_path = run.conf_path, .fronts = 2, .ready = on_ready, .ended = on_ended };
	conf_report_init(&report);
	if (supervisor_new(run.loop, &options, &run.supervisor, &report) != OK) {
		ledger_violation("the server does not start: %.*s", STR_ARG(buf_view(&report.text)));
		run.ended = true;
	}
	conf_report_fini(&report);
}

static void count_up(void)
{
	sum.runs++;
	sum.letters += ledger.n;
	for (size_t i = 0; i < ledger.n; i++)
		for (size_t k = 0; k < ledger.letters[i].n_rcpts; k++) {
			const struct letter_rcpt *r = &ledger.letters[i].rcpts[k];
			enum letter_state state = r->state != LETTER_UNSENT ? r->state : ledger.letters[i].state;
			sum.accepted += r->accepted && state == LETTER_ACCEPTED;
			sum.copies += r->copies + r->unconfirmed;
		}
	sum.crashes += world.crashes;
	sum.broken += world.broken;
	sum.faults += world.faults;
	sum.dsns += ledger.dsns;
	sum.turns += world.turn;
	sum.sessions += hosts_sessions;
	sum.violations += ledger.violations;
}

static void judge_run(uint64_t seed)
{
	if (!run.ready && ledger.violations == 0)
		ledger_violation("the server never became ready");
	if (!run.ended)
		ledger_violation("nothing moves any more, and the server has not ended (%zu roles run)", roles_running());
	if (run.ended && run.status != 0)
		ledger_violation("the server ended with status %d", run.status);
	look_at_mail();
	look_for_vanished();
	ledger_judge((unsigned)world.crashes);
	count_up();
	if (ledger.violations == 0)
		return;
	printf("seed %llu: %u violations (%lu crashes, %lu broken connections, %lu faults)\n%.*s", (unsigned long long)seed,
	       ledger.violations, world.crashes, world.broken, world.faults, STR_ARG(buf_view(&ledger.report)));
}

struct wanted { unsigned long long first, last; bool verbose; const char *plant; };

/* Returns what tells two runs apart. */
static uint64_t play(uint64_t seed, const struct wanted *w)
{
	world_begin(seed);
	world.verbose = w->verbose;
	world.syncs_lie = strcmp(w->plant, "unsynced") == 0;
	hosts_lose = strcmp(w->plant, "lost") == 0;
	hosts_repeat = strcmp(w->plant, "twice") == 0;
	buf_clear(&world_log);
	ledger_begin();
	run.ready = run.ended = run.stopping = run.restarting = run.settled = false;
	run.status = 0;
	put_files();
	run.loop = loop_new();
	begin_timers();
	struct tls_server *tls = peers_tls();
	hosts_begin(run.loop, tls);
	senders_begin(run.loop);
	start_server();
	world.between_turns = between_turns;
	if (!run.ended)
		loop_run(run.loop);
	world.between_turns = NULL;

	judge_run(seed);
	clear_timers();
	supervisor_free(&run.supervisor);
	senders_end();
	hosts_end();
	tls_server_free(&tls);
	loop_free(&run.loop);
	if (net_descriptors() > 0) {
		printf("seed %llu: %zu descriptors are left open\n", (unsigned long long)seed, net_descriptors());
		sum.violations++;
	}
	net_end();
	power_forget();
	for (size_t i = 0; i < run.n_seen; i++)
		free(run.seen[i]);
	run.n_seen = 0;
	ledger_end();
	remove_all(FILE_CWD, run.dir);
	return world.chance ^ world.turn;
}

static bool understood(int argc, char **argv, struct wanted *w)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			w->first = w->last = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			w->first = strtoull(argv[++i], NULL, 10);
			w->last = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--verbose") == 0) {
			w->verbose = true;
		} else if (strcmp(argv[i], "--plant") == 0 && i + 1 < argc) {
			w->plant = argv[++i];
		} else {
			fprintf(stderr, "usage: sim [--seed N] [--seeds FIRST LAST] [--verbose] [--plant lost|twice|unsynced]\n");
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct wanted w = { 0, 39, false, "" };
	struct why why = { "" };
	if (!understood(argc, argv, &w))
		return 2;
	check(RAND_set_rand_method(&seeded) == 1);
	check(tls_begin(&why) == OK);
	vfs_begin();
	world_begin(0); /* the same certificate for every seed, so that a seed alone gives the run that it gave among others */
	make_certificate();
	uint64_t first = 0;
	for (unsigned long long seed = w.first; seed <= w.last; seed++) {
		uint64_t mark = play(seed, &w);
		if (seed == w.first)
			first = mark;
	}
	if (w.first != w.last && play(w.first, &w) != first) {
		printf("seed %llu did not repeat its run\n", w.first);
		sum.violations++;
	}
	printf("sim: %lu runs, %lu letters, %lu recipients accepted; %lu copies, %lu bounces and warnings came out; %lu crashes, "
	       "%lu broken connections, %lu faults; %lu sessions at next hops, %lu turns; %lu violations\n",
	       sum.runs, sum.letters, sum.accepted, sum.copies, sum.dsns, sum.crashes, sum.broken, sum.faults, sum.sessions,
	       sum.turns, sum.violations);
	buf_fini(&run.ca);
	buf_fini(&run.chain);
	buf_fini(&run.key_pem);
	buf_fini(&world_log);
	EVP_PKEY_free(run.key);
	return w.plant[0] == '\0' ? sum.violations > 0 : sum.violations == 0;
}
