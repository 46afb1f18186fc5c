/*
 * See uaccess.h.  Built on pctx_read and pctx_write alone, which check the ceiling; a dead stub looks like memory that
 * is not there (-EFAULT), for the run loop finds out the truth at the next switch.
 */
#include "platform/uaccess.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

ssize_t copy_in_some(struct pctx *ctx, void *dst, gva_t src, size_t len)
{
	ssize_t n = pctx_read(ctx, src, dst, len);

	return n < 0 ? -EFAULT : n;
}

ssize_t copy_out_some(struct pctx *ctx, gva_t dst, const void *src, size_t len)
{
	ssize_t n = pctx_write(ctx, dst, src, len);

	return n < 0 ? -EFAULT : n;
}

int copy_in(struct pctx *ctx, void *dst, gva_t src, size_t len)
{
	ssize_t n = copy_in_some(ctx, dst, src, len);

	return n >= 0 && (size_t)n == len ? 0 : -EFAULT;
}

int copy_out(struct pctx *ctx, gva_t dst, const void *src, size_t len)
{
	ssize_t n = copy_out_some(ctx, dst, src, len);

	return n >= 0 && (size_t)n == len ? 0 : -EFAULT;
}

int clear_out(struct pctx *ctx, gva_t dst, size_t len)
{
	static const uint8_t zeros[PAGE_SIZE];

	while (len > 0) {
		size_t n = min_of(len, sizeof(zeros));

		if (copy_out(ctx, dst, zeros, n))
			return -EFAULT;
		dst += n;
		len -= n;
	}
	return 0;
}

ssize_t copy_in_str(struct pctx *ctx, char *dst, gva_t src, size_t cap)
{
	size_t done = pctx_read_string(ctx, src, dst, cap);

	if (done > 0)
		return (ssize_t)done - 1;
	while (done < cap) {
		/* Not past the end of a page, lest the next one be missing; and little at first: most strings
		 * are short. */
		size_t chunk = min_of(done ? PAGE_SIZE : (size_t)256, PAGE_SIZE - (src + done) % PAGE_SIZE);
		const char *nul;
		ssize_t n;

		chunk = min_of(chunk, cap - done);
		n = copy_in_some(ctx, dst + done, src + done, chunk);
		if (n < 0)
			return n;
		nul = memchr(dst + done, 0, (size_t)n);
		if (nul)
			return nul - dst;
		if ((size_t)n < chunk)
			return -EFAULT;
		done += (size_t)n;
	}
	return -ENAMETOOLONG;
}

int copy_in_path(struct pctx *ctx, gva_t src, char **out)
{
	char buf[L_PATH_MAX] NOT_ZEROED;
	ssize_t len = copy_in_str(ctx, buf, src, sizeof(buf));
	char *path;

	if (len < 0)
		return (int)len;
	path = malloc((size_t)len + 1);
	if (!path)
		return -ENOMEM;
	memcpy(path, buf, (size_t)len + 1);
	*out = path;
	return 0;
}

/* ---- iovecs ---- */

/*
 * What access_ok says on Linux: the range lies in user space; whether it is mapped shows when it is used.  User space is
 * Linux's: a buffer on the stack may be given more length than it has, and what lies above our ceiling is not mapped.
 */
static bool range_in_guest(gva_t addr, uint64_t len)
{
	uint64_t end;

	return checked_add(addr, len, &end) && end <= L_TASK_SIZE;
}

/*
 * As Linux's import_iovec: a negative length anywhere is -EINVAL, a range outside of user space -EFAULT, the sum is
 * capped.  A single one is capped before it is looked at.
 */
static int check_iov(struct l_iovec *v, size_t count, uint64_t *total)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		if (v[i].iov_len > INT64_MAX)
			return -EINVAL;
	if (count == 1)
		v->iov_len = min_of(v->iov_len, (uint64_t)L_MAX_RW_COUNT);
	for (size_t i = 0; i < count; i++) {
		if (!range_in_guest(v[i].iov_base, v[i].iov_len))
			return -EFAULT;
		if (v[i].iov_len > L_MAX_RW_COUNT - sum)
			v[i].iov_len = L_MAX_RW_COUNT - sum;
		sum += v[i].iov_len;
	}
	*total = sum;
	return 0;
}

int ua_iov_import(struct pctx *ctx, gva_t iov, uint64_t count, struct ua_iov *out)
{
	int r;

	count = (uint32_t)count; /* as Linux, whose import_iovec takes an unsigned int */
	if (count > L_UIO_MAXIOV)
		return -EINVAL;
	out->count = (size_t)count;
	out->v = out->fast;
	if (count > ARRAY_SIZE(out->fast)) {
		out->v = calloc((size_t)count, sizeof(*out->v));
		if (!out->v)
			return -ENOMEM;
	}
	r = copy_in(ctx, out->v, iov, (size_t)count * sizeof(*out->v));
	if (r == 0)
		r = check_iov(out->v, out->count, &out->total);
	if (r < 0)
		ua_iov_free(out);
	return r;
}

int ua_iov_single(gva_t addr, uint64_t len, struct ua_iov *out)
{
	if (!range_in_guest(addr, len))
		return -EFAULT;
	len = min_of(len, (uint64_t)L_MAX_RW_COUNT);
	out->fast[0] = (struct l_iovec){.iov_base = addr, .iov_len = len};
	out->v = out->fast;
	out->count = 1;
	out->total = len;
	return 0;
}

void ua_iov_free(struct ua_iov *iov)
{
	if (iov->v != iov->fast)
		free(iov->v);
	iov->v = iov->fast;
	iov->count = 0;
}

/* Walks the iovec's bytes [off, off + len), moving them one way or the other. */
static ssize_t iov_move(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, char *buf, size_t len, bool out)
{
	size_t done = 0;

	for (size_t i = 0; i < iov->count && done < len; i++) {
		uint64_t have = iov->v[i].iov_len;
		gva_t at = iov->v[i].iov_base + off;
		size_t want;
		ssize_t n;

		if (off >= have) {
			off -= have;
			continue;
		}
		want = (size_t)min_of((uint64_t)(len - done), have - off);
		off = 0;
		n = out ? copy_out_some(ctx, at, buf + done, want) : copy_in_some(ctx, buf + done, at, want);
		if (n > 0)
			done += (size_t)n;
		if (n < 0 || (size_t)n < want)
			return done > 0 ? (ssize_t)done : -EFAULT;
	}
	return (ssize_t)done;
}

ssize_t ua_iov_read(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, void *buf, size_t len)
{
	return iov_move(ctx, iov, off, buf, len, false);
}

ssize_t ua_iov_write(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const void *buf, size_t len)
{
	/* The buffer is only read when out is true. */
	return iov_move(ctx, iov, off, (char *)(uintptr_t)buf, len, true);
}

/* If all of it lies in one of the iovec's pieces it is moved at once. */
static ssize_t iov_move_parts(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const struct pctx_part *parts,
			      unsigned count, bool out)
{
	size_t len = 0, done = 0, i = 0;
	ssize_t n;

	for (unsigned k = 0; k < count; k++)
		len += parts[k].len;
	for (uint64_t at = off; i < iov->count; at -= iov->v[i++].iov_len) {
		if (at >= iov->v[i].iov_len)
			continue;
		if (len > iov->v[i].iov_len - at)
			break;
		n = out ? pctx_write_parts(ctx, iov->v[i].iov_base + at, parts, count)
			: pctx_read_parts(ctx, iov->v[i].iov_base + at, parts, count);
		return n < 0 ? -EFAULT : n;
	}
	for (unsigned k = 0; k < count; k++) {
		n = iov_move(ctx, iov, off + done, parts[k].at, parts[k].len, out);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		if ((size_t)n < parts[k].len)
			break;
	}
	return (ssize_t)done;
}

ssize_t ua_iov_read_parts(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const struct pctx_part *parts, unsigned count)
{
	return iov_move_parts(ctx, iov, off, parts, count, false);
}

ssize_t ua_iov_write_parts(struct pctx *ctx, const struct ua_iov *iov, uint64_t off, const struct pctx_part *parts, unsigned count)
{
	return iov_move_parts(ctx, iov, off, parts, count, true);
}

int ua_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	return pctx_cmpxchg32(ctx, addr, expected, desired, seen);
}
