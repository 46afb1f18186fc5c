/* memfd_create(2).  The work is in sentry/fs/tmpfs/. */
#include "abi/errno.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/syscalls/fs_args.h"

#define MEMFD_NAME_MAX (L_NAME_MAX - (sizeof("memfd:") - 1))
#define HUGE_PAGE_LOG 21 /* the one size that there is, 2 MiB */

long sys_memfd_create(struct task *t, const struct sys_args *args)
{
	const uint32_t known = L_MFD_CLOEXEC | L_MFD_ALLOW_SEALING | L_MFD_HUGETLB | L_MFD_NOEXEC_SEAL | L_MFD_EXEC;
	uint32_t flags = (uint32_t)args->a[1], size_log = flags >> L_MFD_HUGE_SHIFT;
	char name[MEMFD_NAME_MAX + 1];
	struct file *f;
	ssize_t n;
	int r;

	if ((flags & ~(flags & L_MFD_HUGETLB ? known | L_MFD_HUGE_MASK << L_MFD_HUGE_SHIFT : known)) ||
	    (flags & (L_MFD_EXEC | L_MFD_NOEXEC_SEAL)) == (L_MFD_EXEC | L_MFD_NOEXEC_SEAL))
		return -EINVAL;
	if (flags & L_MFD_HUGETLB) /* no huge pages are to be had; those of other sizes are not known */
		return size_log && size_log != HUGE_PAGE_LOG ? -ENODEV : -ENOMEM;
	n = copy_in_str(t->ctx, name, args->a[0], sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	r = memfd_file_new(name, flags, t->cred, &f);
	return r < 0 ? r : task_install(t, f, flags & L_MFD_CLOEXEC);
}
