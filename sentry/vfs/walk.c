/*
 * The path walk: path_resolution(7), openat2(2)'s RESOLVE_*, symlink(7).
 *
 * A walk is a stack of texts: the path, and the links met on the way, each with how far it was read.  All texts but the
 * top one have components left, so a component is the last of all exactly if nothing follows it in the only text.
 * The walk stops before the last component, since what is done with that one differs: stat looks it up, open may
 * follow it or create it, unlink removes it.
 *
 * A component that is cached costs no more than the hash: no lock but dcache_lock, and no host call.  Where names may change
 * from outside (super_ops.still_names) the walk goes on over what is cached without asking, and puts one question for all those
 * names at the end of them (settle, or guess_last for the last component, too).  If they may be others by now, it goes back to
 * where they began and asks for each (rewind).
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "host/system.h"
#include "sentry/vfs/internal.h"

#define STALE_TRIES 20
#define UNSURE_MAX 1024 /* bytes of names that one question is put for */

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
	w->sure = NULL;
	w->by_name = w->guessed = w->fresh = false;
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
	dentry_put(w->sure);
	w->sure = NULL;
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
	const struct super_ops *ops = w->at.dentry->sb->ops;
	struct inode *dir = w->at.dentry->inode;
	struct l_statx st;
	int r;

	if (!dir || !dir->ops || !dir->ops->lookup)
		return -ENOTDIR;
	r = inode_permission(dir, MAY_EXEC, w->l->cred);
	/* Where modes may change from outside, that of the directory where the walk began has not been asked for. */
	if (r == -EACCES && !w->sure && ops && ops->revalidate && path_getattr(&w->at, false, &st) == 0)
		r = inode_permission(dir, MAY_EXEC, w->l->cred);
	return r;
}

static int look_up(struct walk *w, const char *name, size_t len, struct path *out)
{
	struct dentry *d;
	int r;

	w->fresh = false;
	if (len > L_NAME_MAX)
		return -ENAMETOOLONG;
	if (w->resolve & L_RESOLVE_CACHED) {
		d = dentry_cached(w->at.dentry, name, len);
		if (!d)
			return -EAGAIN;
	} else {
		r = dentry_lookup_fresh(w->at.dentry, name, len, &d, &w->fresh);
		if (r < 0)
			return r;
	}
	*out = (struct path){mount_get(w->at.mnt), d};
	if (d->mounts) {
		w->fresh = false;
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

/* ---- names that may change from outside ---- */

static uint64_t callers_owner; /* of the cred of vfs_set_caller; 0: none */

void vfs_set_caller(const struct cred *c)
{
	callers_owner = c->owner;
}

/*
 * What is remembered of the modes of directories may be out of date, and one question does not bring those on the way up to date.  So it
 * is put only for those to whom they do not matter: who may search any directory, or who is to the host what the sentry is, whose
 * own right to search the host looks at when it answers.  (To be refused by what is remembered is a reason to ask, too.)
 */
static bool may_go_unasked(const struct walk *w)
{
	const struct super_ops *ops = w->at.dentry->sb->ops;
	const struct cred *c = w->l->cred;

	return ops && ops->still_names && !w->by_name &&
	       (c->owner == callers_owner ||
		(c->user_ns == &user_ns_first && (c->cap_effective >> L_CAP_DAC_READ_SEARCH & 1)));
}

/* The names from `at` to end as a path of its own.  False: they are too many. */
static bool unsure_path(char path[UNSURE_MAX], const char *at, const char *end)
{
	size_t len = (size_t)(end - at);

	if (len >= UNSURE_MAX)
		return false;
	memcpy(path, at, len);
	path[len] = '\0';
	return true;
}

/* Back to where the walk was sure. */
static void rewind_walk(struct walk *w)
{
	dentry_put(w->at.dentry);
	w->at.dentry = w->sure;
	w->sure = NULL;
	w->frames[w->depth - 1].at = w->unsure;
	w->by_name = true;
}

static void be_sure(struct walk *w)
{
	dentry_put(w->sure);
	w->sure = NULL;
}

/* Makes sure of w->at.  False: it is elsewhere now, and the walk has to go on from there. */
static bool settle(struct walk *w)
{
	struct dentry *d = w->at.dentry;
	char path[UNSURE_MAX] NOT_ZEROED;

	if (!w->sure)
		return true;
	if (!unsure_path(path, w->unsure, w->unsure_end) ||
	    d->sb->ops->still_names(w->sure, path, d, d->inode, true) == PATH_UNSURE) {
		rewind_walk(w);
		return false;
	}
	be_sure(w);
	return true;
}

/* Steps into the directory called w->last if it is cached, without a question.  No mount is crossed. */
static bool step_unasked(struct walk *w)
{
	struct dentry *d;

	if (!may_go_unasked(w))
		return false;
	d = dentry_find(w->at.dentry, w->last, w->last_len);
	if (!d)
		return false;
	if (!d->inode || !inode_is(d->inode, L_S_IFDIR) || d->mounts) {
		dentry_put(d);
		return false;
	}
	if (w->sure) {
		dentry_put(w->at.dentry);
	} else {
		w->sure = w->at.dentry;
		w->unsure = w->last;
	}
	w->unsure_end = w->last + w->last_len;
	w->at.dentry = d;
	return true;
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
			if (settle(w)) /* the names lie in the text that goes */
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

int walk_on(struct walk *w)
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
		if (w->sure && (r < 0 || w->kind == LAST_DOTDOT)) {
			rewind_walk(w);
			continue;
		}
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
		if (step_unasked(w) || !settle(w))
			continue;
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

int walk_to_last(struct walk *w)
{
	int r;

	do
		r = walk_on(w);
	while (r == 0 && !settle(w));
	return r;
}

int walk_lookup_last(struct walk *w, struct path *out)
{
	int r = 0;

	w->fresh = false;
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

/*
 * The last component by one question for it and all names that are owed: out of the cache, or (LOOKUP_ATTR) found by it.  It goes without
 * its directory, which may be another by now if the file has moved along: that is good enough for a file that is not there
 * (whatever is missing on the way), for a directory, and for LOOKUP_ATTR.
 */
static bool guess_last(struct walk *w, unsigned flags, struct path *out)
{
	struct dentry *parent = w->at.dentry, *from = w->sure ? w->sure : parent, *d;
	const struct super_ops *ops = parent->sb->ops;
	bool attr = flags & LOOKUP_ATTR, fresh = false, dir;
	char path[UNSURE_MAX] NOT_ZEROED;
	enum path_says says;
	struct inode *i;

	if (w->kind != LAST_NAME || w->last_len > L_NAME_MAX || !may_go_unasked(w) ||
	    !unsure_path(path, w->sure ? w->unsure : w->last, w->last + w->last_len))
		return false;
	d = dentry_find(parent, w->last, w->last_len);
	if (d) {
		i = d->inode;
		dir = i && inode_is(i, L_S_IFDIR);
		if (d->mounts || (i && !dir && !attr))
			goto out_unsure;
		says = ops->still_names(from, path, d, i, dir && !attr);
		if (says == PATH_UNSURE)
			goto out_unsure;
		fresh = says == PATH_FRESH;
	} else if (!attr || (w->resolve & L_RESOLVE_CACHED) ||
		   dentry_lookup_along(from, path, parent, w->last, w->last_len, &d, &fresh) < 0) {
		return false;
	}
	i = d->inode;
	/* To follow a link takes the directory that it is in. */
	if (i && inode_is(i, L_S_IFLNK) && ((flags & LOOKUP_FOLLOW) || w->must_be_dir))
		goto out_unsure;
	be_sure(w);
	w->fresh = fresh;
	w->guessed = i && attr;
	*out = (struct path){mount_get(w->at.mnt), d};
	return true;

out_unsure:
	dentry_put(d);
	return false;
}

int walk_finish(struct walk *w, unsigned flags, struct path *out)
{
	struct path p;
	int r;

	for (;;) {
		if (!guess_last(w, flags, &p)) {
			if (!settle(w)) {
				r = walk_on(w);
				if (r < 0)
					return r;
				continue;
			}
			r = walk_lookup_last(w, &p);
			if (r < 0)
				return r;
		}
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

bool walk_again(int *tries)
{
	if (*tries >= STALE_TRIES)
		return false;
	/* Else it might keep step with one who swaps two names all the time. */
	for (int k = 0; k < *tries; k++)
		host_yield();
	++*tries;
	return true;
}

/* st: NULL, or where the attributes go. */
static int resolve_once(const struct lookup *l, int dirfd, const char *path, unsigned flags, uint64_t resolve, bool by_name,
			struct path *out, struct l_statx *st)
{
	struct walk w NOT_ZEROED;
	int r;

	r = walk_begin(&w, l, dirfd, path, resolve);
	w.by_name = by_name;
	if (r == 0)
		r = walk_on(&w);
	if (r == 0)
		r = walk_finish(&w, flags, out);
	if (r == 0 && (flags & LOOKUP_DOWN))
		path_follow_mounts(out);
	if (r == 0 && st) {
		r = path_getattr(out, w.fresh, st);
		if (r < 0)
			path_put(out);
	}
	walk_end(&w);
	return r;
}

static int resolve(const struct lookup *l, int dirfd, const char *path, unsigned flags, uint64_t resolve_flags, struct path *out,
		   struct l_statx *st)
{
	int r, tries = 0;

	if (path[0] == '\0' && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	do
		r = resolve_once(l, dirfd, path, flags, resolve_flags, tries > 0, out, st);
	while (r == -ESTALE && walk_again(&tries));
	return r;
}

int vfs_resolve(const struct lookup *l, int dirfd, const char *path, unsigned flags, uint64_t resolve_flags, struct path *out)
{
	return resolve(l, dirfd, path, flags, resolve_flags, out, NULL);
}

int vfs_stat(const struct lookup *l, int dirfd, const char *path, unsigned flags, struct path *out, struct l_statx *st)
{
	return resolve(l, dirfd, path, flags | LOOKUP_ATTR, 0, out, st);
}

int vfs_readlink(const struct path *p, char **out)
{
	struct inode *i = p->dentry->inode;

	if (!inode_is(i, L_S_IFLNK) || !i->ops || !i->ops->readlink)
		return -EINVAL;
	return i->ops->readlink(i, out);
}
