/* SPDX-License-Identifier: ISC */
/*
 * conf/block.h -- making the object of a block, and checking it when its lines are read.
 *
 * Tests    test/unit/conf, fuzz/conf.c
 */
#ifndef CONF_BLOCK_H
#define CONF_BLOCK_H

#include "conf/table.h"

void *add_tls(struct reader *r, const struct node *node);
void *add_users(struct reader *r, const struct node *node);
void *add_domain(struct reader *r, const struct node *node);
void *add_listener(struct reader *r, const struct node *node);
void *add_relay(struct reader *r, const struct node *node);
void *add_shape(struct reader *r, const struct node *node);

void check_tls(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_users(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_domain(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_listener(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_relay(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_shape(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_direct(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_queue(struct reader *r, const struct node *node, void *object, const struct seen *seen);
void check_limits(struct reader *r, const struct node *node, void *object, const struct seen *seen);


#endif
