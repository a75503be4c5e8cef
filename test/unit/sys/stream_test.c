/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <poll.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "sys/socket.h"
#include "sys/stream.h"

struct side {
	struct loop *loop;
	struct stream *stream;
	size_t got, put, goal; /* goal: bytes to write in all */
	unsigned readable, writable;
	bool end, broken, close_at_once;
	struct stream *keep;
};

static char block[64 << 10];

static void push(struct side *s)
{
	while (s->put < s->goal) {
		size_t n = 0, offer = s->goal - s->put < sizeof block ? s->goal - s->put : sizeof block;
		if (stream_write(s->stream, (struct str){ block, offer }, &n) != OK) {
			s->broken = true;
			return;
		}
		s->put += n;
		if (n < offer)
			return;
	}
}

static void pull(struct side *s)
{
	size_t n = 0;
	fault f = stream_read(s->stream, block, sizeof block, &n);
	s->got += n;
	s->end = f == OK && n == 0;
	s->broken = f != OK && f != F_BUSY;
	if (s->end || s->broken)
		loop_stop(s->loop);
}

static void on_stream(void *owner, enum stream_event event)
{
	struct side *s = owner;
	s->readable += event == STREAM_READABLE;
	s->writable += event == STREAM_WRITABLE;
	if (s->close_at_once) {
		stream_close(&s->stream);
		loop_stop(s->loop);
		return;
	}
	if (event == STREAM_WRITABLE)
		push(s);
	else
		pull(s);
	if (event == STREAM_WRITABLE && s->put == s->goal)
		loop_stop(s->loop);
}

static void stop(void *owner)
{
	loop_stop(owner);
}

static void turns(struct loop *loop)
{
	struct timer t;
	timer_init(&t, loop, stop, loop);
	timer_set(&t, loop_now_ms(loop) + 10);
	loop_run(loop);
	timer_clear(&t);
}

static void begin(struct side *a, struct side *b)
{
	int fds[2];
	struct loop *loop = loop_new();
	assert_int_equal(socket_pair(fds), OK);
	*a = (struct side){ .loop = loop };
	*b = (struct side){ .loop = loop };
	a->stream = stream_new(loop, fds[0], on_stream, a);
	b->stream = stream_new(loop, fds[1], on_stream, b);
}

static void finish(struct side *a, struct side *b)
{
	stream_close(&a->stream);
	stream_close(&b->stream);
	stream_close(&b->stream);
	loop_free(&a->loop);
}

static void a_writer_waits_for_a_reader_that_pauses(void **state)
{
	(void)state;
	struct side a, b;
	begin(&a, &b);
	stream_want_read(b.stream, false);
	a.goal = 8 << 20;
	push(&a);
	size_t stuck = a.put;
	assert_true(stuck > 0 && stuck < a.goal);
	turns(a.loop);
	assert_int_equal(a.put, stuck);
	assert_int_equal(b.readable, 0);
	stream_want_read(b.stream, true);
	while (a.put < a.goal)
		loop_run(a.loop);
	stream_shutdown(a.stream);
	while (!b.end)
		loop_run(a.loop);
	assert_int_equal(b.got, a.goal);
	finish(&a, &b);
}

/* In front of the library's: what it says when the kernel has no memory for another watch. */
static unsigned refusals;
static int refusal;

int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd)
{
	int (*original)(uv_loop_t *, uv_poll_t *, int);
	if (refusals > 0) {
		refusals--;
		return refusal;
	}
	*(void **)&original = dlsym(RTLD_NEXT, "uv_poll_init");
	return original(loop, handle, fd);
}

static void what_cannot_be_watched_now_is_watched_later(void **state)
{
	static const int errors[] = { UV_ENOMEM, UV_ENOSPC };
	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		struct side a, b;
		refusals = 3; /* a's, b's, and the first that is tried again */
		refusal = errors[i];
		begin(&a, &b);
		turns(a.loop);
		a.goal = 8 << 20; /* more than fits: it takes many looks at both ends */
		push(&a);
		while (a.put < a.goal)
			loop_run(a.loop);
		stream_shutdown(a.stream);
		while (!b.end)
			loop_run(a.loop);
		assert_int_equal(b.got, a.goal);
		finish(&a, &b);
	}
	struct side a, b;
	refusals = 2;
	begin(&a, &b);
	finish(&a, &b); /* closed before it is tried again */
}

static void writable_comes_once_a_want(void **state)
{
	(void)state;
	struct side a, b;
	begin(&a, &b);
	turns(a.loop);
	assert_int_equal(a.writable, 0);
	stream_want_write(a.stream, true);
	loop_run(a.loop);
	turns(a.loop);
	assert_int_equal(a.writable, 1);
	finish(&a, &b);
}

static void a_reader_that_is_gone_breaks_the_writer(void **state)
{
	(void)state;
	struct side a, b;
	begin(&a, &b);
	stream_close(&b.stream);
	a.goal = 1 << 20;
	push(&a);
	assert_true(a.broken);
	loop_run(a.loop);
	assert_true(a.end || a.broken);
	finish(&a, &b);
}

static void closing_inside_the_notification_is_safe(void **state)
{
	(void)state;
	struct side a, b;
	begin(&a, &b);
	b.close_at_once = true;
	stream_want_write(b.stream, true);
	a.goal = 100;
	push(&a);
	while (b.stream != NULL)
		loop_run(a.loop);
	turns(a.loop);
	assert_int_equal(b.readable + b.writable, 1);
	finish(&a, &b);
}

static void a_detached_descriptor_can_be_used_again(void **state)
{
	(void)state;
	struct side a, b;
	begin(&a, &b);
	int fd = stream_detach(&b.stream);
	assert_null(b.stream);
	assert_true(fd >= 0);
	a.goal = 5;
	push(&a);
	turns(a.loop);
	assert_int_equal(b.readable, 0);
	b.stream = stream_new(b.loop, fd, on_stream, &b);
	stream_shutdown(a.stream);
	while (!b.end)
		loop_run(a.loop);
	assert_int_equal(b.got, 5);
	finish(&a, &b);
}

static void a_file_instead_of_a_socket_is_only_broken(void **state)
{
	(void)state;
	struct side a = { .loop = loop_new() }, b = { .loop = a.loop };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	a.stream = stream_new(a.loop, fd, on_stream, &a);
	a.close_at_once = true;
	loop_run(a.loop);
	assert_null(a.stream);
	a.stream = stream_new(a.loop, -1, on_stream, &a);
	a.close_at_once = false;
	loop_run(a.loop);
	assert_true(a.broken);
	finish(&a, &b);
}

/* --- sockets --- */

struct server { struct loop *loop; struct acceptor *acceptor; int accepted; struct endpoint peer; fault last; unsigned notes; };

static void on_waiting(void *owner)
{
	struct server *s = owner;
	s->notes++;
	int fd = -1;
	s->last = socket_accept(acceptor_fd(s->acceptor), &fd, &s->peer);
	if (s->last == OK)
		s->accepted = fd;
	else if (fd >= 0) {
		assert_int_equal(send(fd, "421", 3, MSG_NOSIGNAL), 3);
		fd_close(&fd);
	}
	loop_stop(s->loop);
}

static struct endpoint any_port(const char *text)
{
	struct endpoint e;
	assert_int_equal(endpoint_parse(str_of(text), &e), OK);
	return e;
}

static void serve(struct server *s, struct loop *loop, struct endpoint *at)
{
	int fd;
	struct why why;
	*s = (struct server){ .loop = loop, .accepted = -1 };
	if (socket_listen(at, 16, &fd, &why) != OK)
		fail_msg("%s", why.text);
	if (at->kind != ENDPOINT_UNIX)
		assert_int_equal(socket_local(fd, at), OK);
	s->acceptor = acceptor_new(loop, fd, on_waiting, s);
}

static void clients_connect_are_accepted_and_talk(void **state)
{
	(void)state;
	char path[64];
	(void)snprintf(path, sizeof path, "unix:/tmp/sealpost-stream-%d", (int)getpid());
	const char *const places[] = { "127.0.0.1:0", "[::1]:0", path };
	for (size_t i = 0; i < COUNT(places); i++) {
		struct side a = { .loop = loop_new(), .goal = 3 << 20 }, b = { .loop = a.loop };
		struct server s;
		struct endpoint at = any_port(places[i]);
		struct why why;
		serve(&s, a.loop, &at);
		int fd = -1, nobody = -1;
		struct endpoint unused;
		assert_int_equal(socket_accept(acceptor_fd(s.acceptor), &nobody, &unused), F_BUSY);
		assert_int_equal(socket_connect(&at, NULL, &fd), OK);
		assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		a.stream = stream_new(a.loop, fd, on_stream, &a);
		while (s.accepted < 0)
			loop_run(a.loop);
		assert_int_equal(s.peer.kind, at.kind);
		assert_true((fcntl(s.accepted, F_GETFD) & FD_CLOEXEC) != 0);
		if (at.kind == ENDPOINT_UNIX) {
			uint32_t uid = 99999, pid = 0;
			struct stat st;
			assert_int_equal(socket_peer_user(s.accepted, &uid, &pid), OK);
			assert_int_equal(uid, geteuid());
			assert_int_equal(pid, getpid());
			assert_int_equal(stat(at.path, &st), 0);
			assert_int_equal(st.st_mode & 0777, 0600);
			assert_int_equal(socket_set_mode(&at, 0666), OK);
			assert_int_equal(stat(at.path, &st), 0);
			assert_int_equal(st.st_mode & 0777, 0666);
		} else {
			assert_true(endpoint_is_loopback(&s.peer));
			assert_int_equal(socket_set_mode(&at, 0666), F_STATE);
		}
		b.stream = stream_new(a.loop, s.accepted, on_stream, &b);
		stream_want_write(a.stream, true); /* the connection is decided, and push() begins */
		while (a.put < a.goal)
			loop_run(a.loop);
		assert_int_equal(socket_connected(fd, &why), OK);
		stream_shutdown(a.stream);
		while (!b.end)
			loop_run(a.loop);
		assert_int_equal(b.got, a.goal);
		acceptor_close(&s.acceptor);
		finish(&a, &b);
		if (at.kind == ENDPOINT_UNIX)
			assert_int_equal(unlink(at.path), 0);
	}
}

static void a_refused_connection_is_told(void **state)
{
	(void)state;
	struct side a = { .loop = loop_new(), .goal = 1 }, b = { .loop = a.loop };
	struct server s;
	struct endpoint at = any_port("127.0.0.1:0");
	struct why why;
	int fd = -1;
	serve(&s, a.loop, &at);
	acceptor_close(&s.acceptor);
	if (socket_connect(&at, NULL, &fd) == OK) {
		a.stream = stream_new(a.loop, fd, on_stream, &a);
		stream_want_read(a.stream, false);
		stream_want_write(a.stream, true);
		a.close_at_once = false;
		loop_run(a.loop);
		assert_int_equal(a.writable, 1);
	}
	finish(&a, &b);
	/* The reason, where the write has not consumed it. */
	struct loop *loop = loop_new();
	assert_int_equal(socket_connect(&at, NULL, &fd), OK);
	fault f;
	do
		f = socket_connected(fd, &why);
	while (f == F_BUSY);
	assert_int_equal(f, F_PEER);
	assert_string_equal(why.text, "Connection refused");
	fd_close(&fd);
	loop_free(&loop);
}

static void a_source_address_is_used(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct server s;
	struct endpoint at = any_port("127.0.0.1:0"), from = any_port("127.0.0.77:0"), foreign = any_port("192.0.2.1:0");
	int fd = -1;
	serve(&s, loop, &at);
	assert_int_equal(socket_connect(&at, &foreign, &fd), F_ABSENT);
	assert_int_equal(fd, -1);
	assert_int_equal(socket_connect(&at, &from, &fd), OK);
	while (s.accepted < 0)
		loop_run(loop);
	assert_memory_equal(s.peer.ip, from.ip, 4);
	fd_close(&s.accepted);
	fd_close(&fd);
	acceptor_close(&s.acceptor);
	loop_free(&loop);
}

static void a_taken_place_is_told_and_a_stale_socket_is_replaced(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct server s;
	struct endpoint at = any_port("127.0.0.1:0");
	struct why why;
	int fd = -1;
	char text[64];
	serve(&s, loop, &at);
	assert_int_equal(socket_listen(&at, 1, &fd, &why), F_EXISTS);
	assert_non_null(strstr(why.text, "cannot listen on 127.0.0.1:"));
	acceptor_close(&s.acceptor);

	(void)snprintf(text, sizeof text, "unix:/tmp/sealpost-stale-%d", (int)getpid());
	at = any_port(text);
	serve(&s, loop, &at);
	int lowest = fd_dup(0), after;
	fd_close(&(int){ lowest });
	assert_int_equal(socket_listen(&at, 1, &fd, &why), F_EXISTS);
	after = fd_dup(0);
	assert_int_equal(after, lowest); /* whoever looks whether somebody serves it hangs up again */
	fd_close(&after);
	acceptor_close(&s.acceptor); /* the file stays, nobody serves it */
	assert_int_equal(socket_listen(&at, 1, &fd, &why), OK);
	fd_close(&fd);
	assert_int_equal(unlink(at.path), 0);
	fd = open(at.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(&fd);
	assert_int_equal(socket_listen(&at, 1, &fd, &why), F_STATE); /* no socket: not ours to remove */
	assert_non_null(strstr(why.text, "a file is there that is no socket"));
	assert_int_equal(unlink(at.path), 0);
	loop_free(&loop);
}

static void test_p7_without_descriptors_a_client_hears_goodbye_and_the_loop_does_not_spin(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	struct server s;
	struct endpoint at = any_port("127.0.0.1:0");
	int first = -1, second = -1, none = -1;
	serve(&s, loop, &at);
	assert_int_equal(socket_connect(&at, NULL, &first), OK);
	while (s.accepted < 0)
		loop_run(loop);
	fd_close(&s.accepted);
	assert_int_equal(socket_connect(&at, NULL, &second), OK);

	struct rlimit before, small;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	small = before;
	int lowest = dup(2);
	close(lowest);
	small.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	unsigned notes = s.notes;
	while (s.notes == notes)
		loop_run(loop);
	fault f = s.last;
	turns(loop);
	unsigned later = s.notes;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(f, F_LIMIT);
	assert_int_equal(later, notes + 1);
	assert_int_equal(none, -1);
	struct pollfd wait = { .fd = second, .events = POLLIN };
	char said[8];
	assert_int_equal(poll(&wait, 1, 10000), 1);
	assert_int_equal(recv(second, said, sizeof said, MSG_WAITALL), 3); /* and then the end */
	assert_memory_equal(said, "421", 3);
	fd_close(&first);
	fd_close(&second);
	acceptor_close(&s.acceptor);
	loop_free(&loop);
}

static void own_addresses_have_loopback_among_them(void **state)
{
	(void)state;
	struct endpoint own[64];
	size_t n = socket_own_addresses(own, COUNT(own)), loopback = 0;
	for (size_t i = 0; i < n; i++)
		loopback += endpoint_is_loopback(&own[i]);
	assert_true(n > 0 && loopback > 0);
	assert_int_equal(socket_own_addresses(own, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writer_waits_for_a_reader_that_pauses),
		cmocka_unit_test(what_cannot_be_watched_now_is_watched_later),
		cmocka_unit_test(writable_comes_once_a_want),
		cmocka_unit_test(a_reader_that_is_gone_breaks_the_writer),
		cmocka_unit_test(closing_inside_the_notification_is_safe),
		cmocka_unit_test(a_detached_descriptor_can_be_used_again),
		cmocka_unit_test(a_file_instead_of_a_socket_is_only_broken),
		cmocka_unit_test(clients_connect_are_accepted_and_talk),
		cmocka_unit_test(a_refused_connection_is_told),
		cmocka_unit_test(a_source_address_is_used),
		cmocka_unit_test(a_taken_place_is_told_and_a_stale_socket_is_replaced),
		cmocka_unit_test(test_p7_without_descriptors_a_client_hears_goodbye_and_the_loop_does_not_spin),
		cmocka_unit_test(own_addresses_have_loopback_among_them),
	};
	return cmocka_run_group_tests_name("sys/stream and sys/socket", tests, NULL, NULL);
}
