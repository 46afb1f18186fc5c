/*
 * Tasks and processes.  A *task* is a guest thread, run by one sentry thread; a *process* is a thread group.
 *
 * Life of a task: task_fork or task_clone makes it, its sentry thread attaches the context and enters the run loop
 * (entry/run.c), task_exit takes it apart.  A process whose last thread is gone is a zombie until its parent waits.
 *
 * Locks (docs/LOCKING.md): tasks_lock guards the tree (pid table, parent, children, process groups, sessions,
 * exit states); process->sig_lock nests inside it and guards everything about signals but the table of actions,
 * whose sighand->lock is innermost.
 */
#ifndef BAILEY_SENTRY_TASK_TASK_H
#define BAILEY_SENTRY_TASK_TASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/resource.h"
#include "abi/signal.h"
#include "abi/sysargs.h"
#include "base/checked.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "platform/platform.h"
#include "platform/uaccess.h"
#include "sentry/core/cred.h"
#include "sentry/core/ns.h"
#include "sentry/core/wait.h"
#include "sentry/mm/numa.h"
#include "sentry/ptrace/state.h"
#include "sentry/vfs/vfs.h"

struct mm;
struct pid;
struct pid_choice;
struct seccomp_filter;
struct tty;

#define TASK_COMM_LEN 16
#define PID_MAX 4194304

/* ---- signals' state ---- */

typedef uint64_t sigset; /* bit n-1 is signal n */

struct sigqueue { /* one pending signal with its siginfo */
	struct list_head node;
	struct l_siginfo info;
	bool of_timer; /* it belongs to a POSIX timer, and so does what pending_count counts for it */
};

struct sigpending {
	struct list_head queue; /* of sigqueue.node, in order of arrival */
	sigset set;
};

/* A fork under way: what came meanwhile for several processes, and so for the child, too. */
struct fork_signals {
	struct list_head node;
	sigset set;
};

struct sighand { /* the table of actions; shared by CLONE_SIGHAND */
	struct refcount refs;
	struct mutex lock;
	struct l_sigaction action[L_NSIG]; /* [n-1]; guarded by lock */
};

/* ---- process ---- */

enum job_state { JOB_RUNNING, JOB_STOPPED };

struct session {
	struct refcount refs;
	int sid;	    /* immutable */
	struct pid *numbers; /* counted: of sid in other PID namespaces (pidns.h); NULL: the first alone; immutable */
	struct tty *tty;    /* the controlling terminal or NULL; guarded by tasks_lock */
	bool leader_exited; /* guarded by tasks_lock */
};

struct rusage_sum {
	int64_t utime_ns, stime_ns;
	uint64_t minflt, majflt, nvcsw, nivcsw, maxrss_kb;
};

struct io_sum { /* what read and write calls did */
	uint64_t read_bytes, written_bytes, reads, writes;
};

struct io_count { /* the same of one task, which counts; others read */
	_Atomic uint64_t read_bytes, written_bytes, reads, writes;
};

#define L_COREDUMP_FILTER_DEFAULT 0x33u
#define L_COREDUMP_FILTER_MASK 0x1ffu

struct process {
	struct refcount refs;
	int pid; /* immutable; == the leader's tid; 0: the sentry's own init where CMD is pid 1 */
	struct pid *numbers; /* counted; as task.numbers, of pid; immutable once it is in the table */
	bool is_sentry; /* the sentry's own init: it runs no guest code and heeds no signal; immutable */

	/* Guarded by tasks_lock. */
	struct process *parent;	     /* borrowed: a parent outlives its children (they are reparented) */
	struct list_head children;   /* of sibling */
	struct list_head sibling;
	struct list_head threads;    /* of task.thread_node */
	int thread_count;	     /* in threads */
	int live_count;		     /* those of them that have not begun to exit */
	int pgid;
	struct pid *pgrp_numbers;    /* counted; as task.numbers, of pgid */
	struct session *session;     /* counted */
	bool zombie, reaped;
	int exit_status;	     /* as wait(2) reports it */
	int exit_signal;	     /* to the parent at the end: SIGCHLD, or clone's, 0: none */
	uint32_t exit_uid;	     /* for the parent's siginfo */
	bool child_subreaper;
	bool did_exec;
	_Atomic uint32_t exec_count; /* written under tasks_lock; /proc tells old memory from new by it */
	bool is_command;	     /* CMD, with whose end all ends; immutable once a thread runs */
	bool started_by_init;	     /* CMD: init is to it what a shell is, and no orphanage */
	bool wait_stopped, wait_continued; /* news for the parent not yet waited for */
	int stop_code;		     /* the signal that stops, or stopped, it */
	struct rusage_sum self, reaped_children;
	struct task *parent_thread;  /* of parent: the one that forked it, or who took over; NULL: it has none; not counted */
	uint64_t pidfd_ino;	     /* what fstat says of its pidfds; 0: none was asked for yet */
	struct waitqueue child_wq;   /* wait4: a child changed state */
	struct waitqueue pidfd_wq;   /* pidfds: a thread ended, or the process was reaped */

	struct mutex sig_lock;
	/* Guarded by sig_lock; the atomics are written under it and may be read without. */
	struct sigpending shared_pending;
	struct list_head forks; /* of fork_signals.node: of its threads */
	_Atomic int job;	     /* enum job_state */
	bool stop_reported;	     /* every thread has stopped, and the parent was told */
	uint32_t cont_count;	     /* SIGCONTs so far: a stop signal taken before one of them is void */
	uint32_t stop_count;	     /* group stops so far; never 0 in one */
	_Atomic uint32_t kill_count; /* SIGKILLs so far */
	_Atomic bool unkillable; /* pid 1, of whatever namespace: default actions are not for it; until its own fault
				    kills it */
	_Atomic bool group_exiting;  /* exit_group or a fatal signal: every thread is to die */
	int group_exit_status;	     /* wait status; valid once group_exiting */
	struct task *_Atomic group_exec; /* the thread that is in execve and waits for the others to die */
	_Atomic bool signals_watched; /* one of its threads has used a signalfd */
	uint32_t pending_count;	     /* queued signals, against RLIMIT_SIGPENDING */
	struct waitqueue job_wq;     /* stopped threads wait here for SIGCONT; an exec, for the other threads' end */

	struct mutex limits_lock;
	struct l_rlimit64 rlimits[L_RLIM_NLIMITS]; /* guarded by limits_lock */

	struct mutex exec_lock;	     /* guards what exec replaces and proc shows: */
	struct file *exe;	     /*   counted */
	char *exe_name;

	int64_t start_ns;	     /* CLOCK_BOOTTIME; immutable */
	int oom_score_adj;	     /* atomic enough: an int written by its owner */
	struct process_timers *timers; /* itimers and POSIX timers; made on first use; guarded by sig_lock */
	void *posix_locks;
	uint32_t personality;
	_Atomic bool dumpable; /* PR_SET_DUMPABLE; proc looks at it with no lock held */
	_Atomic uint8_t thp_disable; /* as prctl(2) tells it */
	_Atomic bool memory_merge;   /* kept and told */
	_Atomic bool timer_restore_ids; /* timer_create(2) gives the ids that are asked for; until execve */
	_Atomic uint32_t coredump_filter; /* bits of core(5) */
	struct io_sum dead_io;	     /* of threads that have ended; guarded by tasks_lock */
	_Atomic int pdeathsig;
};

/* ---- task ---- */

#define TASK_CPUS_MAX 1024

/* The host schedules: these are kept, inherited and shown, and have no effect but in what the guest is told. */
struct sched_params {
	int policy;		/* L_SCHED_* */
	int rt_priority;	/* 1 to 99 with L_SCHED_FIFO and _RR, else 0 */
	bool reset_on_fork;
	int ioprio;		/* as ioprio_set(2); 0: follows the nice value */
	bool has_cpus;		/* cpus was set; else all that there are */
	uint8_t cpus[TASK_CPUS_MAX / 8];
};

/* A vfork child's promise to its parent: done once it has let go of the shared address space. */
struct vfork_completion {
	struct refcount refs;
	struct waitqueue wq;
	_Atomic bool done;
};

struct restart_block { /* what restart_syscall(2) goes on with; only its own task touches it */
	long (*fn)(struct task *t);
	int64_t deadline_ns;
	uint64_t arg[6];
};

struct task {
	struct refcount refs;
	_Atomic int tid;	     /* execve gives a thread its leader's, under tasks_lock */
	struct pid *_Atomic numbers; /* counted: of tid in other PID namespaces (pidns.h), or NULL; changes as tid */
	struct pid *old_numbers; /* counted: what it had before it became the leader; others may still look at them */
	struct process *process;     /* counted; immutable */
	struct list_head thread_node; /* guarded by tasks_lock */
	bool dead;		     /* guarded by tasks_lock */
	uint64_t pidfd_ino;	     /* as process.pidfd_ino, of a thread that is no leader; guarded by tasks_lock */

	/* Its own thread reads these freely; it replaces them under alloc_lock; others read them under alloc_lock and
	 * take a reference. */
	struct mutex alloc_lock;
	struct mm *mm;
	struct fdtable *files;
	struct fs_info *fs;
	struct sighand *sighand;     /* immutable between fork and exec */
	const struct cred *cred;
	struct ns
		*ns[NS_KINDS]; /* counted; not of NS_MNT, which is fs's, nor NS_USER, cred's; NS_PID: its children's */
	char comm[TASK_COMM_LEN];
	struct seccomp_filter *seccomp; /* counted, or NULL; its process's other threads may replace it, under tasks_lock, too */
	_Atomic int seccomp_mode;    /* L_SECCOMP_MODE_*; as seccomp */
	_Atomic bool no_new_privs_due; /* another thread has set it for this one */

	struct sleeper sleeper;
	struct pctx *ctx;	     /* its thread's own; others use it (pctx_interrupt) under sig_lock */
	_Atomic bool answers_stale;  /* what the platform answers in our place (entry/run.c) may have changed */
	_Atomic bool ctx_running;    /* in platform_switch, or about to: a kick is worth it (entry/run.c has the protocol) */

	/* Signals; guarded by process->sig_lock, but its own thread reads blocked freely. */
	struct sigpending pending;
	sigset blocked;		     /* while it runs: what it was before, see mask.c */
	sigset wait_blocked;	     /* in sigtimedwait: the mask before it, whose signals are kept even if ignored */
	bool group_stopped;	     /* it has stopped with its process */
	_Atomic bool mask_kept;	     /* the platform does not let it change its mask; cleared with sig_lock held */

	/* Its own thread only. */
	sigset saved_mask;	     /* to be restored when a call like sigsuspend ends */
	bool restore_mask;
	bool may_lend;		     /* nobody is to see its calls: some of what they change may be lent to it */
	struct l_stack altstack;
	uint32_t cont_seen;	     /* process->cont_count when the signal in hand was taken */
	struct restart_block restart;
	bool in_syscall;
	struct file *nap_file;	     /* counted: of the read in hand, which slept in a ring; or NULL */
	uint64_t syscall_nr;
	uint64_t clear_child_tid;    /* gva or 0 */
	uint64_t robust_list;	     /* gva or 0; see futex_robust_list */
	uint64_t rseq;		     /* gva or 0 */
	uint32_t rseq_size, rseq_sig;
	struct mem_policy mem_policy; /* set_mempolicy */
	_Atomic(struct sem_undos *) sem_undos; /* counted; SEM_UNDO's notes, or NULL */
	struct vfork_completion *vfork; /* counted; completed when this task lets go of the shared mm */
	struct clone_start *start;   /* the state it begins with; until its thread has loaded it */
	bool leaving;		     /* exit(2): this thread alone is to end */
	_Atomic int64_t exec_utime_ns; /* what it used in address spaces that it has left by execve */
	_Atomic int host_tid;	     /* of its sentry thread; 0: not yet, or no more */
	int64_t host_before_ns;	     /* the CPU time that thread had used before; immutable once host_tid is set */
	int exit_code;		     /* wait status it leaves with */
	struct pf_fault last_fault;  /* what a handler's frame says of the last exception */
	long result;		     /* of the call in hand, restart codes included */
	_Atomic char state;	     /* 'R', 'S', 'T', 't', 'Z' as /proc shows; 'r': R, however asleep it is yet */
	struct trace_state trace;
	struct list_head tracees;    /* of trace.node: those it traces; guarded by tasks_lock */
	_Atomic unsigned syscall_work; /* WORK_*: changed by its tracer while it is stopped, and by itself */
	uint64_t rt_sleeps;	     /* rt_limit.c's own, as is the next: at its last look, and the CPU time */
	int64_t rt_base_ns;	     /*   from when on it has not slept */
	struct sched_params sched;   /* what the scheduling calls set; guarded by alloc_lock */
	_Atomic bool futex_dead;     /* it owns no futex any more: written under futex_pi.c's pi_lock */
	int nice;
	_Atomic uint64_t timer_slack_ns; /* prctl; 0: the default */
	uint64_t timer_slack_default_ns; /* what its creator had; immutable once it runs */
	int mce_policy;		     /* L_PR_MCE_KILL_*; its own thread only, as is the next */
	bool io_flusher;
	struct io_count io;
};

extern struct mutex tasks_lock;

/* The task of the calling sentry thread, or NULL in a helper thread. */
struct task *task_current(void);

struct task *task_get(struct task *t);
void task_put(struct task *t);
struct process *process_get(struct process *p);
void process_put(struct process *p);

/* Lookups: counted, or NULL. */
struct task *task_find(int tid);
struct process *process_find(int pid);
struct process *process_of_thread(int tid); /* by any of its threads, as kill(2) finds it */
/* Calls fn for every process, in pid order, with tasks_lock held; stops when fn returns non-zero and returns that. */
int process_for_each(int (*fn)(struct process *p, void *arg), void *arg);
/* The lowest pid of a live process >= from, or -1: for readdir of /proc. */
int process_next_pid(int from);
int process_next_tid(const struct process *p, int from);

/* References to a task's parts, for another thread (proc): NULL if it is past them. */
struct mm *task_get_mm(struct task *t);
struct fdtable *task_get_files(struct task *t);
struct fs_info *task_get_fs(struct task *t);
const struct cred *task_get_cred(struct task *t);
uint32_t task_uid(struct task *t); /* the real one */
void task_get_comm(struct task *t, char comm[TASK_COMM_LEN]);
void task_get_sched(struct task *t, struct sched_params *out);

static inline struct lookup task_lookup(struct task *t)
{
	return (struct lookup){t->fs, t->files, t->cred};
}
static inline uint64_t task_timer_slack(const struct task *t)
{
	return t->timer_slack_ns ? t->timer_slack_ns : t->timer_slack_default_ns;
}
uint64_t process_rlimit(struct process *p, unsigned resource); /* the soft limit */
void process_rlimits(struct process *p, unsigned resource, struct l_rlimit64 *out);
/* The limit that fd_install takes. */
int task_fd_limit(struct task *t);
/* Puts f (consumed) at the lowest free descriptor of the calling task: its number, or -errno. */
long task_install(struct task *t, struct file *f, bool cloexec) MUST_CHECK;

/* ---- life ---- */

/* The sandbox's first processes (init and CMD).  See task/init.c. */
struct boot_args {
	struct platform *pf;
	const struct cred *cred;
	struct path root;	  /* consumed */
	const char *cwd;
	char **argv, **envp;	  /* argv[0] is looked up in envp's PATH */
	struct file *std[3];	  /* consumed; may be NULL */
	struct file *terminal;	  /* consumed: the caller's, if none of std is one; or NULL */
	bool without_init;	  /* CMD is pid 1, with all that Linux makes of it: pid_namespaces(7) */
};
/* Starts it; *status_out gets CMD's wait status when it has ended and the sandbox is empty or told to end.  Returns 0 or
 * -errno; *exec_failed is true if that is what execve said of CMD. */
int sandbox_run(struct boot_args *args, int *status_out, bool *exec_failed) MUST_CHECK;
/* False until CMD's process can be found by its number.  Any thread. */
bool sandbox_has_begun(void);
/* The platform the sandbox runs on; immutable once it runs. */
struct platform *sandbox_platform(void);

/* Takes the calling task apart; the run loop has left, and its thread ends next.  wait_status is the task's own and becomes the
 * process's if it is the last and nobody ended the group with another. */
void task_exit(struct task *t, int wait_status);
/* Ends the calling task's whole process, unless that is under way already.  The task itself leaves when its run loop looks. */
void process_group_exit(struct task *t, int wait_status);
/* True once the task must leave for good: its group is ending, or another thread is in execve. */
bool task_killed(const struct task *t);

/* clone(2) and its kin, decoded. */
struct clone_request {
	uint64_t flags; /* L_CLONE_*, without the signal */
	int exit_signal;
	uint64_t stack; /* the new stack pointer, or 0 to keep it */
	uint64_t parent_tid, child_tid; /* gva, used as the flags say */
	uint64_t tls;
	uint64_t pidfd; /* gva of an int, with L_CLONE_PIDFD */
	const struct pid_choice *choice; /* which numbers it is to have; NULL: any */
};
/* Makes a child of t; returns its tid as t sees it, or -errno. */
long task_clone(struct task *t, const struct clone_request *req) MUST_CHECK;

struct strings;
/* execve(2): replaces t's program.  argv and envp are the caller's (loader.h); a script's interpreter changes argv.  budget is what
 * they left of stack_args_limit.  On success the task's registers are those of the new program; after the point of no return a
 * failure kills the process, as on Linux. */
struct exec_request {
	int dirfd;
	const char *path;
	unsigned at_flags; /* L_AT_*, as execveat(2)'s */
	struct strings *argv, *envp;
	uint64_t budget;
};
long task_exec(struct task *t, const struct exec_request *req) MUST_CHECK;

/* Ends every other thread of t's process and waits until they are gone; makes t the leader.  -EAGAIN or -ERESTARTNOINTR if t's
 * process is ending anyway. */
int task_become_only_thread(struct task *t) MUST_CHECK;

/* Zombies: wait4(2) and waitid(2). */
struct wait_request {
	int type;	/* L_P_ALL, L_P_PID, L_P_PGID, L_P_PIDFD */
	int id;
	const struct process *process; /* L_P_PIDFD; borrowed */
	int options;	/* L_WEXITED and so on */
};
struct wait_result {
	int pid;	/* 0: nothing yet (WNOHANG) */
	int nr;		/* the same, as the caller's PID namespace has it */
	uint32_t uid;
	int status;	/* as wait4 reports it */
	int code;	/* CLD_* */
	struct rusage_sum usage;
};
int task_wait(struct task *t, const struct wait_request *req, struct wait_result *out) MUST_CHECK;

int process_pgid(struct process *p);
/* Process groups and sessions, by numbers as t knows them; -errno as setpgid(2) and setsid(2) give. */
int process_setpgid(struct task *t, int pid, int pgid) MUST_CHECK;
int process_setsid(struct task *t) MUST_CHECK;
/* Nobody outside resumes the command p when it has stopped: its process group counts as orphaned from now on. */
void process_orphan_command(struct process *p);

/* Counts of what there is, for limits and /proc/loadavg. */
int task_count(void);
uint64_t task_made_count(void); /* since the start */
/* The number given out last; the next is above it. */
int tid_last(void);
void tid_set_last(int tid);

/* kernel.randomize_va_space: 0 nothing, 1 all but the heap, 2 the heap too is put where chance has it by execve. */
extern _Atomic unsigned exec_randomize_va_space;

/* Replaces the calling task's credentials (consumed).  When it is another's or more than before, the process is no more to be
 * looked into, and hears no more of its parent's death: prctl(2), PR_SET_DUMPABLE and PR_SET_PDEATHSIG. */
void task_set_cred(struct task *t, const struct cred *c);

/* ---- signals (sentry/signal/signal.h has the rest) ---- */
int signal_send_process(struct process *p, const struct l_siginfo *info) MUST_CHECK;
int signal_send_task(struct task *t, const struct l_siginfo *info) MUST_CHECK;
/* To every process of a group; tasks_lock not held. */
int signal_send_pgrp(int pgid, const struct l_siginfo *info) MUST_CHECK;
bool signal_pending(const struct task *t);

#endif
