/*
 * Finding a name of an inode by its number, for file handles.  The tree is searched: who asks is privileged and rare,
 * and a table would cost every file.  What is held at a time is a name for each directory that is still to be looked
 * into.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/tmpfs/meminode.h"
#include "sentry/fs/tmpfs/tmpfs.h"

struct todo {
	struct todo *next;
	struct dentry *dir; /* counted */
};

/* The first entry at or after *pos that is a directory or has the number; its name, and *pos is after it.  False: there
 * is none. */
static bool next_of_interest(struct inode *dir, uint64_t ino, int64_t *pos, char name[L_NAME_MAX + 1])
{
	struct memdir_entry *e;
	bool found = false;

	mutex_lock(&dir->lock);
	while (!found && (e = memdir_at(tmpfs_entries(dir), *pos))) {
		*pos = e->cookie + 1;
		found = e->inode && (e->inode->ino == ino || inode_is(e->inode, L_S_IFDIR));
		if (found)
			strcpy(name, e->name); /* no longer than L_NAME_MAX: lookup sees to it */
	}
	mutex_unlock(&dir->lock);
	return found;
}

static int push(struct todo **list, struct dentry *dir)
{
	struct todo *t = malloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct todo){*list, dentry_get(dir)};
	*list = t;
	return 0;
}

static struct dentry *pop(struct todo **list)
{
	struct todo *t = *list;
	struct dentry *dir = t->dir;

	*list = t->next;
	free(t);
	return dir;
}

/* Looks into dir; 1 if it was there, 0 if not. */
static int search_dir(struct dentry *dir, uint64_t ino, struct todo **list, struct dentry **out)
{
	char name[L_NAME_MAX + 1];
	struct dentry *d;
	struct inode *i;
	int64_t pos = 0;
	int r = 0;

	while (r == 0 && next_of_interest(dentry_inode(dir), ino, &pos, name)) {
		r = dentry_lookup(dir, name, strlen(name), &d);
		if (r < 0)
			return r;
		i = dentry_inode(d); /* another one by now, perhaps, or none */
		if (i && i->ino == ino) {
			*out = d;
			return 1;
		}
		if (i && inode_is(i, L_S_IFDIR))
			r = push(list, d);
		dentry_put(d);
	}
	return r;
}

int tmpfs_find_ino(struct super_block *sb, uint64_t ino, struct dentry **out)
{
	struct todo *list = NULL;
	struct dentry *dir;
	int r = 0;

	if (dentry_inode(sb->root)->ino == ino) {
		*out = dentry_get(sb->root);
		return 0;
	}
	r = push(&list, sb->root);
	while (list) {
		dir = pop(&list);
		if (r == 0)
			r = search_dir(dir, ino, &list, out);
		dentry_put(dir);
	}
	if (r < 0)
		return r;
	return r ? 0 : -ESTALE;
}
