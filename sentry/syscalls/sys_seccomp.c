/* seccomp(2): decoding; what modes and filters mean is sentry/seccomp. */
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/syscalls/seccomp_args.h"
#include "sentry/syscalls/syscalls.h"

#define FLAGS_KNOWN                                                                                                    \
	(L_SECCOMP_FILTER_FLAG_TSYNC | L_SECCOMP_FILTER_FLAG_LOG | L_SECCOMP_FILTER_FLAG_SPEC_ALLOW |                  \
	 L_SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

long seccomp_filter_arg(struct task *t, uint64_t flags, uint64_t gva)
{
	struct l_sock_fprog prog;
	struct l_sock_filter *insns;
	long r;

	if (flags & ~(uint64_t)FLAGS_KNOWN)
		return -EINVAL; /* a listener's flags among them */
	r = copy_in(t->ctx, &prog, gva, sizeof(prog));
	if (r < 0)
		return r;
	if (prog.len == 0 || prog.len > L_BPF_MAXINSNS)
		return -EINVAL;
	if (!t->cred->no_new_privs && !cred_own_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EACCES;
	insns = malloc(prog.len * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	r = copy_in(t->ctx, insns, prog.filter, prog.len * sizeof(*insns));
	if (r == 0)
		r = seccomp_add_filter(t, insns, prog.len, (uint32_t)flags);
	free(insns);
	return r;
}

static long action_available(struct task *t, uint64_t gva)
{
	uint32_t action;
	int r = copy_in(t->ctx, &action, gva, sizeof(action));

	if (r < 0)
		return r;
	return seccomp_action_known(action) ? 0 : -EOPNOTSUPP;
}

static long notification_sizes(struct task *t, uint64_t gva)
{
	const struct l_seccomp_notif_sizes sizes = {L_SECCOMP_NOTIF_SIZE, L_SECCOMP_NOTIF_RESP_SIZE,
						    sizeof(struct l_seccomp_data)};

	return copy_out(t->ctx, gva, &sizes, sizeof(sizes));
}

long sys_seccomp(struct task *t, const struct sys_args *args)
{
	uint32_t op = (uint32_t)args->a[0], flags = (uint32_t)args->a[1];
	uint64_t arg = args->a[2];

	switch (op) {
	case L_SECCOMP_SET_MODE_STRICT:
		return flags || arg ? -EINVAL : seccomp_set_strict(t);
	case L_SECCOMP_SET_MODE_FILTER:
		return seccomp_filter_arg(t, flags, arg);
	case L_SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : action_available(t, arg);
	case L_SECCOMP_GET_NOTIF_SIZES:
		return flags ? -EINVAL : notification_sizes(t, arg);
	default:
		return -EINVAL;
	}
}
