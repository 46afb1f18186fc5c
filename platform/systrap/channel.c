/*
 * The pools of the sandbox: channels (one shared memory file, mapped whole and sparse in the sentry, page by page in
 * the stubs) and request slots (another, sealed so that nobody else can ever map it writable).
 *
 * Free ones are kept on lists threaded through an array of links, last in first out so that warm pages are used again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/errno.h"
#include "platform/systrap/systrap.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3; it also silences a warning in the host's log */
#endif

#define POOL_SIZE ((size_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE)
#define SLOTS_SIZE ((size_t)SYSTRAP_SLOTS_SIZE)
_Static_assert(SYSTRAP_SLOT_COUNT * SYSTRAP_SLOT_SIZE <= SYSTRAP_WAITERS_OFF - SYSTRAP_REQUESTS_OFF &&
		       SYSTRAP_REQUESTS_OFF + SYSTRAP_SLOTS_SIZE <= SYSTRAP_TRAMPOLINES_OFF && SYSTRAP_SLOTS_SIZE % 4096 == 0,
	       "room for the tables of waiters");
_Static_assert(PAS_WAITER_COUNTS * sizeof(uint32_t) == SYSTRAP_WAITERS_SIZE, "shim.S");

int memory_file(const char *name, size_t size, int *fd, void **map)
{
	int f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int err;

	if (f < 0 && errno == EINVAL)
		f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f < 0)
		return -errno;
	if (ftruncate(f, (off_t)size) < 0)
		goto out_close;
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f, 0);
	if (*map == MAP_FAILED)
		goto out_close;
	madvise(*map, size, MADV_DONTDUMP);
	*fd = f;
	return 0;

out_close:
	err = errno;
	close(f);
	return -err;
}

static void pool_init(struct pool *p, uint32_t count, uint32_t *links)
{
	p->links = links;
	p->count = count;
	p->free = POOL_NONE;
	p->fresh = 0;
}

static int pool_take(struct pool *p, uint32_t *index)
{
	if (p->free != POOL_NONE) {
		*index = p->free;
		p->free = p->links[p->free];
		return 0;
	}
	if (p->fresh == p->count)
		return -EAGAIN;
	*index = p->fresh++;
	return 0;
}

static void pool_give(struct pool *p, uint32_t index)
{
	p->links[index] = p->free;
	p->free = index;
}

int channel_pool_create(struct systrap *st, char *why, size_t why_size)
{
	uint32_t *links = calloc(SYSTRAP_CHANNEL_COUNT + SYSTRAP_SLOT_COUNT, sizeof(*links));
	void *map;
	int r;

	if (!links) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	pool_init(&st->channel_pool, SYSTRAP_CHANNEL_COUNT, links);
	pool_init(&st->slot_pool, SYSTRAP_SLOT_COUNT, links + SYSTRAP_CHANNEL_COUNT);
	r = memory_file("bailey-channels", POOL_SIZE, &st->pool_fd, &map);
	if (r < 0)
		goto out_links;
	st->channels = map;
	r = memory_file("bailey-requests", SLOTS_SIZE, &st->slots_fd, &map);
	if (r < 0)
		goto out_pool;
	st->slots = map;
	st->pf.waiters = waiters_of(st, -1);
	/* From here on it can only be mapped for reading, and no such mapping can be made writable. */
	if (fcntl(st->slots_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    fcntl(st->pool_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		goto out_slots;
	}
	/* Channel 0 is the boot's, never a thread's. */
	r = pool_take(&st->channel_pool, &(uint32_t){0});
	ASSERT(r == 0);
	return 0;

out_slots:
	munmap(st->slots, SLOTS_SIZE);
	close(st->slots_fd);
out_pool:
	munmap(st->channels, POOL_SIZE);
	close(st->pool_fd);
out_links:
	free(links);
	snprintf(why, why_size, "cannot make the shared memory of the channels: %s", strerror(-r));
	return r;
}

void channel_pool_destroy(struct systrap *st)
{
	munmap(st->slots, SLOTS_SIZE);
	close(st->slots_fd);
	munmap(st->channels, POOL_SIZE);
	close(st->pool_fd);
	free(st->channel_pool.links);
}

int channel_alloc(struct systrap *st, uint32_t *index)
{
	int r;

	mutex_lock(&st->lock);
	r = pool_take(&st->channel_pool, index);
	mutex_unlock(&st->lock);
	return r;
}

void channel_free(struct systrap *st, uint32_t index)
{
	/* Registers of one guest process must not be read by the next. */
	memset(st->channels + (size_t)index * SYSTRAP_CHANNEL_SIZE, 0, st->frame.channel_size);
	mutex_lock(&st->lock);
	pool_give(&st->channel_pool, index);
	mutex_unlock(&st->lock);
}

void channel_park(struct stub *s, uint32_t index)
{
	struct systrap *st = systrap_of(&s->as);

	mutex_lock(&st->lock);
	st->channel_pool.links[index] = s->parked_channels;
	s->parked_channels = index;
	mutex_unlock(&st->lock);
}

void channel_free_parked(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);

	while (s->parked_channels != POOL_NONE) {
		uint32_t index = s->parked_channels;

		s->parked_channels = st->channel_pool.links[index];
		channel_free(st, index);
	}
}

_Atomic uint32_t *waiters_of(const struct systrap *st, int64_t slot)
{
	uint8_t *tables = (uint8_t *)st->slots + (SYSTRAP_WAITERS_OFF - SYSTRAP_REQUESTS_OFF);

	return (_Atomic uint32_t *)(void *)(tables + (slot + 1) * SYSTRAP_WAITERS_SIZE);
}

int slot_alloc(struct systrap *st, uint32_t *slot)
{
	int r;

	mutex_lock(&st->lock);
	r = pool_take(&st->slot_pool, slot);
	mutex_unlock(&st->lock);
	if (r == 0) {
		memset(&st->slots[*slot], 0, sizeof(st->slots[*slot]));
		memset((void *)waiters_of(st, *slot), 0, SYSTRAP_WAITERS_SIZE);
	}
	return r;
}

void slot_free(struct systrap *st, uint32_t slot)
{
	mutex_lock(&st->lock);
	pool_give(&st->slot_pool, slot);
	mutex_unlock(&st->lock);
}
