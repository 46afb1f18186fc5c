/* What a system-call handler gets: the six argument registers as they came. */
#ifndef BAILEY_ABI_SYSARGS_H
#define BAILEY_ABI_SYSARGS_H

#include <stdint.h>

struct task;

struct sys_args {
	uint64_t nr;
	uint64_t a[6];
};

/* Every handler: >= 0 is the result, negative is -errno or an internal restart code. */
typedef long sys_handler(struct task *t, const struct sys_args *args);

#endif
