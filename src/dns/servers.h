/* SPDX-License-Identifier: ISC */
/*
 * dns/servers.h -- whom to ask and what to trust, out of configuration text. Pure.
 *
 * Source   resolv.conf(5); RFC 1035 5.1 for the trust anchor's records.
 * Limits   DNS_SERVERS_MAX servers; further ones are not looked at.
 * Tests    test/unit/dns/servers_test.c
 */
#ifndef DNS_SERVERS_H
#define DNS_SERVERS_H

#include "base/buf.h"

enum { DNS_SERVERS_MAX = 8, DNS_SERVER_TEXT_MAX = 80 };

/* As libunbound wants it, "192.0.2.1@53", from "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or
 * "[2001:db8::1]:53". F_SYNTAX. */
MUST_USE fault dns_server_put(struct buf *out, struct str server);
bool dns_server_is_loopback(struct str server);

/* The next address after "nameserver" in the text of a resolv.conf. */
bool dns_nameserver_take(struct str *rest, struct str *server_out);

/* The next record of a trust anchor file, without its comment. */
bool dns_anchor_take(struct str *rest, struct str *record_out);
struct str dns_anchor_owner(struct str text); /* the first record's name; "." if there is none */

#endif
