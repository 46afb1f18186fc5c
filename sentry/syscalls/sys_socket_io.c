/* sendto, recvfrom, sendmsg and recvmsg. */
#include <string.h>

#include "abi/socket.h"
#include "sentry/net/unix.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/socket_args.h"

/* Only a sequenced packet socket overlooks the address that is given beside a connection. */
static int refuse_address(const struct file *f)
{
	switch (unix_type(f)) {
	case L_SOCK_STREAM:
		return -EISCONN;
	case L_SOCK_DGRAM:
		return -ECONNREFUSED; /* no socket has a name yet */
	}
	return 0;
}

long sys_sendto(struct task *t, const struct sys_args *args)
{
	struct ua_iov iov;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = ua_iov_single(args->a[1], args->a[2], &iov);
	if (r == 0 && args->a[4] && (int32_t)args->a[5] != 0)
		r = refuse_address(f);
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		r = unix_send(f, &u, (unsigned)args->a[3]);
	}
	file_put(f);
	return r;
}

long sys_recvfrom(struct task *t, const struct sys_args *args)
{
	struct ua_iov iov;
	int32_t none = 0;
	unsigned flags;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = ua_iov_single(args->a[1], args->a[2], &iov);
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		r = unix_recv(f, &u, (unsigned)args->a[3], &flags);
	}
	if (r >= 0 && args->a[4]) { /* the sender has no name */
		int put = copy_out(t->ctx, args->a[5], &none, sizeof(none));

		if (put < 0)
			r = put;
	}
	file_put(f);
	return r;
}

static int import(struct task *t, uint64_t gva, struct l_msghdr *m, struct ua_iov *iov)
{
	int r = copy_in(t->ctx, m, gva, sizeof(*m));

	if (r < 0)
		return r;
	if (m->msg_iovlen > L_UIO_MAXIOV)
		return -EMSGSIZE;
	return ua_iov_import(t->ctx, m->msg_iov, m->msg_iovlen, iov);
}

long sys_sendmsg(struct task *t, const struct sys_args *args)
{
	struct ua_iov iov;
	struct l_msghdr m;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = import(t, args->a[1], &m, &iov);
	if (r < 0)
		goto out;
	if (m.msg_name && m.msg_namelen)
		r = refuse_address(f);
	else if (m.msg_control && m.msg_controllen)
		r = -EOPNOTSUPP; /* descriptors and credentials cannot be passed yet */
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		r = unix_send(f, &u, (unsigned)args->a[2]);
	}
	ua_iov_free(&iov);
out:
	file_put(f);
	return r;
}

/* There is never a name, nor ancillary data. */
static int put_header(struct task *t, uint64_t gva, struct l_msghdr *m, unsigned flags)
{
	if (m->msg_name)
		m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = flags;
	return copy_out(t->ctx, gva, m, sizeof(*m));
}

long sys_recvmsg(struct task *t, const struct sys_args *args)
{
	unsigned asked = (unsigned)args->a[2], flags;
	struct ua_iov iov;
	struct l_msghdr m;
	struct file *f;
	struct uio u;
	long r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = import(t, args->a[1], &m, &iov);
	if (r < 0)
		goto out;
	u = uio_guest(t->ctx, &iov);
	r = unix_recv(f, &u, asked, &flags);
	if (r >= 0) {
		int put = put_header(t, args->a[1], &m, flags | (asked & L_MSG_CMSG_CLOEXEC));

		if (put < 0)
			r = put;
	}
	ua_iov_free(&iov);
out:
	file_put(f);
	return r;
}
