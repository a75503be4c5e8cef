/* SPDX-License-Identifier: ISC */
#include "cmd/findings.h"
#include "cmd/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cmd/story_print.h"
#include "mail/json.h"

void findings_init(struct findings *f)
{
	*f = (struct findings){ .items = must_alloc(FINDINGS_MAX * sizeof *f->items) };
}

void findings_fini(struct findings *f)
{
	free(f->items);
	*f = (struct findings){ .n = 0 };
}

void findings_add_list(struct findings *f, enum finding_weight weight, const char *what, struct str about, const char *fmt, va_list args)
{
	if (f->n == FINDINGS_MAX) {
		f->too_many++;
		return;
	}
	struct finding *one = &f->items[f->n++];
	one->weight = weight;
	(void)snprintf(one->what, sizeof one->what, "%s", what);
	(void)snprintf(one->about, sizeof one->about, "%.*s", STR_ARG(about));
	(void)vsnprintf(one->text, sizeof one->text, fmt, args);
}

void findings_add(struct findings *f, enum finding_weight weight, const char *what, struct str about, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	findings_add_list(f, weight, what, about, fmt, args);
	va_end(args);
}

void fact_tell(json_t *fact, bool json)
{
	if (json) {
		char *line = json_dumps(fact, JSON_COMPACT | JSON_ENSURE_ASCII);
		say_json(str_of(line != NULL ? line : "{}"));
		free(line);
	} else {
		json_t *story = json_array();
		json_array_append(story, fact);
		story_print(story, "");
		json_decref(story);
	}
	json_decref(fact);
}

static void tell_one(const struct finding *f, bool json)
{
	static const char *const weights[] = { [FINDING_ADVICE] = "advice", [FINDING_WEAK] = "weak", [FINDING_BROKEN] = "broken" };
	json_t *o = json_pack("{s:s, s:s, s:s}", "kind", "finding", "weight", weights[f->weight], "what", f->what);
	json_object_set_new(o, "about", text_as_json(str_of(f->about)));
	json_object_set_new(o, "text", text_as_json(str_of(f->text)));
	fact_tell(o, json);
}

int findings_tell(const struct findings *f, bool json)
{
	size_t to_mend = 0;
	for (int weight = FINDING_BROKEN; weight >= FINDING_ADVICE; weight--)
		for (size_t i = 0; i < f->n; i++)
			if ((int)f->items[i].weight == weight) {
				to_mend += weight > FINDING_ADVICE;
				tell_one(&f->items[i], json);
			}
	if (!json && f->too_many > 0)
		printf("(%zu more: mend these first)\n", f->too_many);
	if (!json)
		printf(to_mend == 0 ? "\nNothing needs mending.\n" : "\n%zu thing%s to mend.\n", to_mend, to_mend == 1 ? "" : "s");
	return to_mend > 0 || f->too_many > 0 ? 1 : 0;
}
