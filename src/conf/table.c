/* SPDX-License-Identifier: ISC */
#include "conf/table.h"

#include "base/check.h"
#include "conf/block.h"
#include "conf/reader.h"

#define AT(type, field) .at = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field)
#define KiB(n) ((uint64_t)(n) << 10)
#define GiB(n) ((uint64_t)(n) << 30)
#define DAYS(n) ((uint64_t)(n) * 86400)

static const char *const log_words[] = { "text", "json", NULL };
static const char *const return_words[] = { "headers", "full", NULL };
static const char *const remember_words[] = { "lenient", "strict", NULL };
static const char *const yes_words[] = { "no", "yes", NULL };
static const char *const family_words[] = { "any", "ipv4", "ipv6", NULL };
static const char *const listen_words[] = { "mx", "submissions", "submission", "lmtp", "local", NULL };
static const char *const listen_tls_words[] = { "required", "none", NULL };

#define RETRY_ROWS(struct_)                                                                                      \
	{ .name = "retry", .argument = "DURATION ...", .type = VALUE_DURATION, .flags = MANY, .read = read_retry, \
	  .min = 1, .max = DAYS(7), AT(struct_, retry), .otherwise = "that of the queue", .example = "5m 15m 1h 4h", \
	  .help = "When to try again after a failed attempt, each +-20 %; the last one repeats." },            \
	{ .name = "give-up", .argument = "DURATION", .type = VALUE_DURATION, .min = 1, .max = DAYS(90),        \
	  AT(struct_, retry.give_up_s), .otherwise = "that of the queue", .example = "30d",                      \
	  .help = "How long after its arrival a letter that cannot be delivered goes back to its sender." }

#define PACE_ROWS(struct_)                                                                                      \
	{ .name = "concurrency", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 1000, AT(struct_, pace.concurrency), \
	  .otherwise = "that of the queue", .example = "5",                                                      \
	  .help = "How many sessions may run at a time; it begins with few, grows while that goes well, and shrinks when it does not." }, \
	{ .name = "rate", .argument = "NUMBER/DURATION", .type = VALUE_SPECIAL, .read = read_rate, AT(struct_, pace),  \
	  .otherwise = "any number", .example = "100/1m",                                                        \
	  .help = "At most so many messages begin in any span of that length, 1s to 1d." }

static const struct directive tls_rows[] = {
	{ .name = "cert", .argument = "PATH", .type = VALUE_PATH, .flags = MANY | REPEAT | REQUIRED, AT(conf_tls, certs), .file = CONF_FILE_CERT,
	  .example = "/etc/sealpost/tls/mx1.crt",
	  .help = "PEM file with the certificate, then its chain. Several may be given (ECDSA and RSA), each with its key." },
	{ .name = "key", .argument = "PATH", .type = VALUE_PATH, .flags = MANY | REPEAT | REQUIRED, AT(conf_tls, keys), .file = CONF_FILE_KEY,
	  .example = "/etc/sealpost/tls/mx1.key",
	  .help = "PEM file with the private key of the cert in the same place; only the keeper reads it." },
	{ .name = NULL },
};

static const struct directive users_rows[] = {
	{ .name = "source", .argument = "file PATH", .type = VALUE_SPECIAL, .flags = REQUIRED, .read = read_source,
	  AT(conf_users, file), .example = "file /etc/sealpost/users",
	  .help = "Where the users stand: a file with a line name:credential for each, as `sealpost passwd` prints them." },
	{ .name = "send-as", .argument = "USER ADDRESS ...", .type = VALUE_SPECIAL, .flags = MANY | REPEAT,
	  .read = read_send_as, AT(conf_users, send_as), .otherwise = "their own addresses",
	  .example = "jada@example.org sales@example.org *@news.example.org",
	  .help = "Addresses that this user may send as besides their own; *@DOMAIN is every address of a domain." },
	{ .name = NULL },
};

static const struct directive domain_rows[] = {
	{ .name = "users", .argument = "TABLE ...", .type = VALUE_NAME, .flags = MANY | REPEAT | OF_USERS, AT(conf_domain, users),
	  .otherwise = "none", .example = "staff", .help = "Users tables whose users have a mailbox in this domain." },
	{ .name = "aliases", .argument = "PATH ...", .type = VALUE_PATH, .flags = MANY | REPEAT, AT(conf_domain, aliases), .file = CONF_FILE_ALIASES,
	  .otherwise = "none", .example = "/etc/sealpost/aliases",
	  .help = "Files in the form of aliases(5): more names, and where their mail goes. |command, /file and :include: are errors." },
	{ .name = "recipients", .argument = "any | file PATH | verify", .type = VALUE_SPECIAL, .read = read_recipients,
	  AT(conf_domain, recipients), .otherwise = "those of users, aliases and catch-all", .example = "file /etc/sealpost/partner-recipients",
	  .help = "Who is a recipient where no table says so: anybody, the lines of a file, or whom the next hop accepts." },
	{ .name = "catch-all", .argument = "ADDRESS", .type = VALUE_ADDRESS, AT(conf_domain, catch_all),
	  .otherwise = "unknown recipients are refused", .example = "lost@example.org",
	  .help = "Who gets the mail for names that nobody has." },
	{ .name = "tag", .argument = "CHARACTER | none", .type = VALUE_TAG, .flags = OR_NONE, AT(conf_domain, tag), .preset = "+",
	  .example = "+", .help = "What parts a user's name from a tag of their choice (user+anything); none switches it off." },
	{ .name = "deliver", .argument = "maildir TEMPLATE | lmtp ENDPOINT | mx | relay NAME", .type = VALUE_SPECIAL,
	  .read = read_deliver, AT(conf_domain, deliver), .otherwise = "must be given, but where aliases lead all mail elsewhere",
	  .example = "maildir /var/vmail/{domain}/{local}",
	  .help = "Where accepted mail goes: a Maildir, an LMTP server, the domain's better MX hosts (backup MX), or a relay." },
	RETRY_ROWS(conf_domain),
	{ .name = NULL },
};

static const struct directive listen_rows[] = {
	{ .name = "on", .argument = "ADDRESS:PORT ... | unix:PATH", .type = VALUE_LISTEN, .flags = MANY | REPEAT | REQUIRED,
	  AT(conf_listener, on), .example = "0.0.0.0:465 [::]:465",
	  .help = "Addresses and ports to accept connections on. Port 0 takes a free one; local and lmtp may use a Unix socket." },
	{ .name = "auth", .argument = "TABLE ...", .type = VALUE_NAME, .flags = MANY | REPEAT | OF_USERS, AT(conf_listener, auth),
	  .otherwise = "nobody logs in", .example = "staff", .help = "Users tables whose users may log in here (submissions and submission)." },
	{ .name = "trust", .argument = "NETWORK ...", .type = VALUE_NETWORK, .flags = MANY | REPEAT, .read = read_trust,
	  AT(conf_listener, trust), .otherwise = "none", .example = "192.0.2.0/28",
	  .help = "Networks that may hand in mail without logging in, printers for example; TLS is still required." },
	{ .name = "proxy", .argument = "NETWORK ...", .type = VALUE_NETWORK, .flags = MANY | REPEAT, .read = read_proxy,
	  AT(conf_listener, proxies), .otherwise = "none", .example = "192.0.2.7",
	  .help = "Proxies that begin each connection with a PROXY header (version 2): the client that it names is the client. "
	          "From these addresses it is mandatory, from all others it is not taken." },
	{ .name = "tls", .argument = "required | none", .type = VALUE_WORD, .words = listen_tls_words, .read = read_listen_tls,
	  AT(conf_listener, tls_required), .otherwise = "offered on mx, required on submission and submissions", .example = "required",
	  .help = "required: refuse MAIL in clear text on mx, too. none: clear text, for loopback addresses only." },
	{ .name = NULL },
};

static const struct directive relay_rows[] = {
	{ .name = "host", .argument = "HOST:PORT ...", .type = VALUE_NEXT_HOP, .flags = MANY | REPEAT | REQUIRED,
	  AT(conf_relay, hosts), .example = "smtp.corp.example:465", .help = "The servers of this relay, tried in order." },
	{ .name = "tls", .argument = "[implicit | starttls] [LEVEL]", .type = VALUE_SPECIAL, .read = read_relay_tls,
	  AT(conf_relay, level), .preset = "starttls verify", .example = "implicit verify",
	  .help = "When TLS begins, and how much it must prove: none (loopback only), opportunistic, encrypt, verify." },
	{ .name = "ca", .argument = "PATH", .type = VALUE_PATH, AT(conf_relay, ca), .file = CONF_FILE_CA, .otherwise = "the system's",
	  .example = "/etc/sealpost/corp-ca.pem", .help = "PEM file of the certificate authorities that this relay's certificate must come from." },
	{ .name = "login", .argument = "NAME file:PATH", .type = VALUE_SPECIAL, .read = read_login, AT(conf_relay, login_name),
	  .otherwise = "no login", .example = "mx1 file:/etc/sealpost/corp.secret",
	  .help = "Log in with this name and the password that the file holds; needs TLS." },
	RETRY_ROWS(conf_relay),
	PACE_ROWS(conf_relay),
	{ .name = NULL },
};

static const struct directive shape_rows[] = {
	PACE_ROWS(conf_shape),
	{ .name = NULL },
};

static const struct directive route_rows[] = {
	{ .name = "to", .argument = "PATTERN", .type = VALUE_SPECIAL, .example = "*.corp.example relay corp",
	  .help = "Condition: the recipient. PATTERN is a domain, *.DOMAIN for what is below it, or an address." },
	{ .name = "sender", .argument = "PATTERN", .type = VALUE_SPECIAL, .example = "@news.example.org relay bulk",
	  .help = "Condition: the envelope's sender; <> is the empty one, of bounces." },
	{ .name = "client", .argument = "NETWORK", .type = VALUE_SPECIAL, .example = "192.0.2.0/28 hold",
	  .help = "Condition: the address of the client that handed the letter in." },
	{ .name = "user", .argument = "NAME", .type = VALUE_SPECIAL, .example = "jada direct",
	  .help = "Condition: the user that is logged in." },
	{ .name = "otherwise", .argument = "ACTION", .type = VALUE_SPECIAL, .example = "direct", .help = "No condition: the last line." },
	{ .name = "relay", .argument = "NAME", .type = VALUE_SPECIAL, .example = "corp", .help = "Action: hand it to this relay." },
	{ .name = "direct", .argument = "", .type = VALUE_SPECIAL, .example = "", .help = "Action: to the MX hosts of the recipient's domain." },
	{ .name = "hold", .argument = "", .type = VALUE_SPECIAL, .example = "", .help = "Action: keep it in the queue until `sealpost queue release`." },
	{ .name = "refuse", .argument = "TEXT", .type = VALUE_SPECIAL, .example = "\"No mail to this domain\"",
	  .help = "Action: refuse the recipient with this text." },
	{ .name = NULL },
};

static const struct directive direct_rows[] = {
	{ .name = "tls", .argument = "LEVEL", .type = VALUE_SPECIAL, .read = read_direct_tls, AT(conf_direct, level),
	  .preset = "opportunistic", .example = "verify",
	  .help = "The least protection for mail that goes straight to its MX: opportunistic, encrypt, verify." },
	{ .name = "port", .argument = "PORT", .type = VALUE_NUMBER, .min = 1, .max = 65535, AT(conf_direct, port), .preset = "25",
	  .example = "25", .help = "The port of the MX hosts." },
	{ .name = "bind", .argument = "ADDRESS ...", .type = VALUE_IP, .flags = MANY | REPEAT, AT(conf_direct, bind),
	  .otherwise = "the system chooses", .example = "192.0.2.10 2001:db8::10", .help = "Addresses to send from, one of each family." },
	{ .name = "ehlo", .argument = "HOST", .type = VALUE_HOST, AT(conf_direct, ehlo), .otherwise = "the hostname",
	  .example = "mx1.example.org", .help = "The name given in EHLO; the sending addresses should lead to it and back." },
	{ .name = "family", .argument = "any | ipv4 | ipv6", .type = VALUE_WORD, .words = family_words, AT(conf_direct, family),
	  .preset = "any", .example = "ipv4", .help = "Which addresses of the MX hosts are used." },
	{ .name = "allow-loopback", .argument = "yes | no", .type = VALUE_WORD, .words = yes_words, AT(conf_direct, allow_loopback),
	  .preset = "no", .example = "yes",
	  .help = "Whether remote mail may go to loopback, link-local and own addresses: for tests alone." },
	{ .name = "remember", .argument = "lenient | strict", .type = VALUE_WORD, .words = remember_words,
	  AT(conf_direct, remember_strict), .preset = "lenient", .example = "strict",
	  .help = "What happens where a domain shows less protection than in the last weeks: lenient logs it, strict makes the mail wait." },
	{ .name = "exception", .argument = "DOMAIN LEVEL until DAY reason TEXT", .type = VALUE_SPECIAL, .flags = REPEAT,
	  .read = read_exception, AT(conf_direct, exceptions), .otherwise = "none",
	  .example = "broken.example encrypt until 2027-01-31 reason \"their TLSA records are stale; told them on 12 January\"",
	  .help = "Sets aside what a domain publishes (DANE, MTA-STS), and `tls` above, through that day." },
	{ .name = "ca", .argument = "PATH", .type = VALUE_PATH, AT(conf_direct, ca), .file = CONF_FILE_CA, .otherwise = "the system's",
	  .example = "/etc/sealpost/test-ca.pem", .help = "PEM file of the certificate authorities for MX hosts." },
	{ .name = NULL },
};

static const struct directive queue_rows[] = {
	{ .name = "retry", .argument = "DURATION ...", .type = VALUE_DURATION, .flags = MANY, .read = read_retry, .min = 1,
	  .max = DAYS(7), AT(conf_queue, retry), .preset = "5m 15m 1h 4h", .example = "5m 15m 1h 4h",
	  .help = "When to try again after a failed attempt, each +-20 %; the last one repeats. Relays and domains may have their own." },
	{ .name = "give-up", .argument = "DURATION", .type = VALUE_DURATION, .min = 1, .max = DAYS(90),
	  AT(conf_queue, retry.give_up_s), .preset = "5d", .example = "5d",
	  .help = "How long after its arrival a letter that cannot be delivered goes back to its sender." },
	{ .name = "delay-warning", .argument = "DURATION | none", .type = VALUE_DURATION, .flags = OR_NONE, .min = 1, .max = DAYS(30),
	  AT(conf_queue, delay_warning_s), .preset = "4h", .example = "4h",
	  .help = "After how long the sender is told, once, that a letter still waits." },
	{ .name = "return", .argument = "headers | full", .type = VALUE_WORD, .words = return_words, AT(conf_queue, return_full),
	  .preset = "headers", .example = "full", .help = "What a bounce carries of the letter, unless the sender asked for the other." },
	{ .name = "directory", .argument = "PATH", .type = VALUE_PATH, AT(conf_queue, directory), .preset = "/var/spool/sealpost",
	  .example = "/var/spool/sealpost", .help = "Where the queue lies; on a disk that keeps what it was told to keep. Not changed by a reload." },
	{ .name = "concurrency", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 1000,
	  AT(conf_queue, destination_concurrency), .preset = "20", .example = "20",
	  .help = "How many sessions to one destination may run at a time, where no shape and no relay says otherwise. It begins with few, "
	          "grows while that goes well, and shrinks when it does not." },
	{ .name = "history", .argument = "DURATION | none", .type = VALUE_DURATION, .flags = OR_NONE, .min = DAYS(1), .max = DAYS(3650),
	  AT(conf_queue, history_s), .preset = "7d", .example = "30d",
	  .help = "How long `sealpost why` can tell what became of a letter that has left the queue." },
	{ .name = "history-size", .argument = "SIZE", .type = VALUE_SIZE, .min = KiB(1024), .max = GiB(1024), AT(conf_queue, history_bytes),
	  .preset = "1G", .example = "200M", .help = "How much room the history may take; beyond it the oldest day goes first." },
	{ .name = NULL },
};

static const struct directive resolver_rows[] = {
	{ .name = "server", .argument = "ADDRESS[:PORT] ...", .type = VALUE_SERVER, .flags = MANY | REPEAT, AT(conf_resolver, servers),
	  .otherwise = "those of /etc/resolv.conf", .example = "127.0.0.1:5353", .help = "Name servers to ask." },
	{ .name = "trust-anchor", .argument = "PATH", .type = VALUE_PATH, AT(conf_resolver, trust_anchor), .file = CONF_FILE_ANCHOR,
	  .otherwise = "the root's, of the package dns-root-data", .example = "/etc/sealpost/test-anchor.key",
	  .help = "File with the DNSSEC keys that all trust begins with." },
	{ .name = "ca", .argument = "PATH", .type = VALUE_PATH, AT(conf_resolver, ca), .file = CONF_FILE_POLICY_CA, .otherwise = "the system's",
	  .example = "/etc/sealpost/test-ca.pem", .help = "PEM file of the certificate authorities for policy hosts." },
	{ .name = "allow-private", .argument = "yes | no", .type = VALUE_WORD, .words = yes_words, AT(conf_resolver, allow_private),
	  .preset = "no", .example = "yes",
	  .help = "Whether policy hosts, and servers that take reports, may be at loopback, link-local and private addresses." },
	{ .name = NULL },
};

static const struct directive tls_report_rows[] = {
	{ .name = "send", .argument = "yes | no", .type = VALUE_WORD, .words = yes_words, AT(conf_tls_reports, send),
	  .preset = "yes", .example = "no",
	  .help = "Whether domains that ask for it (TLSRPT) are told once a day how TLS with their servers went." },
	{ .name = "contact", .argument = "ADDRESS", .type = VALUE_ADDRESS, AT(conf_tls_reports, contact),
	  .otherwise = "postmaster of the first domain", .example = "tls-reports@example.org",
	  .help = "Who is named in the reports, for questions." },
	{ .name = NULL },
};

static const struct directive limits_rows[] = {
	{ .name = "message-size", .argument = "SIZE", .type = VALUE_SIZE, .min = KiB(1), .max = GiB(1), AT(conf_limits, message_bytes),
	  .preset = "50M", .example = "50M", .help = "The largest message accepted; announced as SIZE (RFC 1870)." },
	{ .name = "recipients", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 10000, AT(conf_limits, recipients),
	  .preset = "1000", .example = "1000", .help = "Recipients of one message; announced as RCPTMAX (RFC 9422)." },
	{ .name = "connections", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 1000000, AT(conf_limits, connections),
	  .preset = "10000", .example = "10000", .help = "Clients at a time, together." },
	{ .name = "connections-per-client", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 1000000,
	  AT(conf_limits, connections_per_client), .preset = "100", .example = "100",
	  .help = "Clients at a time from one IPv4 address, or one IPv6 /64." },
	{ .name = "connections-per-network", .argument = "NUMBER", .type = VALUE_NUMBER, .min = 1, .max = 1000000,
	  AT(conf_limits, connections_per_network), .preset = "500", .example = "500",
	  .help = "Clients at a time from one IPv4 /24, or one IPv6 /48; never less than connections-per-client." },
	{ .name = NULL },
};

const struct directive conf_directives[] = {
	{ .name = "hostname", .argument = "HOST", .type = VALUE_HOST, .flags = REQUIRED, AT(conf, hostname), .example = "mx1.example.org",
	  .help = "This server's own name, as its MX record and its certificate say it." },
	{ .name = "postmaster", .argument = "ADDRESS ...", .type = VALUE_ADDRESS, .flags = MANY | REPEAT | REQUIRED, AT(conf, postmaster),
	  .example = "admin@example.org",
	  .help = "Who gets mail to postmaster of every domain here, and what can go back to nobody. Local or remote." },
	{ .name = "origin", .argument = "HOST", .type = VALUE_HOST, AT(conf, origin),
	  .otherwise = "the hostname if it is a domain here, else the first domain", .example = "example.org",
	  .help = "Completes bare names in what local programs hand in: root becomes root@HOST, who is a user or an alias there, or is refused." },
	{ .name = "run-as", .argument = "USER", .type = VALUE_NAME, AT(conf, run_as), .preset = "sealpost", .example = "sealpost",
	  .help = "The system user of the roles, who may command the server, too; sealpost-front, sealpost-spool and so on are used "
	          "where they exist. Not changed by a reload." },
	{ .name = "mail-user", .argument = "USER", .type = VALUE_NAME, AT(conf, mail_user), .preset = "vmail", .example = "vmail",
	  .help = "The system user that owns the Maildirs." },
	{ .name = "include", .argument = "DIR", .type = VALUE_PATH, .flags = REPEAT, .otherwise = "none", .example = "/etc/sealpost/conf.d",
	  .help = "Takes the files *.conf of a directory, in the order of their names, as if they stood here. Not in included files." },
	{ .name = "tls", .argument = "[NAME ...]", .type = VALUE_BLOCK, .flags = NAMED_MANY | REPEAT, .rows = tls_rows,
	  .add = add_tls, .close = check_tls, .example = "mx1.example.org mail.example.org",
	  .help = "A certificate and the names (SNI) that it is shown for; the first block is the default." },
	{ .name = "users", .argument = "TABLE", .type = VALUE_BLOCK, .flags = NAMED | REPEAT, .rows = users_rows, .add = add_users,
	  .close = check_users, .example = "staff", .help = "A table of people who may log in." },
	{ .name = "domain", .argument = "NAME ...", .type = VALUE_BLOCK, .flags = NAMED_MANY | REPEAT, .rows = domain_rows,
	  .add = add_domain, .close = check_domain, .example = "example.org example.net",
	  .help = "Domains that this server receives mail for. Several names mean the same mail; the first is the one mailboxes have." },
	{ .name = "listen", .argument = "mx | submissions | submission | lmtp | local", .type = VALUE_BLOCK, .flags = NAMED | REPEAT,
	  .rows = listen_rows, .add = add_listener, .close = check_listener, .words = listen_words, .example = "submissions",
	  .help = "Where mail comes in: from other servers (mx, 25), from people over TLS from the first byte (submissions, 465) or "
	          "STARTTLS (submission, 587), from a server beside this one (lmtp), from programs on this machine (local)." },
	{ .name = "relay", .argument = "NAME", .type = VALUE_BLOCK, .flags = NAMED | REPEAT, .rows = relay_rows, .add = add_relay,
	  .close = check_relay, .example = "corp", .help = "A next hop with a name, for route and deliver." },
	{ .name = "route", .argument = "", .type = VALUE_BLOCK, .flags = REPEAT, .rows = route_rows, .read = read_route, .example = "",
	  .help = "Where mail for other domains goes. The first line that matches wins; all conditions of a line must hold; "
	          "without a match, mail goes direct." },
	{ .name = "shape", .argument = "DOMAIN ...", .type = VALUE_BLOCK, .flags = NAMED_MANY | REPEAT, .rows = shape_rows,
	  .add = add_shape, .close = check_shape, .example = "example.org *.example.net",
	  .help = "How much mail goes straight to the MX hosts of these domains at a time, of each of them; *.DOMAIN is what is below it. "
	          "Of several that match, the one with the longest name counts; what it leaves out is the queue's, not that of another shape. "
	          "A relay has the same directives. sealpost queue list --by domain shows how each domain is served now." },
	{ .name = "direct", .argument = "", .type = VALUE_BLOCK, .rows = direct_rows, AT(conf, direct), .close = check_direct,
	  .example = "", .help = "How mail goes straight to the MX hosts of a domain." },
	{ .name = "queue", .argument = "", .type = VALUE_BLOCK, .rows = queue_rows, AT(conf, queue), .close = check_queue, .example = "",
	  .help = "Where accepted mail waits, and for how long." },
	{ .name = "resolver", .argument = "", .type = VALUE_BLOCK, .rows = resolver_rows, AT(conf, resolver), .example = "",
	  .help = "How names are looked up." },
	{ .name = "tls-reports", .argument = "", .type = VALUE_BLOCK, .rows = tls_report_rows, AT(conf, tls_reports), .example = "",
	  .help = "What other domains are told of TLS with their mail servers (RFC 8460)." },
	{ .name = "control", .argument = "PATH", .type = VALUE_PATH, AT(conf, control), .preset = "/run/sealpost/control.sock",
	  .example = "/run/sealpost/control.sock", .help = "The socket of `sealpost queue`, `status` and `reload`." },
	{ .name = "limits", .argument = "", .type = VALUE_BLOCK, .rows = limits_rows, AT(conf, limits), .close = check_limits, .example = "",
	  .help = "How much is too much." },
	{ .name = "log", .argument = "text | json", .type = VALUE_WORD, .words = log_words, AT(conf, log_json), .preset = "text",
	  .example = "json", .help = "The form of the log on standard error: a line of words, or a JSON object." },
	{ .name = NULL },
};

size_t directive_count(const struct directive *rows)
{
	size_t n = 0;
	while (rows[n].name != NULL)
		n++;
	return n;
}

const struct directive *directive_find(const struct directive *rows, struct str name)
{
	for (const struct directive *d = rows; d->name != NULL; d++)
		if (str_eq(str_of(d->name), name))
			return d;
	return NULL;
}

static fault put_number(struct buf *out, enum value_type type, uint64_t n)
{
	static const struct { uint64_t unit; char letter; } durations[] = {
		{ 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' },
	};
	static const struct { uint64_t unit; char letter; } sizes[] = { { GiB(1), 'G' }, { 1 << 20, 'M' }, { 1 << 10, 'K' } };
	if (type == VALUE_DURATION)
		for (size_t i = 0; i < COUNT(durations); i++)
			if (n % durations[i].unit == 0)
				return buf_addf(out, "%llu%c", (unsigned long long)(n / durations[i].unit), durations[i].letter);
	if (type == VALUE_SIZE)
		for (size_t i = 0; i < COUNT(sizes); i++)
			if (n % sizes[i].unit == 0)
				return buf_addf(out, "%llu%c", (unsigned long long)(n / sizes[i].unit), sizes[i].letter);
	return buf_add_u64(out, n);
}

static fault put_words(struct buf *out, const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		TRY(buf_addf(out, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]));
	return OK;
}

fault directive_expects(struct buf *out, const struct directive *d)
{
	static const char *const nouns[] = {
		[VALUE_NAME] = "a name of letters, digits, \"-\", \"_\" and \".\"",
		[VALUE_HOST] = "a domain name",
		[VALUE_ADDRESS] = "an address",
		[VALUE_PATH] = "a path from the root",
		[VALUE_DURATION] = "a duration",
		[VALUE_SIZE] = "a size",
		[VALUE_NUMBER] = "a number",
		[VALUE_WORD] = "",
		[VALUE_LISTEN] = "IPV4:PORT, [IPV6]:PORT or unix:/PATH",
		[VALUE_IP] = "an IPv4 or IPv6 address",
		[VALUE_NETWORK] = "an IPv4 or IPv6 address, with /BITS for a network",
		[VALUE_SERVER] = "an IP address, with :PORT if it is not 53",
		[VALUE_NEXT_HOP] = "HOST:PORT",
		[VALUE_TAG] = "one character, + or - or another, or none",
		[VALUE_SPECIAL] = "",
		[VALUE_BLOCK] = "",
	};
	if (d->type == VALUE_WORD)
		return put_words(out, d->words);
	if (d->type == VALUE_SPECIAL || d->type == VALUE_BLOCK)
		return buf_addf(out, "%s%s%s", d->name, d->argument[0] != '\0' ? " " : "", d->argument);
	TRY(buf_addf(out, "%s", nouns[d->type]));
	if (d->max > 0) {
		TRY(buf_add(out, STR(" from ")));
		TRY(put_number(out, d->type, d->min));
		TRY(buf_add(out, STR(" to ")));
		TRY(put_number(out, d->type, d->max));
	}
	if (d->type == VALUE_DURATION)
		TRY(buf_add(out, STR(" (a number and s, m, h, d or w)")));
	if (d->type == VALUE_SIZE)
		TRY(buf_add(out, STR(" (a number of bytes, or with K, M or G)")));
	if ((d->flags & OR_NONE) && d->type != VALUE_TAG)
		TRY(buf_add(out, STR(", or none")));
	return OK;
}
