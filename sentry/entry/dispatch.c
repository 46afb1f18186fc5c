/* From a system call's number to its handler.  The table is abi/syscalls.def; this is all that dispatch knows. */
#include "abi/errno.h"
#include "sentry/entry/entry.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"
#include "sentry/vfs/fasync.h"

#define TABLE_SIZE 512 /* calls have no higher numbers */

#define ENTRY_FULL(nr, name) [nr] = sys_##name,
#define ENTRY_PARTIAL(nr, name) [nr] = sys_##name,
#define ENTRY_ABSENT(nr, name)
#define SYSCALL(nr, name, status, ...) ENTRY_##status(nr, name)
static sys_handler *const handlers[TABLE_SIZE] = {
#include "abi/syscalls.def"
};

/* Calls that Linux may refuse with something else than ENOSYS, and so do we. */
#define SYSCALL(nr, name, status, ...)
#define SYSCALL_REFUSED(nr, name, err, ...) [nr] = err,
static const uint8_t refusals[TABLE_SIZE] = {
#include "abi/syscalls.def"
};

long dispatch(struct task *t, const struct sys_args *args)
{
	sys_handler *h = args->nr < TABLE_SIZE ? handlers[args->nr] : NULL;

	if (LIKELY(h != NULL)) {
		long r = h(t, args);

		if (UNLIKELY(fasync_due))
			fasync_send_due();
		return r;
	}
	return args->nr < TABLE_SIZE && refusals[args->nr] ? -(long)refusals[args->nr] : -ENOSYS;
}
