/*
 * membarrier(2).  The threads that are to pass a barrier run on the host, so the host's own MEMBARRIER_CMD_GLOBAL, which
 * waits until every thread of the machine has passed one, does for all commands.  It is slower than an expedited
 * barrier (an RCU grace period, milliseconds), and never weaker.
 */
#include <stdatomic.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

#define COMMANDS                                                                                                       \
	(L_MEMBARRIER_CMD_GLOBAL | L_MEMBARRIER_CMD_GLOBAL_EXPEDITED | L_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |      \
	 L_MEMBARRIER_CMD_PRIVATE_EXPEDITED | L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |                              \
	 L_MEMBARRIER_CMD_GET_REGISTRATIONS)

static long barrier(struct task *t, int cmd)
{
	if (cmd == L_MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
		if (!(atomic_load(&t->mm->membarriers) & L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
			return -EPERM;
		if (refcount_read(&t->mm->refs) == 1)
			return 0; /* its only thread is here */
	}
	return host_memory_barrier();
}

long sys_membarrier(struct task *t, const struct sys_args *args)
{
	int cmd = (int)args->a[0];

	if (args->a[1] & UINT32_MAX) /* MEMBARRIER_CMD_FLAG_CPU goes with the RSEQ commands only */
		return -EINVAL;
	switch (cmd) {
	case L_MEMBARRIER_CMD_QUERY:
		return host_memory_barrier_works() ? COMMANDS : L_MEMBARRIER_CMD_GET_REGISTRATIONS;
	case L_MEMBARRIER_CMD_GLOBAL:
	case L_MEMBARRIER_CMD_GLOBAL_EXPEDITED:
	case L_MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		return barrier(t, cmd);
	case L_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		if (!host_memory_barrier_works())
			return -EINVAL;
		atomic_fetch_or(&t->mm->membarriers, (uint32_t)cmd);
		return 0;
	case L_MEMBARRIER_CMD_GET_REGISTRATIONS:
		return atomic_load(&t->mm->membarriers);
	}
	return -EINVAL;
}
