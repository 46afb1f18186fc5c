/* Names of anonymous memory: prctl(2), PR_SET_VMA_ANON_NAME. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/mm/change.h"

/* arg: a struct vma_name, or 0. */
static int name_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t arg)
	REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	(void)t;
	if (v->file)
		return -EBADF;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	vma_split(mm, start, &spare);
	vma_split(mm, stop, &spare);
	vma_set_name(mm_find(mm, start), (struct vma_name *)arg);
	vma_spare_free(&spare);
	return 0;
}

int mm_set_name(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, const char *text)
{
	struct vma_name *name = NULL;
	uint64_t end;
	int r = mm_check_range(addr, &len, &end);

	if (r < 0 || len == 0)
		return r;
	if (text) {
		name = calloc(1, sizeof(*name));
		if (!name)
			return -ENOMEM;
		refcount_init(&name->refs, 1);
		memcpy(name->text, text, strnlen(text, sizeof(name->text) - 1));
	}
	mutex_lock(&mm->lock);
	r = mm_for_each_part(t, mm, addr, end, name_part, (uintptr_t)name);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	if (name && refcount_dec(&name->refs))
		free(name);
	return r;
}
