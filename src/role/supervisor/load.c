/* SPDX-License-Identifier: ISC */
#include "role/supervisor/load.h"

#include <stdlib.h>
#include <string.h>

#include "sys/channel.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { ARENA_BYTES_MAX = 64 * CONF_BYTES_MAX };
_Static_assert((int)CONF_FILE_BYTES_MAX + 8192 <= (int)CHANNEL_FRAME_MAX, "a text goes to the roles in one frame, with its name");

fault load_file(const char *path, size_t bytes_max, struct arena *a, struct str *out, struct why *why)
{
	int fd;
	TRY(file_open(FILE_CWD, path, FILE_READ, 0, &fd, why));
	struct buf text;
	buf_init(&text, bytes_max);
	fault f = file_read_all(fd, &text);
	fd_close(&fd);
	if (f == F_LIMIT)
		f = why_say(why, F_LIMIT, "%s: larger than %zu bytes", path, bytes_max);
	else if (f != OK)
		f = why_say(why, f, "%s: cannot be read: is it a file?", path);
	if (f == OK) {
		struct str copy = arena_try_copy(a, buf_view(&text));
		if (copy.p == NULL && buf_view(&text).n > 0)
			f = why_say(why, F_LIMIT, "%s: too much together with the other files", path);
		else
			*out = copy;
	}
	buf_wipe(&text);
	return f;
}

static int by_name(const void *a, const void *b)
{
	return str_order(*(const struct str *)a, *(const struct str *)b);
}

static fault list_directory(struct str path, struct arena *a, struct conf_list *out, struct why *why)
{
	int fd;
	TRY(directory_open(FILE_CWD, path.p, &fd, why));
	struct directory_reader *reader = directory_read(fd);
	struct str names[CONF_TEXTS_MAX], name;
	size_t n = 0;
	fault f = OK;
	while (f == OK && directory_next(reader, &name)) {
		if (!str_ends_nocase(name, STR(".conf")) || name.p[0] == '.')
			continue;
		if (n == CONF_TEXTS_MAX)
			f = why_say(why, F_LIMIT, "%.*s: more than %d files", STR_ARG(path), CONF_TEXTS_MAX);
		else
			names[n++] = arena_copy(a, name);
	}
	directory_close(&reader);
	fd_close(&fd);
	if (f != OK || n == 0)
		return f;
	qsort(names, n, sizeof names[0], by_name);
	out->items = ARENA_ARRAY(a, struct str, n);
	memcpy(out->items, names, n * sizeof names[0]);
	out->n = n;
	return OK;
}

static fault add_text(struct conf_texts *texts, struct str name, size_t *room, struct why *why)
{
	struct str text;
	if (texts->n == CONF_TEXTS_MAX)
		return why_say(why, F_LIMIT, "%.*s: more than %d files", STR_ARG(name), CONF_TEXTS_MAX);
	TRY(load_file(name.p, *room < CONF_FILE_BYTES_MAX ? *room : CONF_FILE_BYTES_MAX, texts->arena, &text, why));
	*room -= text.n;
	texts->items[texts->n++] = (struct conf_text){ name, text };
	return OK;
}

fault conf_load_main(const char *path, struct arena *a, struct str *out, struct why *why)
{
	fault f = load_file(path, CONF_FILE_BYTES_MAX, a, out, why);
	return f == F_ABSENT ? why_say(why, f, "%s: there is no such file (-c FILE names the configuration)", path) : f;
}

static fault load_all(const char *path, struct conf_texts *texts, struct why *why)
{
	struct arena *a = texts->arena;
	struct conf_text main = { .name = arena_copy(a, str_of(path)) };
	TRY(conf_load_main(path, a, &main.text, why));
	texts->items[texts->n++] = main;
	size_t room = CONF_BYTES_MAX - main.text.n;

	struct conf_list dirs;
	conf_includes(&texts->items[0], a, &dirs);
	for (size_t i = 0; i < dirs.n; i++) {
		struct conf_list names = { NULL, 0 };
		struct why reason = { "" };
		fault f = list_directory(dirs.items[i], a, &names, &reason);
		if (f != OK)
			return why_say(why, f, "%s: include %.*s: %s", path, STR_ARG(dirs.items[i]), reason.text);
		for (size_t j = 0; j < names.n; j++) {
			char *name = arena_alloc(a, dirs.items[i].n + names.items[j].n + 2);
			memcpy(name, dirs.items[i].p, dirs.items[i].n);
			name[dirs.items[i].n] = '/';
			memcpy(name + dirs.items[i].n + 1, names.items[j].p, names.items[j].n);
			TRY(add_text(texts, (struct str){ name, dirs.items[i].n + 1 + names.items[j].n }, &room, why));
		}
	}
	return OK;
}

fault conf_load(const char *path, struct conf_texts **out, struct why *why)
{
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	struct conf_texts *texts = ARENA_NEW(a, struct conf_texts);
	texts->arena = a;
	texts->items = ARENA_ARRAY(a, struct conf_text, CONF_TEXTS_MAX);
	fault f = load_all(path, texts, why);
	if (f != OK)
		conf_texts_free(&texts);
	*out = texts;
	return f;
}

struct conf_texts *conf_texts_copy(const struct conf_texts *texts)
{
	struct arena *a = arena_new(ARENA_BYTES_MAX);
	struct conf_texts *copy = ARENA_NEW(a, struct conf_texts);
	*copy = (struct conf_texts){ .items = ARENA_ARRAY(a, struct conf_text, CONF_TEXTS_MAX), .n = texts->n, .arena = a };
	for (size_t i = 0; i < texts->n; i++)
		copy->items[i] = (struct conf_text){ arena_copy(a, texts->items[i].name), arena_copy(a, texts->items[i].text) };
	return copy;
}

void conf_texts_free(struct conf_texts **texts)
{
	if (*texts == NULL)
		return;
	struct arena *a = (*texts)->arena;
	*texts = NULL;
	arena_free(&a);
}
