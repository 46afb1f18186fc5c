/* See scm.h. */
#include "sentry/net/scm.h"

#include <stdlib.h>

#include "sentry/net/unix/internal.h"
#include "sentry/task/task.h"

struct scm_cred scm_cred_of(struct task *t, bool effective)
{
	const struct cred *c = t->cred;

	return (struct scm_cred){process_get(t->process), effective ? c->euid : c->uid, effective ? c->egid : c->gid};
}

struct scm_cred scm_cred_get(const struct scm_cred *c)
{
	if (c->process)
		process_get(c->process);
	return *c;
}

void scm_cred_put(struct scm_cred *c)
{
	if (c->process)
		process_put(c->process);
	c->process = NULL;
}

struct scm_rights *scm_rights_new(unsigned max)
{
	return calloc(1, sizeof(struct scm_rights) + max * sizeof(struct file *));
}

struct scm_rights *scm_rights_copy(const struct scm_rights *r)
{
	struct scm_rights *copy = scm_rights_new(r->count);

	if (!copy)
		return NULL;
	for (unsigned i = 0; i < r->count; i++)
		copy->files[copy->count++] = file_get(r->files[i]);
	return copy;
}

static _Thread_local struct scm_rights *waiting; /* to be put, by .next */
static _Thread_local bool putting;

bool scm_rights_being_put(void)
{
	return putting;
}

void scm_rights_put(struct scm_rights *r)
{
	bool sockets = false;

	if (!r)
		return;
	r->next = waiting;
	waiting = r;
	if (putting)
		return;
	putting = true;
	while (waiting) {
		r = waiting;
		waiting = r->next;
		for (unsigned i = 0; i < r->count; i++) {
			sockets |= socket_of(r->files[i]) != NULL;
			file_put(r->files[i]);
		}
		free(r);
	}
	putting = false;
	/* One that was reached by this message alone, but for others that only it leads to, is garbage now. */
	if (sockets)
		unix_collect(NULL);
}

void scm_end(struct scm *s)
{
	scm_rights_put(s->rights);
	s->rights = NULL;
	if (s->has_cred)
		scm_cred_put(&s->cred);
	s->has_cred = false;
}
