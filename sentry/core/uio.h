/*
 * uio: one side of a transfer, guest memory or the sentry's own, so that a file's read and write are written once.
 * A uio remembers how far it got: uio_put and uio_take move on by what they copied.
 */
#ifndef BAILEY_SENTRY_CORE_UIO_H
#define BAILEY_SENTRY_CORE_UIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "platform/uaccess.h"

struct uio {
	struct pctx *ctx;	   /* NULL: the sentry's memory */
	const struct ua_iov *iov;  /* guest side; borrowed */
	uint8_t *buf;		   /* sentry side; borrowed */
	uint64_t total, done;	   /* bytes */
	uint32_t rwf;		   /* L_RWF_*: how this one transfer differs from what the file's flags say; or UIO_WAITED */
};

/* It has begun to wait already, so that it does, whatever the file's flags have become. */
#define UIO_WAITED 0x80000000u

struct uio uio_guest(struct pctx *ctx, const struct ua_iov *iov);
struct uio uio_kernel(void *buf, size_t len);
static inline uint64_t uio_left(const struct uio *u)
{
	return u->total - u->done;
}
/* Into the caller's memory (read).  Count copied, short at a fault; -EFAULT if none. */
ssize_t uio_put(struct uio *u, const void *src, size_t len) MUST_CHECK;
ssize_t uio_put_zero(struct uio *u, size_t len) MUST_CHECK;
/* Out of the caller's memory (write). */
ssize_t uio_take(struct uio *u, void *dst, size_t len) MUST_CHECK;
/* The same from or to several places in the sentry's memory, one after the other (at most PCTX_PARTS_MAX, together no more than is
 * left). */
ssize_t uio_put_parts(struct uio *u, const struct pctx_part *parts, unsigned count) MUST_CHECK;
ssize_t uio_take_parts(struct uio *u, const struct pctx_part *parts, unsigned count) MUST_CHECK;

#endif
