/* What the three kinds of System V IPC have in common: ids, keys, permissions, and sleeping for an object. */
#include "sentry/ipc/ipc_ns.h"

#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/vfs/vfs.h"

int64_t ipc_now(void)
{
	return vfs_now().tv_sec;
}

/* ---- memory ---- */

#define MEMORY_MAX (128ull << 20) /* bytes */
#define BLOCK_COST 32		   /* of the allocator's, for a block */

static _Atomic uint64_t memory_used;

static void uncharge(uint64_t bytes)
{
	atomic_fetch_sub(&memory_used, bytes);
}

static bool charge(uint64_t bytes)
{
	if (atomic_fetch_add(&memory_used, bytes) + bytes <= MEMORY_MAX)
		return true;
	uncharge(bytes);
	return false;
}

void *ipc_alloc(size_t size, size_t more)
{
	void *p;

	if (!charge((uint64_t)size + more + BLOCK_COST))
		return NULL;
	p = calloc(1, size);
	if (!p)
		uncharge((uint64_t)size + more + BLOCK_COST);
	return p;
}

void ipc_free(void *p, size_t size, size_t more)
{
	if (!p)
		return;
	free(p);
	uncharge((uint64_t)size + more + BLOCK_COST);
}

/* ---- the table ---- */

struct ipc_perm *ipc_at(struct ipc_ids *ids, int index)
{
	return index >= 0 && index < ids->cap ? ids->slots[index] : NULL;
}

struct ipc_perm *ipc_find(struct ipc_ids *ids, int id)
{
	struct ipc_perm *p = id < 0 ? NULL : ipc_at(ids, id % L_IPCMNI);

	return p && p->id == id ? p : NULL;
}

int ipc_max_index(const struct ipc_ids *ids)
{
	for (int i = ids->cap - 1; i > 0; i--)
		if (ids->slots[i])
			return i;
	return 0;
}

static struct ipc_perm *find_key(struct ipc_ids *ids, int32_t key)
{
	for (int i = 0; i < ids->cap; i++)
		if (ids->slots[i] && ids->slots[i]->key == key)
			return ids->slots[i];
	return NULL;
}

/* Makes room for index `at`. */
static int grow(struct ipc_ids *ids, int at)
{
	int cap = min_of(max_of(max_of(ids->cap * 2, at + 1), 16), L_IPCMNI);
	struct ipc_perm **slots = realloc(ids->slots, (size_t)cap * sizeof(struct ipc_perm *));

	if (!slots)
		return -ENOMEM;
	for (int i = ids->cap; i < cap; i++)
		slots[i] = NULL;
	ids->slots = slots;
	ids->cap = cap;
	return 0;
}

/* Gives p the lowest index that is free.  An id comes back only after its sequence has gone round, or when it is asked
 * for: then it has that sequence, and the first free index from that one on. */
static int add(struct ipc_ids *ids, struct ipc_perm *p)
{
	int64_t wanted = atomic_exchange(&ids->next_id->value, -1);
	int i = wanted < 0 ? 0 : (int)(wanted % L_IPCMNI), seq = (int)(wanted / L_IPCMNI);

	while (i < ids->cap && ids->slots[i])
		i++;
	if (i == L_IPCMNI)
		return -ENOSPC;
	if (i >= ids->cap) {
		int r = grow(ids, i);

		if (r < 0)
			return r;
	}
	if (wanted < 0) {
		if (i <= ids->last_index)
			ids->seq = (ids->seq + 1) % (INT32_MAX / L_IPCMNI);
		ids->last_index = i;
		seq = ids->seq;
	}
	ids->slots[i] = p;
	ids->count++;
	p->id = seq * L_IPCMNI + i;
	return p->id;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_perm *p)
{
	ids->slots[p->id % L_IPCMNI] = NULL;
	ids->count--;
}

static int create(struct ipc_ids *ids, const struct ipc_request *req)
{
	struct ipc_perm *p;
	int r;

	if (ids->count >= ids->limit->value)
		return -ENOSPC;
	r = req->create(req, &p);
	if (r < 0)
		return r;
	p->ns = req->ns;
	p->key = req->key;
	p->mode = req->flags & 0777;
	p->uid = p->cuid = req->cred->euid;
	p->gid = p->cgid = req->cred->egid;
	r = add(ids, p);
	if (r < 0)
		req->destroy(p);
	return r;
}

static int get_locked(struct ipc_ids *ids, const struct ipc_request *req) REQUIRES(ids->lock)
{
	struct ipc_perm *p = req->key == L_IPC_PRIVATE ? NULL : find_key(ids, req->key);
	int r;

	if (!p)
		return req->key == L_IPC_PRIVATE || (req->flags & L_IPC_CREAT) ? create(ids, req) : -ENOENT;
	if ((req->flags & L_IPC_CREAT) && (req->flags & L_IPC_EXCL))
		return -EEXIST;
	r = req->check(p, req);
	if (r == 0)
		r = ipc_permission(p, req->flags & 0777, req->cred);
	return r < 0 ? r : p->id;
}

int ipc_get(struct ipc_ids *ids, const struct ipc_request *req)
{
	int r;

	mutex_lock(&ids->lock);
	r = get_locked(ids, req);
	mutex_unlock(&ids->lock);
	return r;
}

int ipc_stat_find(struct ipc_ids *ids, int id, bool by_index, bool any, const struct cred *c, struct ipc_perm **out)
{
	struct ipc_perm *p = by_index ? ipc_at(ids, id % L_IPCMNI) : ipc_find(ids, id);
	int r;

	if (id < 0 || !p)
		return -EINVAL;
	r = any ? 0 : ipc_permission(p, 0444, c);
	if (r == 0)
		*out = p;
	return r;
}

/* ---- permissions ---- */

int ipc_permission(const struct ipc_perm *p, unsigned want, const struct cred *c)
{
	unsigned asked = (want >> 6) | (want >> 3) | want, granted = p->mode;

	if (c->euid == p->cuid || c->euid == p->uid)
		granted >>= 6;
	else if (cred_in_group(c, p->cgid) || cred_in_group(c, p->gid))
		granted >>= 3;
	return (asked & ~granted & 7) && !cred_ns_capable(c, p->ns->ns.owner, L_CAP_IPC_OWNER) ? -EACCES : 0;
}

int ipc_owner_check(const struct ipc_perm *p, const struct cred *c)
{
	return c->euid == p->cuid || c->euid == p->uid || cred_ns_capable(c, p->ns->ns.owner, L_CAP_SYS_ADMIN) ? 0
													       : -EPERM;
}

void ipc_perm_fill(struct l_ipc64_perm *out, const struct ipc_perm *p, const struct cred *c)
{
	*out = (struct l_ipc64_perm){
		.key = p->key,
		.uid = cred_show_uid(c, p->uid),
		.gid = cred_show_gid(c, p->gid),
		.cuid = cred_show_uid(c, p->cuid),
		.cgid = cred_show_gid(c, p->cgid),
		.mode = p->mode,
		.seq = (uint16_t)(p->id / L_IPCMNI),
	};
}

int ipc_perm_set(struct ipc_perm *p, const struct l_ipc64_perm *from, const struct cred *c)
{
	uint32_t uid = cred_read_uid(c, from->uid), gid = cred_read_gid(c, from->gid);

	if (uid == ID_NONE || gid == ID_NONE)
		return -EINVAL;
	p->uid = uid;
	p->gid = gid;
	p->mode = (p->mode & ~0777u) | (from->mode & 0777);
	return 0;
}

/* ---- sleeping ---- */

void ipc_waiter_init(struct ipc_waiter *w)
{
	list_init(&w->node);
	waitqueue_init(&w->wq);
	w->done = false;
	w->result = 0;
}

void ipc_waiter_end(struct ipc_waiter *w, int result)
{
	list_del_init(&w->node);
	w->result = result;
	w->done = true;
	waitqueue_wake(&w->wq, 0);
}

int ipc_waiter_sleep(struct ipc_waiter *w, struct mutex *lock, int64_t deadline_ns) NO_LOCK_ANALYSIS
{
	int r;

	mutex_unlock(lock);
	r = wait_event_deadline(&w->wq, deadline_ns, w->done);
	mutex_lock(lock); /* whoever ends the wait holds it: he is done with w now */
	if (w->done)
		r = w->result;
	else
		list_del_init(&w->node);
	waitqueue_destroy(&w->wq);
	return r == -ERESTARTSYS ? -EINTR : r;
}
