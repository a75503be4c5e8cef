/* SPDX-License-Identifier: ISC */
/*
 * proto/proxy/proxy.h -- what a proxy says about a connection, before anything else: PROXY protocol, version 2.
 *
 * Give it what has come so far, from the first byte on, until it says something else than PROXY_MORE. It looks at no byte
 * behind the header, and is wrong as early as it can be.
 *
 * Source   haproxy's proxy-protocol.txt, 2.2. Version 1, the line of text, is not taken.
 * Limits   PROXY_BYTES_MAX for the whole header.
 * Errors   PROXY_BROKEN, with the problem in words.
 * Safety   The caller decides whose word is taken.
 * Tests    test/unit/proto/proxy_test.c, fuzz/proxy.c
 */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "base/str.h"

enum { PROXY_BYTES_MAX = 2048 };

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_BROKEN };

struct proxy_header {
	enum { PROXY_OWN, PROXY_IPV4, PROXY_IPV6 } client; /* OWN: the proxy's own connection, a look whether we live */
	unsigned char ip[16];   /* network order; IPv4 in the first four. An IPv4 address in IPv6's clothes is PROXY_IPV4 */
	uint16_t port;
	size_t bytes;           /* of the header */
	const char *problem;    /* PROXY_BROKEN; static text */
};

enum proxy_result proxy_parse(struct str bytes, struct proxy_header *out);

#endif
