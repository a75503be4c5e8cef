/* SPDX-License-Identifier: ISC */
#include "cmd/amount.h"

#include "base/check.h"
#include "base/str.h"

struct unit { struct str word; uint64_t factor; };

bool amount_count(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	uint64_t n;
	if (!str_u64(str_of(text), &n) || n < least || n > most)
		return false;
	*out = n;
	return true;
}

static bool take_with_unit(const char *text, const struct unit *units, size_t n_units, uint64_t most, uint64_t *out)
{
	struct str rest = str_of(text);
	uint64_t n;
	if (!str_take_u64(&rest, &n))
		return false;
	for (size_t i = 0; i < n_units; i++)
		if (str_eq(rest, units[i].word)) {
			if (n > most / units[i].factor)
				return false;
			*out = n * units[i].factor;
			return true;
		}
	return false;
}

bool amount_time(const char *text, int64_t most_ms, int64_t *ms_out)
{
	static const struct unit units[] = {
		{ STR_INIT("ms"), 1 }, { STR_INIT("s"), 1000 }, { STR_INIT("m"), 60 * 1000 }, { STR_INIT("h"), 3600 * 1000 },
	};
	uint64_t ms;
	if (!take_with_unit(text, units, COUNT(units), (uint64_t)most_ms, &ms))
		return false;
	*ms_out = (int64_t)ms;
	return true;
}

bool amount_size(const char *text, uint64_t most, uint64_t *bytes_out)
{
	static const struct unit units[] = {
		{ STR_INIT(""), 1 }, { STR_INIT("K"), 1 << 10 }, { STR_INIT("M"), 1 << 20 }, { STR_INIT("G"), 1 << 30 },
	};
	return take_with_unit(text, units, COUNT(units), most, bytes_out);
}

/* Up to four digits behind the point: a millionth is the least share. */
bool amount_share(const char *text, unsigned *of_a_million_out)
{
	enum { ONE_PERCENT = 10000 };
	struct str rest = str_of(text);
	uint64_t whole, part = 0;
	unsigned unit = ONE_PERCENT;
	if (!str_take_u64(&rest, &whole) || whole > 100)
		return false;
	if (str_take_char(&rest, '.')) {
		if (rest.n == 0 || !ascii_is_digit((unsigned char)rest.p[0]))
			return false;
		for (; rest.n > 0 && ascii_is_digit((unsigned char)rest.p[0]); rest = str_from(rest, 1)) {
			if ((unit /= 10) == 0)
				return false;
			part += (uint64_t)(rest.p[0] - '0') * unit;
		}
	}
	bool percent = str_take_char(&rest, '%');
	uint64_t share = whole * ONE_PERCENT + part;
	if (!percent || rest.n > 0 || share > 100 * ONE_PERCENT)
		return false;
	*of_a_million_out = (unsigned)share;
	return true;
}
