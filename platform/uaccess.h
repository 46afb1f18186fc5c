/*
 * uaccess: the only way by which the sentry touches guest bytes.  Every address is checked against GUEST_CEILING;
 * nothing here dereferences a guest address.  Copy once, check the copy, use the copy.
 *
 * Each function acts on the address space of ctx, which is in the hands of the calling thread.  None may be called
 * with a spinlock or a dentry lock held: a copy may wait for the host.
 */
#ifndef BAILEY_PLATFORM_UACCESS_H
#define BAILEY_PLATFORM_UACCESS_H

#include <sys/types.h>

#include "abi/types.h"
#include "base/compiler.h"
#include "platform/platform.h"

/*
 * GUEST_PTR(name, T) defines an 8-byte guest pointer type that no compiler dereferences or mixes with another.
 * GPTR(name, addr) makes one, gptr.a reads its address.
 */
#define GUEST_PTR(name, T) typedef struct { gva_t a; __extension__ T t_[0]; } name

/* All or nothing: 0, or -EFAULT. */
int copy_in(struct pctx *ctx, void *dst, gva_t src, size_t len) MUST_CHECK;
int copy_out(struct pctx *ctx, gva_t dst, const void *src, size_t len) MUST_CHECK;
/* As far as it goes: the count copied (short at a fault), or -EFAULT if none. */
ssize_t copy_in_some(struct pctx *ctx, void *dst, gva_t src, size_t len) MUST_CHECK;
ssize_t copy_out_some(struct pctx *ctx, gva_t dst, const void *src, size_t len) MUST_CHECK;
int clear_out(struct pctx *ctx, gva_t dst, size_t len) MUST_CHECK;

/* A NUL-terminated string of at most cap bytes, the NUL included.  Returns its length without the NUL; -ENAMETOOLONG if
 * there is no NUL within cap; -EFAULT. */
ssize_t copy_in_str(struct pctx *ctx, char *dst, gva_t src, size_t cap) MUST_CHECK;

/* A path: as copy_in_str with L_PATH_MAX, allocated; the caller frees *out.  -ENOENT is not raised for "". */
int copy_in_path(struct pctx *ctx, gva_t src, char **out) MUST_CHECK;

/* Typed forms: gptr.t_ gives the size and the type. */
#define get_user(ctx, dst, gptr)                                                                                       \
	({                                                                                                             \
		_Static_assert(sizeof(*(dst)) == sizeof((gptr).t_[0]), "size");                                        \
		copy_in((ctx), (dst), (gptr).a, sizeof(*(dst)));                                                       \
	})
#define put_user(ctx, gptr, src)                                                                                       \
	({                                                                                                             \
		_Static_assert(sizeof(*(src)) == sizeof((gptr).t_[0]), "size");                                        \
		copy_out((ctx), (gptr).a, (src), sizeof(*(src)));                                                      \
	})

/* A guest iovec array, copied in and checked: count at most L_UIO_MAXIOV (-EINVAL), each length at most SSIZE_MAX and their
 * sum capped at L_MAX_RW_COUNT as Linux does (-EINVAL for a negative length). */
struct ua_iov {
	struct l_iovec fast[8];
	struct l_iovec *v; /* fast, or allocated */
	size_t count;
	uint64_t total; /* bytes */
};
int ua_iov_import(struct pctx *ctx, gva_t iov, uint64_t count, struct ua_iov *out) MUST_CHECK;
/* One buffer as an iovec of one; length capped at L_MAX_RW_COUNT; -EFAULT if it wraps or passes the ceiling. */
int ua_iov_single(gva_t addr, uint64_t len, struct ua_iov *out) MUST_CHECK;
void ua_iov_free(struct ua_iov *iov);
/* Copies between buf and the bytes [off, off+len) of the iovec.  Count done, short at a fault, -EFAULT if none. */
ssize_t ua_iov_read(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, void *buf, size_t len) MUST_CHECK;
ssize_t ua_iov_write(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const void *buf, size_t len) MUST_CHECK;
/* The same for several places here. */
ssize_t ua_iov_read_parts(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const struct pctx_part *parts,
			  unsigned count) MUST_CHECK;
ssize_t ua_iov_write_parts(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const struct pctx_part *parts,
			   unsigned count) MUST_CHECK;

/* See pctx_cmpxchg32; also checks alignment (-EINVAL) and the ceiling. */
int ua_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen) MUST_CHECK;

#endif
