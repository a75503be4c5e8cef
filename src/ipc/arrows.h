/* SPDX-License-Identifier: ISC */
/* ipc/arrows.h -- every arrow, for what walks them all: tests, fuzzing, documents. */
#ifndef IPC_ARROWS_H
#define IPC_ARROWS_H

#include "ipc/codec.h"

enum { IPC_ARROWS = 20 };
extern const struct ipc_schema *const ipc_arrows[IPC_ARROWS];

#endif
