/* SPDX-License-Identifier: ISC */
#include "policy/mx.h"

#include <string.h>

#include "mail/address.h"

static bool is_null(struct str host)
{
	return host.n == 0 || str_eq(host, STR("."));
}

/* An address in place of a name (RFC 2181 10.3 wants a name), or what no name can be. */
static bool is_usable(struct str host)
{
	if (!host_is_valid(host))
		return false;
	size_t dot;
	struct str last = str_rfind(host, '.', &dot) ? str_from(host, dot + 1) : host;
	return last.n > 0 && !str_is_digits(last);
}

static bool is_own(const struct mx_question *q, struct str host)
{
	for (size_t i = 0; i < q->n_own_names; i++)
		if (str_eq_nocase(q->own_names[i], host))
			return true;
	return false;
}

/* splitmix64: from one random number to as many as there are records. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

static void remove_host(struct mx_plan *plan, size_t i)
{
	memmove(&plan->hosts[i], &plan->hosts[i + 1], (plan->n_hosts - i - 1) * sizeof plan->hosts[0]);
	plan->n_hosts--;
}

/* Keeps the list sorted and the best; a host named twice keeps its better place. Equals are ordered by their lots. */
static void insert(struct mx_plan *plan, uint64_t lots[MX_HOSTS_MAX + 1], struct mx_host host, uint64_t lot)
{
	for (size_t i = 0; i < plan->n_hosts; i++) {
		if (!str_eq(plan->hosts[i].name, host.name))
			continue;
		if (plan->hosts[i].preference <= host.preference)
			return;
		memmove(&lots[i], &lots[i + 1], (plan->n_hosts - i - 1) * sizeof lots[0]);
		remove_host(plan, i);
		break;
	}
	size_t at = plan->n_hosts;
	while (at > 0 && (plan->hosts[at - 1].preference > host.preference ||
	                  (plan->hosts[at - 1].preference == host.preference && lots[at - 1] > lot)))
		at--;
	if (at == MX_HOSTS_MAX)
		return;
	size_t behind = plan->n_hosts - at;
	if (plan->n_hosts == MX_HOSTS_MAX)
		behind--;
	else
		plan->n_hosts++;
	memmove(&plan->hosts[at + 1], &plan->hosts[at], behind * sizeof plan->hosts[0]);
	memmove(&lots[at + 1], &lots[at], behind * sizeof lots[0]);
	plan->hosts[at] = host;
	lots[at] = lot;
}

static void no_host(struct mx_plan *plan, enum mx_verdict verdict)
{
	plan->n_hosts = 0;
	plan->verdict = verdict;
}

void mx_plan_hosts(const struct mx_question *q, struct mx_plan *out)
{
	uint64_t lots[MX_HOSTS_MAX + 1];
	uint64_t state = q->random, own_preference = UINT64_MAX;
	bool own = false;
	*out = (struct mx_plan){ .verdict = MX_HOSTS, .implicit = q->n_records == 0 };

	if (q->n_records == 1 && is_null(q->records[0].host)) {
		no_host(out, MX_NULL);
		return;
	}
	if (out->implicit) {
		out->hosts[out->n_hosts++] = (struct mx_host){ q->domain, 0 };
		if (is_own(q, q->domain))
			no_host(out, MX_OURSELVES);
		return;
	}
	for (size_t i = 0; i < q->n_records; i++) {
		const struct mx_record *r = &q->records[i];
		uint64_t lot = next_random(&state);
		if (is_own(q, r->host)) {
			own = true;
			own_preference = r->preference < own_preference ? r->preference : own_preference;
		} else if (is_usable(r->host)) {
			insert(out, lots, (struct mx_host){ r->host, r->preference }, lot);
		}
	}
	while (own && out->n_hosts > 0 && out->hosts[out->n_hosts - 1].preference >= own_preference)
		out->n_hosts--;
	if (out->n_hosts == 0)
		no_host(out, own ? MX_OURSELVES : MX_UNUSABLE);
}

void mx_plan_is_ours(struct mx_plan *plan, size_t index)
{
	if (index >= plan->n_hosts)
		return;
	uint64_t own_preference = plan->hosts[index].preference;
	while (plan->n_hosts > 0 && plan->hosts[plan->n_hosts - 1].preference >= own_preference)
		plan->n_hosts--;
	if (plan->n_hosts == 0)
		no_host(plan, MX_OURSELVES);
}

struct smtp_reply mx_refusal(enum mx_verdict verdict)
{
	switch (verdict) {
	case MX_NULL:
		return REPLY(0, 5, 1, 10, STR("The domain says that it takes no mail (null MX)"));
	case MX_OURSELVES:
		return REPLY(0, 5, 4, 6, STR("The best mail server of the domain is this one, which does not take its mail: a loop. "
		                             "Make the domain a local one here, or correct its MX records"));
	case MX_UNUSABLE:
	case MX_HOSTS:
		break;
	}
	return REPLY(0, 5, 4, 4, STR("None of the domain's MX records names a host"));
}

size_t mx_order_addresses(const struct mx_address *addresses, size_t n, unsigned family,
                          struct mx_address out[MX_ADDRESSES_MAX])
{
	size_t at[2] = { 0, 0 }, n_out = 0;
	for (unsigned turn = 0, missed = 0; n_out < MX_ADDRESSES_MAX && missed < 2; turn ^= 1) {
		bool ipv6 = turn == 0;
		bool wanted = family == FAMILY_ANY || (family == FAMILY_IPV6) == ipv6;
		while (at[turn] < n && (addresses[at[turn]].ipv6 != ipv6 || !wanted))
			at[turn]++;
		missed = at[turn] < n ? 0 : missed + 1;
		if (at[turn] < n)
			out[n_out++] = addresses[at[turn]++];
	}
	return n_out;
}
