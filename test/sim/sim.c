/* SPDX-License-Identifier: ISC */
/*
 * test/sim/sim.c -- the whole server in one process and in virtual time: supervisor and all roles, the same objects as the
 * program's, on a world of ours (world.h), with scripted clients (senders.h) and next hops (hosts.h).
 *
 * usage: sim [--seed N] [--seeds FIRST LAST] [--verbose] [--plant lost|twice|unsynced]
 *        sim --clock [--seeds FIRST LAST]
 *        sim --sweep ROLE|power|kill|fail [--every K] [--seed N]
 * exit status 1 if a promise of the queue was broken; with --plant, if the oracle has missed it
 *
 * A run: letters are handed in while connections break, roles crash, disks fill and answers are late; after some hours the
 * weather clears, and then everything that was accepted must end. The seed's remainder by four chooses the weather:
 * 0 fair, 1 a bad network, 2 crashing roles and a power cut, 3 everything, and a
 * failing disk.
 *
 * A sweep hands in a few letters in fair weather, again and again, and lets the accident happen: to a role after the first
 * turn, the second, ... until everything has come to its end; to the whole machine (power), or to all processes and
 * some steps later to the machine (kill), or to the disk, which fails, and some steps later to the machine (fail), in the
 * first step of the disk, the second, ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "disk.h"
#include "fates.h"
#include "hosts.h"
#include "house.h"
#include "ledger.h"
#include "role/supervisor/supervisor.h"
#include "senders.h"
#include "sys/clock.h"
#include "tls/tls.h"
#include "vfs.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* RAND_METHOD: the one way to seed a handshake */
#include <openssl/rand.h>

enum {
	LETTERS = 40,
	HANDING_IN_MS = 10 * 60 * 1000,
	ROUGH_MS = 90 * 60 * 1000,
	LOOK_MS = 10 * 60 * 1000,
	SWEEP_LETTERS = 5,
	HEALED_LETTERS = 12,
	QUICK_LOOK_MS = 20 * 1000,
	AFTERWARDS_MS = 3 * 3600 * 1000,
	LATEST_MS = 4 * 86400 * 1000,
	UNENDING_MS = 2 * LATEST_MS,
	CRASHES_MAX = 8,
	ACCIDENTS_MAX = 4,
	ACCIDENT_STEPS = 40,
	FAILURES_MAX = 4,
	CLOCK_JUMP_DAYS = 10,
	CLOCK_JUMP_EVERY_MS = 10 * 60 * 1000,
};

/* What the command line asks for. */
static struct {
	unsigned long long first, last, every;
	bool verbose, hostile, clock;
	const char *plant, *sweep, *hang;
} wanted = { .last = 39, .every = 1, .plant = "" };

static struct {
	struct loop *loop;
	struct supervisor *supervisor;
	char conf_path[128];
	struct timer letter, calm, look, stop, restart, reload, accident, again, clock;
	unsigned letters_left, accidents_left;
	bool ready, ended, stopping, restarting, settled;
	int64_t settled_ms, began_ms, clock_off;
	size_t healed_from;
	uint64_t began_turn, settled_turn, accident_turn;
	unsigned long began_step, settled_step, accident_step; /* of the disk */
	bool only_killed;
	int status;
} run;

static struct {
	unsigned long runs, letters, accepted, crashes, cuts, pending, failed, broken, faults, copies, dsns, turns, steps, sessions, violations;
} sum;

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

/* --- the course of a run --- */

static void next_letter(void *owner)
{
	(void)owner;
	if (run.letters_left == 0)
		return;
	run.letters_left--;
	senders_start(wanted.sweep != NULL || (wanted.hostile && hosts_calm));
	timer_set(&run.letter, world.now_ms + (int64_t)chance_below(wanted.sweep != NULL ? 400 : 2 * HANDING_IN_MS / LETTERS));
}

/* P8: somebody sets the date, by tens of days, ahead or back; letters are given up after hours. */
static void set_clock(void *owner)
{
	(void)owner;
	static const int64_t step_ms = (int64_t)CLOCK_JUMP_DAYS * 86400 * 1000;
	int64_t off = (int64_t)chance_below(7) - 3; /* never by less than a day: that would be taken for a stop */
	world.wall_start_ms += (off - run.clock_off) * step_ms;
	run.clock_off = off;
	timer_set(&run.clock, world.now_ms + (int64_t)chance_below(CLOCK_JUMP_EVERY_MS));
}

static void clear_up(void *owner)
{
	(void)owner;
	world.weather = (struct weather){ 0 };
	hosts_calm = true;
	disk.cut_at = 0;
	run.accidents_left = 0;
	timer_clear(&run.accident);
	timer_clear(&run.clock);
	if (!wanted.hostile)
		return;
	/* Links that were spoiled have to come again: these letters are for the server that has healed. */
	run.letters_left = HEALED_LETTERS;
	run.healed_from = ledger.n;
	timer_set(&run.letter, world.now_ms + 60000);
}

static void stop_server(void *owner)
{
	(void)owner;
	run.stopping = true;
	disk.cut_at = 0;
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

static bool anything_goes(void)
{
	return wanted.hostile && world.seed % 2 == 1;
}

/* From time to time: has everything ended? Then wait a while for strays, and stop. */
static void look(void *owner)
{
	(void)owner;
	house_look();
	bool done = run.letters_left == 0 && senders_at_work() == 0 && hosts_calm && (anything_goes() || ledger_settled());
	if (!done)
		run.settled = false;
	else if (!run.settled) {
		run.settled = true;
		run.settled_ms = world.now_ms;
		run.settled_turn = world.turn;
		run.settled_step = disk.steps;
	}
	int64_t afterwards_ms = wanted.sweep != NULL ? LOOK_MS : AFTERWARDS_MS;
	if ((run.settled && world.now_ms - run.settled_ms > afterwards_ms) || world.now_ms - run.began_ms > LATEST_MS) {
		timer_set(&run.stop, world.now_ms);
		return;
	}
	timer_set(&run.look, world.now_ms + (wanted.sweep != NULL ? QUICK_LOOK_MS : LOOK_MS));
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

/* The whole machine goes down, and comes up again a little later; or all its processes do, and what they wrote is still seen. */
static void start_server(void);

static void forget_what_was_pending(void)
{
	struct fates fates = { (enum fate_style)chance_below(FATE_STYLES), random_u64() };
	if (fates.style == FATE_BUT_ONE || fates.style == FATE_ONLY_ONE || fates.style == FATE_FIRST)
		fates.number = chance_below(medium_n_pending(disk.medium) + 1);
	struct fate fate = fate_of(&fates);
	if (world.verbose)
		fprintf(stderr, "%8lld ms: %zu operations are pending; %s\n", (long long)world.now_ms,
		        medium_n_pending(disk.medium), fate_style_name(fates.style));
	sum.cuts++;
	sum.pending += medium_n_pending(disk.medium);
	struct medium *before = disk_swap(medium_after(disk.medium, &fate));
	medium_free(&before);
}

static void all_die(bool power)
{
	if (world.verbose)
		fprintf(stderr, "%8lld ms: %s, step %lu of the disk\n", (long long)world.now_ms,
		        power ? "the power fails" : "all processes are killed", disk.steps);
	roles_end();
	world.dying = true;
	supervisor_free(&run.supervisor);
	world.dying = false;
	world.crashes++;
	if (power)
		forget_what_was_pending();
	timer_set(&run.again, world.now_ms + (int64_t)chance_below(60000));
}

/* In one of the next steps of the disk, whenever it comes. */
static void accident(void *owner)
{
	(void)owner;
	run.only_killed = chance_below(3) == 0;
	disk.cut_at = disk.steps + 1 + chance_below(ACCIDENT_STEPS);
}

static void after_cut(void)
{
	bool again = run.only_killed && wanted.sweep != NULL;
	disk.cut = world.dying = false;
	disk.cut_at = 0;
	all_die(!run.only_killed);
	run.only_killed = false;
	if (again)
		disk.cut_at = disk.steps + 1 + chance_below(ACCIDENT_STEPS);
	else if (run.accidents_left > 0 && run.accidents_left-- > 1)
		timer_set(&run.accident, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
}

static void power_back(void *owner)
{
	(void)owner;
	supervisor_free(&run.supervisor);
	start_server();
	if (run.stopping) /* it was to stop while the power was off */
		timer_set(&run.stop, world.now_ms + QUICK_LOOK_MS);
}

static void on_ready(void *owner)
{
	(void)owner;
	if (run.ready)
		return; /* after a power cut */
	run.ready = true;
	run.began_ms = world.now_ms;
	run.began_turn = world.turn;
	run.began_step = disk.steps;
	if (run.accident_step != 0 && strcmp(wanted.sweep, "fail") == 0) {
		disk.fail_at = disk.steps + run.accident_step;
		disk.fail_to = disk.fail_at + chance_below(FAILURES_MAX);
		disk.fail_with = chance_below(3) == 0 ? F_LIMIT : F_SYS;
		disk.cut_at = disk.fail_to + 1 + chance_below(ACCIDENT_STEPS);
	} else if (run.accident_step != 0) {
		disk.cut_at = disk.steps + run.accident_step;
		run.only_killed = strcmp(wanted.sweep, "kill") == 0;
	}
	timer_set(&run.letter, world.now_ms);
	if (wanted.sweep != NULL) {
		hosts_calm = true;
		run.letters_left = SWEEP_LETTERS;
		timer_set(&run.look, world.now_ms + QUICK_LOOK_MS);
		return;
	}
	world.weather = weather_of(world.seed);
	if (wanted.hostile)
		world.weather.spoil = 100u << chance_below(5);
	run.letters_left = LETTERS;
	timer_set(&run.calm, world.now_ms + ROUGH_MS);
	if (wanted.clock)
		timer_set(&run.clock, world.now_ms);
	timer_set(&run.look, world.now_ms + LOOK_MS);
	if (wanted.hostile)
		return; /* a start is no good moment: the supervisor waits for a word that nobody meant to send otherwise */
	if (chance_below(2) == 0)
		timer_set(&run.reload, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
	if (world.weather.crash > 0) {
		run.accidents_left = 1 + (unsigned)chance_below(ACCIDENTS_MAX);
		timer_set(&run.accident, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
	} else {
		timer_set(&run.restart, world.now_ms + (int64_t)chance_below(HANDING_IN_MS));
	}
}

static void on_ended(void *owner, int status)
{
	(void)owner;
	/* 78: the first configuration was refused, by a disk that fails; a service manager tries again. */
	bool refused = status == 78 && !run.stopping && world.weather.sync_fails > 0;
	if (refused || (run.restarting && !run.stopping && status == 0)) {
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
	if (world.now_ms > UNENDING_MS) {
		loop_stop(run.loop);
		return;
	}
	if (disk.cut) {
		after_cut();
		return;
	}
	if (run.ready && run.accident_turn != 0 && world.turn >= run.began_turn + run.accident_turn) {
		run.accident_turn = 0;
		(void)roles_crash(wanted.sweep);
		return;
	}
	if (world.crashes < CRASHES_MAX && chance_of(world.weather.crash))
		(void)roles_crash_one();
}

static void begin_timers(void)
{
	timer_init(&run.letter, run.loop, next_letter, NULL);
	timer_init(&run.calm, run.loop, clear_up, NULL);
	timer_init(&run.look, run.loop, look, NULL);
	timer_init(&run.stop, run.loop, stop_server, NULL);
	timer_init(&run.reload, run.loop, reload, NULL);
	timer_init(&run.restart, run.loop, restart_server, NULL);
	timer_init(&run.accident, run.loop, accident, NULL);
	timer_init(&run.again, run.loop, power_back, NULL);
	timer_init(&run.clock, run.loop, set_clock, NULL);
}

static void clear_timers(void)
{
	struct timer *const timers[] = { &run.letter, &run.calm, &run.look, &run.stop, &run.restart, &run.reload,
		                          &run.accident, &run.again, &run.clock };
	for (size_t i = 0; i < COUNT(timers); i++)
		timer_clear(timers[i]);
}

static void start_server(void)
{
	struct conf_report report;
	struct supervisor_options options = { .conf_path = house_path("conf", run.conf_path, sizeof run.conf_path), .fronts = 2,
		                              .ready = on_ready, .ended = on_ended };
	conf_report_init(&report);
	bool starts = supervisor_new(run.loop, &options, &run.supervisor, &report) == OK;
	if (starts || disk.cut) {
		; /* cut short: the power comes back */
	} else if (world.weather.sync_fails > 0) {
		timer_set(&run.again, world.now_ms + 5000); /* the disk has refused: as a service manager, try again */
	} else {
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
	sum.steps += disk.steps;
	sum.sessions += hosts_sessions;
	sum.violations += ledger.violations;
}

/* What a role says may be believed for good, so with odd seeds (stream.c) the server only has to live. With even ones links
 * break: what was accepted ends all the same, and mail is taken again. */
static void judge_hostile(void)
{
	size_t accepted = 0;
	for (size_t i = run.healed_from; i < ledger.n; i++)
		accepted += ledger_was_accepted(&ledger.letters[i]);
	if (world.seed % 2 == 0 && accepted < HEALED_LETTERS / 2)
		ledger_violation("only %zu of %d letters were accepted when the nonsense was over", accepted, HEALED_LETTERS);
}

static void judge_run(uint64_t seed)
{
	if (anything_goes()) {
		ledger.violations = 0;
		buf_clear(&ledger.report);
	}
	if (wanted.hostile)
		judge_hostile();
	if (!run.ready && ledger.violations == 0)
		ledger_violation("the server never became ready");
	if (!run.ended)
		ledger_violation("the server has not ended: %s (%zu roles run)",
		                 world.now_ms > UNENDING_MS ? "time goes on" : "nothing moves any more", roles_running());
	if (run.ended && run.status != 0)
		ledger_violation("the server ended with status %d", run.status);
	if (!anything_goes()) {
		house_look();
		house_vanished();
		/* A storage that failed is opened anew, as after a crash. */
		unsigned long failures = disk.failed ? disk.fail_to - disk.fail_at + 1 : 0;
		ledger_judge((unsigned)(world.crashes + failures + (wanted.hostile ? world.faults : 0)));
	}
	if (disk.repeated > 0)
		ledger_violation("%lu times something was synced again whose sync had failed", disk.repeated);
	sum.failed += disk.failed;
	count_up();
	if (ledger.violations == 0)
		return;
	printf("seed %llu: %u violations (%lu crashes, %lu broken connections, %lu faults)\n%.*s", (unsigned long long)seed,
	       ledger.violations, world.crashes, world.broken, world.faults, STR_ARG(buf_view(&ledger.report)));
}

/* Returns what tells two runs apart. */
static uint64_t play(uint64_t seed)
{
	world_begin(seed);
	world.verbose = wanted.verbose;
	world.syncs_lie = strcmp(wanted.plant, "unsynced") == 0;
	roles_hang = wanted.hang;
	hosts_lose = strcmp(wanted.plant, "lost") == 0;
	hosts_repeat = strcmp(wanted.plant, "twice") == 0;
	buf_clear(&world_log);
	ledger_begin();
	run.ready = run.ended = run.stopping = run.restarting = run.settled = run.only_killed = false;
	run.accidents_left = 0;
	run.clock_off = 0;
	vfs_reseed();
	run.status = 0;
	house_begin();
	run.loop = loop_new();
	begin_timers();
	struct tls_server *tls = house_peers();
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
	ledger_end();
	house_end();
	return world.chance ^ world.turn;
}

static bool understood(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			wanted.first = wanted.last = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			wanted.first = strtoull(argv[++i], NULL, 10);
			wanted.last = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--verbose") == 0) {
			wanted.verbose = true;
		} else if (strcmp(argv[i], "--hang") == 0 && i + 1 < argc) {
			wanted.hang = argv[++i];
		} else if (strcmp(argv[i], "--clock") == 0) {
			wanted.clock = true;
		} else if (strcmp(argv[i], "--hostile") == 0) {
			wanted.hostile = true;
		} else if (strcmp(argv[i], "--plant") == 0 && i + 1 < argc) {
			wanted.plant = argv[++i];
		} else if (strcmp(argv[i], "--sweep") == 0 && i + 1 < argc) {
			wanted.sweep = argv[++i];
		} else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc) {
			wanted.every = strtoull(argv[++i], NULL, 10);
		} else {
			fprintf(stderr, "usage: sim [--seed N] [--seeds FIRST LAST] [--verbose] [--plant lost|twice|unsynced]\n");
			return false;
		}
	}
	return true;
}

static void play_all(void)
{
	uint64_t first = 0;
	for (unsigned long long seed = wanted.first; seed <= wanted.last; seed++) {
		uint64_t mark = play(seed);
		if (seed == wanted.first)
			first = mark;
	}
	if (wanted.first != wanted.last && play(wanted.first) != first) {
		printf("seed %llu did not repeat its run\n", wanted.first);
		sum.violations++;
	}
}

static void sweep(void)
{
	bool by_step = strcmp(wanted.sweep, "power") == 0 || strcmp(wanted.sweep, "kill") == 0 || strcmp(wanted.sweep, "fail") == 0;
	(void)play(wanted.first);
	uint64_t last = by_step ? run.settled_step - run.began_step : run.settled_turn - run.began_turn;
	for (uint64_t at = 1; at <= last && wanted.every > 0; at += wanted.every) {
		unsigned long before = sum.violations;
		run.accident_turn = by_step ? 0 : at;
		run.accident_step = by_step ? at : 0;
		(void)play(wanted.first);
		if (sum.violations != before)
			printf("(that was %s after %s %llu of %llu)\n", wanted.sweep, by_step ? "step" : "turn",
			       (unsigned long long)at, (unsigned long long)last);
	}
}

int main(int argc, char **argv)
{
	struct why why = { "" };
	if (!understood(argc, argv))
		return 2;
	check(RAND_set_rand_method(&seeded) == 1);
	check(tls_begin(&why) == OK);
	vfs_begin();
	world_begin(0); /* the same certificate for every seed, so that a seed alone gives the run that it gave among others */
	house_certify();
	if (wanted.sweep != NULL)
		sweep();
	else
		play_all();
	printf("sim: %lu runs, %lu letters, %lu recipients accepted; %lu copies, %lu bounces and warnings came out; %lu crashes, "
	       "%lu of them power cuts that found %lu operations pending; %lu disks that failed; %lu broken connections, %lu faults; %lu sessions at next "
	       "hops, %lu turns, %lu steps of the disk; %lu violations\n",
	       sum.runs, sum.letters, sum.accepted, sum.copies, sum.dsns, sum.crashes, sum.cuts, sum.pending, sum.failed, sum.broken,
	       sum.faults, sum.sessions, sum.turns, sum.steps, sum.violations);
	buf_fini(&world_log);
	house_forget_certificate();
	return wanted.plant[0] == '\0' ? sum.violations > 0 : sum.violations == 0;
}
