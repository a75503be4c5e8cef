/* SPDX-License-Identifier: ISC */
/* The text of a users file. Nothing of it may show in the report: it holds secrets. */
#include <stdint.h>

#include "policy/users.h"
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_report(struct str report)
{
	struct str line;
	while (str_take_until(&report, '\n', &line))
		check(str_starts(line, STR("/u:")) || str_eq(line, STR("postmaster: \"admin\" is nobody in example.org")) ||
		      str_starts(line, STR("sealpost.conf:15:1: ")) ||
		      str_eq(line, STR("sealpost.conf:6:1: warning: send-as names \"jada\", who is not in this table")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct directory_file files[] = { { STR("/u"), text }, { STR("/a"), STR_NONE } };
	struct conf *conf = tables_conf();
	struct directory *d = NULL;
	struct conf_report report;
	conf_report_init(&report);
	fault f = directory_new(conf, files, COUNT(files), &d, &report);
	check((f == OK) == (d != NULL) && (f == OK) == (report.errors == 0));
	judge_report(buf_view(&report.text));
	if (d != NULL) {
		struct arena *a = arena_new(64 << 20);
		unsigned errors, asked = 0;
		for (struct user_line *line = users_parse(STR("/u"), text, a, &report, &errors); line != NULL && asked < 50;
		     line = line->next, asked++)
			tables_ask(d, line->name);
		arena_free(&a);
	}
	directory_free(&d);
	conf_report_fini(&report);
	conf_free(&conf);
	return 0;
}
