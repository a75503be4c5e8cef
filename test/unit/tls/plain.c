/* SPDX-License-Identifier: ISC */
/* Linked into a test, with tls_filter_helps wrapped: OpenSSL's default provider as it is, as with versions later than 3.0. */
#include <stdbool.h>

bool __wrap_tls_filter_helps(void);

bool __wrap_tls_filter_helps(void)
{
	return false;
}
