/* SPDX-License-Identifier: ISC */
#include "sys/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/process.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage room;
};

void fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* after EINTR it is closed all the same on Linux */
	*fd = -1;
}

int fd_dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static socklen_t to_address(const struct endpoint *e, union address *a)
{
	memset(a, 0, sizeof *a);
	switch (e->kind) {
	case ENDPOINT_IPV4:
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(e->port);
		memcpy(&a->v4.sin_addr, e->ip, 4);
		return sizeof a->v4;
	case ENDPOINT_IPV6:
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(e->port);
		a->v6.sin6_scope_id = e->scope;
		memcpy(&a->v6.sin6_addr, e->ip, 16);
		return sizeof a->v6;
	case ENDPOINT_UNIX:
		break;
	}
	a->local.sun_family = AF_UNIX;
	memcpy(a->local.sun_path, e->path, sizeof a->local.sun_path);
	a->local.sun_path[sizeof a->local.sun_path - 1] = '\0';
	return sizeof a->local;
}

static void from_v6(const struct sockaddr_in6 *v6, struct endpoint *e)
{
	e->port = ntohs(v6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) { /* a listener that was handed to us may be of both kinds */
		e->kind = ENDPOINT_IPV4;
		memcpy(e->ip, v6->sin6_addr.s6_addr + 12, 4);
		return;
	}
	e->kind = ENDPOINT_IPV6;
	e->scope = v6->sin6_scope_id;
	memcpy(e->ip, &v6->sin6_addr, 16);
}

static void from_address(const union address *a, socklen_t n, struct endpoint *e)
{
	*e = (struct endpoint){ .kind = ENDPOINT_UNIX };
	if (a->any.sa_family == AF_INET) {
		e->kind = ENDPOINT_IPV4;
		e->port = ntohs(a->v4.sin_port);
		memcpy(e->ip, &a->v4.sin_addr, 4);
	} else if (a->any.sa_family == AF_INET6) {
		from_v6(&a->v6, e);
	} else if (n > offsetof(struct sockaddr_un, sun_path)) {
		memcpy(e->path, a->local.sun_path, n - offsetof(struct sockaddr_un, sun_path));
		e->path[sizeof e->path - 1] = '\0';
	}
}

static fault fault_of_errno(void)
{
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return F_LIMIT;
	case EACCES:
	case EPERM:
		return F_DENIED;
	case EAGAIN:
		return F_BUSY;
	case EADDRINUSE:
		return F_EXISTS;
	case ENOENT:
	case EADDRNOTAVAIL:
		return F_ABSENT;
	case ETIMEDOUT:
		return F_TIMEOUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPIPE:
		return F_PEER;
	default:
		return F_SYS;
	}
}

static fault new_socket(const struct endpoint *e, int *fd_out)
{
	static const int families[] = { [ENDPOINT_IPV4] = AF_INET, [ENDPOINT_IPV6] = AF_INET6, [ENDPOINT_UNIX] = AF_UNIX };
	*fd_out = socket(families[e->kind], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd_out >= 0 ? OK : fault_of_errno();
}

static void set_option(int fd, int level, int option)
{
	int on = 1;
	(void)setsockopt(fd, level, option, &on, sizeof on); /* none of those we set is worth failing for */
}

/* --- listening --- */

/* A socket file that nobody serves any more is left over from a crash, and goes. Else why it stays: F_EXISTS, somebody serves it;
 * F_DENIED, it is another account's, who may serve it; F_STATE, it is no socket. */
static fault clear_away(const struct endpoint *at)
{
	int fd = -1;
	struct stat st;
	if (at->kind != ENDPOINT_UNIX)
		return F_EXISTS;
	fault f = socket_connect(at, NULL, &fd);
	fd_close(&fd);
	if (f == F_DENIED)
		return f;
	if (f != F_PEER)
		return F_EXISTS;
	if (lstat(at->path, &st) != 0)
		return F_EXISTS;
	if (!S_ISSOCK(st.st_mode))
		return F_STATE;
	return unlink(at->path) == 0 ? OK : F_DENIED;
}

static int bind_owner_only(int fd, const struct endpoint *at)
{
	union address a;
	socklen_t n = to_address(at, &a);
	if (at->kind != ENDPOINT_UNIX)
		return bind(fd, &a.any, n);
	mode_t before = umask(0177);
	int result = bind(fd, &a.any, n);
	(void)umask(before);
	return result;
}

static fault bind_and_listen(int fd, const struct endpoint *at, int backlog)
{
	set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (at->kind == ENDPOINT_IPV6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	int result = bind_owner_only(fd, at);
	if (result != 0 && errno == EADDRINUSE) {
		fault f = clear_away(at);
		errno = EADDRINUSE;
		if (f != OK)
			return f;
		result = bind_owner_only(fd, at);
	}
	return result == 0 && listen(fd, backlog) == 0 ? OK : fault_of_errno();
}

/* Why no file can be put there, where a file is in the way. */
static void put_obstacle(const struct endpoint *at, fault f, char *to, size_t room)
{
	struct stat st;
	char name[128];
	bool known = lstat(at->path, &st) == 0;
	if (f == F_STATE)
		(void)snprintf(to, room, "a file is there that is no socket");
	else if (known && user_name(st.st_uid, name, sizeof name) == OK)
		(void)snprintf(to, room, "a socket file of another account (%s) is there", name);
	else
		(void)snprintf(to, room, "a socket file of another account is there");
}

static fault say_cannot_listen(struct why *why, fault f, const struct endpoint *at, int error)
{
	struct buf text;
	char z[160] = "";
	buf_init(&text, sizeof z - 1);
	if (endpoint_put(&text, at) == OK)
		memcpy(z, buf_view(&text).p, buf_view(&text).n);
	buf_fini(&text);
	if (error == EADDRINUSE && f != F_EXISTS) {
		char obstacle[200];
		put_obstacle(at, f, obstacle, sizeof obstacle);
		return why_say(why, f, "cannot listen on %s: %s", z, obstacle);
	}
	return why_say(why, f, "cannot listen on %s: %s%s", z, strerror(error),
	               error == EACCES && at->port != 0 && at->port < 1024
	                       ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
	               : error == ENOENT ? " (make the folder first)" : "");
}

fault socket_listen(const struct endpoint *at, int backlog, int *fd_out, struct why *why)
{
	int fd = -1;
	fault f = new_socket(at, &fd);
	if (f == OK)
		f = bind_and_listen(fd, at, backlog);
	if (f != OK) {
		int error = errno;
		fd_close(&fd);
		return say_cannot_listen(why, f, at, error);
	}
	*fd_out = fd;
	return OK;
}

/* What is given away is a socket, whatever bears its name by now. */
fault socket_give(const struct endpoint *at, uint32_t uid, uint32_t gid)
{
	struct stat st;
	if (at->kind != ENDPOINT_UNIX)
		return F_STATE;
	int fd = open(at->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fault_of_errno();
	fault f = fstat(fd, &st) != 0 ? fault_of_errno() : !S_ISSOCK(st.st_mode) ? F_DENIED : OK;
	if (f == OK && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0)
		f = fault_of_errno();
	(void)close(fd);
	return f;
}

fault socket_set_mode(const struct endpoint *at, unsigned mode)
{
	if (at->kind != ENDPOINT_UNIX)
		return F_STATE;
	return chmod(at->path, (mode_t)mode) == 0 ? OK : fault_of_errno();
}

/* One descriptor is kept back. When no other is left, it makes room to take the waiting client off the listener and
 * say goodbye: otherwise the listener stays ready, and the loop spins. */
static int spare = -1;

/* Of standard error, which lives as long as we: a copy of the listener would keep its port open after it is closed. */
static void keep_spare(void)
{
	if (spare < 0)
		spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

fault socket_accept(int listener, int *fd_out, struct endpoint *peer_out)
{
	union address a;
	socklen_t n = sizeof a;
	keep_spare();
	int fd;
	do
		fd = accept4(listener, &a.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		fault f = fault_of_errno();
		if (f == F_LIMIT) {
			fd_close(&spare);
			n = sizeof a;
			*fd_out = accept4(listener, &a.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
			if (*fd_out >= 0)
				from_address(&a, n, peer_out);
		}
		return f;
	}
	from_address(&a, n, peer_out);
	if (peer_out->kind != ENDPOINT_UNIX)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	*fd_out = fd;
	return OK;
}

/* --- connecting --- */

static fault bind_source(int fd, const struct endpoint *from)
{
	union address a;
	socklen_t n = to_address(from, &a);
	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	return bind(fd, &a.any, n) == 0 ? OK : fault_of_errno();
}

static fault start_connecting(int fd, const struct endpoint *to, const struct endpoint *from)
{
	union address a;
	socklen_t n = to_address(to, &a);
	if (to->kind != ENDPOINT_UNIX)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (from != NULL)
		TRY(bind_source(fd, from));
	if (connect(fd, &a.any, n) == 0 || errno == EINPROGRESS || errno == EINTR)
		return OK;
	return fault_of_errno();
}

fault socket_connect(const struct endpoint *to, const struct endpoint *from, int *fd_out)
{
	int fd = -1;
	TRY(new_socket(to, &fd));
	fault f = start_connecting(fd, to, from);
	if (f != OK) {
		int error = errno;
		fd_close(&fd);
		errno = error;
		return f;
	}
	*fd_out = fd;
	return OK;
}

fault socket_connected(int fd, struct why *why)
{
	int error = 0;
	socklen_t n = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error == 0) {
		union address a;
		n = sizeof a;
		if (getpeername(fd, &a.any, &n) == 0)
			return OK;
		error = errno;
	}
	if (error == ENOTCONN)
		return why_say(why, F_BUSY, "not connected yet");
	errno = error;
	return why_say(why, fault_of_errno(), "%s", strerror(error));
}

/* --- what a socket knows --- */

fault socket_local(int fd, struct endpoint *out)
{
	union address a;
	socklen_t n = sizeof a;
	if (getsockname(fd, &a.any, &n) != 0)
		return fault_of_errno();
	from_address(&a, n, out);
	return OK;
}

fault socket_pair(int out[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out) == 0 ? OK : fault_of_errno();
}

fault socket_peer_user(int fd, uint32_t *uid_out, uint32_t *pid_out)
{
	struct ucred who;
	socklen_t n = sizeof who;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0 || n != sizeof who)
		return fault_of_errno();
	*uid_out = who.uid;
	*pid_out = (uint32_t)who.pid;
	return OK;
}

size_t socket_own_addresses(struct endpoint *out, size_t max)
{
	struct ifaddrs *all = NULL;
	size_t n = 0;
	if (getifaddrs(&all) != 0)
		return 0;
	for (struct ifaddrs *i = all; i != NULL && n < max; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		union address a;
		memset(&a, 0, sizeof a);
		if (i->ifa_addr->sa_family == AF_INET)
			memcpy(&a.v4, i->ifa_addr, sizeof a.v4);
		else if (i->ifa_addr->sa_family == AF_INET6)
			memcpy(&a.v6, i->ifa_addr, sizeof a.v6);
		else
			continue;
		from_address(&a, sizeof a, &out[n++]);
	}
	freeifaddrs(all);
	return n;
}
