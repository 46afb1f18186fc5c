/*
 * Packed lists of strings: argv and envp on their way from the old image to the new one, and the limits on them.  The
 * limits are fs/exec.c's: a string has at most 128 KiB; all together, each with a pointer, have a quarter of the stack's
 * limit, but at least 128 KiB and at most 6 MiB.
 */
#include "loader/loader.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

#define ARGS_CEILING (6ull << 20) /* three quarters of Linux's default stack limit */

uint64_t stack_args_limit(uint64_t rlim_stack)
{
	return max_of(min_of(rlim_stack / 4, ARGS_CEILING), (uint64_t)L_ARG_MAX);
}

static int charge(uint64_t *budget, uint64_t size, uint64_t count)
{
	size += count * sizeof(uint64_t);
	if (size > *budget)
		return -E2BIG;
	*budget -= size;
	return 0;
}

/* Makes room for `more` further bytes. */
static int reserve(struct strings *v, size_t more)
{
	size_t cap = max_of(v->cap, (size_t)256);
	char *bytes;

	if (more <= v->cap - v->size)
		return 0;
	while (cap - v->size < more)
		if (__builtin_mul_overflow(cap, 2, &cap))
			return -ENOMEM;
	bytes = realloc(v->bytes, cap);
	if (!bytes)
		return -ENOMEM;
	v->bytes = bytes;
	v->cap = cap;
	return 0;
}

int strings_add(struct strings *v, const char *s, size_t len, uint64_t *budget)
{
	int r;

	if (len >= L_MAX_ARG_STRLEN)
		return -E2BIG;
	r = charge(budget, len + 1, 1);
	if (!r)
		r = reserve(v, len + 1);
	if (r)
		return r;
	memcpy(v->bytes + v->size, s, len);
	v->bytes[v->size + len] = '\0';
	v->size += len + 1;
	v->count++;
	return 0;
}

int strings_replace_head(struct strings *v, size_t drop, const char *packed, size_t size, size_t count, uint64_t *budget)
{
	size_t dropped = 0;
	int r;

	if (drop > v->count)
		return -EINVAL;
	for (size_t i = 0; i < drop; i++)
		dropped += strlen(v->bytes + dropped) + 1;
	r = charge(budget, size, count);
	if (!r)
		r = reserve(v, size);
	if (r)
		return r;
	memmove(v->bytes + size, v->bytes + dropped, v->size - dropped);
	memcpy(v->bytes, packed, size);
	v->size += size - dropped;
	v->count += count - drop;
	*budget += dropped; /* the pointers of what was dropped stay charged, as in Linux */
	return 0;
}

void strings_free(struct strings *v)
{
	free(v->bytes);
	*v = (struct strings){0};
}
