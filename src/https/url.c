/* SPDX-License-Identifier: ISC */
#include "https/url.h"

#include "https/https.h"
#include "mail/address.h"

enum { PORT_HTTPS = 443, PORT_MAX = 65535, PORT_DIGITS = 5 };

/* No top-level domain begins with a digit: an address, which libcurl would go to whatever it is told of the name, is none. */
bool url_host_ok(struct str host)
{
	size_t dot;
	return domain_is_valid(host) && str_rfind(host, '.', &dot) && !ascii_is_digit((unsigned char)host.p[dot + 1]);
}

bool url_path_ok(struct str path)
{
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] <= ' ' || path.p[i] > '~' || path.p[i] == '#' || path.p[i] == '\\')
			return false;
	return path.n >= 1 && path.n <= HTTPS_PATH_MAX && path.p[0] == '/';
}

static size_t authority_length(struct str text)
{
	size_t n = 0;
	while (n < text.n && text.p[n] != '/' && text.p[n] != '?')
		n++;
	return n;
}

fault url_parse(struct str text, struct url *out)
{
	struct url url;
	uint64_t port = PORT_HTTPS;
	if (!str_take_nocase(&text, STR("https://")))
		return F_SYNTAX;
	size_t n = authority_length(text), colon;
	url.host = str_sub(text, 0, n);
	url.path = n < text.n ? str_from(text, n) : STR("/");
	if (str_find(url.host, ':', &colon)) {
		struct str digits = str_from(url.host, colon + 1);
		if (digits.n > PORT_DIGITS || !str_u64(digits, &port) || port == 0 || port > PORT_MAX)
			return F_SYNTAX;
		url.host = str_sub(url.host, 0, colon);
	}
	if (!url_host_ok(url.host) || !url_path_ok(url.path))
		return F_SYNTAX;
	url.port = (uint16_t)port;
	*out = url;
	return OK;
}
