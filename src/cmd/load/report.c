/* SPDX-License-Identifier: ISC */
/* cmd/load/report.c -- what `sealpost load` has found out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cmd/load/load.h"
#include "cmd/say.h"

static const struct { const char *key, *words; } losses[LOSSES] = {
	[LOSS_CONNECT] = { "connect", "could not connect" },
	[LOSS_TLS] = { "tls", "TLS failed" },
	[LOSS_CLOSED] = { "closed", "the connection was closed" },
	[LOSS_TIME] = { "timeout", "no answer in time" },
	[LOSS_PROTOCOL] = { "protocol", "an answer that makes no sense there" },
	[LOSS_LOGIN] = { "login", "the login failed" },
};

static uint64_t failures(const struct load_tally *t)
{
	uint64_t n = 0;
	for (size_t i = 0; i < COUNT(t->refused); i++)
		n += t->refused[i];
	for (size_t i = 0; i < LOSSES; i++)
		n += t->lost[i];
	return n;
}

static double seconds_of(const struct load_tally *t)
{
	return t->begun_us > 0 && t->ended_us > t->begun_us ? (double)(t->ended_us - t->begun_us) / 1e6 : 0;
}

static double rate_of(const struct load_tally *t)
{
	double seconds = seconds_of(t);
	return seconds > 0 ? (double)t->accepted / seconds : 0;
}

static double ms_at(const struct load_tally *t, double percent)
{
	return (double)histogram_percentile(&t->dot_us, percent) / 1000.0;
}

/* ---- text ---- */

/* "BEFORE 3 x ..., 1 x ...". */
static void put_losses(const uint64_t *lost, const char **before)
{
	for (size_t i = 0; i < LOSSES; i++)
		if (lost[i] > 0) {
			printf("%s%" PRIu64 " x %s", *before, lost[i], losses[i].words);
			*before = ", ";
		}
}

static void put_gathered(const struct load *load)
{
	const struct load_tally *t = &load->tally;
	const char *before = " (";
	printf("%u of %u connections stood after %.1f s", t->stood, load->plan->connections, (double)t->gathered_us / 1e6);
	put_losses(t->gather_lost, &before);
	printf("%s%s\n", before[0] == ',' ? ")" : "", t->stood < load->plan->connections ? "; the others stay out" : "");
}

static void put_failures(const struct load_tally *t)
{
	printf("not accepted");
	const char *before = ": ";
	for (size_t i = 0; i < COUNT(t->refused); i++)
		if (t->refused[i] > 0) {
			printf("%s%" PRIu64 " x %zu", before, t->refused[i], i);
			before = ", ";
		}
	put_losses(t->lost, &before);
	printf("\n");
}

static void put_refused_rcpts(const struct load_tally *t)
{
	const char *before = "recipients refused: ";
	for (size_t i = 0; i < COUNT(t->rcpts_refused); i++)
		if (t->rcpts_refused[i] > 0) {
			printf("%s%" PRIu64 " x %zu", before, t->rcpts_refused[i], i);
			before = ", ";
		}
	if (before[0] == ',')
		printf("\n");
}

static void put_text(const struct load *load)
{
	const struct load_tally *t = &load->tally;
	if (load->plan->hold)
		printf("%u of %u connections were held\n", load->held, load->plan->connections);
	if (!load->plan->hold || load->plan->per_connection > 0)
		printf("%" PRIu64 " messages accepted in %.2f s: %.1f a second, %.2f MB/s, %" PRIu64 " recipients\n", t->accepted, seconds_of(t),
		       rate_of(t), seconds_of(t) > 0 ? (double)t->octets / 1e6 / seconds_of(t) : 0, t->rcpts);
	if (t->dot_us.n > 0)
		printf("from the dot to the 250: p50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f\n", ms_at(t, 50), ms_at(t, 90), ms_at(t, 99),
		       ms_at(t, 100));
	if (failures(t) > 0)
		put_failures(t);
	put_refused_rcpts(t);
	if (t->first_refusal[0] != '\0')
		say(stdout, "the first refusal: %s", t->first_refusal);
	printf("%" PRIu64 " connections, %" PRIu64 " TLS handshakes, %" PRIu64 " of them resumed%s%s\n", t->opened, t->handshakes, t->resumed,
	       t->tls[0] != '\0' ? "; " : "", t->tls);
	if (t->pipelining_missed)
		printf("the server does not offer PIPELINING, so there was none\n");
	printf("this program used %.2f s of CPU\n", (double)t->cpu_us / 1e6);
}

/* ---- JSON ---- */

static json_t *by_code(const uint64_t *counts, size_t n)
{
	json_t *o = json_object();
	for (size_t i = 0; i < n; i++) {
		char code[24];
		(void)snprintf(code, sizeof code, "%zu", i);
		if (counts[i] > 0)
			(void)json_object_set_new(o, code, json_integer((json_int_t)counts[i]));
	}
	return o;
}

static json_t *by_loss(const uint64_t *lost)
{
	json_t *o = json_object();
	for (size_t i = 0; i < LOSSES; i++)
		if (lost[i] > 0)
			(void)json_object_set_new(o, losses[i].key, json_integer((json_int_t)lost[i]));
	return o;
}

static void say_and_free(json_t *o)
{
	char *line = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	say_json(str_of(line != NULL ? line : "{}"));
	free(line);
	json_decref(o);
}

static json_t *gathered(const struct load *load, const char *kind)
{
	const struct load_tally *t = &load->tally;
	return json_pack("{s:s*, s:i, s:i, s:f, s:o}", "kind", kind, "stood", (int)t->stood, "of", (int)load->plan->connections, "seconds",
	                 (double)t->gathered_us / 1e6, "lost", by_loss(t->gather_lost));
}

static void put_json(const struct load *load)
{
	const struct load_tally *t = &load->tally;
	json_t *o = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f}, s:I, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:s, s:b, s:i, s:f}",
		"kind", "total", "accepted", (json_int_t)t->accepted, "accepted_in_all", (json_int_t)t->accepted_in_all, "recipients",
		(json_int_t)t->rcpts, "octets", (json_int_t)t->octets, "seconds", seconds_of(t), "rate", rate_of(t), "dot_ms", "p50",
		ms_at(t, 50), "p90", ms_at(t, 90), "p99", ms_at(t, 99), "max", ms_at(t, 100), "failed", (json_int_t)failures(t), "refused",
		by_code(t->refused, COUNT(t->refused)), "recipients_refused", by_code(t->rcpts_refused, COUNT(t->rcpts_refused)), "lost",
		by_loss(t->lost), "first_refusal", t->first_refusal, "connections", (json_int_t)t->opened, "handshakes", (json_int_t)t->handshakes,
		"resumed", (json_int_t)t->resumed, "tls", t->tls, "pipelining_missed", (int)t->pipelining_missed, "held", (int)load->held,
		"cpu_seconds", (double)t->cpu_us / 1e6);
	if (load->plan->gather_ms > 0)
		(void)json_object_set_new(o, "gathered", gathered(load, NULL));
	say_and_free(o);
}

void load_report(const struct load *load)
{
	if (load->plan->json)
		put_json(load);
	else
		put_text(load);
}

void load_report_gathered(const struct load *load)
{
	if (load->plan->json)
		say_and_free(gathered(load, "gathered"));
	else
		put_gathered(load);
	(void)fflush(stdout);
}

void load_report_held(const struct load *load)
{
	if (load->plan->json)
		printf("{\"kind\":\"held\",\"connections\":%u}\n", load->held);
	else
		printf("%u of %u connections are held\n", load->held, load->plan->connections);
	(void)fflush(stdout);
}

int load_status(const struct load *load)
{
	const struct load_tally *t = &load->tally;
	bool missed = load->plan->gather_ms > 0 && t->stood < load->plan->connections;
	return missed || failures(t) > 0 || (t->accepted_in_all == 0 && !load->plan->hold) ? 1 : 0;
}
