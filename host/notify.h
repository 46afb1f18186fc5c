/*
 * Learning that a host descriptor has become ready, without a thread that blocks in it.
 *
 * One helper thread, started by the first thing that can be watched, waits on an epoll set.  A watch is armed for one report: it then calls
 * back, once, from the helper thread, and stays silent until it is armed again.
 */
#ifndef BAILEY_HOST_NOTIFY_H
#define BAILEY_HOST_NOTIFY_H

#include <stdint.h>

#include "base/compiler.h"

struct host_watch;

/*
 * Watches fd, not armed yet; returned owned.  fd is borrowed and must stay open until host_watch_remove.  ready gets
 * the events (L_POLL*); it must neither block nor call back into this module.  -EPERM: fd is always ready (a regular
 * file).
 */
int host_watch_add(int fd, void (*ready)(void *arg, uint32_t events), void *arg, struct host_watch **out) MUST_CHECK;
/* Reports the next time, or at once, that one of events is true; replaces what it was armed for. */
int host_watch_arm(struct host_watch *w, uint32_t events);
/* When it returns the callback is not running and will not run.  NULL is harmless. */
void host_watch_remove(struct host_watch *w);

#endif
