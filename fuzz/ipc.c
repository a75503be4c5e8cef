/* SPDX-License-Identifier: ISC */
/* What a hostile neighbour sends: the first byte chooses the arrow, the rest are frames. What decodes is encoded again
 * and must give the same bytes. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "ipc/arrows.h"
#include "sys/channel.h"
#include "sys/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const struct ipc_schema *arrow = ipc_arrows[data[0] % IPC_ARROWS];
	struct str rest = { (const char *)data + 1, size - 1 };
	for (;;) {
		_Alignas(max_align_t) char msg[IPC_MESSAGE_SIZE_MAX];
		struct frame frame;
		size_t n = 0;
		fault f = frame_take(rest, arrow, &frame, &n);
		check(f == OK || f == F_BUSY || f == F_SYNTAX);
		if (f != OK || ipc_get(arrow, frame.kind, frame.payload, msg) != OK)
			return 0;
		struct buf again;
		buf_init(&again, FRAME_HEAD + CHANNEL_FRAME_MAX);
		check(frame_put(&again, arrow, frame.kind, msg, frame.has_fd) == OK);
		check(str_eq(buf_view(&again), str_sub(rest, 0, n)));
		buf_fini(&again);
		rest = str_from(rest, n);
	}
}
