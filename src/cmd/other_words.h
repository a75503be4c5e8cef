/* SPDX-License-Identifier: ISC */
/*
 * cmd/other_words.h -- what other mail servers call what `sealpost queue` does: whoever comes from one is told our word.
 *
 * Errors   NULL: none of them is known to mean anything here.
 * Tests    test/unit/cmd/queue_test.py
 */
#ifndef CMD_OTHER_WORDS_H
#define CMD_OTHER_WORDS_H

/* The words after `sealpost queue`. */
const char *words_for(const char *others_word);

#endif
