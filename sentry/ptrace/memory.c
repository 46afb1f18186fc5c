/* A tracee's memory, as Linux's FOLL_FORCE reaches it: see mm_access. */
#include <string.h>

#include "abi/errno.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"

struct access {
	uint64_t addr;
	uint8_t *buf;
	size_t len;
	bool write;
	ssize_t done;
};

static int access_own(struct task *o, void *arg)
{
	struct access *a = arg;

	a->done = mm_access(o, o->mm, a->addr, a->buf, a->len, a->write);
	return 0;
}

/*
 * Protections are changed through a context of o's address space.  A platform may have to use one that stands in the
 * hands of the thread that asks: o's own, if o is in a stop.
 */
static ssize_t forced(struct task *o, struct mm *mm, struct access *a)
{
	if (trace_run_in(o, access_own, a) < 0)
		a->done = mm_access(task_current(), mm, a->addr, a->buf, a->len, a->write);
	return a->done;
}

ssize_t trace_access(struct task *o, uint64_t addr, void *buf, size_t len, bool write)
{
	struct mm *mm = task_get_mm(o);
	ssize_t n, more;

	if (!mm)
		return -EIO;
	if (addr >= GUEST_CEILING) {
		mm_put(mm);
		n = write ? -EIO : platform_vdso_read(sandbox_platform(), addr, buf, len);
		return n > 0 ? n : -EIO;
	}
	n = mm_move(mm, addr, buf, len, write);
	if (n < 0)
		n = 0;
	if ((size_t)n < len) {
		struct access a = {addr + (uint64_t)n, (uint8_t *)buf + n, len - (size_t)n, write, 0};

		more = forced(o, mm, &a);
		n += more > 0 ? more : 0;
	}
	mm_put(mm);
	return n > 0 ? n : -EIO;
}
