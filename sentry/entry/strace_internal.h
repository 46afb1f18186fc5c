/* What strace.c (lines), strace_filter.c (which calls), strace_args.c (arguments) and strace_types.c (structures) share. */
#ifndef BAILEY_SENTRY_ENTRY_STRACE_INTERNAL_H
#define BAILEY_SENTRY_ENTRY_STRACE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/syscalls.h"
#include "base/compiler.h"

struct pctx;
struct task;

/* Text that grows up to a bound and is cut off there; always NUL-terminated. */
struct text {
	char *buf;
	size_t len, cap;
};
void text_add(struct text *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_names(struct text *o, const struct abi_names *set, uint64_t value);
/* Bytes in quotes, escaped as strace does. */
void text_quoted(struct text *o, const void *bytes, size_t len);

#define STRACE_STRING_MAX 32 /* bytes of a buffer or string that are shown */
#define STRACE_ARRAY_MAX 32  /* elements of an array that are shown */
#define STRACE_ARG_MAX 128   /* bytes of a string of execve's that are shown */

/* As strace_init.  Then which calls: the table's row for nr, or NULL, and whether it is shown. */
int strace_filter_init(const char *names, char *why, size_t why_size) MUST_CHECK;
const struct abi_syscall *strace_wanted(uint64_t nr, bool *is_wanted);

/* Argument k before the call (result NULL) or after it.  Leaves o as it was if it shows nothing at that time. */
void strace_arg(struct text *o, struct pctx *ctx, const struct abi_syscall *s, const uint64_t a[6], unsigned k,
		const long *result);
/* True if argument k is not used, given the others (open's mode without O_CREAT). */
bool strace_arg_unused(const struct abi_syscall *s, const uint64_t a[6], unsigned k);

/* One structure of a type of ABI_TYPES, `size` bytes of which were copied in.  out: as the call left it. */
void strace_type(struct text *o, enum abi_type type, const void *data, size_t size, bool out);
#define STRACE_TYPE_MAX 512 /* no type has more bytes */

#endif
