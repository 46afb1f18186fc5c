/* process_vm_readv(2) and process_vm_writev(2): memory of another process, and kcmp(2), what two have in common. */
#include <stdatomic.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "base/checked.h"
#include "host/random.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

#define CHUNK_SIZE (64 * 1024ul)

/* One call: the other's memory and the two lists. */
struct transfer {
	struct mm *mm; /* borrowed; the caller holds it */
	struct ua_iov local;
	struct l_iovec *remote; /* allocated */
	size_t remote_count;
	bool write; /* into the other */
	char *buf;  /* CHUNK_SIZE bytes */
};

/* The list of the other's ranges.  Its addresses are judged when their turn comes; *total is capped as any count is. */
static int import_remote(struct task *t, gva_t addr, uint64_t count, struct transfer *x, uint64_t *total)
{
	int r;

	*total = 0;
	if (count > L_UIO_MAXIOV)
		return -EINVAL;
	x->remote = calloc(count ? count : 1, sizeof(*x->remote));
	if (!x->remote)
		return -ENOMEM;
	x->remote_count = (size_t)count;
	r = copy_in(t->ctx, x->remote, addr, (size_t)count * sizeof(*x->remote));
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (x->remote[i].iov_len > INT64_MAX)
			r = -EINVAL;
		else
			*total = min_of(*total + min_of(x->remote[i].iov_len, (uint64_t)L_MAX_RW_COUNT),
					(uint64_t)L_MAX_RW_COUNT);
	}
	return r;
}

/* Moves n <= CHUNK_SIZE bytes between the other's addr and the local list's offset; the count done, or -EFAULT. */
static ssize_t move_chunk(struct task *t, struct transfer *x, gva_t addr, uint64_t off, size_t n)
{
	ssize_t got = x->write ? ua_iov_read(t->ctx, &x->local, off, x->buf, n) : mm_move(x->mm, addr, x->buf, n, false);

	if (got <= 0)
		return got;
	return x->write ? mm_move(x->mm, addr, x->buf, (size_t)got, true) :
			  ua_iov_write(t->ctx, &x->local, off, x->buf, (size_t)got);
}

/* Walks the other's ranges until either list is done or something faults: the bytes moved, or why none was. */
static long move_all(struct task *t, struct transfer *x)
{
	uint64_t done = 0;

	for (size_t i = 0; i < x->remote_count && done < x->local.total; i++) {
		uint64_t len = min_of(x->remote[i].iov_len, x->local.total - done);

		for (uint64_t at = 0; at < len;) {
			size_t n = (size_t)min_of(len - at, (uint64_t)CHUNK_SIZE);
			ssize_t r = move_chunk(t, x, x->remote[i].iov_base + at, done, n);

			if (r > 0) {
				done += (uint64_t)r;
				at += (uint64_t)r;
			}
			if (r < (ssize_t)n)
				return done ? (long)done : r < 0 ? r : -EFAULT;
		}
	}
	return (long)done;
}

/* The mm of the process `pid`, counted, if the caller may attach to it: ptrace(2), PTRACE_MODE_ATTACH_REALCREDS. */
static int mm_to_attach(struct task *t, int pid, struct mm **out)
{
	struct task *o = task_named(t, pid);
	struct mm *mm;
	int r = 0;

	if (!o)
		return -ESRCH;
	mm = task_get_mm(o);
	if (!mm)
		r = -ESRCH;
	else if (mm != t->mm && proc_may_access_real(o, t->cred) < 0)
		r = -EPERM;
	task_put(o);
	if (r < 0 && mm)
		mm_put(mm);
	if (r == 0)
		*out = mm;
	return r;
}

static long process_vm(struct task *t, const struct sys_args *args, bool write)
{
	struct transfer x = {.write = write};
	struct mm *mm;
	uint64_t total;
	long r;

	if (args->a[5])
		return -EINVAL;
	r = ua_iov_import(t->ctx, args->a[1], args->a[2], &x.local);
	if (r < 0)
		return r;
	if (x.local.total == 0)
		goto out_local;
	r = import_remote(t, args->a[3], args->a[4], &x, &total);
	if (r < 0 || total == 0)
		goto out_remote;
	r = mm_to_attach(t, (int)args->a[0], &mm);
	if (r < 0)
		goto out_remote;
	x.mm = mm;
	x.buf = malloc(CHUNK_SIZE);
	r = x.buf ? move_all(t, &x) : -ENOMEM;
	free(x.buf);
	mm_put(mm);
out_remote:
	free(x.remote);
out_local:
	ua_iov_free(&x.local);
	return r;
}

long sys_process_vm_readv(struct task *t, const struct sys_args *args)
{
	return process_vm(t, args, false);
}

long sys_process_vm_writev(struct task *t, const struct sys_args *args)
{
	return process_vm(t, args, true);
}

/* ---- kcmp ---- */

/* 0, 1 or 2 as kcmp(2) orders two objects: by their addresses, mixed so that nothing is learnt of these. */
static long compare(const void *a, const void *b)
{
	static _Atomic uint64_t secret;
	uint64_t key = secret, none = 0, x, y;

	if (!key) {
		host_random(&key, sizeof(key));
		key |= 1;
		if (!atomic_compare_exchange_strong(&secret, &none, key))
			key = none; /* another thread's */
	}
	x = ((uintptr_t)a ^ key) * key;
	y = ((uintptr_t)b ^ key) * key;
	return x == y ? 0 : x < y ? 1 : 2;
}

/* Counted; NULL if there is none. */
static struct file *file_of_task(struct task *o, uint64_t fd)
{
	struct fdtable *files = task_get_files(o);
	struct file *f = files ? fd_lookup_path_ok(files, (int)fd) : NULL;

	if (files)
		fdtable_put(files);
	return f;
}

static long compare_files(struct task *a, struct task *b, uint64_t fd_a, uint64_t fd_b)
{
	struct file *fa = file_of_task(a, fd_a), *fb = file_of_task(b, fd_b);
	long r = fa && fb ? compare(fa, fb) : -EBADF;

	if (fa)
		file_put(fa);
	if (fb)
		file_put(fb);
	return r;
}

/* One's open file and one that another's epoll watches. */
static long compare_epoll_target(struct task *t, struct task *a, struct task *b, uint64_t fd_a, gva_t slot_at)
{
	const struct file *watched;
	struct l_kcmp_epoll_slot slot;
	struct file *fa, *ep;
	long r = copy_in(t->ctx, &slot, slot_at, sizeof(slot));

	if (r < 0)
		return r;
	fa = file_of_task(a, fd_a);
	ep = file_of_task(b, slot.efd);
	r = fa && ep ? eventpoll_target(ep, (int)slot.tfd, slot.toff, &watched) : -EBADF;
	if (r == 0)
		r = compare(fa, watched);
	if (fa)
		file_put(fa);
	if (ep)
		file_put(ep);
	return r;
}

/* The address of the part that type names, for comparison alone. */
static const void *part_of(struct task *o, int type)
{
	const void *part;

	mutex_lock(&o->alloc_lock);
	switch (type) {
	case L_KCMP_VM:
		part = o->mm;
		break;
	case L_KCMP_FILES:
		part = o->files;
		break;
	case L_KCMP_FS:
		part = o->fs;
		break;
	case L_KCMP_SYSVSEM:
		part = o->sem_undos;
		break;
	default:
		part = o->sighand;
		break;
	}
	mutex_unlock(&o->alloc_lock);
	return part;
}

static long compare_tasks(struct task *t, struct task *a, struct task *b, const struct sys_args *args)
{
	int type = (int)args->a[2];

	switch (type) {
	case L_KCMP_FILE:
		return compare_files(a, b, args->a[3], args->a[4]);
	case L_KCMP_VM:
	case L_KCMP_FILES:
	case L_KCMP_FS:
	case L_KCMP_SIGHAND:
	case L_KCMP_SYSVSEM:
		return compare(part_of(a, type), part_of(b, type));
	case L_KCMP_IO:
		return 0; /* nobody has an I/O context */
	case L_KCMP_EPOLL_TFD:
		return compare_epoll_target(t, a, b, args->a[3], args->a[4]);
	default:
		return -EINVAL;
	}
}

long sys_kcmp(struct task *t, const struct sys_args *args)
{
	struct task *a = task_named(t, (int)args->a[0]), *b = task_named(t, (int)args->a[1]);
	long r;

	if (!a || !b)
		r = -ESRCH;
	else if (proc_may_access_real(a, t->cred) < 0 || proc_may_access_real(b, t->cred) < 0)
		r = -EPERM;
	else
		r = compare_tasks(t, a, b, args);
	if (a)
		task_put(a);
	if (b)
		task_put(b);
	return r;
}
