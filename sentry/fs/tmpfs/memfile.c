/* Regular files in memory.  See memfile.h. */
#include "sentry/fs/tmpfs/memfile.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/file.h"
#include "host/process.h"
#include "sentry/fs/common.h"
#include "sentry/vfs/windows.h"

/* Transfers go through a buffer of this size, so that a copy to or from the guest is not made page by page. */
#define BOUNCE_SIZE (64 * 1024ul)

/* The host allows a process so many mappings; most are to be had for other things. */
#define MAPS_MAX 8192
/* Larger files are read and written by calls; nor are they moved for lending, for which their bytes are there twice for a while. */
#define MAP_SIZE_MAX (64ul << 20)

/* Each memfd is a descriptor of the sentry's for as long as its file is there: so many there may be that are only lent; and a quarter of
 * what it may have, where that is less. */
#define LENT_MAX 1024

static _Atomic unsigned map_count; /* of memfile.map */
static _Atomic unsigned lent_count; /* of memfile.only_lent */

int mem_quota_charge(struct mem_quota *q, uint64_t pages)
{
	uint64_t used = q->used, limit = q->limit;

	do {
		if (limit && (pages > limit || used > limit - pages))
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&q->used, &used, used + pages));
	return 0;
}

void mem_quota_release(struct mem_quota *q, uint64_t pages)
{
	q->used -= pages;
}

void memfile_init(struct memfile *m, struct mem_quota *quota)
{
	*m = (struct memfile){.fd = -1, .quota = quota, .seals = L_F_SEAL_SEAL};
}

static void drop_map(struct memfile *m)
{
	if (!m->map)
		return;
	host_unmap_memfd(m->map, m->map_size);
	m->map = NULL;
	map_count--;
}

/* The memfd is somebody else's affair now as well, or is let go of. */
static void not_only_lent(struct memfile *m)
{
	if (m->only_lent)
		lent_count--;
	m->only_lent = false;
}

void memfile_destroy(struct memfile *m)
{
	not_only_lent(m);
	page_tree_remove(&m->tree, 0, UINT64_MAX);
	drop_map(m);
	if (m->fd >= 0)
		host_close(m->fd);
	mem_quota_release(m->quota, m->charged);
}

/* ---- accounting ---- */

/* How many pages a write of [pos, pos + len) may add to the memfd at most. */
static uint64_t span_pages(uint64_t pos, uint64_t len)
{
	return len ? (pos + len - 1) / PAGE_SIZE - pos / PAGE_SIZE + 1 : 0;
}

static void set_blocks(struct inode *i, const struct memfile *m)
{
	i->blocks = m->charged * (PAGE_SIZE / 512);
}

static void discharge(struct inode *i, struct memfile *m, uint64_t pages)
{
	m->charged -= pages;
	mem_quota_release(m->quota, pages);
	set_blocks(i, m);
}

/*
 * DIVERGES: what guests write into the holes of a mapped file is charged when the sentry next looks at the file, so
 * that the size limit can be passed through mappings (the sandbox's memory limit cannot).
 */
static void refresh(struct inode *i, struct memfile *m)
{
	struct host_stat st;
	uint64_t pages;

	if (m->fd < 0 || host_stat_fd(m->fd, &st) < 0)
		return;
	pages = st.blocks / (PAGE_SIZE / 512);
	if (pages > m->charged)
		m->quota->used += pages - m->charged;
	else
		mem_quota_release(m->quota, m->charged - pages);
	m->charged = pages;
	i->size = st.size;
	m->whole = pages == span_pages(0, st.size) && !m->beyond;
	set_blocks(i, m);
}

/* What lies within the size can be read and written in place. */
static bool in_place(const struct memfile *m)
{
	return m->map && m->whole && !m->shared;
}

void memfile_refresh(struct inode *i, struct memfile *m)
{
	if (!in_place(m))
		refresh(i, m);
}

/* ---- the two stores ---- */

/* The page at index, made if it is a hole. */
static int get_page(struct inode *i, struct memfile *m, uint64_t index, uint8_t **out)
{
	uint8_t *page = page_tree_get(&m->tree, index);
	int r;

	if (!page) {
		r = mem_quota_charge(m->quota, 1);
		if (r < 0)
			return r;
		page = page_tree_add(&m->tree, index);
		if (!page) {
			mem_quota_release(m->quota, 1);
			return -ENOMEM;
		}
		m->charged++;
		set_blocks(i, m);
	}
	*out = page;
	return 0;
}

/* Stores as much of buf as there is room for: the count, or an error if none.  The size grows with it. */
static ssize_t store_some(struct inode *i, struct memfile *m, const uint8_t *buf, size_t len, uint64_t pos)
{
	size_t done = 0;
	int r = 0;

	if (in_place(m) && pos + len <= i->size && pos + len <= m->map_size) {
		memcpy(m->map + pos, buf, len);
		return (ssize_t)len;
	}
	if (m->fd >= 0) {
		uint64_t room = span_pages(pos, len);

		r = mem_quota_charge(m->quota, room); /* memfile_refresh gives back what was not needed */
		if (r < 0)
			return r;
		m->charged += room;
		while (done < len) {
			ssize_t n = host_pwrite(m->fd, buf + done, len - done, (int64_t)(pos + done));

			if (n <= 0) {
				r = n ? (int)n : -EIO;
				break;
			}
			done += (size_t)n;
		}
		refresh(i, m);
		return done ? (ssize_t)done : r;
	}
	while (done < len) {
		size_t in_page = (pos + done) % PAGE_SIZE;
		size_t n = min_of(len - done, PAGE_SIZE - in_page);
		uint8_t *page;

		r = get_page(i, m, (pos + done) / PAGE_SIZE, &page);
		if (r < 0)
			break;
		memcpy(page + in_page, buf + done, n);
		done += n;
	}
	if (done && pos + done > i->size)
		i->size = pos + done;
	return done ? (ssize_t)done : r;
}

/* Loads [pos, pos + len), which lies within the size. */
static ssize_t load(const struct memfile *m, uint8_t *buf, size_t len, uint64_t pos)
{
	size_t done = 0;

	if (in_place(m) && pos + len <= m->map_size) {
		memcpy(buf, m->map + pos, len);
		return (ssize_t)len;
	}
	if (m->fd >= 0)
		return host_pread(m->fd, buf, len, (int64_t)pos);
	while (done < len) {
		size_t in_page = (pos + done) % PAGE_SIZE;
		size_t n = min_of(len - done, PAGE_SIZE - in_page);
		const uint8_t *page = page_tree_get(&m->tree, (pos + done) / PAGE_SIZE);

		if (page)
			memcpy(buf + done, page + in_page, n);
		else
			memset(buf + done, 0, n);
		done += n;
	}
	return (ssize_t)done;
}

int memfile_store(struct inode *i, struct memfile *m, const void *buf, size_t len, uint64_t pos)
{
	const uint8_t *p = buf;

	for (size_t done = 0; done < len;) {
		ssize_t n = store_some(i, m, p + done, len - done, pos + done);

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

/* ---- reading and writing ---- */

ssize_t memfile_read(struct inode *i, struct memfile *m, struct uio *u, int64_t pos)
{
	uint64_t left, at = (uint64_t)pos, total = 0;
	uint8_t small[PAGE_SIZE] NOT_ZEROED, *buf = small;
	size_t buf_size = sizeof(small);
	ssize_t r = 0;

	memfile_refresh(i, m);
	if (pos < 0)
		return -EINVAL;
	left = at < i->size ? min_of(i->size - at, uio_left(u)) : 0;
	if (left > sizeof(small)) {
		buf_size = min_of(left, BOUNCE_SIZE);
		buf = malloc(buf_size);
		if (!buf)
			return -ENOMEM;
	}
	while (left > 0) {
		size_t n = min_of(left, buf_size);

		r = load(m, buf, n, at);
		if (r <= 0)
			break;
		n = (size_t)r;
		r = uio_put(u, buf, n);
		if (r < 0)
			break;
		total += (uint64_t)r;
		at += (uint64_t)r;
		left -= (uint64_t)r;
		if ((size_t)r < n)
			break;
	}
	if (buf != small)
		free(buf);
	return total ? (ssize_t)total : r;
}

ssize_t memfile_write(struct inode *i, struct memfile *m, struct file *f, struct uio *u, int64_t pos)
{
	uint64_t left, at, total = 0;
	uint8_t small[PAGE_SIZE] NOT_ZEROED, *buf = small;
	size_t buf_size = sizeof(small);
	ssize_t r = 0;

	memfile_refresh(i, m);
	if (file_appends(f, u))
		pos = (int64_t)i->size;
	if (pos < 0)
		return -EINVAL;
	at = (uint64_t)pos;
	left = uio_left(u);
	if (left == 0)
		return 0;
	if (at >= MEMFILE_MAX_SIZE)
		return -EFBIG;
	left = min_of(left, MEMFILE_MAX_SIZE - at);
	if (left > sizeof(small)) {
		buf_size = min_of(left, BOUNCE_SIZE);
		buf = malloc(buf_size);
		if (!buf)
			return -ENOMEM;
	}
	while (left > 0) {
		size_t taken, n = min_of(left, buf_size);

		r = uio_take(u, buf, n);
		if (r <= 0)
			break;
		taken = (size_t)r;
		r = store_some(i, m, buf, taken, at);
		if (r < 0)
			break;
		total += (uint64_t)r;
		at += (uint64_t)r;
		left -= (uint64_t)r;
		if ((size_t)r < n)
			break;
	}
	if (buf != small)
		free(buf);
	if (total > 0)
		inode_touch(i, ATTR_MTIME);
	return total ? (ssize_t)total : r;
}

/* ---- size, holes, mappings ---- */

/* Where data or a hole starts at or after off, which lies within the size. */
static int64_t seek_tree(const struct inode *i, const struct memfile *m, uint64_t off, bool data)
{
	uint64_t index = off / PAGE_SIZE;

	if (data) {
		if (!page_tree_next(&m->tree, &index) || index * PAGE_SIZE >= i->size)
			return -ENXIO;
	} else {
		while (index * PAGE_SIZE < i->size && page_tree_get(&m->tree, index))
			index++;
	}
	return (int64_t)min_of(max_of(index * PAGE_SIZE, off), i->size);
}

/* Where the next data, or hole, at or after off begins; -ENXIO. */
static int64_t seek(const struct inode *i, const struct memfile *m, uint64_t off, bool data)
{
	return m->fd >= 0 ? host_lseek(m->fd, (int64_t)off, data ? L_SEEK_DATA : L_SEEK_HOLE) : seek_tree(i, m, off, data);
}

int64_t memfile_lseek(struct inode *i, struct memfile *m, struct file *f, int64_t off, int whence)
{
	memfile_refresh(i, m);
	if (whence == L_SEEK_DATA || whence == L_SEEK_HOLE) {
		if (off < 0 || (uint64_t)off >= i->size)
			return -ENXIO;
		off = seek(i, m, (uint64_t)off, whence == L_SEEK_DATA);
		if (off < 0)
			return off;
		whence = L_SEEK_SET;
	}
	return file_lseek_generic(f, off, whence, i->size);
}

uint64_t memfile_cached(struct inode *i, struct memfile *m, uint64_t first, uint64_t last)
{
	uint64_t end, count = 0, at, hole;
	int64_t found;

	memfile_refresh(i, m);
	if (first > i->size / PAGE_SIZE)
		return 0;
	end = min_of(last, i->size / PAGE_SIZE) * PAGE_SIZE + PAGE_SIZE;
	for (at = first * PAGE_SIZE; at < min_of(end, i->size); at = hole) {
		found = seek(i, m, at, true);
		if (found < 0 || (uint64_t)found >= end)
			break;
		at = (uint64_t)found;
		found = seek(i, m, at, false);
		if (found < 0)
			break;
		hole = min_of((uint64_t)found, end);
		count += (hole + PAGE_SIZE - 1) / PAGE_SIZE - at / PAGE_SIZE;
	}
	return count;
}

/* Zeroes [off, end): whole pages become holes. */
static void punch_tree(struct inode *i, struct memfile *m, uint64_t off, uint64_t end)
{
	uint64_t first = (off + PAGE_SIZE - 1) / PAGE_SIZE, past = end / PAGE_SIZE;
	uint8_t *page;

	if (off / PAGE_SIZE == end / PAGE_SIZE) { /* within one page */
		page = page_tree_get(&m->tree, off / PAGE_SIZE);
		if (page)
			memset(page + off % PAGE_SIZE, 0, end - off);
		return;
	}
	page = off % PAGE_SIZE ? page_tree_get(&m->tree, off / PAGE_SIZE) : NULL;
	if (page)
		memset(page + off % PAGE_SIZE, 0, PAGE_SIZE - off % PAGE_SIZE);
	page = end % PAGE_SIZE ? page_tree_get(&m->tree, past) : NULL;
	if (page)
		memset(page, 0, end % PAGE_SIZE);
	if (first < past)
		discharge(i, m, page_tree_remove(&m->tree, first, past - 1));
}

int memfile_truncate(struct inode *i, struct memfile *m, uint64_t size)
{
	int r;

	if (size > MEMFILE_MAX_SIZE)
		return -EINVAL;
	inode_recall(i);
	if (m->fd >= 0) {
		r = host_ftruncate(m->fd, size);
		refresh(i, m);
		return r;
	}
	if (size < i->size) {
		uint64_t first = (size + PAGE_SIZE - 1) / PAGE_SIZE;
		uint8_t *page = size % PAGE_SIZE ? page_tree_get(&m->tree, size / PAGE_SIZE) : NULL;

		if (page)
			memset(page + size % PAGE_SIZE, 0, PAGE_SIZE - size % PAGE_SIZE);
		discharge(i, m, page_tree_remove(&m->tree, first, UINT64_MAX));
	}
	i->size = size;
	return 0;
}

int memfile_fallocate(struct inode *i, struct memfile *m, int mode, uint64_t off, uint64_t len)
{
	const int known = L_FALLOC_FL_KEEP_SIZE | L_FALLOC_FL_PUNCH_HOLE;
	uint64_t end, first, added = 0;
	int r;

	if ((mode & ~known) || mode == L_FALLOC_FL_PUNCH_HOLE)
		return -EOPNOTSUPP;
	if (len == 0 || off > MEMFILE_MAX_SIZE || !checked_add(off, len, &end))
		return -EINVAL;
	if (end > MEMFILE_MAX_SIZE)
		return -EFBIG;
	inode_recall(i);
	m->beyond |= mode & L_FALLOC_FL_KEEP_SIZE;
	if (m->fd >= 0) {
		uint64_t room = (mode & L_FALLOC_FL_PUNCH_HOLE) ? 0 : span_pages(off, len);

		refresh(i, m);
		r = mem_quota_charge(m->quota, room);
		if (r < 0)
			return r;
		m->charged += room;
		r = host_fallocate(m->fd, mode, off, len);
		refresh(i, m);
		return r;
	}
	if (mode & L_FALLOC_FL_PUNCH_HOLE) {
		punch_tree(i, m, off, end);
		return 0;
	}
	/* The quota is asked for all at once, so that an impossible request fails before it eats memory. */
	first = off / PAGE_SIZE;
	for (uint64_t at = first; at < first + span_pages(off, len);) {
		uint64_t next = at;
		bool more = page_tree_next(&m->tree, &next);

		next = more ? min_of(next, first + span_pages(off, len)) : first + span_pages(off, len);
		added += next - at;
		at = next + 1;
	}
	r = mem_quota_charge(m->quota, added);
	if (r < 0)
		return r;
	mem_quota_release(m->quota, added);
	for (uint64_t n = 0; n < span_pages(off, len); n++) {
		uint8_t *page;

		r = get_page(i, m, first + n, &page);
		if (r < 0)
			return r;
	}
	if (!(mode & L_FALLOC_FL_KEEP_SIZE) && end > i->size)
		i->size = end;
	return 0;
}

/* Moves the tree's pages to a new memfd. */
static int move_to_memfd(struct inode *i, struct memfile *m)
{
	int fd = host_memfd("tmpfs");
	int r;

	if (fd < 0)
		return fd;
	r = host_ftruncate(fd, i->size);
	for (uint64_t index = 0; r >= 0 && page_tree_next(&m->tree, &index); index++) {
		uint64_t off = index * PAGE_SIZE;
		ssize_t n;

		if (off >= i->size) /* preallocated past the end */
			break;
		n = host_pwrite(fd, page_tree_get(&m->tree, index), min_of(PAGE_SIZE, i->size - off), (int64_t)off);
		if (n < 0)
			r = (int)n;
	}
	if (r < 0) {
		host_close(fd);
		return r;
	}
	page_tree_remove(&m->tree, 0, UINT64_MAX);
	m->fd = fd;
	refresh(i, m);
	return 0;
}

int memfile_map(struct inode *i, struct memfile *m, int *host_fd)
{
	if (m->fd < 0) {
		int r = move_to_memfd(i, m);

		if (r < 0)
			return r;
	}
	m->shared = true;
	not_only_lent(m);
	drop_map(m);
	*host_fd = m->fd;
	return 0;
}

/* Once it is lent, a file that nobody maps is to be no slower to write to than before. */
static void get_map(const struct inode *i, struct memfile *m)
{
	uint64_t size;

	if (m->shared || !m->whole || i->size == 0 || i->size > MAP_SIZE_MAX || !page_up(i->size, &size) || (m->map && m->map_size >= size))
		return;
	drop_map(m);
	if (map_count >= MAPS_MAX)
		return;
	m->map = host_map_memfd(m->fd, size);
	m->map_size = size;
	if (m->map)
		map_count++;
}

/* Bytes that lie in the tree have to be moved first, which has to be worth it: so many for each read. */
#define MOVED_PER_READ (8 * 1024u)

static bool move_to_lend(struct inode *i, struct memfile *m, uint64_t reads)
{
	uint64_t own = host_own_fd_limit();

	if (i->size > MAP_SIZE_MAX || i->size / MOVED_PER_READ > reads)
		return false;
	/* Counted first, so that those who come at once do not all fit. */
	m->only_lent = lent_count++ < (own ? min_of(own / 4, (uint64_t)LENT_MAX) : LENT_MAX) && move_to_memfd(i, m) >= 0;
	if (!m->only_lent)
		lent_count--;
	return m->only_lent;
}

/*
 * Holes are not lent, since a mapping that is only read makes pages of them, which a read does not.  If there are as many pages as there can
 * be there is none.
 */
bool memfile_lend(struct inode *i, struct memfile *m, struct file *f, uint64_t first, uint64_t reads, struct file_loan *out)
{
	int64_t hole;

	if (!fs_atime_is_settled(i, f))
		return false;
	if (m->fd < 0 && !move_to_lend(i, m, reads))
		return false;
	refresh(i, m);
	get_map(i, m);
	*out = (struct file_loan){.host_fd = m->fd, .past = i->size, .size = i->size};
	if (m->whole)
		return true;
	hole = first < i->size ? seek(i, m, first, false) : -ENXIO;
	out->past = hole < 0 ? 0 : (uint64_t)hole;
	return hole > 0;
}

/*
 * Sealed bytes lie in the memfd, where the host keeps the seal, mappings included.  F_SEAL_EXEC is about the mode,
 * which is the inode's own (tmpfs.c).
 */
int memfile_add_seals(struct inode *i, struct memfile *m, uint32_t seals)
{
	const uint32_t contents = L_F_SEAL_SHRINK | L_F_SEAL_GROW | L_F_SEAL_WRITE | L_F_SEAL_FUTURE_WRITE;
	int fd, r;

	if (seals & ~(contents | L_F_SEAL_SEAL | L_F_SEAL_EXEC))
		return -EINVAL;
	if (m->seals & L_F_SEAL_SEAL)
		return -EPERM;
	if ((seals & L_F_SEAL_EXEC) && (i->mode & L_S_IXUGO))
		seals |= contents;
	r = memfile_map(i, m, &fd);
	if (r == 0 && (seals & contents))
		r = host_add_seals(fd, seals & contents);
	if (r == 0)
		m->seals |= seals;
	return r;
}
