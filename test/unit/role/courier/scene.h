/* SPDX-License-Identifier: ISC */
/* What tests of the courier begin with: one world, its DNS and configuration, and what a delivery must come to. */
#ifndef UNIT_ROLE_COURIER_SCENE_H
#define UNIT_ROLE_COURIER_SCENE_H

#include "world.h"

#define SIGNED_MX "+MX y.example 10 mx.y.example;+A mx.y.example 127.0.0.1;"
#define PLAIN_MX "MX y.example 10 mx.y.example;A mx.y.example 127.0.0.1;"
#define TLSA "TLSA _%u._tcp.mx.y.example "

extern struct world w;

int open_world(void **state);
int close_world(void **state);

void publish(const char *rows);              /* the zone; %u is the port */
void configure(const char *lines);           /* which must be taken; see world_configure */
void configure_with_ca(const char *lines);   /* where /test/ca.pem is a file with our CA */
void direct(const char *lines);              /* these in the block direct, which has our CA */

void expect_of(const struct job_spec *spec, const char *outcomes); /* delivers it */
void expect_told(const char *words);         /* in the story */
bool was_said(size_t peer, const char *words);
void nothing_has_left(void);                 /* neither the sender nor the text, by any connection */

#endif
