/*
 * Netlink's sockets and messages.  A question is answered while it is sent: the answer lies in the socket's own queue when send(2)
 * returns.  Sockets do not write to each other.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/core/uio.h"
#include "sentry/net/netlink/internal.h"
#include "sentry/task/task.h"

#define ANSWER_MAX 16384u /* bytes of a datagram of messages, at most: a program's buffer is about as large */
#define QUESTION_MAX 65536u
#define QUEUE_MAX 212992u

struct nl_packet {
	struct list_head node;
	size_t len;
	uint8_t data[];
};

struct nl_sock {
	struct socket sock;
	struct list_head all_node; /* guarded by nl_lock, as is all that follows */
	struct file *file;	   /* not counted; NULL: none yet */
	uint32_t port;		   /* nl_pid; 0: not bound */
	uint32_t groups;
	uint32_t flags;		   /* of 1 << L_NETLINK_*: options that are kept and told */
	struct list_head queue;	   /* of nl_packet.node */
	size_t queued;		   /* bytes */
};

static struct mutex nl_lock = MUTEX_INIT;
static struct list_head nl_all = LIST_HEAD_INIT(nl_all);

static const struct socket_ops nl_ops;

static struct nl_sock *nl_of(struct socket *s)
{
	return container_of(s, struct nl_sock, sock);
}

int netlink_socket_new(int type, int protocol, struct socket **out)
{
	struct nl_sock *s;

	if (type != L_SOCK_RAW && type != L_SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != L_NETLINK_ROUTE && protocol != L_NETLINK_KOBJECT_UEVENT)
		return -EPROTONOSUPPORT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	socket_init(&s->sock, &nl_ops, L_AF_NETLINK, type, protocol);
	list_init(&s->queue);
	mutex_lock(&nl_lock);
	list_add_tail(&s->all_node, &nl_all);
	mutex_unlock(&nl_lock);
	*out = &s->sock;
	return 0;
}

static void nl_release(struct socket *sock)
{
	struct nl_sock *s = nl_of(sock);
	struct nl_packet *p, *next;

	mutex_lock(&nl_lock);
	list_del_init(&s->all_node);
	mutex_unlock(&nl_lock);
	list_for_each_entry_safe (p, next, &s->queue, node)
		free(p);
	socket_destroy(&s->sock);
	free(s);
}

static void nl_opened(struct socket *sock, struct file *f)
{
	mutex_lock(&nl_lock);
	nl_of(sock)->file = f;
	mutex_unlock(&nl_lock);
}

/* ---- names ---- */

static bool port_is_free(int protocol, uint32_t port) REQUIRES(nl_lock)
{
	const struct nl_sock *s;

	list_for_each_entry (s, &nl_all, all_node)
		if (s->sock.protocol == protocol && s->port == port)
			return false;
	return true;
}

/* The process's number, as long as it is free. */
static void autobind(struct nl_sock *s, struct task *t) REQUIRES(nl_lock)
{
	uint32_t port = (uint32_t)t->process->pid;

	while (!port_is_free(s->sock.protocol, port))
		port = port > INT32_MAX ? port - 1 : UINT32_MAX - 4095; /* above all processes */
	s->port = port;
}

static int read_addr(const struct l_sockaddr_storage *addr, uint32_t len, struct l_sockaddr_nl *out)
{
	if (len < sizeof(*out))
		return -EINVAL;
	memcpy(out, addr, sizeof(*out));
	return out->nl_family == L_AF_NETLINK ? 0 : -EINVAL;
}

static int nl_bind(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len)
{
	struct nl_sock *s = nl_of(sock);
	struct l_sockaddr_nl nl;
	int r = read_addr(addr, len, &nl);

	if (r < 0)
		return r;
	mutex_lock(&nl_lock);
	if (s->port && nl.nl_pid != s->port)
		r = -EINVAL;
	else if (!s->port && !nl.nl_pid)
		autobind(s, t);
	else if (!s->port && !port_is_free(sock->protocol, nl.nl_pid))
		r = -EADDRINUSE;
	else if (!s->port)
		s->port = nl.nl_pid;
	if (r == 0)
		s->groups = nl.nl_groups;
	mutex_unlock(&nl_lock);
	return r;
}

/* Where to send by default: the kernel, which is the only one who hears. */
static int nl_connect(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock)
{
	struct nl_sock *s = nl_of(sock);
	struct l_sockaddr_nl nl;
	int r;

	if (len < sizeof(addr->ss_family))
		return -EINVAL;
	if (addr->ss_family == L_AF_UNSPEC)
		return 0;
	r = read_addr(addr, len, &nl);
	if (r < 0)
		return r;
	if (nl.nl_pid || nl.nl_groups)
		return cred_own_capable(t->cred, L_CAP_NET_ADMIN) ? -ECONNREFUSED : -EPERM;
	mutex_lock(&nl_lock);
	if (!s->port)
		autobind(s, t);
	mutex_unlock(&nl_lock);
	return 0;
}

static int nl_name(struct socket *sock, bool peer, struct l_sockaddr_storage *addr, uint32_t *len)
{
	struct l_sockaddr_nl nl = {.nl_family = L_AF_NETLINK};
	struct nl_sock *s = nl_of(sock);

	if (!peer) {
		mutex_lock(&nl_lock);
		nl.nl_pid = s->port;
		nl.nl_groups = s->groups;
		mutex_unlock(&nl_lock);
	}
	memcpy(addr, &nl, sizeof(nl));
	*len = sizeof(nl);
	return 0;
}

/* ---- answers ---- */

void nl_put(struct nl_answer *a, const void *data, size_t size)
{
	size_t padded = L_NL_ALIGN(size);

	if (a->failed)
		return;
	if (a->len + padded > a->cap) {
		size_t cap = max_of(2 * a->cap, a->len + padded + 1024);
		uint8_t *grown = realloc(a->data, cap);

		if (!grown) {
			a->failed = true;
			return;
		}
		a->data = grown;
		a->cap = cap;
	}
	memset(a->data + a->len, 0, padded);
	memcpy(a->data + a->len, data, size);
	a->len += padded;
}

void nl_begin(struct nl_answer *a, uint16_t type, uint16_t flags)
{
	const struct l_nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = a->seq, .nlmsg_pid = a->pid};

	a->message = a->len;
	nl_put(a, &h, sizeof(h));
}

void nl_attr(struct nl_answer *a, uint16_t type, const void *data, size_t size)
{
	const struct l_nlattr at = {(uint16_t)(sizeof(at) + size), type};

	nl_put(a, &at, sizeof(at));
	nl_put(a, data, size);
}

void nl_attr32(struct nl_answer *a, uint16_t type, uint32_t v)
{
	nl_attr(a, type, &v, sizeof(v));
}

void nl_attr8(struct nl_answer *a, uint16_t type, uint8_t v)
{
	nl_attr(a, type, &v, sizeof(v));
}

void nl_end(struct nl_answer *a)
{
	uint32_t len = (uint32_t)(a->len - a->message);

	if (!a->failed)
		memcpy(a->data + a->message, &len, sizeof(len));
}

/* What became of a question: its header is repeated, and with an error all of it unless only the header is wanted. */
static void put_error(struct nl_answer *a, const struct l_nlmsghdr *q, const uint8_t *body, size_t len, int error, bool capped)
{
	int32_t e = error;

	nl_begin(a, L_NLMSG_ERROR, capped || !error ? L_NLM_F_CAPPED : 0);
	nl_put(a, &e, sizeof(e));
	nl_put(a, q, sizeof(*q));
	if (error && !capped)
		nl_put(a, body, len);
	nl_end(a);
}

/* Puts all of a (consumed) into s's queue, in datagrams of whole messages. */
static void queue_answer(struct nl_sock *s, struct nl_answer *a)
{
	size_t at = 0;

	while (at < a->len && !a->failed) {
		size_t len = 0;
		struct nl_packet *p;

		do {
			uint32_t next;

			memcpy(&next, a->data + at + len, sizeof(next));
			if (len && len + L_NL_ALIGN(next) > ANSWER_MAX)
				break;
			len += L_NL_ALIGN(next);
		} while (at + len < a->len);
		p = malloc(sizeof(*p) + len);
		mutex_lock(&nl_lock);
		if (!p || s->queued + len > QUEUE_MAX) {
			s->sock.error = ENOBUFS;
			free(p);
		} else {
			p->len = len;
			memcpy(p->data, a->data + at, len);
			list_add_tail(&p->node, &s->queue);
			s->queued += len;
		}
		mutex_unlock(&nl_lock);
		at += len;
	}
	free(a->data);
	if (a->failed) {
		mutex_lock(&nl_lock);
		s->sock.error = ENOBUFS;
		mutex_unlock(&nl_lock);
	} else if (!at) {
		return;
	}
	waitqueue_wake(&s->sock.wq, L_POLLIN | L_POLLRDNORM);
	fasync_tell(&s->sock.async, L_POLL_IN);
}

/* ---- questions ---- */

static void answer(struct nl_sock *s, struct task *t, const struct l_nlmsghdr *q, const uint8_t *body, size_t len)
{
	struct nl_answer a = {.seq = q->nlmsg_seq};
	bool capped;
	int r = 0;

	mutex_lock(&nl_lock);
	a.pid = s->port;
	capped = s->flags & 1u << L_NETLINK_CAP_ACK;
	mutex_unlock(&nl_lock);
	if ((q->nlmsg_flags & L_NLM_F_REQUEST) && q->nlmsg_type >= L_NLMSG_MIN_TYPE)
		r = route_answer(t, q, body, len, &a);
	if (r < 0 || (q->nlmsg_flags & L_NLM_F_ACK && (q->nlmsg_flags & L_NLM_F_DUMP) != L_NLM_F_DUMP)) {
		struct nl_answer end = {.seq = a.seq, .pid = a.pid};

		queue_answer(s, &a); /* it is a datagram of its own */
		put_error(&end, q, body, len, r, capped);
		a = end;
	}
	queue_answer(s, &a);
}

static void answer_all(struct nl_sock *s, struct task *t, const uint8_t *data, size_t len)
{
	while (len >= sizeof(struct l_nlmsghdr)) {
		struct l_nlmsghdr q;
		size_t step;

		memcpy(&q, data, sizeof(q));
		if (q.nlmsg_len < sizeof(q) || q.nlmsg_len > len)
			return;
		answer(s, t, &q, data + sizeof(q), q.nlmsg_len - sizeof(q));
		step = min_of((size_t)L_NL_ALIGN(q.nlmsg_len), len);
		data += step;
		len -= step;
	}
}

static ssize_t nl_send(struct socket *sock, struct task *t, struct net_msg *m)
{
	struct nl_sock *s = nl_of(sock);
	size_t len = uio_left(m->u);
	struct l_sockaddr_nl to;
	uint8_t *data;
	int r;

	if (m->flags & L_MSG_OOB)
		return -EOPNOTSUPP;
	if (!len)
		return -ENODATA;
	if (m->name_len) {
		r = read_addr(&m->name, m->name_len, &to);
		if (r < 0)
			return r;
		if (to.nl_pid || to.nl_groups)
			return cred_own_capable(t->cred, L_CAP_NET_ADMIN) ? -ECONNREFUSED : -EPERM;
	}
	if (len > min_of(sock->send_buffer - 32, QUESTION_MAX))
		return -EMSGSIZE;
	mutex_lock(&nl_lock);
	if (!s->port)
		autobind(s, t);
	mutex_unlock(&nl_lock);
	data = malloc(len + 1);
	if (!data)
		return -ENOBUFS;
	r = len && uio_take(m->u, data, len) != (ssize_t)len ? -EFAULT : 0;
	if (r == 0 && sock->protocol == L_NETLINK_ROUTE)
		answer_all(s, t, data, len);
	else if (r == 0)
		r = -ECONNREFUSED; /* nobody answers */
	free(data);
	return r < 0 ? r : (ssize_t)len;
}

/* ---- receiving ---- */

static bool receivable(struct nl_sock *s)
{
	bool r;

	mutex_lock(&nl_lock);
	r = !list_empty(&s->queue) || s->sock.error;
	mutex_unlock(&nl_lock);
	return r;
}

/* Takes the first packet, the caller's to free; or an error; -EAGAIN: there is nothing. */
static int take(struct nl_sock *s, struct nl_packet **out)
{
	int r = 0;

	*out = NULL;
	mutex_lock(&nl_lock);
	r = socket_take_error(&s->sock);
	if (r == 0 && list_empty(&s->queue)) {
		r = -EAGAIN;
	} else if (r == 0) {
		*out = list_first_entry(&s->queue, struct nl_packet, node);
		list_del_init(&(*out)->node);
		s->queued -= (*out)->len;
	}
	mutex_unlock(&nl_lock);
	return r;
}

static void put_back(struct nl_sock *s, struct nl_packet *p)
{
	mutex_lock(&nl_lock);
	list_add(&p->node, &s->queue);
	s->queued += p->len;
	mutex_unlock(&nl_lock);
}

static ssize_t nl_recv(struct socket *sock, struct net_msg *m)
{
	int64_t wait_ns = sock->recv_wait_ns, deadline = socket_deadline(wait_ns);
	const struct l_sockaddr_nl kernel = {.nl_family = L_AF_NETLINK};
	struct nl_sock *s = nl_of(sock);
	struct nl_packet *p;
	size_t want;
	ssize_t n;
	int r;

	m->out_flags = 0;
	m->name_len = 0;
	if (m->flags & L_MSG_OOB)
		return -EOPNOTSUPP;
	while ((r = take(s, &p)) == -EAGAIN) {
		r = socket_wait(&sock->wq, m->nonblock, wait_ns, deadline, receivable(s));
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	want = (size_t)min_of((uint64_t)p->len, uio_left(m->u));
	n = want ? uio_put(m->u, p->data, want) : 0;
	if (n != (ssize_t)want)
		n = -EFAULT;
	if (n >= 0) {
		memcpy(&m->name, &kernel, sizeof(kernel));
		m->name_len = sizeof(kernel);
		if (p->len > want)
			m->out_flags |= L_MSG_TRUNC;
		if (m->flags & L_MSG_TRUNC)
			n = (ssize_t)p->len;
	}
	if (m->flags & L_MSG_PEEK)
		put_back(s, p);
	else
		free(p);
	return n;
}

/* ---- state ---- */

static uint32_t nl_poll(struct socket *sock)
{
	struct nl_sock *s = nl_of(sock);
	uint32_t events = L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND;

	mutex_lock(&nl_lock);
	if (!list_empty(&s->queue))
		events |= L_POLLIN | L_POLLRDNORM;
	if (s->sock.error)
		events |= L_POLLERR;
	mutex_unlock(&nl_lock);
	return events;
}

static int nl_get(struct socket *sock, struct task *t, int level, int name, void *value, uint32_t *len)
{
	struct nl_sock *s = nl_of(sock);
	int32_t v;

	if (level != L_SOL_NETLINK)
		return -ENOPROTOOPT;
	if (name != L_NETLINK_PKTINFO && name != L_NETLINK_BROADCAST_ERROR && name != L_NETLINK_NO_ENOBUFS &&
	    name != L_NETLINK_CAP_ACK && name != L_NETLINK_EXT_ACK && name != L_NETLINK_GET_STRICT_CHK)
		return -ENOPROTOOPT;
	if (*len < sizeof(v))
		return -EINVAL;
	mutex_lock(&nl_lock);
	v = (s->flags & 1u << name) != 0;
	mutex_unlock(&nl_lock);
	*len = sizeof(v);
	memcpy(value, &v, sizeof(v));
	return 0;
}

static int change_group(struct nl_sock *s, int32_t group, bool join)
{
	if (group < 1 || group > 32)
		return -EINVAL;
	mutex_lock(&nl_lock);
	if (join)
		s->groups |= 1u << (group - 1);
	else
		s->groups &= ~(1u << (group - 1));
	mutex_unlock(&nl_lock);
	return 0;
}

static int nl_set(struct socket *sock, struct task *t, int level, int name, const void *value, uint32_t len)
{
	struct nl_sock *s = nl_of(sock);
	int32_t v = 0;

	if (level != L_SOL_NETLINK)
		return -ENOPROTOOPT;
	if (len >= sizeof(v))
		memcpy(&v, value, sizeof(v));
	switch (name) {
	case L_NETLINK_ADD_MEMBERSHIP:
	case L_NETLINK_DROP_MEMBERSHIP:
		return change_group(s, v, name == L_NETLINK_ADD_MEMBERSHIP);
	case L_NETLINK_PKTINFO:
	case L_NETLINK_BROADCAST_ERROR:
	case L_NETLINK_NO_ENOBUFS:
	case L_NETLINK_CAP_ACK:
	case L_NETLINK_EXT_ACK:
	case L_NETLINK_GET_STRICT_CHK:
		mutex_lock(&nl_lock);
		s->flags = v ? s->flags | 1u << name : s->flags & ~(1u << name);
		mutex_unlock(&nl_lock);
		return 0;
	}
	return -ENOPROTOOPT;
}

void netlink_show(FILE *out)
{
	const struct nl_sock *s;

	fputs("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n", out);
	mutex_lock(&nl_lock);
	list_for_each_entry (s, &nl_all, all_node)
		fprintf(out, "%016x %-3d %-10u %08x %-8zu %-8d %-5d %-8d %-8u %-8lu\n", 0, s->sock.protocol, s->port, s->groups, s->queued,
			0, 0, 2, 0u, s->file ? (unsigned long)s->file->inode->ino : 0);
	mutex_unlock(&nl_lock);
}

static const struct socket_ops nl_ops = {
	.bind = nl_bind,
	.connect = nl_connect,
	.name = nl_name,
	.send = nl_send,
	.recv = nl_recv,
	.poll = nl_poll,
	.get = nl_get,
	.set = nl_set,
	.opened = nl_opened,
	.release = nl_release,
};
