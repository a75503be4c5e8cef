/* SPDX-License-Identifier: ISC */
/* sys/landlock.c -- files, TCP and signals, as far as this kernel can fence them in. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "sys/confine_inside.h"
#include "sys/socket.h"

/* The kernel's interface, which only ever grows: older headers do not name what newer kernels have. */
enum { CREATE_VERSION = 1, RULE_BELOW = 1, RULE_PORT = 2 };
enum { FIRST_WITH_REFER = 2, FIRST_WITH_TRUNCATE = 3, FIRST_WITH_TCP = 4, FIRST_WITH_IOCTL = 5, FIRST_WITH_SCOPES = 6 };

#define FS_EXECUTE      UINT64_C(0x0001)
#define FS_WRITE_FILE   UINT64_C(0x0002)
#define FS_READ_FILE    UINT64_C(0x0004)
#define FS_READ_DIR     UINT64_C(0x0008)
#define FS_REMOVE_FILE  UINT64_C(0x0020)
#define FS_MAKE_DIR     UINT64_C(0x0080)
#define FS_MAKE_REG     UINT64_C(0x0100)
#define FS_ALL_OF_1     UINT64_C(0x1fff)
#define FS_REFER        UINT64_C(0x2000)
#define FS_TRUNCATE     UINT64_C(0x4000)
#define FS_IOCTL        UINT64_C(0x8000)
#define TCP_BIND        UINT64_C(1)
#define TCP_CONNECT     UINT64_C(2)
#define SCOPE_ABSTRACT  UINT64_C(1)
#define SCOPE_SIGNAL    UINT64_C(2)

struct ruleset { uint64_t files, tcp, scopes; };
struct below { uint64_t allowed; int32_t folder; } __attribute__((packed));
struct port { uint64_t allowed, number; };

static int version_of_kernel(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_VERSION);
	return version > 0 ? (int)version : 0;
}

/* Everything that this kernel can refuse is refused, but for what a rule allows. */
static int ruleset_new(int version, unsigned may)
{
	struct ruleset r = { .files = FS_ALL_OF_1 };
	if (version >= FIRST_WITH_REFER)
		r.files |= FS_REFER;
	if (version >= FIRST_WITH_TRUNCATE)
		r.files |= FS_TRUNCATE;
	if (version >= FIRST_WITH_IOCTL)
		r.files |= FS_IOCTL;
	/* Next hops and name servers may be at any port. */
	r.tcp = (may & MAY_CONNECT) != 0 ? TCP_BIND : TCP_BIND | TCP_CONNECT;
	r.scopes = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	size_t known = version >= FIRST_WITH_SCOPES ? sizeof r
	               : version >= FIRST_WITH_TCP ? sizeof r - sizeof r.scopes : sizeof r.files;
	return (int)syscall(SYS_landlock_create_ruleset, &r, known, 0);
}

static bool allow_below(int ruleset, int version, const char *folder)
{
	struct below b = { .allowed = FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
	                              FS_REFER };
	if (version >= FIRST_WITH_TRUNCATE)
		b.allowed |= FS_TRUNCATE;
	do
		b.folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (b.folder < 0 && errno == EINTR);
	if (b.folder < 0) {
		/* It is not there: confine_is_stale() sees it when it comes. But one that is there and cannot be opened now, for want
		 * of descriptors or memory, or because the disk fails, would be shut for good. */
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG;
	}
	long refused = syscall(SYS_landlock_add_rule, ruleset, RULE_BELOW, &b, 0);
	(void)close(b.folder);
	return refused == 0;
}

/* A connection may leave from a port that the kernel picks, and only from such a one. */
static bool allow_any_port_of_ours(int ruleset)
{
	struct port p = { .allowed = TCP_BIND, .number = 0 };
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &p, 0) == 0;
}

fault landlock_enforce(unsigned may, const char *const *folders, size_t n_folders, unsigned *version_out, struct why *why)
{
	int version = version_of_kernel();
	*version_out = 0;
	/* The first version lets nobody link a file from one folder into another, as delivery to a Maildir does. */
	if (version == 0 || (version < FIRST_WITH_REFER && (may & MAY_USE_FOLDERS) != 0))
		return OK;
	int ruleset = ruleset_new(version, may);
	bool good = ruleset >= 0;
	for (size_t i = 0; good && (may & MAY_USE_FOLDERS) != 0 && i < n_folders; i++)
		good = allow_below(ruleset, version, folders[i]);
	if (good && version >= FIRST_WITH_TCP && (may & MAY_CONNECT) != 0)
		good = allow_any_port_of_ours(ruleset);
	good = good && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	int error = errno;
	fd_close(&ruleset);
	if (!good)
		return why_say(why, F_SYS, "Landlock refuses its rules: %s", strerror(error));
	*version_out = (unsigned)version;
	return OK;
}
