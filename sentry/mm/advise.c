/* madvise(2), msync(2) and mincore(2). */
#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/mm/change.h"
#include "sentry/vfs/windows.h"

/* Whether advice throws contents away, which a seal forbids of private memory that could not be written over either. */
static bool breaks_seal(const struct vma *v, int advice)
{
	if (!v->sealed || !(v->flags & L_MAP_PRIVATE) || (v->prot & L_PROT_WRITE))
		return false;
	return advice == L_MADV_FREE || advice == L_MADV_DONTNEED || advice == L_MADV_DONTNEED_LOCKED ||
	       advice == L_MADV_REMOVE || advice == L_MADV_DONTFORK || advice == L_MADV_WIPEONFORK ||
	       advice == L_MADV_GUARD_INSTALL;
}

/* What the books keep of advice, in *v. */
static void mark(struct vma *v, int advice)
{
	switch (advice) {
	case L_MADV_NORMAL:
	case L_MADV_RANDOM:
	case L_MADV_SEQUENTIAL:
		v->hints &= (uint8_t)~(VMA_RANDOM | VMA_SEQUENTIAL);
		if (advice != L_MADV_NORMAL)
			v->hints |= advice == L_MADV_RANDOM ? VMA_RANDOM : VMA_SEQUENTIAL;
		break;
	case L_MADV_HUGEPAGE:
	case L_MADV_NOHUGEPAGE:
		v->hints &= (uint8_t)~(VMA_HUGE | VMA_NO_HUGE);
		v->hints |= advice == L_MADV_HUGEPAGE ? VMA_HUGE : VMA_NO_HUGE;
		break;
	case L_MADV_MERGEABLE:
		v->hints |= VMA_MERGEABLE;
		break;
	case L_MADV_UNMERGEABLE:
		v->hints &= (uint8_t)~VMA_MERGEABLE;
		break;
	case L_MADV_DONTFORK:
	case L_MADV_DOFORK:
		v->dont_fork = advice == L_MADV_DONTFORK;
		break;
	case L_MADV_WIPEONFORK:
	case L_MADV_KEEPONFORK:
		v->wipe_on_fork = advice == L_MADV_WIPEONFORK;
		break;
	case L_MADV_DONTDUMP:
	case L_MADV_DODUMP:
		v->dont_dump = advice == L_MADV_DONTDUMP;
		break;
	default:
		break;
	}
}

/* Whether that would change anything: then the advised part becomes a VMA of its own. */
static bool leaves_mark(const struct vma *v, int advice)
{
	struct vma marked = *v;

	mark(&marked, advice);
	return marked.hints != v->hints || marked.dont_fork != v->dont_fork || marked.wipe_on_fork != v->wipe_on_fork ||
	       marked.dont_dump != v->dont_dump;
}

/* Which memory takes which advice; see madvise(2).  The host is not told of locks, and so would not mind them. */
static int check_advice(const struct vma *v, int advice)
{
	bool private_anon = !v->file && (v->flags & L_MAP_PRIVATE);

	switch (advice) {
	case L_MADV_FREE:
		return private_anon && !v->locked ? 0 : -EINVAL;
	case L_MADV_WIPEONFORK:
		return private_anon ? 0 : -EINVAL;
	case L_MADV_DONTNEED:
	case L_MADV_COLD:
	case L_MADV_PAGEOUT:
	case L_MADV_GUARD_INSTALL:
		return v->locked ? -EINVAL : 0;
	case L_MADV_POPULATE_READ:
		return v->prot & L_PROT_READ ? 0 : -EINVAL;
	case L_MADV_POPULATE_WRITE:
		return v->prot & L_PROT_WRITE ? 0 : -EINVAL;
	case L_MADV_REMOVE:
		if (v->locked || private_anon)
			return -EINVAL;
		return (v->flags & L_MAP_SHARED) && mm_may_write(v->file, v->flags) ? 0 : -EACCES;
	default:
		return 0;
	}
}

/* MADV_REMOVE makes holes in a file, which are not lent to readers. */
static int remove_part(struct task *t, struct mm *mm, struct inode *i, uint64_t start, uint64_t stop) REQUIRES(mm->lock)
{
	int r;

	mutex_lock(&i->lock);
	inode_recall(i);
	r = pas_advise(mm->as, mm_via(t, mm), PAS_MADVISE, start, stop - start, L_MADV_REMOVE);
	mutex_unlock(&i->lock);
	return r;
}

static int advise_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t advice) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	if (breaks_seal(v, (int)advice))
		return -EPERM;
	r = check_advice(v, (int)advice);
	if (r < 0)
		return r;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	if (advice == L_MADV_REMOVE && v->file)
		r = remove_part(t, mm, v->file->inode, start, stop);
	else
		r = pas_advise(mm->as, mm_via(t, mm), PAS_MADVISE, start, stop - start, (int)advice);
	if (r == 0 && leaves_mark(v, (int)advice)) {
		vma_split(mm, start, &spare);
		vma_split(mm, stop, &spare);
		mark(mm_find(mm, start), (int)advice);
	}
	vma_spare_free(&spare);
	return r;
}

static bool advice_known(int advice)
{
	switch (advice) {
	case L_MADV_NORMAL:
	case L_MADV_RANDOM:
	case L_MADV_SEQUENTIAL:
	case L_MADV_WILLNEED:
	case L_MADV_DONTNEED:
	case L_MADV_FREE:
	case L_MADV_REMOVE:
	case L_MADV_DONTFORK:
	case L_MADV_DOFORK:
	case L_MADV_MERGEABLE:
	case L_MADV_UNMERGEABLE:
	case L_MADV_HUGEPAGE:
	case L_MADV_NOHUGEPAGE:
	case L_MADV_DONTDUMP:
	case L_MADV_DODUMP:
	case L_MADV_WIPEONFORK:
	case L_MADV_KEEPONFORK:
	case L_MADV_COLD:
	case L_MADV_PAGEOUT:
	case L_MADV_POPULATE_READ:
	case L_MADV_POPULATE_WRITE:
	case L_MADV_DONTNEED_LOCKED:
	case L_MADV_COLLAPSE:
	case L_MADV_GUARD_INSTALL: /* their pages are marked in the host's page tables; a host that knows none says so */
	case L_MADV_GUARD_REMOVE:
		return true;
	default:
		return false;
	}
}

/* Whether DONTNEED may be asked for all of [addr, end) in one host call: then no VMA of it minds, and none is changed by it. */
static bool wants_nothing_of(const struct mm *mm, uint64_t addr, uint64_t end) REQUIRES(mm->lock)
{
	if (mm_mapped_end(mm, addr, end) < end)
		return false;
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < end; i++)
		if (breaks_seal(mm->vmas[i], L_MADV_DONTNEED) || check_advice(mm->vmas[i], L_MADV_DONTNEED) < 0)
			return false;
	return true;
}

int mm_advise(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int advice)
{
	uint64_t end, till;
	int r;

	if (!advice_known(advice))
		return -EINVAL;
	r = mm_check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	mm->guarded |= advice == L_MADV_GUARD_INSTALL;
	/* What is to be brought in is so up to a hole; other advice passes over it. */
	till = advice == L_MADV_POPULATE_READ || advice == L_MADV_POPULATE_WRITE ? mm_mapped_end(mm, addr, end) : end;
	if (advice == L_MADV_DONTNEED && wants_nothing_of(mm, addr, end))
		r = pas_advise(mm->as, mm_via(t, mm), PAS_MADVISE, addr, end - addr, advice);
	else
		r = mm_for_each_part(t, mm, addr, till, advise_part, (uintptr_t)advice);
	if (r == 0 && till < end)
		r = -ENOMEM;
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

static int sync_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t flags)
{
	if ((flags & L_MS_INVALIDATE) && v->locked)
		return -EBUSY;
	if (!v->file || !(v->flags & L_MAP_SHARED))
		return 0;
	return pas_advise(mm->as, mm_via(t, mm), PAS_MSYNC, start, stop - start, (int)flags);
}

int mm_sync(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags)
{
	uint64_t end;
	int r;

	if ((flags & ~(L_MS_ASYNC | L_MS_INVALIDATE | L_MS_SYNC)) || ((flags & L_MS_ASYNC) && (flags & L_MS_SYNC)))
		return -EINVAL;
	r = mm_check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	r = mm_for_each_part(t, mm, addr, end, sync_part, (uintptr_t)flags);
	mutex_unlock(&mm->lock);
	return r;
}

/*
 * The host answers, straight into the guest's memory.  Not with mm->lock held, as for any copy: what is unmapped meanwhile is
 * the host's -ENOMEM.
 */
int mm_mincore(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, uint64_t vec)
{
	if (vec > GUEST_CEILING || len / PAGE_SIZE > GUEST_CEILING - vec)
		return -EFAULT;
	return pas_mincore(mm->as, mm_via(t, mm), addr, len, vec);
}
