/* rseq(2).  See sentry/task/rseq.h. */
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/rseq.h"
#include "sentry/task/task.h"

long sys_rseq(struct task *t, const struct sys_args *args)
{
	return rseq_call(t, args->a[0], (uint32_t)args->a[1], (int)args->a[2], (uint32_t)args->a[3]);
}
