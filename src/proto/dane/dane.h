/* SPDX-License-Identifier: ISC */
/*
 * proto/dane/dane.h -- which TLSA records speak for a mail server, and what do they demand? Pure decisions.
 *
 * The order of things, for one host (RFC 7672 2.2): its addresses are looked up; dane_find_bases says under which names its TLSA
 * records may be, perhaps after one more question for a CNAME; dane_question_put makes the name to ask for; dane_judge says what the
 * answers so far come to. A host whose records were found is proven by tls/tls.h, with the base and dane_also as names.
 *
 *     struct dane_bases bases;
 *     dane_find_bases(&host, &bases);              DANE_ASK_CNAME: ask for the CNAME of host.name, put the answer into host.alias
 *                                                  and alias_asked, call again; DANE_ASK_TLSA: ask for bases.names[0], and
 *     dane_judge(answers, 1, parses, &judgement);  DANE_NONE while fewer were asked than bases.n: ask for the next, judge both
 *
 * Whether the MX records were secure plays no part in this: DANE proves the host in either case, and RFC 7672 2.2.1 forbids only to
 * call it delivery to the domain, or to be content with it where DANE is mandatory (policy/protection.h). An address in brackets, or in
 * an MX record in place of a name, has no TLSA records (RFC 7672 2.2): nothing here is to be called for it.
 *
 * Source   RFC 7672 2 and 3; RFC 6698 2.1 and 4.1 (the record, usable); RFC 7671 9 (digest agility).
 * Limits   DANE_RECORDS_MAX records are tried, those of usage 3 first. Data is a slice of the answer, bounded there.
 * Errors   None: what is malformed or of an unknown kind is an unusable record, which still demands TLS.
 * Tests    test/unit/proto/dane_test.c, fuzz/dane.c
 */
#ifndef PROTO_DANE_H
#define PROTO_DANE_H

#include "base/buf.h"

enum { DANE_RECORDS_MAX = 32, DANE_BASES_MAX = 2, DANE_ALSO_MAX = 2, DANE_FULL_BYTES_MAX = 4096 };

/* ---- where ---- */

/* How a question to the DNS has ended. Bogus, indeterminate, SERVFAIL and silence are one: FAILED (RFC 7672 2.1.1). */
enum dane_result { DANE_FOUND, DANE_ABSENT, DANE_FAILED };

struct dane_lookup {
	enum dane_result result;
	bool secure;                  /* validated, with every CNAME on the way */
	struct str canonical;         /* the name after CNAMEs; "" if it is the one asked for */
};

struct dane_host {
	struct str name;              /* as the MX record or the configuration has it */
	struct dane_lookup a, aaaa;   /* a family that is not asked for: DANE_ABSENT */
	bool alias_asked;
	struct dane_lookup alias;     /* the CNAME at name itself, if it was asked for */
};

enum dane_ask {
	DANE_ASK_NOTHING,             /* DANE has no say: as DANE_NONE */
	DANE_ASK_CNAME,               /* is the first alias signed, where what it leads to is not? (RFC 7672 2.2.2) */
	DANE_ASK_TLSA,                /* names[0], and if there is none, names[1] */
	DANE_ASK_FAILED,              /* that cannot be found out: as DANE_TROUBLE */
};

struct dane_bases {
	enum dane_ask ask;
	struct str names[DANE_BASES_MAX];  /* slices of the host's */
	size_t n;
	const char *why;              /* one sentence for people; static */
};

void dane_find_bases(const struct dane_host *host, struct dane_bases *out);

/* "_25._tcp.mx.example.org" (RFC 7672 2.2.3). F_LIMIT leaves out as it is. */
MUST_USE fault dane_question_put(struct buf *out, uint16_t port, struct str base);

/* ---- what ---- */

enum dane_usage { DANE_PKIX_TA, DANE_PKIX_EE, DANE_TA, DANE_EE };
enum dane_selector { DANE_CERT, DANE_SPKI };
enum dane_matching { DANE_FULL, DANE_SHA256, DANE_SHA512 };

struct dane_record {
	uint8_t usage, selector, matching;
	struct str data;              /* a slice of the rdata */
};

/* NULL, or why the record cannot be used, in words; static. Then *out has what could be read. */
const char *dane_decode(struct str rdata, struct dane_record *out);

/* "3 1 1 8cb0fc6c..."; the data in full up to a digest's length, of more its beginning and its length. */
MUST_USE fault dane_record_put(struct buf *out, const struct dane_record *record);
const char *dane_usage_name(unsigned usage);   /* "DANE-EE(3)"; RFC 7218 */

enum dane_verdict {
	DANE_NONE,                    /* no secure TLSA records under the names asked for: DANE has no say */
	DANE_USABLE,                  /* the server must prove itself by one of the records */
	DANE_UNUSABLE,                /* secure records, none of them usable: TLS is mandatory, its proof is not */
	DANE_TROUBLE,                 /* a lookup failed: this host is not to be used now */
};

struct dane_answer {              /* to the TLSA question for bases.names[i] */
	enum dane_result result;
	bool secure;
	const struct str *rdata;
	size_t n;
};

struct dane_judgement {
	enum dane_verdict verdict;
	size_t base;                  /* whose answer decided; not for DANE_NONE */
	struct dane_record records[DANE_RECORDS_MAX];
	size_t n_records;             /* 0 unless DANE_USABLE */
	size_t n_unusable;            /* of the deciding answer: malformed, or of a kind that has no use for mail */
	size_t n_weaker;              /* left out, for a stronger digest of their kind is there (RFC 7671 9) */
	const char *problem;          /* of the first unusable one, or why there is trouble; static, "" */
};

/* Can the library read the certificate or key that a record of matching type Full(0) holds whole? */
typedef bool dane_parses(const struct dane_record *record);

/* n answers, of the first n bases. parses may be NULL: then what looks like DER is taken for it. */
void dane_judge(const struct dane_answer *answers, size_t n, dane_parses *parses, struct dane_judgement *out);

/* ---- names ---- */

/* Where a host comes from. */
struct dane_way {
	struct str domain;            /* the next hop: the recipient's domain, or the host that is configured */
	struct str expanded;          /* the canonical name of the MX answer; "" if as asked */
	bool mx;                      /* by MX records; false: the domain itself is the host */
	bool secure;                  /* those records, with every CNAME on the way */
};

/* The names beside the base that a certificate under a DANE-TA(2) record may carry (RFC 7672 3.2.2). Gives how many. */
size_t dane_also(const struct dane_way *way, struct str base, struct str also[DANE_ALSO_MAX]);

#endif
