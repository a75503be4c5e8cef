/* SPDX-License-Identifier: ISC */
#include "cmd/explain_address.h"

#include <stdio.h>
#include <string.h>

#include "cmd/arguments.h"
#include "cmd/command.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/story_print.h"

struct explain { struct common_options common; json_t *story; };

static void on_row(void *owner, struct str json)
{
	struct explain *e = owner;
	if (e->common.json)
		say_json(json);
	else
		json_array_append_new(e->story, json_loadb(json.p, json.n, 0, NULL));
}

int explain_address(int argc, char **argv)
{
	struct explain e = { .common = { .conf_path = DEFAULT_CONF_PATH } };
	const char *to = NULL, *from = "";
	for (int i = 1; i < argc;) {
		int n = common_option(argc, argv, i, &e.common);
		if (n == 0)
			n = arguments_value(argc, argv, i, "--from", true, &from, &e.common.wrong);
		if (n == 0 && argv[i][0] != '-' && to == NULL) {
			to = argv[i];
			n = 1;
		}
		if (n <= 0)
			return command_usage(&command_explain, common_wrong(&e.common, argv[i], "with an address expected --from ADDRESS, --json or -c FILE"));
		i += n;
	}
	struct control_request request = { .verb = CONTROL_EXPLAIN, .to = str_of(to), .from = str_of(strcmp(from, "<>") == 0 ? "" : from) };
	struct control_answers answers = { .row = on_row, .owner = &e };
	e.story = json_array();
	int status = control_command(e.common.conf_path, &request, &answers);
	story_print(e.story, "");
	json_decref(e.story);
	return status;
}
