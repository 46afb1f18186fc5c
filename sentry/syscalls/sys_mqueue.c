/* The mq_ calls.  The work is in sentry/fs/mqueue/. */
#include <stdlib.h>

#include "abi/errno.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/time/clock.h"

#define THREAD_COOKIE_SIZE 32 /* what SIGEV_THREAD's sival_ptr leads to */

/* The queue at descriptor fd, opened for want (FILE_*), counted: -EBADF for all that is none. */
static int arg_queue(struct task *t, uint64_t fd, uint32_t want, struct file **out)
{
	int r = arg_file(t, fd, out);

	if (r < 0 || (mqueue_file_is(*out) && ((*out)->mode & want) == want))
		return r;
	file_put(*out);
	return -EBADF;
}

/* A null address: no deadline. */
static int arg_deadline(struct task *t, uint64_t addr, int64_t *deadline_ns)
{
	struct l_timespec ts;

	*deadline_ns = NO_DEADLINE;
	if (!addr)
		return 0;
	if (copy_in(t->ctx, &ts, addr, sizeof(ts)) < 0)
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*deadline_ns = deadline_at(L_CLOCK_REALTIME, &ts);
	return 0;
}

long sys_mq_open(struct task *t, const struct sys_args *args)
{
	uint32_t flags = (uint32_t)args->a[1];
	struct l_mq_attr attr;
	struct file *f;
	char *name;
	long r;

	if (args->a[3] && copy_in(t->ctx, &attr, args->a[3], sizeof(attr)) < 0)
		return -EFAULT;
	r = copy_in_path(t->ctx, args->a[0], &name);
	if (r < 0)
		return r;
	r = *name ? mqueue_open(t, name, flags, (uint32_t)args->a[2], args->a[3] ? &attr : NULL, &f) : -ENOENT;
	free(name);
	return r < 0 ? r : task_install(t, f, true);
}

long sys_mq_unlink(struct task *t, const struct sys_args *args)
{
	char *name;
	long r = copy_in_path(t->ctx, args->a[0], &name);

	if (r < 0)
		return r;
	r = *name ? mqueue_unlink(t, name) : -ENOENT;
	free(name);
	return r;
}

static long send_bytes(struct task *t, struct file *f, const struct sys_args *args, int64_t deadline_ns)
{
	uint64_t size = args->a[2];
	struct mq_message *m;
	int r;

	if (size > mqueue_msgsize(f))
		return -EMSGSIZE;
	m = malloc(sizeof(*m) + size);
	if (!m)
		return -ENOMEM;
	m->prio = (uint32_t)args->a[3];
	m->size = size;
	r = copy_in(t->ctx, m->data, args->a[1], size);
	if (r == 0)
		r = mqueue_send(t, f, m, deadline_ns);
	if (r < 0)
		free(m);
	return r;
}

long sys_mq_timedsend(struct task *t, const struct sys_args *args)
{
	int64_t deadline_ns;
	struct file *f;
	long r = arg_deadline(t, args->a[4], &deadline_ns);

	if (r == 0 && (uint32_t)args->a[3] >= MQ_PRIO_MAX)
		r = -EINVAL;
	if (r == 0)
		r = arg_queue(t, args->a[0], FILE_WRITE, &f);
	if (r < 0)
		return r;
	r = send_bytes(t, f, args, deadline_ns);
	file_put(f);
	return r;
}

long sys_mq_timedreceive(struct task *t, const struct sys_args *args)
{
	struct mq_message *m;
	int64_t deadline_ns;
	struct file *f;
	uint32_t prio;
	long r = arg_deadline(t, args->a[4], &deadline_ns);

	if (r == 0)
		r = arg_queue(t, args->a[0], FILE_READ, &f);
	if (r < 0)
		return r;
	r = args->a[2] < mqueue_msgsize(f) ? -EMSGSIZE : mqueue_receive(f, deadline_ns, &m);
	file_put(f);
	if (r < 0)
		return r;
	prio = m->prio;
	if (args->a[3])
		r = copy_out(t->ctx, args->a[3], &prio, sizeof(prio));
	if (r == 0)
		r = copy_out(t->ctx, args->a[1], m->data, m->size);
	if (r == 0)
		r = (long)m->size;
	free(m);
	return r;
}

/* SIGEV_THREAD's signo is a netlink socket by which libc hears of the message.  There are none. */
static int refuse_thread(struct task *t, const struct l_sigevent *ev)
{
	uint8_t cookie[THREAD_COOKIE_SIZE];
	struct file *f;
	int r;

	if (copy_in(t->ctx, cookie, ev->sigev_value.sival_ptr, sizeof(cookie)) < 0)
		return -EFAULT;
	r = arg_file(t, (uint32_t)ev->sigev_signo, &f);
	if (r < 0)
		return r;
	r = inode_is(f->inode, L_S_IFSOCK) ? -EINVAL : -ENOTSOCK;
	file_put(f);
	return r;
}

static int check_event(struct task *t, const struct l_sigevent *ev)
{
	switch (ev->sigev_notify) {
	case L_SIGEV_NONE:
		return 0;
	case L_SIGEV_SIGNAL:
		return ev->sigev_signo < 0 || ev->sigev_signo > L_NSIG ? -EINVAL : 0;
	case L_SIGEV_THREAD:
		return refuse_thread(t, ev);
	default:
		return -EINVAL;
	}
}

long sys_mq_notify(struct task *t, const struct sys_args *args)
{
	struct l_sigevent ev;
	struct file *f;
	int r = 0;

	if (args->a[1]) {
		if (copy_in(t->ctx, &ev, args->a[1], sizeof(ev)) < 0)
			return -EFAULT;
		r = check_event(t, &ev);
	}
	if (r == 0)
		r = arg_queue(t, args->a[0], 0, &f);
	if (r < 0)
		return r;
	r = mqueue_notify(t, f, args->a[1] ? &ev : NULL);
	file_put(f);
	return r;
}

long sys_mq_getsetattr(struct task *t, const struct sys_args *args)
{
	struct l_mq_attr new, old;
	struct file *f;
	int r = 0;

	if (args->a[1]) {
		if (copy_in(t->ctx, &new, args->a[1], sizeof(new)) < 0)
			return -EFAULT;
		if (new.mq_flags & ~(int64_t)L_O_NONBLOCK)
			return -EINVAL;
	}
	r = arg_queue(t, args->a[0], 0, &f);
	if (r < 0)
		return r;
	mqueue_get_attr(f, &old);
	if (args->a[1])
		r = file_set_flags(f, (int)args->a[0], (f->flags & ~(uint32_t)L_O_NONBLOCK) | (uint32_t)new.mq_flags);
	file_put(f);
	return r < 0 || !args->a[2] ? r : copy_out(t->ctx, args->a[2], &old, sizeof(old));
}
