/* SPDX-License-Identifier: ISC */
/* TLSA answers: the first byte says how each of two ended, then come records as a length byte and their data; a length of 255 begins
 * the second answer. The same byte says what is known of the host's addresses. */
#include <stdint.h>

#include "base/check.h"
#include "proto/dane/dane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 64, SECOND = 255, TEXT_MAX = 200 };

static enum dane_result result_of(unsigned bits)
{
	return (bits & 3) == 3 ? DANE_FOUND : (enum dane_result)(bits & 3);
}

static bool odd(const struct dane_record *record)
{
	return record->data.n % 2 == 1;
}

static void find(unsigned bits, struct str text)
{
	size_t half = text.n / 2;
	struct dane_host host = {
		.name = str_sub(text, 0, half),
		.a = { result_of(bits), (bits & 16) != 0, str_from(text, half) },
		.aaaa = { result_of(bits >> 2), (bits & 32) != 0, STR_NONE },
		.alias_asked = (bits & 64) != 0,
		.alias = { result_of(bits >> 1), (bits & 128) != 0, STR_NONE },
	};
	struct dane_bases bases;
	dane_find_bases(&host, &bases);
	check((bases.ask == DANE_ASK_TLSA) == (bases.n > 0) && bases.n <= DANE_BASES_MAX);
	/* Nothing unsigned ever leads to a question for records. */
	check(bases.ask != DANE_ASK_TLSA || host.a.secure || host.aaaa.secure || (host.alias_asked && host.alias.secure));
	check(bases.ask != DANE_ASK_CNAME || !host.alias_asked);
}

static void judge(const struct dane_answer answers[2])
{
	struct dane_judgement j;
	struct buf text;
	dane_judge(answers, 2, odd, &j);
	check((j.verdict == DANE_USABLE) == (j.n_records > 0) && j.n_records <= DANE_RECORDS_MAX);
	check(j.verdict != DANE_USABLE || (answers[j.base].secure && answers[j.base].result == DANE_FOUND));
	check(j.verdict != DANE_UNUSABLE || j.n_unusable == answers[j.base].n);
	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < j.n_records; i++) {
		struct dane_record r;
		struct str rdata = { j.records[i].data.p - 3, j.records[i].data.n + 3 };
		check(dane_decode(rdata, &r) == NULL && r.usage >= DANE_TA && r.usage <= DANE_EE);
		check(i == 0 || j.records[i].usage <= j.records[i - 1].usage);
		buf_clear(&text);
		check(dane_record_put(&text, &r) == OK && str_is_ascii(buf_view(&text)));
	}
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, records[2][LIST_MAX];
	if (size == 0)
		return 0;
	unsigned bits = data[0];
	struct dane_answer answers[2] = {
		{ result_of(bits), (bits & 16) != 0, records[0], 0 },
		{ result_of(bits >> 2), (bits & 32) != 0, records[1], 0 },
	};
	rest = str_from(rest, 1);
	find(bits, rest);
	for (struct dane_answer *a = answers; rest.n > 0 && a->n < LIST_MAX; ) {
		size_t n = (unsigned char)rest.p[0];
		if (n == SECOND && a == answers) {
			a++;
			rest = str_from(rest, 1);
			continue;
		}
		records[a - answers][a->n++] = str_sub(rest, 1, n);
		rest = str_from(rest, n + 1);
	}
	judge(answers);
	return 0;
}
