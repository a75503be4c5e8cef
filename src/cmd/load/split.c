/* SPDX-License-Identifier: ISC */
/* cmd/load/split.c -- several processes, each with its share of connections and messages, and the sum of what they have counted. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cmd/load/load.h"
#include "sys/file.h"
#include "sys/process.h"

/* The share of one of n; the first ones have the rest. */
static uint64_t share(uint64_t all, unsigned n, unsigned number)
{
	return all / n + (number < all % n ? 1 : 0);
}

static void add_all(uint64_t *to, const uint64_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += from[i];
}

static void add_words(char *to, const char *from, size_t room)
{
	if (to[0] == '\0')
		(void)snprintf(to, room, "%.*s", (int)room - 1, from);
}

static void add_tally(struct load_tally *to, const struct load_tally *from)
{
	to->accepted += from->accepted;
	to->accepted_in_all += from->accepted_in_all;
	to->rcpts += from->rcpts;
	to->octets += from->octets;
	add_all(to->refused, from->refused, COUNT(to->refused));
	add_all(to->rcpts_refused, from->rcpts_refused, COUNT(to->rcpts_refused));
	add_all(to->lost, from->lost, COUNT(to->lost));
	to->opened += from->opened;
	to->handshakes += from->handshakes;
	to->resumed += from->resumed;
	histogram_merge(&to->dot_us, &from->dot_us);
	add_words(to->tls, from->tls, sizeof to->tls);
	add_words(to->first_refusal, from->first_refusal, sizeof to->first_refusal);
	to->pipelining_missed = to->pipelining_missed || from->pipelining_missed;
	if (from->begun_us > 0 && (to->begun_us == 0 || from->begun_us < to->begun_us))
		to->begun_us = from->begun_us;
	if (from->ended_us > to->ended_us)
		to->ended_us = from->ended_us;
	to->cpu_us += from->cpu_us;
}

static fault read_tally(int fd, struct load_tally *out)
{
	for (size_t at = 0, n; at < sizeof *out; at += n) {
		TRY(file_read(fd, (char *)out + at, sizeof *out - at, &n));
		if (n == 0)
			return F_PEER;
	}
	return OK;
}

static void run_share(struct load *load, struct load_plan *plan, unsigned number, int *fd)
{
	unsigned n = plan->processes;
	plan->connections = (unsigned)share(plan->connections, n, number);
	plan->count = share(plan->count, n, number);
	plan->opening = plan->opening > n ? plan->opening / n : 1;
	plan->quiet = true;
	load->process = number;
	load_run(load);
	fault f = file_write(*fd, (struct str){ (const char *)&load->tally, sizeof load->tally });
	process_end(f == OK ? 0 : 1);
}

fault load_run_split(struct load *load, struct load_plan *plan)
{
	static struct load_tally one;
	int fds[LOAD_PROCESSES_MAX], number;
	if (plan->processes == 1) {
		load_run(load);
		return OK;
	}
	TRY(process_split(plan->processes, &number, fds));
	if (number >= 0)
		run_share(load, plan, (unsigned)number, &fds[0]);
	fault f = OK;
	for (unsigned i = 0; i < plan->processes; i++) {
		if (f == OK)
			f = read_tally(fds[i], &one);
		if (f == OK)
			add_tally(&load->tally, &one);
		fd_close(&fds[i]);
	}
	return f;
}
