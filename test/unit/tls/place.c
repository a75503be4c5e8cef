/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include "place.h"

#include <stdlib.h>

struct tls_client *client_new(struct str ca, bool verify)
{
	struct why why = { "" };
	struct tls_client *c = tls_client_new(&(struct tls_client_options){ .ca_pem = ca, .verify = verify }, &why);
	if (c == NULL)
		fail_msg("%s", why.text);
	return c;
}

void server_add(struct place *p, struct tls_server *s, const char *names, const struct home_certificate *want)
{
	struct buf pem;
	struct why why = { "" };
	struct str rest = str_of(names), list[8];
	size_t n = 0;
	while (str_take_word(&rest, &list[n]))
		n++;
	buf_init(&pem, 1 << 16);
	home_certificate(&p->home, want, &pem);
	if (tls_server_add(s, list, n, buf_view(&pem), &why) != OK)
		fail_msg("%s", why.text);
	buf_fini(&pem);
}

const struct home_certificate ordinary = { .key = "EC P-256", .alt_names = "DNS:mx.example.org,IP:127.0.0.1" };

int place_setup(void **state)
{
	struct place *p = NEW(struct place);
	struct why why;
	assert_int_equal(tls_begin(&why), OK);
	home_init(&p->home);
	struct tls_signer signer = home_signer(&p->home);
	p->server = tls_server_new(&signer, false);
	server_add(p, p->server, "mx.example.org", &ordinary);
	p->trusting = client_new(buf_view(&p->home.ca_pem), true);
	p->careless = client_new(buf_view(&p->home.ca_pem), false);
	*state = p;
	return 0;
}

int place_teardown(void **state)
{
	struct place *p = *state;
	tls_server_free(&p->server);
	tls_client_free(&p->trusting);
	tls_client_free(&p->careless);
	home_fini(&p->home);
	free(p);
	return 0;
}

void assert_open(struct tls *c, struct tls *s)
{
	if (tls_state(c) != TLS_OPEN || tls_state(s) != TLS_OPEN)
		fail_msg("client: %s; server: %s", tls_error(c), tls_error(s));
}
