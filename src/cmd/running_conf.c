/* SPDX-License-Identifier: ISC */
#include "cmd/running_conf.h"

#include <stdio.h>

#include "cmd/say.h"
#include "role/supervisor/load.h"

enum { ARENA_MAX = 2 * CONF_FILE_BYTES_MAX + 4096 };

/* A folder that is to be included may be missing just now: the main file alone. */
static fault read_main(const char *path, struct conf **out, struct why *why)
{
	struct conf_report report;
	struct arena *a = arena_new(ARENA_MAX);
	struct conf_text text = { .name = arena_copy(a, str_of(path)) };
	struct why unread = { "" };
	fault f = conf_load_main(path, a, &text.text, &unread);
	if (f == OK) {
		conf_report_init(&report);
		fault g = conf_read_some(&text, 1, out, &report); /* what is wrong has been told: the folder */
		(void)g;
		conf_report_fini(&report);
	}
	arena_free(&a);
	return f == OK && *out != NULL ? OK : why_say(why, f == OK ? F_SYNTAX : f, "%s", unread.text[0] != '\0' ? unread.text : path);
}

static fault read_all(const char *path, struct conf **out, struct conf_report *report, char *trouble, size_t room, struct why *why)
{
	struct conf_texts *texts = NULL;
	struct why unread = { "" };
	if (conf_load(path, &texts, &unread) != OK) {
		(void)snprintf(trouble, room, "%s", unread.text);
		return read_main(path, out, why);
	}
	fault f = conf_read_some(texts->items, texts->n, out, report);
	if (f != OK)
		(void)snprintf(trouble, room, "%s has %u error%s (`sealpost check` shows %s)", path, report->errors,
		               report->errors == 1 ? "" : "s", report->errors == 1 ? "it" : "them");
	conf_texts_free(&texts);
	return *out != NULL ? OK : why_say(why, f, "%s has errors: `sealpost check` shows them", path);
}

fault running_conf(const char *path, const char *program, struct conf **out, bool *whole_out, struct why *why)
{
	static bool said;
	struct conf_report report;
	char trouble[1000] = "";
	*out = NULL;
	conf_report_init(&report);
	fault f = read_all(path, out, &report, trouble, sizeof trouble, why);
	*whole_out = f == OK && trouble[0] == '\0';
	if (f == OK && ((*out)->control.n == 0 || (*out)->hostname.n == 0)) {
		say_lines(stderr, buf_view(&report.text));
		conf_free(out);
		f = why_say(why, F_SYNTAX, "%s", trouble);
	} else if (f == OK && !*whole_out) {
		if (!said) /* once, however often a command asks */
			say(stderr, "%s: %s; what can be read of it is enough to reach the server", program, trouble);
		said = true;
	}
	conf_report_fini(&report);
	return f;
}
