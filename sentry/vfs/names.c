/* Paths as text: what getcwd and /proc/PID/fd show. */
#include <string.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/vfs/mount_internal.h"

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
	if ((d->flags & D_ANONYMOUS) && !vfs_is_mount_root(p)) {
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
	if (!fits)
		return -ENAMETOOLONG;
	memmove(buf, r.at, (size_t)(buf + size - r.at));
	return 0;
}

static int name_of(const struct path *p, const struct path *root, char *buf, size_t size, bool *unreachable)
{
	int r;

	read_lock(&mount_lock);
	r = path_name_locked(p, root, buf, size, unreachable);
	rw_unlock(&mount_lock);
	return r;
}

int vfs_path_name(const struct path *p, const struct path *root, char *buf, size_t size)
{
	bool unreachable;

	return name_of(p, root, buf, size, &unreachable);
}

int vfs_path_name_marked(const struct path *p, const struct path *root, char *buf, size_t size)
{
	bool unreachable;
	int r = name_of(p, root, buf, size, &unreachable);
	size_t len;

	if (r < 0 || !unreachable)
		return r;
	len = strlen(buf) + 1;
	if (size - len < strlen(UNREACHABLE))
		return -ENAMETOOLONG;
	memmove(buf + strlen(UNREACHABLE), buf, len);
	for (size_t i = 0; i < strlen(UNREACHABLE); i++)
		buf[i] = UNREACHABLE[i];
	return 0;
}
