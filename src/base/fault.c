/* SPDX-License-Identifier: ISC */
#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>

const char *fault_name(fault f)
{
	static const char *const names[] = {
		[OK] = "ok", [F_LIMIT] = "limit", [F_SYNTAX] = "syntax", [F_STATE] = "state",
		[F_DENIED] = "denied", [F_ABSENT] = "absent", [F_EXISTS] = "exists",
		[F_BUSY] = "busy", [F_TIMEOUT] = "timeout", [F_PEER] = "peer", [F_TLS] = "tls",
		[F_STORE] = "store", [F_SYS] = "sys",
	};
	return (unsigned)f < sizeof names / sizeof names[0] ? names[f] : "unknown";
}

fault why_say(struct why *why, fault f, const char *fmt, ...)
{
	if (why == NULL)
		return f;
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(why->text, sizeof why->text, fmt, args);
	va_end(args);
	return f;
}
