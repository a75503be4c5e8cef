/* SPDX-License-Identifier: ISC */
/* A configuration: the main file, and after a NUL byte one that it may include as /e/d/a.conf. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "conf/conf.h"
#include "policy/retry.h"
#include "policy/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct conf *conf)
{
	check(conf->hostname.n > 0 && conf->origin.n > 0 && conf->direct.ehlo.n > 0);
	check(conf->postmaster.n > 0 && conf->n_listeners > 0 && conf->direct.port > 0);
	check(conf->queue.retry.n_retry > 0 && conf->queue.retry.give_up_s > 0);
	for (size_t i = 0; i < conf->n_listeners; i++)
		check(conf->listeners[i].on.n > 0 && (conf->listeners[i].auth.n == 0 || !conf->listeners[i].tls_none));
	for (size_t i = 0; i < conf->n_domains; i++) {
		const struct conf_domain *d = &conf->domains[i];
		for (size_t j = 0; j < d->names.n; j++)
			check(conf_domain_find(conf, d->names.items[j]) == d);
		for (size_t j = 0; j < d->users.n; j++)
			check(conf_users_find(conf, d->users.items[j]) != NULL);
		check(d->deliver != DELIVER_RELAY || conf_relay_find(conf, d->deliver_to) != NULL);
	}
	for (size_t i = 0; i < conf->n_tls; i++)
		check(conf->tls[i].certs.n > 0 && conf->tls[i].certs.n == conf->tls[i].keys.n);
	for (size_t i = 0; i < conf->n_relays; i++)
		check(conf->relays[i].level >= TLS_ENCRYPT || conf->relays[i].login_name.n == 0);
}

static void plan(const struct conf *conf)
{
	const struct route_question q = {
		.recipient = { .local = STR("jada"), .domain = STR("example.org") }, .recipient_domain = STR("example.org"),
		.sender = { .local = STR("a"), .domain = STR("b.example") }, .client = STR("192.0.2.1"), .user = STR("jada"),
	};
	struct route route = route_plan(conf, &q);
	struct buf key;
	buf_init(&key, 1 << 20);
	check(route.retry != NULL && route_key(&route, &key) == OK);
	check(route.kind != ROUTE_TO_RELAY || conf_relay_find(conf, route.name) != NULL);
	check(retry_next_s(conf, route.retry, 1, 1000, 7) > 1000);
	buf_fini(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size }, main_text = input;
	struct conf_text texts[2] = { { STR("/e/main.conf"), input } };
	size_t n = 1;
	if (str_take_until(&input, '\0', &main_text)) {
		texts[0].text = main_text;
		texts[n++] = (struct conf_text){ STR("/e/d/a.conf"), input };
	}
	struct conf_report report;
	struct conf *conf = NULL;
	conf_report_init(&report);
	fault f = conf_read(texts, n, &conf, &report);
	check((f == OK) == (conf != NULL) && (f == OK) == (report.errors == 0));
	check(str_is_utf8(buf_view(&report.text)));
	if (conf != NULL) {
		judge(conf);
		plan(conf);
	}
	conf_free(&conf);
	conf_report_fini(&report);

	struct arena *a = arena_new(64 << 20);
	struct conf_list dirs;
	conf_includes(&texts[0], a, &dirs);
	arena_free(&a);
	return 0;
}
