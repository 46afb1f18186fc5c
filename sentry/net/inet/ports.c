/*
 * Who has which port.  One table a protocol serves both families, as an IPv6 socket may mean IPv4 addresses as well.  The rules of who
 * may share a port with whom are bind(2)'s as Linux has them: SO_REUSEADDR lets go of ports where nobody listens, SO_REUSEPORT
 * shares among one user's.
 */
#include <string.h>

#include "abi/errno.h"
#include "host/random.h"
#include "sentry/net/inet/internal.h"
#include "sentry/net/inet/tcp.h"

#define BUCKETS 1024u
#define CHOICE_FIRST 32768u /* net.ipv4.ip_local_port_range */
#define CHOICE_LAST 60999u

/* Guarded by inet_lock; zeroed: not yet used. */
static struct list_head table[INET_PROTOCOLS][BUCKETS]; /* of port_user.node */
static struct list_head listeners[BUCKETS];		/* of port_user.listen_node: a server's port may have any number of connections */

static struct list_head *first_use(struct list_head *b)
{
	if (!b->next)
		list_init(b);
	return b;
}

static struct list_head *bucket(enum inet_protocol p, uint16_t port) REQUIRES(inet_lock)
{
	return first_use(&table[p][port % BUCKETS]);
}

static struct list_head *listen_bucket(uint16_t port) REQUIRES(inet_lock)
{
	return first_use(&listeners[port % BUCKETS]);
}

/* ---- sharing ---- */

/* Does u's own end take in the address a. */
static bool covers(const struct port_user *u, const struct inet_addr *a)
{
	if (inet_equal(&u->local.addr, &inet_any4))
		return inet_is_v4(a);
	if (inet_equal(&u->local.addr, &inet_any6))
		return !u->is_v6only || !inet_is_v4(a);
	return inet_equal(&u->local.addr, a);
}

static bool overlap(const struct port_user *a, const struct port_user *b)
{
	return covers(a, &b->local.addr) || covers(b, &a->local.addr);
}

static bool may_share(const struct port_user *a, const struct port_user *b)
{
	if (a->reuse_port && b->reuse_port && a->uid == b->uid && !a->is_waiting && !b->is_waiting)
		return true;
	return a->reuse && b->reuse && !a->listens && !b->listens;
}

/* Throws out what had its time. */
static void expire(struct list_head *b) REQUIRES(inet_lock)
{
	struct port_user *u, *next;

	list_for_each_entry_safe (u, next, b, node)
		if (u->is_waiting)
			tcp_wait_expire(u);
}

static bool conflicts(const struct port_user *u) REQUIRES(inet_lock)
{
	struct list_head *b = bucket(u->protocol, u->local.port);
	const struct port_user *o;

	expire(b);
	list_for_each_entry (o, b, node)
		if (o != u && o->local.port == u->local.port && overlap(o, u) && !may_share(o, u))
			return true;
	return false;
}

int port_may_listen(const struct port_user *u)
{
	const struct port_user *o;

	list_for_each_entry (o, listen_bucket(u->local.port), listen_node)
		if (o != u && o->local.port == u->local.port && overlap(o, u) &&
		    !(o->reuse_port && u->reuse_port && o->uid == u->uid))
			return -EADDRINUSE;
	return 0;
}

/* ---- choosing ---- */

static uint16_t random_start(void)
{
	uint16_t r;

	host_random(&r, sizeof(r));
	return r;
}

static void insert(struct port_user *u) REQUIRES(inet_lock)
{
	list_add_tail(&u->node, bucket(u->protocol, u->local.port));
}

int port_bind(struct port_user *u)
{
	const uint32_t count = CHOICE_LAST - CHOICE_FIRST + 1;
	uint32_t start;

	if (u->local.port) {
		if (conflicts(u))
			return -EADDRINUSE;
		insert(u);
		return 0;
	}
	start = random_start();
	for (uint32_t i = 0; i < count; i++) {
		u->local.port = (uint16_t)(CHOICE_FIRST + (start + i) % count);
		if (!conflicts(u)) {
			insert(u);
			return 0;
		}
	}
	u->local.port = 0;
	return -EADDRINUSE;
}

/* Whether a connection from u's end would be one that there is, or take the port of somebody who chose it. */
static bool is_taken(const struct port_user *u) REQUIRES(inet_lock)
{
	struct list_head *b = bucket(u->protocol, u->local.port);
	const struct port_user *o;

	expire(b);
	list_for_each_entry (o, b, node) {
		if (o->local.port != u->local.port)
			continue;
		if (!o->was_chosen && overlap(o, u))
			return true;
		if (o->remote.port == u->remote.port && inet_equal(&o->remote.addr, &u->remote.addr) &&
		    inet_equal(&o->local.addr, &u->local.addr))
			return true;
	}
	return false;
}

int port_bind_for(struct port_user *u)
{
	const uint32_t count = CHOICE_LAST - CHOICE_FIRST + 1;
	uint32_t start = random_start();

	for (uint32_t i = 0; i < count; i++) {
		u->local.port = (uint16_t)(CHOICE_FIRST + (start + i) % count);
		if (!is_taken(u)) {
			u->was_chosen = true;
			insert(u);
			return 0;
		}
	}
	u->local.port = 0;
	return -EADDRNOTAVAIL;
}

void port_share(struct port_user *u, const struct port_user *of)
{
	u->reuse = of->reuse;
	u->reuse_port = of->reuse_port;
	u->uid = of->uid;
	insert(u);
}

void port_listen(struct port_user *u, bool on)
{
	u->listens = on;
	list_del_init(&u->listen_node);
	if (on)
		list_add_tail(&u->listen_node, listen_bucket(u->local.port));
}

void port_leave(struct port_user *u)
{
	list_del_init(&u->node);
	list_del_init(&u->listen_node);
	u->was_chosen = u->listens = false;
}

/* ---- finding ---- */

/* How well u fits what comes: 0, not at all. */
static int score(const struct port_user *u, const struct endpoint *to, const struct endpoint *from)
{
	int s = 1;

	if (u->local.port != to->port || !covers(u, &to->addr))
		return 0;
	if (u->protocol == INET_UDP && u->remote.port) {
		if (u->remote.port != from->port || !inet_equal(&u->remote.addr, &from->addr))
			return 0;
		s += 4;
	}
	return s + (inet_is_any(&u->local.addr) ? 0 : 2);
}

/* Whoever fits best so far. */
struct search {
	struct port_user *best;
	int score;
	unsigned equals;
};

static void consider(struct search *f, struct port_user *u, const struct endpoint *to, const struct endpoint *from)
{
	int s = score(u, to, from);

	if (!s || s < f->score)
		return;
	if (s > f->score || !u->reuse_port) /* of equals without SO_REUSEPORT the one that was bound last hears */
		*f = (struct search){u, s, 1};
	else if (((uint32_t)from->port * 2654435761u >> 16) % ++f->equals == 0)
		f->best = u; /* each sender has one of them */
}

struct port_user *port_find(enum inet_protocol p, const struct endpoint *to, const struct endpoint *from)
{
	struct search f = {0};
	struct port_user *u;

	if (p == INET_TCP) {
		list_for_each_entry (u, listen_bucket(to->port), listen_node)
			consider(&f, u, to, from);
	} else {
		list_for_each_entry (u, bucket(p, to->port), node)
			consider(&f, u, to, from);
	}
	return f.best;
}

struct port_user *port_find_connection(enum inet_protocol p, const struct endpoint *local, const struct endpoint *remote)
{
	struct port_user *u;

	list_for_each_entry (u, bucket(p, local->port), node)
		if (!u->is_waiting && u->local.port == local->port && u->remote.port == remote->port &&
		    inet_equal(&u->local.addr, &local->addr) && inet_equal(&u->remote.addr, &remote->addr))
			return u;
	return NULL;
}

void port_for_each(enum inet_protocol p, void (*fn)(struct port_user *u, void *arg), void *arg)
{
	struct port_user *u, *next;

	for (unsigned i = 0; i < BUCKETS; i++) {
		if (!table[p][i].next)
			continue;
		expire(&table[p][i]);
		list_for_each_entry_safe (u, next, &table[p][i], node)
			fn(u, arg);
	}
}

void port_for_each_at(enum inet_protocol p, uint16_t port, void (*fn)(struct port_user *u, void *arg), void *arg)
{
	struct port_user *u, *next;

	list_for_each_entry_safe (u, next, bucket(p, port), node)
		if (u->local.port == port && !u->is_waiting)
			fn(u, arg);
}
