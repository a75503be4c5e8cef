/* SPDX-License-Identifier: ISC */
/* Credentials, and whole exchanges of the server side: the first byte chooses, lines are the client's responses. */
#include <stdint.h>

#include "base/check.h"
#include "proto/sasl/credential.h"
#include "proto/sasl/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static fault find(void *owner, struct str login, struct str *name_out, struct str *credential_out)
{
	(void)owner;
	if (!str_eq(login, STR("user")))
		return F_ABSENT;
	*name_out = login;
	*credential_out = STR("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
	                      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const char *const mechanisms[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };
	struct str rest = { (const char *)bytes, n }, response, challenge;
	if (n == 0)
		return 0;
	unsigned choice = bytes[0];
	rest = str_from(rest, 1);
	struct credential c;
	if (choice >= '4') {
		if (credential_parse(rest, &c, NULL) == OK && c.scram) {
			struct buf text;
			buf_init(&text, 1024);
			struct credential again;
			check(credential_put(&text, &c) == OK && credential_parse(buf_view(&text), &again, NULL) == OK);
			buf_fini(&text);
		}
		return 0;
	}
	static const struct credential_kinds kinds = { .n = 0 };
	struct sasl_users users = { find, NULL, STR("pepper"), &kinds };
	struct sasl_server *s = sasl_server_new(str_of(mechanisms[choice & 3]), &users,
	                                        (struct str){ "0123456789abcdef0123456789abcdef", 32 });
	check(s != NULL);
	enum sasl_verdict v = SASL_MORE;
	while (v == SASL_MORE && str_take_until(&rest, '\n', &response))
		v = sasl_server_step(s, response, &challenge);
	if (v == SASL_MEASURE) {
		sasl_server_measure(s);
		v = sasl_server_measured(s);
	}
	if (v == SASL_DONE)
		check(str_eq(sasl_server_user(s), STR("user")));
	sasl_server_free(&s);
	return 0;
}
