/*
 * The sandbox's first processes.  Pid 1 is the sentry's own init: a process without guest code, whose one task is the
 * thread that called sandbox_run.  It starts CMD as pid 2, reaps whatever is reparented to it, and when CMD has ended
 * kills what is left and goes.
 *
 * Without it (boot_args.without_init) CMD is pid 1, the leader of its session and whoever orphans go to; the sentry's
 * init is still CMD's parent, but outside the table of tasks and of every session, so that the guest sees it as parent
 * 0 alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/resource.h"
#include "abi/wait.h"
#include "host/process.h"
#include "host/signals.h"
#include "loader/loader.h"
#include "sentry/entry/entry.h"
#include "sentry/entry/strace.h"
#include "sentry/mm/mm.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/vfs/fasync.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static struct platform *platform; /* set once, before the first guest task */
static _Atomic bool has_begun;

struct platform *sandbox_platform(void)
{
	return platform;
}

bool sandbox_has_begun(void)
{
	return has_begun;
}

/* ---- init itself ---- */

/* Enters p, whose only task is t, as the leader of a process group of its own in session s, or NULL for a new one. */
static int enter_tree(struct process *p, struct task *t, struct session *s)
{
	int r;

	mutex_lock(&tasks_lock);
	r = tid_assign(t);
	if (r == 0) {
		p->pid = p->pgid = t->tid;
		list_add_tail(&t->thread_node, &p->threads);
		p->thread_count = p->live_count = 1;
		if (s)
			refcount_inc(&s->refs);
		else
			s = session_new(t->tid);
		p->session = s;
	}
	mutex_unlock(&tasks_lock);
	return r == 0 && !s ? -ENOMEM : r;
}

/* The limits a guest begins with are those the caller has; sandbox-wide limits are the sentry's affair. */
static void initial_limits(struct process *p)
{
	for (unsigned i = 0; i < L_RLIM_NLIMITS; i++) {
		p->rlimits[i] = (struct l_rlimit64){L_RLIM_INFINITY, L_RLIM_INFINITY};
		if (host_getrlimit(i, &p->rlimits[i].rlim_cur, &p->rlimits[i].rlim_max) < 0)
			log_debug("host has no limit %u", i);
	}
}

/* Where nobody finds p, whose only task is t. */
static void enter_hidden(struct process *p, struct task *t)
{
	mutex_lock(&tasks_lock);
	list_add_tail(&t->thread_node, &p->threads);
	p->thread_count = p->live_count = 1;
	mutex_unlock(&tasks_lock);
}

static int make_init(const struct boot_args *args, struct task **out)
{
	struct process *p = process_new();
	struct task *t = p ? task_new(p) : NULL;
	int r = 0;

	if (p)
		process_put(p); /* the task holds it */
	if (!t)
		return -ENOMEM;
	t->sighand = sighand_new();
	t->cred = cred_new(0, 0, NULL, 0); /* whoever runs CMD: pid 1 is out of CMD's reach */
	if (!t->sighand || !t->cred) {
		task_put(t);
		return -ENOMEM;
	}
	snprintf(t->comm, sizeof(t->comm), "bailey-init");
	t->state = 'S';
	initial_limits(p);
	p->is_sentry = true;
	if (args->without_init)
		enter_hidden(p, t);
	else
		r = enter_tree(p, t, NULL);
	if (r < 0) {
		task_put(t);
		return r;
	}
	init_process = p;
	task_set_current(t);
	*out = t;
	return 0;
}

/* ---- CMD ---- */

/* True if f is a terminal, which then controls CMD's session. */
static bool take_if_terminal(struct process *p, struct file *f)
{
	struct tty *tty = f ? tty_of_file(f) : NULL;

	if (!tty)
		return false;
	if (tty_associate(tty, p->session, p->pgid) < 0)
		log_debug("the terminal belongs to a session already");
	tty_put(tty);
	return true;
}

/* The first terminal among CMD's standard files becomes its controlling terminal, as it is the caller's; else the one
 * that is the caller's and that CMD reaches by /dev/tty alone. */
static void take_terminal(struct process *p, const struct boot_args *args)
{
	bool taken = false;

	for (int fd = 0; fd < 3 && !taken; fd++)
		taken = take_if_terminal(p, args->std[fd]);
	if (!taken)
		take_if_terminal(p, args->terminal);
	file_put(args->terminal);
}

/* nohup(1) and a shell that starts a background job without job control rely on what execve(2) leaves as it was. */
static void inherit_signals(struct task *t)
{
	for (int n = 1; n <= L_NSIG; n++)
		if (host_signals_ignored() & sig_bit(n))
			t->sighand->action[n - 1].handler = L_SIG_IGN;
	t->blocked = host_signals_blocked() & ~SIG_UNBLOCKABLE;
}

/* What CMD's thread starts with, and where it says how its execve went. */
struct command {
	struct task *task;
	const struct boot_args *args;
	struct waitqueue started;
	_Atomic bool done;
	int error;
};

static const char *env_path(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return DEFAULT_PATH;
}

static int add_all(struct strings *out, char *const *v, uint64_t *budget)
{
	for (; *v; v++) {
		int r = strings_add(out, *v, strlen(*v), budget);

		if (r < 0)
			return r;
	}
	return 0;
}

static int exec_at(struct task *t, const char *path, const struct boot_args *args)
{
	struct strings argv = {0}, envp = {0};
	struct exec_request req = {
		.dirfd = L_AT_FDCWD,
		.path = path,
		.argv = &argv,
		.envp = &envp,
		.budget = stack_args_limit(process_rlimit(t->process, L_RLIMIT_STACK)),
	};
	int r = add_all(&argv, args->argv, &req.budget);

	if (r == 0)
		r = add_all(&envp, args->envp, &req.budget);
	if (r == 0)
		r = (int)task_exec(t, &req);
	strings_free(&argv);
	strings_free(&envp);
	if (strace_on && r != -ENOENT) /* nor does strace say where along PATH there is nothing */
		strace_first_exec(t, path, args->argv, args->envp, r);
	return r;
}

/* As execvp(3): a name without a slash is looked for along PATH; EACCES is told only if nothing else was found. */
static int exec_along_path(struct task *t, const struct boot_args *args)
{
	const char *name = args->argv[0], *dir = env_path(args->envp);
	int worst = -ENOENT;

	if (strchr(name, '/') || !name[0])
		return exec_at(t, name, args);
	for (;;) {
		size_t len = strcspn(dir, ":");
		char *path;
		int r;

		if (asprintf(&path, "%.*s%s%s", (int)len, dir, len ? "/" : "", name) < 0)
			return -ENOMEM;
		r = exec_at(t, path, args);
		free(path);
		if (r == -EACCES)
			worst = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
		if (!dir[len])
			return worst;
		dir += len + 1;
	}
}

static int install_std_files(struct task *t, const struct boot_args *args)
{
	for (int fd = 0; fd < 3; fd++) {
		int r;

		if (!args->std[fd])
			continue;
		r = fd_install(t->files, args->std[fd], fd, fd + 1, false);
		if (r < 0)
			return r;
	}
	return 0;
}

static void *command_main(void *arg)
{
	struct command *c = arg;
	struct task *t = c->task;
	int r;

	task_set_current(t);
	r = exec_along_path(t, c->args);
	c->error = r;
	if (r < 0)
		t->exit_code = L_W_EXITCODE(127, 0);
	c->done = true;
	waitqueue_wake(&c->started, 0);
	/* c is gone from here on: sandbox_run may go ahead */
	if (r == 0)
		task_run(t);
	task_exit(t, t->exit_code);
	task_set_current(NULL);
	task_put(t);
	return NULL;
}

static int enter_directory(struct task *t, const struct lookup *l, const char *name)
{
	struct path dir, old;
	int r = vfs_resolve(l, L_AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, 0, &dir);

	if (r < 0)
		return r;
	mutex_lock(&t->fs->lock);
	old = t->fs->cwd;
	t->fs->cwd = dir;
	mutex_unlock(&t->fs->lock);
	path_put(&old);
	return 0;
}

static int make_command(struct task *init, const struct boot_args *args, struct task **out)
{
	struct process *p = process_new();
	struct task *t = p ? task_new(p) : NULL;
	struct lookup l;
	int r = -ENOMEM;

	if (p)
		process_put(p);
	if (!t)
		return -ENOMEM;
	t->sighand = sighand_new();
	t->files = fdtable_new();
	t->fs = fs_info_new(&args->root);
	t->cred = cred_get(args->cred);
	if (!t->sighand || !t->files || !t->fs)
		goto out_put;
	inherit_signals(t);
	if (args->without_init) {
		p->unkillable = true;
		command_as_init = process_get(p);
	}
	memcpy(p->rlimits, init->process->rlimits, sizeof(p->rlimits));
	r = install_std_files(t, args);
	if (r < 0)
		goto out_put;
	l = task_lookup(t);
	r = enter_directory(t, &l, args->cwd);
	if (r < 0)
		goto out_put;
	r = enter_tree(p, t, init->process->session);
	if (r < 0)
		goto out_put;
	has_begun = true;
	mutex_lock(&tasks_lock);
	p->parent = init->process;
	p->is_command = true;
	p->started_by_init = !args->without_init;
	list_add_tail(&p->sibling, &init->process->children);
	mutex_unlock(&tasks_lock);
	take_terminal(p, args);
	*out = t;
	return 0;

out_put:
	task_put(t);
	return r;
}

static int kill_other(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, L_SIGKILL);
	return p == arg || p->zombie ? 0 : signal_send_process_locked(p, &info);
}

/*
 * Reaps until the process `until` has ended (or, 0, all children have); its status in *status.  When that process
 * stops, so does the caller's job.
 */
static void reap(struct task *init, int until, int *status)
{
	struct wait_request req = {.type = L_P_ALL, .options = L_WEXITED | L_WSTOPPED | L_WCONTINUED | L___WALL};
	struct wait_result res;
	int r;

	for (;;) {
		r = task_wait(init, &req, &res);
		if (r == -ECHILD)
			return;
		if (r < 0 || res.pid != until)
			continue;
		if (res.code == L_CLD_STOPPED) {
			host_signals_command_stopped(l_wexitstatus(res.status));
		} else if (res.code == L_CLD_CONTINUED) {
			host_signals_command_resumed();
		} else {
			*status = res.status;
			return;
		}
	}
}

/* ---- stubs that die under their guests ---- */

/* Kills p if its stub is gone: its threads may all be asleep in the sentry and would not notice. */
static int kill_if_stub_died(struct process *p, void *arg) NO_LOCK_ANALYSIS /* process_for_each holds tasks_lock */
{
	struct l_siginfo info;
	struct task *t;
	bool dead;

	if (p->zombie || list_empty(&p->threads))
		return 0;
	t = list_first_entry(&p->threads, struct task, thread_node);
	mutex_lock(&t->alloc_lock);
	dead = t->mm && pas_is_dead(t->mm->as);
	mutex_unlock(&t->alloc_lock);
	if (!dead)
		return 0;
	signal_fill_kernel(&info, L_SIGKILL);
	return signal_send_process_locked(p, &info);
}

/* For the life of the sandbox. */
static void *watch_stubs(void *arg)
{
	uint32_t seen = 0;

	for (;;) {
		seen = platform_wait_deaths(seen);
		if (process_for_each(kill_if_stub_died, NULL) < 0)
			log_debug("a process whose stub died could not be signalled");
	}
	return NULL;
}

int sandbox_run(struct boot_args *args, int *status_out, bool *exec_failed)
{
	struct command c = {.args = args};
	struct task *init, *cmd;
	int r, pid;

	*exec_failed = false;
	platform = args->pf;
	file_owner_signal = signal_file_owner;
	r = make_init(args, &init);
	if (r < 0)
		return r;
	r = make_command(init, args, &cmd);
	if (r < 0)
		return r;
	r = sentry_thread_start(watch_stubs, NULL);
	if (r < 0)
		return r;
	pid = cmd->tid;
	c.task = cmd;
	waitqueue_init(&c.started);
	r = sentry_thread_start(command_main, &c);
	if (r < 0)
		return r;
	r = wait_event(&c.started, c.done);
	ASSERT(r == 0); /* nobody sends init a signal */
	r = c.error;
	*exec_failed = r < 0;
	reap(init, pid, status_out);
	if (process_for_each(kill_other, init_process) < 0)
		log_debug("not every process could be signalled");
	reap(init, 0, status_out);
	return r;
}
