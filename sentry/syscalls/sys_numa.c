/* NUMA calls: decoding, and moving pages about on a machine whose only node is 0.  Policies are in sentry/mm/numa.c. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

#define NODE_0 1ull

/* A node mask of maxnode - 1 bits, as get_nodes of Linux takes it: set_mempolicy(2). */
static int nodes_arg(struct task *t, gva_t addr, uint64_t maxnode, struct node_mask *out)
{
	uint64_t bits = maxnode - 1, word;

	*out = (struct node_mask){0, false};
	if (bits == 0 || !addr)
		return 0;
	if (bits > PAGE_SIZE * 8)
		return -EINVAL;
	for (uint64_t at = 0; at < bits; at += 64) {
		int r = copy_in(t->ctx, &word, addr + at / 8, sizeof(word));

		if (r < 0)
			return r;
		if (bits - at < 64)
			word &= (1ull << (bits - at)) - 1;
		if (at == 0)
			out->low = word;
		else if (word && at >= NUMA_MAX_NODES)
			return -EINVAL;
		else
			out->high |= word != 0;
	}
	return 0;
}

/* The nodes out, and zeros up to the size that the guest gave. */
static int nodes_out(struct task *t, gva_t addr, uint64_t maxnode, uint64_t nodes)
{
	uint64_t size = maxnode > INT64_MAX ? UINT64_MAX : (maxnode - 1 + 63) / 64 * 8;
	int r;

	if (maxnode == 0 || size == 0)
		return 0;
	if (size > PAGE_SIZE)
		return -EINVAL;
	r = copy_out(t->ctx, addr, &nodes, sizeof(nodes));
	if (r == 0 && size > sizeof(nodes))
		r = clear_out(t->ctx, addr + sizeof(nodes), size - sizeof(nodes));
	return r;
}

static int policy_arg(struct task *t, int mode, gva_t nodes, uint64_t maxnode, struct mem_policy *out)
{
	struct node_mask mask;
	int r = nodes_arg(t, nodes, maxnode, &mask);

	return r < 0 ? r : mem_policy_make(mode, &mask, out);
}

long sys_set_mempolicy(struct task *t, const struct sys_args *args)
{
	struct mem_policy policy;
	int r = policy_arg(t, (int)args->a[0], args->a[1], args->a[2], &policy);

	if (r == 0)
		t->mem_policy = policy;
	return r;
}

long sys_mbind(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[5];
	struct mem_policy policy;
	int r = policy_arg(t, (int)args->a[2], args->a[3], args->a[4], &policy);

	if (r < 0)
		return r;
	if (flags & ~(unsigned)(L_MPOL_MF_STRICT | L_MPOL_MF_MOVE | L_MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if ((flags & L_MPOL_MF_MOVE_ALL) && !cred_capable(t->cred, L_CAP_SYS_NICE))
		return -EPERM;
	return mm_set_policy(t->mm, args->a[0], args->a[1], &policy);
}

/* What get_mempolicy(2) gives for its flags: the number for mode, and the nodes. */
static int get_policy(struct task *t, gva_t addr, unsigned flags, int *mode, uint64_t *nodes)
{
	struct mem_policy policy = t->mem_policy;
	int base, r;

	if (flags & ~(unsigned)(L_MPOL_F_NODE | L_MPOL_F_ADDR | L_MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (flags & L_MPOL_F_MEMS_ALLOWED) {
		*mode = 0;
		*nodes = NODE_0;
		return flags & (L_MPOL_F_NODE | L_MPOL_F_ADDR) ? -EINVAL : 0;
	}
	if (flags & L_MPOL_F_ADDR) {
		r = mm_get_policy(t->mm, addr, &policy);
		if (r < 0)
			return r;
	} else if (addr) {
		return -EINVAL;
	}
	*mode = policy.mode;
	*nodes = policy.nodes;
	if (!(flags & L_MPOL_F_NODE))
		return 0;
	base = policy.mode & ~(L_MPOL_F_STATIC_NODES | L_MPOL_F_RELATIVE_NODES | L_MPOL_F_NUMA_BALANCING);
	*mode = 0; /* the node that addr's page lies on, or that comes next in turn */
	return flags & L_MPOL_F_ADDR || base == L_MPOL_INTERLEAVE || base == L_MPOL_WEIGHTED_INTERLEAVE ? 0 : -EINVAL;
}

long sys_get_mempolicy(struct task *t, const struct sys_args *args)
{
	uint64_t nodes, maxnode = args->a[2];
	int mode, r;

	if (args->a[1] && maxnode < 1)
		return -EINVAL;
	r = get_policy(t, args->a[3], (unsigned)args->a[4], &mode, &nodes);
	if (r == 0 && args->a[0])
		r = copy_out(t->ctx, args->a[0], &mode, sizeof(mode));
	if (r == 0 && args->a[1])
		r = nodes_out(t, args->a[1], maxnode, nodes);
	return r;
}

long sys_set_mempolicy_home_node(struct task *t, const struct sys_args *args)
{
	if ((args->a[0] & ~PAGE_MASK) || args->a[3] || args->a[2])
		return -EINVAL;
	return mm_set_home_node(t->mm, args->a[0], args->a[1]);
}

/* The mm of the process that a call names (0: the caller's own), counted, if the caller may look into it. */
static int mm_of_pid(struct task *t, int pid, struct mm **out)
{
	struct task *o = pid ? task_named(t, pid) : task_get(t);
	int r = 0;

	if (!o)
		return -ESRCH;
	*out = NULL;
	if (proc_may_access_real(o, t->cred) < 0)
		r = -EPERM;
	else
		*out = task_get_mm(o);
	task_put(o);
	if (r == 0 && !*out)
		r = -EINVAL;
	return r;
}

long sys_migrate_pages(struct task *t, const struct sys_args *args)
{
	struct node_mask from, to;
	struct mm *mm;
	int r = nodes_arg(t, args->a[2], args->a[1], &from);

	if (r == 0)
		r = nodes_arg(t, args->a[3], args->a[1], &to);
	if (r == 0)
		r = mm_of_pid(t, (int)args->a[0], &mm);
	if (r < 0)
		return r;
	mm_put(mm);
	if (!(to.low & NODE_0))
		return !to.low && !to.high ? -EINVAL : cred_capable(t->cred, L_CAP_SYS_NICE) ? -EINVAL : -EPERM;
	return 0; /* what lies on node 0 stays there */
}

/* One page of move_pages(2): *status gets its node or why it has none; the result is an error of the whole call. */
static int move_page(struct task *t, struct mm *mm, const struct sys_args *args, uint64_t i)
{
	uint64_t addr;
	int32_t node, status;
	int r = copy_in(t->ctx, &addr, args->a[2] + i * sizeof(addr), sizeof(addr));

	if (r == 0 && args->a[3]) {
		r = copy_in(t->ctx, &node, args->a[3] + i * sizeof(node), sizeof(node));
		if (r == 0 && node != 0)
			r = -ENODEV;
	}
	if (r < 0)
		return r;
	status = mm_range_mapped(mm, page_down(addr), PAGE_SIZE) ? 0 : -EFAULT;
	return copy_out(t->ctx, args->a[4] + i * sizeof(status), &status, sizeof(status));
}

long sys_move_pages(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[5];
	struct mm *mm;
	int r;

	if (flags & ~(unsigned)(L_MPOL_MF_MOVE | L_MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if ((flags & L_MPOL_MF_MOVE_ALL) && !cred_capable(t->cred, L_CAP_SYS_NICE))
		return -EPERM;
	r = mm_of_pid(t, (int)args->a[0], &mm);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < args->a[1] && r == 0; i++)
		r = sleeper_interrupted(&t->sleeper) ? -EINTR : move_page(t, mm, args, i);
	mm_put(mm);
	return r;
}
