/*
 * Signals: sending, queueing, delivering and returning.  Rules: signal(7), sigaction(2), and what POSIX leaves open as Linux
 * does it.
 *
 *   send.c     who gets a signal, and what sending does at once (SIGKILL, SIGCONT, stop signals)
 *   pending.c  queues and the table of actions
 *   mask.c     masks of tasks that run, and whether anything asks for attention
 *   deliver.c  what a task does with its signals before it goes back to the guest; system-call restart
 *   sigio.c    what open files send to their owners
 *   watch.c    who hears of a signal without taking it (signalfd)
 *   frame.c    the handler's frame and rt_sigreturn
 *
 * process->sig_lock guards queues, masks and job state; sighand->lock, inside it, the actions.
 */
#ifndef BAILEY_SENTRY_SIGNAL_SIGNAL_H
#define BAILEY_SENTRY_SIGNAL_SIGNAL_H

#include "abi/signal.h"
#include "sentry/task/task.h"

static inline sigset sig_bit(int sig)
{
	return 1ull << (sig - 1);
}
static inline bool sig_valid(int sig)
{
	return sig >= 1 && sig <= L_NSIG;
}
#define SIG_UNBLOCKABLE (sig_bit(L_SIGKILL) | sig_bit(L_SIGSTOP))
#define SIG_STOPS (sig_bit(L_SIGSTOP) | sig_bit(L_SIGTSTP) | sig_bit(L_SIGTTIN) | sig_bit(L_SIGTTOU))

enum sig_default { SIG_DEFAULT_TERM, SIG_DEFAULT_CORE, SIG_DEFAULT_IGNORE, SIG_DEFAULT_STOP, SIG_DEFAULT_CONT };
enum sig_default signal_default(int sig);

/* ---- pending.c ---- */
void sigpending_init(struct sigpending *q);
/* Drops the signals of mask; q is p's or one of its threads'. */
void sigpending_drop(struct sigpending *q, struct process *p, sigset mask);
/* Adds a copy of *info.  A standard signal that is pending already is dropped (0).  may_fail: -EAGAIN rather than losing a
 * real-time signal's siginfo when p is at its limit. */
int sigpending_add(struct sigpending *q, struct process *p, const struct l_siginfo *info, bool may_fail) MUST_CHECK;
/* A timer's own entry: always added, for it is there once only; taken out before it was taken as a signal. */
void sigpending_add_entry(struct sigpending *q, struct sigqueue *s);
void sigpending_remove_entry(struct sigpending *q, struct sigqueue *s);
/* Takes the next signal of mask off q: its number, or 0. */
int sigpending_take(struct sigpending *q, struct process *p, sigset mask, struct l_siginfo *info) MUST_CHECK;

struct sighand *sighand_new(void);
struct sighand *sighand_copy(struct sighand *old);
struct sighand *sighand_get(struct sighand *s);
void sighand_put(struct sighand *s);
/* All handlers to the default (exec; CLONE_CLEAR_SIGHAND); ignored signals stay so. */
void sighand_reset(struct sighand *s, bool exec);
struct l_sigaction sighand_action(struct sighand *s, int sig);

/* ---- send.c ---- */
/* tasks_lock held.  -EAGAIN as sigqueue(3). */
int signal_send_process_locked(struct process *p, const struct l_siginfo *info) REQUIRES(tasks_lock);
/* The same for p as one of several processes, a group or all: the child that p may be forking gets it, too. */
int signal_send_member_locked(struct process *p, const struct l_siginfo *info) MUST_CHECK REQUIRES(tasks_lock);
int signal_send_task_locked(struct task *t, const struct l_siginfo *info) REQUIRES(tasks_lock) MUST_CHECK; /* to a thread */
/* Queues a POSIX timer's entry s (borrowed until it is taken, dropped or unqueued) for target, or p if that is NULL.  False: the
 * signal is ignored, or target gone.  p->sig_lock held, too. */
bool signal_send_timer(struct process *p, struct task *target, struct sigqueue *s) REQUIRES(tasks_lock) MUST_CHECK;
/* Takes it back; p->sig_lock held. */
void signal_unqueue_timer(struct process *p, struct task *target, struct sigqueue *s);
/* An exception of t's own: delivered even if blocked or ignored (then with the default action). */
void signal_force(struct task *t, const struct l_siginfo *info);
void signal_force_kernel(struct task *t, int sig); /* SI_KERNEL, as a failed frame gives */
/* From t to every process of a group that t may signal; -EPERM if it may none, -ESRCH if there is none.  Signal 0 only asks. */
int signal_send_pgrp_from(const struct task *t, int pgid, const struct l_siginfo *info) MUST_CHECK;
/* Makes every thread of p look at its state soon.  tasks_lock and p->sig_lock held. */
void signal_wake_threads(struct process *p);
/* Makes t look soon; p->sig_lock held. */
void signal_wake_task(struct task *t);
bool signal_process_ignores_children(struct process *parent) REQUIRES(tasks_lock);

/* Does info say who sent it (sigaction(2)): in kill, whatever it is.  Inside the sentry those are its own ids; the
 * receiver's are made of them when the signal is queued. */
bool signal_has_sender(const struct l_siginfo *info);
void signal_fill_user(struct l_siginfo *info, int sig, int code, const struct task *from);
void signal_fill_kernel(struct l_siginfo *info, int sig);
/* SIGCHLD and its like about p's wait status. */
void signal_fill_child(struct l_siginfo *info, const struct process *p, int sig, int status);
/* Of a siginfo that a guest gave: -E2BIG if its code is unknown and there is something where no known one has anything.
 */
int signal_check_layout(const struct l_siginfo *info) MUST_CHECK;
/* May a signal go from t to `to`'s process: kill(2), EPERM.  What counts is the thread that was named, dead or alive; of a whole
 * process its leader.  NULL is the sentry's own. */
bool signal_permitted(const struct task *t, struct task *to, int sig) REQUIRES(tasks_lock);

/* ---- sigio.c ---- */
/* What file_owner_signal (sentry/vfs/fasync.h) is set to. */
void signal_file_owner(const struct file_owner *o, int fd, int code);

/* ---- watch.c ---- */
struct signal_watch {
	struct list_head node;
	struct waitqueue wq;	/* woken when a signal of mask was queued for a process that uses watches */
	_Atomic sigset mask;
};
void signal_watch_add(struct signal_watch *w, sigset mask);
/* Nobody waits on w->wq any more. */
void signal_watch_remove(struct signal_watch *w);
/* t's process is told of from now on.  Call it before looking for pending signals. */
void signal_watch_use(struct task *t);
/* sig was queued for p or one of its threads; p->sig_lock held. */
void signal_watch_tell(const struct process *p, int sig);

/* ---- deliver.c ---- */
/* Acts on what is pending, stops, finishes or restarts the call in hand.  False: t is to leave (t->exit_code is set). */
bool signal_work(struct task *t) MUST_CHECK;
/* Ends t's process as the default action of sig, a signal that ends one, does. */
void signal_die(struct task *t, int sig);
void signal_set_blocked(struct task *t, sigset mask);
/* For sigsuspend, ppoll and kin: mask is in force until the call's end (and its handlers' frames restore the old one). */
void signal_set_temporary_mask(struct task *t, sigset mask);
/* For sigtimedwait: between the two the signals of set are unblocked, but none of them is dropped as ignored. */
void signal_wait_begin(struct task *t, sigset set);
void signal_wait_end(struct task *t);
/* t has left its process's threads: others take the process-wide signals that were its, and it holds up no stop.  p->sig_lock
 * held, too. */
void signal_thread_left(struct task *t) REQUIRES(tasks_lock);
/* Reads a guest's mask argument; -EINVAL for a wrong size, -EFAULT. */
int signal_copy_mask(struct task *t, uint64_t gva, uint64_t size, sigset *out) MUST_CHECK;
/* Takes a pending signal of mask (own, then the process's): its number, or 0. */
int signal_take(struct task *t, sigset mask, struct l_siginfo *info) MUST_CHECK;
sigset signal_pending_set(struct task *t);

/* ---- mask.c ---- */
/* With its group, or for its tracer, who may also have resumed it alone; sig_lock held. */
bool signal_is_to_stop(const struct task *t);
/* What signal_pending says follows from masks, queues and stops again.  Of the calling task only; sig_lock held. */
void signal_recompute(struct task *t);
/* What any task blocks; sig_lock held. */
sigset signal_mask_of(const struct task *t);
/* t is to come and ask before it changes its mask, until it is given its mask while no signal is pending: t, or sig_lock held. */
void signal_mask_keep(struct task *t);
/* Lends t its mask (if t->may_lend), and takes it back: around its run.  t's own thread. */
void signal_mask_give(struct task *t);
void signal_mask_take(struct task *t);

/* ---- frame.c ---- */
/* Builds the handler's frame and points *regs at it.  -EFAULT: the stack cannot take it. */
int signal_frame_push(struct task *t, const struct l_sigaction *act, const struct l_siginfo *info,
		      struct abi_regs *regs) MUST_CHECK;
/* rt_sigreturn(2): loads registers, mask and alternate stack from the frame at regs->rsp - 8. */
int signal_frame_pop(struct task *t, struct abi_regs *regs) MUST_CHECK;
/* Of the calling task. */
void signal_set_altstack(struct task *t, const struct l_stack *s);
/* Whether sp lies on t's alternate stack. */
bool signal_on_altstack(const struct task *t, uint64_t sp);

#endif
