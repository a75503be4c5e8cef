/* SPDX-License-Identifier: ISC */
/* The system's own name lookup, which blocks: for commands. Roles ask the resolver. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/socket.h"

static bool to_endpoint(const struct sockaddr *a, uint16_t port, struct endpoint *out)
{
	*out = (struct endpoint){ .port = port };
	if (a->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, a, sizeof v4);
		out->kind = ENDPOINT_IPV4;
		memcpy(out->ip, &v4.sin_addr, 4);
		return true;
	}
	if (a->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, a, sizeof v6);
		out->kind = ENDPOINT_IPV6;
		out->scope = v6.sin6_scope_id;
		memcpy(out->ip, &v6.sin6_addr, 16);
		return true;
	}
	return false;
}

fault host_lookup(struct str host, uint16_t port, struct endpoint *out, size_t max, size_t *n_out, struct why *why)
{
	char name[256];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC }, *found = NULL;
	*n_out = 0;
	if (host.n == 0 || host.n >= sizeof name || str_has(host, '\0'))
		return why_say(why, F_SYNTAX, "\"%.*s\" is not a host name", STR_ARG(str_sub(host, 0, 80)));
	(void)snprintf(name, sizeof name, "%.*s", STR_ARG(host));
	int error = getaddrinfo(name, NULL, &hints, &found);
	if (error != 0)
		return why_say(why, error == EAI_AGAIN ? F_TIMEOUT : F_ABSENT, "%s: %s", name, gai_strerror(error));
	for (const struct addrinfo *a = found; a != NULL && *n_out < max; a = a->ai_next)
		*n_out += to_endpoint(a->ai_addr, port, &out[*n_out]);
	freeaddrinfo(found);
	return *n_out > 0 ? OK : why_say(why, F_ABSENT, "%s: no address", name);
}
