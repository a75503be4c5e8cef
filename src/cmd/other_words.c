/* SPDX-License-Identifier: ISC */
#include "cmd/other_words.h"

#include <string.h>

#include "base/check.h"

/* Also words that look like ours and mean the contrary: what is to be deleted must not be released by a slip of the pen. */
static const struct { const char *theirs, *ours; } words[] = {
	{ "ls", "list" },        { "mailq", "list" },      { "print", "list" },     { "stats", "list --by domain" },
	{ "cat", "show ID --body" }, { "view", "show" },   { "info", "show" },      { "message", "show ID --body" },
	{ "flush", "retry" },    { "requeue", "retry" },   { "kick", "retry" },     { "run", "retry" },      { "deliver", "retry" },
	{ "resend", "retry" },   { "schedule", "retry" },  { "freeze", "hold" },    { "suspend", "hold" },   { "pause", "hold" },
	{ "unfreeze", "release" }, { "thaw", "release" },  { "unhold", "release" }, { "resume", "release" }, { "unpause", "release" },
	{ "fail", "bounce" },    { "return", "bounce" },   { "giveup", "bounce" },
	{ "delete", "remove" },  { "del", "remove" },      { "rm", "remove" },      { "purge", "remove" },   { "drop", "remove" },
	{ "cancel", "remove" },  { "discard", "remove" },  { "kill", "remove" },    { "erase", "remove" },   { "clear", "remove" },
	{ "fsck", "verify" },    { "check", "verify" },    { "copy", "backup" },    { "dump", "backup" },
};

const char *words_for(const char *others_word)
{
	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(words[i].theirs, others_word) == 0)
			return words[i].ours;
	return NULL;
}
