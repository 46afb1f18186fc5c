/* See pollset.h. */
#include "sentry/syscalls/pollset.h"

#include <stdlib.h>

#include "abi/errno.h"

int pollset_init(struct pollset *ps, size_t count)
{
	ps->count = count;
	ps->slots = ps->fast;
	if (count > POLLSET_FAST)
		ps->slots = calloc(count, sizeof(*ps->slots));
	else
		for (size_t i = 0; i < count; i++)
			ps->fast[i] = (struct poll_slot){0};
	if (ps->slots)
		return 0;
	ps->count = 0;
	return -ENOMEM;
}

void pollset_free(struct pollset *ps)
{
	for (size_t i = 0; i < ps->count; i++)
		if (ps->slots[i].file)
			file_put(ps->slots[i].file);
	if (ps->slots != ps->fast)
		free(ps->slots);
	ps->slots = NULL;
	ps->count = 0;
}

/* Wakes the thread only for what it asked for: a needless wake-up costs two switches. */
static bool wake_if_wanted(struct wait_entry *e, uint32_t events)
{
	struct poll_slot *s = container_of(e, struct poll_slot, entry);

	if (events && !(events & s->events))
		return false;
	sleeper_wake(e->arg);
	return true;
}

/* Looks at all files.  The first time round also hangs on their queues, until one turns out to be ready. */
static int look(struct pollset *ps, struct sleeper *hang)
{
	struct poll_slot *s;
	int ready = 0;

	for (size_t i = 0; i < ps->count; i++) {
		s = &ps->slots[i];
		if (s->file && hang && !ready) {
			wait_entry_init_sleeper(&s->entry, hang);
			s->entry.wake = wake_if_wanted;
			s->revents = file_poll(s->file, &s->entry) & s->events;
		} else if (s->file) {
			s->revents = file_poll(s->file, NULL) & s->events;
		}
		ready += s->revents != 0;
	}
	return ready;
}

int pollset_wait(struct pollset *ps, int64_t deadline_ns)
{
	struct sleeper *s = sleeper_self();
	int ready, r = 0;

	if (!deadline_ns)
		return look(ps, NULL);
	for (bool first = true;; first = false) {
		sleeper_arm(s);
		ready = look(ps, first ? s : NULL);
		if (ready || r)
			break;
		r = sleeper_sleep(s, deadline_ns);
	}
	for (size_t i = 0; i < ps->count; i++)
		waitqueue_remove(&ps->slots[i].entry);
	if (ready)
		return ready;
	return r == -ETIMEDOUT ? 0 : r;
}
