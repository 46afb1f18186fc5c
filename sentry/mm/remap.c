/* mremap(2) and remap_file_pages(2). */
#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/mm/change.h"
#include "sentry/vfs/vfs.h"

struct remap {
	uint64_t addr, old_len, new_len, new_addr;
	int flags;
};

static int remap_check(const struct remap *m)
{
	uint64_t end;

	if (m->flags & ~(L_MREMAP_MAYMOVE | L_MREMAP_FIXED | L_MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((m->flags & (L_MREMAP_FIXED | L_MREMAP_DONTUNMAP)) && !(m->flags & L_MREMAP_MAYMOVE))
		return -EINVAL;
	if ((m->flags & L_MREMAP_DONTUNMAP) && m->old_len != m->new_len)
		return -EINVAL;
	if ((m->addr & ~PAGE_MASK) || m->new_len == 0 || m->new_len > GUEST_CEILING)
		return -EINVAL;
	if (!checked_add(m->addr, m->old_len, &end) || end > GUEST_CEILING)
		return -EFAULT;
	if (m->flags & (L_MREMAP_FIXED | L_MREMAP_DONTUNMAP)) {
		if ((m->new_addr & ~PAGE_MASK) || m->new_addr > GUEST_CEILING - m->new_len)
			return -EINVAL;
		if ((m->flags & L_MREMAP_FIXED) && m->new_addr < GUEST_MIN)
			return -EPERM;
		if (m->new_addr < m->addr + m->old_len && m->addr < m->new_addr + m->new_len)
			return -EINVAL;
	}
	return 0;
}

/* An old length of 0 maps shared memory a second time; what the host has as private (mm_host_flags) needs the file for it. */
static int map_again(struct task *t, struct mm *mm, const struct remap *m, const struct vma *v, uint64_t to) REQUIRES(mm->lock)
{
	uint64_t off = v->off + (m->addr - v->start), host_off = 0;
	int host_flags = mm_host_flags(v->file, v->flags), host_fd = -1;
	int r = v->file->ops->mmap(v->file, off, m->new_len, v->prot, v->flags, &host_fd, &host_off);

	if (r < 0)
		return r;
	if (host_fd < 0)
		host_flags |= L_MAP_ANONYMOUS;
	return pas_map(mm->as, mm_via(t, mm), to, m->new_len, v->prot, host_flags, host_fd, host_off);
}

/* Moves old to new_addr.  v is the VMA of the old range. */
static int64_t remap_move(struct task *t, struct mm *mm, const struct remap *m, const struct vma *v, uint64_t to)
	REQUIRES(mm->lock)
{
	struct vma_spare clear_new, clear_old, insert;
	struct vma moved = *v;
	int r;

	r = vma_reserve(mm, &clear_new);
	if (r < 0)
		return r;
	r = vma_reserve(mm, &clear_old);
	if (r < 0)
		goto out_new;
	r = vma_reserve_more(mm, 9, &insert);
	if (r < 0)
		goto out_old;
	if (m->old_len == 0 && !mm_may_write(v->file, v->flags))
		r = map_again(t, mm, m, v, to);
	else
		r = pas_remap(mm->as, mm_via(t, mm), m->addr, m->old_len, m->new_len, to, m->flags & L_MREMAP_DONTUNMAP);
	if (r < 0)
		goto out_insert;
	moved.off += m->addr - v->start;
	moved.start = to;
	moved.end = to + m->new_len;
	vma_refs_get(&moved); /* the old VMA may be the last holder */
	vma_remove_range(mm, moved.start, moved.end, &clear_new);
	if (m->old_len && !(m->flags & L_MREMAP_DONTUNMAP))
		vma_remove_range(mm, m->addr, m->addr + m->old_len, &clear_old);
	vma_insert(mm, &moved, &insert);
	vma_refs_put(&moved);
	if (m->new_len > m->old_len)
		r = mm_populate_locked(t, mm, to + m->old_len, to + m->new_len);
out_insert:
	vma_spare_free(&insert);
out_old:
	vma_spare_free(&clear_old);
out_new:
	vma_spare_free(&clear_new);
	return r < 0 ? r : (int64_t)to;
}

/* Grows v, which ends where the old range ends, in place.  mm->lock held. */
static int remap_grow(struct task *t, struct mm *mm, const struct remap *m) REQUIRES(mm->lock)
{
	struct vma *v;
	int r = pas_remap(mm->as, mm_via(t, mm), m->addr, m->old_len, m->new_len, m->addr, 0);

	if (r < 0)
		return r;
	v = mm_find(mm, m->addr);
	v->end = m->addr + m->new_len;
	vma_account(mm, v, m->new_len - m->old_len);
	vma_merge_range(mm, v->start, v->end);
	return mm_populate_locked(t, mm, m->addr + m->old_len, m->addr + m->new_len);
}

static int64_t remap_locked(struct task *t, struct mm *mm, struct remap *m) REQUIRES(mm->lock)
{
	struct vma *v = mm_find(mm, m->addr);
	uint64_t to;
	int r;

	if (!v)
		return -EFAULT;
	if (v->sealed || ((m->flags & L_MREMAP_FIXED) && vma_any_sealed(mm, m->new_addr, m->new_len)))
		return -EPERM;
	if (m->old_len == 0 && !(v->flags & L_MAP_SHARED))
		return -EINVAL;
	if (m->old_len > v->end - m->addr)
		return -EFAULT;
	if (m->new_len > m->old_len) {
		r = mm_check_limits(t, mm, m->new_len - m->old_len, v);
		if (r == 0 && v->locked)
			r = mm_check_more_locked(t, mm, m->new_len - m->old_len);
		if (r < 0)
			return r;
	}
	if (m->flags & L_MREMAP_FIXED)
		return remap_move(t, mm, m, v, m->new_addr);
	if (m->flags & L_MREMAP_DONTUNMAP) {
		to = m->new_addr; /* a hint */
		if (to < GUEST_MIN || !vma_range_free(mm, to, m->new_len))
			to = mm_find_gap(mm, m->new_len, 0, GUEST_CEILING);
		return to ? remap_move(t, mm, m, v, to) : -ENOMEM;
	}
	if (m->old_len && m->old_len == v->end - m->addr && m->addr <= GUEST_CEILING - m->new_len &&
	    vma_range_free(mm, v->end, m->new_len - m->old_len)) {
		r = remap_grow(t, mm, m);
		if (r == 0)
			return (int64_t)m->addr;
		if (r != -ENOMEM)
			return r;
	}
	if (!(m->flags & L_MREMAP_MAYMOVE))
		return -ENOMEM;
	to = mm_find_gap(mm, m->new_len, 0, GUEST_CEILING);
	return to ? remap_move(t, mm, m, v, to) : -ENOMEM;
}

/*
 * Moves all that is mapped in the old range, which is to stay as long as it is, and the gaps between stay, too (Linux 6.17).  What
 * came before one that cannot be moved has moved.
 */
static int64_t remap_many(struct task *t, struct mm *mm, const struct remap *m) REQUIRES(mm->lock)
{
	uint64_t end = m->addr + m->old_len;
	int64_t r = -EFAULT; /* nothing there, or a gap before the first */

	for (uint64_t at = m->addr; at < end;) {
		size_t i = vma_index(mm, at);
		struct remap part = *m;

		if (i == mm->vma_count || mm->vmas[i]->start >= end || (at == m->addr && mm->vmas[i]->start > at))
			break;
		part.addr = max_of(mm->vmas[i]->start, at);
		part.old_len = part.new_len = min_of(mm->vmas[i]->end, end) - part.addr;
		part.new_addr += part.addr - m->addr;
		at = part.addr + part.old_len;
		r = remap_locked(t, mm, &part);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : (int64_t)m->new_addr;
}

/* What mremap asks of a range before it cuts its end off: that what is mapped at its beginning goes on for len bytes, and may be
 * changed. */
static int check_beginning(struct mm *mm, uint64_t addr, uint64_t len)
{
	const struct vma *v;
	int r = 0;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (!v)
		r = -EFAULT;
	else if (v->sealed)
		r = -EPERM;
	else if (len > v->end - addr)
		r = -EFAULT;
	mutex_unlock(&mm->lock);
	return r;
}

int64_t mm_remap(struct task *t, struct mm *mm, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags,
		 uint64_t new_addr)
{
	struct remap m = {addr, 0, 0, new_addr, flags};
	bool many;
	int64_t r;

	if (!page_up(old_len, &m.old_len) || !page_up(new_len, &m.new_len))
		return -EINVAL;
	r = remap_check(&m);
	if (r < 0)
		return r;
	if (m.new_len <= m.old_len && !(flags & (L_MREMAP_FIXED | L_MREMAP_DONTUNMAP))) {
		r = check_beginning(mm, addr, 0);
		if (r == 0 && m.new_len < m.old_len)
			r = mm_unmap(t, mm, addr + m.new_len, m.old_len - m.new_len);
		return r < 0 ? r : (int64_t)addr;
	}
	many = (flags & L_MREMAP_FIXED) && m.old_len && m.old_len == m.new_len;
	if ((flags & L_MREMAP_FIXED) && m.new_len < m.old_len) {
		r = check_beginning(mm, addr, m.new_len);
		if (r == 0)
			r = mm_unmap(t, mm, addr + m.new_len, m.old_len - m.new_len);
		if (r < 0)
			return r;
		m.old_len = m.new_len;
	}
	mutex_lock(&mm->lock);
	r = many ? remap_many(t, mm, &m) : remap_locked(t, mm, &m);
	mutex_unlock(&mm->lock);
	return r;
}

/* What remap_file_pages(2) is to map again: the file (counted), the protection and the flags of the mapping at addr. */
static int remapped_file(struct mm *mm, uint64_t addr, uint64_t len, int *prot, int *flags, struct file **out)
{
	struct vma *v;
	int r = -EINVAL;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v && (v->flags & L_MAP_SHARED) && v->file && mm_may_write(v->file, v->flags) && addr + len <= v->end) {
		*prot = v->prot;
		*flags = L_MAP_SHARED | L_MAP_FIXED | L_MAP_POPULATE | (v->locked ? L_MAP_LOCKED : 0);
		*out = file_get(v->file);
		r = 0;
	}
	mutex_unlock(&mm->lock);
	return r;
}

int mm_remap_file(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, uint64_t page_off, int nonblock)
{
	uint64_t end, off;
	int prot, flags, r;
	struct file *file;
	int64_t at;

	addr = page_down(addr);
	len = page_down(len);
	if (!checked_add(addr, len, &end) || end <= addr || end > GUEST_CEILING)
		return -EINVAL;
	if (page_off > (INT64_MAX >> 12) || !checked_add(page_off * PAGE_SIZE, len, &off) || off > INT64_MAX)
		return -EINVAL;
	r = remapped_file(mm, addr, len, &prot, &flags, &file);
	if (r < 0)
		return r;
	if (nonblock)
		flags |= L_MAP_NONBLOCK;
	/* Where attachments are counted the old one goes first: it may be the last of what is to go with it. */
	at = file->ops->map_count ? mm_unmap(t, mm, addr, len) : 0;
	if (at == 0)
		at = mm_map(t, mm, addr, len, prot, flags, file, page_off * PAGE_SIZE, VMA_PLAIN);
	file_put(file);
	return at < 0 ? (int)at : 0;
}
