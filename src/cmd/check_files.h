/* SPDX-License-Identifier: ISC */
/*
 * cmd/check_files.h -- everything outside the text of a configuration that must fit it: certificates, keys, tables,
 * secrets, accounts.
 *
 * Errors   All go into the report, at the word that names the file.
 * Tests    test/house/check_test.py
 */
#ifndef CMD_CHECK_FILES_H
#define CMD_CHECK_FILES_H

#include "conf/conf.h"

struct checked { size_t users, certificates; int64_t days_left; struct str first_to_end; };

void check_files(const struct conf *conf, const struct conf_text *texts, size_t n, int64_t now_s, struct arena *a,
                 struct conf_report *report, struct checked *out);

/* check.c: everything that `sealpost check` would say. */
void check_report(const char *path, struct conf_report *report);

#endif
