/* The life of an AF_UNIX socket, its state for poll, ioctl and options, and the table of all for /proc.  See internal.h. */
#include <stdio.h>
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/net/unix/internal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

#include <string.h>

struct mutex unix_lock = MUTEX_INIT;
struct list_head unix_all = LIST_HEAD_INIT(unix_all);

static const struct socket_ops unix_ops;

struct unix_sock *unix_get(struct unix_sock *s)
{
	refcount_inc(&s->refs);
	return s;
}

void unix_put(struct unix_sock *s)
{
	if (!s || !refcount_dec(&s->refs))
		return;
	mutex_lock(&unix_lock);
	list_del_init(&s->all_node);
	mutex_unlock(&unix_lock);
	scm_cred_put(&s->peer_cred);
	if (s->peer_groups)
		cred_put(s->peer_groups);
	unix_addr_put(s->addr);
	waitqueue_destroy(&s->room_wq);
	mutex_destroy(&s->bind_lock);
	mutex_destroy(&s->recv_lock);
	socket_destroy(&s->sock);
	free(s);
}

int unix_sock_new(int type, struct unix_sock **out)
{
	struct unix_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	socket_init(&s->sock, &unix_ops, L_AF_UNIX, type, 0);
	refcount_init(&s->refs, 1);
	mutex_init(&s->recv_lock);
	mutex_init(&s->bind_lock);
	waitqueue_init(&s->room_wq);
	s->peer_cred.uid = s->peer_cred.gid = ID_NONE;
	list_init(&s->peers);
	list_init(&s->peer_node);
	list_init(&s->queue);
	list_init(&s->embryos);
	list_init(&s->accept_node);
	list_init(&s->name_node);
	list_init(&s->flight_node);
	list_init(&s->suspect_node);
	mutex_lock(&unix_lock);
	list_add_tail(&s->all_node, &unix_all);
	mutex_unlock(&unix_lock);
	*out = s;
	return 0;
}

int unix_socket_new(int type, struct socket **out)
{
	struct unix_sock *s;
	int r = unix_sock_new(type, &s);

	if (r == 0)
		*out = &s->sock;
	return r;
}

int unix_pair_new(int type, struct task *t, struct socket *out[2])
{
	struct unix_sock *s[2];
	int r = unix_sock_new(type, &s[0]);

	if (r < 0)
		return r;
	r = unix_sock_new(type, &s[1]);
	if (r < 0) {
		unix_put(s[0]);
		return r;
	}
	for (int i = 0; i < 2; i++) {
		unix_note_cred(s[i], t);
		s[i]->state = UNIX_CONNECTED;
		out[i] = &s[i]->sock;
	}
	mutex_lock(&unix_lock);
	unix_set_peer(s[0], s[1]);
	unix_set_peer(s[1], s[0]);
	mutex_unlock(&unix_lock);
	return 0;
}

/* ---- peers ---- */

void unix_set_peer(struct unix_sock *a, struct unix_sock *b)
{
	a->peer = unix_get(b);
	list_add_tail(&a->peer_node, &b->peers);
}

struct unix_sock *unix_take_peer(struct unix_sock *a)
{
	struct unix_sock *peer = a->peer;

	a->peer = NULL;
	list_del_init(&a->peer_node);
	return peer;
}

/* ---- the end ---- */

/* s, which is dead, no longer has its peer; a connection's other end is told (ECONNRESET where something was not read). */
static struct unix_sock *leave_peer(struct unix_sock *s, bool unread) REQUIRES(unix_lock)
{
	struct unix_sock *peer = unix_take_peer(s);

	if (!peer || !unix_connects(s))
		return peer;
	peer->recv_shut = peer->send_shut = true;
	if (unread)
		peer->sock.error = ECONNRESET;
	return peer;
}

void unix_end(struct unix_sock *s, bool embryo)
{
	struct list_head embryos = LIST_HEAD_INIT(embryos);
	struct unix_sock *peer, *child, *next;
	struct path path;

	mutex_lock(&unix_lock);
	s->dead = s->recv_shut = s->send_shut = true;
	s->state = UNIX_CLOSED;
	s->file = NULL;
	unix_unname(s);
	path = s->path;
	s->path = (struct path){0};
	list_splice_tail_init(&s->embryos, &embryos);
	s->embryo_count = 0;
	peer = leave_peer(s, embryo || !list_empty(&s->queue));
	mutex_unlock(&unix_lock);
	if (path.mnt)
		path_put(&path);
	/* Those that wait to be accepted or for room, and the other end of a connection. */
	waitqueue_wake(&s->room_wq, 0);
	if (peer && unix_connects(s)) {
		waitqueue_wake(&peer->sock.wq, 0);
		fasync_tell(&peer->sock.async, L_POLL_HUP);
	}
	unix_put(peer);
	unix_purge(s);
	list_for_each_entry_safe (child, next, &embryos, accept_node) {
		list_del_init(&child->accept_node);
		unix_end(child, true);
	}
	unix_put(s);
}

static void unix_release(struct socket *sock)
{
	unix_end(unix_of(sock), false);
	/* What became garbage while somebody had it in hand, who has let go of it since: it is this one's, as on Linux. */
	if (!scm_rights_being_put())
		unix_collect(NULL);
}

static void unix_opened(struct socket *sock, struct file *f)
{
	struct unix_sock *s = unix_of(sock);

	mutex_lock(&unix_lock);
	s->file = f;
	mutex_unlock(&unix_lock);
}

static void unix_closing(struct socket *sock, struct file *f)
{
	unix_collect(f);
}

/* ---- state ---- */

static uint32_t unix_poll(struct socket *sock)
{
	struct unix_sock *s = unix_of(sock);
	uint32_t events = 0;
	bool writable;

	mutex_lock(&unix_lock);
	if (s->sock.error)
		events |= L_POLLERR;
	if (s->recv_shut && s->send_shut)
		events |= L_POLLHUP;
	if (s->recv_shut)
		events |= L_POLLRDHUP | L_POLLIN | L_POLLRDNORM;
	if (!list_empty(&s->queue) || s->embryo_count)
		events |= L_POLLIN | L_POLLRDNORM;
	if (unix_connects(s) && s->state == UNIX_CLOSED)
		events |= L_POLLHUP;
	writable = s->state != UNIX_LISTENING && unix_has_much_room(s);
	if (writable && s->peer && unix_is_full_for(s->peer, s)) {
		s->wants_peer_room = s->peer->room_wanted = true;
		writable = false;
	}
	if (writable)
		events |= L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND;
	mutex_unlock(&unix_lock);
	return events;
}

/* What there is to read: of a connection all, else the first message. */
static int32_t waiting_bytes(const struct unix_sock *s) REQUIRES(unix_lock)
{
	const struct unix_msg *m;
	int32_t count = 0;

	list_for_each_entry (m, &s->queue, node) {
		count += (int32_t)(m->len - m->off);
		if (!unix_connects(s))
			break;
	}
	return count;
}

/* SIOCUNIXFILE: the file that the socket is bound to, opened O_PATH. */
static long open_bound(struct unix_sock *s)
{
	struct task *t = task_current();
	struct path at = {0};
	struct file *f;
	int r = 0;

	if (!cred_own_capable(t->cred, L_CAP_NET_ADMIN))
		return -EPERM;
	mutex_lock(&unix_lock);
	if (s->path.mnt) {
		at = s->path;
		path_get(&at);
	} else {
		r = -ENOENT;
	}
	mutex_unlock(&unix_lock);
	if (r < 0)
		return r;
	r = file_open_path(&at, L_O_PATH, t->cred, &f);
	path_put(&at);
	if (r < 0)
		return r;
	return task_install(t, f, true);
}

static long unix_ioctl(struct socket *sock, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct unix_sock *s = unix_of(sock);
	int32_t count = 0;
	bool listening;

	switch (cmd) {
	case L_SIOCUNIXFILE:
		return open_bound(s);
	case L_SIOCATMARK: /* urgent data there is none */
		return copy_out(ctx, arg, &count, sizeof(count));
	case L_TIOCOUTQ:
	case L_TIOCINQ:
		mutex_lock(&unix_lock);
		listening = s->state == UNIX_LISTENING;
		count = cmd == L_TIOCOUTQ ? (int32_t)s->charged : waiting_bytes(s);
		mutex_unlock(&unix_lock);
		if (cmd == L_TIOCINQ && listening)
			return -EINVAL;
		return copy_out(ctx, arg, &count, sizeof(count));
	}
	return -ENOTTY;
}

static bool unix_listens(struct socket *sock)
{
	struct unix_sock *s = unix_of(sock);
	bool r;

	mutex_lock(&unix_lock);
	r = s->state == UNIX_LISTENING;
	mutex_unlock(&unix_lock);
	return r;
}

static void unix_buffers_changed(struct socket *sock)
{
	waitqueue_wake(&sock->wq, L_POLLOUT | L_POLLWRNORM);
}

static unsigned unix_rights_waiting(struct socket *sock)
{
	struct unix_sock *s = unix_of(sock);
	const struct unix_msg *m;
	unsigned n = 0;

	mutex_lock(&unix_lock);
	list_for_each_entry (m, &s->queue, node)
		n += m->rights ? m->rights->count : 0;
	mutex_unlock(&unix_lock);
	return n;
}

/* ---- options ---- */

/* The peer's credentials, counted; and its groups, or NULL. */
static struct scm_cred peer_cred(struct unix_sock *s, const struct cred **groups)
{
	struct scm_cred c;

	mutex_lock(&unix_lock);
	c = scm_cred_get(&s->peer_cred);
	*groups = s->peer_groups ? cred_get(s->peer_groups) : NULL;
	mutex_unlock(&unix_lock);
	return c;
}

static int give_groups(struct task *t, const struct cred *of, uint32_t *groups, uint32_t *len)
{
	uint32_t size;

	if (!of)
		return -ENODATA;
	size = of->group_count * (uint32_t)sizeof(*groups);
	if (*len < size) {
		*len = size;
		return -ERANGE;
	}
	*len = size;
	for (uint32_t i = 0; i < of->group_count; i++)
		groups[i] = cred_show_gid(t->cred, of->groups[i]);
	return 0;
}

static int give_ucred(struct task *t, const struct scm_cred *c, void *value, uint32_t *len)
{
	struct l_ucred u = {0, UINT32_MAX, UINT32_MAX};

	if (c->process) {
		u.pid = process_nr(c->process, task_pid_ns(t));
		u.uid = cred_show_uid(t->cred, c->uid);
		u.gid = cred_show_gid(t->cred, c->gid);
	}
	*len = min_of(*len, (uint32_t)sizeof(u));
	memcpy(value, &u, *len);
	return 0;
}

static int give_pidfd(struct task *t, const struct scm_cred *c, void *value, uint32_t *len)
{
	struct file *f;
	int32_t fd;
	int r;

	if (!c->process)
		return -ENODATA;
	r = pidfd_file_new(c->process, NULL, 0, t->cred, &f);
	if (r < 0)
		return r;
	fd = (int32_t)task_install(t, f, true);
	if (fd < 0)
		return fd;
	*len = min_of(*len, (uint32_t)sizeof(fd));
	memcpy(value, &fd, *len);
	return 0;
}

static int unix_get_option(struct socket *sock, struct task *t, int level, int name, void *value, uint32_t *len)
{
	const struct cred *groups;
	struct scm_cred c;
	int r = -ENOPROTOOPT;

	if (level != L_SOL_SOCKET)
		return -EOPNOTSUPP;
	if (name != L_SO_PEERCRED && name != L_SO_PEERGROUPS && name != L_SO_PEERPIDFD)
		return -ENOPROTOOPT;
	c = peer_cred(unix_of(sock), &groups);
	if (name == L_SO_PEERCRED)
		r = give_ucred(t, &c, value, len);
	else if (name == L_SO_PEERGROUPS)
		r = give_groups(t, groups, value, len);
	else
		r = give_pidfd(t, &c, value, len);
	scm_cred_put(&c);
	if (groups)
		cred_put(groups);
	return r;
}

static int unix_set_option(struct socket *sock, struct task *t, int level, int name, const void *value, uint32_t len)
{
	return level == L_SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}

/* ---- /proc/net/unix ---- */

#define STATE_UNCONNECTED 1
#define STATE_CONNECTING 2
#define STATE_CONNECTED 3
#define FLAG_LISTENING 0x10000u

static int shown_state(const struct unix_sock *s) REQUIRES(unix_lock)
{
	if (s->state != UNIX_CONNECTED)
		return s->file ? STATE_UNCONNECTED : 0;
	return s->file ? STATE_CONNECTED : STATE_CONNECTING;
}

static void show_name(FILE *out, const struct unix_addr *a)
{
	const char *p = a->name.sun_path;
	uint32_t len = a->len - UNIX_NAME_OFFSET;
	bool abstract = *p == 0;

	if (!abstract && len)
		len--; /* the NUL */
	fputc(' ', out);
	for (uint32_t i = 0; i < len; i++)
		fputc(p[i] ? p[i] : '@', out);
}

void unix_show(FILE *out)
{
	const struct unix_sock *s;

	fputs("Num       RefCount Protocol Flags    Type St Inode Path\n", out);
	mutex_lock(&unix_lock);
	list_for_each_entry (s, &unix_all, all_node) {
		bool listening = s->state == UNIX_LISTENING;

		fprintf(out, "%016x: %08X %08X %08X %04X %02X %5lu", 0, refcount_read(&s->refs), 0, listening ? FLAG_LISTENING : 0,
			(unsigned)s->sock.type, (unsigned)shown_state(s),
			s->file ? (unsigned long)s->file->inode->ino : 0);
		if (s->addr)
			show_name(out, s->addr);
		fputc('\n', out);
	}
	mutex_unlock(&unix_lock);
}

static const struct socket_ops unix_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.name = unix_name,
	.send = unix_send,
	.recv = unix_recv,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.listens = unix_listens,
	.get = unix_get_option,
	.set = unix_set_option,
	.buffers_changed = unix_buffers_changed,
	.opened = unix_opened,
	.closing = unix_closing,
	.rights_waiting = unix_rights_waiting,
	.release = unix_release,
};
