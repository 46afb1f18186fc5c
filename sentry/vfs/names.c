/* Paths as text: what getcwd, /proc/PID/fd and /proc/PID/mounts show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/vfs/internal.h"

#define DELETED " (deleted)"
#define UNREACHABLE "(unreachable)"

/* Text that grows to the left. */
struct rope {
	char *start, *at;
};

static bool prepend(struct rope *r, const char *s, size_t len)
{
	if ((size_t)(r->at - r->start) < len)
		return false;
	r->at -= len;
	memcpy(r->at, s, len);
	return true;
}

static bool prepend_component(struct rope *r, const struct dentry *d)
{
	return prepend(r, d->name->s, d->name->len) && prepend(r, "/", 1);
}

/* Goes up from *p, dcache_lock and mount_lock held.  *reached: root was met, or there is none and the top was. */
static bool climb(struct rope *r, const struct path *p, const struct path *root, bool *reached)
{
	const struct mount *m = p->mnt;
	const struct dentry *d = p->dentry;

	*reached = false;
	while (!root || d != root->dentry || m != root->mnt) {
		if (m && d == m->root) {
			if (!m->parent) {
				*reached = !root;
				return true;
			}
			d = m->mountpoint;
			m = m->parent;
		} else if (d->parent) {
			if (!prepend_component(r, d))
				return false;
			d = d->parent;
		} else {
			return true;
		}
	}
	*reached = true;
	return true;
}

int path_name_locked(const struct path *p, const struct path *root, char *buf, size_t size, bool *unreachable)
{
	struct rope r = {buf, buf + size};
	const struct dentry *d = p->dentry;
	bool reached = true, fits;

	mutex_lock(&dcache_lock);
	fits = prepend(&r, "", 1);
	if (d->flags & D_ANONYMOUS) {
		fits = fits && prepend(&r, d->name->s, d->name->len);
	} else {
		char *end;

		if (d->flags & D_UNLINKED)
			fits = fits && prepend(&r, DELETED, strlen(DELETED));
		end = r.at;
		fits = fits && climb(&r, p, root, &reached);
		if (fits && r.at == end)
			fits = prepend(&r, "/", 1);
	}
	mutex_unlock(&dcache_lock);
	*unreachable = !reached;
	if (fits && !reached)
		fits = prepend(&r, UNREACHABLE, strlen(UNREACHABLE));
	if (!fits)
		return -ENAMETOOLONG;
	memmove(buf, r.at, (size_t)(buf + size - r.at));
	return 0;
}

int vfs_path_name(const struct path *p, const struct path *root, char *buf, size_t size)
{
	bool unreachable;
	int r;

	read_lock(&mount_lock);
	r = path_name_locked(p, root, buf, size, &unreachable);
	rw_unlock(&mount_lock);
	return r;
}

/* ---- mounts ---- */

/* White space and backslashes as octal, so that a line keeps its fields. */
static void put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (strchr(" \t\n\\#", *s))
			fprintf(f, "\\%03o", (unsigned char)*s);
		else
			fputc(*s, f);
	}
}

static void put_mount_flags(FILE *f, const struct mount *m)
{
	unsigned flags = m->flags;

	fprintf(f, "%s%s%s%s,relatime", flags & MNT_RDONLY ? "ro" : "rw", flags & MNT_NOSUID ? ",nosuid" : "",
		flags & MNT_NODEV ? ",nodev" : "", flags & MNT_NOEXEC ? ",noexec" : "");
}

static void put_options(FILE *f, const struct mount *m)
{
	char options[256] = "";

	if (m->sb->ops && m->sb->ops->show_options)
		m->sb->ops->show_options(m->sb, options, sizeof(options));
	if (options[0])
		fprintf(f, ",%s", options[0] == ',' ? options + 1 : options);
}

static void put_mount(FILE *f, const struct mount *m, const char *where, char *buf)
{
	put_escaped(f, m->source);
	fputc(' ', f);
	put_escaped(f, where);
	fprintf(f, " %s ", m->sb->type);
	put_mount_flags(f, m);
	put_options(f, m);
	fputs(" 0 0\n", f);
}

static void put_mountinfo(FILE *f, const struct mount *m, const char *where, char *buf)
{
	bool unreachable;

	fprintf(f, "%d %d %u:%u ", m->id, m->parent ? m->parent->id : m->id, l_major(m->sb->dev), l_minor(m->sb->dev));
	/* The mount's root within its file system. */
	if (path_name_locked(&(struct path){NULL, m->root}, &(struct path){NULL, m->sb->root}, buf, L_PATH_MAX,
			     &unreachable) < 0)
		strcpy(buf, "/");
	put_escaped(f, buf);
	fputc(' ', f);
	put_escaped(f, where);
	fputc(' ', f);
	put_mount_flags(f, m);
	fprintf(f, " - %s ", m->sb->type);
	put_escaped(f, m->source);
	fprintf(f, " %s", m->sb->flags & SB_RDONLY ? "ro" : "rw");
	put_options(f, m);
	fputc('\n', f);
}

/* m and what hangs below it, as far as it can be seen from root.  mount_lock held. */
static void show_tree(FILE *f, const struct mount *m, const struct path *root, bool mountinfo, char *where, char *buf)
{
	const struct mount *child;
	bool unreachable = false;

	if (path_name_locked(&(struct path){(struct mount *)m, m->root}, root, where, L_PATH_MAX, &unreachable) == 0 &&
	    !unreachable)
		(mountinfo ? put_mountinfo : put_mount)(f, m, where, buf);
	list_for_each_entry(child, &m->children, sibling)
		show_tree(f, child, root, mountinfo, where, buf);
}

int vfs_show_mounts(const struct path *root, bool mountinfo, char **out, size_t *len)
{
	char *names = malloc(2 * L_PATH_MAX);
	FILE *f = names ? open_memstream(out, len) : NULL;
	const struct mount *top = root->mnt;

	if (!f) {
		free(names);
		return -ENOMEM;
	}
	read_lock(&mount_lock);
	/* A root that is not its mount's is still shown by that mount's line, as "/". */
	if (root->dentry != root->mnt->root)
		(mountinfo ? put_mountinfo : put_mount)(f, top, "/", names + L_PATH_MAX);
	show_tree(f, top, root, mountinfo, names, names + L_PATH_MAX);
	rw_unlock(&mount_lock);
	free(names);
	if (fclose(f) != 0) {
		free(*out);
		return -ENOMEM;
	}
	return 0;
}
