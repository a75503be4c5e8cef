/* SPDX-License-Identifier: ISC */
/* test/sim/net.c -- the network as a whole: whose turn it is, what comes next, what is still open. */
#include "net_inside.h"

#include <string.h>

#include "base/check.h"
#include "sys/agenda.h"

struct net net;

void net_begin(void)
{
	if (net.begun)
		return;
	net.begun = true;
	list_init(&net.socks);
	list_init(&net.streams);
	net.next_port = 20000;
}

/* --- the turn --- */

static bool ready(struct stream *s)
{
	return (s->want_write && sock_writable(s->sock)) || (s->want_read && sock_readable(s->sock));
}

static void tell(struct stream *s)
{
	if (s->want_write && sock_writable(s->sock)) {
		s->want_write = false;
		s->notify(s->owner, STREAM_WRITABLE);
	} else {
		s->notify(s->owner, STREAM_READABLE);
	}
}

bool net_dispatch(void)
{
	size_t n = 0;
	struct stream *chosen = NULL;
	net_begin();
	LIST_EACH(l, &net.streams) {
		struct stream *s = LIST_MEMBER(l, struct stream, in_net);
		if (ready(s) && chance_below(++n) == 0)
			chosen = s;
	}
	if (chosen != NULL)
		tell(chosen);
	return chosen != NULL;
}

static void earlier(int64_t at_ms, int64_t *first_ms)
{
	if (at_ms > world.now_ms && at_ms < *first_ms)
		*first_ms = at_ms;
}

bool net_next_arrival(int64_t *at_ms_out)
{
	int64_t first_ms = INT64_MAX;
	net_begin();
	LIST_EACH(l, &net.streams) {
		struct stream *st = LIST_MEMBER(l, struct stream, in_net);
		struct sock *s = st->sock;
		if (!st->want_read && !st->want_write)
			continue;
		if (s->connecting)
			earlier(s->decided_ms, &first_ms);
		struct segment *g = LIST_FIRST(&s->arriving, struct segment, in_sock);
		if (st->want_read && g != NULL)
			earlier(g->at_ms, &first_ms);
		if (st->want_read && s->end)
			earlier(s->end_at_ms, &first_ms);
	}
	*at_ms_out = first_ms;
	return first_ms != INT64_MAX;
}

/* --- a question that is answered at once --- */

static struct stream *stream_on(const struct sock *s)
{
	LIST_EACH(l, &net.streams) {
		struct stream *st = LIST_MEMBER(l, struct stream, in_net);
		if (st->sock == s)
			return st;
	}
	return NULL;
}

static void drain_into(struct sock *s, struct buf *to)
{
	for (struct segment *g; (g = LIST_FIRST(&s->arriving, struct segment, in_sock)) != NULL;) {
		if (to != NULL)
			check(buf_add(to, buf_view(&g->bytes)) == OK);
		segment_drop(s, g);
	}
}

/* What others have put off waits until the question is answered. */
static void set_aside(struct list *from, struct list *to)
{
	list_init(to);
	LIST_EACH(l, from) {
		link_remove(l);
		list_add_last(to, l);
	}
}

static void put_back(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct link *last = from->head.prev;
		link_remove(last);
		list_add_first(to, last);
	}
}

bool net_ask(int fd, struct str question, struct buf *answer)
{
	struct sock *s = sock_of(fd);
	struct stream *other = s != NULL && s->peer != NULL && !world.dying ? stream_on(s->peer) : NULL;
	if (other == NULL)
		return false;
	struct agenda *agenda = loop_agenda(other->loop);
	struct list waiting;
	struct weather before = world.weather;
	world.weather = (struct weather){ 0 };
	drain_into(s, NULL);
	set_aside(&agenda->laters, &waiting);
	sock_send(s, question)->at_ms = world.now_ms;
	other->notify(other->owner, STREAM_READABLE);
	(void)agenda_run_laters(agenda);
	put_back(&waiting, &agenda->laters);
	world.weather = before;
	drain_into(s, answer);
	return true;
}

/* --- the end --- */

void net_describe(struct buf *out)
{
	LIST_EACH(l, &net.socks) {
		struct sock *s = LIST_MEMBER(l, struct sock, in_net);
		struct buf place;
		buf_init(&place, 200);
		(void)(endpoint_put(&place, &s->local) == OK && buf_add(&place, STR(" <- ")) == OK &&
		       endpoint_put(&place, &s->remote) == OK);
		(void)!buf_addf(out, "  sock %llu refs %u %s%s%s waiting %zu %.*s\n", (unsigned long long)s->id, s->refs,
		                s->listener ? "listener " : "", s->tcp ? "tcp" : "unix", s->end ? " ended" : "", s->waiting,
		                STR_ARG(buf_view(&place)));
		buf_fini(&place);
	}
}

void net_end(void)
{
	LIST_EACH(l, &net.streams) {
		struct stream *s = LIST_MEMBER(l, struct stream, in_net);
		stream_close(&s);
	}
	for (int fd = FAKE_FD; fd < FAKE_FD + FDS_MAX; fd++) {
		int each = fd;
		if (sock_of(fd) != NULL)
			fd_close(&each);
	}
	memset(&net, 0, sizeof net);
}
