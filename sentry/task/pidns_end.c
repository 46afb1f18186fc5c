/* The end of a PID namespace, which is that of its first process: pid_namespaces(7). */
#include "abi/signal.h"
#include "abi/wait.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"

static bool is_other_member(const struct process *p, const struct pid_ns *ns) REQUIRES(tasks_lock)
{
	return p != pid_ns_reaper(ns) && process_nr(p, ns);
}

static int kill_member(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, L_SIGKILL);
	if (is_other_member(p, arg) && !p->zombie)
		(void)!signal_send_process_locked(p, &info); /* never refused */
	return 0;
}

static int find_member(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	return is_other_member(p, arg);
}

static void reap_children(struct task *t)
{
	struct wait_request req = {.type = L_P_ALL, .options = L_WNOHANG | L_WEXITED | L___WALL};
	struct wait_result res;

	while (task_wait(t, &req, &res) == 0 && res.pid)
		;
}

void pid_ns_end(struct task *t)
{
	struct process *p = t->process;
	struct wait_entry e;
	struct pid_ns *ns;

	mutex_lock(&tasks_lock);
	ns = pid_ns_ending(p);
	mutex_unlock(&tasks_lock);
	if (!ns)
		return;
	process_for_each(kill_member, ns);
	/* Those whose parents are outside are theirs to reap, and waited for. */
	wait_entry_init_sleeper(&e, &t->sleeper);
	waitqueue_add(&p->child_wq, &e);
	for (;;) {
		sleeper_arm(&t->sleeper);
		reap_children(t);
		if (!process_for_each(find_member, ns) || sleeper_sleep_uninterruptible(&t->sleeper, NO_DEADLINE) < 0)
			break;
	}
	waitqueue_remove(&e);
}
