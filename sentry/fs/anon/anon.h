/*
 * Files without a name that are neither pipes nor sockets: eventfds, epolls, timerfds,
 * signalfds and pidfds.  Each is made by x_file_new
 * (returned owned, to be put into a descriptor table), and told from other files by x_file_is.
 */
#ifndef BAILEY_SENTRY_FS_ANON_ANON_H
#define BAILEY_SENTRY_FS_ANON_ANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/epoll.h"
#include "abi/time.h"
#include "base/compiler.h"

struct cred;
struct file;
struct process;
struct task;

/* ---- eventfd(2): flags are L_EFD_*, checked by the caller ---- */

int eventfd_file_new(uint32_t initial, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
bool eventfd_file_is(const struct file *f);
/* Adds n as a write would, but never blocks: what does not fit is dropped, and poll says POLLERR.  Any thread. */
void eventfd_file_signal(struct file *f, uint64_t n);

/* ---- epoll(7) ---- */

int eventpoll_file_new(const struct cred *c, struct file **out) MUST_CHECK;
bool eventpoll_file_is(const struct file *f);
/*
 * epoll_ctl(2): op on what watches `target` (borrowed) as descriptor fd.  event is NULL for DEL.  ep is an epoll.
 * -EINVAL, -EPERM (cannot be polled), -EEXIST, -ENOENT, -ELOOP, -ENOSPC, -ENOMEM.
 */
int eventpoll_ctl(struct file *ep, int op, struct file *target, int fd, const struct l_epoll_event *event) MUST_CHECK;
/*
 * epoll_wait(2): gives at most max events to put, which takes count of them as the first-th and following; if it refuses
 * (-errno) they stay ready.  Waits until the monotonic clock reaches deadline_ns; 0: not at all.  The count, 0 when
 * the time is over, -EINTR, or put's error if no event was given.
 */
/* The file that is watched under descriptor fd, the first but skip of those: for comparison alone, as it is not
 * counted.  -EINVAL: f is no epoll; -ENOENT. */
int eventpoll_target(struct file *f, int fd, uint32_t skip, const struct file **out) MUST_CHECK;
typedef int eventpoll_put(void *arg, size_t first, const struct l_epoll_event *events, size_t count);
int eventpoll_wait(struct file *ep, size_t max, int64_t deadline_ns, eventpoll_put *put, void *arg) MUST_CHECK;

/* ---- timerfd_create(2) ---- */

/* clock is REALTIME, MONOTONIC or BOOTTIME; flags L_O_NONBLOCK or 0. */
int timerfd_file_new(int clock, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
bool timerfd_file_is(const struct file *f);
/* spec has been checked.  *old is what timerfd_gettime would have said. */
int timerfd_set(struct file *f, unsigned flags, const struct l_itimerspec *spec, struct l_itimerspec *old) MUST_CHECK;
void timerfd_get(struct file *f, struct l_itimerspec *out);

/* ---- pidfd_open(2) ---- */

/* For thread of p, or for p as a whole if that is NULL (both borrowed); flags L_PIDFD_*. */
int pidfd_file_new(struct process *p, struct task *thread, uint32_t flags, const struct cred *c,
		   struct file **out) MUST_CHECK;
bool pidfd_file_is(const struct file *f);
/* What a pidfd stands for; borrowed while f is held. */
struct process *pidfd_process(const struct file *f);
struct task *pidfd_thread(const struct file *f);

/* ---- signalfd(2) ---- */

/* mask's bit n-1 is signal n; flags L_SFD_NONBLOCK or 0. */
int signalfd_file_new(uint64_t mask, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
bool signalfd_file_is(const struct file *f);
void signalfd_set_mask(struct file *f, uint64_t mask);

#endif
