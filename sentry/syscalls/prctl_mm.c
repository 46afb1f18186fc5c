/*
 * PR_SET_MM: where a program says that its code, data, heap, stack, arguments and environment lie, which /proc and brk(2) go by,
 * and what its auxiliary vector is.  PR_SET_MM_EXE_FILE is not had.
 */
#include "sentry/syscalls/prctl_mm.h"

#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/prctl.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"

#define AUXV_WORDS ARRAY_SIZE(((struct mm *)0)->auxv)

static void get_map(const struct mm *mm, struct l_prctl_mm_map *m)
{
	*m = (struct l_prctl_mm_map){
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->brk_start,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
	};
}

static void put_map(struct mm *mm, const struct l_prctl_mm_map *m)
{
	mm->start_code = m->start_code;
	mm->end_code = m->end_code;
	mm->start_data = m->start_data;
	mm->end_data = m->end_data;
	mm->brk_start = m->start_brk;
	mm->brk = m->brk;
	mm->start_stack = m->start_stack;
	mm->arg_start = m->arg_start;
	mm->arg_end = m->arg_end;
	mm->env_start = m->env_start;
	mm->env_end = m->env_end;
}

/* Each address is a guest's, what ends does so behind where it begins, and the heap and the data are within RLIMIT_DATA. */
static int check_map(struct task *t, const struct l_prctl_mm_map *m)
{
	const uint64_t addresses[] = {m->start_code, m->end_code,  m->start_data, m->end_data,	m->start_brk, m->brk,
				      m->start_stack, m->arg_start, m->arg_end,   m->env_start, m->env_end};
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_DATA);

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		if (addresses[i] < GUEST_MIN || addresses[i] >= GUEST_CEILING)
			return -EINVAL;
	if (m->start_code >= m->end_code || m->start_data > m->end_data || m->start_brk > m->brk || m->arg_start > m->arg_end ||
	    m->env_start > m->env_end)
		return -EINVAL;
	return m->brk - m->start_brk + (m->end_data - m->start_data) > limit ? -EINVAL : 0;
}

/* A vector of the guest's, of at most what there is room for; its end is AT_NULL whatever it says. */
static int read_auxv(struct task *t, uint64_t gva, uint64_t size, uint64_t auxv[AUXV_WORDS])
{
	int r;

	memset(auxv, 0, AUXV_WORDS * sizeof(auxv[0]));
	if (!gva || size > AUXV_WORDS * sizeof(auxv[0]))
		return -EINVAL;
	r = copy_in(t->ctx, auxv, gva, size);
	auxv[AUXV_WORDS - 2] = auxv[AUXV_WORDS - 1] = 0;
	return r;
}

static void set_auxv(struct mm *mm, const uint64_t auxv[AUXV_WORDS])
{
	mutex_lock(&mm->lock);
	memcpy(mm->auxv, auxv, sizeof(mm->auxv));
	mutex_unlock(&mm->lock);
}

static long set_whole_map(struct task *t, uint64_t gva, uint64_t size)
{
	uint64_t auxv[AUXV_WORDS];
	struct l_prctl_mm_map m;
	int r;

	if (size != sizeof(m))
		return -EINVAL;
	r = copy_in(t->ctx, &m, gva, sizeof(m));
	if (r == 0)
		r = check_map(t, &m);
	if (r == 0 && m.auxv_size)
		r = read_auxv(t, m.auxv, m.auxv_size, auxv);
	if (r == 0 && m.exe_fd != UINT32_MAX)
		r = cred_capable(t->cred, L_CAP_CHECKPOINT_RESTORE) || cred_capable(t->cred, L_CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
	if (r < 0)
		return r;
	mutex_lock(&t->mm->lock);
	put_map(t->mm, &m);
	mutex_unlock(&t->mm->lock);
	if (m.auxv_size)
		set_auxv(t->mm, auxv);
	return 0;
}

static long put_map_size(struct task *t, uint64_t gva)
{
	uint32_t size = sizeof(struct l_prctl_mm_map);

	return copy_out(t->ctx, gva, &size, sizeof(size));
}

/* Which field an option is about, or NULL. */
static uint64_t *field_of(struct l_prctl_mm_map *m, uint64_t what)
{
	uint64_t *const fields[] = {
		[L_PR_SET_MM_START_CODE] = &m->start_code, [L_PR_SET_MM_END_CODE] = &m->end_code,
		[L_PR_SET_MM_START_DATA] = &m->start_data, [L_PR_SET_MM_END_DATA] = &m->end_data,
		[L_PR_SET_MM_START_STACK] = &m->start_stack, [L_PR_SET_MM_START_BRK] = &m->start_brk,
		[L_PR_SET_MM_BRK] = &m->brk, [L_PR_SET_MM_ARG_START] = &m->arg_start,
		[L_PR_SET_MM_ARG_END] = &m->arg_end, [L_PR_SET_MM_ENV_START] = &m->env_start,
		[L_PR_SET_MM_ENV_END] = &m->env_end,
	};

	return what < ARRAY_SIZE(fields) ? fields[what] : NULL;
}

/* Where the stack, arguments and environment lie something is mapped, there or above. */
static bool wants_mapping(uint64_t what)
{
	return what == L_PR_SET_MM_START_STACK || (what >= L_PR_SET_MM_ARG_START && what <= L_PR_SET_MM_ENV_END);
}

static long set_field(struct task *t, uint64_t what, uint64_t addr)
{
	struct mm *mm = t->mm;
	struct l_prctl_mm_map m;
	uint64_t *field = field_of(&m, what);
	int r = -EINVAL;

	if (addr < GUEST_MIN || addr >= GUEST_CEILING || !field)
		return -EINVAL;
	mutex_lock(&mm->lock);
	get_map(mm, &m);
	*field = addr;
	r = check_map(t, &m);
	if (r == 0 && wants_mapping(what) && (mm->vma_count == 0 || mm->vmas[mm->vma_count - 1]->end <= addr))
		r = -EFAULT;
	if (r == 0)
		put_map(mm, &m);
	mutex_unlock(&mm->lock);
	return r;
}

long prctl_set_mm(struct task *t, const struct sys_args *args)
{
	uint64_t what = args->a[1], addr = args->a[2], size = args->a[3], auxv[AUXV_WORDS];
	int r;

	if (args->a[4] || (size && what != L_PR_SET_MM_AUXV && what != L_PR_SET_MM_MAP && what != L_PR_SET_MM_MAP_SIZE))
		return -EINVAL;
	if (what == L_PR_SET_MM_MAP_SIZE)
		return put_map_size(t, addr);
	if (what == L_PR_SET_MM_MAP)
		return set_whole_map(t, addr, size);
	if (!cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		return -EPERM;
	if (what != L_PR_SET_MM_AUXV)
		return set_field(t, what, addr);
	r = read_auxv(t, addr, size, auxv);
	if (r == 0)
		set_auxv(t->mm, auxv);
	return r;
}
