/* Making and ending processes, waiting for them, and who they are: clone, exit, wait, getpid, setpgid and kin. */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "abi/signal.h"
#include "abi/wait.h"
#include "base/checked.h"
#include "sentry/signal/signal.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/task/tree.h"
#include "sentry/time/clock.h"

/* ---- clone ---- */

long sys_clone(struct task *t, const struct sys_args *args)
{
	uint64_t flags = args->a[0] & 0xffffffffull;
	struct clone_request req = {
		.flags = flags & ~L_CSIGNAL,
		.exit_signal = (int)(flags & L_CSIGNAL),
		.stack = args->a[1],
		.parent_tid = args->a[2],
		.child_tid = args->a[3],
		.tls = args->a[4],
		.pidfd = args->a[2], /* the same argument: clone(2) cannot have both */
	};

	return task_clone(t, &req); /* unlike clone3(2), a signal that there is not is no error: the parent just hears of none */
}

long sys_fork(struct task *t, const struct sys_args *args)
{
	struct clone_request req = {.exit_signal = L_SIGCHLD};

	return task_clone(t, &req);
}

long sys_vfork(struct task *t, const struct sys_args *args)
{
	struct clone_request req = {.flags = L_CLONE_VFORK | L_CLONE_VM, .exit_signal = L_SIGCHLD};

	return task_clone(t, &req);
}

/* Copies a struct whose size the caller gives, as Linux's copy_struct_from_user: unknown bytes must be 0. */
static int copy_in_sized(struct task *t, void *dst, size_t known, uint64_t gva, uint64_t size)
{
	uint8_t byte;
	int r;

	memset(dst, 0, known);
	r = copy_in(t->ctx, dst, gva, min_of(size, known));
	for (uint64_t i = known; r == 0 && i < size; i++) {
		r = copy_in(t->ctx, &byte, gva + i, 1);
		if (r == 0 && byte)
			r = -E2BIG;
	}
	return r;
}

long sys_clone3(struct task *t, const struct sys_args *args)
{
	struct pid_choice choice = {.cred = t->cred};
	struct clone_request req;
	struct l_clone_args ca;
	uint64_t size = args->a[1];
	int r;

	if (size < L_CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = copy_in_sized(t, &ca, sizeof(ca), args->a[0], size);
	if (r < 0)
		return r;
	if ((ca.flags & (L_CLONE_DETACHED | L_CSIGNAL | ~L_CLONE3_FLAGS)) || ca.exit_signal > L_NSIG)
		return -EINVAL;
	if ((ca.flags & (L_CLONE_THREAD | L_CLONE_PARENT)) && ca.exit_signal)
		return -EINVAL;
	if ((ca.flags & L_CLONE_SIGHAND) && (ca.flags & L_CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((ca.stack == 0) != (ca.stack_size == 0) || ca.stack_size > L_TASK_SIZE || ca.stack > L_TASK_SIZE - ca.stack_size)
		return -EINVAL;
	if ((ca.set_tid == 0) != (ca.set_tid_size == 0) || ca.set_tid_size > PID_NS_DEPTH_MAX)
		return -EINVAL;
	choice.count = (unsigned)ca.set_tid_size;
	r = copy_in(t->ctx, choice.nrs, ca.set_tid, choice.count * sizeof(choice.nrs[0]));
	if (r < 0)
		return r;
	if (ca.flags & L_CLONE_INTO_CGROUP)
		return -EBADF;
	req = (struct clone_request){
		.flags = ca.flags,
		.exit_signal = (int)ca.exit_signal,
		.stack = ca.stack + ca.stack_size,
		.parent_tid = ca.parent_tid,
		.child_tid = ca.child_tid,
		.tls = ca.tls,
		.pidfd = ca.pidfd,
		.choice = choice.count ? &choice : NULL,
	};
	return task_clone(t, &req);
}

long sys_set_tid_address(struct task *t, const struct sys_args *args)
{
	t->clear_child_tid = args->a[0];
	return task_own_nr(t);
}

/* ---- exit ---- */

long sys_exit(struct task *t, const struct sys_args *args)
{
	t->exit_code = L_W_EXITCODE((int)args->a[0], 0);
	t->leaving = true;
	return 0;
}

long sys_exit_group(struct task *t, const struct sys_args *args)
{
	process_group_exit(t, L_W_EXITCODE((int)args->a[0], 0));
	return 0;
}

/* ---- wait ---- */

static void rusage_from_sum(const struct rusage_sum *sum, struct l_rusage *ru)
{
	*ru = (struct l_rusage){
		.ru_utime = ns_to_timeval(sum->utime_ns),
		.ru_stime = ns_to_timeval(sum->stime_ns),
		.ru_maxrss = (int64_t)sum->maxrss_kb,
		.ru_minflt = (int64_t)sum->minflt,
		.ru_majflt = (int64_t)sum->majflt,
		.ru_nvcsw = (int64_t)sum->nvcsw,
		.ru_nivcsw = (int64_t)sum->nivcsw,
	};
}

static int put_rusage(struct task *t, uint64_t gva, const struct rusage_sum *sum)
{
	struct l_rusage ru;

	if (!gva)
		return 0;
	rusage_from_sum(sum, &ru);
	return copy_out(t->ctx, gva, &ru, sizeof(ru));
}

long sys_wait4(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0], options = (int)args->a[2], r;
	struct wait_request req = {.options = options | L_WEXITED};
	struct wait_result res;

	if (options & ~(L_WNOHANG | L_WUNTRACED | L_WCONTINUED | L___WNOTHREAD | L___WALL | (int)L___WCLONE))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid > 0) {
		req.type = L_P_PID;
		req.id = pid_named(t, pid);
	} else if (pid == -1) {
		req.type = L_P_ALL;
	} else {
		req.type = L_P_PGID;
		req.id = pid == 0 ? process_pgid(t->process) : pid_named(t, -pid);
	}
	r = task_wait(t, &req, &res);
	if (r < 0)
		return r;
	if (res.pid == 0)
		return 0;
	if (args->a[1]) {
		int32_t status = res.status;

		r = copy_out(t->ctx, args->a[1], &status, sizeof(status));
		if (r < 0)
			return r;
	}
	r = put_rusage(t, args->a[3], &res.usage);
	return r < 0 ? r : res.nr;
}

/* Of P_PIDFD: the process of descriptor fd.  *out is to be put. */
static int wait_for_pidfd(struct task *t, uint64_t fd, struct wait_request *req, struct file **out)
{
	int r;

	if ((int)fd < 0)
		return -EINVAL;
	r = arg_file(t, fd, out);
	if (r < 0)
		return r;
	if (!pidfd_file_is(*out)) {
		file_put(*out);
		return -EBADF;
	}
	req->process = pidfd_process(*out);
	if (file_nonblock(*out))
		req->options |= L_WNOHANG;
	return 0;
}

/* The six fields that the call is about, and nothing between or behind them; zeros where there is no news. */
static int put_wait_info(struct task *t, uint64_t gva, const struct wait_result *res)
{
	struct l_siginfo info;
	const size_t head = offsetof(struct l_siginfo, si_code) + sizeof(info.si_code), child = offsetof(struct l_siginfo, chld);
	int r;

	memset(&info, 0, sizeof(info));
	if (res->pid) {
		info.si_signo = L_SIGCHLD;
		info.si_code = res->code;
		info.chld.pid = res->nr;
		info.chld.uid = cred_show_uid(t->cred, res->uid);
		if (res->code == L_CLD_EXITED || res->code == L_CLD_STOPPED)
			info.chld.status = l_wexitstatus(res->status);
		else if (res->code == L_CLD_TRAPPED)
			info.chld.status = res->status >> 8; /* the event, too */
		else
			info.chld.status = res->code == L_CLD_CONTINUED ? L_SIGCONT : l_wtermsig(res->status);
	}
	r = copy_out(t->ctx, gva, &info, head);
	if (r == 0)
		r = copy_out(t->ctx, gva + child, (const uint8_t *)&info + child,
			     offsetof(struct l_siginfo, chld.status) + sizeof(info.chld.status) - child);
	return r;
}

static int wait_id(struct task *t, const struct sys_args *args, struct wait_result *res)
{
	int type = (int)args->a[0], options = (int)args->a[3], r;
	struct wait_request req = {.type = type, .id = (int)args->a[1], .options = options};
	struct file *pidfd = NULL;

	if (options & ~(L_WNOHANG | L_WNOWAIT | L_WEXITED | L_WSTOPPED | L_WCONTINUED | L___WNOTHREAD | L___WALL |
			(int)L___WCLONE))
		return -EINVAL;
	if (!(options & (L_WEXITED | L_WSTOPPED | L_WCONTINUED)))
		return -EINVAL;
	if (type != L_P_ALL && type != L_P_PID && type != L_P_PGID && type != L_P_PIDFD)
		return -EINVAL;
	if (type == L_P_PID && req.id <= 0)
		return -EINVAL;
	if (type == L_P_PGID && req.id < 0)
		return -EINVAL;
	if (type == L_P_PGID && req.id == 0)
		req.id = process_pgid(t->process);
	else if (type == L_P_PID || type == L_P_PGID)
		req.id = pid_named(t, req.id);
	if (type == L_P_PIDFD) {
		r = wait_for_pidfd(t, args->a[1], &req, &pidfd);
		if (r < 0)
			return r;
	}
	r = task_wait(t, &req, res);
	if (r == 0 && res->pid == 0 && req.options != options)
		r = -EAGAIN; /* a pidfd that does not block */
	if (pidfd)
		file_put(pidfd);
	if (r == 0 && res->pid)
		r = put_rusage(t, args->a[4], &res->usage);
	return r;
}

/* As Linux: a call that fails clears the siginfo, too, and says so if it cannot. */
long sys_waitid(struct task *t, const struct sys_args *args)
{
	struct wait_result res = {0};
	int r = wait_id(t, args, &res), put;

	if (r < 0)
		res = (struct wait_result){0};
	if (!args->a[2])
		return r;
	put = put_wait_info(t, args->a[2], &res);
	return put < 0 ? put : r;
}

/* ---- identity ---- */

long sys_getpid(struct task *t, const struct sys_args *args)
{
	return process_nr(t->process, task_pid_ns(t));
}

long sys_gettid(struct task *t, const struct sys_args *args)
{
	return task_own_nr(t);
}

long sys_getppid(struct task *t, const struct sys_args *args)
{
	return process_ppid_in(t->process, task_pid_ns(t));
}

static int group_of(struct task *t, struct process *p)
{
	int nr;

	mutex_lock(&tasks_lock);
	nr = pgrp_nr(p, task_pid_ns(t));
	mutex_unlock(&tasks_lock);
	return nr;
}

long sys_getpgrp(struct task *t, const struct sys_args *args)
{
	return group_of(t, t->process);
}

/* pid 0 is the caller; a thread's number does as well as its process's. */
static struct process *process_arg(struct task *t, int pid)
{
	return pid == 0 ? process_get(t->process) : process_of_thread_named(t, pid);
}

long sys_getpgid(struct task *t, const struct sys_args *args)
{
	struct process *p = process_arg(t, (int)args->a[0]);
	long r;

	if (!p)
		return -ESRCH;
	r = group_of(t, p);
	process_put(p);
	return r;
}

long sys_getsid(struct task *t, const struct sys_args *args)
{
	struct process *p = process_arg(t, (int)args->a[0]);
	long r;

	if (!p)
		return -ESRCH;
	mutex_lock(&tasks_lock);
	r = session_nr(p->session, task_pid_ns(t));
	mutex_unlock(&tasks_lock);
	process_put(p);
	return r;
}

long sys_setpgid(struct task *t, const struct sys_args *args)
{
	return process_setpgid(t, (int)args->a[0], (int)args->a[1]);
}

long sys_setsid(struct task *t, const struct sys_args *args)
{
	return process_setsid(t);
}

long sys_vhangup(struct task *t, const struct sys_args *args)
{
	(void)args;
	if (!cred_capable(t->cred, L_CAP_SYS_TTY_CONFIG))
		return -EPERM;
	tty_vhangup_self();
	return 0;
}
