/*
 * NUMA policies as a machine with one node has them: each is checked, kept and shown as Linux does, and none can have
 * an effect, since all memory is node 0's.  What mbind(2) sets lies in the VMAs.  See set_mempolicy(2), mbind(2).
 */
#include "sentry/mm/numa.h"

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"

#define MODE_FLAGS (L_MPOL_F_STATIC_NODES | L_MPOL_F_RELATIVE_NODES | L_MPOL_F_NUMA_BALANCING)
#define USER_NODES (L_MPOL_F_STATIC_NODES | L_MPOL_F_RELATIVE_NODES) /* the mask is shown as it was given */
#define NODE_0 1ull

static int check_mode(int base, int flags)
{
	if (base < 0 || base > L_MPOL_WEIGHTED_INTERLEAVE)
		return -EINVAL;
	if ((flags & USER_NODES) == USER_NODES)
		return -EINVAL;
	if ((flags & L_MPOL_F_NUMA_BALANCING) && base != L_MPOL_BIND && base != L_MPOL_PREFERRED_MANY)
		return -EINVAL;
	return 0;
}

int mem_policy_make(int mode, const struct node_mask *nodes, struct mem_policy *out)
{
	int flags = mode & MODE_FLAGS, base = mode & ~MODE_FLAGS, r = check_mode(base, flags);
	bool empty = !nodes->low && !nodes->high;

	if (r < 0)
		return r;
	*out = (struct mem_policy){L_MPOL_DEFAULT, 0};
	if (base == L_MPOL_DEFAULT)
		return empty ? 0 : -EINVAL;
	if (base == L_MPOL_LOCAL || (base == L_MPOL_PREFERRED && empty)) {
		if (!empty || (flags & USER_NODES))
			return -EINVAL;
		out->mode = L_MPOL_LOCAL;
		return 0;
	}
	/* Relative nodes are folded onto those there are; of others one must be there. */
	if (empty || (!(nodes->low & NODE_0) && !(flags & L_MPOL_F_RELATIVE_NODES)))
		return -EINVAL;
	out->mode = base | flags;
	out->nodes = flags & USER_NODES ? nodes->low : NODE_0;
	return 0;
}

/* The range of a call that takes start and len: -EINVAL as Linux says.  Empty if *end is addr. */
static int policy_range(uint64_t addr, uint64_t len, uint64_t *end)
{
	len = (len + PAGE_SIZE - 1) & PAGE_MASK; /* which wraps, as on Linux */
	if ((addr & ~PAGE_MASK) || !checked_add(addr, len, end))
		return -EINVAL;
	return 0;
}

/* Whether [addr, end) has what mbind wants: something at all, and no holes unless the policy is the default. */
static bool covered(struct mm *mm, uint64_t addr, uint64_t end, bool holes_ok) REQUIRES(mm->lock)
{
	size_t i = vma_index(mm, addr);

	if (i == mm->vma_count || mm->vmas[i]->start >= end)
		return false;
	while (!holes_ok && addr < end) {
		if (i == mm->vma_count || mm->vmas[i]->start > addr)
			return false;
		addr = mm->vmas[i++]->end;
	}
	return true;
}

static int bind_locked(struct mm *mm, uint64_t addr, uint64_t end, const struct mem_policy *policy) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	if (!covered(mm, addr, end, policy->mode == L_MPOL_DEFAULT))
		return -EFAULT;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	vma_split(mm, addr, &spare);
	vma_split(mm, end, &spare);
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < end; i++)
		mm->vmas[i]->policy = *policy;
	vma_spare_free(&spare);
	vma_merge_range(mm, addr, end);
	return 0;
}

int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t len, const struct mem_policy *policy)
{
	uint64_t end;
	int r = policy_range(addr, len, &end);

	if (r < 0 || end == addr)
		return r;
	mutex_lock(&mm->lock);
	r = bind_locked(mm, addr, end, policy);
	mutex_unlock(&mm->lock);
	return r;
}

int mm_get_policy(struct mm *mm, uint64_t addr, struct mem_policy *out)
{
	struct vma *v;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v)
		*out = v->policy;
	mutex_unlock(&mm->lock);
	return v ? 0 : -EFAULT;
}

int mm_set_home_node(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int r = policy_range(addr, len, &end);

	if (r < 0 || end == addr)
		return r;
	r = -ENOENT; /* unless some part has a policy */
	mutex_lock(&mm->lock);
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < end; i++) {
		int mode = mm->vmas[i]->policy.mode & ~MODE_FLAGS;

		if (mode == L_MPOL_DEFAULT)
			continue;
		if (mode != L_MPOL_BIND && mode != L_MPOL_PREFERRED_MANY) {
			r = -EOPNOTSUPP;
			break;
		}
		r = 0;
	}
	mutex_unlock(&mm->lock);
	return r;
}
