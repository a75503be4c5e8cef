/* SPDX-License-Identifier: ISC */
/*
 * conf/conf.h -- the typed configuration, as every role sees it.
 *
 * conf_read() is pure: it takes the texts of the files and gives a struct conf or all the errors. The
 * texts are read (and `include DIR` resolved) by conf_load in cmd and supervisor, and passed on to
 * the roles, which read them again with the same code: so no role needs a path.
 *
 * Owns     Everything lives in conf's arena and ends with conf_free.
 * Units    _ms, _s, _bytes in the names.
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/map.h"

struct conf_text { struct str name, text; };           /* name: for error messages */
struct conf_place { const char *file; unsigned line, column; };

struct conf_list { struct str *items; size_t n; };     /* strings */

enum tls_level { TLS_NONE, TLS_OPPORTUNISTIC, TLS_ENCRYPT, TLS_VERIFY, TLS_MTA_STS, TLS_DANE };
const char *tls_level_name(enum tls_level level);      /* the words of the configuration */

struct conf_tls {
	struct conf_list names;          /* SNI names */
	struct conf_list certs, keys;    /* paths, pairwise */
	struct conf_place at;
};

struct conf_send_as { struct str user; struct conf_list addresses; }; /* "*@domain" is a whole domain */

struct conf_users {
	struct str name;
	struct str file;                 /* source file PATH */
	struct conf_send_as *send_as;
	size_t n_send_as;
	struct conf_place at;
};

enum conf_recipients { RECIPIENTS_TABLES, RECIPIENTS_ANY, RECIPIENTS_FILE, RECIPIENTS_VERIFY };
enum conf_deliver { DELIVER_MAILDIR, DELIVER_LMTP, DELIVER_MX, DELIVER_RELAY };

struct conf_retry {
	int64_t *retry_s;                /* the last repeats; n == 0: the queue's */
	size_t n_retry;
	int64_t give_up_s;               /* 0: the queue's */
};

/* How much a destination may be given. */
struct conf_pace {
	uint64_t concurrency;            /* sessions at a time; 0: the queue's */
	uint64_t rate;                   /* at most so many messages ... */
	int64_t rate_s;                  /* ... in so many seconds; 0: any number */
};

struct conf_shape {
	struct conf_list domains;        /* ASCII, lower case: "corp.example", "*.corp.example" */
	struct conf_pace pace;
	struct conf_place at;
};

struct conf_domain {
	struct conf_list names;          /* ASCII, lower case */
	struct conf_list users;          /* names of users tables */
	struct conf_list aliases;        /* paths */
	enum conf_recipients recipients;
	struct str recipients_file;
	struct str catch_all;            /* an address, or empty */
	char tag;                        /* 0: none */
	enum conf_deliver deliver;
	struct str deliver_to;           /* the Maildir template, the LMTP endpoint or the relay's name */
	struct conf_retry retry;
	struct conf_place at;
};

enum listen_kind { LISTEN_MX, LISTEN_SUBMISSIONS, LISTEN_SUBMISSION, LISTEN_LMTP, LISTEN_LOCAL };
const char *listen_kind_name(enum listen_kind kind);

struct conf_network { unsigned char ip[16]; unsigned bits; bool ipv6; }; /* IPv4 in the first four */

struct conf_listener {
	enum listen_kind kind;
	struct conf_list on;             /* endpoints in text, checked */
	struct conf_list auth;           /* names of users tables */
	struct conf_network *trust;
	size_t n_trust;
	struct conf_network *proxies;    /* who speaks the PROXY protocol here */
	size_t n_proxies;
	bool tls_required;               /* mx: refuse MAIL in clear */
	bool tls_none;                   /* loopback only */
	struct conf_place at;
};

struct conf_relay {
	struct str name;
	struct conf_list hosts;          /* "host:port", tried in order */
	bool implicit;                   /* TLS from the first byte */
	enum tls_level level;
	struct str ca;                   /* path, or empty: the system's */
	struct str login_name;           /* empty: no login */
	struct str login_file;           /* path of the file that holds the password */
	struct conf_retry retry;
	struct conf_pace pace;
	struct conf_place at;
};

enum route_action { ROUTE_RELAY, ROUTE_DIRECT, ROUTE_HOLD, ROUTE_REFUSE };

struct conf_route {                      /* empty condition: any */
	struct str to, sender, user;     /* patterns: "*.corp.example", "corp.example", "a@b", "@b" */
	struct conf_network *client;     /* NULL: any */
	enum route_action action;
	struct str argument;             /* the relay's name or the refusal's text */
	struct conf_place at;
};

/* What a domain publishes is set aside until a day, for a reason. */
struct conf_exception {
	struct str domain;               /* ASCII, lower case */
	enum tls_level level;            /* at most TLS_VERIFY */
	int64_t until_s;                 /* the end of the day named, UTC */
	struct str day, reason;
	struct conf_place at;
};

struct conf_direct {
	enum tls_level level;
	bool remember_strict;
	struct conf_exception *exceptions;
	size_t n_exceptions;
	uint16_t port;
	struct conf_list bind;           /* source addresses in text */
	struct str ehlo;                 /* default: hostname if that is a domain of ours, or there is none; else the first domain */
	enum { FAMILY_ANY, FAMILY_IPV4, FAMILY_IPV6 } family;
	bool allow_loopback;
	struct str ca;                   /* path, or empty */
};

struct conf_queue {
	struct conf_retry retry;         /* always filled */
	int64_t delay_warning_s;         /* 0: never */
	bool return_full;
	struct str directory;
	uint64_t destination_concurrency; /* sessions to one destination at a time */
	int64_t history_s;               /* 0: none is kept */
	uint64_t history_bytes;          /* at most, of all its files */
};

struct conf_resolver {
	struct conf_list servers;        /* "127.0.0.1:5353"; n == 0: resolv.conf */
	struct str trust_anchor;         /* path, or empty: the root's */
	struct str ca;                   /* path, or empty: the system's */
	bool allow_private;
};

struct conf_tls_reports {
	bool send;
	struct str contact;              /* an address, or empty: postmaster of the first domain, or the first postmaster */
};

struct conf_limits {
	uint64_t message_bytes, recipients, connections, connections_per_client, connections_per_network;
};

struct conf_file;

struct conf {
	struct arena *arena;
	struct str hostname;
	struct conf_list postmaster;     /* addresses */
	struct str origin;               /* default: hostname */
	struct str run_as, mail_user;
	struct conf_tls *tls;           size_t n_tls;
	struct conf_users *users;       size_t n_users;
	struct conf_domain *domains;    size_t n_domains;
	struct conf_listener *listeners; size_t n_listeners;
	struct conf_relay *relays;      size_t n_relays;
	struct conf_route *routes;      size_t n_routes;
	struct conf_shape *shapes;      size_t n_shapes;
	struct conf_direct direct;
	struct conf_queue queue;
	struct conf_resolver resolver;
	struct conf_tls_reports tls_reports;
	struct str control;              /* path of the control socket */
	struct conf_limits limits;
	bool log_json;
	const struct conf_file *files;   size_t n_files;  /* see conf_files */
	struct map *domain_index;        /* name -> struct conf_domain; may be NULL: conf_domain_find walks then */
	struct map *shape_index;         /* pattern -> struct conf_shape; may be NULL: there are none */
};

/* Every error in one run, each with file, line, column, the line itself, a caret, what was expected
 * and the nearest known word. Also what weakens, as a warning. */
struct conf_report {
	struct buf text;                 /* as shown to a person */
	unsigned errors, warnings;
};
enum { CONF_REPORT_BYTES_MAX = 1 << 20 };
void conf_report_init(struct conf_report *r);
void conf_report_fini(struct conf_report *r);

/* The directories that the `include DIR` lines of the main file name, in order; a relative one is completed by
 * the main file's own directory. Text with errors gives what can be understood: conf_read tells the errors. */
void conf_includes(const struct conf_text *main_text, struct arena *a, struct conf_list *out);

/* texts[0] is the main file. Where it says `include DIR`, the other texts whose name is DIR/NAME stand, in the
 * order given; only the main file may include. Texts: CONF_TEXTS_MAX, each CONF_FILE_BYTES_MAX, together CONF_BYTES_MAX.
 * F_SYNTAX with report->errors > 0; *out is set only on OK. */
enum { CONF_TEXTS_MAX = 1000, CONF_BYTES_MAX = 4 << 20, CONF_FILE_BYTES_MAX = 1000 << 10 };
MUST_USE fault conf_read(const struct conf_text *texts, size_t n, struct conf **out,
                         struct conf_report *report);
/* The same, but *out is what could be understood where there are errors: for who only wants to find a server that runs by what it
 * read before. Never NULL on F_SYNTAX, but where nothing could be taken. */
MUST_USE fault conf_read_some(const struct conf_text *texts, size_t n, struct conf **out, struct conf_report *report);
void conf_free(struct conf **conf);

const struct conf_domain *conf_domain_find(const struct conf *conf, struct str domain); /* ASCII, lower case */
const struct conf_relay  *conf_relay_find(const struct conf *conf, struct str name);
/* NULL, or what the configuration says of this domain (ASCII): its own name before *.DOMAIN, a longer one before a shorter one. */
const struct conf_shape  *conf_shape_find(const struct conf *conf, struct str domain);
/* NULL, or the exception for this domain that has not ended. */
const struct conf_exception *conf_exception_find(const struct conf *conf, struct str domain, int64_t now_s);
const struct conf_users  *conf_users_find(const struct conf *conf, struct str name);

/* The files that a configuration names, each path once, so that the supervisor can open them. */
enum conf_file_use {
	CONF_FILE_CERT = 1, CONF_FILE_KEY = 2, CONF_FILE_USERS = 4, CONF_FILE_ALIASES = 8,
	CONF_FILE_RECIPIENTS = 16, CONF_FILE_CA = 32, CONF_FILE_SECRET = 64, CONF_FILE_ANCHOR = 128,
	CONF_FILE_POLICY_CA = 256,
};
struct conf_file { struct str path; unsigned use; struct conf_place at; };
size_t conf_files(const struct conf *conf, const struct conf_file **out);
/* What a Maildir's template has before its first component with {domain} or {local}, or, without one, before its last: the
 * folder that must be there already. "" for the root. */
struct str conf_maildir_fixed(struct str template_);

#endif
