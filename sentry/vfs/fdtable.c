/*
 * File descriptor tables.
 *
 * A table is an array of files and two bit maps (in use, close-on-exec) under one lock.  Files leave the table under the lock and
 * are put after it, since the last put may wait for the host.
 *
 * The position of a file that is only sought, call after call, is lent to the thread that does it (platform.h, struct
 * pctx_position), one a table.  The table has the only reference then, so nobody can get at the position but by the
 * table, and every way to the file takes the loan back first, with the lock held.
 *
 * What else of a file may be lent (file.lent; pipes) its own operations know: every way to the file has them take it back
 * first, with the lock dropped meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "platform/platform.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/windows.h"

#define WORD_BITS 64u
#define FD_FIRST 64u		/* descriptors a new table has room for */

/* So many seeks in a row and nothing else make a loan worth it. */
#define LEND_AFTER 4

struct tunable vfs_nr_open = {L_NR_OPEN, WORD_BITS, L_NR_OPEN, NULL};

static bool bit(const uint64_t *map, unsigned n)
{
	return map[n / WORD_BITS] >> (n % WORD_BITS) & 1;
}

static void set_bit(uint64_t *map, unsigned n, bool on)
{
	uint64_t mask = 1ull << (n % WORD_BITS);

	map[n / WORD_BITS] = on ? map[n / WORD_BITS] | mask : map[n / WORD_BITS] & ~mask;
}

/* Makes room for descriptor n.  -ENOMEM. */
static int make_room(struct fdtable *t, unsigned n)
{
	unsigned cap = t->cap;
	struct file **files;
	uint64_t *maps;

	if (n < cap)
		return 0;
	while (cap <= n)
		cap = cap ? cap * 2 : FD_FIRST;
	files = calloc(cap, sizeof(*files));
	maps = calloc(2 * (cap / WORD_BITS), sizeof(*maps));
	if (!files || !maps) {
		free(files);
		free(maps);
		return -ENOMEM;
	}
	if (t->cap) {
		memcpy(files, t->files, t->cap * sizeof(*files));
		memcpy(maps, t->used, t->cap / 8);
		memcpy(maps + cap / WORD_BITS, t->cloexec, t->cap / 8);
	}
	free(t->files);
	free(t->used);
	t->files = files;
	t->used = maps;
	t->cloexec = maps + cap / WORD_BITS;
	t->cap = cap;
	return 0;
}

/* The same for a new descriptor.  -EMFILE past what any table may hold. */
static int grow(struct fdtable *t, unsigned n)
{
	return n >= t->cap && n >= tunable_get(&vfs_nr_open) ? -EMFILE : make_room(t, n);
}

/* ---- lent positions ---- */

/* The position is where the thread left it; one that it cannot be at was written by somebody who should not have.  Lock held. */
static void take_back(struct fdtable *t)
{
	int64_t pos;

	if (LIKELY(!t->lent))
		return;
	pos = atomic_exchange(&t->lent->pos, PCTX_NO_POSITION);
	if (pos >= 0)
		t->files[t->sought]->pos = pos;
	t->lent = NULL;
}

/* Somebody is about to have the file at fd.  Lock held. */
static void note_use(struct fdtable *t, unsigned fd)
{
	if (fd != (unsigned)t->sought)
		return;
	t->uses++;
	take_back(t);
}

void fd_note_seek(struct fdtable *t, int fd, struct file *f, struct pctx_position *at)
{
	mutex_lock(&t->lock);
	if (fd != t->sought)
		take_back(t);
	if (fd != t->sought || t->uses != 1)
		t->seeks = 0;
	t->sought = fd;
	t->uses = 0;
	/* Two references: the table's and the caller's. */
	if (t->seeks < LEND_AFTER) {
		t->seeks++;
	} else if (!t->lent && (unsigned)fd < t->cap && t->files[fd] == f && refcount_read(&f->refs) == 2) {
		at->fd = fd;
		atomic_store(&at->pos, f->pos);
		t->lent = at;
	}
	mutex_unlock(&t->lock);
}

void fdtable_recall(struct fdtable *t)
{
	mutex_lock(&t->lock);
	take_back(t);
	mutex_unlock(&t->lock);
}

/* ---- what else is lent ---- */

bool fd_lend(struct fdtable *t, int fd, struct file *f)
{
	bool r;

	mutex_lock(&t->lock);
	/* Two references: the table's and the caller's. */
	r = (unsigned)fd < t->cap && t->files[fd] == f && refcount_read(&f->refs) == 2;
	if (r) {
		t->lends = true;
		atomic_store(&f->lent, true);
	}
	mutex_unlock(&t->lock);
	return r;
}

static bool is_lent(const struct fdtable *t, unsigned fd)
{
	return fd < t->cap && bit(t->used, fd) && UNLIKELY(atomic_load_explicit(&t->files[fd]->lent, memory_order_acquire));
}

/* Has what is lent of the file at fd taken back.  Lock held, and dropped for that: true if it was, so that all may have
 * changed. */
static bool call_back(struct fdtable *t, unsigned fd) REQUIRES(t->lock)
{
	bool dropped = false;

	while (is_lent(t, fd)) {
		struct file *f = file_get(t->files[fd]);

		mutex_unlock(&t->lock);
		f->ops->recall(f);
		file_put(f);
		mutex_lock(&t->lock);
		dropped = true;
	}
	return dropped;
}

/* The same of all files. */
static void call_all_back(struct fdtable *t) REQUIRES(t->lock)
{
	if (!t->lends)
		return;
	for (unsigned fd = 0; fd < t->cap; fd++)
		if (call_back(t, fd))
			fd = (unsigned)-1; /* from the beginning */
}

/* ---- tables ---- */

struct fdtable *fdtable_new(void)
{
	struct fdtable *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	refcount_init(&t->refs, 1);
	mutex_init(&t->lock);
	t->sought = -1;
	if (make_room(t, 0) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

int fdtable_copy(struct fdtable *old, struct fdtable **out)
{
	struct fdtable *t = fdtable_new();
	unsigned top;
	int r;

	if (!t)
		return -ENOMEM;
	mutex_lock(&old->lock);
	call_all_back(old);
	take_back(old);
	for (top = old->cap / WORD_BITS; top > 1 && !old->used[top - 1];)
		top--;
	/* Whole words of descriptors are counted, on Linux too. */
	r = (top - 1) * WORD_BITS >= tunable_get(&vfs_nr_open) ? -EMFILE : make_room(t, top * WORD_BITS - 1);
	if (r < 0) {
		mutex_unlock(&old->lock);
		fdtable_put(t);
		return r;
	}
	memcpy(t->used, old->used, top * sizeof(*t->used));
	memcpy(t->cloexec, old->cloexec, top * sizeof(*t->cloexec));
	for (unsigned n = 0; n < top * WORD_BITS; n++)
		if (bit(t->used, n))
			t->files[n] = file_get(old->files[n]);
	t->hint = old->hint;
	mutex_unlock(&old->lock);
	*out = t;
	return 0;
}

struct fdtable *fdtable_get(struct fdtable *t)
{
	refcount_inc(&t->refs);
	return t;
}

bool fdtable_shared(const struct fdtable *t)
{
	return refcount_read(&t->refs) > 1;
}

/* What each close(2) does to a file that has left the table; f is consumed. */
static int closed(struct fdtable *t, struct file *f)
{
	int r = 0;

	if (f->inode->locks && !(f->mode & FILE_PATH))
		vfs_locks_release(f->inode, t);
	dnotify_forget(f, t);
	if (f->ops->flush && !(f->mode & FILE_PATH))
		r = f->ops->flush(f);
	file_put(f);
	if (UNLIKELY(fasync_due))
		fasync_send_due();
	return r;
}

/* Takes fd out; NULL if it is not open.  The lock may be dropped meanwhile; the table's reference becomes the caller's. */
static struct file *take(struct fdtable *t, unsigned fd) REQUIRES(t->lock)
{
	struct file *f;

	call_back(t, fd);
	if (fd >= t->cap || !bit(t->used, fd))
		return NULL;
	note_use(t, fd);
	if (UNLIKELY(t->windows))
		t->windows_stale |= fd_windows_closed(t, fd);
	f = t->files[fd];
	t->files[fd] = NULL;
	set_bit(t->used, fd, false);
	set_bit(t->cloexec, fd, false);
	if (fd < t->hint)
		t->hint = fd;
	return f;
}

static void put(struct fdtable *t, unsigned fd, struct file *f, bool cloexec)
{
	t->files[fd] = f;
	set_bit(t->used, fd, true);
	set_bit(t->cloexec, fd, cloexec);
}

void fdtable_put(struct fdtable *t)
{
	if (!t || !refcount_dec(&t->refs))
		return;
	if (t->windows)
		(void)fdtable_leave_windows(t);
	mutex_lock(&t->lock);
	call_all_back(t);
	mutex_unlock(&t->lock);
	for (unsigned n = 0; n < t->cap; n++)
		if (bit(t->used, n))
			(void)closed(t, t->files[n]);
	free(t->files);
	free(t->used);
	mutex_destroy(&t->lock);
	free(t);
}

/* ---- one descriptor ---- */

struct file *fd_lookup_path_ok(struct fdtable *t, int fd)
{
	struct file *f = NULL;

	if (fd < 0)
		return NULL;
	mutex_lock(&t->lock);
	call_back(t, (unsigned)fd);
	if ((unsigned)fd < t->cap && bit(t->used, (unsigned)fd)) {
		note_use(t, (unsigned)fd);
		f = file_get(t->files[fd]);
	}
	mutex_unlock(&t->lock);
	return f;
}

struct file *fd_lookup(struct fdtable *t, int fd)
{
	struct file *f = fd_lookup_path_ok(t, fd);

	if (f && (f->mode & FILE_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

/* The lowest free descriptor >= min, room made for it; -EMFILE if there is none below limit.  Lock held. */
static int find_free(struct fdtable *t, unsigned min, unsigned limit)
{
	unsigned fd = max_of(min, t->hint);
	int r;

	while (fd < t->cap) {
		uint64_t busy = t->used[fd / WORD_BITS] | ((1ull << (fd % WORD_BITS)) - 1);

		if (busy != UINT64_MAX) {
			fd = fd / WORD_BITS * WORD_BITS + (unsigned)__builtin_ctzll(~busy);
			break;
		}
		fd = (fd / WORD_BITS + 1) * WORD_BITS;
	}
	if (fd >= limit)
		return -EMFILE;
	r = grow(t, fd);
	if (r < 0)
		return r;
	if (min <= t->hint)
		t->hint = fd + 1;
	return (int)fd;
}

int fd_install(struct fdtable *t, struct file *f, int min, int limit, bool cloexec)
{
	int fd;

	mutex_lock(&t->lock);
	fd = find_free(t, (unsigned)min, (unsigned)limit);
	if (fd >= 0)
		put(t, (unsigned)fd, f, cloexec);
	mutex_unlock(&t->lock);
	return fd;
}

bool fd_has_room(struct fdtable *t, int limit)
{
	int fd;

	mutex_lock(&t->lock);
	fd = find_free(t, 0, (unsigned)limit);
	if (fd >= 0)
		t->hint = (unsigned)fd; /* it is still free */
	mutex_unlock(&t->lock);
	return fd >= 0;
}

int fd_install_pair(struct fdtable *t, struct file *a, struct file *b, int limit, bool cloexec, int fds[2])
{
	int r;

	mutex_lock(&t->lock);
	r = fds[0] = find_free(t, 0, (unsigned)limit);
	if (r >= 0) {
		put(t, (unsigned)fds[0], a, cloexec);
		r = fds[1] = find_free(t, 0, (unsigned)limit);
		if (r >= 0)
			put(t, (unsigned)fds[1], b, cloexec);
		else
			take(t, (unsigned)fds[0]);
	}
	mutex_unlock(&t->lock);
	return r < 0 ? r : 0;
}

int fd_replace(struct fdtable *t, struct file *f, int fd, int limit, bool cloexec)
{
	struct file *old;
	int r;

	if (fd < 0 || fd >= limit) {
		file_put(f);
		return -EBADF;
	}
	mutex_lock(&t->lock);
	r = grow(t, (unsigned)fd);
	if (r < 0) {
		mutex_unlock(&t->lock);
		file_put(f);
		return r == -EMFILE ? -EBADF : r;
	}
	old = take(t, (unsigned)fd);
	put(t, (unsigned)fd, f, cloexec);
	mutex_unlock(&t->lock);
	if (old)
		(void)closed(t, old); /* dup2(2): its errors are lost */
	return fd;
}

int fd_get_cloexec(struct fdtable *t, int fd)
{
	int r = -EBADF;

	mutex_lock(&t->lock);
	if (fd >= 0 && (unsigned)fd < t->cap && bit(t->used, (unsigned)fd))
		r = bit(t->cloexec, (unsigned)fd);
	mutex_unlock(&t->lock);
	return r;
}

int fd_set_cloexec(struct fdtable *t, int fd, bool cloexec)
{
	int r = -EBADF;

	mutex_lock(&t->lock);
	if (fd >= 0 && (unsigned)fd < t->cap && bit(t->used, (unsigned)fd)) {
		set_bit(t->cloexec, (unsigned)fd, cloexec);
		r = 0;
	}
	mutex_unlock(&t->lock);
	return r;
}

int fd_close(struct fdtable *t, int fd)
{
	struct file *f;

	if (fd < 0)
		return -EBADF;
	mutex_lock(&t->lock);
	f = take(t, (unsigned)fd);
	mutex_unlock(&t->lock);
	return f ? closed(t, f) : -EBADF;
}

/* ---- many descriptors ---- */

void fd_close_range(struct fdtable *t, unsigned first, unsigned last, bool cloexec)
{
	mutex_lock(&t->lock);
	for (unsigned fd = first; fd <= last && fd < t->cap; fd++) {
		struct file *f;

		if (!bit(t->used, fd))
			continue;
		if (cloexec) {
			set_bit(t->cloexec, fd, true);
			continue;
		}
		f = take(t, fd);
		if (!f)
			continue; /* somebody was quicker */
		mutex_unlock(&t->lock);
		(void)closed(t, f);
		mutex_lock(&t->lock);
	}
	mutex_unlock(&t->lock);
}

void fdtable_close_on_exec(struct fdtable *t)
{
	mutex_lock(&t->lock);
	for (unsigned fd = 0; fd < t->cap; fd++) {
		struct file *f;

		if (!bit(t->cloexec, fd))
			continue;
		f = take(t, fd);
		if (!f)
			continue; /* somebody was quicker */
		mutex_unlock(&t->lock);
		(void)closed(t, f);
		mutex_lock(&t->lock);
	}
	mutex_unlock(&t->lock);
}

int fdtable_capacity(struct fdtable *t)
{
	int cap;

	mutex_lock(&t->lock);
	cap = (int)t->cap;
	mutex_unlock(&t->lock);
	return cap;
}

int fdtable_next(struct fdtable *t, int from, struct file **out, bool *cloexec)
{
	unsigned fd = from < 0 ? 0 : (unsigned)from;
	int found = -1;

	mutex_lock(&t->lock);
	do {
		while (fd < t->cap && !bit(t->used, fd))
			fd++;
	} while (out && call_back(t, fd));
	if (fd < t->cap) {
		found = (int)fd;
		if (out) {
			note_use(t, fd);
			*out = file_get(t->files[fd]);
		}
		if (cloexec)
			*cloexec = bit(t->cloexec, fd);
	}
	mutex_unlock(&t->lock);
	return found;
}
