/* SPDX-License-Identifier: ISC */
/* cmd/probe/domain.c -- what a domain publishes about its mail, and whether it holds. */
#include "cmd/probe/probe.h"

#include <stdio.h>

#include "mail/json.h"
#include "policy/mx.h"
#include "proto/tlsrpt/tlsrpt.h"

struct domain {
	struct probe *p;
	struct str name;
	struct mx_plan plan;
	bool secure;
	bool has_policy;                 /* MTA-STS, testing or enforce */
	struct mtasts_policy policy;
	struct str patterns;
};

static struct str join(struct domain *d, const char *before)
{
	char text[300];
	(void)snprintf(text, sizeof text, "%s%.*s", before, STR_ARG(d->name));
	return arena_copy(d->p->arena, str_of(text));
}

static json_t *fact(struct domain *d, const char *kind)
{
	json_t *o = json_pack("{s:s}", "kind", kind);
	json_object_set_new(o, "domain", text_as_json(d->name));
	return o;
}

static const struct str *texts_of(struct probe *p, const struct dns_answer *a)
{
	struct str *texts = ARENA_ARRAY(p->arena, struct str, a->n_records + 1);
	for (size_t i = 0; i < a->n_records; i++)
		texts[i] = a->records[i].text;
	return texts;
}

/* ---- MX ---- */

static bool find_mx(struct domain *d)
{
	struct probe *p = d->p;
	struct dns_answer a = probe_ask(p, DNS_MX, d->name);
	if (a.result == DNS_NODATA || a.result == DNS_NXDOMAIN)
		return false;
	struct mx_record *records = ARENA_ARRAY(p->arena, struct mx_record, a.n_records + 1);
	for (size_t i = 0; i < a.n_records; i++)
		records[i] = (struct mx_record){ a.records[i].number, a.records[i].text };
	if (a.result == DNS_FOUND)
		mx_plan_hosts(&(struct mx_question){ .domain = d->name, .records = records, .n_records = a.n_records }, &d->plan);
	d->secure = a.secure;
	struct buf names;
	buf_init(&names, 8 << 10);
	for (size_t i = 0; i < d->plan.n_hosts; i++) {
		fault f = buf_addf(&names, "%s%.*s", i > 0 ? " " : "", STR_ARG(d->plan.hosts[i].name));
		(void)f; /* as many as there is room for */
	}
	json_t *o = fact(d, "mx");
	json_object_set_new(o, "result", json_string(probe_dns_word(&a)));
	json_object_set_new(o, "secure", json_string(a.secure ? "yes" : "no"));
	json_object_set_new(o, "hosts", text_as_json(buf_view(&names)));
	probe_fact(p, o);
	buf_fini(&names);
	if (a.result != DNS_FOUND)
		probe_find(p, FINDING_BROKEN, "mx-lookup", d->name, "the MX records cannot be had (%s%s%.*s), so mail waits: mend the zone or its name "
		           "servers", probe_dns_word(&a), a.text.n > 0 ? ": " : "", STR_ARG(a.text));
	else if (d->plan.verdict == MX_NULL)
		probe_find(p, FINDING_ADVICE, "null-mx", d->name, "the domain says that it takes no mail (RFC 7505)");
	else if (d->plan.verdict != MX_HOSTS)
		probe_find(p, FINDING_BROKEN, "mx-unusable", d->name, "no MX record names a host: write names there, not addresses");
	else if (!a.secure && p->validates)
		probe_find(p, FINDING_ADVICE, "mx-unsigned", d->name, "the MX records are not signed: with DNSSEC, nobody on the way could send mail "
		           "elsewhere");
	return true;
}

/* ---- MTA-STS ---- */

static bool read_policy(struct domain *d, const struct https_answer *got, struct str url)
{
	struct probe *p = d->p;
	struct why why = { "" };
	struct buf mx;
	if (got->result != HTTPS_ANSWERED) {
		probe_find(p, FINDING_BROKEN, "sts-fetch", url, "the MTA-STS policy cannot be had (%.*s): mend the web server or its certificate",
		           STR_ARG(got->text));
		return false;
	}
	if (got->status != 200 || !mtasts_content_type_fits(got->content_type)) {
		struct str type = str_sub(got->content_type, 0, 80);
		probe_find(p, FINDING_BROKEN, "sts-fetch", url, "the web server answers %u with \"%.*s\" where a policy should be: it must be 200 and "
		           "text/plain, without a redirect", got->status, STR_ARG(type));
		return false;
	}
	if (mtasts_parse(got->body, &d->policy, &why) != OK) {
		probe_find(p, FINDING_BROKEN, "sts-policy", url, "the MTA-STS policy breaks the grammar (%s): see RFC 8461 3.2", why.text);
		return false;
	}
	buf_init(&mx, MTASTS_MX_MAX);
	d->patterns = mtasts_put_mx(&mx, &d->policy) == OK ? arena_copy(p->arena, buf_view(&mx)) : STR_NONE;
	buf_fini(&mx);
	return true;
}

static void tell_policy(struct domain *d, struct str id, const char *text)
{
	json_t *o = fact(d, "mta-sts");
	if (id.n > 0)
		json_object_set_new(o, "id", text_as_json(id));
	if (text == NULL) {
		json_object_set_new(o, "mode", json_string(mtasts_mode_name(d->policy.mode)));
		json_object_set_new(o, "mx", text_as_json(d->patterns));
		json_object_set_new(o, "max_age", json_integer((json_int_t)d->policy.max_age_s));
	} else {
		json_object_set_new(o, "text", json_string(text));
	}
	probe_fact(d->p, o);
}

static void judge_policy(struct domain *d)
{
	struct probe *p = d->p;
	enum mtasts_mode mode = d->policy.mode;
	d->has_policy = mode != MTASTS_MODE_NONE;
	if (mode == MTASTS_MODE_TESTING)
		probe_find(p, FINDING_ADVICE, "sts-testing", d->name, "the MTA-STS policy is being tested, and binds nobody: once the reports are fine, "
		           "set mode: enforce and a new id");
	for (size_t i = 0; i < d->plan.n_hosts && d->has_policy; i++)
		if (!mtasts_mx_allows(d->patterns, d->plan.hosts[i].name))
			probe_find(p, mode == MTASTS_MODE_ENFORCE ? FINDING_BROKEN : FINDING_WEAK, "sts-mx", d->plan.hosts[i].name,
			           "the MTA-STS policy does not name this host, so who goes by it does not deliver there: add \"mx: %.*s\" to the "
			           "policy and give the record a new id", STR_ARG(d->plan.hosts[i].name));
}

static void look_at_sts(struct domain *d)
{
	struct probe *p = d->p;
	struct str id = STR_NONE, host = join(d, "mta-sts."), record = join(d, "_mta-sts.");
	struct dns_answer a = probe_ask(p, DNS_TXT, record);
	enum mtasts_record r = mtasts_read_records(texts_of(p, &a), a.n_records, &id);
	if (r == MTASTS_NO_RECORD) {
		bool failed = a.result == DNS_FAILED || a.result == DNS_BOGUS;
		tell_policy(d, STR_NONE, failed ? "the record cannot be had" : "none");
		probe_find(p, failed ? FINDING_WEAK : FINDING_ADVICE, "no-sts", d->name, failed
		           ? "whether there is an MTA-STS record cannot be found out: mend the zone or its name servers"
		           : "there is no MTA-STS policy: with one, senders without DANE would insist on TLS (RFC 8461)");
		return;
	}
	if (r != MTASTS_RECORD) {
		tell_policy(d, STR_NONE, "the record is malformed, or there are several: no policy is in force");
		probe_find(p, FINDING_WEAK, "sts-record", record, "the MTA-STS record is malformed, or there are several, so that no policy is in force: "
		           "leave one like \"v=STSv1; id=20260101T000000;\"");
		return;
	}
	struct probe_addresses addresses;
	probe_find_addresses(p, host, &addresses);
	if (p->https == NULL) {
		tell_policy(d, id, "there are no trust anchors on this machine to fetch it with");
		return;
	}
	struct https_answer got = { .result = HTTPS_UNREACHABLE, .text = STR("the name has no address") };
	if (addresses.n > 0)
		got = probe_get(p, host, STR("/.well-known/mta-sts.txt"), addresses.text, addresses.n, MTASTS_BODY_MAX);
	bool valid = read_policy(d, &got, host);
	tell_policy(d, id, valid ? NULL : "there is a record, but no policy that can be used");
	if (valid)
		judge_policy(d);
}

/* ---- TLS-RPT ---- */

static void look_at_reports(struct domain *d)
{
	struct probe *p = d->p;
	struct str uris[TLSRPT_URIS_MAX];
	size_t n = 0;
	struct str name = join(d, "_smtp._tls.");
	struct dns_answer a = probe_ask(p, DNS_TXT, name);
	enum tlsrpt_record r = tlsrpt_read_records(texts_of(p, &a), a.n_records, uris, &n);
	json_t *o = fact(d, "tlsrpt");
	if (r == TLSRPT_RECORD && n > 0)
		json_object_set_new(o, "rua", text_as_json(uris[0]));
	bool failed = a.result == DNS_FAILED || a.result == DNS_BOGUS;
	json_object_set_new(o, "text", r == TLSRPT_RECORD && n > 0 ? text_as_json(uris[0])
	                    : json_string(failed ? "the record cannot be had" : r == TLSRPT_NO_RECORD ? "none"
	                                         : "there is a record, but reports go nowhere"));
	probe_fact(p, o);
	if (failed)
		probe_find(p, FINDING_WEAK, "no-tlsrpt", d->name, "whether there is a record for TLS reports cannot be found out: mend the zone or its "
		           "name servers");
	else if (r == TLSRPT_NO_RECORD)
		probe_find(p, FINDING_ADVICE, "no-tlsrpt", d->name, "nobody is told when TLS fails on the way here: publish "
		           "\"v=TLSRPTv1; rua=mailto:...\" at %.*s (RFC 8460)", STR_ARG(name));
	else if (r != TLSRPT_RECORD || n == 0)
		probe_find(p, FINDING_WEAK, "tlsrpt-record", name, "the TLS reporting record is malformed, or there are several, so that no reports come: "
		           "leave one like \"v=TLSRPTv1; rua=mailto:tls@example.org\"");
}

bool probe_domain(struct probe *p, struct str name)
{
	struct domain *d = ARENA_NEW(p->arena, struct domain);
	*d = (struct domain){ .p = p, .name = name };
	if (!find_mx(d))
		return false;
	if (d->plan.verdict == MX_NULL)
		return true;
	look_at_sts(d);
	look_at_reports(d);
	for (size_t i = 0; i < d->plan.n_hosts && i < PROBE_HOSTS_MAX; i++) {
		struct str host = d->plan.hosts[i].name;
		probe_host(p, &(struct probe_host){ .name = host, .is_mx = true,
		                                    .sts = d->has_policy && mtasts_mx_allows(d->patterns, host) });
	}
	if (d->plan.n_hosts > PROBE_HOSTS_MAX)
		probe_find(p, FINDING_ADVICE, "more-hosts", name, "only the first %d of %zu servers were looked at", PROBE_HOSTS_MAX, d->plan.n_hosts);
	return true;
}
