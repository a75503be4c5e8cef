/* SPDX-License-Identifier: ISC */
/* conf/whole.c -- what only all blocks together can tell. */
#include "conf/reader.h"

static void check_references(struct reader *r)
{
	const struct conf *c = r->conf;
	struct conf_list relays = { NULL, 0 }, tables = { NULL, 0 };
	for (size_t i = 0; i < c->n_relays; i++)
		list_add(r, &relays, c->relays[i].name);
	for (size_t i = 0; i < c->n_users; i++)
		list_add(r, &tables, c->users[i].name);

	for (size_t i = 0; i < r->n_references; i++) {
		const struct reference *ref = &r->references[i];
		const struct conf_list *known = ref->relay ? &relays : &tables;
		if (list_has(known, ref->name))
			continue;
		trouble_error(&r->troubles, ref->at, ref->relay ? "no relay is called \"%.*s\"" : "no users table is called \"%.*s\"",
		              SHOWN(ref->name));
		trouble_near(&r->troubles, ref->name, known->items, known->n);
		if (known->n == 0)
			trouble_expected(&r->troubles, "expected a block: %s %.*s { ... }", ref->relay ? "relay" : "users", SHOWN(ref->name));
	}
}

static void check_listeners(struct reader *r)
{
	const struct conf *c = r->conf;
	if (c->n_listeners == 0 && r->troubles.errors == 0) {
		trouble_error(&r->troubles, (struct conf_place){ r->main_file, 0, 0 }, "nothing listens: no mail could come in");
		trouble_expected(&r->troubles, "expected at least one block: listen mx, submissions, submission, lmtp or local");
	}
	for (size_t i = 0; i < c->n_listeners && c->n_tls == 0; i++) {
		const struct conf_listener *l = &c->listeners[i];
		if (l->kind == LISTEN_LMTP || l->kind == LISTEN_LOCAL || l->tls_none)
			continue;
		trouble_error(&r->troubles, l->at, "listen %s needs a certificate", listen_kind_name(l->kind));
		trouble_expected(&r->troubles, "expected a block: tls { cert PATH, key PATH }");
	}
}

static void check_sockets(struct reader *r)
{
	for (size_t i = 0; i < r->n_heard; i++) {
		struct str path = r->heard[i].endpoint;
		if (str_take(&path, STR("unix:")) && str_eq(path, r->conf->control))
			trouble_error(&r->troubles, r->heard[i].at, "\"%.*s\" is the control socket", SHOWN(path));
	}
}

/* Mail to root should stay here, if anything does: most hosts are no domain of theirs. */
static struct str default_origin(const struct conf *c)
{
	bool has_domain = c->n_domains > 0 && c->domains[0].names.n > 0 && conf_domain_find(c, c->hostname) == NULL;
	return has_domain ? c->domains[0].names.items[0] : c->hostname;
}

void check_whole(struct reader *r)
{
	struct conf *c = r->conf;
	check_references(r);
	check_listeners(r);
	check_sockets(r);

	if (c->direct.ehlo.n == 0)
		c->direct.ehlo = c->hostname;
	for (size_t i = 0; i < c->n_domains; i++)
		for (size_t j = 0; j < c->domains[i].names.n; j++)
			map_set(c->domain_index, c->domains[i].names.items[j], &c->domains[i]);
	for (size_t i = 0; i < c->n_shapes; i++)
		for (size_t j = 0; j < c->shapes[i].domains.n; j++)
			map_set(c->shape_index, c->shapes[i].domains.items[j], &c->shapes[i]);
	if (c->origin.n == 0)
		c->origin = default_origin(c);
}
