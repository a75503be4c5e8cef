/* SPDX-License-Identifier: ISC */
#include "store/match.h"

#include "mail/address.h"

static bool sender_matches(struct str wanted, struct str sender)
{
	if (str_eq(wanted, STR("<>")))
		return sender.n == 0;
	return wanted.n == 0 || str_eq_nocase(wanted, sender);
}

bool selector_matches(const struct store_selector *which, const struct store_message *message,
                      const struct store_rcpt *rcpt)
{
	return (which->id.n == 0 || str_eq(which->id, message->id)) &&
	       (which->to.n == 0 || str_eq_nocase(which->to, rcpt->address)) &&
	       sender_matches(which->from, message->sender) &&
	       (which->user.n == 0 || str_eq_nocase(which->user, message->user)) &&
	       (which->domain.n == 0 || str_eq_nocase(which->domain, address_domain_of(rcpt->address))) &&
	       (which->arrived_before_s == 0 || message->arrived_s < which->arrived_before_s);
}

int64_t selector_before(int64_t now_s, uint64_t older_s)
{
	if (older_s == 0)
		return 0;
	return older_s < (uint64_t)now_s ? now_s - (int64_t)older_s : -1;
}
