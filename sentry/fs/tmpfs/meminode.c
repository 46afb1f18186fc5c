/* Inodes in memory: what tmpfs and overlay share.  See meminode.h. */
#include "sentry/fs/tmpfs/meminode.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/fs/common.h"

void mem_inode_init(struct mem_inode *m, uint32_t mode, struct mem_quota *quota)
{
	memset(m, 0, sizeof(*m));
	if (L_S_ISREG(mode))
		memfile_init(&m->file, quota);
	else if (L_S_ISDIR(mode))
		memdir_init(&m->dir);
}

void mem_inode_destroy(struct mem_inode *m, uint32_t mode)
{
	if (L_S_ISREG(mode))
		memfile_destroy(&m->file);
	else if (L_S_ISDIR(mode))
		memdir_destroy(&m->dir);
	else if (L_S_ISLNK(mode))
		free(m->target);
	memxattrs_free(&m->xattrs);
}

void mem_quota_statfs(const struct mem_quota *q, struct l_statfs *st)
{
	uint64_t used = q->used, limit = q->limit;

	st->f_bsize = st->f_frsize = PAGE_SIZE;
	st->f_namelen = L_NAME_MAX;
	st->f_blocks = limit;
	st->f_bfree = st->f_bavail = used < limit ? limit - used : 0;
}

bool mem_dir_emit(struct memdir *d, struct file *f, struct dir_context *dc, int64_t base)
{
	struct memdir_entry *e;

	if (dc->pos <= base + MEMDIR_FIRST_COOKIE || f->version == 0)
		f->version = d->next_cookie;
	while ((e = memdir_at(d, dc->pos - base)) && e->cookie < f->version) {
		if (e->inode && !dc->emit(dc, e->name, strlen(e->name), e->inode->ino, fs_dirent_type(e->inode->mode),
					  base + e->cookie + 1))
			return false;
		dc->pos = base + e->cookie + 1;
	}
	return true;
}

void mem_unlink_inode(struct inode *i)
{
	mutex_lock(&i->lock);
	i->nlink--;
	inode_touch(i, 0);
	mutex_unlock(&i->lock);
}

void mem_link_inode(struct inode *i)
{
	mutex_lock(&i->lock);
	i->nlink++;
	inode_touch(i, 0);
	mutex_unlock(&i->lock);
}
