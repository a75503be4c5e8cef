/* SPDX-License-Identifier: ISC */
#include "store/portion.h"

bool lane_is_open(const unsigned *lane_room, unsigned lane)
{
	for (unsigned i = 0; i <= lane; i++)
		if (lane_room[i] == 0)
			return false;
	return true;
}

bool portion_take(struct portion *p, uint64_t message, int64_t next_s)
{
	bool goes_on = p->rcpts > 0 && p->message == message && p->next_s == next_s && (p->rcpts_max == 0 || p->rcpts < p->rcpts_max);
	unsigned lane = p->grant->lane;
	if (!goes_on) {
		bool granted = p->messages < p->grant->messages && lane_is_open(p->lane_room, lane);
		if (!granted && (p->grant->overdue_s == 0 || next_s > p->grant->overdue_s))
			return false;
		p->messages += granted;
		for (unsigned i = 0; i <= lane; i++)
			p->lane_room[i] -= granted;
		p->message = message;
		p->next_s = next_s;
		p->rcpts = 0;
	}
	p->rcpts++;
	return true;
}

bool portion_waits_in_lane(const struct portion *p)
{
	return p->messages < p->grant->messages && !lane_is_open(p->lane_room, p->grant->lane);
}

int64_t portion_not_before(const struct portion *p, int64_t now_s)
{
	return p->grant->not_before_s > now_s ? p->grant->not_before_s : now_s + 1;
}
