/* syslog(2): the kernel's messages, of which Bailey has none to show, and the level at which the console shows them. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/core/wait.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

enum action {
	ACTION_CLOSE, ACTION_OPEN, ACTION_READ, ACTION_READ_ALL, ACTION_READ_CLEAR, ACTION_CLEAR, ACTION_CONSOLE_OFF,
	ACTION_CONSOLE_ON, ACTION_CONSOLE_LEVEL, ACTION_SIZE_UNREAD, ACTION_SIZE_BUFFER,
};

#define LOG_BUFFER_SIZE (1 << 17)

/* For a message, and none will come. */
static long wait_for_message(struct task *t)
{
	int r;

	do {
		sleeper_arm(&t->sleeper);
		r = sleeper_sleep(&t->sleeper, NO_DEADLINE);
	} while (r == 0);
	return -ERESTARTSYS;
}

long sys_syslog(struct task *t, const struct sys_args *args)
{
	int action = (int)args->a[0], len = (int)args->a[2];

	/* kernel.dmesg_restrict is 1. */
	if (!cred_capable(t->cred, L_CAP_SYSLOG))
		return -EPERM;
	switch (action) {
	case ACTION_CLOSE:
	case ACTION_OPEN:
	case ACTION_CLEAR:
	case ACTION_CONSOLE_OFF:
	case ACTION_CONSOLE_ON:
	case ACTION_SIZE_UNREAD:
		return 0;
	case ACTION_READ:
	case ACTION_READ_ALL:
	case ACTION_READ_CLEAR:
		if (!args->a[1] || len < 0)
			return -EINVAL;
		if (len == 0 || action != ACTION_READ)
			return 0;
		return wait_for_message(t);
	case ACTION_CONSOLE_LEVEL:
		return len < 1 || len > 8 ? -EINVAL : 0;
	case ACTION_SIZE_BUFFER:
		return LOG_BUFFER_SIZE;
	default:
		return -EINVAL;
	}
}
