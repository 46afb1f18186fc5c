/* Extended attributes in memory.  See memxattr.h. */
#include "sentry/fs/tmpfs/memxattr.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/common.h"

/* What one inode may hold, so that attributes do not escape the size limit by much (ext4 allows less). */
#define TOTAL_MAX (256 * 1024ul)

struct memxattr {
	struct memxattr *next;
	size_t size; /* of value */
	uint8_t *value;
	char name[];
};

static bool known_prefix(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strncmp(name, "security.", 9) == 0;
}

/* The link that leads to name, or the last one. */
static struct memxattr **find(struct memxattrs *x, const char *name)
{
	struct memxattr **link = &x->first;

	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	return link;
}

static void unlink_one(struct memxattrs *x, struct memxattr **link)
{
	struct memxattr *a = *link;

	*link = a->next;
	x->total -= strlen(a->name) + a->size;
	free(a->value);
	free(a);
}

void memxattrs_free(struct memxattrs *x)
{
	while (x->first)
		unlink_one(x, &x->first);
}

ssize_t memxattr_get(struct inode *i, struct memxattrs *x, const char *name, void *buf, size_t size)
{
	struct memxattr *a;
	ssize_t r;

	if (!known_prefix(name))
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	a = *find(x, name);
	if (!a)
		r = -ENODATA;
	else if (size == 0)
		r = (ssize_t)a->size;
	else if (size < a->size)
		r = -ERANGE;
	else
		r = (ssize_t)a->size;
	if (r > 0 && size > 0)
		memcpy(buf, a->value, a->size);
	mutex_unlock(&i->lock);
	return r;
}

static int set_locked(struct memxattrs *x, const char *name, uint8_t *value, size_t size, int flags)
{
	struct memxattr **link = find(x, name), *a = *link;
	size_t name_size = strlen(name) + 1;

	if (a && (flags & L_XATTR_CREATE))
		return -EEXIST;
	if (!a && (flags & L_XATTR_REPLACE))
		return -ENODATA;
	if (x->total + name_size + size > TOTAL_MAX)
		return -ENOSPC;
	if (!a) {
		a = calloc(1, sizeof(*a) + name_size);
		if (!a)
			return -ENOMEM;
		memcpy(a->name, name, name_size);
		x->total += name_size - 1;
		*link = a;
	}
	x->total += size - a->size;
	free(a->value);
	a->value = value;
	a->size = size;
	return 0;
}

int memxattr_set(struct inode *i, struct memxattrs *x, const char *name, const void *value, size_t size, int flags)
{
	uint8_t *copy;
	int r;

	if (!known_prefix(name))
		return -EOPNOTSUPP;
	copy = malloc(size ? size : 1);
	if (!copy)
		return -ENOMEM;
	if (size > 0)
		memcpy(copy, value, size);
	mutex_lock(&i->lock);
	r = set_locked(x, name, copy, size, flags);
	if (r == 0)
		inode_touch(i, 0);
	mutex_unlock(&i->lock);
	if (r < 0)
		free(copy);
	return r;
}

ssize_t memxattr_list(struct inode *i, struct memxattrs *x, char *buf, size_t size)
{
	size_t total = 0;

	mutex_lock(&i->lock);
	for (const struct memxattr *a = x->first; a; a = a->next) {
		size_t n = strlen(a->name) + 1;

		if (size > 0) {
			if (n > size - total) {
				mutex_unlock(&i->lock);
				return -ERANGE;
			}
			memcpy(buf + total, a->name, n);
		}
		total += n;
	}
	mutex_unlock(&i->lock);
	return (ssize_t)total;
}

int memxattr_remove(struct inode *i, struct memxattrs *x, const char *name)
{
	struct memxattr **link;
	int r = -ENODATA;

	if (!known_prefix(name))
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	link = find(x, name);
	if (*link) {
		unlink_one(x, link);
		inode_touch(i, 0);
		r = 0;
	}
	mutex_unlock(&i->lock);
	return r;
}
