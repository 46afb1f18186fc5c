/*
 * System V shared memory; shmop(2).  A segment is a file without a name in memory (tmpfs); each shmat opens it anew, so
 * that the VMAs know by their file what they belong to.  A VMA that comes or goes is counted through the file's
 * map_count.
 */

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "abi/types.h"
#include "base/checked.h"
#include "base/refcount.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

struct shm_segment {
	struct ipc_perm perm;
	struct refcount refs; /* the table, and each attached file */
	struct file *file;    /* counted; immutable */
	uint64_t size;	      /* bytes, as asked for; immutable */
	/* Guarded by the table's lock. */
	int64_t atime, dtime, ctime;
	int cpid, lpid;
	uint64_t attached; /* VMAs, and calls of shmat under way */
	bool removed;	   /* it is out of the table */
	uint32_t locker;   /* whose RLIMIT_MEMLOCK it counts for while SHM_LOCKED: a real user id */
};

static struct shm_segment *segment_of(struct ipc_perm *p)
{
	return container_of(p, struct shm_segment, perm);
}

static uint64_t pages_of(const struct shm_segment *s)
{
	return s->size / PAGE_SIZE + (s->size % PAGE_SIZE != 0);
}

#define SEGMENT_FILE_COST 2048 /* bytes of the sentry's: its file, inode and dentry */

static void segment_put(struct shm_segment *s)
{
	if (!refcount_dec(&s->refs))
		return;
	if (s->file)
		file_put(s->file);
	ipc_free(s, sizeof(*s), SEGMENT_FILE_COST);
}

/* ---- shmget ---- */

static int segment_create(const struct ipc_request *req, struct ipc_perm **out)
{
	uint64_t pages = req->size / PAGE_SIZE + (req->size % PAGE_SIZE != 0), shmall = req->ns->shmall;
	struct shm_segment *s;
	char name[32];
	int r;

	if (req->size == 0 || req->size > req->ns->shmmax || req->size > INT64_MAX)
		return -EINVAL;
	if (pages > shmall || req->ns->shm_pages > shmall - pages)
		return -ENOSPC;
	if (pages > INT64_MAX / PAGE_SIZE)
		return -ENOMEM;
	s = ipc_alloc(sizeof(*s), SEGMENT_FILE_COST);
	if (!s)
		return -ENOMEM;
	refcount_init(&s->refs, 1);
	s->size = req->size;
	s->ctime = ipc_now();
	s->cpid = task_current()->process->pid;
	snprintf(name, sizeof(name), "/SYSV%08x (deleted)", (unsigned)req->key);
	r = tmpfs_unnamed_file(name, pages * PAGE_SIZE, 0777, req->cred, &s->file);
	if (r < 0) {
		segment_put(s);
		return r;
	}
	req->ns->shm_pages += pages;
	*out = &s->perm;
	return 0;
}

/* Takes s, which nothing is attached to, out of the table if it is still there; the caller puts the table's reference.
 */
static void segment_unlink(struct ipc_ids *ids, struct shm_segment *s) REQUIRES(ids->lock)
{
	s->removed = true;
	s->perm.ns->shm_pages -= pages_of(s);
	ipc_remove(ids, &s->perm);
}

static void segment_destroy(struct ipc_perm *p)
{
	struct shm_segment *s = segment_of(p);

	s->perm.ns->shm_pages -= pages_of(s);
	segment_put(s);
}

static int segment_check(const struct ipc_perm *p, const struct ipc_request *req)
{
	return container_of(p, const struct shm_segment, perm)->size < req->size ? -EINVAL : 0;
}

int shm_get(struct task *t, int32_t key, uint64_t size, uint32_t flags)
{
	struct ipc_ns *ns = task_ipc_ns(t);
	struct ipc_request req = {
		.ns = ns,
		.key = key,
		.flags = flags,
		.size = size,
		.cred = t->cred,
		.create = segment_create,
		.check = segment_check,
		.destroy = segment_destroy,
	};

	if (flags & L_SHM_HUGETLB) { /* no huge pages are reserved here; vm.hugetlb_shm_group, who may have some too, is 0 */
		bool may = cred_capable(t->cred, L_CAP_IPC_LOCK) || cred_in_group(t->cred, 0);

		return may ? -ENOMEM : -EPERM;
	}
	return ipc_get(&ns->shm, &req);
}

/* ---- attached files ---- */

/* One VMA (noted: with time and process), or one shmat under way, less.  The last one takes a segment with it that was
 * to be removed. */
static void detached(struct shm_segment *s, bool noted)
{
	struct ipc_ids *ids = &s->perm.ns->shm;
	struct task *t = task_current();
	bool gone;

	mutex_lock(&ids->lock);
	if (noted && t)
		s->lpid = t->process->pid;
	if (noted)
		s->dtime = ipc_now();
	s->attached--;
	gone = s->attached == 0 && (s->perm.mode & L_SHM_DEST) && !s->removed;
	if (gone)
		segment_unlink(ids, s);
	mutex_unlock(&ids->lock);
	if (gone)
		segment_put(s);
}

static void attach_map_count(struct file *f, int change)
{
	struct shm_segment *s = f->priv;
	struct ipc_ids *ids = &s->perm.ns->shm;
	struct task *t = task_current();

	if (change < 0) {
		detached(s, true);
		return;
	}
	mutex_lock(&ids->lock);
	if (t)
		s->lpid = t->process->pid;
	s->atime = ipc_now();
	s->attached++;
	mutex_unlock(&ids->lock);
}

static int attach_mmap(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd,
		       uint64_t *host_off)
{
	struct shm_segment *s = f->priv;
	struct ipc_ids *ids = &s->perm.ns->shm;
	bool removed;

	mutex_lock(&ids->lock);
	removed = s->removed;
	mutex_unlock(&ids->lock);
	if (removed)
		return -EINVAL;
	return s->file->ops->mmap(s->file, off, len, prot, flags, host_fd, host_off);
}

static int attach_fsync(struct file *f, bool data_only)
{
	(void)f, (void)data_only;
	return 0;
}

static void attach_release(struct file *f)
{
	struct shm_segment *s = f->priv;
	struct ns *ns = &s->perm.ns->ns;

	segment_put(s);
	ns_put(ns);
}

static const struct file_ops attach_ops = {
	.mmap = attach_mmap,
	.map_count = attach_map_count,
	.fsync = attach_fsync,
	.release = attach_release,
};

/* ---- shmat, shmdt ---- */

/* Finds what is to be attached, and counts it as attached so that it stays. */
static int attach_begin(struct task *t, int id, unsigned want, struct shm_segment **out)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->shm;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_permission(p, want, t->cred) : -EINVAL;
	if (r == 0) {
		*out = segment_of(p);
		refcount_inc(&(*out)->refs);
		(*out)->attached++;
	}
	mutex_unlock(&ids->lock);
	return r;
}

static int64_t attach_map(struct task *t, struct shm_segment *s, uint64_t addr, int prot, int flags)
{
	uint32_t mode = FILE_READ | (prot & L_PROT_WRITE ? FILE_WRITE : 0);
	struct file *f;
	char name[64];
	int64_t r;

	dentry_copy_name(s->file->path.dentry, name, sizeof(name));
	r = file_anonymous_on(name, s->file->inode, &attach_ops, s, prot & L_PROT_WRITE ? L_O_RDWR : L_O_RDONLY, mode,
			      t->cred, &f);
	if (r < 0)
		return r;
	refcount_inc(&s->refs); /* the file's, as is the namespace */
	ns_get(&s->perm.ns->ns);
	r = mm_map(t, t->mm, addr, s->size, prot, flags, f, 0, VMA_PLAIN);
	file_put(f);
	return r == -EEXIST ? -EINVAL : r;
}

int64_t shm_attach(struct task *t, int id, uint64_t addr, uint32_t flags)
{
	int prot = L_PROT_READ | (flags & L_SHM_RDONLY ? 0 : L_PROT_WRITE) | (flags & L_SHM_EXEC ? L_PROT_EXEC : 0);
	unsigned want = 0444 | (flags & L_SHM_RDONLY ? 0 : 0222) | (flags & L_SHM_EXEC ? 0111 : 0);
	int map_flags = L_MAP_SHARED;
	struct shm_segment *s = NULL;
	int64_t r;

	if (addr & ~PAGE_MASK) {
		if (!(flags & L_SHM_RND))
			return -EINVAL;
		addr = page_down(addr);
		if (!addr && (flags & L_SHM_REMAP))
			return -EINVAL;
	}
	if (!addr && (flags & L_SHM_REMAP))
		return -EINVAL;
	if (addr)
		map_flags |= flags & L_SHM_REMAP ? L_MAP_FIXED : L_MAP_FIXED_NOREPLACE;
	r = attach_begin(t, id, want, &s);
	if (r < 0)
		return r;
	if (addr && !(flags & L_SHM_REMAP) && s->size > UINT64_MAX - addr)
		r = -EINVAL;
	else
		r = attach_map(t, s, addr, prot, map_flags);
	detached(s, false);
	segment_put(s);
	return r;
}

/* What was attached at addr may by now be several VMAs, with holes and moved parts; shmdt(2) takes those that stand
 * where the attachment put them. */
int shm_detach(struct task *t, uint64_t addr)
{
	struct file *f = NULL;
	uint64_t start, end, at = addr;
	int r;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	while (mm_next_of_file(t->mm, at, addr, &attach_ops, &f, &start, &end)) {
		r = mm_unmap(t, t->mm, start, end - start);
		if (r < 0)
			break;
		at = end;
	}
	if (!f)
		return -EINVAL;
	file_put(f);
	return 0;
}

/* ---- shmctl ---- */

static uint64_t resident_pages(struct shm_segment *s)
{
	struct l_statx st;

	return vfs_getattr(&s->file->path, &st) == 0 ? st.stx_blocks * 512 / PAGE_SIZE : 0;
}

int shm_stat(struct task *t, int id, bool by_index, bool any, struct l_shmid64_ds *out)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->shm;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	r = ipc_stat_find(ids, id, by_index, any, t->cred, &p);
	if (r == 0) {
		const struct shm_segment *s = segment_of(p);

		*out = (struct l_shmid64_ds){
			.shm_segsz = s->size,
			.shm_atime = s->atime,
			.shm_dtime = s->dtime,
			.shm_ctime = s->ctime,
			.shm_cpid = global_nr(s->cpid, task_pid_ns(t)),
			.shm_lpid = global_nr(s->lpid, task_pid_ns(t)),
			.shm_nattch = s->attached,
		};
		ipc_perm_fill(&out->shm_perm, p, t->cred);
		r = by_index ? p->id : 0;
	}
	mutex_unlock(&ids->lock);
	return r;
}

int shm_set(struct task *t, int id, const struct l_ipc64_perm *perm)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->shm;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0)
		r = ipc_perm_set(p, perm, t->cred);
	if (r == 0)
		segment_of(p)->ctime = ipc_now();
	mutex_unlock(&ids->lock);
	return r;
}

int shm_remove(struct task *t, int id)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->shm;
	struct shm_segment *s = NULL;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0 && segment_of(p)->attached) {
		p->mode |= L_SHM_DEST;
		p->key = L_IPC_PRIVATE;
	} else if (r == 0) {
		s = segment_of(p);
		segment_unlink(ids, s);
	}
	mutex_unlock(&ids->lock);
	if (s)
		segment_put(s);
	return r;
}

/* What uid has locked of the table's segments, in pages. */
static uint64_t locked_pages(struct ipc_ids *ids, uint32_t uid) REQUIRES(ids->lock)
{
	uint64_t sum = 0;

	for (int i = 0; i <= ipc_max_index(ids); i++) {
		struct ipc_perm *p = ipc_at(ids, i);

		if (p && (p->mode & L_SHM_LOCKED) && segment_of(p)->locker == uid)
			sum += pages_of(segment_of(p));
	}
	return sum;
}

static int lock_segment(struct task *t, struct ipc_ids *ids, struct shm_segment *s) REQUIRES(ids->lock)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_MEMLOCK) / PAGE_SIZE;

	if (s->perm.mode & L_SHM_LOCKED)
		return 0;
	if (pages_of(s) + locked_pages(ids, t->cred->uid) > limit && !cred_capable(t->cred, L_CAP_IPC_LOCK))
		return -ENOMEM;
	s->perm.mode |= L_SHM_LOCKED;
	s->locker = t->cred->uid;
	return 0;
}

/* Kept in the books alone, as mlock is. */
int shm_lock(struct task *t, int id, bool lock)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->shm;
	struct ipc_perm *p;
	int r = 0;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	if (!p)
		r = -EINVAL;
	else if (!cred_ns_capable(t->cred, p->ns->ns.owner, L_CAP_IPC_LOCK) &&
		 ((t->cred->euid != p->uid && t->cred->euid != p->cuid) ||
		  (lock && process_rlimit(t->process, L_RLIMIT_MEMLOCK) == 0)))
		r = -EPERM;
	else if (lock)
		r = lock_segment(t, ids, segment_of(p));
	else
		p->mode &= ~(uint32_t)L_SHM_LOCKED;
	mutex_unlock(&ids->lock);
	return r;
}

/* Nothing is attached any more: whatever is attached holds the namespace. */
void shm_ns_free(struct ipc_ns *ns)
{
	struct ipc_ids *ids = &ns->shm;

	mutex_lock(&ids->lock);
	for (int i = 0; i < ids->cap; i++) {
		struct shm_segment *s = ids->slots[i] ? segment_of(ids->slots[i]) : NULL;

		if (!s)
			continue;
		segment_unlink(ids, s);
		segment_put(s);
	}
	mutex_unlock(&ids->lock);
}

int shm_info(struct ipc_ns *ns, struct l_shm_info *out)
{
	struct ipc_ids *ids = &ns->shm;
	int max;

	*out = (struct l_shm_info){0};
	mutex_lock(&ids->lock);
	out->used_ids = ids->count;
	out->shm_tot = ns->shm_pages;
	for (int i = 0; i < ids->cap; i++)
		if (ids->slots[i])
			out->shm_rss += resident_pages(segment_of(ids->slots[i]));
	max = ipc_max_index(ids);
	mutex_unlock(&ids->lock);
	return max;
}

int shm_show(struct ipc_ns *ns, const struct cred *c, FILE *out)
{
	struct ipc_ids *ids = &ns->shm;

	fputs("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime "
	      "     dtime"
	      "      ctime                   rss                  swap\n",
	      out);
	mutex_lock(&ids->lock);
	for (int i = 0; i < ids->cap; i++) {
		struct ipc_perm *p = ids->slots[i];
		struct shm_segment *s;

		if (!p)
			continue;
		s = segment_of(p);
		fprintf(out, "%10d %10d  %4o %21llu %5d %5d  %5llu %5u %5u %5u %5u %10lld %10lld %10lld %21llu %21u\n",
			p->key, p->id, p->mode, (unsigned long long)s->size, s->cpid, s->lpid,
			(unsigned long long)s->attached, cred_show_uid(c, p->uid), cred_show_gid(c, p->gid),
			cred_show_uid(c, p->cuid), cred_show_gid(c, p->cgid), (long long)s->atime, (long long)s->dtime,
			(long long)s->ctime, (unsigned long long)(resident_pages(s) * PAGE_SIZE), 0u);
	}
	mutex_unlock(&ids->lock);
	return 0;
}
