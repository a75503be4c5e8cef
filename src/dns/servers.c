/* SPDX-License-Identifier: ISC */
#include "dns/servers.h"

#include <arpa/inet.h>
#include <string.h>

enum { PORT_DNS = 53, PORT_MAX = 65535 };

/* A link-local address may name its interface: fe80::1%eth0. */
static bool is_address(int family, struct str text)
{
	char z[DNS_SERVER_TEXT_MAX];
	unsigned char ip[16];
	size_t scope;
	if (family == AF_INET6 && str_find(text, '%', &scope))
		text = str_sub(text, 0, scope);
	if (text.n == 0 || text.n >= sizeof z || str_has(text, '\0'))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	return inet_pton(family, z, ip) == 1;
}

/* Splits "ADDRESS", "IPV4:PORT" and "[IPV6]:PORT". */
static fault server_split(struct str server, struct str *address_out, uint64_t *port_out)
{
	size_t at;
	*port_out = PORT_DNS;
	*address_out = server;
	if (server.n == 0 || server.n >= DNS_SERVER_TEXT_MAX - 8 || !str_is_ascii(server))
		return F_SYNTAX;
	if (str_take_char(&server, '[')) {
		if (!str_take_until(&server, ']', address_out) || !is_address(AF_INET6, *address_out))
			return F_SYNTAX;
		if (server.n > 0 && (!str_take_char(&server, ':') || !str_u64(server, port_out)))
			return F_SYNTAX;
	} else if (!is_address(AF_INET6, server)) {
		if (str_find(server, ':', &at)) {
			*address_out = str_sub(server, 0, at);
			if (!str_u64(str_from(server, at + 1), port_out))
				return F_SYNTAX;
		}
		if (!is_address(AF_INET, *address_out))
			return F_SYNTAX;
	}
	return *port_out >= 1 && *port_out <= PORT_MAX ? OK : F_SYNTAX;
}

fault dns_server_put(struct buf *out, struct str server)
{
	struct str address;
	uint64_t port;
	TRY(server_split(server, &address, &port));
	return buf_addf(out, "%.*s@%u", STR_ARG(address), (unsigned)port);
}

bool dns_server_is_loopback(struct str server)
{
	struct str address;
	uint64_t port;
	return server_split(server, &address, &port) == OK &&
	       (str_starts(address, STR("127.")) || str_eq(address, STR("::1")));
}

bool dns_nameserver_take(struct str *rest, struct str *server_out)
{
	struct str line, word;
	while (str_next_line(rest, &line)) {
		if (str_take_word(&line, &word) && str_eq(word, STR("nameserver")) &&
		    str_take_word(&line, server_out))
			return true;
	}
	return false;
}

bool dns_anchor_take(struct str *rest, struct str *record_out)
{
	struct str line;
	size_t comment;
	while (str_next_line(rest, &line)) {
		if (str_find(line, ';', &comment))
			line = str_sub(line, 0, comment);
		*record_out = str_trim(line);
		if (record_out->n > 0)
			return true;
	}
	return false;
}

struct str dns_anchor_owner(struct str text)
{
	struct str record, owner;
	if (dns_anchor_take(&text, &record) && str_take_word(&record, &owner))
		return owner;
	return STR(".");
}
