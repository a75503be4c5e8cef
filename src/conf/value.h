/* SPDX-License-Identifier: ISC */
/*
 * conf/value.h -- the words of a configuration as values.
 *
 * Durations    a number and s, m, h, d or w: "15m".
 * Sizes        a number of bytes, or with K, M or G (powers of 1024): "50M".
 * Addresses    IPv4 "192.0.2.1", IPv6 "2001:db8::1", with a port "192.0.2.1:25" and "[2001:db8::1]:25".
 * Errors       false; *out is untouched.
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf/conf.h"

bool value_duration(struct str s, int64_t *out_s);
bool value_size(struct str s, uint64_t *bytes_out);

/* One address is a network of all its bits. */
bool value_ip(struct str s, struct conf_network *out);
/* "address/bits" or one address. Bits of the host are kept: network_is_clean tells. */
bool value_network(struct str s, struct conf_network *out);
bool network_is_clean(const struct conf_network *network);
struct conf_network network_cleaned(const struct conf_network *network);
/* IPv4 inside IPv6 (::ffff:192.0.2.1) counts as IPv4. */
bool network_holds(const struct conf_network *network, const struct conf_network *ip);
bool network_is_loopback(const struct conf_network *ip);
enum { NETWORK_TEXT_MAX = 64 };
struct str network_text(const struct conf_network *network, char text[NETWORK_TEXT_MAX]); /* bits left out when full */

struct endpoint {
	bool is_unix;
	struct str path;          /* unix:/path */
	struct conf_network ip;
	uint16_t port;
};
bool value_endpoint(struct str s, struct endpoint *out);  /* "unix:/path", "192.0.2.1:25", "[::1]:25"; port 0 too */
bool value_host_port(struct str s, struct str *host_out, uint16_t *port_out); /* the host without brackets, unchecked */

#endif
