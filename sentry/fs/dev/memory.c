/* The devices of major number 1: null, zero, full, random, urandom.  Behaves as null(4), full(4) and random(4). */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "base/checked.h"
#include "host/random.h"
#include "sentry/fs/dev/dev.h"

#define MEM_MAJOR 1
#define RANDOM_CHUNK 4096ul
#define ENTROPY_BITS 256 /* what a seeded generator says since Linux 5.18 */

static ssize_t read_nothing(struct file *f, struct uio *u, int64_t pos)
{
	return 0;
}

/* The bytes are not even looked at. */
static ssize_t write_away(struct file *f, struct uio *u, int64_t pos)
{
	uint64_t left = uio_left(u);

	u->done = u->total;
	return (ssize_t)left;
}

static ssize_t write_full(struct file *f, struct uio *u, int64_t pos)
{
	return -ENOSPC;
}

static ssize_t read_zeros(struct file *f, struct uio *u, int64_t pos)
{
	return uio_put_zero(u, uio_left(u));
}

static ssize_t read_random(struct file *f, struct uio *u, int64_t pos)
{
	uint8_t buf[RANDOM_CHUNK];
	ssize_t total = 0, n = 0;

	while (uio_left(u)) {
		size_t want = min_of(uio_left(u), sizeof(buf));

		host_random(buf, want);
		n = uio_put(u, buf, want);
		if (n < 0)
			break;
		total += n;
		if ((size_t)n < want || sleeper_interrupted(sleeper_self()))
			break;
	}
	return total ? total : n;
}

static long random_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	int bits = ENTROPY_BITS;

	return cmd == L_RNDGETENTCNT ? copy_out(ctx, arg, &bits, sizeof(bits)) : -ENOTTY;
}

static int64_t seek_nowhere(struct file *f, int64_t off, int whence)
{
	f->pos = 0;
	return 0;
}

/* Anonymous memory, private or shared as the flags say. */
static int map_zeros(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off)
{
	*host_fd = -1;
	*host_off = 0;
	return 0;
}

static const struct file_ops null_ops = {.read = read_nothing, .write = write_away, .lseek = seek_nowhere};
static const struct file_ops zero_ops = {
	.read = read_zeros,
	.write = write_away,
	.lseek = seek_nowhere,
	.mmap = map_zeros,
};
static const struct file_ops full_ops = {.read = read_zeros, .write = write_full, .lseek = seek_nowhere};
static const struct file_ops random_ops = {
	.read = read_random,
	.write = write_away, /* what a guest stirs in is not let near the host's pool */
	.lseek = seek_nowhere,
	.ioctl = random_ioctl,
};

const struct device memory_devices[] = {
	{MEM_MAJOR, 3, &null_ops, 0, NULL},   {MEM_MAJOR, 5, &zero_ops, 0, NULL},   {MEM_MAJOR, 7, &full_ops, 0, NULL},
	{MEM_MAJOR, 8, &random_ops, 0, NULL}, {MEM_MAJOR, 9, &random_ops, 0, NULL}, {0, 0, NULL, 0, NULL},
};
