/* Memory that is looked into from outside, by a debugger: what the guest itself could make accessible counts as such.
 */
#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"

/* Whether an access of v can be had by force: a shared mapping is not written where its owner may not. */
static bool may_force(const struct vma *v, bool write)
{
	return !write || (v->flags & L_MAP_TYPE) == L_MAP_PRIVATE;
}

static ssize_t move(struct mm *mm, uint64_t addr, void *buf, size_t len, bool write)
{
	return write ? pas_write(mm->as, addr, buf, len) : pas_read(mm->as, addr, buf, len);
}

/*
 * Within one page.  The page is made accessible for the moment of the copy, and mm's lock keeps the guest from changing
 * what is mapped meanwhile: the one copy that is made with that lock held.
 */
static ssize_t access_in_page(struct task *t, struct mm *mm, uint64_t addr, void *buf, size_t len, bool write)
	REQUIRES(mm->lock)
{
	int need = write ? L_PROT_READ | L_PROT_WRITE : L_PROT_READ, r;
	struct pctx *via = t && t->mm == mm ? t->ctx : NULL;
	struct vma *v = mm_find(mm, addr);
	uint64_t page = addr & PAGE_MASK;
	ssize_t n;

	if (!v)
		return -EFAULT;
	if ((v->prot & need) == need)
		return move(mm, addr, buf, len, write);
	if (!may_force(v, write))
		return -EFAULT;
	r = pas_protect(mm->as, via, page, PAGE_SIZE, v->prot | need);
	if (r < 0)
		return r;
	n = move(mm, addr, buf, len, write);
	r = pas_protect(mm->as, via, page, PAGE_SIZE, v->prot);
	if (r < 0) {
		pas_kill(mm->as); /* the page is not as the list says */
		return r;
	}
	return n;
}

/* Memory that a fault may be wanted in, by userfaultfd(2) or protection keys, would have no room; there is neither. */
void mm_tell_room(struct task *t, uint64_t addr)
{
	struct mm *mm = t->mm;
	const struct vma *v;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v)
		pctx_set_room(t->ctx, v->start, v->end,
			      !v->file && (v->flags & L_MAP_TYPE) == L_MAP_PRIVATE && (v->prot & L_PROT_WRITE) && !mm->guarded);
	mutex_unlock(&mm->lock);
}

ssize_t mm_move(struct mm *mm, uint64_t addr, void *buf, size_t len, bool write)
{
	bool watches = pas_watch(mm->as);
	ssize_t n = move(mm, addr, buf, len, write);

	if (watches)
		pas_unwatch(mm->as);
	return n;
}

ssize_t mm_access(struct task *t, struct mm *mm, uint64_t addr, void *buf, size_t len, bool write)
{
	bool watches = pas_watch(mm->as);
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		uint64_t at = addr + done;
		size_t part = min_of(len - done, (size_t)(PAGE_SIZE - at % PAGE_SIZE));

		if (at < addr || at >= GUEST_CEILING)
			break;
		mutex_lock(&mm->lock);
		n = access_in_page(t, mm, at, (uint8_t *)buf + done, part, write);
		mutex_unlock(&mm->lock);
		if (n <= 0)
			break;
		done += (size_t)n;
		if ((size_t)n < part)
			break;
	}
	if (watches)
		pas_unwatch(mm->as);
	return done ? (ssize_t)done : n < 0 ? n : -EFAULT;
}
