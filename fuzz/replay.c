/* SPDX-License-Identifier: ISC */
/* fuzz/replay.c -- runs a fuzz target over every file of its corpus, each also cut short at every length up to 512. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return 1;
	uint8_t *bytes = malloc(1 << 20);
	size_t n = bytes != NULL ? fread(bytes, 1, 1 << 20, f) : 0;
	for (size_t cut = 0; cut < n && cut < 512; cut++) {
		/* A copy of exactly this size, so that AddressSanitizer sees one byte too many. */
		uint8_t *exact = malloc(cut > 0 ? cut : 1);
		if (exact != NULL)
			memcpy(exact, bytes, cut);
		(void)LLVMFuzzerTestOneInput(exact, cut);
		free(exact);
	}
	(void)LLVMFuzzerTestOneInput(bytes, n);
	free(bytes);
	(void)fclose(f);
	return 0;
}

int main(int argc, char **argv)
{
	int files = 0;
	DIR *d = argc > 1 ? opendir(argv[1]) : NULL;
	if (d == NULL) {
		fprintf(stderr, "replay: no corpus folder %s\n", argc > 1 ? argv[1] : "given");
		return 1;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[4096];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
		if (replay_file(path) != 0)
			return 1;
		files++;
	}
	(void)closedir(d);
	printf("%d files replayed\n", files);
	return files > 0 ? 0 : 1;
}
