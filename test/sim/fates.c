/* SPDX-License-Identifier: ISC */
#include "fates.h"

static uint64_t mixed(uint64_t number, uint64_t pending, uint64_t part)
{
	uint64_t z = number * 0x9e3779b97f4a7c15u + pending * 0xd1342543de82ef95u + part * 0xaf251af3b0f025b5u + 1;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int when(bool kept)
{
	return kept ? KEEP_ALL : KEEP_NONE;
}

/* A torn sector keeps some of its first bytes, or of its last. */
static int torn(uint64_t chance, int64_t part)
{
	int n = (int)(chance >> 8) & (MEDIUM_SECTOR - 1);
	if (part == PART_WHOLE || chance % 4 != 0)
		return when(chance % 2 != 0);
	return (chance & 4) != 0 ? n : -n;
}

static int keeps(void *owner, size_t pending, const struct op *op, int64_t part)
{
	const struct fates *f = owner;
	uint64_t chance = mixed(f->number, pending, (uint64_t)part);
	(void)op;
	switch (f->style) {
	case FATE_NOTHING:
	case FATE_STYLES:
		return KEEP_NONE;
	case FATE_EVERYTHING:
		return KEEP_ALL;
	case FATE_MASK:
		return when(pending < 64 && (f->number >> pending & 1) != 0);
	case FATE_BUT_ONE:
		return when(pending != f->number);
	case FATE_ONLY_ONE:
		return when(pending == f->number);
	case FATE_FIRST:
		return pending == f->number ? torn(chance, part) : when(pending < f->number);
	case FATE_OPERATIONS:
		return when(mixed(f->number, pending, 0) % 2 != 0);
	case FATE_SECTORS:
		return when(chance % 2 != 0);
	case FATE_TORN:
		return torn(chance, part);
	}
	return KEEP_NONE;
}

struct fate fate_of(struct fates *f)
{
	bool by_chance = f->style == FATE_OPERATIONS || f->style == FATE_SECTORS || f->style == FATE_TORN;
	return (struct fate){ keeps, f, by_chance && mixed(f->number, 1, 7) % 4 == 0 };
}

const char *fate_style_name(enum fate_style style)
{
	static const char *const names[] = { "nothing is kept", "everything is kept", "a choice of operations is kept",
		                             "all but one is kept", "one is kept", "the first are kept", "operations are kept by chance",
		                             "sectors are kept by chance", "sectors are torn", "" };
	return names[style];
}
