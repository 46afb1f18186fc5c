/* The file's side of sockets: reading, writing, waiting, life.  Options are in options.c.  See socket.h. */
#include "sentry/net/socket.h"

#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/core/tunable.h"
#include "sentry/net/interface.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

struct tunable net_somaxconn = {.value = L_SOMAXCONN, .min = 0, .max = 65535};

static const struct file_ops socket_file_ops;

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol)
{
	s->ops = ops;
	s->family = family;
	s->type = type;
	s->protocol = protocol;
	waitqueue_init(&s->wq);
	s->send_buffer = s->recv_buffer = SOCKET_BUFFER_DEFAULT;
	s->recv_low = 1;
	s->peek_off = s->incoming_cpu = -1;
	s->pacing_rate = UINT64_MAX;
}

void socket_destroy(struct socket *s)
{
	waitqueue_destroy(&s->wq);
}

struct socket *socket_of(const struct file *f)
{
	return f->ops == &socket_file_ops ? f->priv : NULL;
}

int64_t socket_deadline(int64_t wait_ns)
{
	return wait_ns ? monotonic_now() + min_of(wait_ns, NO_DEADLINE / 2) : NO_DEADLINE;
}

void net_msg_tell(struct net_msg *m, int level, int type, const void *data, size_t size)
{
	struct l_cmsghdr h = {sizeof(h) + size, level, type};
	size_t space = L_CMSG_ALIGN(h.cmsg_len);

	if (space > NET_TOLD_MAX - m->told_len)
		return;
	memset(m->told + m->told_len, 0, space);
	memcpy(m->told + m->told_len, &h, sizeof(h));
	memcpy(m->told + m->told_len + sizeof(h), data, size);
	m->told_len += (uint32_t)space;
}

uint64_t socket_low_water(const struct socket *s, const struct net_msg *m)
{
	uint64_t size = uio_left(m->u), low = m->flags & L_MSG_WAITALL ? size : min_of((uint64_t)s->recv_low, size);

	return max_of(low, (uint64_t)1);
}

/* ---- read and write: recv and send without an address ---- */

static ssize_t socket_read(struct file *f, struct uio *u, int64_t pos)
{
	struct net_msg m NOT_ZEROED;
	struct socket *s = f->priv;
	ssize_t n;

	if (!uio_left(u))
		return 0;
	if (!s->ops->recv)
		return -EOPNOTSUPP;
	net_msg_init(&m, u, 0, file_nonblock_for(f, u));
	n = s->ops->recv(s, &m);
	scm_end(&m.scm);
	return n;
}

static ssize_t socket_write(struct file *f, struct uio *u, int64_t pos)
{
	struct net_msg m NOT_ZEROED;
	struct socket *s = f->priv;
	ssize_t n;

	if (!s->ops->send)
		return -EOPNOTSUPP;
	net_msg_init(&m, u, 0, file_nonblock_for(f, u));
	n = s->ops->send(s, task_current(), &m);
	scm_end(&m.scm);
	return n;
}

static uint32_t socket_poll(struct file *f, struct wait_entry *e)
{
	struct socket *s = f->priv;

	if (e)
		waitqueue_add(&s->wq, e);
	return s->ops->poll(s);
}

static long socket_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct socket *s = f->priv;
	long r = s->ops->ioctl ? s->ops->ioctl(s, ctx, cmd, arg) : -ENOTTY;

	return r == -ENOTTY ? interface_ioctl(ctx, cmd, arg) : r; /* netdevice(7): by any socket */
}

static int socket_fasync(struct file *f, int fd, bool on)
{
	struct socket *s = f->priv;

	return fasync_set(&s->async, f, fd, on);
}

static int socket_flush(struct file *f)
{
	struct socket *s = f->priv;

	if (s->ops->closing)
		s->ops->closing(s, f);
	return 0;
}

static void socket_fdinfo(struct file *f, char *buf, size_t size)
{
	struct socket *s = f->priv;

	buf[0] = 0;
	if (s->ops->rights_waiting)
		snprintf(buf, size, "scm_fds: %u\n", s->ops->rights_waiting(s));
}

static void socket_release(struct file *f)
{
	struct socket *s = f->priv;

	s->ops->release(s);
}

static const struct file_ops socket_file_ops = {
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.ioctl = socket_ioctl,
	.fasync = socket_fasync,
	.flush = socket_flush,
	.fdinfo = socket_fdinfo,
	.release = socket_release,
};

int socket_file_new(struct socket *s, uint32_t flags, const struct cred *c, struct file **out)
{
	int r = file_anonymous("socket:", &socket_file_ops, s, L_O_RDWR | flags, FILE_READ | FILE_WRITE | FILE_STREAM, c, out);

	if (r < 0)
		s->ops->release(s);
	else if (s->ops->opened)
		s->ops->opened(s, *out);
	return r;
}
