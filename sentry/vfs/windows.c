/* Files that are lent to those who read them.  See windows.h. */
#include "sentry/vfs/windows.h"

#include <stdlib.h>

#include "base/checked.h"
#include "sentry/vfs/fdtable.h"

/* So many reads of one file in a row, as far as its window goes, make a loan worth it. */
#define LEND_AFTER 64
/* So many reads it is left alone if it could not be lent. */
#define PAUSE 32
/* Windows begin at multiples of this. */
#define WINDOW_STEP (PAS_WINDOW_SIZE / 2)

struct fd_window {
	struct list_head node; /* of lent; guarded by lends_lock */
	_Atomic uint64_t *loan; /* its record's; immutable */
	struct inode *inode;   /* whose bytes are lent; NULL: none.  Borrowed: the table has the file.  Guarded by lends_lock */
	/* The rest is guarded by the table's lock. */
	int fd;		      /* what is mapped: */
	const struct file *file; /* of fd; for comparison alone.  NULL: nothing, or to be unmapped */
	uint64_t first;
	int host_fd;
	int next_fd; /* what was read last, but could not be from what is mapped */
	uint64_t next_first;
	unsigned reads, pause;
};

struct fd_windows {
	struct refcount refs;
	struct pas_window *records; /* owned; written with lends_lock held */
	_Atomic bool left;
	uint64_t loans; /* the last one's number; guarded by lends_lock */
	struct fd_window w[PAS_WINDOWS];
};

static struct mutex lends_lock = MUTEX_INIT;
static struct list_head lent = LIST_HEAD_INIT(lent); /* of fd_window.node; guarded by lends_lock */
static _Atomic unsigned left_count; /* of fd_windows.left, for as long as they are there */
static _Atomic uint64_t recalls; /* how often all was taken back; changed with lends_lock held */

struct fd_windows *fd_windows_new(struct pas_window *records)
{
	struct fd_windows *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	refcount_init(&w->refs, 1);
	w->records = records;
	for (unsigned i = 0; i < PAS_WINDOWS; i++) {
		list_init(&w->w[i].node);
		w->w[i].loan = &records[i].loan;
		w->w[i].next_fd = -1;
	}
	return w;
}

void fd_windows_put(struct fd_windows *w)
{
	if (!w || !refcount_dec(&w->refs))
		return;
	if (atomic_load(&w->left))
		left_count--;
	pas_windows_free(w->records);
	free(w);
}

bool fd_windows_any_left(void)
{
	return atomic_load_explicit(&left_count, memory_order_relaxed) != 0;
}

bool fd_windows_left(const struct fd_windows *w)
{
	return atomic_load(&w->left);
}

static unsigned index_of(int fd)
{
	return (unsigned)fd % PAS_WINDOWS;
}

/* ---- taking back ---- */

/* No read succeeds by the loan any more, before the caller does anything else; nor before inode_recall finds nothing lent. */
static void take_back(struct fd_window *win) REQUIRES(lends_lock)
{
	atomic_store(win->loan, 0);
	list_del_init(&win->node);
	win->inode->lent--;
	win->inode = NULL;
}

/* win is one of t's, and nobody lends meanwhile.  Whoever else takes it back just now is done with the inode afterwards. */
static void recall_window(struct fdtable *t, struct fd_window *win) REQUIRES(t->lock)
{
	mutex_lock(&lends_lock);
	if (win->inode)
		take_back(win);
	mutex_unlock(&lends_lock);
}

void inode_recall_lent(struct inode *i)
{
	struct fd_window *win, *next;

	mutex_lock(&lends_lock);
	list_for_each_entry_safe(win, next, &lent, node)
		if (win->inode == i)
			take_back(win);
	mutex_unlock(&lends_lock);
}

void lends_recall_all(void)
{
	mutex_lock(&lends_lock);
	recalls++;
	while (!list_empty(&lent))
		take_back(list_first_entry(&lent, struct fd_window, node));
	mutex_unlock(&lends_lock);
}

uint32_t fd_windows_closed(struct fdtable *t, unsigned fd)
{
	struct fd_window *win = &t->windows->w[index_of((int)fd)];

	if (win->next_fd == (int)fd) /* what comes there next is read anew */
		win->next_fd = -1;
	if (!win->file || win->fd != (int)fd)
		return 0;
	recall_window(t, win);
	win->file = NULL;
	return 1u << index_of((int)fd);
}

/* ---- tables ---- */

bool fdtable_set_windows(struct fdtable *t, struct fd_windows *w)
{
	bool ok;

	mutex_lock(&t->lock);
	ok = !t->windows && !t->no_windows;
	if (ok) {
		refcount_inc(&w->refs);
		t->windows = w;
	}
	mutex_unlock(&t->lock);
	return ok;
}

void fdtable_no_windows(struct fdtable *t)
{
	mutex_lock(&t->lock);
	t->no_windows = true;
	for (unsigned i = 0; t->windows && i < PAS_WINDOWS; i++) {
		struct fd_window *win = &t->windows->w[i];

		recall_window(t, win);
		if (win->file)
			t->windows_stale |= 1u << i;
		win->file = NULL;
	}
	mutex_unlock(&t->lock);
}

bool fdtable_leave_windows(struct fdtable *t)
{
	struct fd_windows *w;

	mutex_lock(&t->lock);
	w = t->windows;
	for (unsigned i = 0; w && i < PAS_WINDOWS; i++)
		recall_window(t, &w->w[i]);
	if (w) {
		left_count++;
		atomic_store(&w->left, true);
	}
	t->windows = NULL;
	t->no_windows = false;
	t->windows_stale = 0;
	mutex_unlock(&t->lock);
	fd_windows_put(w);
	return w != NULL;
}

bool fdtable_has_windows(struct fdtable *t, const struct fd_windows *w)
{
	bool r;

	mutex_lock(&t->lock);
	r = t->windows == w;
	mutex_unlock(&t->lock);
	return r;
}

bool fdtable_is_stale(const struct fdtable *t)
{
	return atomic_load_explicit(&t->windows_stale, memory_order_relaxed) != 0;
}

uint32_t fdtable_take_stale(struct fdtable *t)
{
	return fdtable_is_stale(t) ? atomic_exchange(&t->windows_stale, 0) : 0;
}

bool fd_window_is_empty(struct fdtable *t, const struct fd_windows *w, unsigned i)
{
	bool r;

	mutex_lock(&t->lock);
	r = !w->w[i].file;
	mutex_unlock(&t->lock);
	return r;
}

/* ---- lending ---- */

static bool is_at(const struct fdtable *t, int fd, const struct file *f) REQUIRES(t->lock)
{
	return (unsigned)fd < t->cap && t->files[fd] == f;
}

/* Whether pos lies in what is mapped for that descriptor. */
static bool holds(const struct fd_window *win, int fd, const struct file *f, int64_t pos)
{
	return win->file == f && win->fd == fd && (uint64_t)pos >= win->first && (uint64_t)pos - win->first < PAS_WINDOW_SIZE;
}

static enum fd_reads note_read(struct fd_window *win, int fd, const struct file *f, int64_t pos)
{
	uint64_t first = (uint64_t)pos / WINDOW_STEP * WINDOW_STEP;

	if (holds(win, fd, f, pos)) {
		if (atomic_load_explicit(win->loan, memory_order_relaxed))
			return READS_LENT;
	} else if (win->next_fd != fd || win->next_first != first) {
		win->next_fd = fd;
		win->next_first = first;
		win->reads = 0;
		win->pause = LEND_AFTER;
	}
	win->reads += win->reads < UINT32_MAX;
	if (win->pause == 0)
		return READS_OFTEN;
	win->pause--;
	return READS_SELDOM;
}

enum fd_reads fd_note_read(struct fdtable *t, int fd, const struct file *f, int64_t pos)
{
	enum fd_reads r = READS_SELDOM;

	if (atomic_load_explicit(&t->no_windows, memory_order_relaxed))
		return r;
	mutex_lock(&t->lock);
	if (t->no_windows || !is_at(t, fd, f))
		r = READS_SELDOM;
	else if (t->windows)
		r = note_read(&t->windows->w[index_of(fd)], fd, f, pos);
	else if (t->reads++ >= LEND_AFTER)
		r = READS_OFTEN;
	mutex_unlock(&t->lock);
	return r;
}

/* What of f may be lent from first on. */
static bool may_lend(struct file *f, uint64_t first, uint64_t reads, struct file_loan *loan) REQUIRES(f->inode->lock)
{
	return f->ops->lend_pages(f, first, reads, loan) && loan->past > first;
}

static bool lend_locked(struct fdtable *t, struct fd_windows *w, int fd, struct file *f, const struct file_loan *loan, uint64_t before)
	REQUIRES(f->inode->lock, t->lock)
{
	struct fd_window *win = &w->w[index_of(fd)];
	struct pas_window *rec = &w->records[index_of(fd)];
	bool ok;

	/* Anything may have happened while nothing was locked. */
	if (t->windows != w || t->no_windows || !is_at(t, fd, f) || win->file != f || win->fd != fd || win->host_fd != loan->host_fd)
		return false;
	mutex_lock(&lends_lock);
	/* Who changes something for all files, or begins to watch, does so first, and then recalls all. */
	ok = recalls == before && nobody_watches_files();
	if (ok && !win->inode) {
		rec->fd = fd;
		rec->first = win->first;
		rec->span = min_of(loan->past - win->first, PAS_WINDOW_SIZE);
		rec->size = loan->size;
		win->inode = f->inode;
		win->inode->lent++;
		list_add(&win->node, &lent);
		atomic_store(&rec->loan, ++w->loans);
	}
	mutex_unlock(&lends_lock);
	return ok;
}

/* Has f's bytes mapped from first on.  False if that cannot be done, or f is closed by now, or the table is to have none. */
static bool map(struct fdtable *t, struct fd_windows *w, struct pctx *ctx, int fd, const struct file *f, uint64_t first, int host_fd)
{
	struct fd_window *win = &w->w[index_of(fd)];
	bool ok;
	int r;

	mutex_lock(&t->lock);
	recall_window(t, win);
	win->file = NULL;
	mutex_unlock(&t->lock);
	r = pas_window_map(ctx, index_of(fd), host_fd, first);
	mutex_lock(&t->lock);
	ok = r == 0 && !t->no_windows && is_at(t, fd, f);
	if (ok) {
		win->file = f;
		win->fd = fd;
		win->first = first;
		win->host_fd = host_fd;
	} else {
		atomic_fetch_or(&t->windows_stale, 1u << index_of(fd));
	}
	mutex_unlock(&t->lock);
	return ok;
}

bool fd_lend_window(struct fdtable *t, struct fd_windows *w, struct pctx *ctx, int fd, struct file *f, int64_t pos)
{
	struct fd_window *win = &w->w[index_of(fd)];
	struct file_loan loan;
	uint64_t first, reads, before;
	bool ok, mapped;

	mutex_lock(&t->lock);
	mapped = holds(win, fd, f, pos);
	first = mapped ? win->first : (uint64_t)pos / WINDOW_STEP * WINDOW_STEP;
	reads = win->reads;
	mutex_unlock(&t->lock);
	mutex_lock(&f->inode->lock);
	ok = may_lend(f, first, reads, &loan);
	mutex_unlock(&f->inode->lock);
	/* What is mapped may be where the bytes were once; only mm.lock's holder changes that. */
	if (ok && !(mapped && win->host_fd == loan.host_fd))
		ok = map(t, w, ctx, fd, f, first, loan.host_fd);
	if (ok) {
		mutex_lock(&f->inode->lock);
		before = recalls;
		ok = may_lend(f, first, reads, &loan);
		mutex_lock(&t->lock);
		ok = ok && lend_locked(t, w, fd, f, &loan, before);
		mutex_unlock(&t->lock);
		mutex_unlock(&f->inode->lock);
	}
	if (!ok) {
		mutex_lock(&t->lock);
		win->pause = PAUSE;
		mutex_unlock(&t->lock);
	}
	return ok;
}
