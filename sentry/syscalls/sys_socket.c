/*
 * Making, asking and configuring sockets.  So far there are only AF_UNIX pairs (sentry/net/unix.c); sending and receiving
 * are in sys_socket_io.c.
 */
#include "abi/socket.h"
#include "base/checked.h"
#include "sentry/net/unix.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/socket_args.h"
#include "sentry/task/pidns.h"

int arg_socket(struct task *t, uint64_t fd, struct file **out)
{
	int r = arg_file(t, fd, out);

	if (r < 0)
		return r;
	if (unix_file_is(*out))
		return 0;
	file_put(*out);
	return -ENOTSOCK;
}

int socket_put_value(struct task *t, uint64_t dst, uint64_t dst_size, const void *value, size_t size)
{
	int32_t room, whole = (int32_t)size;
	int r = copy_in(t->ctx, &room, dst_size, sizeof(room));

	if (r < 0)
		return r;
	if (room < 0)
		return -EINVAL;
	r = copy_out(t->ctx, dst, value, min_of((size_t)room, size));
	return r < 0 ? r : copy_out(t->ctx, dst_size, &whole, sizeof(whole));
}

/* ---- socketpair ---- */

/* The protocol of AF_UNIX is 0, or PF_UNIX. */
static int check_kind(int domain, uint32_t type, int protocol)
{
	if (type & ~(uint32_t)(L_SOCK_TYPE_MASK | L_SOCK_CLOEXEC | L_SOCK_NONBLOCK))
		return -EINVAL;
	if (domain < 0 || domain >= L_AF_MAX)
		return -EAFNOSUPPORT;
	if ((type & L_SOCK_TYPE_MASK) > L_SOCK_PACKET)
		return -EINVAL;
	if (domain == L_AF_INET || domain == L_AF_INET6)
		return -EOPNOTSUPP;
	if (domain != L_AF_UNIX)
		return -EAFNOSUPPORT;
	return protocol && protocol != L_AF_UNIX ? -EPROTONOSUPPORT : 0;
}

long sys_socketpair(struct task *t, const struct sys_args *args)
{
	struct l_ucred maker = {t->process->pid, t->cred->euid, t->cred->egid};
	uint32_t type = (uint32_t)args->a[1];
	struct file *f[2];
	int fds[2], kind, r;

	r = check_kind((int)args->a[0], type, (int)args->a[2]);
	if (r < 0)
		return r;
	kind = (int)(type & L_SOCK_TYPE_MASK);
	if (kind == L_SOCK_RAW) /* unix(7) takes it for a datagram socket */
		kind = L_SOCK_DGRAM;
	r = unix_pair_new(kind, type & L_SOCK_NONBLOCK, &maker, t->cred, f);
	if (r < 0)
		return r;
	r = fd_install_pair(t->files, f[0], f[1], task_fd_limit(t), type & L_SOCK_CLOEXEC, fds);
	if (r < 0) {
		file_put(f[0]);
		file_put(f[1]);
		return r;
	}
	r = copy_out(t->ctx, args->a[3], fds, sizeof(fds));
	if (r < 0) {
		(void)!fd_close(t->files, fds[0]);
		(void)!fd_close(t->files, fds[1]);
	}
	return r;
}

long sys_shutdown(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = unix_shutdown(f, (int)args->a[1]);
	file_put(f);
	return r;
}

/* ---- names: neither end of a pair has one ---- */

static long unnamed(struct task *t, const struct sys_args *args)
{
	uint16_t family = L_AF_UNIX;
	struct file *f;
	int r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = socket_put_value(t, args->a[1], args->a[2], &family, sizeof(family));
	file_put(f);
	return r;
}

long sys_getsockname(struct task *t, const struct sys_args *args)
{
	return unnamed(t, args);
}

long sys_getpeername(struct task *t, const struct sys_args *args)
{
	return unnamed(t, args);
}

/* ---- options ---- */

static int option_int(struct file *f, int name, int32_t *value)
{
	switch (name) {
	case L_SO_TYPE:
		*value = unix_type(f);
		return 0;
	case L_SO_DOMAIN:
		*value = L_AF_UNIX;
		return 0;
	case L_SO_ERROR:
		*value = unix_take_error(f);
		return 0;
	case L_SO_SNDBUF:
		*value = (int32_t)unix_send_buffer(f);
		return 0;
	case L_SO_RCVBUF: /* AF_UNIX charges the sender alone */
		*value = 212992;
		return 0;
	case L_SO_PROTOCOL:
	case L_SO_ACCEPTCONN:
	case L_SO_PASSCRED:
	case L_SO_REUSEADDR:
	case L_SO_KEEPALIVE:
	case L_SO_BROADCAST:
		*value = 0;
		return 0;
	}
	return -ENOPROTOOPT;
}

/* An option is cut to the room there is, and its length tells what was given. */
static int put_option(struct task *t, const struct sys_args *args, const void *value, size_t size)
{
	int32_t room;
	int r = copy_in(t->ctx, &room, args->a[4], sizeof(room));

	if (r < 0)
		return r;
	if (room < 0)
		return -EINVAL;
	return socket_put_value(t, args->a[3], args->a[4], value, min_of((size_t)room, size));
}

long sys_getsockopt(struct task *t, const struct sys_args *args)
{
	struct l_ucred peer;
	struct file *f;
	int32_t value;
	int r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	if ((int)args->a[1] != L_SOL_SOCKET) {
		r = -EOPNOTSUPP;
	} else if ((int)args->a[2] == L_SO_PEERCRED) {
		unix_peer_cred(f, &peer);
		peer.pid = global_nr(peer.pid, task_pid_ns(t));
		peer.uid = cred_show_uid(t->cred, peer.uid);
		peer.gid = cred_show_gid(t->cred, peer.gid);
		r = put_option(t, args, &peer, sizeof(peer));
	} else {
		r = option_int(f, (int)args->a[2], &value);
		if (r == 0)
			r = put_option(t, args, &value, sizeof(value));
	}
	file_put(f);
	return r;
}

static int set_option(struct file *f, int name, int32_t value)
{
	switch (name) {
	case L_SO_SNDBUF:
		unix_set_send_buffer(f, (uint32_t)value);
		return 0;
	case L_SO_RCVBUF:
	case L_SO_REUSEADDR:
	case L_SO_KEEPALIVE:
	case L_SO_BROADCAST:
		return 0; /* without effect on a pair */
	}
	return -ENOPROTOOPT;
}

long sys_setsockopt(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int32_t value;
	int r = arg_socket(t, args->a[0], &f);

	if (r < 0)
		return r;
	if ((int)args->a[1] != L_SOL_SOCKET)
		r = -EOPNOTSUPP;
	else if ((int32_t)args->a[4] < (int32_t)sizeof(value))
		r = -EINVAL;
	else
		r = copy_in(t->ctx, &value, args->a[3], sizeof(value));
	if (r == 0)
		r = set_option(f, (int)args->a[2], value);
	file_put(f);
	return r;
}
