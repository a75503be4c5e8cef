/* SPDX-License-Identifier: ISC */
/*
 * role/role.h -- what every role is to the supervisor: an object on a loop with a control channel.
 *
 * role_start() makes the role; struct role_base (role/base.c) takes the configuration, files,
 * listeners and links from the control channel and calls the role's hooks. A role keeps no global
 * state, so that the simulation can run all of them in one process.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "conf/conf.h"
#include "ipc/supervisor.h"
#include "sys/channel.h"
#include "sys/confine.h"
#include "sys/loop.h"

struct role_base;

struct role_hooks {
	const char *name;
	/* A file of the coming generation has arrived: keep what is needed from it. fd belongs to the hook.
	 * May be NULL if the role asks for none. */
	void (*file)(void *role, struct str path, int fd);
	void (*listener)(void *role, size_t listener, size_t on, int fd);
	/* Take the new configuration into use, or say why not and go on with the old one. conf stays valid
	 * until the next successful apply. */
	fault (*apply)(void *role, const struct conf *conf, struct why *why);
	/* A socketpair to a neighbour; the role makes a channel of it. A link that broke comes again when
	 * the neighbour has been restarted. */
	void (*link)(void *role, enum ipc_arrow arrow, unsigned instance, int fd);
	void (*unix_connected)(void *role, uint64_t request, int fd, const char *error); /* fd -1 on error */
	void (*message)(void *role, unsigned kind, const void *msg, int fd); /* the rest; may be NULL */
	void (*status)(void *role, struct buf *json_out); /* fields of an object: "\"sessions\": 3" */
	void (*drain)(void *role, uint64_t grace_ms);     /* then role_drained */
	void (*free)(void *role);
};

/* The table of roles: name, start. Returns the role's base; used by `sealpost role` and the simulation. */
struct role_base *role_start(struct loop *loop, const char *name, int control_fd);
void              role_free(struct role_base **base);
/* What a role may do once it is confined: the table in role/table.c. NULL: there is no such role. */
const struct confine_rules *role_rules(const char *name);
/* Told when the supervisor is gone: the process then ends. Nobody needs to listen. */
void              role_on_end(struct role_base *base, void (*ended)(void *owner), void *owner);

/* For the roles themselves. */
struct role_base *role_base_new(struct loop *loop, int control_fd, const struct role_hooks *hooks,
                                void *role);
struct channel   *role_control(struct role_base *base);
uint64_t          role_unix_connect(struct role_base *base, struct str path); /* returns the request */
void              role_drained(struct role_base *base);
/* Within apply: it takes long, and gets on. Told once a second; elsewhere nothing is. */
void              role_working(struct role_base *base);
/* Something in a folder of ours cannot be used. True: that is because the folder is another one than when this process was
 * confined; a new process has been asked for, and this one will soon be ended. */
bool              role_folder_refused(struct role_base *base);
/* Logs it, as gravely as it is, and tells the supervisor, who links anew if the neighbour is still there. instance: the
 * neighbour's, if it is a front, else 0. */
void              role_link_broke(struct role_base *base, enum ipc_arrow arrow, unsigned instance, const char *neighbour,
                                  const char *reason);

struct role_base *front_start(struct loop *loop, int control_fd);
struct role_base *spool_start(struct loop *loop, int control_fd);
struct role_base *courier_start(struct loop *loop, int control_fd);
struct role_base *porter_start(struct loop *loop, int control_fd);
struct role_base *keeper_start(struct loop *loop, int control_fd);
struct role_base *resolver_start(struct loop *loop, int control_fd);

#endif
