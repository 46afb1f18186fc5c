/* Trees of mounts as text: /proc/PID/mounts and mountinfo, proc_pid_mountinfo(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/vfs/mount_internal.h"

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

static void put_mount_flags(FILE *f, const struct mount *m, bool rdonly)
{
	unsigned flags = m->flags;

	fprintf(f, "%s%s%s%s%s%s%s%s", rdonly ? "ro" : "rw", flags & MNT_NOSUID ? ",nosuid" : "",
		flags & MNT_NODEV ? ",nodev" : "", flags & MNT_NOEXEC ? ",noexec" : "",
		flags & MNT_NOATIME ? ",noatime" : "", flags & MNT_NODIRATIME ? ",nodiratime" : "",
		flags & (MNT_NOATIME | MNT_STRICTATIME) ? "" : ",relatime",
		flags & MNT_NOSYMFOLLOW ? ",nosymfollow" : "");
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
	put_mount_flags(f, m, (m->flags & MNT_RDONLY) || (m->sb->flags & SB_RDONLY));
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
	put_mount_flags(f, m, m->flags & MNT_RDONLY);
	if (m->group)
		fprintf(f, " shared:%d", m->group);
	if (m->master)
		fprintf(f, " master:%d", m->master);
	if (m->unbindable)
		fprintf(f, " unbindable");
	fprintf(f, " - %s ", m->sb->type);
	put_escaped(f, m->source);
	fprintf(f, " %s", m->sb->flags & SB_RDONLY ? "ro" : "rw");
	put_options(f, m);
	fputc('\n', f);
}

/* In the order in which they were made. */
static int by_age(const void *a, const void *b)
{
	const struct mount *x = *(struct mount *const *)a, *y = *(struct mount *const *)b;

	return (x->unique_id > y->unique_id) - (x->unique_id < y->unique_id);
}

/* All mounts of root's tree, borrowed.  mount_lock held. */
static struct mount **list_tree(const struct path *root, size_t *count)
{
	const struct mount *top = root->mnt, *m;
	struct mount **list;
	size_t n = 0;

	while (top->parent)
		top = top->parent;
	for (m = top; m; m = mount_next(m, top, false))
		n++;
	list = calloc(n, sizeof(*list));
	*count = n;
	n = 0;
	for (m = list ? top : NULL; m; m = mount_next(m, top, false))
		list[n++] = (struct mount *)m;
	if (list)
		qsort(list, n, sizeof(*list), by_age);
	return list;
}

static void show_one(FILE *f, struct mount *m, const struct path *root, bool mountinfo, char *where, char *buf)
{
	bool unreachable = false;

	if (path_name_locked(&(struct path){m, m->root}, root, where, L_PATH_MAX, &unreachable) == 0 && !unreachable)
		(mountinfo ? put_mountinfo : put_mount)(f, m, where, buf);
}

int vfs_show_mounts(const struct path *root, bool mountinfo, char **out, size_t *len)
{
	char *names = malloc(2 * L_PATH_MAX);
	FILE *f = names ? open_memstream(out, len) : NULL;
	struct mount **list;
	size_t count;

	if (!f) {
		free(names);
		return -ENOMEM;
	}
	read_lock(&mount_lock);
	list = list_tree(root, &count);
	for (size_t i = 0; list && i < count; i++)
		show_one(f, list[i], root, mountinfo, names, names + L_PATH_MAX);
	rw_unlock(&mount_lock);
	free(names);
	free(list);
	if (fclose(f) != 0 || !list) {
		free(*out);
		return -ENOMEM;
	}
	return 0;
}
