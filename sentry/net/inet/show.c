/* /proc/net/tcp, udp and their like. */
#include <inttypes.h>
#include <string.h>

#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/udp.h"
#include "sentry/task/task.h"

struct show {
	FILE *out;
	int family;
	unsigned line;
	bool wide; /* the columns of datagram tables */
};

static bool is_of_family(const struct port_user *u, int family)
{
	return (family == L_AF_INET) == inet_is_v4(&u->local.addr);
}

/* Words as the machine has them, which is how Linux prints them. */
static void show_end(FILE *out, const struct endpoint *e, int family, bool none)
{
	uint32_t word;

	for (unsigned i = family == L_AF_INET ? 12 : 0; i < 16; i += 4) {
		memcpy(&word, e->addr.b + i, sizeof(word));
		fprintf(out, "%08" PRIX32, none && family == L_AF_INET ? 0 : word);
	}
	fprintf(out, ":%04X", none ? 0 : e->port);
}

static void show_user(struct port_user *u, void *arg)
{
	const struct inet_sock *s = container_of(u, struct inet_sock, port);
	struct show *sh = arg;
	unsigned state = 7, rx = 0, refs = 0, drops = 0;
	unsigned long ino = 0;

	if (!is_of_family(u, sh->family))
		return;
	if (u->is_waiting) {
		state = TCP_TIME_WAIT;
	} else if (u->protocol == INET_TCP) {
		const struct tcp_sock *t = container_of(s, struct tcp_sock, inet);

		state = t->state;
		rx = t->state == TCP_LISTEN ? t->embryo_count : (unsigned)t->queued;
	} else {
		const struct udp_sock *d = container_of(s, struct udp_sock, inet);

		state = u->remote.port ? 1 : 7;
		rx = (unsigned)d->queued;
		drops = d->drops;
	}
	if (!u->is_waiting) {
		ino = s->file ? (unsigned long)s->file->inode->ino : 0;
		refs = refcount_read(&s->refs);
	}
	fprintf(sh->out, sh->wide ? "%5u: " : "%4u: ", sh->line++);
	show_end(sh->out, &u->local, sh->family, false);
	fputc(' ', sh->out);
	show_end(sh->out, &u->remote, sh->family, !u->remote.port);
	fprintf(sh->out, " %02X %08X:%08X 00:00000000 00000000 %5u        0 %lu %u %016lx %u\n", state, 0, rx,
		s && !u->is_waiting ? cred_show_uid(task_current()->cred, u->uid) : 0, ino, refs, 0ul, drops);
}

static void show_all(FILE *out, int family, enum inet_protocol p)
{
	struct show sh = {.out = out, .family = family, .wide = p == INET_UDP};

	mutex_lock(&inet_lock);
	port_for_each(p, show_user, &sh);
	mutex_unlock(&inet_lock);
}

void inet_show_tcp(FILE *out, int family)
{
	show_all(out, family, INET_TCP);
}

void inet_show_udp(FILE *out, int family)
{
	show_all(out, family, INET_UDP);
}
