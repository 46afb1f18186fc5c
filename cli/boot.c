/* From options to a running sandbox, in the order that boot.h gives.  The guest's root is boot_root.c. */
#include "cli/boot.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/wait.h"
#include "base/log.h"
#include "cli/boot_platform.h"
#include "cli/boot_root.h"
#include "cli/cmd.h"
#include "cli/options.h"
#include "host/caller.h"
#include "host/front.h"
#include "host/signals.h"
#include "host/system.h"
#include "platform/platform.h"
#include "sentry/core/uts.h"
#include "sentry/debug/backtrace.h"
#include "sentry/entry/strace.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/signal/signal.h"
#include "sentry/task/task.h"

static int command_pid; /* CMD's: 2, after the sentry's own init, or 1; set before there is a second thread */

/* ---- signals from outside ---- */

static void send_to_command(struct process *p, int signo)
{
	struct l_siginfo info;
	int r;

	signal_fill_kernel(&info, signo);
	r = signal_send_pgrp(command_pid, &info);
	if (r < 0) /* it went into another group */
		r = signal_send_process(p, &info);
	if (r < 0)
		log_debug("signal %d for the command: %s", signo, abi_errno_name(-r));
}

/*
 * What is sent to the front is meant for the command and those that it works with; a key, for the terminal's foreground
 * group inside; a hang-up for both, since inside the command is what a session's leader is outside.
 */
static void forward(struct process *p, int signo, bool from_terminal)
{
	int group = from_terminal ? tty_foreground(p->session) : 0;
	struct l_siginfo info;

	if (!group || group == command_pid || signo == L_SIGHUP)
		send_to_command(p, signo);
	if (!group || group == command_pid)
		return;
	signal_fill_kernel(&info, signo);
	if (signal_send_pgrp(group, &info) < 0)
		log_debug("signal %d: nobody is in the terminal's foreground", signo);
}

static void take_signal(int signo, enum host_signal_kind kind)
{
	const bool begun = sandbox_has_begun();
	struct process *p = process_find(command_pid);

	if (!p) { /* not yet: there is nobody who could handle it; or not any more: its status stands */
		if (!begun && kind != HOST_SIGNAL_CANNOT_STOP && signo != L_SIGCONT && signo != L_SIGWINCH)
			host_exit(128 + signo);
		return;
	}
	if (kind == HOST_SIGNAL_CANNOT_STOP) {
		process_orphan_command(p);
		send_to_command(p, L_SIGCONT);
	} else {
		forward(p, signo, kind == HOST_SIGNAL_FROM_TERMINAL);
	}
	process_put(p);
}

static void *forward_signals(void *arg)
{
	(void)arg;
	for (;;) {
		enum host_signal_kind kind;
		int signo = host_signals_wait(&kind);

		take_signal(signo, kind);
	}
	return NULL;
}

static int start_forwarding(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, forward_signals, NULL);

	if (r == 0)
		r = pthread_detach(thread);
	return -r;
}

/* ---- the sentry ---- */

static int setup_failed(const char *what, int error)
{
	log_error("do: cannot %s: %s; \"bailey doctor\" says what the host allows", what, strerror(-error));
	return EXIT_BAILEY;
}

static int exit_status(int wait_status)
{
	return l_wifsignaled(wait_status) ? 128 + l_wtermsig(wait_status) : l_wexitstatus(wait_status);
}

/* What to do about a command that cannot be executed. */
static const char *exec_advice(int error)
{
	switch (error) {
	case -EACCES:
		return "it must be a file that CMD's user may execute (chmod +x), not on a mount without, and so must its interpreter";
	case -ENOEXEC:
	case -ELIBBAD:
		return "what runs is a program for 64-bit x86 Linux, or a script that begins with #! and its interpreter";
	case -E2BIG:
		return "give it fewer arguments and a smaller environment, or a larger stack (ulimit -s)";
	case -ENOMEM:
		return "free some memory";
	default:
		return "name a program as it is found inside";
	}
}

/* What execve said of the command. */
static int not_run(const char *name, int error)
{
	if (error == -ENOENT || error == -ENOTDIR) {
		log_error("do: %s%s is not found inside, or names an interpreter that is not; the host's /tmp, /proc, /sys and /dev are "
			  "not shown there (see --bind)",
			  quoted(name), strchr(name, '/') ? "" : ", looked for along PATH,");
		return EXIT_NOT_FOUND;
	}
	log_error("do: %s cannot be executed: %s; %s", quoted(name), strerror(-error), exec_advice(error));
	return EXIT_NOT_EXECUTABLE;
}

static void log_confinement(const struct confine_report *rep)
{
	char text[512];

	if (log_threshold < LOG_INFO)
		return;
	confine_report_text(rep, text, sizeof(text));
	log_info("confined by: %s", text);
}

/* What --require names must be there. */
static int check_required(unsigned required, const struct confine_report *rep)
{
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++) {
		const char *key = confine_layer_key((enum confine_layer)i);

		if (!(required & 1u << i) || rep->state[i] == 0)
			continue;
		if (rep->state[i] == CONFINE_UNNEEDED)
			log_error("do: --require: there is no %s for a caller with CAP_SYS_ADMIN; run as an ordinary user", key);
		else
			log_error("do: --require: %s cannot be had here (%s); \"bailey doctor\" says how to get it", key, abi_errno_name(-rep->state[i]));
		return EXIT_BAILEY;
	}
	return 0;
}

/* 0, or an exit status. */
static int shut_out_host(struct do_options *o, struct confine_report *rep)
{
	int r = confine_root(rep, &o->root, o->binds, o->bind_count);

	if (o->root.error) {
		log_error("do: cannot use %s as the root: %s; --rootfs takes a directory of the host", quoted(o->root.source), strerror(-o->root.error));
		return EXIT_BAILEY;
	}
	for (size_t i = 0; r < 0 && i < o->bind_count; i++) {
		if (o->binds[i].error) {
			log_error("do: cannot bind %s: %s; name what is there on the host, or use --bind-try", quoted(o->binds[i].source), strerror(-o->binds[i].error));
			return EXIT_BAILEY;
		}
	}
	if (r < 0)
		return setup_failed("open the host's root directory", r);
	r = confine_drop(rep);
	return r < 0 ? setup_failed("drop privileges", r) : 0;
}

static int start_platform(struct do_options *o, struct platform *begun, struct platform **pf)
{
	if (boot_platform_start(o->platform, begun, pf) < 0)
		return EXIT_BAILEY;
	if (o->no_patch)
		platform_leave_text_alone(*pf);
	entry_allow_short_cuts(o->short_cuts);
	return 0;
}

static int start_strace(const struct do_options *o)
{
	char why[WHY_SIZE];

	if (!o->strace || strace_init(o->strace_calls, o->strace_fd >= 0 ? o->strace_fd : log_error_fd(), why, sizeof(why)) == 0)
		return 0;
	log_error("do: --strace: %s; \"bailey syscalls\" lists what there is", why);
	return EXIT_BAILEY;
}

/* The log needs a descriptor of its own: the guest's standard error is the guest's. */
static void keep_log(const struct do_options *o)
{
	int fd = host_dup(log_error_fd());

	if (fd >= 0)
		log_set_error_fd(fd);
	if (o->log_fd < 0)
		log_set_fd(log_error_fd());
}

static const struct cred *command_cred(const struct do_options *o, const struct host_caller *caller)
{
	if (o->other_user)
		return cred_new(o->uid, o->gid, NULL, 0);
	return cred_new(caller->uid, caller->gid, caller->groups, caller->group_count);
}

static int run_sentry(struct do_options *o, const struct host_caller *caller, struct confine_report *rep)
{
	struct boot_args args = {.argv = o->argv, .envp = o->env, .without_init = o->without_init};
	struct platform *begun;
	const char *platform;
	bool exec_failed;
	int status, r;

	command_pid = o->without_init ? 1 : 2;
	keep_log(o);
	host_system_init();
	host_raise_fd_limit();
	host_grow_fd_table();
	r = o->backtrace ? backtrace_enable() : 0;
	if (r < 0)
		return setup_failed("prepare for backtraces", r);
	status = start_strace(o);
	if (status)
		return status;
	begun = boot_platform_begin(o->platform);
	status = shut_out_host(o, rep);
	if (status)
		return status;
	args.cred = command_cred(o, caller);
	if (!args.cred)
		return setup_failed("start", -ENOMEM);
	if (!o->other_user)
		vfs_set_caller(args.cred);
	status = boot_root(o, caller, &args);
	if (status == 0)
		status = start_platform(o, begun, &args.pf); /* up to here there is one thread */
	if (status == 0 && (r = confine_settle(rep)) < 0)
		status = setup_failed("drop the front's privileges", r);
	if (status == 0)
		status = boot_std(&args);
	if (status)
		return status;
	if (o->hostname)
		uts_set_nodename(uts_ns_first(), o->hostname, strlen(o->hostname));
	r = start_forwarding();
	if (r < 0)
		return setup_failed("start a thread", r);
	platform = platform_name(platform_ops_of(args.pf));
	r = confine_filter(rep, platform);
	if (r < 0)
		return setup_failed("install the filter of host calls", r);
	log_confinement(rep);
	status = check_required(o->required, rep);
	if (status)
		return status;
	r = sandbox_run(&args, &status, &exec_failed);
	if (r < 0)
		return exec_failed ? not_run(o->argv[0], r) : setup_failed("start the command", r);
	if (rep->state[CONFINE_PID_NS] == 0)
		platform_abandon(args.pf); /* we are its first process */
	else
		platform_stop(args.pf);
	return exit_status(status);
}

int boot(struct do_options *o)
{
	struct confine_report rep;
	struct host_caller caller;
	pid_t sentry;
	int r;

	if (o->log_fd >= 0)
		log_set_fd(o->log_fd);
	r = host_caller(&caller);
	if (r < 0)
		return setup_failed("learn who the caller is", r);
	platform_note_host();
	confine_report_init(&rep);
	sentry = confine_split(&rep);
	if (sentry < 0)
		return setup_failed("make the sentry's process", sentry);
	if (sentry > 0)
		return front_supervise(sentry);
	host_exit(run_sentry(o, &caller, &rep));
}
