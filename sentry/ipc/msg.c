/*
 * System V message queues; msgop(2).  A message is handed to a receiver that waits for it, and a sender that waits for
 * room has its message queued for it by whoever makes the room, each in the order of arrival.
 */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

struct msg_queue { /* guarded by the lock of its table */
	struct ipc_perm perm;
	int64_t stime, rtime, ctime;
	uint64_t bytes, count, max_bytes;
	int lspid, lrpid;
	struct list_head messages;  /* of ipc_msg.node */
	struct list_head senders;   /* of sender.waiter.node */
	struct list_head receivers; /* of receiver.waiter.node */
};

struct sender {
	struct ipc_waiter waiter;
	struct ipc_msg *msg;
	int pid;
};

enum search { ANY, EQUAL, EXCEPT, LOWEST, NTH };

struct receiver {
	struct ipc_waiter waiter;
	enum search search;
	int64_t type; /* or the place, with NTH */
	size_t size;
	bool truncate;
	int pid;
	struct ipc_msg *msg; /* what it got */
};

static struct msg_queue *queue_of(struct ipc_perm *p)
{
	return container_of(p, struct msg_queue, perm);
}

/* ---- messages ---- */

struct ipc_msg *msg_alloc(size_t size)
{
	struct ipc_msg *m = ipc_alloc(sizeof(*m) + size, 0);

	if (m)
		m->size = size;
	return m;
}

void msg_free(struct ipc_msg *m)
{
	ipc_free(m, sizeof(*m) + m->size, 0);
}

/* ---- msgget ---- */

static int queue_create(const struct ipc_request *req, struct ipc_perm **out)
{
	struct msg_queue *q = ipc_alloc(sizeof(*q), 0);

	if (!q)
		return -ENOMEM;
	q->max_bytes = tunable_get(&req->ns->msgmnb);
	q->ctime = ipc_now();
	list_init(&q->messages);
	list_init(&q->senders);
	list_init(&q->receivers);
	*out = &q->perm;
	return 0;
}

static void queue_free(struct ipc_perm *p)
{
	ipc_free(queue_of(p), sizeof(struct msg_queue), 0);
}

static int queue_check(const struct ipc_perm *p, const struct ipc_request *req)
{
	(void)p, (void)req;
	return 0;
}

int msg_get(struct task *t, int32_t key, uint32_t flags)
{
	struct ipc_ns *ns = task_ipc_ns(t);
	struct ipc_request req = {
		.ns = ns,
		.key = key,
		.flags = flags,
		.cred = t->cred,
		.create = queue_create,
		.check = queue_check,
		.destroy = queue_free,
	};

	return ipc_get(&ns->msg, &req);
}

/* ---- sending ---- */

static bool matches(const struct receiver *r, int64_t type)
{
	switch (r->search) {
	case EQUAL:
		return type == r->type;
	case EXCEPT:
		return type != r->type;
	case LOWEST:
		return type <= r->type;
	default:
		return true;
	}
}

/* Gives m to the first receiver that waits for such a one.  One that has no room for it fails and waits no more. */
static bool hand_over(struct msg_queue *q, struct ipc_msg *m)
{
	struct receiver *r, *tmp;

	list_for_each_entry_safe (r, tmp, &q->receivers, waiter.node) {
		if (!matches(r, m->type))
			continue;
		if (m->size > r->size && !r->truncate) {
			ipc_waiter_end(&r->waiter, -E2BIG);
			continue;
		}
		r->msg = m;
		q->lrpid = r->pid;
		q->rtime = ipc_now();
		ipc_waiter_end(&r->waiter, 0);
		return true;
	}
	return false;
}

/* Sends m, which is consumed if there is room for it. */
static bool try_send(struct msg_queue *q, struct ipc_msg *m, int pid)
{
	if (m->size + q->bytes > q->max_bytes || q->count + 1 > q->max_bytes)
		return false;
	q->lspid = pid;
	q->stime = ipc_now();
	if (!hand_over(q, m)) {
		list_add_tail(&m->node, &q->messages);
		q->bytes += m->size;
		q->count++;
	}
	return true;
}

/* There may be room for those who wait. */
static void admit_senders(struct msg_queue *q)
{
	struct sender *s, *tmp;

	list_for_each_entry_safe (s, tmp, &q->senders, waiter.node)
		if (try_send(q, s->msg, s->pid))
			ipc_waiter_end(&s->waiter, 0);
}

static int send_locked(struct task *t, struct ipc_ids *ids, int id, struct ipc_msg *m, uint32_t flags)
	REQUIRES(ids->lock)
{
	struct ipc_perm *p = ipc_find(ids, id);
	struct sender s = {.msg = m, .pid = t->process->pid};
	int r = p ? ipc_permission(p, 0222, t->cred) : -EINVAL;

	if (r < 0)
		return r;
	if (try_send(queue_of(p), m, s.pid))
		return 0;
	if (flags & L_IPC_NOWAIT)
		return -EAGAIN;
	ipc_waiter_init(&s.waiter);
	list_add_tail(&s.waiter.node, &queue_of(p)->senders);
	return ipc_waiter_sleep(&s.waiter, &ids->lock, NO_DEADLINE);
}

int msg_send(struct task *t, int id, struct ipc_msg *m, uint32_t flags)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->msg;
	int r;

	mutex_lock(&ids->lock);
	r = send_locked(t, ids, id, m, flags);
	mutex_unlock(&ids->lock);
	return r == -EINTR ? -ERESTARTNOHAND : r;
}

/* ---- receiving ---- */

static struct ipc_msg *find_message(struct msg_queue *q, const struct receiver *r)
{
	struct ipc_msg *m, *found = NULL;
	int64_t place = 0;

	list_for_each_entry (m, &q->messages, node) {
		if (r->search == NTH) {
			if (place++ == r->type)
				return m;
		} else if (r->search == LOWEST) {
			if (m->type <= r->type && (!found || m->type < found->type))
				found = m;
		} else if (matches(r, m->type)) {
			return m;
		}
	}
	return found;
}

static struct ipc_msg *copy_message(const struct ipc_msg *m)
{
	struct ipc_msg *copy = msg_alloc(m->size);

	if (copy)
		memcpy(copy, m, sizeof(*m) + m->size);
	return copy;
}

/* Takes m, or a copy of it, out of the queue. */
static int take(struct msg_queue *q, struct receiver *r, struct ipc_msg *m)
{
	if (m->size > r->size && !r->truncate)
		return -E2BIG;
	if (r->search == NTH) {
		r->msg = copy_message(m);
		return r->msg ? 0 : -ENOMEM;
	}
	list_del_init(&m->node);
	q->bytes -= m->size;
	q->count--;
	q->rtime = ipc_now();
	q->lrpid = r->pid;
	r->msg = m;
	admit_senders(q);
	return 0;
}

static int receive_locked(struct task *t, struct ipc_ids *ids, int id, struct receiver *r, uint32_t flags)
	REQUIRES(ids->lock)
{
	struct ipc_perm *p = ipc_find(ids, id);
	int err = p ? ipc_permission(p, 0444, t->cred) : -EINVAL;
	struct ipc_msg *m;

	if (err < 0)
		return err;
	m = find_message(queue_of(p), r);
	if (m)
		return take(queue_of(p), r, m);
	if (flags & L_IPC_NOWAIT)
		return -ENOMSG;
	ipc_waiter_init(&r->waiter);
	list_add_tail(&r->waiter.node, &queue_of(p)->receivers);
	return ipc_waiter_sleep(&r->waiter, &ids->lock, NO_DEADLINE);
}

static enum search search_of(int64_t type, uint32_t flags)
{
	if (flags & L_MSG_COPY)
		return NTH;
	if (type == 0)
		return ANY;
	if (type < 0)
		return LOWEST;
	return flags & L_MSG_EXCEPT ? EXCEPT : EQUAL;
}

int msg_receive(struct task *t, int id, size_t size, int64_t type, uint32_t flags, struct ipc_msg **out)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->msg;
	struct receiver r = {
		.search = search_of(type, flags),
		.size = size,
		.truncate = (flags & L_MSG_NOERROR) != 0,
		.pid = t->process->pid,
	};
	int err;

	if ((flags & L_MSG_COPY) && ((flags & L_MSG_EXCEPT) || !(flags & L_IPC_NOWAIT)))
		return -EINVAL;
	r.type = r.search != LOWEST ? type : type == INT64_MIN ? INT64_MAX : -type;
	mutex_lock(&ids->lock);
	err = receive_locked(t, ids, id, &r, flags);
	mutex_unlock(&ids->lock);
	if (err == 0)
		*out = r.msg;
	return err == -EINTR ? -ERESTARTNOHAND : err;
}

/* ---- msgctl ---- */

int msg_stat(struct task *t, int id, bool by_index, bool any, struct l_msqid64_ds *out)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->msg;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	r = ipc_stat_find(ids, id, by_index, any, t->cred, &p);
	if (r == 0) {
		const struct msg_queue *q = queue_of(p);

		*out = (struct l_msqid64_ds){
			.msg_stime = q->stime,
			.msg_rtime = q->rtime,
			.msg_ctime = q->ctime,
			.msg_cbytes = q->bytes,
			.msg_qnum = q->count,
			.msg_qbytes = q->max_bytes,
			.msg_lspid = global_nr(q->lspid, task_pid_ns(t)),
			.msg_lrpid = global_nr(q->lrpid, task_pid_ns(t)),
		};
		ipc_perm_fill(&out->msg_perm, p, t->cred);
		r = by_index ? p->id : 0;
	}
	mutex_unlock(&ids->lock);
	return r;
}

int msg_set(struct task *t, int id, const struct l_msqid64_ds *from)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->msg;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0 && from->msg_qbytes > tunable_get(&task_ipc_ns(t)->msgmnb) &&
	    !cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		r = -EPERM;
	if (r == 0)
		r = ipc_perm_set(p, &from->msg_perm, t->cred);
	if (r == 0) {
		queue_of(p)->max_bytes = from->msg_qbytes;
		queue_of(p)->ctime = ipc_now();
		admit_senders(queue_of(p));
	}
	mutex_unlock(&ids->lock);
	return r;
}

static void end_all(struct list_head *waiters)
{
	while (!list_empty(waiters))
		ipc_waiter_end(list_first_entry(waiters, struct ipc_waiter, node), -EIDRM);
}

static void queue_destroy(struct ipc_ids *ids, struct msg_queue *q) REQUIRES(ids->lock)
{
	struct ipc_msg *m, *tmp;

	end_all(&q->senders);
	end_all(&q->receivers);
	list_for_each_entry_safe (m, tmp, &q->messages, node)
		msg_free(m);
	ipc_remove(ids, &q->perm);
	queue_free(&q->perm);
}

int msg_remove(struct task *t, int id)
{
	struct ipc_ids *ids = &task_ipc_ns(t)->msg;
	struct ipc_perm *p;
	int r;

	mutex_lock(&ids->lock);
	p = ipc_find(ids, id);
	r = p ? ipc_owner_check(p, t->cred) : -EINVAL;
	if (r == 0)
		queue_destroy(ids, queue_of(p));
	mutex_unlock(&ids->lock);
	return r;
}

void msg_ns_free(struct ipc_ns *ns)
{
	mutex_lock(&ns->msg.lock);
	for (int i = 0; i < ns->msg.cap; i++)
		if (ns->msg.slots[i])
			queue_destroy(&ns->msg, queue_of(ns->msg.slots[i]));
	mutex_unlock(&ns->msg.lock);
}

int msg_info(struct ipc_ns *ns, int *queues, int *messages, int *bytes)
{
	struct ipc_ids *ids = &ns->msg;
	uint64_t count = 0, size = 0;
	int max;

	mutex_lock(&ids->lock);
	for (int i = 0; i < ids->cap; i++) {
		if (!ids->slots[i])
			continue;
		count += queue_of(ids->slots[i])->count;
		size += queue_of(ids->slots[i])->bytes;
	}
	*queues = ids->count;
	*messages = (int)min_of(count, (uint64_t)INT32_MAX);
	*bytes = (int)min_of(size, (uint64_t)INT32_MAX);
	max = ipc_max_index(ids);
	mutex_unlock(&ids->lock);
	return max;
}

int msg_show(struct ipc_ns *ns, const struct cred *c, FILE *out)
{
	struct ipc_ids *ids = &ns->msg;

	fputs("       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
	      "rtime      ctime\n",
	      out);
	mutex_lock(&ids->lock);
	for (int i = 0; i < ids->cap; i++) {
		struct ipc_perm *p = ids->slots[i];
		const struct msg_queue *q;

		if (!p)
			continue;
		q = queue_of(p);
		fprintf(out, "%10d %10d  %4o  %10llu %10llu %5d %5d %5u %5u %5u %5u %10lld %10lld %10lld\n", p->key,
			p->id, p->mode, (unsigned long long)q->bytes, (unsigned long long)q->count, q->lspid, q->lrpid,
			cred_show_uid(c, p->uid), cred_show_gid(c, p->gid), cred_show_uid(c, p->cuid),
			cred_show_gid(c, p->cgid), (long long)q->stime, (long long)q->rtime, (long long)q->ctime);
	}
	mutex_unlock(&ids->lock);
	return 0;
}
