/*
 * What is in a message queue.  A message is handed to a receiver that waits for it, and a sender that waits for room has its message
 * queued for it by whoever makes the room, each in the order of arrival.
 *
 * DIVERGES: Linux has those who wait in the order of their static priorities, and of arrival among equals.
 */
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/common.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/ipc/sysv.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

struct mqueue {
	struct mq_charge charge; /* mqueuefs.c's */
	int64_t maxmsg, msgsize; /* immutable */
	struct waitqueue poll_wq;
	struct mutex lock; /* held with waitqueue locks alone inside; guards what follows */
	int64_t count;
	uint64_t bytes;
	struct list_head messages;  /* of mq_message.node: by priority, and then by age */
	struct list_head senders;   /* of mq_waiter.waiter.node */
	struct list_head receivers; /* of the same */
	struct process *notified;   /* counted; who is to hear of a message, or NULL */
	struct l_sigevent event;    /* how, if somebody is */
};

struct mq_waiter {
	struct ipc_waiter waiter;
	struct mq_message *msg; /* what it sends, or got */
};

static struct mqueue *queue_of(const struct file *f)
{
	return f->inode->priv;
}

struct mqueue *mqueue_new(int64_t maxmsg, int64_t msgsize)
{
	struct mqueue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->maxmsg = maxmsg;
	q->msgsize = msgsize;
	waitqueue_init(&q->poll_wq);
	mutex_init(&q->lock);
	list_init(&q->messages);
	list_init(&q->senders);
	list_init(&q->receivers);
	return q;
}

void mqueue_free(struct mqueue *q)
{
	struct mq_message *m, *tmp;

	list_for_each_entry_safe(m, tmp, &q->messages, node)
		free(m);
	process_put(q->notified);
	waitqueue_destroy(&q->poll_wq);
	mutex_destroy(&q->lock);
	free(q);
}

struct mq_charge *mqueue_charge(struct mqueue *q)
{
	return &q->charge;
}

uint64_t mqueue_msgsize(const struct file *f)
{
	return (uint64_t)queue_of(f)->msgsize;
}

/* ---- messages ---- */

static void insert(struct mqueue *q, struct mq_message *m) REQUIRES(q->lock)
{
	struct list_head *before = q->messages.prev;

	while (before != &q->messages && container_of(before, struct mq_message, node)->prio < m->prio)
		before = before->prev;
	list_add(&m->node, before);
	q->count++;
	q->bytes += m->size;
}

static struct mq_message *take_first(struct mqueue *q) REQUIRES(q->lock)
{
	struct mq_message *m = list_first_entry(&q->messages, struct mq_message, node);

	list_del_init(&m->node);
	q->count--;
	q->bytes -= m->size;
	return m;
}

static struct mq_waiter *first_waiter(struct list_head *waiters)
{
	return list_empty(waiters) ? NULL : list_first_entry(waiters, struct mq_waiter, waiter.node);
}

/* Who was registered is so no more; *out is the caller's to put. */
static void take_registration(struct mqueue *q, struct process **out, struct l_sigevent *ev) REQUIRES(q->lock)
{
	*out = q->notified;
	*ev = q->event;
	q->notified = NULL;
}

/* p is consumed. */
static void notify(struct task *sender, struct process *p, const struct l_sigevent *ev)
{
	struct l_siginfo info = {.si_signo = ev->sigev_signo, .si_code = L_SI_MESGQ};

	info.rt.pid = sender->process->pid;
	info.rt.uid = sender->cred->uid;
	info.rt.value = ev->sigev_value;
	/* Signal 0 can be asked for, and means none. */
	if (ev->sigev_notify == L_SIGEV_SIGNAL && ev->sigev_signo)
		(void)!signal_send_process(p, &info);
	process_put(p);
}

static void stamp(struct file *f)
{
	mutex_lock(&f->inode->lock);
	inode_touch(f->inode, ATTR_MTIME);
	mutex_unlock(&f->inode->lock);
}

/* Sends, or waits until somebody has queued the message for it. */
static int send_locked(struct mqueue *q, struct mq_message *m, bool nonblock, int64_t deadline_ns) REQUIRES(q->lock)
{
	struct mq_waiter self = {.msg = m}, *receiver = first_waiter(&q->receivers);

	if (q->count >= q->maxmsg) {
		if (nonblock)
			return -EAGAIN;
		ipc_waiter_init(&self.waiter);
		list_add_tail(&self.waiter.node, &q->senders);
		return ipc_waiter_sleep(&self.waiter, &q->lock, deadline_ns);
	}
	if (receiver) {
		receiver->msg = m;
		ipc_waiter_end(&receiver->waiter, 0);
	} else {
		insert(q, m);
	}
	return 0;
}

int mqueue_send(struct task *t, struct file *f, struct mq_message *m, int64_t deadline_ns)
{
	struct mqueue *q = queue_of(f);
	struct process *told = NULL;
	struct l_sigevent ev;
	bool was_empty;
	int r;

	mutex_lock(&q->lock);
	was_empty = q->count == 0;
	r = send_locked(q, m, file_nonblock(f), deadline_ns);
	/* Only a message that comes to an empty queue, and for which nobody waits, is told of. */
	if (r == 0 && was_empty && q->count == 1)
		take_registration(q, &told, &ev);
	mutex_unlock(&q->lock);
	if (r < 0)
		return r == -EINTR ? -ERESTARTSYS : r;
	waitqueue_wake(&q->poll_wq, L_POLLIN | L_POLLRDNORM);
	if (told)
		notify(t, told, &ev);
	stamp(f);
	return 0;
}

static int receive_locked(struct mqueue *q, bool nonblock, int64_t deadline_ns, struct mq_message **out)
	REQUIRES(q->lock)
{
	struct mq_waiter self = {0}, *sender;
	int r;

	if (q->count == 0) {
		if (nonblock)
			return -EAGAIN;
		ipc_waiter_init(&self.waiter);
		list_add_tail(&self.waiter.node, &q->receivers);
		r = ipc_waiter_sleep(&self.waiter, &q->lock, deadline_ns);
		if (r == 0)
			*out = self.msg;
		return r;
	}
	*out = take_first(q);
	sender = first_waiter(&q->senders);
	if (sender) {
		insert(q, sender->msg);
		ipc_waiter_end(&sender->waiter, 0);
	}
	return 0;
}

int mqueue_receive(struct file *f, int64_t deadline_ns, struct mq_message **out)
{
	struct mqueue *q = queue_of(f);
	int r;

	mutex_lock(&q->lock);
	r = receive_locked(q, file_nonblock(f), deadline_ns, out);
	mutex_unlock(&q->lock);
	if (r < 0)
		return r == -EINTR ? -ERESTARTSYS : r;
	waitqueue_wake(&q->poll_wq, L_POLLOUT | L_POLLWRNORM);
	stamp(f);
	return 0;
}

void mqueue_get_attr(struct file *f, struct l_mq_attr *out)
{
	struct mqueue *q = queue_of(f);

	mutex_lock(&q->lock);
	*out = (struct l_mq_attr){
		.mq_flags = f->flags & L_O_NONBLOCK,
		.mq_maxmsg = q->maxmsg,
		.mq_msgsize = q->msgsize,
		.mq_curmsgs = q->count,
	};
	mutex_unlock(&q->lock);
}

/* ---- notification ---- */

static void unregister(struct mqueue *q, struct process *p)
{
	struct process *gone = NULL;
	struct l_sigevent ev;

	mutex_lock(&q->lock);
	if (q->notified == p)
		take_registration(q, &gone, &ev);
	mutex_unlock(&q->lock);
	if (gone)
		process_put(gone);
}

int mqueue_notify(struct task *t, struct file *f, const struct l_sigevent *ev)
{
	struct mqueue *q = queue_of(f);
	int r = 0;

	if (!ev) {
		unregister(q, t->process);
		return 0;
	}
	mutex_lock(&q->lock);
	if (q->notified) {
		r = -EBUSY;
	} else {
		q->notified = process_get(t->process);
		q->event = *ev;
	}
	mutex_unlock(&q->lock);
	return r;
}

/* ---- the file ---- */

static ssize_t status_read(struct file *f, struct uio *u, int64_t pos)
{
	struct mqueue *q = queue_of(f);
	char line[80];
	bool on, by_signal;
	int len;

	mutex_lock(&q->lock);
	on = q->notified != NULL;
	by_signal = on && q->event.sigev_notify == L_SIGEV_SIGNAL;
	len = snprintf(line, sizeof(line), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
		       (unsigned long long)q->bytes, on ? q->event.sigev_notify : 0,
		       by_signal ? q->event.sigev_signo : 0,
		       on ? process_nr(q->notified, task_pid_ns(task_current())) : 0);
	mutex_unlock(&q->lock);
	if (pos >= len)
		return 0;
	return uio_put(u, line + pos, min_of((size_t)uio_left(u), (size_t)(len - pos)));
}

static uint32_t queue_poll(struct file *f, struct wait_entry *e)
{
	struct mqueue *q = queue_of(f);
	uint32_t events = 0;

	if (e)
		waitqueue_add(&q->poll_wq, e);
	mutex_lock(&q->lock);
	if (q->count > 0)
		events |= L_POLLIN | L_POLLRDNORM;
	if (q->count < q->maxmsg)
		events |= L_POLLOUT | L_POLLWRNORM;
	mutex_unlock(&q->lock);
	return events;
}

/* Whoever closes a descriptor of the queue is not told of its messages any more. */
static int queue_flush(struct file *f)
{
	const struct task *t = task_current();

	if (t)
		unregister(queue_of(f), t->process);
	return 0;
}

const struct file_ops mqueue_file_ops = {
	.read = status_read,
	.poll = queue_poll,
	.flush = queue_flush,
};

bool mqueue_file_is(const struct file *f)
{
	return f->ops == &mqueue_file_ops;
}
