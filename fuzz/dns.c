/* SPDX-License-Identifier: ISC */
/* Answers of the DNS: the first byte is the kind, then records as a length byte and their data; what follows a
 * length of 255 is the canonical name. The same bytes also serve as a name to ask for. */
#include <stdint.h>

#include "base/check.h"
#include "dns/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(enum dns_kind kind, const struct dns_answer *answer)
{
	check(answer->n_records <= DNS_RECORDS_MAX && answer->ttl_s <= DNS_TTL_MAX_S);
	check((answer->result == DNS_FOUND) == (answer->n_records > 0));
	for (size_t i = 0; i < answer->n_records; i++) {
		struct str text = answer->records[i].text;
		if (kind != DNS_TXT && kind != DNS_TLSA)
			check(str_is_ascii(text) && !str_has(text, ' ') && text.n <= DNS_NAME_MAX);
	}
	check(str_is_ascii(answer->canonical) && str_is_ascii(answer->text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, records[256];
	if (size == 0)
		return 0;
	enum dns_kind kind = data[0] % (DNS_CNAME + 1);
	struct dns_raw raw = { .rdata = records, .bogus = (data[0] & 64) != 0, .secure = (data[0] & 128) != 0 };
	rest = str_from(rest, 1);
	while (rest.n > 0 && raw.n < 256) {
		size_t n = (unsigned char)rest.p[0];
		if (n == 255) {
			raw.canonical = str_from(rest, 1);
			break;
		}
		records[raw.n++] = str_sub(rest, 1, n);
		rest = str_from(rest, n + 1);
	}
	struct arena *a = arena_new(DNS_ANSWER_ARENA);
	struct dns_answer answer;
	dns_answer_decode(kind, &raw, a, &answer);
	judge(kind, &answer);
	arena_free(&a);

	struct buf question;
	buf_init(&question, DNS_NAME_MAX + 1);
	(void)!dns_question_put(&question, kind, (struct str){ (const char *)data, size });
	buf_fini(&question);
	return 0;
}
