/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <string.h>

#include "https/https.h"
#include "https/url.h"

static void urls(void **state)
{
	(void)state;
	const struct { struct str text; const char *host; uint16_t port; const char *path; } cases[] = {
		{ STR("https://reports.example.org/v1/tlsrpt"), "reports.example.org", 443, "/v1/tlsrpt" },
		{ STR("HTTPS://a.example:8443/?q=%20&r"), "a.example", 8443, "/?q=%20&r" },
		{ STR("https://a.example"), "a.example", 443, "/" },
		{ STR("https://a.example:65535"), "a.example", 65535, "/" },
		{ STR("http://a.example/"), NULL, 0, NULL },
		{ STR("mailto:a@b.example"), NULL, 0, NULL },
		{ STR("https:///x"), NULL, 0, NULL },
		{ STR("https://user@a.example/"), NULL, 0, NULL },
		{ STR("https://a.example:0/"), NULL, 0, NULL },
		{ STR("https://a.example:65536/"), NULL, 0, NULL },
		{ STR("https://a.example:000443/"), NULL, 0, NULL },
		{ STR("https://a.example:/"), NULL, 0, NULL },
		{ STR("https://192.0.2.1/"), NULL, 0, NULL },
		{ STR("https://0x7f.1/"), NULL, 0, NULL },
		{ STR("https://[2001:db8::1]/"), NULL, 0, NULL },
		{ STR("https://localhost/"), NULL, 0, NULL },
		{ STR("https://a.example?x"), NULL, 0, NULL },
		{ STR("https://a.example/#x"), NULL, 0, NULL },
		{ STR("https://a.example/a b"), NULL, 0, NULL },
		{ STR("https://a.example/a\r\nHost: b"), NULL, 0, NULL },
		{ STR("https://a.example/\0"), NULL, 0, NULL },
		{ STR("https://a.example\\@b.example/"), NULL, 0, NULL },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct url url;
		fault f = url_parse(cases[i].text, &url);
		if (f != (cases[i].host != NULL ? OK : F_SYNTAX))
			fail_msg("%.*s", STR_ARG(cases[i].text));
		if (f != OK)
			continue;
		assert_str(url.host, cases[i].host);
		assert_int_equal(url.port, cases[i].port);
		assert_str(url.path, cases[i].path);
	}
}

static void the_longest_path(void **state)
{
	(void)state;
	char path[HTTPS_PATH_MAX + 1];
	memset(path, 'a', sizeof path);
	path[0] = '/';
	assert_true(url_path_ok((struct str){ path, HTTPS_PATH_MAX }));
	assert_false(url_path_ok((struct str){ path, HTTPS_PATH_MAX + 1 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(urls), cmocka_unit_test(the_longest_path) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
