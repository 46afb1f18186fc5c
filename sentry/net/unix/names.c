/*
 * Names: in the file system (a socket's inode, found by its path), or abstract ones, which begin with a NUL and are nobody's files.
 *
 * Both kinds are in one table.  A path's key is its inode, which the socket holds; an abstract name's, its bytes and the type, so that
 * a stream and a datagram socket may share one, as on Linux.
 */
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/net/unix/internal.h"
#include "sentry/task/task.h"

#define BUCKETS 256u
#define AUTOBIND_NAMES 0x100000u /* five hexadecimal digits */

static struct list_head names[BUCKETS]; /* of unix_sock.name_node; guarded by unix_lock; zeroed: not yet used */
static uint32_t autobind_next;		/* guarded by unix_lock */

static struct list_head *bucket(uint32_t hash) REQUIRES(unix_lock)
{
	struct list_head *b = &names[hash % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

/* FNV-1a */
static uint32_t hash_name(const struct l_sockaddr_un *name, uint32_t len, int type)
{
	const uint8_t *bytes = (const uint8_t *)name->sun_path;
	uint32_t h = 2166136261u ^ (uint32_t)type;

	for (uint32_t i = 0; i < len - UNIX_NAME_OFFSET; i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h ^ h >> 16;
}

static uint32_t hash_inode(const struct inode *i)
{
	uint64_t h = (uint64_t)(uintptr_t)i * 0x9e3779b97f4a7c15u;

	return (uint32_t)(h >> 40);
}

/* ---- addresses ---- */

struct unix_addr *unix_addr_get(struct unix_addr *a)
{
	refcount_inc(&a->refs);
	return a;
}

void unix_addr_put(struct unix_addr *a)
{
	if (a && refcount_dec(&a->refs))
		free(a);
}

/* size bytes of a name, family first, and beyond them NULs up to len. */
static struct unix_addr *addr_new(const void *name, uint32_t size, uint32_t len)
{
	struct unix_addr *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	refcount_init(&a->refs, 1);
	a->len = len;
	memcpy(&a->name, name, min_of(size, len));
	return a;
}

static bool is_abstract(const struct l_sockaddr_un *name)
{
	return name->sun_path[0] == 0;
}

int unix_check_addr(const struct l_sockaddr_storage *addr, uint32_t len)
{
	if (len <= UNIX_NAME_OFFSET || len > sizeof(struct l_sockaddr_un) || addr->ss_family != L_AF_UNIX)
		return -EINVAL;
	return 0;
}

/* The path in an address that was checked, which need not end with a NUL there. */
static void path_of(const struct l_sockaddr_storage *addr, uint32_t len, char path[L_UNIX_PATH_MAX + 1])
{
	len -= UNIX_NAME_OFFSET;
	memcpy(path, (const char *)addr + UNIX_NAME_OFFSET, len);
	path[len] = 0;
}

uint32_t unix_copy_name(const struct unix_sock *s, struct l_sockaddr_storage *out)
{
	const struct unix_addr *a = s->addr;

	if (!a)
		return 0;
	memcpy(out, &a->name, a->len);
	return a->len;
}

int unix_name(struct socket *sock, bool peer, struct l_sockaddr_storage *addr, uint32_t *len)
{
	struct unix_sock *s = unix_of(sock), *of = s;

	mutex_lock(&unix_lock);
	if (peer)
		of = s->peer;
	if (of)
		unix_get(of);
	mutex_unlock(&unix_lock);
	if (!of)
		return -ENOTCONN;
	*len = unix_copy_name(of, addr);
	if (!*len) {
		addr->ss_family = L_AF_UNIX;
		*len = UNIX_NAME_OFFSET;
	}
	unix_put(of);
	return 0;
}

/* ---- finding ---- */

static struct unix_sock *find_abstract(const struct l_sockaddr_un *name, uint32_t len, int type) REQUIRES(unix_lock)
{
	struct unix_sock *s;

	list_for_each_entry (s, bucket(hash_name(name, len, type)), name_node) {
		const struct unix_addr *a = s->addr;

		if (a->len == len && s->sock.type == type && !s->path.mnt && !memcmp(&a->name, name, len))
			return s;
	}
	return NULL;
}

static struct unix_sock *find_inode(const struct inode *i) REQUIRES(unix_lock)
{
	struct unix_sock *s;

	list_for_each_entry (s, bucket(hash_inode(i)), name_node)
		if (s->path.mnt && dentry_inode(s->path.dentry) == i)
			return s;
	return NULL;
}

/* By path: the socket there has to be writable. */
static int find_path(struct task *t, const char *path, int type, struct unix_sock **out)
{
	struct lookup l = task_lookup(t);
	struct unix_sock *s = NULL;
	const struct inode *i;
	struct path p;
	int r = vfs_resolve(&l, L_AT_FDCWD, path, LOOKUP_FOLLOW, 0, &p);

	if (r < 0)
		return r;
	r = vfs_permission(&p, MAY_WRITE, t->cred);
	i = dentry_inode(p.dentry);
	if (r == 0 && inode_is(i, L_S_IFSOCK)) {
		mutex_lock(&unix_lock);
		s = find_inode(i);
		if (s)
			unix_get(s);
		mutex_unlock(&unix_lock);
	}
	path_put(&p);
	if (r < 0)
		return r;
	if (!s)
		return -ECONNREFUSED;
	if (s->sock.type != type) {
		unix_put(s);
		return -EPROTOTYPE;
	}
	*out = s;
	return 0;
}

int unix_find(struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, int type, struct unix_sock **out)
{
	const struct l_sockaddr_un *name = (const struct l_sockaddr_un *)addr;
	char path[L_UNIX_PATH_MAX + 1];
	struct unix_sock *s;

	if (!is_abstract(name)) {
		path_of(addr, len, path);
		return find_path(t, path, type, out);
	}
	mutex_lock(&unix_lock);
	s = find_abstract(name, len, type);
	if (s)
		unix_get(s);
	mutex_unlock(&unix_lock);
	if (!s)
		return -ECONNREFUSED;
	*out = s;
	return 0;
}

/* ---- binding ---- */

void unix_unname(struct unix_sock *s)
{
	list_del_init(&s->name_node);
}

/* a (consumed on success) is s's name from now on; path (consumed on success, NULL: abstract) is where it lies. */
static int give_name(struct unix_sock *s, struct unix_addr *a, const struct path *path)
{
	uint32_t hash = path ? hash_inode(dentry_inode(path->dentry)) : hash_name(&a->name, a->len, s->sock.type);
	int r = 0;

	mutex_lock(&unix_lock);
	if (s->addr)
		r = -EINVAL;
	else if (!path && find_abstract(&a->name, a->len, s->sock.type))
		r = -EADDRINUSE;
	if (r == 0) {
		if (path)
			s->path = *path;
		s->addr = a;
		list_add(&s->name_node, bucket(hash));
	}
	mutex_unlock(&unix_lock);
	return r;
}

/* Why a socket that has a name cannot have another: that the other is somebody's already comes first. */
static int refuse_path(struct task *t, const char *path)
{
	struct lookup l = task_lookup(t);
	struct path at;

	if (vfs_resolve(&l, L_AT_FDCWD, path, 0, 0, &at) < 0)
		return -EINVAL;
	path_put(&at);
	return -EADDRINUSE;
}

/* A node in the file system is made for the name; it stays when the socket goes. */
static int bind_path(struct unix_sock *s, struct task *t, const char *path, struct unix_addr *a) REQUIRES(s->bind_lock)
{
	struct lookup l = task_lookup(t);
	struct path at;
	int r;

	if (s->addr)
		return refuse_path(t, path);
	/* With the mode of the socket itself, which fchmod(2) may have changed. */
	r = vfs_mknod_path(&l, L_AT_FDCWD, path, s->file->inode->mode, 0, &at);
	if (r == -EEXIST)
		return -EADDRINUSE;
	if (r < 0)
		return r;
	r = give_name(s, a, &at);
	ASSERT(r == 0); /* names are given with bind_lock held */
	return 0;
}

int unix_bind(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len)
{
	struct unix_sock *s = unix_of(sock);
	char path[L_UNIX_PATH_MAX + 1];
	struct unix_addr *a;
	uint32_t whole = len;
	bool abstract;
	int r;

	if (len == UNIX_NAME_OFFSET && addr->ss_family == L_AF_UNIX)
		return unix_autobind(s);
	r = unix_check_addr(addr, len);
	if (r < 0)
		return r;
	abstract = is_abstract((const struct l_sockaddr_un *)addr);
	if (!abstract) {
		path_of(addr, len, path);
		whole = UNIX_NAME_OFFSET + (uint32_t)strlen(path) + 1;
	}
	a = addr_new(addr, len, whole);
	if (!a)
		return -ENOMEM;
	mutex_lock(&s->bind_lock);
	r = abstract ? give_name(s, a, NULL) : bind_path(s, t, path, a);
	mutex_unlock(&s->bind_lock);
	if (r < 0)
		unix_addr_put(a);
	return r;
}

static int give_any_name(struct unix_sock *s) REQUIRES(s->bind_lock)
{
	struct l_sockaddr_un name = {.sun_family = L_AF_UNIX};
	struct unix_addr *a;
	char digits[8];
	int r;

	if (s->addr) /* another thread has named it */
		return 0;
	for (uint32_t tries = 0; tries < AUTOBIND_NAMES; tries++) {
		mutex_lock(&unix_lock);
		snprintf(digits, sizeof(digits), "%05x", autobind_next++ % AUTOBIND_NAMES);
		mutex_unlock(&unix_lock);
		memcpy(name.sun_path + 1, digits, 5);
		a = addr_new(&name, UNIX_NAME_OFFSET + 6, UNIX_NAME_OFFSET + 6);
		if (!a)
			return -ENOMEM;
		r = give_name(s, a, NULL);
		if (r == 0)
			return 0;
		unix_addr_put(a);
	}
	return -ENOSPC;
}

int unix_autobind(struct unix_sock *s)
{
	int r;

	if (s->addr)
		return 0;
	mutex_lock(&s->bind_lock);
	r = give_any_name(s);
	mutex_unlock(&s->bind_lock);
	return r;
}
