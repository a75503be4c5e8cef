/* SPDX-License-Identifier: ISC */
/*
 * cmd/probe/probe.h -- `sealpost probe`: what its parts share.
 *
 *     probe.c         options, what is looked at, what is said in the end
 *     ask.c           one question to the DNS, or to a web server, and its answer
 *     visit.c         one connection to a mail server, as far as EHLO
 *     host.c          a mail server: ports, protocol, certificate, DANE
 *     domain.c        a domain: MX, MTA-STS, TLS-RPT
 *
 * One thing after the other: each call runs the loop until it has its answer. Facts are printed as they are found; findings,
 * which say what to mend, come last, the gravest first.
 *
 * Limits   PROBE_HOSTS_MAX servers of a domain, PROBE_ADDRESSES_MAX addresses of each, PROBE_RECORDS_MAX TLSA records tried alone.
 * Tests    test/scenario/probe_test.py
 */
#ifndef CMD_PROBE_PROBE_H
#define CMD_PROBE_PROBE_H

#include "cmd/findings.h"
#include "dns/dns.h"
#include "https/https.h"
#include "proto/mtasts/mtasts.h"
#include "role/hop.h"

enum { PROBE_HOSTS_MAX = 10, PROBE_ADDRESSES_MAX = 4, PROBE_RECORDS_MAX = 8 };

struct probe {
	struct loop *loop;
	struct arena *arena;
	struct dns *dns;
	struct https *https;             /* NULL: there are no anchors to trust */
	struct tls_client *tls;
	bool validates;                  /* there is a trust anchor of the DNS, and signatures come */
	struct str no_signatures;        /* else: why they do not; "" if there is no anchor */
	bool json;
	int64_t days, patience_ms;
	struct findings findings;
};

/* ---- probe.c ---- */
/* Prints a fact: {"kind": ..., ...}, and lets go of it. */
void probe_fact(const struct probe *p, json_t *fact);
/* what: a stable word. */
void probe_find(struct probe *p, enum finding_weight weight, const char *what, struct str about, const char *fmt, ...) PRINTF(5, 6);

/* ---- ask.c ---- */
/* The answer's texts live in the arena. */
struct dns_answer probe_ask(struct probe *p, enum dns_kind kind, struct str name);
const char *probe_dns_word(const struct dns_answer *a);
struct https_answer probe_get(struct probe *p, struct str host, struct str path, const struct str *addresses, size_t n, size_t body_max);
/* All addresses of a host, the DNS's as text. */
struct probe_addresses { struct dns_answer a, aaaa; struct str text[PROBE_ADDRESSES_MAX]; size_t n; };
void probe_find_addresses(struct probe *p, struct str host, struct probe_addresses *out);

/* ---- visit.c ---- */
enum probe_end {
	PROBE_READY,         /* EHLO was answered, inside of TLS */
	PROBE_UNREACHABLE,   /* nobody there */
	PROBE_SILENT,        /* connected, and then no greeting */
	PROBE_NO_STARTTLS,   /* it speaks SMTP and does not offer it */
	PROBE_REFUSED,       /* it speaks SMTP, and refuses, or ends the session */
	PROBE_TLS_FAILED,
};
enum { PROBE_CHAIN_MAX = 3 };
struct probe_certificate { struct str subject, issuer, names, key, spki; int64_t not_before_s, not_after_s; };
struct probe_visit {
	enum probe_end end;
	struct str words;                /* why it ended early */
	bool greeted;                    /* it spoke SMTP in clear */
	bool welcomed;                   /* and took the EHLO */
	struct str version, group, cipher, by, problem;
	bool verified;
	enum tls_failure failure;        /* what the certificate fails in, also where nothing was to be proven */
	struct probe_certificate chain[PROBE_CHAIN_MAX];
	size_t n_chain;
};
void probe_visit(struct probe *p, const struct endpoint *to, const struct tls_wish *wish, bool implicit, struct probe_visit *out);

/* ---- host.c ---- */
struct probe_host {
	struct str name;                 /* or an address in text */
	bool is_address;
	uint16_t port;                   /* 0: 25, 465 and 587 */
	bool is_mx;                      /* of a domain: port 25 matters, others may do without */
	bool sts;                        /* an MTA-STS policy in force names it */
};
void probe_host(struct probe *p, const struct probe_host *h);

/* ---- domain.c ---- */
/* False: there are no MX records, nothing was said. */
bool probe_domain(struct probe *p, struct str domain);

#endif
