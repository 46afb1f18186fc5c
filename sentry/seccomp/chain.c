/* A task's chain of filters: counting, replacing, inheriting.  Nothing here judges a call. */
#include <stdatomic.h>
#include <stdlib.h>

#include "sentry/seccomp/internal.h"

struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f)
{
	if (f)
		refcount_inc(&f->refs);
	return f;
}

/* Not recursive: a chain can be long. */
void seccomp_filter_put(struct seccomp_filter *f)
{
	while (f && refcount_dec(&f->refs)) {
		struct seccomp_filter *prev = f->prev;

		free(f);
		f = prev;
	}
}

struct seccomp_filter *seccomp_filter_of(struct task *t)
{
	struct seccomp_filter *f;

	mutex_lock(&t->alloc_lock);
	f = seccomp_filter_get(t->seccomp);
	mutex_unlock(&t->alloc_lock);
	return f;
}

void seccomp_filter_set(struct task *t, struct seccomp_filter *f)
{
	struct seccomp_filter *old;

	mutex_lock(&t->alloc_lock);
	old = t->seccomp;
	t->seccomp = f;
	t->seccomp_mode = L_SECCOMP_MODE_FILTER;
	mutex_unlock(&t->alloc_lock);
	atomic_fetch_or(&t->syscall_work, WORK_SECCOMP);
	atomic_store(&t->answers_stale, true);
	seccomp_filter_put(old);
}

bool seccomp_is_ancestor(const struct seccomp_filter *old, const struct seccomp_filter *of)
{
	for (; of; of = of->prev)
		if (of == old)
			return true;
	return !old;
}

void seccomp_inherit(struct task *t, struct task *child)
{
	struct seccomp_filter *old = child->seccomp;

	child->seccomp = seccomp_filter_of(t);
	child->seccomp_mode = t->seccomp_mode;
	seccomp_filter_put(old);
	if (child->seccomp_mode)
		atomic_fetch_or(&child->syscall_work, WORK_SECCOMP);
}

void seccomp_drop(struct task *t)
{
	seccomp_filter_put(t->seccomp);
	t->seccomp = NULL;
}

int seccomp_mode(struct task *t, unsigned *filters)
{
	int mode;

	*filters = 0;
	mutex_lock(&t->alloc_lock);
	mode = t->seccomp_mode;
	for (const struct seccomp_filter *f = t->seccomp; f; f = f->prev)
		++*filters;
	mutex_unlock(&t->alloc_lock);
	return mode;
}
