/* SPDX-License-Identifier: ISC */
#include "conf/value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool value_duration(struct str s, int64_t *out_s)
{
	static const struct { char unit; int64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 },
	};
	uint64_t number;
	if (!str_take_u64(&s, &number) || s.n != 1 || number > UINT32_MAX)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (units[i].unit == s.p[0]) {
			*out_s = (int64_t)number * units[i].seconds;
			return true;
		}
	}
	return false;
}

bool value_size(struct str s, uint64_t *bytes_out)
{
	uint64_t number, unit = 1;
	if (!str_take_u64(&s, &number) || s.n > 1 || number > UINT32_MAX)
		return false;
	if (s.n == 1) {
		if (s.p[0] != 'K' && s.p[0] != 'M' && s.p[0] != 'G')
			return false;
		unit = s.p[0] == 'K' ? 1U << 10 : s.p[0] == 'M' ? 1U << 20 : 1U << 30;
	}
	*bytes_out = number * unit;
	return true;
}

static bool take_port(struct str s, bool zero_too, uint16_t *out)
{
	uint64_t number;
	if (!str_u64(s, &number) || number > UINT16_MAX || (number == 0 && !zero_too))
		return false;
	*out = (uint16_t)number;
	return true;
}

static bool parse_ip(struct str s, struct conf_network *out)
{
	char text[INET6_ADDRSTRLEN];
	if (s.n == 0 || s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	struct conf_network ip = { .bits = 32 };
	if (inet_pton(AF_INET, text, ip.ip) != 1) {
		if (inet_pton(AF_INET6, text, ip.ip) != 1)
			return false;
		ip.ipv6 = true;
		ip.bits = 128;
	}
	*out = ip;
	return true;
}

bool value_ip(struct str s, struct conf_network *out)
{
	return parse_ip(s, out);
}

bool value_network(struct str s, struct conf_network *out)
{
	struct str address = s;
	size_t slash;
	bool has_bits = str_find(s, '/', &slash);
	if (has_bits)
		address = str_sub(s, 0, slash);

	struct conf_network network;
	if (!parse_ip(address, &network))
		return false;
	if (has_bits) {
		uint64_t bits;
		if (!str_u64(str_from(s, slash + 1), &bits) || bits > network.bits)
			return false;
		network.bits = (unsigned)bits;
	}
	*out = network;
	return true;
}

struct conf_network network_cleaned(const struct conf_network *network)
{
	struct conf_network clean = *network;
	for (unsigned bit = clean.bits; bit < 128; bit++)
		clean.ip[bit / 8] &= (unsigned char)~(0x80U >> bit % 8);
	return clean;
}

bool network_is_clean(const struct conf_network *network)
{
	struct conf_network clean = network_cleaned(network);
	return memcmp(clean.ip, network->ip, sizeof clean.ip) == 0;
}

static struct conf_network unmapped(const struct conf_network *ip)
{
	static const unsigned char prefix[12] = { [10] = 0xff, [11] = 0xff };
	if (!ip->ipv6 || ip->bits < 96 || memcmp(ip->ip, prefix, sizeof prefix) != 0)
		return *ip;
	struct conf_network v4 = { .bits = ip->bits - 96 };
	memcpy(v4.ip, ip->ip + 12, 4);
	return v4;
}

bool network_holds(const struct conf_network *network, const struct conf_network *ip)
{
	struct conf_network wide = unmapped(network), one = unmapped(ip);
	if (wide.ipv6 != one.ipv6 || one.bits < wide.bits)
		return false;
	one.bits = wide.bits;
	struct conf_network a = network_cleaned(&wide), b = network_cleaned(&one);
	return memcmp(a.ip, b.ip, sizeof a.ip) == 0;
}

bool network_is_loopback(const struct conf_network *ip)
{
	static const struct conf_network v4 = { .ip = { 127 }, .bits = 8 };
	static const struct conf_network v6 = { .ip = { [15] = 1 }, .bits = 128, .ipv6 = true };
	return network_holds(&v4, ip) || network_holds(&v6, ip);
}

struct str network_text(const struct conf_network *network, char text[NETWORK_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	inet_ntop(network->ipv6 ? AF_INET6 : AF_INET, network->ip, ip, sizeof ip);
	int n = network->bits == (network->ipv6 ? 128 : 32) ? snprintf(text, NETWORK_TEXT_MAX, "%s", ip)
	                                                     : snprintf(text, NETWORK_TEXT_MAX, "%s/%u", ip, network->bits);
	return (struct str){ text, (size_t)n };
}

static bool split_port(struct str s, bool zero_too, struct str *host_out, bool *bracketed_out, uint16_t *port_out)
{
	size_t colon;
	if (!str_rfind(s, ':', &colon) || !take_port(str_from(s, colon + 1), zero_too, port_out))
		return false;
	struct str host = str_sub(s, 0, colon);
	*bracketed_out = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (*bracketed_out)
		host = str_sub(host, 1, host.n - 2);
	else if (str_has(host, ':'))
		return false;
	*host_out = host;
	return host.n > 0;
}

bool value_endpoint(struct str s, struct endpoint *out)
{
	struct endpoint e = { .is_unix = false };
	bool bracketed;
	struct str host;
	if (str_take(&s, STR("unix:"))) {
		if (s.n < 2 || s.p[0] != '/' || s.n > 100)
			return false;
		e.is_unix = true;
		e.path = s;
	} else if (!split_port(s, true, &host, &bracketed, &e.port) || !parse_ip(host, &e.ip) ||
	           e.ip.ipv6 != bracketed) {
		return false;
	}
	*out = e;
	return true;
}

bool value_host_port(struct str s, struct str *host_out, uint16_t *port_out)
{
	struct str host;
	struct conf_network ip;
	uint16_t port;
	bool bracketed;
	if (!split_port(s, false, &host, &bracketed, &port))
		return false;
	if (bracketed && (!parse_ip(host, &ip) || !ip.ipv6))
		return false;
	*host_out = host;
	*port_out = port;
	return true;
}
