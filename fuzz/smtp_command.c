/* SPDX-License-Identifier: ISC */
/* fuzz/smtp_command.c -- one command line and every reading of its argument. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "proto/smtp/command.h"

static void check_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		check((unsigned char)s.p[i] >= 32 && s.p[i] != 127);
}

static bool has_control(struct str line)
{
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < 32 || line.p[i] == 127)
			return true;
	return false;
}

static void read_paths(struct str argument, struct arena *a, bool smtputf8, bool requiretls)
{
	const struct params_rules rules = { .extended = true, .auth = true, .smtputf8 = smtputf8,
	                                    .requiretls = requiretls, .size_bytes_max = 1000 };
	struct address address;
	struct mail_params mail;
	struct rcpt_params rcpt;
	if (smtp_argument_mail(argument, &rules, a, &address, &mail) == SAY_NOTHING) {
		check_text(mail.envid);
		check(mail.size_bytes <= 1000);
		check(!address.utf8 || mail.smtputf8);
		check(mail.tls_tag == TLS_TAG_NONE || (requiretls && mail.tls_tag == TLS_TAG_REQUIRED));
	}
	if (smtp_argument_rcpt(argument, &rules, a, &address, &rcpt) == SAY_NOTHING) {
		check_text(rcpt.orcpt);
		check(!address.utf8 || smtputf8);
		check(!address_is_null(&address));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = { (const char *)data, size }, argument, name, initial;
	uint64_t bytes;
	bool last, has;
	if (size > SMTP_LINE_AUTH_MAX || has_control(line))
		return 0; /* such a line comes no further in the session */
	struct arena *a = arena_new(256 << 10);
	(void)smtp_command_find(line, false, &argument);
	check(smtp_command_find(line, true, &argument) != NULL);
	if (smtp_argument_hello(argument, &name))
		check_text(name);
	read_paths(argument, a, false, true);
	read_paths(argument, a, true, false);
	(void)smtp_argument_bdat(argument, &bytes, &last);
	(void)smtp_argument_auth(argument, a, &name, &has, &initial);
	(void)smtp_argument_auth_step(argument, a, &initial);
	arena_free(&a);
	return 0;
}
