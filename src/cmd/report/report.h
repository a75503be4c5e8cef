/* SPDX-License-Identifier: ISC */
/*
 * cmd/report/report.h -- the parts of `sealpost report`.
 *
 * Errors   None returned: the result is an exit status. What is said to a person goes to standard output and error.
 * Tests    test/scenario/report_test.py, test/unit/cmd/report_test.py
 */
#ifndef CMD_REPORT_REPORT_H
#define CMD_REPORT_REPORT_H

#include "base/str.h"

/* What would be sent: through the server that runs. domain: "" for all. */
int report_waiting(const char *conf_path, struct str domain, bool json);
/* What others have reported, in a file, a folder, or "-". */
int report_received(const char *path, bool json);

#endif
