/* SPDX-License-Identifier: ISC */
/*
 * orders ORDER FOLDER MARK COUNT -- stores COUNT letters in FOLDER in one of the orders of system calls that mail servers
 * use or have used, and tells MARK "250 NAME" after each, as a server tells its client.
 *
 * A letter NAME is the name in capitals and small letters, repeated to 3,000 bytes: so a reader knows a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LETTER_BYTES = 3000 };

struct order {
	const char *name;
	bool under_final_name, sync_file;
	bool link;                     /* then unlink; else rename */
	bool sync_folder;
};

static const struct order orders[] = {
	{ .name = "write-fsync-rename-fsyncdir", .sync_file = true, .sync_folder = true },
	{ .name = "write-fsync-link-fsyncdir", .sync_file = true, .link = true, .sync_folder = true },
	{ .name = "create-write-fsync", .under_final_name = true, .sync_file = true },
	{ .name = "write-fsync-rename", .sync_file = true },
	{ .name = "write-fsync-link", .sync_file = true, .link = true },
	{ .name = "write-rename-fsyncdir", .sync_folder = true },
	{ .name = "write-rename" },
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "orders: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void fill(char *content, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < LETTER_BYTES; i++)
		content[i] = i % (n + 1) == n ? '\n' : name[i % (n + 1)];
}

static void store(const struct order *o, int folder, int new, const char *name)
{
	char content[LETTER_BYTES], temporary[64];
	fill(content, name);
	snprintf(temporary, sizeof temporary, "tmp/%s", name);
	int fd = o->under_final_name ? openat(new, name, O_WRONLY | O_CREAT | O_EXCL, 0600)
	                             : openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
	must(fd >= 0 && write(fd, content, sizeof content) == (ssize_t)sizeof content, "write");
	if (o->sync_file)
		must(fsync(fd) == 0, "fsync");
	must(close(fd) == 0, "close");
	if (o->link)
		must(linkat(folder, temporary, new, name, 0) == 0, "link");
	else if (!o->under_final_name)
		must(renameat(folder, temporary, new, name) == 0, "rename");
	if (o->sync_folder)
		must(fsync(new) == 0, "fsync of the folder");
	if (o->link)
		must(unlinkat(folder, temporary, 0) == 0, "unlink");
}

int main(int argc, char **argv)
{
	const struct order *o = NULL;
	for (size_t i = 0; argc == 5 && i < sizeof orders / sizeof orders[0]; i++)
		if (strcmp(orders[i].name, argv[1]) == 0)
			o = &orders[i];
	if (o == NULL) {
		fprintf(stderr, "usage: %s ORDER FOLDER MARK COUNT, where ORDER is one of:\n", argv[0]);
		for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
			fprintf(stderr, "    %s\n", orders[i].name);
		return 2;
	}
	int folder = open(argv[2], O_RDONLY | O_DIRECTORY), mark = open(argv[3], O_WRONLY);
	must(folder >= 0 && mark >= 0, "open");
	int new = openat(folder, "new", O_RDONLY | O_DIRECTORY);
	must(new >= 0, "open new/");
	for (long i = 0, count = atol(argv[4]); i < count; i++) {
		char name[32], told[64];
		snprintf(name, sizeof name, "Letter-%06ld", i);
		store(o, folder, new, name);
		int n = snprintf(told, sizeof told, "250 %s", name);
		must(write(mark, told, (size_t)n) == n, "mark");
	}
	return 0;
}
