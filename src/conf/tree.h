/* SPDX-License-Identifier: ISC */
/*
 * conf/tree.h -- the text of a configuration as a tree of directives, each with its place.
 *
 * One directive a line: words between blanks; "quoted words" with \" and \\ as the only escapes; a word that is
 * just { at the end of a line opens a block, a line that is just } closes it; # where a word could begin starts
 * a comment. Within a word, braces, quotes and # are plain characters. Lines end with LF or CR LF.
 *
 * Source   The scfg grammar, but for braces.
 * Limits   CONF_DEPTH_MAX nested blocks. Columns count characters, not bytes, from 1.
 * Errors   Everything wrong goes to the troubles; the tree holds what could be understood.
 * Owns     Everything lies in the arena of the troubles; words without quotes point into the text.
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "conf/trouble.h"

enum { CONF_DEPTH_MAX = 8 };

struct word { struct str text; struct conf_place at; };

struct node {
	struct word *words;      /* the first is the directive's name */
	size_t n_words;
	bool block;              /* had { } */
	struct node *first, *last, *next, *parent;
};

struct node *tree_parse(const struct conf_text *text, struct troubles *t); /* the root: a block without words */

#endif
