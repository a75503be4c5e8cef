/* SPDX-License-Identifier: ISC */
/* What the sink says and counts does not depend on how the octets are cut into pieces. */
#include "base/check.h"
#include "cmd/sink/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct told { struct buf out; uint64_t messages, recipients, octets; };

static bool goes_on(struct sink_session *s)
{
	switch (sink_session_next(s)) {
	case SINK_TLS: sink_session_tls_started(s); return true;
	case SINK_DROP:
	case SINK_END: return false;
	case SINK_NOTHING:
	case SINK_ANSWERED: break;
	}
	return true;
}

static void converse(unsigned how, struct str bytes, size_t piece, struct told *told)
{
	struct sink_rules rules = { .lmtp = (how & 1) != 0, .starttls = (how & 2) != 0, .auth = (how & 4) != 0, .dice = 1,
		                    .defer = (how & 8) != 0 ? 300000 : 0, .at = (enum sink_place)(how >> 4 & 3) % 3 };
	struct sink_session s;
	bool more = true;
	buf_init(&told->out, 64 << 20);
	sink_session_init(&s, &rules, false);
	sink_session_greet(&s);
	while (more && bytes.n > 0) {
		size_t used = sink_session_feed(&s, str_sub(bytes, 0, piece));
		bytes = str_from(bytes, used);
		more = goes_on(&s);
		check(buf_view(&s.out).n > 0 || used > 0 || !more);
		check(buf_add(&told->out, buf_view(&s.out)) == OK);
		buf_clear(&s.out);
	}
	told->messages = rules.messages;
	told->recipients = rules.recipients;
	told->octets = rules.octets;
	sink_session_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct told whole, cut;
	if (n < 1 || n > 64 << 10)
		return 0;
	struct str rest = { (const char *)bytes + 1, n - 1 };
	converse(bytes[0], rest, SIZE_MAX, &whole);
	converse(bytes[0], rest, 1 + bytes[0] % 3, &cut);
	check(str_eq(buf_view(&whole.out), buf_view(&cut.out)));
	check(whole.messages == cut.messages && whole.recipients == cut.recipients && whole.octets == cut.octets);
	buf_fini(&whole.out);
	buf_fini(&cut.out);
	return 0;
}
