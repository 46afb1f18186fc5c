/*
 * Sockets on their way.  A socket that lies in a message is kept by that message; two that lie in each other's queues, or one in its
 * own, would stay for ever when nobody has them open any more.  Such garbage is sought when one that is on its way loses a descriptor,
 * when a message that had one goes, and when any socket ends, as something may have been in a system call's hand before:
 *
 * 1. Suspects are those on their way whose every reference is a message's.
 * 2. For each suspect, messages in other suspects' queues are no reason to live: what is left in `outside` are messages elsewhere.
 * 3. Who has some lives, and so does all that lies in its queue, and so on.  The rest is garbage: its queues are emptied.
 *
 * Nobody else can come by a suspect meanwhile: it is in no descriptor table, and what takes it out of a queue needs unix_lock.
 */
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/net/unix/internal.h"
#include "sentry/task/task.h"

/* How many files of one user's are on their way. */
struct flights {
	struct list_head node; /* of all; guarded by unix_lock */
	uint32_t uid;	       /* immutable */
	unsigned refs;	       /* of struct scm_rights; guarded by unix_lock, as is count */
	uint64_t count;
};

static struct list_head all_flights = LIST_HEAD_INIT(all_flights);	/* guarded by unix_lock */
static struct list_head flying = LIST_HEAD_INIT(flying);	/* of unix_sock.flight_node; guarded by unix_lock */

/* ---- counting ---- */

static struct flights *flights_find(uint32_t uid) REQUIRES(unix_lock)
{
	struct flights *f;

	list_for_each_entry (f, &all_flights, node)
		if (f->uid == uid)
			return f;
	return NULL;
}

static bool may_pass_limit(const struct task *t)
{
	return cred_own_capable(t->cred, L_CAP_SYS_RESOURCE) || cred_own_capable(t->cred, L_CAP_SYS_ADMIN);
}

int unix_rights_check(struct task *t, struct scm_rights *r)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_NOFILE);
	struct flights *f, *fresh = calloc(1, sizeof(*fresh));
	int result = 0;

	if (!fresh)
		return -ENOMEM;
	fresh->uid = t->cred->uid;
	mutex_lock(&unix_lock);
	f = flights_find(fresh->uid);
	if (f && f->count > limit && !may_pass_limit(t)) {
		result = -ETOOMANYREFS;
	} else {
		if (!f) {
			f = fresh;
			fresh = NULL;
			list_add(&f->node, &all_flights);
		}
		f->refs++;
		r->flights = f;
	}
	mutex_unlock(&unix_lock);
	free(fresh);
	return result;
}

static void flights_leave(struct scm_rights *r) REQUIRES(unix_lock)
{
	struct flights *f = r->flights;

	r->flights = NULL;
	if (!f || --f->refs)
		return;
	list_del_init(&f->node);
	free(f);
}

void unix_rights_uncheck(struct scm_rights *r)
{
	mutex_lock(&unix_lock);
	flights_leave(r);
	mutex_unlock(&unix_lock);
}

/* The AF_UNIX socket that f is, or NULL. */
static struct unix_sock *socket_in(const struct file *f)
{
	struct socket *s = socket_of(f);

	return s && s->family == L_AF_UNIX ? unix_of(s) : NULL;
}

void unix_rights_fly(struct scm_rights *r)
{
	struct unix_sock *s;

	if (r->flights)
		r->flights->count += r->count;
	for (unsigned i = 0; i < r->count; i++) {
		s = socket_in(r->files[i]);
		if (s && s->inflight++ == 0)
			list_add_tail(&s->flight_node, &flying);
	}
}

void unix_rights_land(struct scm_rights *r)
{
	struct unix_sock *s;

	if (r->flights)
		r->flights->count -= r->count;
	flights_leave(r);
	for (unsigned i = 0; i < r->count; i++) {
		s = socket_in(r->files[i]);
		if (s && --s->inflight == 0)
			list_del_init(&s->flight_node);
	}
}

/* ---- garbage ---- */

/* Calls fn for each suspect that lies in s's queue, or in one of those that wait to be accepted by it. */
static void for_each_in_queue(struct unix_sock *s, void (*fn)(struct unix_sock *in, struct list_head *arg), struct list_head *arg)
	REQUIRES(unix_lock)
{
	struct unix_sock *child;
	struct unix_msg *msg;

	list_for_each_entry (msg, &s->queue, node) {
		for (unsigned i = 0; msg->rights && i < msg->rights->count; i++) {
			struct unix_sock *in = socket_in(msg->rights->files[i]);

			if (in && !list_empty(&in->suspect_node))
				fn(in, arg);
		}
	}
	list_for_each_entry (child, &s->embryos, accept_node)
		for_each_in_queue(child, fn, arg);
}

static void count_out(struct unix_sock *in, struct list_head *arg)
{
	(void)arg;
	in->outside--;
}

static void let_live(struct unix_sock *in, struct list_head *live)
{
	if (in->outside == UINT32_MAX)
		return; /* it is on that list already */
	in->outside = UINT32_MAX;
	list_del_init(&in->suspect_node);
	list_add_tail(&in->suspect_node, live);
}

/* Fills `suspects` with what only messages hold. */
static void find_suspects(const struct file *closing, struct list_head *suspects) REQUIRES(unix_lock)
{
	struct unix_sock *s;

	list_for_each_entry (s, &flying, flight_node) {
		if (refcount_read(&s->file->refs) - (s->file == closing) != s->inflight)
			continue;
		s->outside = s->inflight;
		list_add_tail(&s->suspect_node, suspects);
	}
}

/* Leaves on `suspects` those that nothing outside leads to. */
static void spare_the_living(struct list_head *suspects) REQUIRES(unix_lock)
{
	struct list_head live = LIST_HEAD_INIT(live), done = LIST_HEAD_INIT(done);
	struct unix_sock *s, *next;

	list_for_each_entry (s, suspects, suspect_node)
		for_each_in_queue(s, count_out, NULL);
	list_for_each_entry_safe (s, next, suspects, suspect_node)
		if (s->outside)
			let_live(s, &live);
	while (!list_empty(&live)) {
		s = list_first_entry(&live, struct unix_sock, suspect_node);
		for_each_in_queue(s, let_live, &live);
		list_del_init(&s->suspect_node);
		list_add_tail(&s->suspect_node, &done);
	}
	while (!list_empty(&done))
		list_del_init(done.next);
}

/* Moves all messages with files out of s's queue, and of those that wait to be accepted. */
static void empty(struct unix_sock *s, struct list_head *out) REQUIRES(unix_lock)
{
	struct unix_msg *msg, *next;
	struct unix_sock *child;

	list_for_each_entry_safe (msg, next, &s->queue, node) {
		if (!msg->rights)
			continue;
		list_del_init(&msg->node);
		s->queued--;
		unix_rights_land(msg->rights);
		list_add_tail(&msg->node, out);
	}
	list_for_each_entry (child, &s->embryos, accept_node)
		empty(child, out);
}

/* Somebody else has closing open: then it does not become garbage. */
static bool is_last(const struct file *closing) REQUIRES(unix_lock)
{
	const struct unix_sock *s = socket_in(closing);

	return s->inflight && refcount_read(&closing->refs) - 1 == s->inflight;
}

static void collect(const struct file *closing)
{
	struct list_head suspects = LIST_HEAD_INIT(suspects), found = LIST_HEAD_INIT(found);
	struct unix_sock *s;
	struct unix_msg *msg;

	mutex_lock(&unix_lock);
	if (!closing || is_last(closing))
		find_suspects(closing, &suspects);
	if (!list_empty(&suspects))
		spare_the_living(&suspects);
	while (!list_empty(&suspects)) {
		s = list_first_entry(&suspects, struct unix_sock, suspect_node);
		list_del_init(&s->suspect_node);
		empty(s, &found);
	}
	mutex_unlock(&unix_lock);
	while (!list_empty(&found)) {
		msg = list_first_entry(&found, struct unix_msg, node);
		list_del_init(&msg->node);
		unix_msg_free(msg);
	}
}

void unix_collect(const struct file *closing)
{
	static _Thread_local bool active, again;

	again = true;
	if (active)
		return;
	active = true;
	while (again) {
		again = false;
		collect(closing);
	}
	active = false;
}
