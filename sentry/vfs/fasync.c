/* Lists of files that want SIGIO, their owners, and what is sent to them.  See fasync.h. */
#include "sentry/vfs/fasync.h"

#include <stdlib.h>

#include "abi/errno.h"

struct fasync {
	struct fasync *next;
	struct file *f; /* borrowed: it is taken off at its last put */
	int fd;
	int due; /* the code of what is to be told later; 0: nothing */
	struct fasync_list *list;
	struct fasync *next_due; /* valid while due */
};

struct news { /* a copy, so that nothing is held while it is sent */
	struct file_owner to;
	int fd, code;
};

/* Guards all lists, what hangs in them, and file->owner.  A leaf. */
static struct mutex fasync_lock = MUTEX_INIT;
static struct fasync *due_list; /* guarded by fasync_lock */
_Atomic unsigned fasync_due;
void (*file_owner_signal)(const struct file_owner *o, int fd, int code);

/* ---- the lists ---- */

static void no_longer_due(struct fasync *fa) REQUIRES(fasync_lock)
{
	struct fasync **p = &due_list;

	if (!fa->due)
		return;
	while (*p != fa)
		p = &(*p)->next_due;
	*p = fa->next_due;
	fa->due = 0;
	fasync_due--;
}

static struct fasync **find(struct fasync_list *l, const struct file *f) REQUIRES(fasync_lock)
{
	struct fasync **p = &l->first;

	while (*p && (*p)->f != f)
		p = &(*p)->next;
	return p;
}

int fasync_set(struct fasync_list *l, struct file *f, int fd, bool on)
{
	struct fasync *fresh = NULL, *old = NULL, **p;

	if (on) {
		fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		*fresh = (struct fasync){.f = f, .fd = fd, .list = l};
	}
	mutex_lock(&fasync_lock);
	p = find(l, f);
	if (on && *p) {
		(*p)->fd = fd;
	} else if (on) {
		fresh->next = l->first;
		l->first = fresh;
		l->count++;
		fresh = NULL;
	} else if (*p) {
		old = *p;
		*p = old->next;
		l->count--;
		no_longer_due(old);
	}
	mutex_unlock(&fasync_lock);
	free(fresh);
	free(old);
	return 0;
}

static void send_all(struct news *news, unsigned count)
{
	for (unsigned k = 0; k < count; k++)
		if (news[k].to.pid && file_owner_signal)
			file_owner_signal(&news[k].to, news[k].fd, news[k].code);
	free(news);
}

static void add_news(struct news *news, unsigned *count, const struct fasync *fa, int code) REQUIRES(fasync_lock)
{
	if (fa->f->owner)
		news[(*count)++] = (struct news){*fa->f->owner, fa->fd, code};
}

void fasync_tell_all(struct fasync_list *l, int code)
{
	struct news *news;
	unsigned count = 0;

	mutex_lock(&fasync_lock);
	news = calloc(l->count + 1, sizeof(*news));
	for (struct fasync *fa = l->first; fa && news; fa = fa->next)
		add_news(news, &count, fa, code);
	mutex_unlock(&fasync_lock);
	send_all(news, count);
}

void fasync_tell_all_later(struct fasync_list *l, int code)
{
	mutex_lock(&fasync_lock);
	for (struct fasync *fa = l->first; fa; fa = fa->next) {
		if (!fa->due) {
			fa->next_due = due_list;
			due_list = fa;
			fasync_due++;
		}
		fa->due = code;
	}
	mutex_unlock(&fasync_lock);
}

void fasync_send_due(void)
{
	struct news *news;
	unsigned count = 0;

	mutex_lock(&fasync_lock);
	news = calloc(fasync_due + 1, sizeof(*news));
	while (due_list && news) {
		add_news(news, &count, due_list, due_list->due);
		no_longer_due(due_list);
	}
	mutex_unlock(&fasync_lock);
	send_all(news, count);
}

/* ---- owners ---- */

/* f's owner record, made on first use; NULL: no memory. */
static struct file_owner *owner_of(struct file *f) REQUIRES(fasync_lock)
{
	if (!f->owner)
		f->owner = calloc(1, sizeof(*f->owner));
	return f->owner;
}

int file_set_owner(struct file *f, int type, int pid, uint32_t uid, uint32_t euid, bool only_if_none)
{
	struct file_owner *o;

	mutex_lock(&fasync_lock);
	o = owner_of(f);
	if (o && !(only_if_none && o->pid)) {
		o->type = type;
		o->pid = pid;
		o->uid = uid;
		o->euid = euid;
	}
	mutex_unlock(&fasync_lock);
	return o ? 0 : -ENOMEM;
}

int file_set_owner_signal(struct file *f, int sig)
{
	struct file_owner *o;

	mutex_lock(&fasync_lock);
	o = owner_of(f);
	if (o)
		o->sig = sig;
	mutex_unlock(&fasync_lock);
	return o ? 0 : -ENOMEM;
}

struct file_owner file_owner(struct file *f)
{
	struct file_owner o = {0};

	mutex_lock(&fasync_lock);
	if (f->owner)
		o = *f->owner;
	mutex_unlock(&fasync_lock);
	return o;
}
