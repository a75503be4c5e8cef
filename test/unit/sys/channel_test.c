/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "ipc/arrows.h"
#include "ipc/front_spool.h"
#include "ipc/sign.h"
#include "ipc/supervisor.h"
#include "sys/channel.h"
#include "sys/frame.h"
#include "sys/socket.h"

/* One end of a pair; what it got is kept in its encoded form, which compares well. */
struct end {
	struct channel *channel;
	const struct ipc_schema *in;
	struct buf got;
	size_t messages;
	unsigned kinds[64];
	int fds[64];
	const char *closed;
	unsigned pause_after, close_after;
	struct loop *loop;
	size_t goal; /* the run ends with this many messages, or when the channel is closed */
};

struct pair { struct loop *loop; struct end a, b; };

static void on_message(void *owner, unsigned kind, const void *msg, int fd)
{
	struct end *e = owner;
	if (e->messages < COUNT(e->kinds)) {
		e->kinds[e->messages] = kind;
		e->fds[e->messages] = fd;
	} else {
		fd_close(&fd);
	}
	e->messages++;
	assert_int_equal(ipc_put(&e->got, e->in, kind, msg), OK);
	if (e->messages == e->pause_after)
		channel_pause(e->channel, true);
	if (e->messages == e->close_after)
		channel_close(&e->channel);
	if (e->messages == e->goal)
		loop_stop(e->loop);
}

static void on_closed(void *owner, const char *reason)
{
	struct end *e = owner;
	assert_null(e->closed);
	e->closed = reason;
	channel_close(&e->channel);
	loop_stop(e->loop);
}

static const struct channel_handler handler = { on_message, on_closed };

static void begin_end(struct pair *p, struct end *e, int fd, const struct ipc_schema *in, const struct ipc_schema *out)
{
	*e = (struct end){ .in = in, .loop = p->loop };
	buf_init(&e->got, (size_t)256 << 20);
	for (size_t i = 0; i < COUNT(e->fds); i++)
		e->fds[i] = -1;
	e->channel = channel_new(p->loop, fd, in, out, &handler, e);
}

static void begin(struct pair *p, const struct ipc_schema *arrow)
{
	int fds[2];
	*p = (struct pair){ .loop = loop_new() };
	assert_int_equal(socket_pair(fds), OK);
	begin_end(p, &p->a, fds[0], arrow, arrow);
	begin_end(p, &p->b, fds[1], arrow, arrow);
}

static void stop(void *owner)
{
	struct pair *p = owner;
	loop_stop(p->loop);
}

/* A few turns, to see that nothing more happens. */
static void turns(struct pair *p, int64_t ms)
{
	struct timer t;
	timer_init(&t, p->loop, stop, p);
	timer_set(&t, loop_now_ms(p->loop) + ms);
	loop_run(p->loop);
	timer_clear(&t);
}

static void too_late(void *owner)
{
	(void)owner;
	fail_msg("what was sent did not arrive");
}

static void until(struct end *e, size_t messages, bool closed)
{
	struct timer t;
	timer_init(&t, e->loop, too_late, NULL);
	timer_set(&t, loop_now_ms(e->loop) + 60000);
	e->goal = messages;
	while (e->messages < messages || (closed && e->closed == NULL))
		loop_run(e->loop);
	e->goal = 0;
	timer_clear(&t);
}

static void end_pair(struct pair *p)
{
	struct end *ends[] = { &p->a, &p->b };
	for (size_t i = 0; i < COUNT(ends); i++) {
		channel_close(&ends[i]->channel);
		buf_fini(&ends[i]->got);
		for (size_t k = 0; k < COUNT(ends[i]->fds); k++)
			fd_close(&ends[i]->fds[k]);
	}
	loop_free(&p->loop);
}

/* Any message of any arrow: numbers and strings that differ from field to field. */
static void fill(const struct ipc_message *m, void *msg, uint64_t salt)
{
	static const char text[] = "some bytes \0 with NUL, \xff and \r\n in them";
	char *at = msg;
	for (const char *shape = m->shape; *shape != '\0'; shape++, salt = salt * 31 + 7) {
		struct str s = { text, salt % sizeof text };
		uint64_t n = salt * 0x9e3779b97f4a7c15u;
		memcpy(at, *shape == 's' ? (void *)&s : (void *)&n, *shape == 's' ? sizeof s : sizeof n);
		at += *shape == 's' ? sizeof s : sizeof n;
	}
	assert_int_equal(at - (char *)msg, m->size);
}

static void every_message_of_every_arrow_arrives(void **state)
{
	(void)state;
	size_t kinds = 0;
	for (size_t i = 0; i < IPC_ARROWS; i++) {
		struct pair p;
		struct buf sent;
		begin(&p, ipc_arrows[i]);
		buf_init(&sent, 1 << 20);
		for (unsigned k = 0; k < ipc_arrows[i]->n; k++, kinds++) {
			_Alignas(max_align_t) char msg[IPC_MESSAGE_SIZE_MAX];
			fill(&ipc_arrows[i]->messages[k], msg, kinds + 1);
			channel_send(p.a.channel, k, msg);
			assert_int_equal(ipc_put(&sent, ipc_arrows[i], k, msg), OK);
		}
		channel_close(&p.a.channel);
		until(&p.b, ipc_arrows[i]->n, true);
		assert_int_equal(p.b.messages, ipc_arrows[i]->n);
		for (unsigned k = 0; k < ipc_arrows[i]->n; k++)
			assert_int_equal(p.b.kinds[k], k);
		assert_true(str_eq(buf_view(&p.b.got), buf_view(&sent)));
		assert_string_equal(p.b.closed, "the neighbour is gone");
		buf_fini(&sent);
		end_pair(&p);
	}
	assert_true(kinds > 50);
}

static struct front_chunk chunk(uint64_t txn, struct str bytes)
{
	return (struct front_chunk){ txn, bytes };
}

static void a_large_flow_arrives_whole_and_in_order(void **state)
{
	(void)state;
	struct pair p;
	static char bytes[60000];
	enum { MANY = 500 };
	begin(&p, &front_to_spool);
	for (uint64_t i = 0; i < MANY; i++) {
		struct front_chunk m = chunk(i, (struct str){ bytes, sizeof bytes - (size_t)i });
		memset(bytes, (int)('a' + i % 26), sizeof bytes);
		channel_send(p.a.channel, FRONT_CHUNK, &m);
	}
	assert_true(channel_backlog(p.a.channel) > 25000000);
	until(&p.b, MANY, false);
	turns(&p, 1);
	assert_int_equal(p.b.messages, MANY);
	assert_int_equal(channel_backlog(p.a.channel), 0);
	end_pair(&p);
}

static void a_neighbour_that_does_not_read_is_given_up(void **state)
{
	(void)state;
	struct pair p;
	static char bytes[1 << 19];
	begin(&p, &front_to_spool);
	channel_pause(p.b.channel, true);
	struct front_chunk m = chunk(1, (struct str){ bytes, sizeof bytes });
	for (size_t i = 0; i < 127; i++)
		channel_send(p.a.channel, FRONT_CHUNK, &m);
	turns(&p, 10);
	assert_null(p.a.closed);
	for (size_t i = 0; i < 3; i++)
		channel_send(p.a.channel, FRONT_CHUNK, &m);
	assert_null(p.a.closed); /* never from within a send */
	until(&p.a, 0, true);
	assert_string_equal(p.a.closed, "the neighbour does not keep up");
	end_pair(&p);
}

static void a_frame_has_a_largest_size(void **state)
{
	(void)state;
	static char bytes[CHANNEL_FRAME_MAX];
	struct pair p;
	begin(&p, &front_to_spool);
	struct front_chunk m = chunk(1, (struct str){ bytes, CHANNEL_FRAME_MAX - 12 });
	channel_send(p.a.channel, FRONT_CHUNK, &m);
	until(&p.b, 1, false);
	assert_null(p.a.closed);
	m.bytes.n++;
	channel_send(p.a.channel, FRONT_CHUNK, &m);
	until(&p.a, 0, true);
	assert_string_equal(p.a.closed, "a message is too large to send");
	assert_int_equal(p.b.messages, 1);
	end_pair(&p);
}

static void pause_holds_even_what_was_read_already(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, &front_to_spool);
	p.b.pause_after = 2;
	for (uint64_t i = 0; i < 5; i++) {
		struct front_abort m = { i };
		channel_send(p.a.channel, FRONT_ABORT, &m);
	}
	channel_close(&p.a.channel);
	until(&p.b, 2, false);
	turns(&p, 10);
	assert_int_equal(p.b.messages, 2);
	assert_null(p.b.closed);
	channel_pause(p.b.channel, false);
	until(&p.b, 5, true);
	assert_int_equal(p.b.messages, 5);
	assert_non_null(p.b.closed);
	end_pair(&p);
}

static void closing_inside_a_message_is_safe(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, &front_to_spool);
	p.b.close_after = 2;
	for (uint64_t i = 0; i < 5; i++) {
		struct front_abort m = { i };
		channel_send(p.a.channel, FRONT_ABORT, &m);
	}
	until(&p.a, 0, true);
	assert_int_equal(p.b.messages, 2);
	assert_null(p.b.closed); /* who closes knows */
	assert_non_null(p.a.closed);
	end_pair(&p);
}

/* --- descriptors --- */

static int numbered_file(unsigned n)
{
	char name[] = "/tmp/sealpost-test-XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, &n, sizeof n), sizeof n);
	return fd;
}

static unsigned number_of(int fd)
{
	unsigned n = 0;
	assert_int_equal(pread(fd, &n, sizeof n, 0), sizeof n);
	return n;
}

static size_t descriptors_open(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void each_descriptor_comes_with_its_message(void **state)
{
	(void)state;
	size_t before = descriptors_open();
	struct pair p;
	static char bytes[100000];
	begin(&p, &supervisor_to_role);
	for (unsigned i = 0; i < 40; i++) {
		struct to_role_file file = { i, STR("/etc/x") };
		struct to_role_config_text text = { i, STR("x"), { bytes, sizeof bytes } };
		if (i % 3 == 0)
			channel_send(p.a.channel, TO_ROLE_CONFIG_TEXT, &text);
		else
			channel_send_fd(p.a.channel, TO_ROLE_FILE, &file, numbered_file(i));
	}
	channel_close(&p.a.channel);
	turns(&p, 10);
	begin_end(&p, &p.a, -1, &supervisor_to_role, &supervisor_to_role); /* an unpollable descriptor is only broken */
	until(&p.b, 0, true);
	until(&p.a, 0, true);
	assert_true(p.b.messages > 0);
	for (unsigned i = 0; i < p.b.messages; i++) {
		assert_int_equal(p.b.fds[i] >= 0, i % 3 != 0);
		if (i % 3 != 0)
			assert_int_equal(number_of(p.b.fds[i]), i);
		if (p.b.fds[i] >= 0)
			assert_true((fcntl(p.b.fds[i], F_GETFD) & FD_CLOEXEC) != 0);
	}
	end_pair(&p);
	assert_int_equal(descriptors_open(), before);
}

static void all_descriptors_arrive_when_the_sender_lives(void **state)
{
	(void)state;
	size_t before = descriptors_open();
	struct pair p;
	static char bytes[100000];
	begin(&p, &supervisor_to_role);
	for (unsigned i = 0; i < 60; i++) {
		struct to_role_file file = { i, { bytes, i % 7 == 0 ? sizeof bytes : i } };
		channel_send_fd(p.a.channel, TO_ROLE_FILE, &file, i % 5 == 0 ? -1 : numbered_file(i));
	}
	until(&p.b, 60, false);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(p.b.fds[i] >= 0 ? number_of(p.b.fds[i]) : 0, i % 5 == 0 ? 0 : i);
	end_pair(&p);
	assert_int_equal(descriptors_open(), before);
}

/* --- hostile neighbours --- */

static void send_raw(int fd, const char *bytes, size_t n, int passed)
{
	struct iovec part = { (void *)(uintptr_t)bytes, n };
	union { struct cmsghdr align; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	if (passed >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof control.room;
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &passed, sizeof passed);
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), n);
}

/* The kernel may refuse to send although the neighbour lives (no buffers, too many descriptors under way). What is lost
 * then must not look like silence: both ends hear of it. */
static void a_send_that_fails_ends_the_channel_at_both_ends(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, &supervisor_to_role);
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(closed >= 0);
	(void)close(closed);
	channel_send_fd(p.a.channel, TO_ROLE_LINK, &(struct to_role_link){ 0 }, closed);
	until(&p.b, 0, true);
	until(&p.a, 0, true);
	assert_int_equal(p.b.messages, 0);
	end_pair(&p);
}

static void what_is_no_message_closes_this_channel_and_nothing_else(void **state)
{
	(void)state;
	const struct { struct str bytes; const char *reason; } rows[] = {
		{ STR("\x00\x00\x00\x00\x63\x00"), "not a message" },            /* unknown kind */
		{ STR("\x00\x00\x00\x00\xff\xff"), "not a message" },
		{ STR("\x01\x00\x10\x00\x04\x00"), "not a message" },            /* a byte over the largest frame */
		{ STR("\xff\xff\xff\xff\x04\x00"), "not a message" },
		{ STR("\x09\x00\x00\x00\x04\x00" "123456789"), "not a message" }, /* ABORT has 8: one byte too many */
		{ STR("\x07\x00\x00\x00\x04\x00" "1234567"), "not a message" },   /* one too few */
		{ STR("\x0c\x00\x00\x00\x02\x00" "12345678\x01\x00\x00\x00"), "not a message" }, /* string past the end */
		{ STR("\x0c\x00\x00\x00\x02\x00" "12345678\xff\xff\xff\xff"), "not a message" },
		{ STR("\x08\x00\x00\x00\x04\x80" "12345678"), "not a message" },  /* announces a descriptor, sends none */
		{ STR("\x08\x00\x00\x00\x04\x00" "1234567"), "in the middle" },
		{ STR("\x08\x00\x00"), "in the middle" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct pair p;
		struct pair other;
		int fds[2];
		begin(&other, &front_to_spool);
		p = (struct pair){ .loop = other.loop };
		assert_int_equal(socket_pair(fds), OK);
		begin_end(&p, &p.b, fds[1], &front_to_spool, &spool_to_front);
		send_raw(fds[0], "\x08\x00\x00\x00\x04\x00" "12345678", 14, -1);
		send_raw(fds[0], rows[i].bytes.p, rows[i].bytes.n, -1);
		close(fds[0]);
		struct front_abort m = { 5 };
		channel_send(other.a.channel, FRONT_ABORT, &m);
		until(&p.b, 1, true);
		until(&other.b, 1, false);
		assert_int_equal(p.b.messages, 1);
		assert_non_null(p.b.closed);
		assert_non_null(strstr(p.b.closed, rows[i].reason));
		assert_int_equal(other.b.messages, 1);
		assert_null(other.b.closed);
		buf_fini(&p.b.got);
		end_pair(&other);
	}
}

static void frames_may_be_cut_at_every_byte(void **state)
{
	(void)state;
	struct buf wire;
	buf_init(&wire, 1000);
	struct front_abort abort_ = { 7 };
	struct front_chunk c = chunk(9, STR("content"));
	assert_int_equal(frame_put(&wire, &front_to_spool, FRONT_ABORT, &abort_, false), OK);
	assert_int_equal(frame_put(&wire, &front_to_spool, FRONT_CHUNK, &c, false), OK);
	struct str all = buf_view(&wire);
	for (size_t cut = 0; cut <= all.n; cut++) {
		struct frame f;
		size_t size = 0;
		fault want = cut < 14 ? F_BUSY : OK;
		assert_int_equal(frame_take(str_sub(all, 0, cut), &front_to_spool, &f, &size), want);
		struct pair p = { .loop = loop_new() };
		int fds[2];
		assert_int_equal(socket_pair(fds), OK);
		begin_end(&p, &p.b, fds[1], &front_to_spool, &spool_to_front);
		if (cut > 0)
			send_raw(fds[0], all.p, cut, -1);
		turns(&p, 1);
		if (cut < all.n)
			send_raw(fds[0], all.p + cut, all.n - cut, -1);
		until(&p.b, 2, false);
		assert_int_equal(p.b.messages, 2);
		close(fds[0]);
		channel_close(&p.b.channel);
		buf_fini(&p.b.got);
		loop_free(&p.loop);
	}
	buf_fini(&wire);
}

static void descriptors_without_messages_are_closed(void **state)
{
	(void)state;
	size_t before = descriptors_open();
	struct pair p = { .loop = loop_new() };
	int fds[2];
	assert_int_equal(socket_pair(fds), OK);
	begin_end(&p, &p.b, fds[1], &supervisor_to_role, &role_to_supervisor);
	static const char frame[] = "\x08\x00\x00\x00\x04\x00" "12345678"; /* COMMIT, announces none */
	for (int i = 0; i < 70; i++)
		send_raw(fds[0], frame, sizeof frame - 1, fds[0]);
	until(&p.b, 0, true);
	assert_string_equal(p.b.closed, "the neighbour sent descriptors without messages");
	for (size_t i = 0; i < COUNT(p.b.fds); i++)
		assert_int_equal(p.b.fds[i], -1);
	close(fds[0]);
	buf_fini(&p.b.got);
	loop_free(&p.loop);
	assert_int_equal(descriptors_open(), before);
}

/* --- channel_ask --- */

static fault ask(int fd, int timeout_ms, struct sign_done *out)
{
	static struct buf scratch;
	unsigned kind = 99;
	_Alignas(max_align_t) char msg[IPC_MESSAGE_SIZE_MAX];
	struct sign_request m = { STR("key"), STR("SHA256"), 2, STR("message") };
	buf_fini(&scratch);
	buf_init(&scratch, 1 << 16);
	fault f = channel_ask(fd, &to_signer, SIGN_REQUEST, &m, &from_signer, &kind, msg, &scratch, timeout_ms);
	if (f == OK) {
		assert_int_equal(kind, SIGN_DONE);
		memcpy(out, msg, sizeof *out);
		assert_true(str_eq(out->signature, STR("signature")));
	}
	buf_fini(&scratch);
	return f;
}

static void a_question_is_answered_or_times_out(void **state)
{
	(void)state;
	int fds[2];
	struct sign_done done;
	struct buf wire;
	buf_init(&wire, 1000);
	struct sign_done answer = { STR("signature") };
	assert_int_equal(frame_put(&wire, &from_signer, SIGN_DONE, &answer, false), OK);

	assert_int_equal(socket_pair(fds), OK);
	assert_int_equal(ask(fds[0], 30, &done), F_TIMEOUT);
	assert_int_equal(ask(fds[0], 0, &done), F_TIMEOUT);
	close(fds[1]);
	assert_int_equal(ask(fds[0], 1000, &done), F_PEER);
	close(fds[0]);

	/* The child of the test answers as a keeper would, after having been late once. */
	assert_int_equal(socket_pair(fds), OK);
	send_raw(fds[1], "\x05\x00\x00\x00\x00\x00\x01\x00\x00\x00x", 11, -1); /* late, for an earlier question */
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char room[1000];
		fcntl(fds[1], F_SETFL, 0);
		if (read(fds[1], room, sizeof room) <= 0)
			_exit(1);
		send_raw(fds[1], buf_view(&wire).p, 4, -1);
		send_raw(fds[1], buf_view(&wire).p + 4, buf_view(&wire).n - 4, -1);
		_exit(0);
	}
	assert_int_equal(ask(fds[0], 5000, &done), OK);
	close(fds[0]);
	close(fds[1]);
	buf_fini(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_of_every_arrow_arrives),
		cmocka_unit_test(a_large_flow_arrives_whole_and_in_order),
		cmocka_unit_test(a_neighbour_that_does_not_read_is_given_up),
		cmocka_unit_test(a_frame_has_a_largest_size),
		cmocka_unit_test(pause_holds_even_what_was_read_already),
		cmocka_unit_test(closing_inside_a_message_is_safe),
		cmocka_unit_test(each_descriptor_comes_with_its_message),
		cmocka_unit_test(all_descriptors_arrive_when_the_sender_lives),
		cmocka_unit_test(a_send_that_fails_ends_the_channel_at_both_ends),
		cmocka_unit_test(what_is_no_message_closes_this_channel_and_nothing_else),
		cmocka_unit_test(frames_may_be_cut_at_every_byte),
		cmocka_unit_test(descriptors_without_messages_are_closed),
		cmocka_unit_test(a_question_is_answered_or_times_out),
	};
	return cmocka_run_group_tests_name("sys/channel", tests, NULL, NULL);
}
