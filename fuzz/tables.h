/* SPDX-License-Identifier: ISC */
/* A small configuration around the table that is fuzzed. */
#ifndef FUZZ_TABLES_H
#define FUZZ_TABLES_H

#include "base/check.h"
#include "policy/directory.h"

static inline struct conf *tables_conf(void)
{
	static const char text[] =
		"hostname mx1.example.org\npostmaster admin@example.org\nlisten local {\n on unix:/l\n}\n"
		"users staff {\n source file /u\n send-as jada *@news.example.org\n}\n"
		"domain example.org example.net {\n users staff\n aliases /a\n deliver maildir /m/{local}\n}\n"
		"domain other.example {\n users staff\n aliases /a\n catch-all admin@example.org\n deliver mx\n}\n";
	struct conf_text one = { STR("sealpost.conf"), { text, sizeof text - 1 } };
	struct conf_report report;
	struct conf *conf = NULL;
	conf_report_init(&report);
	fault f = conf_read(&one, 1, &conf, &report);
	check(f == OK);
	conf_report_fini(&report);
	return conf;
}

/* A directory that was made answers every question, within its limits. */
static inline void tables_ask(const struct directory *d, struct str local)
{
	struct arena *a = arena_new(4 << 20);
	struct directory_answer answer;
	struct str items[] = { STR("staff") }, name, credential;
	const struct conf_list tables = { items, 1 };
	static const char *const domains[] = { "example.org", "EXAMPLE.net", "other.example", "far.example", "" };
	for (size_t i = 0; i < COUNT(domains); i++) {
		struct address address = { .local = local, .domain = str_of(domains[i]) };
		check(directory_recipient(d, &address, a, &answer) == OK);
		check(answer.n_targets <= DIRECTORY_TARGETS_MAX);
		check((answer.verdict == DIR_REMOTE) == str_eq(address.domain, STR("far.example")));
		for (size_t j = 0; j < answer.n_targets; j++)
			check(address_parse(answer.targets[j], a, &address) == OK);
		directory_may_send(d, &tables, STR("jada"), &address, a);
		arena_reset(a);
	}
	if (directory_user(d, &tables, local, &name, &credential) == OK)
		check(name.n > 0 && credential.n > 4);
	arena_free(&a);
}

#endif
