/* See pidns.h. */
#include "sentry/task/pidns.h"

#include <stdio.h>
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/core/userns.h"
#include "sentry/task/internal.h"

#define BUCKETS 64u
#define FIRST_AGAIN 300 /* where numbers go on when they have reached the end: low ones stay with the first processes  \
			 */

struct pid_ns {
	struct ns ns;
	struct pid_ns *parent; /* counted; NULL: the first; immutable */
	unsigned level;	       /* immutable */
	/* Guarded by tasks_lock. */
	struct pid_number *buckets[BUCKETS]; /* by nr */
	int last_nr;
	int tasks;		/* in it, and below */
	struct process *reaper; /* its first process, until that is reaped; borrowed */
	bool begun, ending;
};

static struct pid_ns first = {.ns = {.refs = {1}, .kind = NS_PID, .ino = 4026531836, .owner = &user_ns_first}};

struct ns *pid_ns_first(void)
{
	return &first.ns;
}

struct pid_ns *pid_ns_of(struct ns *ns)
{
	return container_of(ns, struct pid_ns, ns);
}

struct ns *pid_ns_common(struct pid_ns *ns)
{
	return ns ? &ns->ns : &first.ns;
}

struct ns *pid_ns_parent(struct ns *ns)
{
	struct pid_ns *parent = pid_ns_of(ns)->parent;

	return parent ? &parent->ns : NULL;
}

static void pid_ns_free(struct ns *ns)
{
	struct pid_ns *n = pid_ns_of(ns);

	ns_put(&n->parent->ns);
	free(n);
}

int pid_ns_new(struct ns *parent, struct user_ns *owner, struct ns **out)
{
	struct pid_ns *up = pid_ns_of(parent), *n;
	int r;

	if (!user_ns_within(owner, parent->owner))
		return -EINVAL;
	if (up->level >= PID_NS_DEPTH_MAX)
		return -ENOSPC;
	n = calloc(1, sizeof(*n));
	r = ns_init(n, NS_PID, owner, pid_ns_free);
	if (r < 0)
		return r;
	n->parent = pid_ns_of(ns_get(parent));
	n->level = up->level + 1;
	*out = &n->ns;
	return 0;
}

bool pid_ns_within(struct ns *ns, struct ns *of)
{
	struct pid_ns *n = pid_ns_of(ns), *o = pid_ns_of(of);

	while (n->level > o->level)
		n = n->parent;
	return n == o;
}

bool pid_ns_has_begun(struct ns *ns)
{
	bool begun;

	mutex_lock(&tasks_lock);
	begun = ns == &first.ns || pid_ns_of(ns)->reaper;
	mutex_unlock(&tasks_lock);
	return begun;
}

static struct pid_ns *lowest(const struct pid *pid)
{
	return pid ? pid->at[pid->levels - 1].ns : &first;
}

struct pid_ns *task_pid_ns(const struct task *t)
{
	return lowest(t->numbers);
}

struct pid_ns *process_pid_ns(const struct process *p)
{
	return lowest(p->numbers);
}

/* ---- to numbers ---- */

int pid_nr(const struct pid *pid, int global, const struct pid_ns *ns)
{
	if (!ns || ns->level == 0)
		return global;
	if (!pid || pid->levels < ns->level || pid->at[ns->level - 1].ns != ns)
		return 0;
	return pid->at[ns->level - 1].nr;
}

int task_nr(const struct task *t, const struct pid_ns *ns)
{
	return pid_nr(t->numbers, t->tid, ns);
}

int process_nr(const struct process *p, const struct pid_ns *ns)
{
	return pid_nr(p->numbers, p->pid, ns);
}

int pgrp_nr(const struct process *p, const struct pid_ns *ns)
{
	return pid_nr(p->pgrp_numbers, p->pgid, ns);
}

int session_nr(const struct session *s, const struct pid_ns *ns)
{
	return pid_nr(s->numbers, s->sid, ns);
}

int global_nr_locked(int global, const struct pid_ns *ns)
{
	const struct task *t;

	if (!ns || ns->level == 0)
		return global;
	t = tid_lookup_locked(global);
	return t ? task_nr(t, ns) : 0;
}

int global_nr(int global, const struct pid_ns *ns)
{
	int nr;

	if (!ns || ns->level == 0)
		return global;
	mutex_lock(&tasks_lock);
	nr = global_nr_locked(global, ns);
	mutex_unlock(&tasks_lock);
	return nr;
}

struct pgrp_search {
	int pgid;
	const struct pid_ns *ns;
};

static int match_pgrp(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	const struct pgrp_search *s = arg;

	return p->pgid == s->pgid ? pgrp_nr(p, s->ns) : 0;
}

int pgrp_global_nr(int pgid, const struct pid_ns *ns)
{
	struct pgrp_search s = {pgid, ns};

	return !ns || ns->level == 0 ? pgid : process_for_each(match_pgrp, &s);
}

void pid_text(const struct pid *pid, int global, const struct pid_ns *ns, char out[PID_TEXT_MAX])
{
	int n = snprintf(out, PID_TEXT_MAX, "%d", pid_nr(pid, global, ns));

	if (!pid_nr(pid, global, ns))
		return;
	for (unsigned level = ns ? ns->level : 0; pid && level < pid->levels; level++)
		n += snprintf(out + n, (size_t)(PID_TEXT_MAX - n), "\t%d", pid->at[level].nr);
}

int task_own_nr(const struct task *t)
{
	return task_nr(t, task_pid_ns(t));
}

/* ---- from numbers ---- */

static struct pid_number *find(const struct pid_ns *ns, int nr) REQUIRES(tasks_lock)
{
	struct pid_number *n = ns->buckets[(unsigned)nr % BUCKETS];

	while (n && n->nr != nr)
		n = n->next;
	return n;
}

/* A group or session whose leader is gone; -1: there is none. */
static int named_group(struct pid_ns *ns, int nr) REQUIRES(tasks_lock)
{
	for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
		const struct process *p = tid_lookup_locked(pid)->process;

		if (p->pid != pid || !p->session)
			continue;
		if (pgrp_nr(p, ns) == nr)
			return p->pgid;
		if (session_nr(p->session, ns) == nr)
			return p->session->sid;
	}
	return -1;
}

static int named_locked(struct pid_ns *ns, int nr) REQUIRES(tasks_lock)
{
	const struct pid_number *n;

	if (ns->level == 0 || nr <= 0)
		return nr;
	n = find(ns, nr);
	return n ? n->pid->global : named_group(ns, nr);
}

int pid_named_locked(const struct task *t, int nr)
{
	return named_locked(task_pid_ns(t), nr);
}

int pid_named_in(struct pid_ns *ns, int nr)
{
	int global;

	if (ns->level == 0 || nr <= 0)
		return nr;
	mutex_lock(&tasks_lock);
	global = named_locked(ns, nr);
	mutex_unlock(&tasks_lock);
	return global;
}

int pid_named(const struct task *t, int nr)
{
	return pid_named_in(task_pid_ns(t), nr);
}

/* The numbers of what has ended may be in use as a group's yet, and the sentry's own be another's by now. */
struct task *task_named(const struct task *t, int nr)
{
	struct task *found = task_find(pid_named(t, nr));

	if (found && task_nr(found, task_pid_ns(t)) == nr)
		return found;
	task_put(found);
	return NULL;
}

struct process *process_of_thread_named(const struct task *t, int nr)
{
	struct task *found = task_named(t, nr);
	struct process *p = found ? process_get(found->process) : NULL;

	task_put(found);
	return p;
}

struct process *process_named(const struct task *t, int nr)
{
	struct process *p = process_of_thread_named(t, nr);

	if (!p || process_nr(p, task_pid_ns(t)) == nr)
		return p;
	process_put(p);
	return NULL;
}

struct next_search {
	const struct pid_ns *ns;
	int from, found;
};

static int match_next(struct process *p, void *arg)
{
	struct next_search *s = arg;
	int nr = process_nr(p, s->ns);

	if (nr >= s->from && nr > 0 && (s->found < 0 || nr < s->found))
		s->found = nr;
	return 0;
}

int process_next_nr(struct pid_ns *ns, int from)
{
	struct next_search s = {ns, from, -1};

	if (ns->level == 0)
		return process_next_pid(from);
	process_for_each(match_next, &s);
	return s.found;
}

int thread_next_nr(const struct process *p, struct pid_ns *ns, int from)
{
	struct task *t;
	int found = -1;

	mutex_lock(&tasks_lock);
	list_for_each_entry (t, &p->threads, thread_node) {
		int nr = task_nr(t, ns);

		if (nr >= from && nr > 0 && (found < 0 || nr < found))
			found = nr;
	}
	mutex_unlock(&tasks_lock);
	return found;
}

int pid_ns_last(const struct task *t)
{
	struct pid_ns *ns = task_pid_ns(t);
	int last;

	if (ns->level == 0)
		return tid_last();
	mutex_lock(&tasks_lock);
	last = ns->last_nr;
	mutex_unlock(&tasks_lock);
	return last;
}

void pid_ns_set_last(const struct task *t, int nr)
{
	struct pid_ns *ns = task_pid_ns(t);

	if (ns->level == 0) {
		tid_set_last(nr);
		return;
	}
	mutex_lock(&tasks_lock);
	ns->last_nr = nr;
	mutex_unlock(&tasks_lock);
}

/* ---- numbers' life ---- */

struct pid *pid_get(struct pid *pid)
{
	if (pid)
		refcount_inc(&pid->refs);
	return pid;
}

void pid_put(struct pid *pid)
{
	if (!pid || !refcount_dec(&pid->refs))
		return;
	for (unsigned i = 0; i < pid->levels; i++)
		ns_put(&pid->at[i].ns->ns);
	free(pid);
}

static int next_number(struct pid_ns *ns) REQUIRES(tasks_lock)
{
	for (int tried = 1; tried < PID_MAX; tried++) {
		if (++ns->last_nr >= PID_MAX)
			ns->last_nr = FIRST_AGAIN;
		if (!find(ns, ns->last_nr))
			return ns->last_nr;
	}
	return -EAGAIN;
}

/* What choice asks for in ns, which is the one meant or the depth-th above; 0: nothing.  -EINVAL, -EPERM. */
static int chosen(const struct pid_choice *choice, unsigned depth, const struct pid_ns *ns) REQUIRES(tasks_lock)
{
	int nr;

	if (!choice || depth >= choice->count)
		return 0;
	nr = choice->nrs[depth];
	if (nr < 1 || nr >= PID_MAX || (nr != 1 && ns->level && !ns->reaper))
		return -EINVAL;
	return cred_ns_capable(choice->cred, ns->ns.owner, L_CAP_CHECKPOINT_RESTORE) ||
			       cred_ns_capable(choice->cred, ns->ns.owner, L_CAP_SYS_ADMIN)
		       ? nr
		       : -EPERM;
}

int pid_chosen_global(const struct pid_choice *choice, struct ns *ns)
{
	unsigned level = pid_ns_of(ns)->level;

	return choice && choice->count > level + 1 ? -EINVAL : chosen(choice, level, &first);
}

static int number_for(struct pid_ns *ns, int wanted) REQUIRES(tasks_lock)
{
	if (wanted < 0 || ns->ending || (ns->begun && !ns->reaper))
		return wanted < 0 ? wanted : -ENOMEM;
	if (!wanted)
		return next_number(ns);
	return find(ns, wanted) ? -EEXIST : wanted;
}

static void unhash(struct pid_number *n) REQUIRES(tasks_lock)
{
	struct pid_number **at = &n->ns->buckets[(unsigned)n->nr % BUCKETS];

	while (*at && *at != n)
		at = &(*at)->next;
	if (*at)
		*at = n->next;
}

static int give_number(struct pid *pid, unsigned level, struct pid_ns *ns, int wanted) REQUIRES(tasks_lock)
{
	struct pid_number *n = &pid->at[level - 1];
	int nr = number_for(ns, wanted);

	if (nr < 0)
		return nr;
	*n = (struct pid_number){pid_ns_of(ns_get(&ns->ns)), nr, ns->buckets[(unsigned)nr % BUCKETS], pid};
	ns->buckets[(unsigned)nr % BUCKETS] = n;
	ns->tasks++;
	return 0;
}

int pid_alloc(struct task *t, struct ns *common, const struct pid_choice *choice, struct pid **out)
{
	struct pid_ns *ns = pid_ns_of(common);
	struct pid *pid;
	int r = 0;

	*out = NULL;
	if (ns->level == 0)
		return 0;
	pid = calloc(1, sizeof(*pid) + ns->level * sizeof(pid->at[0]));
	if (!pid)
		return -ENOMEM;
	refcount_init(&pid->refs, 1);
	pid->global = t->tid;
	pid->levels = ns->level;
	for (; r == 0 && ns->level; ns = ns->parent)
		r = give_number(pid, ns->level, ns, chosen(choice, pid->levels - ns->level, ns));
	if (r == 0) {
		*out = pid;
		return 0;
	}
	for (unsigned i = 0; i < pid->levels; i++) {
		if (!pid->at[i].ns)
			continue;
		unhash(&pid->at[i]);
		pid->at[i].ns->tasks--;
		ns_put(&pid->at[i].ns->ns);
	}
	free(pid);
	return r;
}

/* A number goes with its task; a group or session that it named is found without it (named_group). */
void pid_released(struct task *t)
{
	struct pid *pid = t->numbers;

	for (unsigned i = 0; pid && i < pid->levels; i++) {
		struct pid_ns *ns = pid->at[i].ns;

		unhash(&pid->at[i]);
		ns->tasks--;
		if (ns->reaper == t->process && t->tid == t->process->pid)
			ns->reaper = NULL;
		else if (ns->reaper && ns->ending)
			waitqueue_wake(&ns->reaper->child_wq, 0);
	}
}

/* ---- the first process of a namespace ---- */

#define FIRST_NR 1

void pid_ns_begin(struct process *p)
{
	struct pid_ns *ns = process_pid_ns(p);

	if (ns->level == 0 || process_nr(p, ns) != FIRST_NR)
		return;
	ns->reaper = p;
	ns->begun = true;
	p->unkillable = true;
}

struct process *pid_ns_reaper(const struct pid_ns *ns)
{
	return ns->reaper;
}

struct pid_ns *pid_ns_ending(const struct process *p)
{
	struct pid_ns *ns = process_pid_ns(p);

	if (ns->level == 0 || ns->reaper != p)
		return NULL;
	ns->ending = true;
	return ns;
}
