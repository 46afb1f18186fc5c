/*
 * System V semaphores; semop(2).  An array of operations is done as a whole or not at all.  A task that must wait hangs
 * its operations on the set, and whoever changes the set does them for it: first those that wait for zero, then the
 * others in the order of their arrival.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/refcount.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

/* All fields below are guarded by the lock of the namespace's table, reference counts apart. */
struct sem {
	int value;
	int pid; /* who changed it last */
};

struct sem_set {
	struct ipc_perm perm;
	int64_t otime, ctime;
	struct list_head waiting; /* of sem_wait.waiter.node, in order of arrival */
	struct list_head undos;	  /* of sem_undo.in_set */
	int count;
	struct sem sems[];
};

struct sem_undo { /* what one list of undos has noted for one set */
	struct list_head in_set, in_list;
	struct sem_set *set;
	int16_t adjust[]; /* by semaphore: added at the end */
};

struct sem_undos {
	struct refcount refs;  /* tasks that share it */
	struct list_head list; /* of sem_undo.in_list */
};

struct sem_op { /* a call of semop */
	const struct l_sembuf *ops;
	unsigned count;
	bool alters;
	struct sem_undo *undo; /* or NULL */
	int pid;
	const struct l_sembuf *blocking; /* the operation that could not be done */
};

struct sem_wait {
	struct ipc_waiter waiter;
	struct sem_op op;
};

static struct sem_set *set_of(struct ipc_perm *p)
{
	return container_of(p, struct sem_set, perm);
}

/* ---- semget ---- */

static size_t set_size(int count)
{
	return sizeof(struct sem_set) + (size_t)count * sizeof(struct sem);
}

static int set_create(const struct ipc_request *req, struct ipc_perm **out)
{
	struct sem_set *s;

	if (req->size == 0)
		return -EINVAL;
	if ((int64_t)req->size > req->ns->semmns.value - req->ns->sem_total)
		return -ENOSPC;
	s = ipc_alloc(set_size((int)req->size), 0);
	if (!s)
		return -ENOMEM;
	s->count = (int)req->size;
	s->ctime = ipc_now();
	list_init(&s->waiting);
	list_init(&s->undos);
	req->ns->sem_total += s->count;
	*out = &s->perm;
	return 0;
}

static void set_free(struct ipc_perm *p)
{
	struct sem_set *s = set_of(p);

	p->ns->sem_total -= s->count;
	ipc_free(s, set_size(s->count), 0);
}

static int set_check(const struct ipc_perm *p, const struct ipc_request *req)
{
	return (uint64_t)container_of(p, const struct sem_set, perm)->count < req->size ? -EINVAL : 0;
}

int sem_get(struct task *t, int32_t key, int count, uint32_t flags)
{
	struct ipc_ns *ns = task_ipc_ns(t);
	struct ipc_request req = {
		.ns = ns,
		.key = key,
		.flags = flags,
		.size = (uint64_t)count,
		.cred = t->cred,
		.create = set_create,
		.check = set_check,
		.destroy = set_free,
	};

	if (count < 0 || count > ns->semmsl.value)
		return -EINVAL;
	return ipc_get(&ns->sem, &req);
}

/* ---- operations ---- */

/* One operation on its semaphore: 0, 1 if it must wait, -ERANGE. */
static int apply_one(struct sem_set *s, const struct sem_op *op, const struct l_sembuf *o)
{
	struct sem *sem = &s->sems[o->sem_num];
	int result = sem->value + o->sem_op;

	if (o->sem_op == 0)
		return sem->value != 0;
	if (result < 0)
		return 1;
	if (result > SEMVMX)
		return -ERANGE;
	if (o->sem_flg & L_SEM_UNDO) {
		int adjust = op->undo->adjust[o->sem_num] - o->sem_op;

		if (adjust < -SEMVMX - 1 || adjust > SEMVMX)
			return -ERANGE;
		op->undo->adjust[o->sem_num] = (int16_t)adjust;
	}
	sem->value = result;
	return 0;
}

static void take_back(struct sem_set *s, const struct sem_op *op, unsigned done)
{
	while (done--) {
		const struct l_sembuf *o = &op->ops[done];

		s->sems[o->sem_num].value -= o->sem_op;
		if (o->sem_flg & L_SEM_UNDO)
			op->undo->adjust[o->sem_num] = (int16_t)(op->undo->adjust[o->sem_num] + o->sem_op);
	}
}

/* All of op, or nothing: 0; 1 if it must wait; -EAGAIN, -ERANGE. */
static int apply(struct sem_set *s, struct sem_op *op)
{
	for (unsigned i = 0; i < op->count; i++) {
		int r = apply_one(s, op, &op->ops[i]);

		if (r == 0)
			continue;
		take_back(s, op, i);
		op->blocking = &op->ops[i];
		return r == 1 && (op->ops[i].sem_flg & L_IPC_NOWAIT) ? -EAGAIN : r;
	}
	for (unsigned i = 0; i < op->count; i++)
		s->sems[op->ops[i].sem_num].pid = op->pid;
	s->otime = ipc_now();
	return 0;
}

/* Ends the waits of this kind that can end; true if one of them changed the set. */
static bool end_waits(struct sem_set *s, bool altering)
{
	struct list_head *n, *next;

	for (n = s->waiting.next; n != &s->waiting; n = next) {
		struct sem_wait *w = list_entry(n, struct sem_wait, waiter.node);
		int r;

		next = n->next;
		if (w->op.alters != altering)
			continue;
		r = apply(s, &w->op);
		if (r > 0)
			continue;
		ipc_waiter_end(&w->waiter, r);
		if (r == 0 && altering)
			return true;
	}
	return false;
}

/* The set has changed. */
static void set_changed(struct sem_set *s)
{
	do
		(void)end_waits(s, false);
	while (end_waits(s, true));
}

/* Sees to it that t has a list of undos. */
static bool undos_make(struct task *t)
{
	if (t->sem_undos)
		return true;
	t->sem_undos = calloc(1, sizeof(*t->sem_undos));
	if (!t->sem_undos)
		return false;
	refcount_init(&t->sem_undos->refs, 1);
	list_init(&t->sem_undos->list);
	return true;
}

static size_t undo_size(const struct sem_set *s)
{
	return sizeof(struct sem_undo) + (size_t)s->count * sizeof(int16_t);
}

/* t's note for s: made if there is none. */
static int undo_find(struct task *t, struct sem_set *s, struct sem_undo **out)
{
	struct sem_undo *u;

	list_for_each_entry (u, &t->sem_undos->list, in_list) {
		if (u->set == s) {
			*out = u;
			return 0;
		}
	}
	u = ipc_alloc(undo_size(s), 0);
	if (!u)
		return -ENOMEM;
	u->set = s;
	list_add_tail(&u->in_set, &s->undos);
	list_add_tail(&u->in_list, &t->sem_undos->list);
	*out = u;
	return 0;
}

static void undo_free(struct sem_undo *u)
{
	list_del_init(&u->in_set);
	list_del_init(&u->in_list);
	ipc_free(u, undo_size(u->set), 0);
}

static int operate_locked(struct task *t, struct ipc_ids *ids, int id, struct sem_wait *w, bool undo,
			  int64_t deadline_ns) REQUIRES(ids->lock)
{
	struct ipc_perm *p = ipc_find(ids, id);
	struct sem_set *s = p ? set_of(p) : NULL;
	int r;

	if (!s)
		return -EINVAL;
	for (unsigned i = 0; i < w->op.count; i++)
		if (w->op.ops[i].sem_num >= s->count)
			return -EFBIG;
	r = ipc_permission(p, w->op.alters ? 0222 : 0444, t->cred);
	if (r == 0 && undo)
		r = undo_find(t, s, &w->op.undo);
	if (r == 0)
		r = apply(s, &w->op);
	if (r == 0 && w->op.alters)
		set_changed(s);
	if (r <= 0)
		return r;
	ipc_waiter_init(&w->waiter);
	list_add_tail(&w->waiter.node, &s->waiting);
	r = ipc_waiter_sleep(&w->waiter, &ids->lock, deadline_ns);
	return r == -ETIMEDOUT ? -EAGAIN : r;
}

int sem_operate(struct task *t, int id, const struct l_sembuf *ops, unsigned count, int64_t deadline_ns)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_wait w = {.op = {.ops = ops, .count = count, .pid = t->process->pid}};
	bool undo = false;
	int r;

	for (unsigned i = 0; i < count; i++) {
		w.op.alters |= ops[i].sem_op != 0;
		undo |= ops[i].sem_op != 0 && (ops[i].sem_flg & L_SEM_UNDO);
	}
	if (undo && !undos_make(t))
		return -ENOMEM;
	mutex_lock(&ids->lock);
	r = operate_locked(t, ids, id, &w, undo, deadline_ns);
	mutex_unlock(&ids->lock);
	return r;
}

/* ---- undoing ---- */

struct sem_undos *sem_undos_share(struct task *t)
{
	if (!undos_make(t))
		return NULL;
	refcount_inc(&t->sem_undos->refs);
	return t->sem_undos;
}

static void undo_apply(const struct sem_undo *u, int pid)
{
	struct sem_set *s = u->set;

	for (int i = 0; i < s->count; i++) {
		struct sem *sem = &s->sems[i];

		if (!u->adjust[i])
			continue;
		sem->value = max_of(0, min_of(sem->value + u->adjust[i], SEMVMX));
		sem->pid = pid;
	}
	s->otime = ipc_now();
	set_changed(s);
}

void sem_undos_leave(struct task *t)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_undos *l = t->sem_undos;
	struct sem_undo *u, *tmp;

	t->sem_undos = NULL;
	if (!l || !refcount_dec(&l->refs))
		return;
	mutex_lock(&ids->lock);
	list_for_each_entry_safe (u, tmp, &l->list, in_list) {
		undo_apply(u, t->process->pid);
		undo_free(u);
	}
	mutex_unlock(&ids->lock);
	free(l);
}

static void forget_undo(struct sem_set *s, int num)
{
	struct sem_undo *u;

	list_for_each_entry (u, &s->undos, in_set)
		u->adjust[num] = 0;
}

/* ---- semctl ---- */

int sem_stat(struct task *t, int id, bool by_index, bool any, struct l_semid64_ds *out)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	r = ipc_stat_find(ids, id, by_index, any, t->cred, &p);
	if (r == 0) {
		const struct sem_set *s = set_of(p);

		*out = (struct l_semid64_ds){
			.sem_otime = s->otime,
			.sem_ctime = s->ctime,
			.sem_nsems = (uint64_t)s->count,
		};
		ipc_perm_fill(&out->sem_perm, p, t->cred);
		r = by_index ? p->id : 0;
	}
	mutex_unlock(&ids->lock);
	return r;
}

int sem_set(struct task *t, int id, const struct l_ipc64_perm *perm)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0)
		r = ipc_perm_set(p, perm, t->cred);
	if (r == 0)
		set_of(p)->ctime = ipc_now();
	mutex_unlock(&ids->lock);
	return r;
}

static void set_destroy(struct ipc_ids *ids, struct sem_set *s) REQUIRES(ids->lock)
{
	struct sem_undo *u, *tmp;

	while (!list_empty(&s->waiting))
		ipc_waiter_end(list_first_entry(&s->waiting, struct ipc_waiter, node), -EIDRM);
	list_for_each_entry_safe (u, tmp, &s->undos, in_set)
		undo_free(u);
	ipc_remove(ids, &s->perm);
	set_free(&s->perm);
}

int sem_remove(struct task *t, int id)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0)
		set_destroy(ids, set_of(p));
	mutex_unlock(&ids->lock);
	return r;
}

void sem_ns_free(struct ipc_ns *ns)
{
	mutex_lock(&ns->sem.lock);
	for (int i = 0; i < ns->sem.cap; i++)
		if (ns->sem.slots[i])
			set_destroy(&ns->sem, set_of(ns->sem.slots[i]));
	mutex_unlock(&ns->sem.lock);
}

/* The set of id if c may do want with it. */
static int set_find(struct ipc_ids *ids, int id, unsigned want, const struct cred *c, struct sem_set **out)
	REQUIRES(ids->lock)
{
	struct ipc_perm *p = ipc_find(ids, id);
	int r = p ? ipc_permission(p, want, c) : -EINVAL;

	if (r == 0)
		*out = set_of(p);
	return r;
}

/* How many wait at semaphore num: for zero, or for more. */
static int count_waiting(struct sem_set *s, int num, bool for_zero)
{
	struct sem_wait *w;
	int n = 0;

	list_for_each_entry (w, &s->waiting, waiter.node)
		n += w->op.blocking->sem_num == num && (w->op.blocking->sem_op == 0) == for_zero;
	return n;
}

static int query(struct sem_set *s, int num, int cmd)
{
	if (num < 0 || num >= s->count)
		return -EINVAL;
	switch (cmd) {
	case L_GETVAL:
		return s->sems[num].value;
	case L_GETPID:
		return global_nr(s->sems[num].pid, task_pid_ns(task_current()));
	case L_GETNCNT:
		return count_waiting(s, num, false);
	default:
		return count_waiting(s, num, true);
	}
}

int sem_query(struct task *t, int id, int num, int cmd)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_set *s;
	int r;

	mutex_lock(&ids->lock);
	r = set_find(ids, id, 0444, t->cred, &s);
	if (r == 0)
		r = query(s, num, cmd);
	mutex_unlock(&ids->lock);
	return r;
}

static void assign(struct task *t, struct sem_set *s, int num, int value)
{
	forget_undo(s, num);
	s->sems[num].value = value;
	s->sems[num].pid = t->process->pid;
}

int sem_set_value(struct task *t, int id, int num, int value)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_set *s;
	struct ipc_perm *p;
	int r = 0;

	if (value < 0 || value > SEMVMX)
		return -ERANGE;
	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	s = p ? set_of(p) : NULL;
	if (!s || num < 0 || num >= s->count)
		r = -EINVAL;
	else
		r = ipc_permission(p, 0222, t->cred);
	if (r == 0) {
		assign(t, s, num, value);
		s->ctime = ipc_now();
		set_changed(s);
	}
	mutex_unlock(&ids->lock);
	return r;
}

int sem_count(struct task *t, int id, unsigned want)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_set *s;
	int r;

	mutex_lock(&ids->lock);
	r = set_find(ids, id, want, t->cred, &s);
	if (r == 0)
		r = s->count;
	mutex_unlock(&ids->lock);
	return r;
}

int sem_get_all(struct task *t, int id, uint16_t *values, int count)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_set *s;
	int r;

	mutex_lock(&ids->lock);
	r = set_find(ids, id, 0444, t->cred, &s);
	if (r == 0 && s->count != count)
		r = -EIDRM;
	for (int i = 0; r == 0 && i < count; i++)
		values[i] = (uint16_t)s->sems[i].value;
	mutex_unlock(&ids->lock);
	return r;
}

int sem_set_all(struct task *t, int id, const uint16_t *values, int count)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->sem;
	struct sem_set *s;
	int r;

	for (int i = 0; i < count; i++)
		if (values[i] > SEMVMX)
			return -ERANGE;
	mutex_lock(&ids->lock);
	r = set_find(ids, id, 0222, t->cred, &s);
	if (r == 0 && s->count != count)
		r = -EIDRM;
	if (r == 0) {
		for (int i = 0; i < count; i++)
			assign(t, s, i, values[i]);
		s->ctime = ipc_now();
		set_changed(s);
	}
	mutex_unlock(&ids->lock);
	return r;
}

int sem_info(struct ipc_ns *ns, int *sets, int *semaphores)
{
	struct ipc_ids *ids = &ns->sem;
	int max;

	mutex_lock(&ids->lock);
	*sets = ids->count;
	*semaphores = ns->sem_total;
	max = ipc_max_index(ids);
	mutex_unlock(&ids->lock);
	return max;
}

int sem_show(struct ipc_ns *ns, const struct cred *c, FILE *out)
{
	struct ipc_ids *ids = &ns->sem;

	fputs("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n", out);
	mutex_lock(&ids->lock);
	for (int i = 0; i < ids->cap; i++) {
		struct ipc_perm *p = ids->slots[i];

		if (p)
			fprintf(out, "%10d %10d  %4o %10d %5u %5u %5u %5u %10lld %10lld\n", p->key, p->id, p->mode,
				set_of(p)->count, cred_show_uid(c, p->uid), cred_show_gid(c, p->gid),
				cred_show_uid(c, p->cuid), cred_show_gid(c, p->cgid), (long long)set_of(p)->otime,
				(long long)set_of(p)->ctime);
	}
	mutex_unlock(&ids->lock);
	return 0;
}
