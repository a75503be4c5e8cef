/* SPDX-License-Identifier: ISC */
#include "proto/proxy/proxy.h"

#include <string.h>

enum {
	SIGNATURE_BYTES = 12, FIXED_BYTES = 16,
	VERSION_2 = 0x20, COMMAND_LOCAL = 0, COMMAND_PROXY = 1,
	UNSPECIFIED = 0x00, TCP_OVER_IPV4 = 0x11, TCP_OVER_IPV6 = 0x21,
	IPV4_BYTES = 12, IPV6_BYTES = 36, /* two addresses, two ports */
	TLV_BYTES = 3,
};

static const unsigned char signature[SIGNATURE_BYTES] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_result broken(struct proxy_header *out, const char *problem)
{
	out->problem = problem;
	return PROXY_BROKEN;
}

static size_t number(const unsigned char *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static enum proxy_result check_signature(const unsigned char *p, size_t n, struct proxy_header *out)
{
	size_t known = n < SIGNATURE_BYTES ? n : SIGNATURE_BYTES;
	if (memcmp(p, signature, known) != 0)
		return broken(out, p[0] == 'P' ? "version 1 of the PROXY protocol is not taken: send version 2"
		                               : "no PROXY header came first");
	if (n > SIGNATURE_BYTES && (p[SIGNATURE_BYTES] & 0xf0) != VERSION_2)
		return broken(out, "an unknown version of the PROXY protocol");
	if (n > SIGNATURE_BYTES && (p[SIGNATURE_BYTES] & 0x0f) > COMMAND_PROXY)
		return broken(out, "an unknown command of the PROXY protocol");
	return n < FIXED_BYTES ? PROXY_MORE : PROXY_DONE;
}

/* Whom it tells of, and how many bytes that takes; PROXY_BROKEN where we know no such family. */
static enum proxy_result judge_family(const unsigned char *p, size_t length, size_t *addresses_out, struct proxy_header *out)
{
	unsigned family = p[SIGNATURE_BYTES + 1];
	*addresses_out = length; /* of its own connection nothing is of use */
	if ((p[SIGNATURE_BYTES] & 0x0f) == COMMAND_LOCAL || family == UNSPECIFIED)
		return PROXY_DONE;
	if (family != TCP_OVER_IPV4 && family != TCP_OVER_IPV6)
		return broken(out, "a PROXY header for something else than TCP over IPv4 or IPv6");
	out->client = family == TCP_OVER_IPV4 ? PROXY_IPV4 : PROXY_IPV6;
	*addresses_out = family == TCP_OVER_IPV4 ? IPV4_BYTES : IPV6_BYTES;
	return length < *addresses_out ? broken(out, "a PROXY header too short for its addresses") : PROXY_DONE;
}

/* Nothing in them is of use to us; but a header that does not add up is none. */
static bool extras_add_up(const unsigned char *p, size_t n)
{
	while (n >= TLV_BYTES && n - TLV_BYTES >= number(p + 1)) {
		size_t whole = TLV_BYTES + number(p + 1);
		p += whole;
		n -= whole;
	}
	return n == 0;
}

static void take_ipv6(const unsigned char *p, struct proxy_header *out)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool ipv4 = memcmp(p, mapped, sizeof mapped) == 0;
	out->client = ipv4 ? PROXY_IPV4 : PROXY_IPV6;
	memcpy(out->ip, ipv4 ? p + sizeof mapped : p, ipv4 ? 4 : 16);
	out->port = (uint16_t)number(p + 32);
}

enum proxy_result proxy_parse(struct str bytes, struct proxy_header *out)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t addresses;
	*out = (struct proxy_header){ .client = PROXY_OWN };
	if (bytes.n == 0)
		return PROXY_MORE;
	enum proxy_result so_far = check_signature(p, bytes.n, out);
	if (so_far != PROXY_DONE)
		return so_far;
	size_t length = number(p + FIXED_BYTES - 2);
	if (FIXED_BYTES + length > PROXY_BYTES_MAX)
		return broken(out, "a PROXY header too long to be sensible");
	if (judge_family(p, length, &addresses, out) != PROXY_DONE)
		return PROXY_BROKEN;
	if (bytes.n < FIXED_BYTES + length)
		return PROXY_MORE;
	out->bytes = FIXED_BYTES + length;
	p += FIXED_BYTES;
	if (!extras_add_up(p + addresses, length - addresses))
		return broken(out, "a PROXY header whose parts do not add up");
	if (out->client == PROXY_IPV6) {
		take_ipv6(p, out);
	} else if (out->client == PROXY_IPV4) {
		memcpy(out->ip, p, 4);
		out->port = (uint16_t)number(p + 8);
	}
	return PROXY_DONE;
}
