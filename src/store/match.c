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

bool lane_is_open(const unsigned *lane_room, unsigned lane)
{
	for (unsigned i = 0; i <= lane; i++)
		if (lane_room[i] == 0)
			return false;
	return true;
}

bool helping_take(struct helping *h, uint64_t message, int64_t next_s)
{
	bool goes_on = h->rcpts > 0 && h->message == message && h->next_s == next_s && (h->rcpts_max == 0 || h->rcpts < h->rcpts_max);
	unsigned lane = h->grant->lane;
	if (!goes_on) {
		bool granted = h->messages < h->grant->messages && lane_is_open(h->lane_room, lane);
		if (!granted && (h->grant->overdue_s == 0 || next_s > h->grant->overdue_s))
			return false;
		h->messages += granted;
		for (unsigned i = 0; i <= lane; i++)
			h->lane_room[i] -= granted;
		h->message = message;
		h->next_s = next_s;
		h->rcpts = 0;
	}
	h->rcpts++;
	return true;
}

bool helping_waits_in_lane(const struct helping *h)
{
	return h->messages < h->grant->messages && !lane_is_open(h->lane_room, h->grant->lane);
}

int64_t helping_not_before(const struct helping *h, int64_t now_s)
{
	return h->grant->not_before_s > now_s ? h->grant->not_before_s : now_s + 1;
}
