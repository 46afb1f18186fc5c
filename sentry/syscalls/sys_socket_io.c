/* sendto, recvfrom, sendmsg, recvmsg, and several messages at once. */
#include <string.h>

#include "abi/socket.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/socket_args.h"
#include "sentry/time/clock.h"

static ssize_t send_msg(struct task *t, struct socket *s, struct net_msg *m)
{
	return s->ops->send ? s->ops->send(s, t, m) : -EOPNOTSUPP;
}

static ssize_t recv_msg(struct socket *s, struct net_msg *m)
{
	return s->ops->recv ? s->ops->recv(s, m) : -EOPNOTSUPP;
}

long sys_sendto(struct task *t, const struct sys_args *args)
{
	struct net_msg m NOT_ZEROED;
	struct ua_iov iov;
	struct socket *s;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = ua_iov_single(args->a[1], args->a[2], &iov);
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		net_msg_init(&m, &u, (unsigned)args->a[3], file_nonblock(f));
		if (args->a[4]) {
			r = socket_take_addr(t, args->a[4], (int32_t)args->a[5], &m.name);
			m.name_len = (uint32_t)args->a[5];
		}
	}
	if (r == 0) {
		r = send_msg(t, s, &m);
		scm_end(&m.scm);
	}
	file_put(f);
	return r;
}

long sys_recvfrom(struct task *t, const struct sys_args *args)
{
	struct net_msg m NOT_ZEROED;
	struct ua_iov iov;
	struct socket *s;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = ua_iov_single(args->a[1], args->a[2], &iov);
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		net_msg_init(&m, &u, (unsigned)args->a[3], file_nonblock(f));
		r = recv_msg(s, &m);
		scm_end(&m.scm); /* files that nobody took */
	}
	if (r >= 0 && args->a[4]) {
		int put = socket_put_addr(t, args->a[4], args->a[5], &m.name, m.name_len);

		if (put < 0)
			r = put;
	}
	file_put(f);
	return r;
}

/* ---- with a header ---- */

/* MSG_CMSG_COMPAT, the kernel's own: whoever says it is refused before all else. */
static bool is_forbidden(uint64_t flags)
{
	return (uint32_t)flags & 0x80000000u;
}

static int import(struct task *t, uint64_t gva, struct l_msghdr *h, struct ua_iov *iov)
{
	int r = copy_in(t->ctx, h, gva, sizeof(*h));

	if (r < 0)
		return r;
	if (h->msg_name && h->msg_namelen < 0)
		return -EINVAL;
	if (h->msg_iovlen > L_UIO_MAXIOV)
		return -EMSGSIZE;
	return ua_iov_import(t->ctx, h->msg_iov, h->msg_iovlen, iov);
}

static int take_name(struct task *t, const struct l_msghdr *h, struct net_msg *m)
{
	if (!h->msg_name || !h->msg_namelen)
		return 0;
	m->name_len = min_of((uint32_t)h->msg_namelen, (uint32_t)sizeof(m->name));
	return socket_take_addr(t, h->msg_name, (int32_t)m->name_len, &m->name);
}

/* *more: the message was taken whole. */
static long send_one(struct task *t, struct file *f, struct socket *s, uint64_t gva, unsigned flags, bool *whole)
{
	struct net_msg m NOT_ZEROED;
	struct l_msghdr h;
	struct ua_iov iov;
	struct uio u;
	long r = import(t, gva, &h, &iov);

	if (r < 0)
		return r;
	u = uio_guest(t->ctx, &iov);
	net_msg_init(&m, &u, flags, file_nonblock(f));
	r = take_name(t, &h, &m);
	if (r == 0)
		r = control_take(t, &h, s->family, &m.scm);
	if (r == 0)
		r = send_msg(t, s, &m);
	*whole = !uio_left(&u);
	scm_end(&m.scm);
	ua_iov_free(&iov);
	return r;
}

long sys_sendmsg(struct task *t, const struct sys_args *args)
{
	struct socket *s;
	struct file *f;
	bool whole;
	long r = is_forbidden(args->a[2]) ? -EINVAL : arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = send_one(t, f, s, args->a[1], (unsigned)args->a[2], &whole);
	file_put(f);
	return r;
}

/* What the header says of a message that was received. */
static int put_header(struct task *t, struct socket *s, uint64_t gva, const struct l_msghdr *h, struct net_msg *m)
{
	const uint64_t len_at = gva + offsetof(struct l_msghdr, msg_namelen);
	struct control_out o = {
		.at = h->msg_control,
		.left = min_of(h->msg_controllen, (uint64_t)INT32_MAX),
		.given = h->msg_control != 0,
		.cloexec = m->flags & L_MSG_CMSG_CLOEXEC,
	};
	uint32_t flags;
	uint64_t used;
	int r = 0;

	if (!m->nothing)
		control_give(t, s, m, &o);
	used = o.at - h->msg_control;
	flags = m->out_flags | o.flags | (m->flags & L_MSG_CMSG_CLOEXEC);
	if (h->msg_name)
		r = socket_put_addr(t, h->msg_name, len_at, &m->name, m->name_len);
	if (r == 0)
		r = copy_out(t->ctx, gva + offsetof(struct l_msghdr, msg_flags), &flags, sizeof(flags));
	return r < 0 ? r : copy_out(t->ctx, gva + offsetof(struct l_msghdr, msg_controllen), &used, sizeof(used));
}

static long recv_one(struct task *t, struct file *f, struct socket *s, uint64_t gva, unsigned flags)
{
	struct net_msg m NOT_ZEROED;
	struct l_msghdr h;
	struct ua_iov iov;
	struct uio u;
	long r = import(t, gva, &h, &iov);

	if (r < 0)
		return r;
	u = uio_guest(t->ctx, &iov);
	net_msg_init(&m, &u, flags, file_nonblock(f));
	r = recv_msg(s, &m);
	if (r >= 0) {
		int put = put_header(t, s, gva, &h, &m);

		if (put < 0)
			r = put;
	}
	scm_end(&m.scm);
	ua_iov_free(&iov);
	return r;
}

long sys_recvmsg(struct task *t, const struct sys_args *args)
{
	struct socket *s;
	struct file *f;
	long r = is_forbidden(args->a[2]) ? -EINVAL : arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = recv_one(t, f, s, args->a[1], (unsigned)args->a[2]);
	file_put(f);
	return r;
}

/* ---- several messages ---- */

static uint64_t nth(uint64_t vec, uint32_t n)
{
	return vec + n * sizeof(struct l_mmsghdr);
}

static int put_length(struct task *t, uint64_t mmsg, long len)
{
	uint32_t n = (uint32_t)len;

	return copy_out(t->ctx, mmsg + offsetof(struct l_mmsghdr, msg_len), &n, sizeof(n));
}

/* As sendmmsg(2): an error is told only if no message was sent. */
long sys_sendmmsg(struct task *t, const struct sys_args *args)
{
	uint32_t count = min_of((uint32_t)args->a[2], (uint32_t)L_UIO_MAXIOV), sent = 0;
	bool whole = true;
	struct socket *s;
	struct file *f;
	long r = is_forbidden(args->a[3]) ? -EINVAL : arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	while (sent < count && whole) {
		r = send_one(t, f, s, nth(args->a[1], sent), (unsigned)args->a[3], &whole);
		if (r >= 0)
			r = put_length(t, nth(args->a[1], sent), r);
		if (r < 0)
			break;
		sent++;
	}
	file_put(f);
	return sent || r >= 0 ? (long)sent : r;
}

/* When recvmmsg(2) is to be done: looked at between two messages only, as its page complains. */
static int take_timeout(struct task *t, uint64_t gva, int64_t *deadline)
{
	struct l_timespec ts;
	int r;

	*deadline = NO_DEADLINE;
	if (!gva)
		return 0;
	r = copy_in(t->ctx, &ts, gva, sizeof(ts));
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*deadline = deadline_after(&ts);
	return 0;
}

static int put_timeout(struct task *t, uint64_t gva, int64_t deadline)
{
	struct l_timespec left = ns_to_timespec(max_of(deadline - monotonic_now(), (int64_t)0));

	return copy_out(t->ctx, gva, &left, sizeof(left));
}

long sys_recvmmsg(struct task *t, const struct sys_args *args)
{
	uint32_t count = (uint32_t)args->a[2], got = 0;
	unsigned flags = (unsigned)args->a[3];
	struct socket *s;
	struct file *f;
	int64_t deadline;
	long r = is_forbidden(flags) ? -EINVAL : take_timeout(t, args->a[4], &deadline);

	if (r == 0)
		r = arg_socket(t, args->a[0], &f, &s);
	if (r < 0)
		return r;
	if (!(flags & L_MSG_ERRQUEUE))
		r = socket_take_error(s);
	while (got < count && r >= 0) {
		r = recv_one(t, f, s, nth(args->a[1], got), flags & ~(unsigned)L_MSG_WAITFORONE);
		if (r >= 0)
			r = put_length(t, nth(args->a[1], got), r);
		if (r < 0)
			break;
		got++;
		if (flags & L_MSG_WAITFORONE)
			flags |= L_MSG_DONTWAIT;
		if (deadline != NO_DEADLINE && monotonic_now() >= deadline)
			break;
	}
	file_put(f);
	if (got && args->a[4] && put_timeout(t, args->a[4], deadline) < 0)
		return -EFAULT;
	return got || r >= 0 ? (long)got : r;
}
