/*
 * Guest memory as a sorted table of pages.  Copies at fork are made at once; a shared file's pages read and write the
 * file itself.  One lock for all address spaces: a shared page has several.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "platform/fake/internal.h"

static struct mutex memory_lock = MUTEX_INIT;

/* ---- backings ---- */

static struct backing *backing_new(bool shared)
{
	struct backing *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	refcount_init(&b->refs, 1);
	b->shared = shared;
	b->fd = -1;
	return b;
}

static void backing_put(struct backing *b)
{
	if (!refcount_dec(&b->refs))
		return;
	if (b->fd >= 0)
		close(b->fd);
	free(b->data);
	free(b);
}

/* What a file's page holds; the rest of a page that the file ends in is zeroes. */
static int backing_of_file(struct backing *b, int fd, uint64_t off)
{
	ssize_t n;

	if (b->shared) {
		b->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		b->off = off;
		return b->fd < 0 ? -errno : 0;
	}
	b->data = calloc(1, PAGE_SIZE);
	if (!b->data)
		return -ENOMEM;
	n = pread(fd, b->data, PAGE_SIZE, (off_t)off);
	return n < 0 ? -errno : 0;
}

/* Moves bytes within one page; false for a fault. */
static bool backing_move(struct backing *b, size_t off, void *buf, size_t len, bool write)
{
	if (b->fd >= 0) {
		off_t at = (off_t)(b->off + off);
		ssize_t n = write ? pwrite(b->fd, buf, len, at) : pread(b->fd, buf, len, at);

		return n == (ssize_t)len;
	}
	if (!b->data && write) {
		b->data = calloc(1, PAGE_SIZE);
		if (!b->data)
			return false;
	}
	if (write)
		memcpy(b->data + off, buf, len);
	else if (b->data)
		memcpy(buf, b->data + off, len);
	else
		memset(buf, 0, len);
	return true;
}

static struct backing *backing_for_fork(struct backing *b)
{
	struct backing *copy;

	if (b->shared) {
		refcount_inc(&b->refs);
		return b;
	}
	copy = backing_new(false);
	if (!copy || !b->data)
		return copy;
	copy->data = malloc(PAGE_SIZE);
	if (!copy->data) {
		backing_put(copy);
		return NULL;
	}
	memcpy(copy->data, b->data, PAGE_SIZE);
	return copy;
}

/* ---- the table ---- */

/* The index of the first page at or above addr. */
static size_t lower_bound(const struct fake_as *as, gva_t addr)
{
	size_t low = 0, high = as->page_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (as->pages[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct fake_page *find(const struct fake_as *as, gva_t addr)
{
	size_t i = lower_bound(as, addr & PAGE_MASK);

	return i < as->page_count && as->pages[i].addr == (addr & PAGE_MASK) ? &as->pages[i] : NULL;
}

static void remove_range(struct fake_as *as, gva_t addr, uint64_t len)
{
	size_t from = lower_bound(as, addr), to = lower_bound(as, addr + len);

	if (from == to)
		return;
	for (size_t i = from; i < to; i++)
		backing_put(as->pages[i].backing);
	memmove(as->pages + from, as->pages + to, (as->page_count - to) * sizeof(*as->pages));
	as->page_count -= to - from;
}

/* Puts count pages, which follow each other, into a range that is free; takes their references over. */
static int insert(struct fake_as *as, const struct fake_page *pages, size_t count)
{
	size_t at;

	if (as->page_count + count > as->page_cap) {
		size_t cap = 2 * as->page_count + count;
		struct fake_page *more = realloc(as->pages, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		as->pages = more;
		as->page_cap = cap;
	}
	at = count > 0 ? lower_bound(as, pages[0].addr) : 0;
	memmove(as->pages + at + count, as->pages + at, (as->page_count - at) * sizeof(*as->pages));
	memcpy(as->pages + at, pages, count * sizeof(*pages));
	as->page_count += count;
	return 0;
}

static bool all_mapped(const struct fake_as *as, gva_t addr, uint64_t len)
{
	return lower_bound(as, addr + len) - lower_bound(as, addr) == len / PAGE_SIZE;
}

static void free_pages(struct fake_page *pages, size_t count)
{
	for (size_t i = 0; i < count; i++)
		backing_put(pages[i].backing);
	free(pages);
}

static int new_pages(gva_t addr, size_t count, int prot, bool shared, int fd, uint64_t off, struct fake_page **out)
{
	struct fake_page *pages = calloc(count, sizeof(*pages));
	int r = 0;

	if (!pages)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct backing *b = backing_new(shared);

		if (b && fd >= 0)
			r = backing_of_file(b, fd, off + i * PAGE_SIZE);
		if (!b || r < 0) {
			if (b)
				backing_put(b);
			free_pages(pages, i);
			return b ? r : -ENOMEM;
		}
		pages[i] = (struct fake_page){addr + i * PAGE_SIZE, prot, b};
	}
	*out = pages;
	return 0;
}

void fake_memory_drop(struct fake_as *as)
{
	mutex_lock(&memory_lock);
	free_pages(as->pages, as->page_count);
	as->pages = NULL;
	as->page_count = as->page_cap = 0;
	mutex_unlock(&memory_lock);
}

int fake_memory_copy(struct fake_as *to, struct fake_as *from)
{
	int r = 0;

	mutex_lock(&memory_lock);
	to->pages = calloc(from->page_count + 1, sizeof(*to->pages));
	if (!to->pages)
		r = -ENOMEM;
	else
		to->page_cap = from->page_count + 1;
	for (size_t i = 0; r == 0 && i < from->page_count; i++) {
		struct fake_page page = from->pages[i];

		page.backing = backing_for_fork(page.backing);
		if (page.backing)
			to->pages[to->page_count++] = page;
		else
			r = -ENOMEM;
	}
	mutex_unlock(&memory_lock);
	return r;
}

/* ---- operations ---- */

int fake_map(struct pas *base, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
	     uint64_t off)
{
	struct fake_as *as = to_fake_as(base);
	bool shared = (flags & L_MAP_TYPE) != L_MAP_PRIVATE;
	size_t count = (size_t)(len / PAGE_SIZE);
	struct fake_page *pages;
	int r = new_pages(addr, count, prot, shared, host_fd, off, &pages);

	if (r < 0)
		return r;
	mutex_lock(&memory_lock);
	remove_range(as, addr, len);
	r = insert(as, pages, count);
	mutex_unlock(&memory_lock);
	if (r < 0)
		free_pages(pages, count);
	else
		free(pages);
	return r;
}

int fake_unmap(struct pas *base, struct pctx *via, gva_t addr, uint64_t len)
{
	mutex_lock(&memory_lock);
	remove_range(to_fake_as(base), addr, len);
	mutex_unlock(&memory_lock);
	return 0;
}

int fake_protect(struct pas *base, struct pctx *via, gva_t addr, uint64_t len, int prot)
{
	struct fake_as *as = to_fake_as(base);
	int r = -ENOMEM;

	mutex_lock(&memory_lock);
	if (all_mapped(as, addr, len)) {
		size_t i = lower_bound(as, addr);

		for (size_t n = (size_t)(len / PAGE_SIZE); n > 0; n--)
			as->pages[i++].prot = prot;
		r = 0;
	}
	mutex_unlock(&memory_lock);
	return r;
}

/* The pages that a remapped range consists of: old ones as far as they go, then new ones of the last one's kind. */
static int remapped_pages(struct fake_as *as, gva_t addr, size_t old_count, size_t new_count, gva_t new_addr,
			  struct fake_page **out)
{
	size_t kept = min_of(old_count, new_count), first = lower_bound(as, addr);
	struct fake_page last = as->pages[first + old_count - 1], *pages = NULL, *grown = NULL;
	int r;

	if (new_count > kept) {
		r = new_pages(new_addr + kept * PAGE_SIZE, new_count - kept, last.prot, last.backing->shared,
			      last.backing->fd, last.backing->off + PAGE_SIZE, &grown);
		if (r < 0)
			return r;
	}
	pages = calloc(new_count, sizeof(*pages));
	if (!pages) {
		free_pages(grown, new_count - kept);
		return -ENOMEM;
	}
	for (size_t i = 0; i < kept; i++) {
		pages[i] = as->pages[first + i];
		pages[i].addr = new_addr + i * PAGE_SIZE;
		refcount_inc(&pages[i].backing->refs);
	}
	if (grown)
		memcpy(pages + kept, grown, (new_count - kept) * sizeof(*pages));
	free(grown);
	*out = pages;
	return 0;
}

int fake_remap(struct pas *base, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
	       int extra_flags)
{
	struct fake_as *as = to_fake_as(base);
	size_t new_count = (size_t)(new_len / PAGE_SIZE);
	struct fake_page *pages;
	int r = -EFAULT;

	if (old_len == 0 || extra_flags)
		return -EINVAL; /* no test has needed them */
	mutex_lock(&memory_lock);
	if (all_mapped(as, addr, old_len))
		r = remapped_pages(as, addr, (size_t)(old_len / PAGE_SIZE), new_count, new_addr, &pages);
	if (r == 0) {
		remove_range(as, addr, old_len);
		remove_range(as, new_addr, new_len);
		r = insert(as, pages, new_count);
		if (r < 0)
			free_pages(pages, new_count);
		else
			free(pages);
	}
	mutex_unlock(&memory_lock);
	return r;
}

int fake_advise(struct pas *base, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg)
{
	struct fake_as *as = to_fake_as(base);
	int r = 0;

	mutex_lock(&memory_lock);
	if (!all_mapped(as, addr, len))
		r = -ENOMEM;
	for (size_t i = lower_bound(as, addr); i < as->page_count && as->pages[i].addr < addr + len; i++) {
		struct backing *b = as->pages[i].backing;

		if (op == PAS_MADVISE && arg == L_MADV_DONTNEED && !b->shared) {
			free(b->data);
			b->data = NULL;
		}
	}
	mutex_unlock(&memory_lock);
	return r;
}

/* Whatever is mapped is there. */
int fake_mincore(struct pas *base, struct pctx *via, gva_t addr, uint64_t len, gva_t vec)
{
	const uint8_t there = 1;
	bool mapped;

	(void)via;
	mutex_lock(&memory_lock);
	mapped = all_mapped(to_fake_as(base), addr, len);
	mutex_unlock(&memory_lock);
	if (!mapped)
		return -ENOMEM;
	for (uint64_t i = 0; i < len / PAGE_SIZE; i++)
		if (fake_write(base, vec + i, &there, 1) != 1)
			return -EFAULT;
	return 0;
}

/* One page's part of a transfer, with the guest's rights; false for a fault. */
static bool move_in_page(struct fake_as *as, gva_t addr, void *buf, size_t len, bool write) REQUIRES(memory_lock)
{
	struct fake_page *page = find(as, addr);

	return page && (page->prot & (write ? L_PROT_WRITE : L_PROT_READ)) &&
	       backing_move(page->backing, (size_t)(addr % PAGE_SIZE), buf, len, write);
}

static ssize_t move(struct fake_as *as, gva_t addr, uint8_t *buf, size_t len, bool write)
{
	size_t done = 0;

	if (atomic_load(&as->base.dead))
		return -ESRCH;
	mutex_lock(&memory_lock);
	while (done < len) {
		size_t n = min_of(len - done, (size_t)(PAGE_SIZE - (addr + done) % PAGE_SIZE));

		if (!move_in_page(as, addr + done, buf + done, n, write))
			break;
		done += n;
	}
	mutex_unlock(&memory_lock);
	return done > 0 ? (ssize_t)done : -EFAULT;
}

ssize_t fake_read(struct pas *as, gva_t addr, void *buf, size_t len)
{
	return move(to_fake_as(as), addr, buf, len, false);
}

ssize_t fake_write(struct pas *as, gva_t addr, const void *buf, size_t len)
{
	return move(to_fake_as(as), addr, (uint8_t *)(uintptr_t)buf, len, true);
}

int fake_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	struct fake_as *as = to_fake_as(ctx->as);
	uint32_t word;
	int r = -EFAULT;

	mutex_lock(&memory_lock);
	if (move_in_page(as, addr, &word, sizeof(word), false)) {
		/* Written in either case, as the instruction does: a word that is not writable is a fault. */
		uint32_t next = word == expected ? desired : word;

		if (move_in_page(as, addr, &next, sizeof(next), true)) {
			*seen = word;
			r = 0;
		}
	}
	mutex_unlock(&memory_lock);
	return r;
}
