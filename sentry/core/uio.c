/* Transfers between a file's bytes and guest memory or the sentry's own.  See uio.h. */
#include "sentry/core/uio.h"

#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/log.h"

struct uio uio_guest(struct pctx *ctx, const struct ua_iov *iov)
{
	return (struct uio){.ctx = ctx, .iov = iov, .total = iov->total};
}

struct uio uio_kernel(void *buf, size_t len)
{
	return (struct uio){.buf = buf, .total = len};
}

ssize_t uio_put(struct uio *u, const void *src, size_t len)
{
	ssize_t n = (ssize_t)min_of((uint64_t)len, uio_left(u));

	if (n == 0)
		return 0;
	if (u->ctx)
		n = ua_iov_write(u->ctx, u->iov, u->done, src, (size_t)n);
	else
		memcpy(u->buf + u->done, src, (size_t)n);
	if (n > 0)
		u->done += (uint64_t)n;
	return n;
}

ssize_t uio_put_zero(struct uio *u, size_t len)
{
	static const uint8_t zeros[16 * PAGE_SIZE];
	size_t left = (size_t)min_of((uint64_t)len, uio_left(u)), put = 0;

	while (put < left) {
		size_t chunk = min_of(left - put, sizeof(zeros));
		ssize_t n = uio_put(u, zeros, chunk);

		if (n < 0)
			return put ? (ssize_t)put : n;
		put += (size_t)n;
		if ((size_t)n < chunk)
			break;
	}
	return (ssize_t)put;
}

ssize_t uio_take(struct uio *u, void *dst, size_t len)
{
	ssize_t n = (ssize_t)min_of((uint64_t)len, uio_left(u));

	if (n == 0)
		return 0;
	if (u->ctx)
		n = ua_iov_read(u->ctx, u->iov, u->done, dst, (size_t)n);
	else
		memcpy(dst, u->buf + u->done, (size_t)n);
	if (n > 0)
		u->done += (uint64_t)n;
	return n;
}

static void move_kernel(struct uio *u, const struct pctx_part *parts, unsigned count, bool put)
{
	size_t done = (size_t)u->done;

	for (unsigned i = 0; i < count; i++) {
		if (put)
			memcpy(u->buf + done, parts[i].at, parts[i].len);
		else
			memcpy(parts[i].at, u->buf + done, parts[i].len);
		done += parts[i].len;
	}
}

static ssize_t move_parts(struct uio *u, const struct pctx_part *parts, unsigned count, bool put)
{
	ssize_t n = 0;

	for (unsigned i = 0; i < count; i++)
		n += (ssize_t)parts[i].len;
	ASSERT((uint64_t)n <= uio_left(u));
	if (!u->ctx)
		move_kernel(u, parts, count, put);
	else
		n = put ? ua_iov_write_parts(u->ctx, u->iov, u->done, parts, count)
			: ua_iov_read_parts(u->ctx, u->iov, u->done, parts, count);
	if (n > 0)
		u->done += (uint64_t)n;
	return n;
}

ssize_t uio_put_parts(struct uio *u, const struct pctx_part *parts, unsigned count)
{
	return move_parts(u, parts, count, true);
}

ssize_t uio_take_parts(struct uio *u, const struct pctx_part *parts, unsigned count)
{
	return move_parts(u, parts, count, false);
}
