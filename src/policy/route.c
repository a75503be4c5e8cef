/* SPDX-License-Identifier: ISC */
#include "policy/route.h"

#include "conf/value.h"

static const struct conf_retry of_the_queue;

/* Patterns hold domains in A-labels; so must what they are compared with. */
static bool same_domain(struct str pattern, struct str domain)
{
	return str_eq_nocase(pattern, domain);
}

static bool domain_matches(struct str pattern, struct str domain)
{
	if (str_take(&pattern, STR("*."))) {
		if (domain.n <= pattern.n + 1)
			return false;
		size_t from = domain.n - pattern.n;
		return domain.p[from - 1] == '.' && same_domain(pattern, str_from(domain, from));
	}
	return same_domain(pattern, domain);
}

/* A local part may hold any character, so the last @ parts it from the domain. */
static bool address_matches(struct str pattern, const struct address *address, struct str domain)
{
	size_t at;
	if (str_eq(pattern, STR("<>")))
		return address->local.n == 0 && address->domain.n == 0;
	if (!str_rfind(pattern, '@', &at))
		return domain_matches(pattern, domain);
	if (!same_domain(str_from(pattern, at + 1), domain))
		return false;
	if (at == 0)
		return true;

	struct str local = str_sub(pattern, 0, at);
	if (local.p[0] != '"')
		return str_eq(local, address->local);
	/* The canonical text of a local part that needs quotes. */
	size_t i = 0;
	for (local = str_sub(local, 1, local.n - 2); local.n > 0; i++) {
		if (local.p[0] == '\\')
			local = str_from(local, 1);
		if (local.n == 0 || i == address->local.n || local.p[0] != address->local.p[i])
			return false;
		local = str_from(local, 1);
	}
	return i == address->local.n;
}

/* The sender's domain in A-labels; what has none stays as it is and matches nothing but itself. */
static struct str in_ascii(struct str domain, struct arena *a)
{
	struct str ascii;
	return domain_to_ascii(domain, a, &ascii) == OK ? ascii : domain;
}

static bool client_matches(const struct conf_network *network, struct str client)
{
	struct conf_network ip;
	return value_ip(client, &ip) && network_holds(network, &ip);
}

static bool user_matches(struct str pattern, struct str user)
{
	return str_eq_nocase(pattern, user);
}

static bool line_matches(const struct conf_route *line, const struct route_question *q, struct str sender_domain)
{
	if (line->to.n > 0 && !address_matches(line->to, &q->recipient, q->recipient_domain))
		return false;
	if (line->sender.n > 0 && !address_matches(line->sender, &q->sender, sender_domain))
		return false;
	if (line->client != NULL && !client_matches(line->client, q->client))
		return false;
	return line->user.n == 0 || user_matches(line->user, q->user);
}

static struct route to_relay(const struct conf *conf, struct str name)
{
	const struct conf_relay *relay = conf_relay_find(conf, name);
	return (struct route){ .kind = ROUTE_TO_RELAY, .name = name, .retry = relay != NULL ? &relay->retry : &of_the_queue };
}

static struct route to_local(const struct conf *conf, const struct conf_domain *domain, struct str name)
{
	struct route route = { .name = domain->deliver_to };
	switch (domain->deliver) {
	case DELIVER_MAILDIR: route.kind = ROUTE_TO_MAILDIR; break;
	case DELIVER_LMTP: route.kind = ROUTE_TO_LMTP; break;
	case DELIVER_RELAY: route = to_relay(conf, domain->deliver_to); break;
	case DELIVER_MX:
		route.kind = ROUTE_TO_MX;
		route.name = name;
		route.backup = true;
		break;
	}
	/* The domain's own times come before those of the relay behind it. */
	if (route.retry == NULL || domain->retry.n_retry > 0 || domain->retry.give_up_s > 0)
		route.retry = &domain->retry;
	route.local = true;
	return route;
}

static struct route by_line(const struct conf *conf, const struct conf_route *line, struct str domain)
{
	switch (line->action) {
	case ROUTE_RELAY: return to_relay(conf, line->argument);
	case ROUTE_HOLD: return (struct route){ .kind = ROUTE_ON_HOLD, .retry = &of_the_queue };
	case ROUTE_REFUSE: return (struct route){ .kind = ROUTE_REFUSED, .name = line->argument, .retry = &of_the_queue };
	case ROUTE_DIRECT: break;
	}
	return (struct route){ .kind = ROUTE_TO_MX, .name = domain, .retry = &of_the_queue };
}

struct route route_plan(const struct conf *conf, const struct route_question *q)
{
	const struct conf_domain *local = conf_domain_find(conf, q->recipient_domain);
	if (local != NULL)
		return to_local(conf, local, q->recipient_domain);

	struct arena *scratch = NULL;
	struct str sender_domain = q->sender.domain;
	if (!str_is_ascii(sender_domain)) {
		scratch = arena_new(4096);
		sender_domain = in_ascii(sender_domain, scratch);
	}
	struct route route = { .kind = ROUTE_TO_MX, .name = q->recipient_domain, .retry = &of_the_queue };
	for (size_t i = 0; i < conf->n_routes; i++) {
		if (!line_matches(&conf->routes[i], q, sender_domain))
			continue;
		route = by_line(conf, &conf->routes[i], q->recipient_domain);
		break;
	}
	arena_free(&scratch);
	return route;
}

fault route_key(const struct route *route, struct buf *out)
{
	static const char *const kinds[] = {
		[ROUTE_TO_MAILDIR] = "maildir", [ROUTE_TO_LMTP] = "lmtp", [ROUTE_TO_MX] = "mx",
		[ROUTE_TO_RELAY] = "relay", [ROUTE_ON_HOLD] = "hold", [ROUTE_REFUSED] = "refuse",
	};
	/* A backup MX asks for other hosts than one who merely sends there. */
	const char *kind = route->kind == ROUTE_TO_MX && route->backup ? "backup" : kinds[route->kind];
	size_t before = buf_view(out).n;
	TRY(buf_addf(out, "%s:", kind));
	fault f = buf_add(out, route->name);
	if (f != OK)
		buf_cut(out, before);
	return f;
}

bool route_networks_hold(const struct conf_network *networks, size_t n, struct str client)
{
	for (size_t i = 0; i < n; i++)
		if (client_matches(&networks[i], client))
			return true;
	return false;
}
