/* Filters: adding them, and what they make of a call.  See seccomp.h. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/log.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/seccomp/bpf.h"
#include "sentry/seccomp/internal.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"

#define CHAIN_MAX 32768u /* instructions of all of a task's filters, and some for each filter */
#define FILTER_OVERHEAD 4u
#define ERRNO_MAX 4095u

#define NR_read 0
#define NR_write 1
#define NR_rt_sigreturn 15
#define NR_exit 60

/* ---- setting ---- */

int seccomp_set_strict(struct task *t)
{
	int r = 0;

	mutex_lock(&t->alloc_lock);
	if (t->seccomp_mode == L_SECCOMP_MODE_FILTER)
		r = -EINVAL;
	else
		t->seccomp_mode = L_SECCOMP_MODE_STRICT;
	mutex_unlock(&t->alloc_lock);
	if (r == 0) {
		atomic_fetch_or(&t->syscall_work, WORK_SECCOMP);
		atomic_store(&t->answers_stale, true);
	}
	return r;
}

/* The first other thread that has gone another way, or 0. */
static int unsynchronisable_thread(struct task *t) REQUIRES(tasks_lock)
{
	struct task *o;

	list_for_each_entry (o, &t->process->threads, thread_node) {
		if (o == t || o->leaving || o->seccomp_mode == L_SECCOMP_MODE_DISABLED)
			continue;
		if (o->seccomp_mode != L_SECCOMP_MODE_FILTER || !seccomp_is_ancestor(o->seccomp, t->seccomp))
			return task_own_nr(o);
	}
	return 0;
}

/* Its next call is to be judged, even one that the platform answers by itself. */
static void take_out_of_guest(struct task *o) REQUIRES(tasks_lock)
{
	mutex_lock(&o->process->sig_lock);
	if (o->ctx && o->ctx_running)
		pctx_interrupt(o->ctx);
	mutex_unlock(&o->process->sig_lock);
}

/* Makes f, whose prev is not set yet, t's newest, and its process's other threads' too if it is so asked.  Consumes f.
 */
static long attach(struct task *t, struct seccomp_filter *f, uint32_t flags)
{
	struct task *o;
	int stuck = 0;

	mutex_lock(&tasks_lock);
	if (flags & L_SECCOMP_FILTER_FLAG_TSYNC)
		stuck = unsynchronisable_thread(t);
	if (stuck) {
		mutex_unlock(&tasks_lock);
		seccomp_filter_put(f);
		return flags & L_SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : stuck;
	}
	f->prev = seccomp_filter_of(t);
	seccomp_filter_set(t, f);
	list_for_each_entry (o, &t->process->threads, thread_node) {
		if (!(flags & L_SECCOMP_FILTER_FLAG_TSYNC) || o == t || o->leaving)
			continue;
		seccomp_filter_set(o, seccomp_filter_get(f));
		take_out_of_guest(o);
		if (t->cred->no_new_privs)
			o->no_new_privs_due = true;
	}
	mutex_unlock(&tasks_lock);
	return 0;
}

long seccomp_add_filter(struct task *t, const struct l_sock_filter *insns, size_t count, uint32_t flags)
{
	struct seccomp_filter *f;
	size_t total = count;

	if (t->seccomp_mode == L_SECCOMP_MODE_STRICT || !bpf_check(insns, count))
		return -EINVAL;
	f = seccomp_filter_of(t);
	for (const struct seccomp_filter *o = f; o; o = o->prev)
		total += o->count + FILTER_OVERHEAD;
	seccomp_filter_put(f);
	if (total > CHAIN_MAX)
		return -ENOMEM;
	f = malloc(sizeof(*f) + count * sizeof(*insns));
	if (!f)
		return -ENOMEM;
	refcount_init(&f->refs, 1);
	f->prev = NULL;
	f->flags = flags & L_SECCOMP_FILTER_FLAG_LOG;
	f->count = count;
	memcpy(f->insns, insns, count * sizeof(*insns));
	return attach(t, f, flags);
}

bool seccomp_action_known(uint32_t action)
{
	switch (action) {
	case L_SECCOMP_RET_KILL_PROCESS:
	case L_SECCOMP_RET_KILL_THREAD:
	case L_SECCOMP_RET_TRAP:
	case L_SECCOMP_RET_ERRNO:
	case L_SECCOMP_RET_TRACE:
	case L_SECCOMP_RET_LOG:
	case L_SECCOMP_RET_ALLOW:
		return true;
	default:
		return false;
	}
}

static long copy_of(const struct seccomp_filter *f, struct l_sock_filter **out, uint64_t *flags)
{
	struct l_sock_filter *copy = malloc(f->count * sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	memcpy(copy, f->insns, f->count * sizeof(*copy));
	*flags = f->flags;
	*out = copy;
	return (long)f->count;
}

long seccomp_copy_filter(struct task *t, uint64_t index, struct l_sock_filter **out, uint64_t *flags)
{
	struct seccomp_filter *chain = seccomp_filter_of(t), *f;
	uint64_t count = 0;
	long r;

	if (!chain)
		return -EINVAL;
	for (f = chain; f; f = f->prev)
		count++;
	for (f = chain; index < count && f->prev && count - 1 > index; f = f->prev)
		count--;
	r = index < count ? copy_of(f, out, flags) : -ENOENT;
	seccomp_filter_put(chain);
	return r;
}

/* ---- judging a call ---- */

/* The most restrictive answer of all filters; of equals the newest's. */
static uint32_t run_chain(const struct seccomp_filter *f, const struct l_seccomp_data *data)
{
	uint32_t best = L_SECCOMP_RET_ALLOW;

	for (; f; f = f->prev) {
		uint32_t r = bpf_run(f->insns, data);

		/* As signed numbers actions are in the order of their strictness. */
		if ((int32_t)(r & L_SECCOMP_RET_ACTION_FULL) < (int32_t)(best & L_SECCOMP_RET_ACTION_FULL))
			best = r;
	}
	return best;
}

static uint32_t judge(struct task *t, uint32_t arch, uint64_t ip, const struct sys_args *args)
{
	struct seccomp_filter *f = seccomp_filter_of(t);
	struct l_seccomp_data data = {.nr = (int32_t)args->nr, .arch = arch, .instruction_pointer = ip};
	uint32_t answer;

	memcpy(data.args, args->a, sizeof(data.args));
	answer = run_chain(f, &data);
	seccomp_filter_put(f);
	return answer;
}

/* t alone ends, as by sig. */
static void end_thread(struct task *t, int sig)
{
	t->exit_code = sig;
	t->leaving = true;
}

static void send_sigsys(struct task *t, uint32_t arch, uint64_t ip, const struct sys_args *args, int err)
{
	struct l_siginfo info;

	memset(&info, 0, sizeof(info));
	info.si_signo = L_SIGSYS;
	info.si_code = L_SYS_SECCOMP;
	info.si_errno = err;
	info.sys.call_addr = ip;
	info.sys.nr = (int32_t)args->nr;
	info.sys.arch = arch;
	signal_force(t, &info);
	/* The handler finds the number where the call had it. */
	t->in_syscall = false;
	pctx_set_result(t->ctx, (long)args->nr);
}

/* Whether t is the only thread that its process has left. */
static bool is_last(struct task *t)
{
	bool last;

	mutex_lock(&tasks_lock);
	last = t->process->live_count == 1;
	mutex_unlock(&tasks_lock);
	return last;
}

static void kill_for(struct task *t, uint32_t action)
{
	if (action == L_SECCOMP_RET_KILL_THREAD && !is_last(t))
		end_thread(t, L_SIGSYS);
	else
		signal_die(t, L_SIGSYS);
}

/* The tracer may change the call; what it has become is judged once more. */
static bool ask_tracer(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args, uint32_t data);

/* traced: the tracer has agreed already. */
static bool act(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args, bool traced)
{
	uint32_t answer = judge(t, arch, ip, args), data = answer & L_SECCOMP_RET_DATA;

	t->result = -ENOSYS;
	switch (answer & L_SECCOMP_RET_ACTION_FULL) {
	case L_SECCOMP_RET_ALLOW:
		return true;
	case L_SECCOMP_RET_LOG:
		log_info("seccomp: task %d makes call %d", t->tid, (int)args->nr);
		return true;
	case L_SECCOMP_RET_ERRNO:
		t->result = -(long)min_of(data, ERRNO_MAX);
		return false;
	case L_SECCOMP_RET_TRAP:
		send_sigsys(t, arch, ip, args, (int)data);
		return false;
	case L_SECCOMP_RET_TRACE:
		return traced || ask_tracer(t, arch, ip, args, data);
	case L_SECCOMP_RET_USER_NOTIF:
		return false; /* nobody listens: ENOSYS */
	case L_SECCOMP_RET_KILL_THREAD:
		kill_for(t, L_SECCOMP_RET_KILL_THREAD);
		return false;
	default:
		kill_for(t, L_SECCOMP_RET_KILL_PROCESS);
		return false;
	}
}

static bool ask_tracer(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args, uint32_t data)
{
	return trace_seccomp(t, args, data) && act(t, arch, ip, args, true);
}

/* read, write, exit and rt_sigreturn. */
static bool allowed_in_strict_mode(uint32_t arch, uint64_t nr)
{
	return arch == L_AUDIT_ARCH_X86_64 &&
	       (nr == NR_read || nr == NR_write || nr == NR_exit || nr == NR_rt_sigreturn);
}

/* What another thread's TSYNC has brought along. */
static void take_no_new_privs(struct task *t)
{
	struct cred *c;

	if (!t->no_new_privs_due)
		return;
	c = cred_copy(t->cred, t->cred->group_count);
	if (!c)
		return; /* the next time */
	c->no_new_privs = true;
	t->no_new_privs_due = false;
	task_set_cred(t, c);
}

bool seccomp_check(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args)
{
	take_no_new_privs(t);
	if (trace_suspends_seccomp(t))
		return true;
	if (t->seccomp_mode == L_SECCOMP_MODE_FILTER)
		return act(t, arch, ip, args, false);
	if (allowed_in_strict_mode(arch, args->nr))
		return true;
	t->result = -ENOSYS;
	end_thread(t, L_SIGKILL);
	return false;
}
