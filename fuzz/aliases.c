/* SPDX-License-Identifier: ISC */
/* The text of an aliases file, joined with a users table. */
#include <stdint.h>

#include "policy/aliases.h"
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct directory_file files[] = {
		{ STR("/u"), STR("admin:$y$j9T$salt$hash\njada:$y$j9T$salt$hash\nbo@example.net:$y$j9T$salt$hash\n") },
		{ STR("/a"), text },
	};
	struct conf *conf = tables_conf();
	struct directory *d = NULL;
	struct conf_report report;
	conf_report_init(&report);
	fault f = directory_new(conf, files, COUNT(files), &d, &report);
	check((f == OK) == (d != NULL) && (f == OK) == (report.errors == 0));
	check(str_is_utf8(buf_view(&report.text)));
	if (d != NULL) {
		struct arena *a = arena_new(64 << 20);
		unsigned errors, asked = 0;
		for (struct alias *alias = aliases_parse(STR("/a"), text, a, &report, &errors); alias != NULL && asked < 50;
		     alias = alias->next, asked++)
			tables_ask(d, alias->name);
		tables_ask(d, text.n <= 64 ? text : str_sub(text, 0, 64));
		arena_free(&a);
	}
	directory_free(&d);
	conf_report_fini(&report);
	conf_free(&conf);
	return 0;
}
