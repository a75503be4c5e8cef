/* SPDX-License-Identifier: ISC */
#include "conf/conf.h"

static const char *const levels[] = {
	[TLS_NONE] = "none", [TLS_OPPORTUNISTIC] = "opportunistic", [TLS_ENCRYPT] = "encrypt",
	[TLS_VERIFY] = "verify", [TLS_MTA_STS] = "mta-sts", [TLS_DANE] = "dane",
};

const char *tls_level_name(enum tls_level level)
{
	return levels[level];
}

static const char *const kinds[] = {
	[LISTEN_MX] = "mx", [LISTEN_SUBMISSIONS] = "submissions", [LISTEN_SUBMISSION] = "submission",
	[LISTEN_LMTP] = "lmtp", [LISTEN_LOCAL] = "local",
};

const char *listen_kind_name(enum listen_kind kind)
{
	return kinds[kind];
}

void conf_free(struct conf **conf)
{
	if (*conf == NULL)
		return;
	map_free(&(*conf)->domain_index);
	map_free(&(*conf)->shape_index);
	struct arena *a = (*conf)->arena;
	*conf = NULL;
	arena_free(&a);
}

const struct conf_domain *conf_domain_find(const struct conf *conf, struct str domain)
{
	if (conf->domain_index != NULL)
		return map_get(conf->domain_index, domain);
	for (size_t i = 0; i < conf->n_domains; i++)
		for (size_t j = 0; j < conf->domains[i].names.n; j++)
			if (str_eq(conf->domains[i].names.items[j], domain))
				return &conf->domains[i];
	return NULL;
}

const struct conf_relay *conf_relay_find(const struct conf *conf, struct str name)
{
	for (size_t i = 0; i < conf->n_relays; i++)
		if (str_eq(conf->relays[i].name, name))
			return &conf->relays[i];
	return NULL;
}

const struct conf_shape *conf_shape_find(const struct conf *conf, struct str domain)
{
	enum { DOMAIN_BYTES_MAX = 255 };
	char pattern[1 + DOMAIN_BYTES_MAX];
	if (conf->shape_index == NULL || map_count(conf->shape_index) == 0 || domain.n > DOMAIN_BYTES_MAX)
		return NULL;
	for (size_t i = 0; i < domain.n; i++)
		pattern[1 + i] = (char)ascii_lower((unsigned char)domain.p[i]);
	const struct conf_shape *found = map_get(conf->shape_index, (struct str){ pattern + 1, domain.n });
	for (size_t i = 1; i < domain.n && found == NULL; i++)
		if (pattern[1 + i] == '.') {
			pattern[i] = '*';
			found = map_get(conf->shape_index, (struct str){ pattern + i, domain.n - i + 1 });
		}
	return found;
}

const struct conf_exception *conf_exception_find(const struct conf *conf, struct str domain, int64_t now_s)
{
	for (size_t i = 0; i < conf->direct.n_exceptions; i++)
		if (str_eq_nocase(conf->direct.exceptions[i].domain, domain) && now_s < conf->direct.exceptions[i].until_s)
			return &conf->direct.exceptions[i];
	return NULL;
}

const struct conf_users *conf_users_find(const struct conf *conf, struct str name)
{
	for (size_t i = 0; i < conf->n_users; i++)
		if (str_eq(conf->users[i].name, name))
			return &conf->users[i];
	return NULL;
}

size_t conf_files(const struct conf *conf, const struct conf_file **out)
{
	*out = conf->files;
	return conf->n_files;
}

struct str conf_maildir_fixed(struct str template_)
{
	size_t end = template_.n, slash;
	while (end > 1 && template_.p[end - 1] == '/')
		end--;
	size_t word = end, at;
	if (str_find_str(template_, STR("{domain}"), &at) && at < word)
		word = at;
	if (str_find_str(template_, STR("{local}"), &at) && at < word)
		word = at;
	return str_sub(template_, 0, str_rfind(str_sub(template_, 0, word), '/', &slash) ? slash : 0);
}
