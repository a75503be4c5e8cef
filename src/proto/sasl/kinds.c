/* SPDX-License-Identifier: ISC */
#include "proto/sasl/kinds.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/check.h"

enum { SCRYPT_COST = 11 };

/* The part of a crypt(3) string that says how it is measured; the rest is salt and hash. */
static struct str cost_of(struct str crypt)
{
	struct str rest = str_from(crypt, 1), form, cost;
	if (!str_take_until(&rest, '$', &form))
		return crypt;
	size_t n = form.n + 2;
	bool sha = str_eq(form, STR("5")) || str_eq(form, STR("6"));
	if (str_eq(form, STR("7")))
		n += SCRYPT_COST;
	else if ((!sha || str_starts(rest, STR("rounds="))) && str_take_until(&rest, '$', &cost))
		n += cost.n + 1;
	return str_sub(crypt, 0, n);
}

static bool cost_the_same(const struct credential *a, const struct credential *b)
{
	if (a->scram || b->scram)
		return a->scram && b->scram && a->iterations == b->iterations && a->salt_n == b->salt_n;
	return str_eq(cost_of(a->crypt), cost_of(b->crypt));
}

void credential_kinds_add(struct credential_kinds *k, const struct credential *c)
{
	size_t i = 0;
	while (i < k->n && !cost_the_same(&k->kinds[i].like, c))
		i++;
	if (i == CREDENTIAL_KINDS_MAX)
		return;
	if (i == k->n)
		k->kinds[k->n++] = (struct credential_kind){ .like = { .scram = c->scram, .iterations = c->iterations,
		                                                       .salt_n = c->salt_n, .crypt = c->crypt } };
	k->kinds[i].users++;
	k->users++;
}

static const struct credential *commonest_scram(const struct credential_kinds *k)
{
	static const struct credential preset = { .scram = true, .iterations = CREDENTIAL_ITERATIONS_PRESET, .salt_n = CREDENTIAL_SALT_PRESET };
	const struct credential_kind *most = NULL;
	for (size_t i = 0; i < k->n; i++)
		if (k->kinds[i].like.scram && (most == NULL || k->kinds[i].users > most->users))
			most = &k->kinds[i];
	return most != NULL ? &most->like : &preset;
}

/* Anything from 0 to below n, always the same for this name. */
static uint64_t draw(struct str pepper, struct str name, uint64_t n)
{
	struct { char what[8]; char name[256]; } message = { .what = "kind of" };
	unsigned char mac[32];
	size_t size = 0;
	size_t name_n = name.n < sizeof message.name ? name.n : sizeof message.name;
	uint64_t number = 0;
	if (name_n > 0)
		memcpy(message.name, name.p, name_n);
	check(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, pepper.p, pepper.n, (const unsigned char *)&message, sizeof message.what + name_n,
	                mac, sizeof mac, &size) != NULL && size == sizeof mac);
	for (size_t i = 0; i < 4; i++)
		number = number << 8 | mac[i];
	return number * n >> 32;
}

static const struct credential *like_some_user(const struct credential_kinds *k, struct str pepper, struct str name)
{
	uint64_t user = draw(pepper, name, k->users);
	for (size_t i = 0; i < k->n; i++) {
		if (user < k->kinds[i].users)
			return &k->kinds[i].like;
		user -= k->kinds[i].users;
	}
	return commonest_scram(k); /* nobody is here */
}

void credential_kinds_fake(const struct credential_kinds *k, struct str pepper, struct str name, bool scram, struct credential *out)
{
	char folded[256];
	size_t n = name.n < sizeof folded ? name.n : sizeof folded;
	for (size_t i = 0; i < n; i++)
		folded[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] - 'A' + 'a') : name.p[i];
	name = (struct str){ folded, n };
	const struct credential *like = like_some_user(k, pepper, name);
	if (scram && !like->scram)
		like = commonest_scram(k);
	if (like->scram)
		credential_fake(pepper, name, like, out);
	else
		*out = *like;
}
