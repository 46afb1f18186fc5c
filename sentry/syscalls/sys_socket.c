/* Making, naming, connecting and configuring sockets.  Sending and receiving are in sys_socket_io.c. */
#include <stdlib.h>
#include <string.h>

#include "abi/socket.h"
#include "base/checked.h"
#include "sentry/core/tunable.h"
#include "sentry/net/inet/inet.h"
#include "sentry/net/netlink/netlink.h"
#include "sentry/net/unix/unix.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/socket_args.h"

#define OPTION_FAST 256u /* bytes of an option's value that need no allocation */

int arg_socket(struct task *t, uint64_t fd, struct file **out, struct socket **s)
{
	int r = arg_file(t, fd, out);

	if (r < 0)
		return r;
	*s = socket_of(*out);
	if (*s)
		return 0;
	file_put(*out);
	return -ENOTSOCK;
}

int socket_take_addr(struct task *t, uint64_t src, int32_t len, struct l_sockaddr_storage *addr)
{
	if (len < 0 || len > (int32_t)sizeof(*addr))
		return -EINVAL;
	addr->ss_family = L_AF_UNSPEC;
	return len ? copy_in(t->ctx, addr, src, (size_t)len) : 0;
}

int socket_put_addr(struct task *t, uint64_t dst, uint64_t dst_size, const struct l_sockaddr_storage *addr, uint32_t size)
{
	int32_t room, whole = (int32_t)size;
	int r = copy_in(t->ctx, &room, dst_size, sizeof(room));

	if (r < 0)
		return r;
	if (room < 0)
		return -EINVAL;
	r = copy_out(t->ctx, dst, addr, min_of((size_t)room, (size_t)size));
	return r < 0 ? r : copy_out(t->ctx, dst_size, &whole, sizeof(whole));
}

/* ---- making ---- */

/* What socket(2) and socketpair(2) check first, whatever the family. */
static int check_kind(int domain, uint32_t type)
{
	if (type & ~(uint32_t)(L_SOCK_TYPE_MASK | L_SOCK_CLOEXEC | L_SOCK_NONBLOCK))
		return -EINVAL;
	if (domain < 0 || domain >= L_AF_MAX)
		return -EAFNOSUPPORT;
	return (type & L_SOCK_TYPE_MASK) > L_SOCK_PACKET ? -EINVAL : 0;
}

/* The protocol of AF_UNIX is 0, or PF_UNIX.  Its raw sockets are datagram sockets: unix(7). */
static int unix_kind(uint32_t type, int protocol)
{
	if (protocol && protocol != L_AF_UNIX)
		return -EPROTONOSUPPORT;
	switch (type & L_SOCK_TYPE_MASK) {
	case L_SOCK_STREAM:
		return L_SOCK_STREAM;
	case L_SOCK_DGRAM:
	case L_SOCK_RAW:
		return L_SOCK_DGRAM;
	case L_SOCK_SEQPACKET:
		return L_SOCK_SEQPACKET;
	}
	return -ESOCKTNOSUPPORT;
}

static int make_socket(struct task *t, int domain, uint32_t type, int protocol, struct socket **out)
{
	int kind;

	switch (domain) {
	case L_AF_UNIX:
		kind = unix_kind(type, protocol);
		return kind < 0 ? kind : unix_socket_new(kind, out);
	case L_AF_INET:
	case L_AF_INET6:
		return inet_socket_new(t, domain, type & L_SOCK_TYPE_MASK, protocol, out);
	case L_AF_NETLINK:
		return netlink_socket_new(type & L_SOCK_TYPE_MASK, protocol, out);
	}
	return -EAFNOSUPPORT;
}

long sys_socket(struct task *t, const struct sys_args *args)
{
	uint32_t type = (uint32_t)args->a[1];
	struct socket *s;
	struct file *f;
	int r = check_kind((int)args->a[0], type);

	if (r < 0)
		return r;
	r = make_socket(t, (int)args->a[0], type, (int)args->a[2], &s);
	if (r == 0)
		r = socket_file_new(s, type & L_SOCK_NONBLOCK, t->cred, &f);
	return r < 0 ? r : task_install(t, f, type & L_SOCK_CLOEXEC);
}

static int make_pair(struct task *t, uint32_t type, int protocol, struct file *f[2])
{
	struct socket *s[2];
	int r = unix_kind(type, protocol);

	if (r >= 0)
		r = unix_pair_new(r, t, s);
	if (r < 0)
		return r;
	r = socket_file_new(s[0], type & L_SOCK_NONBLOCK, t->cred, &f[0]);
	if (r < 0) {
		s[1]->ops->release(s[1]);
		return r;
	}
	r = socket_file_new(s[1], type & L_SOCK_NONBLOCK, t->cred, &f[1]);
	if (r < 0)
		file_put(f[0]);
	return r;
}

long sys_socketpair(struct task *t, const struct sys_args *args)
{
	int domain = (int)args->a[0], fds[2], r;
	uint32_t type = (uint32_t)args->a[1];
	struct file *f[2];

	r = check_kind(domain, type);
	if (r < 0)
		return r;
	if (domain == L_AF_INET || domain == L_AF_INET6)
		return -EOPNOTSUPP;
	if (domain != L_AF_UNIX)
		return -EAFNOSUPPORT;
	r = make_pair(t, type, (int)args->a[2], f);
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

/* ---- names and connections ---- */

long sys_bind(struct task *t, const struct sys_args *args)
{
	struct l_sockaddr_storage addr NOT_ZEROED;
	struct socket *s;
	struct file *f;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = socket_take_addr(t, args->a[1], (int32_t)args->a[2], &addr);
	if (r == 0)
		r = s->ops->bind ? s->ops->bind(s, t, &addr, (uint32_t)args->a[2]) : -EOPNOTSUPP;
	file_put(f);
	return r;
}

/* Linux takes the address in before it asks what the descriptor is. */
long sys_connect(struct task *t, const struct sys_args *args)
{
	struct l_sockaddr_storage addr NOT_ZEROED;
	struct socket *s;
	struct file *f;
	int r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = socket_take_addr(t, args->a[1], (int32_t)args->a[2], &addr);
	s = socket_of(f);
	if (r == 0 && !s)
		r = -ENOTSOCK;
	if (r == 0)
		r = s->ops->connect ? s->ops->connect(s, t, &addr, (uint32_t)args->a[2], file_nonblock(f)) : -EOPNOTSUPP;
	file_put(f);
	return r;
}

long sys_listen(struct task *t, const struct sys_args *args)
{
	struct socket *s;
	struct file *f;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = s->ops->listen ? s->ops->listen(s, t, (int)min_of((uint64_t)(uint32_t)args->a[1], tunable_get(&net_somaxconn))) : -EOPNOTSUPP;
	file_put(f);
	return r;
}

/* A connection that was accepted becomes a descriptor, unless nobody could be told who is at its other end. */
static long install_accepted(struct task *t, struct socket *s, uint64_t addr, uint64_t addr_size, uint32_t flags)
{
	struct l_sockaddr_storage peer NOT_ZEROED;
	struct file *f;
	uint32_t len;
	int r;

	if (addr) {
		r = s->ops->name(s, true, &peer, &len) < 0 ? -ECONNABORTED : socket_put_addr(t, addr, addr_size, &peer, len);
		if (r < 0) {
			s->ops->release(s);
			return r;
		}
	}
	r = socket_file_new(s, flags & L_SOCK_NONBLOCK, t->cred, &f);
	return r < 0 ? r : task_install(t, f, flags & L_SOCK_CLOEXEC);
}

static long do_accept(struct task *t, const struct sys_args *args, uint32_t flags)
{
	struct socket *s, *accepted;
	struct file *f;
	long r;

	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	s = socket_of(f);
	if (flags & ~(uint32_t)(L_SOCK_CLOEXEC | L_SOCK_NONBLOCK))
		r = -EINVAL;
	else if (!s)
		r = -ENOTSOCK;
	else if (!fd_has_room(t->files, task_fd_limit(t)))
		r = -EMFILE;
	else
		r = s->ops->accept ? s->ops->accept(s, file_nonblock(f), &accepted) : -EOPNOTSUPP;
	if (r == 0)
		r = install_accepted(t, accepted, args->a[1], args->a[2], flags);
	file_put(f);
	return r;
}

long sys_accept(struct task *t, const struct sys_args *args)
{
	return do_accept(t, args, 0);
}

long sys_accept4(struct task *t, const struct sys_args *args)
{
	return do_accept(t, args, (uint32_t)args->a[3]);
}

static long tell_name(struct task *t, const struct sys_args *args, bool peer)
{
	struct l_sockaddr_storage addr NOT_ZEROED;
	struct socket *s;
	struct file *f;
	uint32_t len;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = s->ops->name ? s->ops->name(s, peer, &addr, &len) : -EOPNOTSUPP;
	if (r == 0)
		r = socket_put_addr(t, args->a[1], args->a[2], &addr, len);
	file_put(f);
	return r;
}

long sys_getsockname(struct task *t, const struct sys_args *args)
{
	return tell_name(t, args, false);
}

long sys_getpeername(struct task *t, const struct sys_args *args)
{
	return tell_name(t, args, true);
}

long sys_shutdown(struct task *t, const struct sys_args *args)
{
	int how = (int)args->a[1];
	struct socket *s;
	struct file *f;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	if (how < L_SHUT_RD || how > L_SHUT_RDWR)
		r = -EINVAL;
	else
		r = s->ops->shutdown ? s->ops->shutdown(s, how != L_SHUT_WR, how != L_SHUT_RD) : -EOPNOTSUPP;
	file_put(f);
	return r;
}

/* ---- options ---- */

/* Room for a value of len bytes: fast, or allocated; NULL: no memory. */
static void *value_room(uint32_t len, uint8_t fast[OPTION_FAST])
{
	return len <= OPTION_FAST ? fast : malloc(len);
}

static void value_free(void *value, const uint8_t fast[OPTION_FAST])
{
	if (value != fast)
		free(value);
}

/* A value that could not be told: a descriptor is closed again. */
static void take_back(struct task *t, int level, int name, const void *value, uint32_t len)
{
	int32_t fd;

	if (level != L_SOL_SOCKET || name != L_SO_PEERPIDFD || len != sizeof(fd))
		return;
	memcpy(&fd, value, sizeof(fd));
	(void)!fd_close(t->files, fd);
}

/* Whatever there is, cut to the room; its length tells how much was given, or, of a list that is too long, how much there is. */
static int get_option(struct task *t, const struct sys_args *args, struct socket *s, uint32_t len)
{
	uint8_t fast[OPTION_FAST] NOT_ZEROED __attribute__((aligned(8)));
	void *value;
	int r, told;

	len = min_of(len, (uint32_t)SOCKET_OPTION_MAX);
	value = value_room(len, fast);
	if (!value)
		return -ENOMEM;
	r = socket_get_option(s, t, (int)args->a[1], (int)args->a[2], value, &len);
	if (r == 0 || r == -ERANGE) {
		told = r == 0 ? copy_out(t->ctx, args->a[3], value, len) : 0;
		if (told == 0)
			told = copy_out(t->ctx, args->a[4], &len, sizeof(len));
		if (told < 0 && r == 0)
			take_back(t, (int)args->a[1], (int)args->a[2], value, len);
		r = told < 0 ? told : r;
	}
	value_free(value, fast);
	return r;
}

long sys_getsockopt(struct task *t, const struct sys_args *args)
{
	struct socket *s;
	struct file *f;
	int32_t len;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = copy_in(t->ctx, &len, args->a[4], sizeof(len));
	if (r == 0)
		r = len < 0 ? -EINVAL : get_option(t, args, s, (uint32_t)len);
	file_put(f);
	return r;
}

static int set_option(struct task *t, const struct sys_args *args, struct socket *s, uint32_t len)
{
	uint8_t fast[OPTION_FAST] NOT_ZEROED __attribute__((aligned(8)));
	void *value;
	int r;

	len = socket_option_size((int)args->a[1], (int)args->a[2], len);
	value = value_room(len, fast);
	if (!value)
		return -ENOMEM;
	r = copy_in(t->ctx, value, args->a[3], len);
	if (r == 0)
		r = socket_set_option(s, t, (int)args->a[1], (int)args->a[2], value, len);
	value_free(value, fast);
	return r;
}

long sys_setsockopt(struct task *t, const struct sys_args *args)
{
	int32_t len = (int32_t)args->a[4];
	struct socket *s;
	struct file *f;
	int r = arg_socket(t, args->a[0], &f, &s);

	if (r < 0)
		return r;
	r = len < 0 ? -EINVAL : set_option(t, args, s, (uint32_t)len);
	file_put(f);
	return r;
}
