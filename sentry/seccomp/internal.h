/* What chain.c and filter.c share. */
#ifndef BAILEY_SENTRY_SECCOMP_INTERNAL_H
#define BAILEY_SENTRY_SECCOMP_INTERNAL_H

#include "base/refcount.h"
#include "sentry/seccomp/seccomp.h"

/* Immutable once a task has it. */
struct seccomp_filter {
	struct refcount refs;
	struct seccomp_filter *prev; /* counted, or NULL */
	uint32_t flags;
	size_t count;
	struct l_sock_filter insns[];
};

/* f may be NULL. */
struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f);
void seccomp_filter_put(struct seccomp_filter *f);
/* t's newest, counted, or NULL. */
struct seccomp_filter *seccomp_filter_of(struct task *t);
/* Makes f (consumed) t's newest. */
void seccomp_filter_set(struct task *t, struct seccomp_filter *f);
/* Whether every filter of the chain `old` is in the chain `of`. */
bool seccomp_is_ancestor(const struct seccomp_filter *old, const struct seccomp_filter *of);

#endif
