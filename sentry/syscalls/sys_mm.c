/* Memory calls: decoding, and the checks that Linux makes before it looks at the address space.  The work is in sentry/mm. */
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/types.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* What can be read can be executed, for a task of that personality. */
static int implied_prot(const struct task *t, int prot)
{
	return (t->process->personality & L_READ_IMPLIES_EXEC) && (prot & L_PROT_READ) ? prot | L_PROT_EXEC : prot;
}

#define HUGE_2M_SHIFT 21
#define HUGE_1G_SHIFT 30

/* No file has huge pages, and of the two sizes that there are none are reserved. */
static long refuse_huge(int flags)
{
	unsigned shift = ((unsigned)flags >> L_MAP_HUGE_SHIFT) & L_MAP_HUGE_MASK;
	bool known = shift == 0 || shift == HUGE_2M_SHIFT || shift == HUGE_1G_SHIFT;

	return known && (flags & L_MAP_ANONYMOUS) ? -ENOMEM : -EINVAL;
}

long sys_mmap(struct task *t, const struct sys_args *args)
{
	uint64_t addr = args->a[0], len = args->a[1], off = args->a[5];
	int prot = (int)args->a[2], flags = (int)args->a[3], fd = (int)args->a[4];
	struct file *file = NULL;
	long r;

	prot = implied_prot(t, prot);
	if (off & ~PAGE_MASK)
		return -EINVAL;
	if (!(flags & L_MAP_ANONYMOUS)) {
		file = fd_lookup(t->files, fd);
		if (!file)
			return -EBADF;
	}
	if (flags & L_MAP_FIXED_NOREPLACE)
		flags &= ~L_MAP_FIXED;
	r = len && (flags & L_MAP_HUGETLB) ? refuse_huge(flags) : mm_map(t, t->mm, addr, len, prot, flags, file, file ? off : 0, VMA_PLAIN);
	if (file)
		file_put(file);
	return r;
}

long sys_munmap(struct task *t, const struct sys_args *args)
{
	return mm_unmap(t, t->mm, args->a[0], args->a[1]);
}

long sys_mprotect(struct task *t, const struct sys_args *args)
{
	return mm_protect(t, t->mm, args->a[0], args->a[1], implied_prot(t, (int)args->a[2]));
}

/* As a machine without protection keys: -1, no key, is the only one. */
long sys_pkey_mprotect(struct task *t, const struct sys_args *args)
{
	uint64_t end, len;
	int key = (int)args->a[3];

	/* No key was ever given out; but what is wrong with the range is said first. */
	if (key != -1) {
		if (args->a[0] & ~PAGE_MASK)
			return -EINVAL;
		if (args->a[1] == 0)
			return 0;
		return page_up(args->a[1], &len) && checked_add(args->a[0], len, &end) ? -EINVAL : -ENOMEM;
	}
	return mm_protect(t, t->mm, args->a[0], args->a[1], implied_prot(t, (int)args->a[2]));
}

long sys_mseal(struct task *t, const struct sys_args *args)
{
	return args->a[2] ? -EINVAL : mm_seal(t, t->mm, args->a[0], args->a[1]);
}

long sys_remap_file_pages(struct task *t, const struct sys_args *args)
{
	if (args->a[2])
		return -EINVAL;
	return mm_remap_file(t, t->mm, args->a[0], args->a[1], args->a[3], ((int)args->a[4] & L_MAP_NONBLOCK) != 0);
}

long sys_mremap(struct task *t, const struct sys_args *args)
{
	return mm_remap(t, t->mm, args->a[0], args->a[1], args->a[2], (int)args->a[3], args->a[4]);
}

long sys_brk(struct task *t, const struct sys_args *args)
{
	return (long)mm_brk(t, t->mm, args->a[0]);
}

long sys_madvise(struct task *t, const struct sys_args *args)
{
	return mm_advise(t, t->mm, args->a[0], args->a[1], (int)args->a[2]);
}

long sys_msync(struct task *t, const struct sys_args *args)
{
	return mm_sync(t, t->mm, args->a[0], args->a[1], (int)args->a[2]);
}

long sys_mlock(struct task *t, const struct sys_args *args)
{
	return mm_lock(t, t->mm, args->a[0], args->a[1], 0, true);
}

long sys_mlock2(struct task *t, const struct sys_args *args)
{
	return mm_lock(t, t->mm, args->a[0], args->a[1], (int)args->a[2], true);
}

long sys_munlock(struct task *t, const struct sys_args *args)
{
	return mm_lock(t, t->mm, args->a[0], args->a[1], 0, false);
}

long sys_mlockall(struct task *t, const struct sys_args *args)
{
	return mm_lock_all(t, t->mm, (int)args->a[0]);
}

long sys_munlockall(struct task *t, const struct sys_args *args)
{
	return mm_unlock_all(t, t->mm);
}

long sys_mincore(struct task *t, const struct sys_args *args)
{
	uint64_t addr = args->a[0], len = args->a[1];

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (addr > GUEST_CEILING || len > GUEST_CEILING - addr || !page_up(len, &len))
		return -ENOMEM;
	return len ? mm_mincore(t, t->mm, addr, len, args->a[2]) : 0;
}
