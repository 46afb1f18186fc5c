/*
 * Options of level SOL_SOCKET: socket(7), and what the kernel says of those that the page leaves out.  What an option does is done
 * where it applies; here it is checked, kept and told.  An option of one family's goes to that family (socket_ops.get and set).
 */
#include <limits.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/net/socket.h"
#include "sentry/task/task.h"

#define NS_PER_S 1000000000ll
#define NS_PER_US 1000ll
#define PRIORITY_MAX 6 /* of those that anybody may set */
#define MEMINFO_VARS 9
#define BUFFER_LOCK_SEND 1u
#define BUFFER_LOCK_RECV 2u

/* Options that are a flag and nothing else. */
static int flag_of(int name)
{
	switch (name) {
	case L_SO_DEBUG:
		return SOCKET_DEBUG;
	case L_SO_REUSEADDR:
		return SOCKET_REUSEADDR;
	case L_SO_REUSEPORT:
		return SOCKET_REUSEPORT;
	case L_SO_DONTROUTE:
		return SOCKET_DONTROUTE;
	case L_SO_BROADCAST:
		return SOCKET_BROADCAST;
	case L_SO_KEEPALIVE:
		return SOCKET_KEEPALIVE;
	case L_SO_OOBINLINE:
		return SOCKET_OOBINLINE;
	case L_SO_NO_CHECK:
		return SOCKET_NO_CHECK;
	case L_SO_PASSCRED:
		return SOCKET_PASSCRED;
	case L_SO_PASSSEC:
		return SOCKET_PASSSEC;
	case L_SO_PASSPIDFD:
		return SOCKET_PASSPIDFD;
	case L_SO_TIMESTAMP:
	case L_SO_TIMESTAMP_NEW:
		return SOCKET_TIMESTAMP;
	case L_SO_TIMESTAMPNS:
	case L_SO_TIMESTAMPNS_NEW:
		return SOCKET_TIMESTAMPNS;
	case L_SO_RXQ_OVFL:
		return SOCKET_RXQ_OVFL;
	case L_SO_ZEROCOPY:
		return SOCKET_ZEROCOPY;
	case L_SO_WIFI_STATUS:
		return SOCKET_WIFI_STATUS;
	case L_SO_NOFCS:
		return SOCKET_NOFCS;
	case L_SO_SELECT_ERR_QUEUE:
		return SOCKET_SELECT_ERR_QUEUE;
	case L_SO_RCVMARK:
		return SOCKET_RCVMARK;
	case L_SO_RCVPRIORITY:
		return SOCKET_RCVPRIORITY;
	}
	return -1;
}

static bool is_inet(const struct socket *s)
{
	return s->family == L_AF_INET || s->family == L_AF_INET6;
}

static bool is_net_admin(const struct task *t)
{
	return cred_own_capable(t->cred, L_CAP_NET_ADMIN);
}

/* ---- asking ---- */

static int give(void *value, uint32_t *len, const void *what, size_t size)
{
	*len = min_of(*len, (uint32_t)size);
	memcpy(value, what, *len);
	return 0;
}

static int give_int(void *value, uint32_t *len, int32_t v)
{
	return give(value, len, &v, sizeof(v));
}

static int give_wait(void *value, uint32_t *len, int64_t ns)
{
	struct l_timeval tv = {0};

	if (ns > 0) {
		tv.tv_sec = ns / NS_PER_S;
		tv.tv_usec = ns % NS_PER_S / NS_PER_US;
	}
	return give(value, len, &tv, sizeof(tv));
}

static int give_cookie(struct socket *s, void *value, uint32_t *len)
{
	static _Atomic uint64_t last;
	uint64_t none = 0, cookie = s->cookie;

	if (*len < sizeof(cookie))
		return -EINVAL;
	if (!cookie) {
		cookie = ++last;
		if (!atomic_compare_exchange_strong(&s->cookie, &none, cookie))
			cookie = none;
	}
	return give(value, len, &cookie, sizeof(cookie));
}

/* Unlike getpeername(2) it has nothing for who has more room than there is name. */
static int give_peer_name(struct socket *s, void *value, uint32_t *len)
{
	struct l_sockaddr_storage addr;
	uint32_t size;

	if (!s->ops->name || s->ops->name(s, true, &addr, &size) < 0)
		return -ENOTCONN;
	return size < *len ? -EINVAL : give(value, len, &addr, size);
}

/* As much of it as an int can say, to who asks for an int. */
static int give_pacing(const struct socket *s, void *value, uint32_t *len)
{
	uint64_t rate = s->pacing_rate;

	if (*len >= sizeof(rate))
		return give(value, len, &rate, sizeof(rate));
	return give_int(value, len, (int32_t)min_of(rate, (uint64_t)UINT32_MAX));
}

static int give_number(struct socket *s, int name, void *value, uint32_t *len)
{
	switch (name) {
	case L_SO_TYPE:
		return give_int(value, len, s->type);
	case L_SO_PROTOCOL:
		return give_int(value, len, s->protocol);
	case L_SO_DOMAIN:
		return give_int(value, len, s->family);
	case L_SO_ERROR:
		return give_int(value, len, -socket_take_error(s));
	case L_SO_ACCEPTCONN:
		return give_int(value, len, s->ops->listens && s->ops->listens(s));
	case L_SO_SNDBUF:
		return give_int(value, len, (int32_t)s->send_buffer);
	case L_SO_RCVBUF:
		return give_int(value, len, (int32_t)s->recv_buffer);
	case L_SO_RCVLOWAT:
		return give_int(value, len, s->recv_low);
	case L_SO_SNDLOWAT:
		return give_int(value, len, 1);
	case L_SO_PRIORITY:
		return give_int(value, len, s->priority);
	case L_SO_MARK:
		return give_int(value, len, s->mark);
	case L_SO_BUSY_POLL:
		return give_int(value, len, s->busy_poll);
	case L_SO_PEEK_OFF:
		return s->family == L_AF_UNIX || is_inet(s) ? give_int(value, len, s->peek_off) : -EOPNOTSUPP;
	case L_SO_PASSRIGHTS:
		return s->family == L_AF_UNIX ? give_int(value, len, !socket_has(s, SOCKET_NO_RIGHTS)) : -EOPNOTSUPP;
	case L_SO_INCOMING_CPU:
		return give_int(value, len, s->incoming_cpu);
	case L_SO_BUF_LOCK:
		return give_int(value, len, (int32_t)s->buffer_lock);
	case L_SO_TXREHASH:
		return -EOPNOTSUPP;
	case L_SO_BPF_EXTENSIONS:
		return give_int(value, len, 64);
	case L_SO_BSDCOMPAT:
	case L_SO_TIMESTAMPING:
	case L_SO_LOCK_FILTER:
	case L_SO_INCOMING_NAPI_ID:
		return give_int(value, len, 0);
	}
	return -ENOPROTOOPT;
}

static int get_general(struct socket *s, int name, void *value, uint32_t *len)
{
	const uint32_t meminfo[MEMINFO_VARS] = {0, s->recv_buffer, 0, s->send_buffer};
	const uint64_t first_net = 1; /* the cookie of the one network namespace */
	const struct l_linger linger = {(int32_t)(s->linger >> 32), (int32_t)s->linger};
	int flag = flag_of(name);

	if (flag >= 0)
		return give_int(value, len, socket_has(s, (enum socket_flag)flag));
	switch (name) {
	case L_SO_LINGER:
		return give(value, len, &linger, sizeof(linger));
	case L_SO_RCVTIMEO:
	case L_SO_RCVTIMEO_NEW:
		return give_wait(value, len, s->recv_wait_ns);
	case L_SO_SNDTIMEO:
	case L_SO_SNDTIMEO_NEW:
		return give_wait(value, len, s->send_wait_ns);
	case L_SO_PEERNAME:
		return give_peer_name(s, value, len);
	case L_SO_COOKIE:
		return give_cookie(s, value, len);
	case L_SO_MEMINFO:
		return give(value, len, meminfo, sizeof(meminfo));
	case L_SO_MAX_PACING_RATE:
		return give_pacing(s, value, len);
	case L_SO_NETNS_COOKIE:
		return *len == sizeof(first_net) ? give(value, len, &first_net, sizeof(first_net)) : -EINVAL;
	case L_SO_ATTACH_FILTER: /* as SO_GET_FILTER: there is none */
	case L_SO_BINDTODEVICE:
		*len = 0;
		return 0;
	}
	return give_number(s, name, value, len);
}

int socket_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len)
{
	int r = -ENOPROTOOPT;

	if (s->ops->get)
		r = s->ops->get(s, t, level, name, value, len);
	return r == -ENOPROTOOPT && level == L_SOL_SOCKET ? get_general(s, name, value, len) : r;
}

/* ---- setting ---- */

static void set_flag(struct socket *s, enum socket_flag flag, bool on)
{
	if (on)
		atomic_fetch_or(&s->flags, 1u << flag);
	else
		atomic_fetch_and(&s->flags, ~(1u << flag));
}

/* Whether a flag may be set, there. */
static int check_flag(const struct socket *s, const struct task *t, enum socket_flag flag, int32_t v)
{
	switch (flag) {
	case SOCKET_DEBUG:
		return v && !is_net_admin(t) ? -EACCES : 0;
	case SOCKET_REUSEPORT:
		return v && !is_inet(s) ? -EOPNOTSUPP : 0;
	case SOCKET_PASSCRED:
	case SOCKET_PASSSEC:
		return s->family == L_AF_UNIX || s->family == L_AF_NETLINK ? 0 : -EOPNOTSUPP;
	case SOCKET_PASSPIDFD:
		return s->family == L_AF_UNIX ? 0 : -EOPNOTSUPP;
	case SOCKET_ZEROCOPY:
		if (!is_inet(s))
			return -EOPNOTSUPP;
		return v < 0 || v > 1 ? -EINVAL : 0;
	default:
		return 0;
	}
}

static void set_buffer(struct socket *s, bool send, int64_t size)
{
	s->buffer_lock |= send ? BUFFER_LOCK_SEND : BUFFER_LOCK_RECV;
	if (send)
		s->send_buffer = (uint32_t)max_of(2 * size, (int64_t)SOCKET_SEND_MIN);
	else
		s->recv_buffer = (uint32_t)max_of(2 * size, (int64_t)SOCKET_RECV_MIN);
	if (s->ops->buffers_changed)
		s->ops->buffers_changed(s);
}

/* A size within what anybody may have (a negative one is a large one); with force beyond that, for administrators. */
static int change_buffer(struct socket *s, struct task *t, bool send, bool force, int32_t v)
{
	if (!force)
		set_buffer(s, send, min_of((uint32_t)v, SOCKET_BUFFER_DEFAULT));
	else if (is_net_admin(t))
		set_buffer(s, send, min_of(max_of(v, 0), INT_MAX / 2));
	else
		return -EPERM;
	return 0;
}

static int set_wait(_Atomic int64_t *ns, const void *value, uint32_t len)
{
	struct l_timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= NS_PER_S / NS_PER_US)
		return -EDOM;
	if (tv.tv_sec < 0)
		*ns = -1; /* not at all */
	else if (tv.tv_sec >= INT64_MAX / NS_PER_S - 1)
		*ns = 0;
	else
		*ns = tv.tv_sec * NS_PER_S + tv.tv_usec * NS_PER_US;
	return 0;
}

static int set_linger(struct socket *s, const void *value, uint32_t len)
{
	struct l_linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, value, sizeof(l));
	/* The time is kept when it is switched off. */
	s->linger = (uint64_t)(l.l_onoff != 0) << 32 | (l.l_onoff ? (uint32_t)l.l_linger : (uint32_t)s->linger);
	return 0;
}

static int set_priority(struct socket *s, struct task *t, int32_t v)
{
	if ((v < 0 || v > PRIORITY_MAX) && !is_net_admin(t) && !cred_own_capable(t->cred, L_CAP_NET_RAW))
		return -EPERM;
	s->priority = v;
	return 0;
}

static int set_mark(struct socket *s, struct task *t, int32_t v)
{
	if (!is_net_admin(t) && !cred_own_capable(t->cred, L_CAP_NET_RAW))
		return -EPERM;
	s->mark = v;
	return 0;
}

static int set_busy_poll(struct socket *s, struct task *t, int32_t v)
{
	if (v > s->busy_poll && !is_net_admin(t))
		return -EPERM;
	if (v < 0)
		return -EINVAL;
	s->busy_poll = v;
	return 0;
}

static int set_number(struct socket *s, struct task *t, int name, int32_t v)
{
	switch (name) {
	case L_SO_SNDBUF:
	case L_SO_SNDBUFFORCE:
		return change_buffer(s, t, true, name == L_SO_SNDBUFFORCE, v);
	case L_SO_RCVBUF:
	case L_SO_RCVBUFFORCE:
		return change_buffer(s, t, false, name == L_SO_RCVBUFFORCE, v);
	case L_SO_RCVLOWAT:
		s->recv_low = v < 0 ? INT32_MAX : max_of(v, 1);
		return 0;
	case L_SO_PRIORITY:
		return set_priority(s, t, v);
	case L_SO_MARK:
		return set_mark(s, t, v);
	case L_SO_BUSY_POLL:
		return set_busy_poll(s, t, v);
	case L_SO_PEEK_OFF:
		if (s->family != L_AF_UNIX && !is_inet(s))
			return -EOPNOTSUPP;
		s->peek_off = v;
		return 0;
	case L_SO_PASSRIGHTS:
		if (s->family != L_AF_UNIX)
			return -EOPNOTSUPP;
		set_flag(s, SOCKET_NO_RIGHTS, !v);
		return 0;
	case L_SO_DETACH_FILTER:
		return -ENOENT;
	case L_SO_BUF_LOCK:
		if (v & ~(int32_t)(BUFFER_LOCK_SEND | BUFFER_LOCK_RECV))
			return -EINVAL;
		s->buffer_lock = (uint32_t)v;
		return 0;
	case L_SO_INCOMING_CPU:
		s->incoming_cpu = v;
		return 0;
	case L_SO_TXREHASH:
		return -EOPNOTSUPP;
	case L_SO_DETACH_REUSEPORT_BPF:
		return -EINVAL;
	case L_SO_DEVMEM_DONTNEED:
		return -EBADF;
	case L_SO_BSDCOMPAT:
	case L_SO_CNX_ADVICE:
		return 0;
	}
	return -ENOPROTOOPT;
}

uint32_t socket_option_size(int level, int name, uint32_t len)
{
	if (level != L_SOL_SOCKET)
		return min_of(len, (uint32_t)SOCKET_OPTION_MAX);
	switch (name) {
	case L_SO_RCVTIMEO:
	case L_SO_RCVTIMEO_NEW:
	case L_SO_SNDTIMEO:
	case L_SO_SNDTIMEO_NEW:
	case L_SO_BINDTODEVICE:
	case L_SO_ATTACH_FILTER:
		return min_of(len, (uint32_t)sizeof(struct l_timeval));
	case L_SO_LINGER:
	case L_SO_MAX_PACING_RATE:
		return min_of(len, (uint32_t)sizeof(struct l_linger));
	}
	return min_of(len, (uint32_t)sizeof(int32_t));
}

static int set_general(struct socket *s, struct task *t, int name, const void *value, uint32_t len)
{
	int flag = flag_of(name), r;
	uint64_t rate;
	int32_t v;

	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (flag >= 0) {
		r = check_flag(s, t, (enum socket_flag)flag, v);
		if (r == 0)
			set_flag(s, (enum socket_flag)flag, v);
		return r;
	}
	switch (name) {
	case L_SO_LINGER:
		return set_linger(s, value, len);
	case L_SO_RCVTIMEO:
	case L_SO_RCVTIMEO_NEW:
		return set_wait(&s->recv_wait_ns, value, len);
	case L_SO_SNDTIMEO:
	case L_SO_SNDTIMEO_NEW:
		return set_wait(&s->send_wait_ns, value, len);
	case L_SO_MAX_PACING_RATE:
		if (len >= sizeof(rate))
			memcpy(&rate, value, sizeof(rate));
		else
			rate = v == -1 ? UINT64_MAX : (uint32_t)v;
		s->pacing_rate = rate;
		return 0;
	}
	return set_number(s, t, name, v);
}

int socket_set_option(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len)
{
	int r = -ENOPROTOOPT;

	if (s->ops->set)
		r = s->ops->set(s, t, level, name, value, len);
	return r == -ENOPROTOOPT && level == L_SOL_SOCKET ? set_general(s, t, name, value, len) : r;
}
