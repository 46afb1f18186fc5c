/* What of sentry/vfs/windows.h concerns address spaces: whose its windows are, and what is mapped in them. */
#include "sentry/vfs/windows.h"

#include "sentry/mm/change.h"

/* The table whose they were is used by no task any more. */
static bool drop_left(struct mm *mm, struct pctx *via) REQUIRES(mm->lock)
{
	if (!mm->windows || !fd_windows_left(mm->windows))
		return true;
	if (pas_window_unmap(mm->as, via, PAS_WINDOWS) < 0)
		return false;
	fd_windows_put(mm->windows);
	mm->windows = NULL;
	return true;
}

/* The table's windows become the address space's. */
static bool get_windows(struct task *t, struct mm *mm) REQUIRES(mm->lock)
{
	struct pas_window *records;
	struct fd_windows *w;

	if (pas_windows_new(t->ctx, &records) < 0)
		return false;
	w = fd_windows_new(records);
	if (!w)
		pas_windows_free(records);
	if (!w || !fdtable_set_windows(t->files, w)) {
		fd_windows_put(w);
		return false;
	}
	mm->windows = w;
	return true;
}

static void clean(struct task *t, struct mm *mm) REQUIRES(mm->lock)
{
	uint32_t stale;

	/* Else they are for somebody of another address space to unmap. */
	if (!mm->windows || !fdtable_has_windows(t->files, mm->windows))
		return;
	stale = fdtable_take_stale(t->files);
	for (unsigned i = 0; i < PAS_WINDOWS; i++)
		if ((stale >> i & 1) && fd_window_is_empty(t->files, mm->windows, i) && pas_window_unmap(mm->as, t->ctx, i) < 0)
			log_debug("a window could not be unmapped"); /* its stub is dead, or lied */
}

static bool lend(struct task *t, struct mm *mm, int fd, struct file *f, int64_t pos) REQUIRES(mm->lock)
{
	bool had, ok;

	if (!pas_has_windows(mm->as)) {
		fdtable_no_windows(t->files);
		return false;
	}
	/* It is shown none if there is none; this asks whether it could look at them. */
	if (!pctx_show_windows(t->ctx, false) || !drop_left(mm, t->ctx))
		return false;
	had = mm->windows;
	ok = had ? fdtable_has_windows(t->files, mm->windows) : get_windows(t, mm);
	if (!ok)
		fdtable_no_windows(t->files); /* another table has them, or there cannot be any */
	if (!ok || !had)
		return false; /* from now on reads are counted, for each descriptor */
	ok = fd_lend_window(t->files, mm->windows, t->ctx, fd, f, pos);
	clean(t, mm); /* if f was closed meanwhile */
	return pctx_show_windows(t->ctx, true) && ok;
}

bool mm_lend_reads(struct task *t, int fd, struct file *f, int64_t pos)
{
	enum fd_reads reads = fd_note_read(t->files, fd, f, pos);
	struct mm *mm = t->mm;
	bool ok;

	if (LIKELY(reads == READS_SELDOM))
		return false;
	if (reads == READS_LENT)
		return pctx_show_windows(t->ctx, true);
	mutex_lock(&mm->lock);
	ok = lend(t, mm, fd, f, pos);
	mutex_unlock(&mm->lock);
	return ok;
}

void mm_clean_windows(struct task *t)
{
	struct mm *mm = t->mm;

	if (LIKELY(!fdtable_is_stale(t->files) && !fd_windows_any_left()))
		return;
	mutex_lock(&mm->lock);
	(void)drop_left(mm, t->ctx);
	clean(t, mm);
	mutex_unlock(&mm->lock);
}

void mm_leave_windows(struct task *t, bool all)
{
	struct mm *mm = t->mm;

	if (t->ctx)
		(void)pctx_show_windows(t->ctx, false);
	if (!all || !fdtable_leave_windows(t->files) || !mm || refcount_read(&mm->refs) == 1)
		return;
	mutex_lock(&mm->lock);
	(void)drop_left(mm, NULL);
	mutex_unlock(&mm->lock);
}
