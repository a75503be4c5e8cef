/* SPDX-License-Identifier: ISC */
#include "https/watch.h"

#include <stdlib.h>

#include "base/check.h"
#include "sys/stream.h"

struct watch {
	CURLM *multi;
	struct loop *loop;
	struct timer timer;
	struct list sockets;
	void (*stirred)(void *owner);
	void *owner;
};

struct socket {
	struct link in_watch;
	struct watch *watch;
	struct stream *stream;       /* only watched: never read or closed here */
	curl_socket_t fd;
	bool out;                    /* WRITABLE comes once for each want, and libcurl says its want once */
};

CURLM *watch_multi(const struct watch *w)
{
	return w->multi;
}

static void act(struct watch *w, curl_socket_t fd, int events)
{
	int running;
	(void)curl_multi_socket_action(w->multi, fd, events, &running);
}

/* The socket may be gone when libcurl returns. */
static void on_socket(void *owner, enum stream_event event)
{
	struct socket *s = owner;
	struct watch *w = s->watch;
	curl_socket_t fd = s->fd;
	act(w, fd, event == STREAM_READABLE ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
	LIST_EACH(at, &w->sockets) {
		struct socket *still = LIST_MEMBER(at, struct socket, in_watch);
		if (still == s && still->out)
			stream_want_write(still->stream, true);
	}
	w->stirred(w->owner);
}

static void socket_forget(struct socket *s)
{
	(void)stream_detach(&s->stream);
	link_remove(&s->in_watch);
	free(s);
}

/* libcurl's CURLMOPT_SOCKETFUNCTION. */
static int wanted(CURL *easy, curl_socket_t fd, int what, void *owner, void *of_socket)
{
	struct watch *w = owner;
	struct socket *s = of_socket;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			socket_forget(s);
		return 0;
	}
	if (s == NULL) {
		s = NEW(struct socket);
		*s = (struct socket){ .watch = w, .fd = fd };
		list_add_last(&w->sockets, &s->in_watch);
		s->stream = stream_new(w->loop, fd, on_socket, s);
		(void)curl_multi_assign(w->multi, fd, s);
	}
	s->out = (what & CURL_POLL_OUT) != 0;
	stream_want_read(s->stream, (what & CURL_POLL_IN) != 0);
	stream_want_write(s->stream, s->out);
	return 0;
}

/* libcurl's CURLMOPT_TIMERFUNCTION; it may not be called back from here. */
static int time_wanted(CURLM *multi, long ms, void *owner)
{
	struct watch *w = owner;
	(void)multi;
	if (ms < 0)
		timer_clear(&w->timer);
	else
		timer_set(&w->timer, loop_now_ms(w->loop) + ms);
	return 0;
}

static void on_time(void *owner)
{
	struct watch *w = owner;
	act(w, CURL_SOCKET_TIMEOUT, 0);
	w->stirred(w->owner);
}

struct watch *watch_new(struct loop *loop, void (*stirred)(void *owner), void *owner)
{
	CURLM *multi = curl_multi_init();
	if (multi == NULL)
		return NULL;
	struct watch *w = NEW(struct watch);
	*w = (struct watch){ .multi = multi, .loop = loop, .stirred = stirred, .owner = owner };
	list_init(&w->sockets);
	timer_init(&w->timer, loop, on_time, w);
	(void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, wanted);
	(void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, w);
	(void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, time_wanted);
	(void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, w);
	return w;
}

void watch_free(struct watch **w_ref)
{
	struct watch *w = *w_ref;
	*w_ref = NULL;
	if (w == NULL)
		return;
	(void)curl_multi_cleanup(w->multi); /* forgets its sockets, one by one */
	LIST_EACH(at, &w->sockets)
		socket_forget(LIST_MEMBER(at, struct socket, in_watch));
	timer_clear(&w->timer);
	free(w);
}

fault watch_add(struct watch *w, CURL *easy)
{
	return curl_multi_add_handle(w->multi, easy) == CURLM_OK ? OK : F_SYS;
}

void watch_remove(struct watch *w, CURL *easy)
{
	(void)curl_multi_remove_handle(w->multi, easy);
}
