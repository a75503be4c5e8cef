/* SPDX-License-Identifier: ISC */
/* sys/endpoint.c -- endpoints as text and as kinds of address; pure, shared with the simulation. */
#include "sys/socket.h"

#include <arpa/inet.h>
#include <string.h>

/* --- text --- */

/* 0 is for tests and for "any port" of a source address. */
static fault parse_port(struct str text, uint16_t *out)
{
	uint64_t n;
	if (text.n > 5 || !str_u64(text, &n) || n > UINT16_MAX)
		return F_SYNTAX;
	*out = (uint16_t)n;
	return OK;
}

static fault parse_ip(struct str text, int family, void *out)
{
	char z[INET6_ADDRSTRLEN];
	if (text.n >= sizeof z || str_has(text, '\0'))
		return F_SYNTAX;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	return inet_pton(family, z, out) == 1 ? OK : F_SYNTAX;
}

static fault parse_ipv6(struct str text, struct endpoint *e)
{
	struct str ip;
	uint64_t scope = 0;
	e->kind = ENDPOINT_IPV6;
	if (str_take_until(&text, '%', &ip)) {
		if (!str_u64(text, &scope) || scope > UINT32_MAX)
			return F_SYNTAX;
		e->scope = (uint32_t)scope;
		text = ip;
	}
	return parse_ip(text, AF_INET6, e->ip);
}

static fault parse_unix(struct str path, struct endpoint *e)
{
	e->kind = ENDPOINT_UNIX;
	if (path.n == 0 || path.n >= sizeof e->path || path.p[0] != '/' || str_has(path, '\0'))
		return F_SYNTAX;
	memcpy(e->path, path.p, path.n);
	return OK;
}

fault endpoint_parse(struct str text, struct endpoint *out)
{
	struct endpoint e = { 0 };
	struct str ip;
	if (str_take(&text, STR("unix:"))) {
		TRY(parse_unix(text, &e));
	} else if (str_take_char(&text, '[')) {
		if (!str_take_until(&text, ']', &ip) || !str_take_char(&text, ':'))
			return F_SYNTAX;
		TRY(parse_ipv6(ip, &e));
		TRY(parse_port(text, &e.port));
	} else {
		if (!str_take_until(&text, ':', &ip))
			return F_SYNTAX;
		e.kind = ENDPOINT_IPV4;
		TRY(parse_ip(ip, AF_INET, e.ip));
		TRY(parse_port(text, &e.port));
	}
	*out = e;
	return OK;
}

static const char *ip_text(const struct endpoint *e, char z[INET6_ADDRSTRLEN])
{
	return inet_ntop(e->kind == ENDPOINT_IPV4 ? AF_INET : AF_INET6, e->ip, z, INET6_ADDRSTRLEN);
}

fault endpoint_put(struct buf *out, const struct endpoint *e)
{
	char z[INET6_ADDRSTRLEN];
	if (e->kind == ENDPOINT_UNIX)
		return buf_addf(out, "unix:%s", e->path);
	if (e->kind == ENDPOINT_IPV4)
		return buf_addf(out, "%s:%u", ip_text(e, z), (unsigned)e->port);
	if (e->scope != 0)
		return buf_addf(out, "[%s%%%u]:%u", ip_text(e, z), (unsigned)e->scope, (unsigned)e->port);
	return buf_addf(out, "[%s]:%u", ip_text(e, z), (unsigned)e->port);
}

fault endpoint_put_literal(struct buf *out, const struct endpoint *e)
{
	char z[INET6_ADDRSTRLEN];
	if (e->kind == ENDPOINT_UNIX)
		return F_STATE;
	return buf_addf(out, "%s%s", e->kind == ENDPOINT_IPV6 ? "IPv6:" : "", ip_text(e, z));
}

/* --- kinds of address --- */

static bool loopback_v4(const unsigned char ip[4])
{
	return ip[0] == 127;
}

/* RFC 6890: this network, loopback, link-local, multicast, limited broadcast. */
static bool never_remote_v4(const unsigned char ip[4])
{
	return ip[0] == 0 || loopback_v4(ip) || (ip[0] == 169 && ip[1] == 254) || (ip[0] & 0xf0) == 224 ||
	       (ip[0] == 255 && ip[1] == 255 && ip[2] == 255 && ip[3] == 255);
}

/* An IPv4 address inside IPv6: mapped (RFC 4291 2.5.5.2), the old compatible form, NAT64 (RFC 6052). */
static const unsigned char *inner_v4(const unsigned char ip[16])
{
	static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const unsigned char compatible[12] = { 0 };
	bool inside = memcmp(ip, mapped, 12) == 0 || memcmp(ip, nat64, 12) == 0 || memcmp(ip, compatible, 12) == 0;
	return inside ? ip + 12 : NULL;
}

static bool is_one(const unsigned char ip[16])
{
	static const unsigned char one[16] = { [15] = 1 };
	return memcmp(ip, one, 16) == 0;
}

bool endpoint_is_loopback(const struct endpoint *e)
{
	if (e->kind == ENDPOINT_UNIX)
		return true;
	if (e->kind == ENDPOINT_IPV4)
		return loopback_v4(e->ip);
	const unsigned char *v4 = inner_v4(e->ip);
	return is_one(e->ip) || (v4 != NULL && loopback_v4(v4));
}

bool endpoint_is_never_remote(const struct endpoint *e)
{
	if (e->kind == ENDPOINT_UNIX)
		return true;
	if (e->kind == ENDPOINT_IPV4)
		return never_remote_v4(e->ip);
	const unsigned char *v4 = inner_v4(e->ip);
	bool link_local = e->ip[0] == 0xfe && (e->ip[1] & 0xc0) == 0x80;
	return is_one(e->ip) || link_local || e->ip[0] == 0xff || (v4 != NULL && never_remote_v4(v4));
}

static bool private_v4(const unsigned char ip[4])
{
	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) || (ip[0] == 192 && ip[1] == 168) ||
	       (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

bool endpoint_is_private(const struct endpoint *e)
{
	if (endpoint_is_never_remote(e))
		return true;
	if (e->kind == ENDPOINT_IPV4)
		return private_v4(e->ip);
	const unsigned char *v4 = inner_v4(e->ip);
	return (e->ip[0] & 0xfe) == 0xfc || (v4 != NULL && private_v4(v4));
}
