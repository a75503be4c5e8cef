/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "scene.h"

#include <stdio.h>
#include <string.h>

struct world w;

int open_world(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

int close_world(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

void publish(const char *rows)
{
	static char zone[4096];
	(void)snprintf(zone, sizeof zone, rows, (unsigned)w.port);
	w.zone = zone;
}

void configure(const char *lines)
{
	world_configure(&w, lines);
	if (!w.ready)
		fail_msg("configuration refused: %s", w.why);
}

void configure_with_ca(const char *lines)
{
	world_ca_file(&w, buf_view(&w.home.ca_pem));
	configure(lines);
}

void direct(const char *lines)
{
	char text[400];
	(void)snprintf(text, sizeof text, "direct {\n port %%\n allow-loopback yes\n family ipv4\n ca /test/ca.pem\n %s\n}\n", lines);
	configure_with_ca(text);
}

void expect_of(const struct job_spec *spec, const char *outcomes)
{
	const char *got = world_deliver(&w, spec);
	if (strncmp(got, outcomes, strlen(outcomes)) != 0)
		fail_msg("got      %s\nexpected %s\nstory\n%.*s", got, outcomes, STR_ARG(buf_view(&w.story)));
}

void expect_told(const char *words)
{
	size_t at;
	if (!str_find_str(buf_view(&w.story), str_of(words), &at))
		fail_msg("no \"%s\" in\n%.*s", words, STR_ARG(buf_view(&w.story)));
}

bool was_said(size_t peer, const char *words)
{
	size_t at;
	return str_find_str(buf_view(&w.peers[peer].said), str_of(words), &at);
}

void nothing_has_left(void)
{
	for (size_t i = 0; i < COUNT(w.peers); i++) {
		assert_int_equal(w.peers[i].letters, 0);
		assert_false(was_said(i, "MAIL"));
	}
}
