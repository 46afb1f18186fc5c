/*
 * Watches: who wants to hear that a signal was queued, whether or not anybody takes it by a handler.  signalfd(2) waits so.
 *
 * A signalfd belongs to no process: whoever polls it asks for signals of his own.  So a watch hears of the signals of every
 * process that has ever used one, and its waiters look for themselves.  Processes that use none pay for one look at a flag.
 */
#include "sentry/signal/signal.h"

static struct mutex watches_lock = MUTEX_INIT; /* before waitqueue locks; guards the list */
static struct list_head watches = {&watches, &watches};

void signal_watch_add(struct signal_watch *w, sigset mask)
{
	waitqueue_init(&w->wq);
	w->mask = mask;
	mutex_lock(&watches_lock);
	list_add_tail(&w->node, &watches);
	mutex_unlock(&watches_lock);
}

void signal_watch_remove(struct signal_watch *w)
{
	mutex_lock(&watches_lock);
	list_del_init(&w->node);
	mutex_unlock(&watches_lock);
	waitqueue_destroy(&w->wq);
}

void signal_watch_use(struct task *t)
{
	t->process->signals_watched = true;
}

void signal_watch_tell(const struct process *p, int sig)
{
	struct signal_watch *w;

	if (!p->signals_watched)
		return;
	mutex_lock(&watches_lock);
	list_for_each_entry(w, &watches, node)
		if (w->mask & sig_bit(sig))
			waitqueue_wake(&w->wq, 0);
	mutex_unlock(&watches_lock);
}
