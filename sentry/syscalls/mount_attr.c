/* See mount_attr.h. */
#include "sentry/syscalls/mount_attr.h"

#include "abi/capability.h"
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"

#define PROPAGATION (L_MS_SHARED | L_MS_PRIVATE | L_MS_SLAVE | L_MS_UNBINDABLE)

static const struct {
	uint64_t attr;
	unsigned mnt;
} simple[] = {
	{L_MOUNT_ATTR_RDONLY, MNT_RDONLY},	   {L_MOUNT_ATTR_NOSUID, MNT_NOSUID},
	{L_MOUNT_ATTR_NODEV, MNT_NODEV},	   {L_MOUNT_ATTR_NOEXEC, MNT_NOEXEC},
	{L_MOUNT_ATTR_NODIRATIME, MNT_NODIRATIME}, {L_MOUNT_ATTR_NOSYMFOLLOW, MNT_NOSYMFOLLOW},
};

/* Those of attr but its times; what is not known is left in *rest. */
static unsigned simple_flags(uint64_t attr, uint64_t *rest)
{
	unsigned out = 0;

	*rest = attr & ~(uint64_t)L_MOUNT_ATTR__ATIME;
	for (size_t i = 0; i < ARRAY_SIZE(simple); i++) {
		out |= attr & simple[i].attr ? simple[i].mnt : 0;
		*rest &= ~simple[i].attr;
	}
	return out;
}

static int atime_flags(uint64_t attr, unsigned *out)
{
	switch (attr & L_MOUNT_ATTR__ATIME) {
	case L_MOUNT_ATTR_RELATIME:
		return 0;
	case L_MOUNT_ATTR_NOATIME:
		*out |= MNT_NOATIME;
		return 0;
	case L_MOUNT_ATTR_STRICTATIME:
		*out |= MNT_STRICTATIME;
		return 0;
	default:
		return -EINVAL;
	}
}

int mount_attr_flags(uint64_t attr, unsigned *out)
{
	uint64_t rest;

	*out = simple_flags(attr, &rest);
	return rest ? -EINVAL : atime_flags(attr, out);
}

/* The times are one choice of three: to set one, all are cleared. */
static int change_times(const struct l_mount_attr *a, struct mount_change *out)
{
	uint64_t clear = a->attr_clr & L_MOUNT_ATTR__ATIME;

	if (!clear)
		return a->attr_set & L_MOUNT_ATTR__ATIME ? -EINVAL : 0;
	if (clear != L_MOUNT_ATTR__ATIME)
		return -EINVAL;
	out->clear |= MNT_NOATIME | MNT_STRICTATIME;
	return atime_flags(a->attr_set, &out->set);
}

static int propagation_of(uint64_t ms, int *out)
{
	switch (ms) {
	case 0:
		*out = -1;
		return 0;
	case L_MS_SHARED:
		*out = PROPAGATION_SHARED;
		return 0;
	case L_MS_PRIVATE:
		*out = PROPAGATION_PRIVATE;
		return 0;
	case L_MS_SLAVE:
		*out = PROPAGATION_SLAVE;
		return 0;
	case L_MS_UNBINDABLE:
		*out = PROPAGATION_UNBINDABLE;
		return 0;
	default:
		return -EINVAL;
	}
}

bool task_may_mount(const struct task *t)
{
	return t->fs->ns && cred_ns_capable(t->cred, mnt_ns_common(t->fs->ns)->owner, L_CAP_SYS_ADMIN);
}

int mount_attr_change(struct task *t, uint64_t src, uint64_t size, struct mount_change *out, bool *nothing)
{
	struct l_mount_attr a;
	uint64_t rest_set, rest_clear;
	int r;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < L_MOUNT_ATTR_SIZE_VER0)
		return -EINVAL;
	if (!task_may_mount(t))
		return -EPERM;
	r = arg_struct(t, src, size, L_MOUNT_ATTR_SIZE_VER0, &a, sizeof(a));
	if (r < 0)
		return r;
	*nothing = !a.attr_set && !a.attr_clr && !a.propagation;
	out->set = simple_flags(a.attr_set, &rest_set);
	out->clear = simple_flags(a.attr_clr, &rest_clear);
	if (*nothing)
		return 0;
	r = propagation_of(a.propagation, &out->propagation);
	if (r == 0 && (rest_set || rest_clear)) /* MOUNT_ATTR_IDMAP is among them */
		r = -EINVAL;
	return r < 0 ? r : change_times(&a, out);
}
