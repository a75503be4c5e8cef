/* SPDX-License-Identifier: ISC */
/* proto/dane/record.c -- one TLSA record: what it says, and whether it can be used for mail. */
#include "base/check.h"
#include "proto/dane/dane.h"

enum { HEAD = 3, SHA256_BYTES = 32, SHA512_BYTES = 64, SHOWN_BYTES = SHA512_BYTES, DER_SEQUENCE = 0x30 };

/* RFC 7671 9 calls a record malformed whose digest has another length than the digest. */
static const char *digest_problem(struct str data, size_t bytes)
{
	if (data.n == bytes)
		return NULL;
	return bytes == SHA256_BYTES ? "it does not hold the 32 bytes of a SHA2-256 digest"
	                             : "it does not hold the 64 bytes of a SHA2-512 digest";
}

/* One SEQUENCE that fills the data: what every certificate and every public key is in DER (X.690 8.9, 10.1). */
static bool looks_like_der(struct str data)
{
	const unsigned char *p = (const unsigned char *)data.p;
	if (data.n < 2 || p[0] != DER_SEQUENCE)
		return false;
	if (p[1] < 0x80)
		return data.n == 2 + (size_t)p[1];
	size_t bytes = p[1] & 0x7fu, n = 0;
	if (bytes == 0 || bytes > 3 || data.n < 2 + bytes || p[2] == 0)
		return false;
	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | p[2 + i];
	return n >= 0x80 && data.n == 2 + bytes + n;
}

static const char *full_problem(struct str data)
{
	if (data.n == 0)
		return "it holds no data";
	if (data.n > DANE_FULL_BYTES_MAX)
		return "its data is too large";
	return looks_like_der(data) ? NULL : "it holds neither a certificate nor a key";
}

const char *dane_decode(struct str rdata, struct dane_record *out)
{
	const unsigned char *p = (const unsigned char *)rdata.p;
	*out = (struct dane_record){ .data = STR_NONE };
	if (rdata.n < HEAD)
		return "it is cut short";
	*out = (struct dane_record){ p[0], p[1], p[2], str_from(rdata, HEAD) };
	/* RFC 7672 3.1.3: with mail, the usages that stand on public CAs can only do harm. */
	if (out->usage == DANE_PKIX_TA || out->usage == DANE_PKIX_EE)
		return "its usage, 0 or 1, is not for mail servers";
	if (out->usage > DANE_EE)
		return "its usage is unknown";
	if (out->selector > DANE_SPKI)
		return "its selector is unknown";
	switch (out->matching) {
	case DANE_FULL:   return full_problem(out->data);
	case DANE_SHA256: return digest_problem(out->data, SHA256_BYTES);
	case DANE_SHA512: return digest_problem(out->data, SHA512_BYTES);
	default:          return "its matching type is unknown";
	}
}

static fault record_write(struct buf *out, const struct dane_record *record)
{
	struct str shown = str_sub(record->data, 0, SHOWN_BYTES);
	TRY(buf_addf(out, "%u %u %u ", record->usage, record->selector, record->matching));
	for (size_t i = 0; i < shown.n; i++)
		TRY(buf_addf(out, "%02x", (unsigned char)shown.p[i]));
	return shown.n == record->data.n ? OK : buf_addf(out, "... (%zu bytes)", record->data.n);
}

fault dane_record_put(struct buf *out, const struct dane_record *record)
{
	size_t before = buf_view(out).n;
	fault f = record_write(out, record);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

const char *dane_usage_name(unsigned usage)
{
	static const char *const names[] = {
		[DANE_PKIX_TA] = "PKIX-TA(0)", [DANE_PKIX_EE] = "PKIX-EE(1)", [DANE_TA] = "DANE-TA(2)", [DANE_EE] = "DANE-EE(3)",
	};
	return usage < COUNT(names) ? names[usage] : "unknown";
}
