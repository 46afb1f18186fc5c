/*
 * The path walk: path_resolution(7), openat2(2)'s RESOLVE_*, symlink(7).
 *
 * A walk is a stack of texts: the path, and the links met on the way, each with how far it was read.  All texts but the
 * top one have components left, so a component is the last of all exactly if nothing follows it in the only text.
 * The walk stops before the last component, since what is done with that one differs: stat looks it up, open may
 * follow it or create it, unlink removes it.
 *
 * A component that is cached costs no more than the hash: no lock but dcache_lock, and no host call.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/vfs/internal.h"

#define SCOPED (L_RESOLVE_BENEATH | L_RESOLVE_IN_ROOT)

static void push(struct walk *w, const char *at, char *owned)
{
	w->frames[w->depth++] = (struct walk_frame){at, owned};
}

static void pop(struct walk *w)
{
	free(w->frames[--w->depth].owned);
}

static void at_replace(struct walk *w, const struct path *p /* consumed */)
{
	path_put(&w->at);
	w->at = *p;
}

/* Back to the root, for a text that begins with a slash. */
static int at_root(struct walk *w)
{
	struct path root = w->root;

	if (w->resolve & L_RESOLVE_BENEATH)
		return -EXDEV;
	if ((w->resolve & L_RESOLVE_NO_XDEV) && w->at.mnt != root.mnt)
		return -EXDEV;
	path_get(&root);
	at_replace(w, &root);
	return 0;
}

static int start_at_fd(struct walk *w, int dirfd, bool need_dir)
{
	struct file *f = fd_lookup_path_ok(w->l->files, dirfd);
	int r = 0;

	if (!f)
		return -EBADF;
	if (need_dir && !inode_is(f->inode, L_S_IFDIR))
		r = -ENOTDIR;
	if (r == 0) {
		w->at = f->path;
		path_get(&w->at);
	}
	file_put(f);
	return r;
}

int walk_begin(struct walk *w, const struct lookup *l, int dirfd, const char *path, uint64_t resolve)
{
	int r = 0;

	w->l = l;
	w->resolve = resolve;
	w->renames = rename_count;
	w->root = w->at = (struct path){NULL, NULL};
	w->last = NULL;
	w->last_len = 0;
	w->kind = LAST_ROOT;
	w->must_be_dir = false;
	w->links = w->depth = 0;
	push(w, path, NULL);

	if (path[0] == '/' && !(resolve & SCOPED)) {
		fs_info_root(l->fs, &w->root);
		w->at = w->root;
		path_get(&w->at);
		return 0;
	}
	if (dirfd == L_AT_FDCWD)
		fs_info_cwd(l->fs, &w->at);
	else
		r = start_at_fd(w, dirfd, path[0] != '\0');
	if (r < 0)
		return r;
	if (resolve & SCOPED) {
		w->root = w->at;
		path_get(&w->root);
		if (path[0] == '/')
			return at_root(w);
	} else {
		fs_info_root(l->fs, &w->root);
	}
	return 0;
}

void walk_end(struct walk *w)
{
	while (w->depth)
		pop(w);
	if (w->at.dentry)
		path_put(&w->at);
	if (w->root.dentry)
		path_put(&w->root);
	w->at = w->root = (struct path){NULL, NULL};
}

/* ---- one component ---- */

/* ".." that stays where it is, at the root or at the top of all. */
static int stay(const struct walk *w)
{
	return w->resolve & L_RESOLVE_BENEATH ? -EXDEV : 0;
}

/* From the root of a mount to where it is mounted, unless the walk's root lies on the way: then it stays.  True if it
 * moved. */
static bool leave_mount(struct walk *w)
{
	struct path above = w->at;

	path_get(&above);
	do {
		if (!path_above_mount(&above) || path_equal(&above, &w->root)) {
			path_put(&above);
			return false;
		}
	} while (vfs_is_mount_root(&above));
	at_replace(w, &above);
	return true;
}

static int step_up(struct walk *w)
{
	const struct mount *mnt;
	struct dentry *parent;

	if (path_equal(&w->at, &w->root))
		return stay(w);
	if (vfs_is_mount_root(&w->at)) {
		if (!leave_mount(w))
			return stay(w);
		if (w->resolve & L_RESOLVE_NO_XDEV)
			return -EXDEV;
	}
	parent = dentry_parent(w->at.dentry);
	dentry_put(w->at.dentry);
	w->at.dentry = parent;
	mnt = w->at.mnt;
	path_follow_mounts(&w->at);
	if (w->at.mnt != mnt && (w->resolve & L_RESOLVE_NO_XDEV))
		return -EXDEV;
	/* A directory moved meanwhile may have led the walk out of its scope unseen: let the caller try again. */
	if ((w->resolve & SCOPED) && w->renames != rename_count)
		return -EAGAIN;
	return 0;
}

static int may_search(struct walk *w)
{
	struct inode *dir = w->at.dentry->inode;

	if (!dir || !dir->ops || !dir->ops->lookup)
		return -ENOTDIR;
	return inode_permission(dir, MAY_EXEC, w->l->cred);
}

static int look_up(struct walk *w, const char *name, size_t len, struct path *out)
{
	struct dentry *d;
	int r;

	if (len > L_NAME_MAX)
		return -ENAMETOOLONG;
	if (w->resolve & L_RESOLVE_CACHED) {
		d = dentry_cached(w->at.dentry, name, len);
		if (!d)
			return -EAGAIN;
	} else {
		r = dentry_lookup(w->at.dentry, name, len, &d);
		if (r < 0)
			return r;
	}
	*out = (struct path){mount_get(w->at.mnt), d};
	if (d->mounts) {
		path_follow_mounts(out);
		if (out->mnt != w->at.mnt && (w->resolve & L_RESOLVE_NO_XDEV)) {
			path_put(out);
			return -EXDEV;
		}
	}
	return 0;
}

/* Puts the text of a link on the stack, or jumps where a magic one leads. */
static int enter_link(struct walk *w, const struct path *link)
{
	struct inode *i = link->dentry->inode;
	struct path target;
	char *text;
	int r;

	if (++w->links > L_MAXSYMLINKS || (w->resolve & L_RESOLVE_NO_SYMLINKS) || (mount_flags(link->mnt) & MNT_NOSYMFOLLOW))
		return -ELOOP;
	if (i->ops->follow) {
		if (w->resolve & L_RESOLVE_NO_MAGICLINKS)
			return -ELOOP;
		if (w->resolve & SCOPED)
			return -EXDEV;
		r = i->ops->follow(i, &target);
		if (r < 0)
			return r;
		if ((w->resolve & L_RESOLVE_NO_XDEV) && target.mnt != w->at.mnt) {
			path_put(&target);
			return -EXDEV;
		}
		at_replace(w, &target);
		push(w, "", NULL);
		return 0;
	}
	r = vfs_readlink(link, &text);
	if (r < 0)
		return r;
	if (text[0] == '\0') {
		free(text);
		return -ENOENT;
	}
	push(w, text, text);
	return text[0] == '/' ? at_root(w) : 0;
}

/* ---- the walk ---- */

/* Takes the next component off the top text.  False if no component is left at all. */
static bool next_component(struct walk *w, bool *is_last)
{
	for (;;) {
		struct walk_frame *f = &w->frames[w->depth - 1];
		const char *end;

		while (*f->at == '/')
			f->at++;
		if (*f->at == '\0') {
			if (w->depth == 1)
				return false;
			pop(w);
			continue;
		}
		end = strchrnul(f->at, '/');
		w->last = f->at;
		w->last_len = (size_t)(end - f->at);
		f->at = end;
		while (*end == '/')
			end++;
		*is_last = w->depth == 1 && *end == '\0';
		if (*is_last && *f->at == '/')
			w->must_be_dir = true;
		w->kind = w->last[0] != '.' ? LAST_NAME
			  : w->last_len == 1 ? LAST_DOT
			  : w->last_len == 2 && w->last[1] == '.' ? LAST_DOTDOT : LAST_NAME;
		return true;
	}
}

int walk_to_last(struct walk *w)
{
	struct path next;
	bool is_last;
	int r;

	for (;;) {
		if (!next_component(w, &is_last)) {
			w->kind = LAST_ROOT;
			return 0;
		}
		r = may_search(w);
		if (r < 0 || is_last)
			return r;
		if (w->kind == LAST_DOT)
			continue;
		if (w->kind == LAST_DOTDOT) {
			r = step_up(w);
			if (r < 0)
				return r;
			continue;
		}
		r = look_up(w, w->last, w->last_len, &next);
		if (r < 0)
			return r;
		if (!next.dentry->inode) {
			path_put(&next);
			return -ENOENT;
		}
		if (inode_is(next.dentry->inode, L_S_IFLNK)) {
			r = enter_link(w, &next);
			path_put(&next);
			if (r < 0)
				return r;
			continue;
		}
		at_replace(w, &next);
	}
}

int walk_lookup_last(struct walk *w, struct path *out)
{
	int r = 0;

	switch (w->kind) {
	case LAST_NAME:
		return look_up(w, w->last, w->last_len, out);
	case LAST_DOTDOT:
		r = step_up(w);
		break;
	case LAST_DOT:
	case LAST_ROOT:
		break;
	}
	if (r < 0)
		return r;
	*out = w->at;
	path_get(out);
	return 0;
}

int walk_follow(struct walk *w, const struct path *link)
{
	int r = may_follow_link(w->at.dentry->inode, link->dentry->inode, w->l->cred);

	if (r < 0)
		return r;
	/* The text that named the link has nothing left but slashes, which must_be_dir remembers. */
	pop(w);
	r = enter_link(w, link);
	if (r < 0) {
		if (w->depth == 0)
			push(w, "", NULL);
		return r;
	}
	return walk_to_last(w);
}

int walk_finish(struct walk *w, unsigned flags, struct path *out)
{
	struct path p;
	int r;

	for (;;) {
		r = walk_lookup_last(w, &p);
		if (r < 0)
			return r;
		if (!p.dentry->inode) {
			r = -ENOENT;
			break;
		}
		if (inode_is(p.dentry->inode, L_S_IFLNK) && w->kind == LAST_NAME &&
		    ((flags & LOOKUP_FOLLOW) || w->must_be_dir)) {
			r = walk_follow(w, &p);
			path_put(&p);
			if (r < 0)
				return r;
			continue;
		}
		if (((flags & LOOKUP_DIRECTORY) || w->must_be_dir) && !inode_is(p.dentry->inode, L_S_IFDIR)) {
			r = -ENOTDIR;
			break;
		}
		*out = p;
		return 0;
	}
	path_put(&p);
	return r;
}

int vfs_resolve(const struct lookup *l, int dirfd, const char *path, unsigned flags, uint64_t resolve,
		struct path *out)
{
	struct walk w;
	int r;

	if (path[0] == '\0' && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	r = walk_begin(&w, l, dirfd, path, resolve);
	if (r == 0)
		r = walk_to_last(&w);
	if (r == 0)
		r = walk_finish(&w, flags, out);
	if (r == 0 && (flags & LOOKUP_DOWN))
		path_follow_mounts(out);
	walk_end(&w);
	return r;
}

int vfs_readlink(const struct path *p, char **out)
{
	struct inode *i = p->dentry->inode;

	if (!inode_is(i, L_S_IFLNK) || !i->ops || !i->ops->readlink)
		return -EINVAL;
	return i->ops->readlink(i, out);
}
