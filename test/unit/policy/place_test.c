/* SPDX-License-Identifier: ISC */
/* Where letters may go, and nowhere else. */
#include "unit.h"

#include <string.h>

#include "policy/place.h"

static const struct { const char *template_, *address, *fixed, *below; } places[] = {
	{ "/var/mail/{domain}/{local}", "jada@Example.org", "/var/mail", "example.org/jada" },
	{ "/var/mail/{local}", "jada@example.org", "/var/mail", "jada" },
	{ "/home/{local}/Maildir", "jada@example.org", "/home", "jada/Maildir" },
	{ "/m/{domain}-{local}.d/x", "a.b@x", "/m", "x-a.b.d/x" },
	{ "/m//{domain}///{local}/", "a@x", "/m/", "x/a" },
	{ "/var/mail/all", "jada@example.org", "/var/mail", "all" },
	{ "/all", "jada@example.org", "/", "all" },
	{ "/{local}", "jada@example.org", "/", "jada" },
	{ "/v/{local}", "\"a b\"@x", "/v", "a b" },
	{ "/v/{local}", "~root@x", "/v", "~root" },
	{ "/v/{local}", "{domain}@x", "/v", "{domain}" }, /* an address is no template */
	{ "/v/{domain}", "u@b\xc3\xbc" "cher.example", "/v", "xn--bcher-kva.example" },
	{ "/v/{x}/{local}", "a@x", "/v/{x}", "a" },
	{ "/v/{local}", "\"../../etc/x\"@x", NULL, NULL },
	{ "/v/{local}", "\"a/b\"@x", NULL, NULL },
	{ "/v/{local}", "\".a\"@x", NULL, NULL },
	{ "/v/{local}", "\"..\"@x", NULL, NULL },
	{ "/v/{local}", "\"\"@x", NULL, NULL },
	{ "/v/.{local}/x", "\".\"@x", NULL, NULL },
	{ "/v/{domain}", "a@[127.0.0.1]", NULL, NULL },
	{ "/v/{local}", "a@x\nb", NULL, NULL },
	{ "/v/{local}", "a", NULL, NULL },
	{ "/v/{local}", "", NULL, NULL },
	{ "/v/../{local}/..", "a@x", NULL, NULL },
	{ "v/{local}", "a@x", NULL, NULL },
	{ "", "a@x", NULL, NULL },
	{ "/", "a@x", NULL, NULL },
};

static void templates_lead_to_folders_and_nowhere_else(void **state)
{
	(void)state;
	static struct place p;
	for (size_t i = 0; i < COUNT(places); i++) {
		fault f = place_find(str_of(places[i].template_), str_of(places[i].address), &p);
		if ((f == OK) != (places[i].fixed != NULL))
			fail_msg("%s %s: %s", places[i].template_, places[i].address, fault_name(f));
		if (f == OK) {
			assert_string_equal(p.fixed, places[i].fixed);
			assert_string_equal(p.below, places[i].below);
		}
	}
	/* a component of 255 bytes is one, of 256 none; a path has its end too */
	char text[PLACE_MAX + 100] = "/v/";
	memset(text + 3, 'x', 252);
	strcpy(text + 255, "{local}");
	assert_ok(place_find(str_of(text), STR("abc@x"), &p));
	assert_int_equal(place_find(str_of(text), STR("abcd@x"), &p), F_SYNTAX);
	for (size_t i = 0; i < PLACE_MAX + 50; i += 2)
		memcpy(text + i, "/x", 3);
	strcpy(text + PLACE_MAX + 50, "/{local}");
	assert_int_equal(place_find(str_of(text), STR("a@x"), &p), F_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_lead_to_folders_and_nowhere_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
