/* SPDX-License-Identifier: ISC */
/* cmd/report/waiting.c -- `sealpost report`: what has been counted and not been sent, and where it would go. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/check.h"
#include "cmd/control_client.h"
#include "cmd/report/report.h"
#include "mail/json.h"

enum { ROWS_MAX = 20000, DOCUMENT_MAX = 8 << 20 };

struct waiting {
	struct buf document;             /* with --json: until its end of line is there */
	json_t **rows;
	size_t n, too_many;
	bool broken;
};

/* ---- the reports themselves ---- */

/* The same JSON, in characters that no terminal takes for anything else. */
static void print_document(struct waiting *w)
{
	struct str text = buf_view(&w->document);
	json_t *o = json_loadb(text.p, text.n, 0, NULL);
	char *line = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	if (line != NULL)
		puts(line);
	else
		w->broken = true;
	free(line);
	json_decref(o);
	buf_clear(&w->document);
}

static void on_body(void *owner, struct str bytes)
{
	struct waiting *w = owner;
	while (bytes.n > 0) {
		struct str piece = bytes;
		bool whole = str_take_until(&bytes, '\n', &piece);
		w->broken |= buf_add(&w->document, piece) != OK;
		if (whole)
			print_document(w);
		else
			break;
	}
}

/* ---- as a table ---- */

static void on_row(void *owner, struct str json)
{
	struct waiting *w = owner;
	json_t *row = w->n < ROWS_MAX ? json_loadb(json.p, json.n, 0, NULL) : NULL;
	if (row == NULL) {
		w->too_many++;
		return;
	}
	w->rows = must_resize(w->rows, (w->n + 1) * sizeof w->rows[0]);
	w->rows[w->n++] = row;
}

static int in_order(const void *a, const void *b)
{
	const json_t *one = *(json_t *const *)a, *two = *(json_t *const *)b;
	int order = str_order(text_in_json(one, "day"), text_in_json(two, "day"));
	return order != 0 ? order : str_order(text_in_json(one, "domain"), text_in_json(two, "domain"));
}

static void print_counts(struct str name, int64_t succeeded, int64_t failed)
{
	fputs("              ", stdout);
	print_padded(name, 32);
	if (succeeded >= 0)
		printf(" %10" PRId64, succeeded);
	else
		printf(" %10s", "");
	printf(" %8" PRId64 "\n", failed);
}

static void print_place(const json_t *row)
{
	const json_t *uris = json_object_get(row, "uris");
	struct str wish = text_in_json(row, "wish");
	size_t shown = 0;
	for (size_t i = 0; i < json_array_size(uris); i++) {
		struct str uri = str_of(json_string_value(json_array_get(uris, i)));
		if (!str_starts_nocase(uri, STR("https:")))
			continue;
		fputs(shown++ == 0 ? "to " : ", else to ", stdout);
		print_safely(uri);
	}
	if (shown > 0)
		return;
	fputs(str_eq(wish, STR("wanted")) ? "to nobody: the domain wants reports by mail alone, and mail is not signed yet"
	      : str_eq(wish, STR("unwanted")) ? "to nobody: the domain asks for none"
	      : str_eq(wish, STR("off")) ? "to nobody: `tls-reports { send no }`"
	      : "where to could not be looked up", stdout);
}

static void print_row(const json_t *row)
{
	size_t i;
	json_t *policy, *count;
	const char *result;
	int64_t succeeded = 0, failed = 0;
	json_array_foreach(json_object_get(row, "policies"), i, policy) {
		succeeded += number_in_json(policy, "succeeded");
		failed += number_in_json(policy, "failed");
	}
	print_padded(text_in_json(row, "day"), 12);
	fputs("  ", stdout);
	print_padded(text_in_json(row, "domain"), 32);
	printf(" %10" PRId64 " %8" PRId64 "  ", succeeded, failed);
	if (str_eq(text_in_json(row, "state"), STR("asking")) || str_eq(text_in_json(row, "state"), STR("posting")))
		fputs("now", stdout);
	else
		print_safely(text_in_json(row, "due"));
	if (number_in_json(row, "tries") > 0)
		printf(", after %lld %s in vain", number_in_json(row, "tries"), number_in_json(row, "tries") == 1 ? "try" : "tries");
	fputs(", ", stdout);
	print_place(row);
	putchar('\n');
	json_array_foreach(json_object_get(row, "policies"), i, policy)
		print_counts(text_in_json(policy, "type"), number_in_json(policy, "succeeded"), number_in_json(policy, "failed"));
	json_object_foreach(json_object_get(row, "failures"), result, count)
		print_counts(str_of(result), -1, json_integer_value(count));
}

static void print_table(struct waiting *w)
{
	if (w->n > 0) {
		qsort(w->rows, w->n, sizeof w->rows[0], in_order);
		printf("%-12s  %-32s %10s %8s  %s\n", "DAY", "DOMAIN", "SUCCEEDED", "FAILED", "SENT");
	}
	for (size_t i = 0; i < w->n; i++) {
		print_row(w->rows[i]);
		json_decref(w->rows[i]);
	}
	free(w->rows);
	if (w->too_many > 0)
		printf("\n%zu more are not shown: name a domain, or use --json\n", w->too_many);
}

int report_waiting(const char *conf_path, struct str domain, bool json)
{
	struct waiting w = { .n = 0 };
	struct control_request request = { .verb = CONTROL_REPORT, .domain = domain, .body = json };
	struct control_answers answers = { .row = on_row, .body = on_body, .owner = &w };
	buf_init(&w.document, DOCUMENT_MAX);
	int status = control_command(conf_path, &request, &answers);
	print_table(&w);
	buf_fini(&w.document);
	if (w.broken)
		fprintf(stderr, "sealpost report: the server's answer is no report\n");
	return w.broken ? 1 : status;
}
