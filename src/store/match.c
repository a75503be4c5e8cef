/* SPDX-License-Identifier: ISC */
#include "store/match.h"

static struct str domain_of(struct str address)
{
	size_t at;
	return str_rfind(address, '@', &at) ? str_from(address, at + 1) : STR_NONE;
}

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
	       (which->domain.n == 0 || str_eq_nocase(which->domain, domain_of(rcpt->address))) &&
	       (which->arrived_before_s == 0 || message->arrived_s < which->arrived_before_s);
}

unsigned room_load(const struct store_room *room, struct str key)
{
	for (size_t i = 0; i < room->n_loads; i++)
		if (str_eq(room->loads[i].key, key))
			return room->loads[i].messages;
	return 0;
}
