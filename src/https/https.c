/* SPDX-License-Identifier: ISC */
#include "https/https.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "https/url.h"
#include "https/watch.h"

enum { CONNECT_MS = 20000, URL_MAX = HTTPS_PATH_MAX + 300, RESOLVE_MAX = 1024, TYPE_MAX = 128, BODY_MAX = 1 << 20 };

struct https {
	struct loop *loop;
	struct watch *watch;
	X509_STORE *trusted;
	struct list questions;
};

struct https_question {
	struct link in_https;
	struct https *https;
	https_answered *answered;
	void *owner;
	CURL *easy;
	bool added;
	struct curl_slist *resolve, *headers;
	struct timer patience;
	struct later refused;          /* what could not be asked is answered in the next turn */
	struct buf host, sent, body;
	size_t head;                   /* bytes of header fields so far */
	bool too_large;
	char error[CURL_ERROR_SIZE];
};

void https_begin(void)
{
	tzset();
	check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* ---- the answer ---- */

static void question_free(struct https_question *q)
{
	if (q->added)
		watch_remove(q->https->watch, q->easy);
	curl_easy_cleanup(q->easy);
	curl_slist_free_all(q->resolve);
	curl_slist_free_all(q->headers);
	timer_clear(&q->patience);
	later_clear(&q->refused);
	link_remove(&q->in_https);
	buf_fini(&q->host);
	buf_fini(&q->sent);
	buf_fini(&q->body);
	free(q);
}

static struct str printable(const char *text, char clean[HTTPS_TEXT_MAX])
{
	size_t n = strnlen(text, HTTPS_TEXT_MAX);
	for (size_t i = 0; i < n; i++)
		clean[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	return (struct str){ clean, n };
}

/* The question is gone before its owner hears, who may ask the next one at once; what it hears lives until it returns. */
static void answer(struct https_question *q, enum https_result result, unsigned status, const char *type, const char *text)
{
	char clean[HTTPS_TEXT_MAX], type_kept[TYPE_MAX];
	struct buf body = q->body;
	https_answered *answered = q->answered;
	void *owner = q->owner;
	size_t type_n = strnlen(type, TYPE_MAX);
	memcpy(type_kept, type, type_n);
	struct https_answer a = { .result = result, .status = status, .content_type = { type_kept, type_n },
	                          .text = printable(text, clean) };
	buf_init(&q->body, 0);
	question_free(q);
	if (result == HTTPS_ANSWERED)
		a.body = buf_view(&body);
	answered(owner, &a);
	buf_fini(&body);
}

static enum https_result result_of(CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTPS_NOT_TRUSTED;
	case CURLE_FILESIZE_EXCEEDED:
		return HTTPS_TOO_LARGE;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_URL_MALFORMAT:
	case CURLE_HTTP2:
		return HTTPS_BROKEN;
	default:
		return HTTPS_UNREACHABLE;
	}
}

static void question_done(struct https_question *q, CURLcode code)
{
	long status = 0;
	char *type = NULL;
	(void)curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(q->easy, CURLINFO_CONTENT_TYPE, &type);
	if (q->too_large)
		answer(q, HTTPS_TOO_LARGE, 0, "", "the answer is too large");
	else if (code != CURLE_OK)
		answer(q, result_of(code), 0, "", q->error[0] != '\0' ? q->error : curl_easy_strerror(code));
	else
		answer(q, HTTPS_ANSWERED, (unsigned)status, type != NULL ? type : "", "");
}

static void on_stirred(void *owner)
{
	struct https *h = owner;
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(watch_multi(h->watch), &left)) != NULL; ) {
		char *of = NULL;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &of);
		question_done((struct https_question *)(void *)of, code);
	}
}

static void on_patience_over(void *owner)
{
	answer(owner, HTTPS_UNREACHABLE, 0, "", "there was no whole answer in time");
}

static void on_refused(void *owner)
{
	answer(owner, HTTPS_BROKEN, 0, "", "this is nothing that can be asked of a web server");
}

/* ---- what libcurl calls ---- */

static size_t on_body(char *bytes, size_t one, size_t n, void *owner)
{
	struct https_question *q = owner;
	if (buf_add(&q->body, (struct str){ bytes, one * n }) == OK)
		return one * n;
	q->too_large = true;
	return 0;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *owner)
{
	struct https_question *q = owner;
	(void)bytes;
	q->head += one * n;
	if (q->head <= HTTPS_HEAD_MAX)
		return one * n;
	q->too_large = true;
	return 0;
}

/* The name must be among the certificate's DNS names (RFC 8461 3.3): a name in its subject, which libcurl would take for want
 * of others, is none, and a wildcard is a whole label. */
static CURLcode on_context(CURL *easy, void *context, void *owner)
{
	struct https_question *q = owner;
	SSL_CTX *ctx = context;
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	(void)easy;
	SSL_CTX_set1_cert_store(ctx, q->https->trusted);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	struct str host = buf_view(&q->host);
	return X509_VERIFY_PARAM_set1_host(param, host.p, host.n) == 1 ? CURLE_OK : CURLE_SSL_CONNECT_ERROR;
}

/* ---- the question ---- */

static bool address_ok(struct str address)
{
	for (size_t i = 0; i < address.n; i++) {
		unsigned char c = (unsigned char)address.p[i];
		if (!ascii_is_alnum(c) && c != '.' && c != ':')
			return false;
	}
	return address.n > 0;
}

static fault slist_add(struct curl_slist **list, struct str text)
{
	struct str z = str_keep(text);
	struct curl_slist *more = curl_slist_append(*list, z.p);
	str_release(&z);
	if (more == NULL)
		return F_SYS;
	*list = more;
	return OK;
}

/* "-HOST:PORT" forgets what was said of it before, "+" lets libcurl forget it some time. */
static fault put_resolve(struct https_question *q, const struct https_request *r)
{
	struct buf line;
	buf_init(&line, RESOLVE_MAX);
	fault f = buf_addf(&line, "-%.*s:%u", STR_ARG(r->host), r->port);
	if (f == OK)
		f = slist_add(&q->resolve, buf_view(&line));
	buf_clear(&line);
	if (f == OK)
		f = buf_addf(&line, "+%.*s:%u:", STR_ARG(r->host), r->port);
	for (size_t i = 0; f == OK && i < r->n_addresses && i < HTTPS_ADDRESSES_MAX; i++) {
		bool six = str_has(r->addresses[i], ':');
		f = !address_ok(r->addresses[i]) ? F_SYNTAX
		    : buf_addf(&line, "%s%s%.*s%s", i > 0 ? "," : "", six ? "[" : "", STR_ARG(r->addresses[i]), six ? "]" : "");
	}
	if (f == OK)
		f = slist_add(&q->resolve, buf_view(&line));
	buf_fini(&line);
	return f;
}

#define SET(easy, option, value)                                      \
	do {                                                          \
		if (curl_easy_setopt(easy, option, value) != CURLE_OK) \
			return F_SYS;                                 \
	} while (0)

static fault set_rules(struct https_question *q, const struct https_request *r)
{
	CURL *e = q->easy;
	SET(e, CURLOPT_PROTOCOLS_STR, "https");
	SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(e, CURLOPT_FOLLOWLOCATION, 0L);
	SET(e, CURLOPT_PROXY, "");
	SET(e, CURLOPT_NOPROXY, "*");
	SET(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(e, CURLOPT_NOSIGNAL, 1L);
	SET(e, CURLOPT_PATH_AS_IS, 1L);
	SET(e, CURLOPT_FRESH_CONNECT, 1L);
	SET(e, CURLOPT_FORBID_REUSE, 1L);
	SET(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(e, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(e, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(e, CURLOPT_CAINFO, NULL);
	SET(e, CURLOPT_CAPATH, NULL);
	SET(e, CURLOPT_SSL_CTX_FUNCTION, on_context);
	SET(e, CURLOPT_SSL_CTX_DATA, q);
	SET(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(r->patience_ms < CONNECT_MS ? r->patience_ms : CONNECT_MS));
	SET(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->body_max);
	SET(e, CURLOPT_WRITEFUNCTION, on_body);
	SET(e, CURLOPT_WRITEDATA, q);
	SET(e, CURLOPT_HEADERFUNCTION, on_header);
	SET(e, CURLOPT_HEADERDATA, q);
	SET(e, CURLOPT_ERRORBUFFER, q->error);
	SET(e, CURLOPT_USERAGENT, "sealpost");
	SET(e, CURLOPT_PRIVATE, q);
	return OK;
}

static fault set_post(struct https_question *q, const struct https_request *r)
{
	struct buf line;
	if (r->content_type.n == 0)
		return OK;
	buf_init(&line, TYPE_MAX);
	fault f = str_is_ascii(r->content_type) ? buf_addf(&line, "Content-Type: %.*s", STR_ARG(r->content_type)) : F_SYNTAX;
	if (f == OK)
		f = slist_add(&q->headers, buf_view(&line));
	buf_fini(&line);
	TRY(f);
	TRY(slist_add(&q->headers, STR("Expect:"))); /* the body goes at once */
	TRY(buf_add(&q->sent, r->body));
	SET(q->easy, CURLOPT_POST, 1L);
	SET(q->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
	SET(q->easy, CURLOPT_POSTFIELDS, r->body.n > 0 ? buf_view(&q->sent).p : "");
	SET(q->easy, CURLOPT_HTTPHEADER, q->headers);
	return OK;
}

static fault set_all(struct https_question *q, const struct https_request *r)
{
	struct buf url;
	if (!url_host_ok(r->host) || !url_path_ok(r->path) || r->port == 0 || r->n_addresses == 0)
		return F_SYNTAX;
	TRY(buf_add(&q->host, r->host));
	TRY(put_resolve(q, r));
	SET(q->easy, CURLOPT_RESOLVE, q->resolve);
	buf_init(&url, URL_MAX);
	fault f = r->port == 443 ? buf_addf(&url, "https://%.*s%.*s", STR_ARG(r->host), STR_ARG(r->path))
	                         : buf_addf(&url, "https://%.*s:%u%.*s", STR_ARG(r->host), r->port, STR_ARG(r->path));
	if (f == OK)
		f = buf_add_char(&url, '\0');
	if (f == OK && curl_easy_setopt(q->easy, CURLOPT_URL, buf_view(&url).p) != CURLE_OK)
		f = F_SYS;
	buf_fini(&url);
	TRY(f);
	TRY(set_rules(q, r));
	return set_post(q, r);
}

struct https_question *https_ask(struct https *https, const struct https_request *request, https_answered *answered,
                                 void *owner)
{
	struct https_question *q = NEW(struct https_question);
	*q = (struct https_question){ .https = https, .answered = answered, .owner = owner, .easy = curl_easy_init() };
	list_add_last(&https->questions, &q->in_https);
	timer_init(&q->patience, https->loop, on_patience_over, q);
	later_init(&q->refused, on_refused, q);
	buf_init(&q->host, 256);
	buf_init(&q->sent, BODY_MAX);
	buf_init(&q->body, request->body_max);
	q->added = q->easy != NULL && set_all(q, request) == OK && watch_add(https->watch, q->easy) == OK;
	if (q->added)
		timer_set(&q->patience, loop_now_ms(https->loop) + request->patience_ms);
	else
		later_set(https->loop, &q->refused);
	return q;
}

void https_cancel(struct https_question **question)
{
	if (*question != NULL)
		question_free(*question);
	*question = NULL;
}

/* ---- the house ---- */

static X509_STORE *store_of(struct str ca_pem)
{
	X509_STORE *store = X509_STORE_new();
	BIO *pem = BIO_new_mem_buf(ca_pem.n > 0 ? ca_pem.p : "", ca_pem.n < INT32_MAX ? (int)ca_pem.n : 0);
	check(store != NULL && pem != NULL);
	size_t n = 0;
	for (X509 *cert; (cert = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL; X509_free(cert))
		n += X509_STORE_add_cert(store, cert) == 1;
	BIO_free(pem);
	ERR_clear_error();
	if (n == 0) {
		X509_STORE_free(store);
		return NULL;
	}
	return store;
}

fault https_new(struct loop *loop, struct str ca_pem, struct https **out, struct why *why)
{
	X509_STORE *trusted = store_of(ca_pem);
	if (trusted == NULL)
		return why_say(why, F_SYNTAX, "no CA certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it");
	struct https *h = NEW(struct https);
	h->loop = loop;
	h->trusted = trusted;
	list_init(&h->questions);
	h->watch = watch_new(loop, on_stirred, h);
	if (h->watch == NULL) {
		X509_STORE_free(trusted);
		free(h);
		return why_say(why, F_SYS, "the HTTPS library could not be started");
	}
	*out = h;
	return OK;
}

void https_free(struct https **https)
{
	struct https *h = *https;
	*https = NULL;
	if (h == NULL)
		return;
	LIST_EACH(at, &h->questions)
		question_free(LIST_MEMBER(at, struct https_question, in_https));
	watch_free(&h->watch);
	X509_STORE_free(h->trusted);
	free(h);
}
