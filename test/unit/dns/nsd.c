/* SPDX-License-Identifier: ISC */
#include "dns/nsd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum { TRIES = 1000, TRY_MS = 20, CROWD = 500 };

static const char signed_zone[] =
	"$ORIGIN signed.test.\n$TTL 300\n"
	"@ IN SOA ns host 1 3600 600 86400 300\n@ IN NS ns\nns IN A 127.0.0.1\n"
	"@ IN MX 20 mx2\n@ IN MX 10 mx1\nmx1 IN A 192.0.2.1\nmx1 IN AAAA 2001:db8::1\nmx2 IN A 192.0.2.2\n"
	"alias IN CNAME mx1\noutside IN CNAME mx.plain.test.\ntwice IN CNAME outside\n"
	"round IN CNAME about\nabout IN CNAME round\nbroken IN A 192.0.2.66\nnomail IN MX 0 .\n"
	"odd IN MX 10 a\\.b\n"
	"_25._tcp.mx1 IN TLSA 3 1 1 8cb0fc6c527506a053f4f14c8464bebbd6dede2738d11468dd953d7d6a3021f1\n"
	"txt IN TXT \"v=one \" \"two\"\n"
	"_25._tcp.alias IN CNAME _25._tcp.mx1\n_25._tcp.outside IN TLSA 3 1 1 00\n";

static const char plain_zone[] =
	"$ORIGIN plain.test.\n$TTL 300\n"
	"@ IN SOA ns host 1 3600 600 86400 300\n@ IN NS ns\nns IN A 127.0.0.1\n@ IN MX 5 mx\nmx IN A 192.0.2.9\n"
	"inside IN CNAME mx1.signed.test.\n";

static const char reverse_zone[] =
	"$ORIGIN 2.0.192.in-addr.arpa.\n$TTL 300\n"
	"@ IN SOA ns.plain.test. host.plain.test. 1 3600 600 86400 300\n@ IN NS ns.plain.test.\n"
	"9 IN PTR mx.plain.test.\n";

static void write_file(const struct nsd *nsd, const char *name, const char *fmt, ...)
{
	char path[128];
	va_list args;
	(void)snprintf(path, sizeof path, "%s/%s", nsd->directory, name);
	FILE *f = fopen(path, "w");
	check(f != NULL);
	va_start(args, fmt);
	check(vfprintf(f, fmt, args) >= 0);
	va_end(args);
	check(fclose(f) == 0);
}

static void shell(const struct nsd *nsd, const char *command)
{
	char line[512];
	(void)snprintf(line, sizeof line, "cd %s && %s", nsd->directory, command);
	if (system(line) != 0) {
		(void)fprintf(stderr, "this test needs ldnsutils and nsd: %s\n", line);
		abort();
	}
}

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static unsigned free_port(void)
{
	struct sockaddr_in at = loopback(0);
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0);
	check(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	(void)close(fd);
	return ntohs(at.sin_port);
}

/* More TLSA records than anybody keeps, under one name. */
static const char *crowd_of_records(char *to, size_t room)
{
	size_t n = 0;
	for (unsigned i = 0; i < CROWD; i++)
		n += (size_t)snprintf(to + n, room - n, "_25._tcp.crowd IN TLSA 3 1 1 %064x\n", i);
	check(n < room);
	return to;
}

static void write_zones(struct nsd *nsd, unsigned port)
{
	char path[128], crowd[CROWD * 96];
	write_file(nsd, "plain.zone", "%s", plain_zone);
	write_file(nsd, "reverse.zone", "%s", reverse_zone);
	write_file(nsd, "signed.unsigned", "%s%s", signed_zone, crowd_of_records(crowd, sizeof crowd));
	shell(nsd, "key=$(ldns-keygen -a ECDSAP256SHA256 -k signed.test) && "
	           "ldns-signzone -f signed.zone signed.unsigned $key && cp $key.ds anchor && "
	           "sed -i 's/192\\.0\\.2\\.66/192.0.2.67/' signed.zone");
	write_file(nsd, "nsd.conf",
	           "server:\n  ip-address: 127.0.0.1@%u\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"%s\"\n"
	           "  pidfile: \"%s/pid\"\n  database: \"\"\n  zonelistfile: \"%s/list\"\n  xfrdfile: \"%s/xfrd\"\n"
	           "  xfrdir: \"%s\"\n  logfile: \"%s/log\"\n  server-count: 1\n"
	           "remote-control:\n  control-enable: no\n"
	           "zone:\n  name: signed.test\n  zonefile: signed.zone\n"
	           "zone:\n  name: plain.test\n  zonefile: plain.zone\n"
	           "zone:\n  name: 2.0.192.in-addr.arpa\n  zonefile: reverse.zone\n",
	           port, nsd->directory, nsd->directory, nsd->directory, nsd->directory, nsd->directory,
	           nsd->directory);
	(void)snprintf(path, sizeof path, "%s/anchor", nsd->directory);
	FILE *f = fopen(path, "r");
	check(f != NULL && fgets(nsd->anchor, sizeof nsd->anchor, f) != NULL);
	(void)fclose(f);
}

static void wait_until_it_answers(const struct nsd *nsd, unsigned port)
{
	/* SOA of plain.test, without any flag. */
	static const char question[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\5plain\4test\0\0\6\0\1";
	struct sockaddr_in to = loopback(port);
	char reply[512];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	for (int i = 0; i < TRIES; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		check(waitpid(nsd->pid, NULL, WNOHANG) == 0);
		(void)!write(fd, question, sizeof question - 1);
		if (poll(&p, 1, TRY_MS) == 1 && read(fd, reply, sizeof reply) > 0) {
			(void)close(fd);
			return;
		}
		(void)poll(NULL, 0, TRY_MS); /* refused at once: nobody listens yet */
	}
	(void)fprintf(stderr, "nsd has not answered in all this time\n");
	abort();
}

void nsd_start(struct nsd *nsd)
{
	char conf[128];
	*nsd = (struct nsd){ .directory = "/tmp/sealpost-nsd-XXXXXX" };
	check(mkdtemp(nsd->directory) != NULL);
	unsigned port = free_port();
	write_zones(nsd, port);
	(void)snprintf(nsd->server, sizeof nsd->server, "127.0.0.1:%u", port);
	(void)snprintf(conf, sizeof conf, "%s/nsd.conf", nsd->directory);
	nsd->pid = fork();
	check(nsd->pid >= 0);
	if (nsd->pid == 0) {
		(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		(void)execlp("nsd", "nsd", "-d", "-c", conf, (char *)NULL);
		_exit(127);
	}
	wait_until_it_answers(nsd, port);
}

void nsd_stop(struct nsd *nsd)
{
	check(kill(nsd->pid, SIGTERM) == 0);
	check(waitpid(nsd->pid, NULL, 0) == nsd->pid);
	shell(nsd, "rm -rf -- \"$PWD\"");
}
