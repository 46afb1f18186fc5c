/*
 * Files of generated text.  A read at the beginning generates the text, and reads further on go on in it, so that one pass
 * over the file sees one state; rewinding sees the new one.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/common.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/mount.h"

#define STORE_MAX PAGE_SIZE /* bytes that a write may have, as Linux's sysctls and procfs take them */

/*
 * The texts of all open files together.  A text can be large (a process's mappings, its environment), and a process may have many
 * files: past this none is kept, and a read that goes on somewhere makes the text again.
 */
#define KEPT_MAX (64ll << 20)

static _Atomic int64_t kept_size;

struct snapshot {
	uint32_t exec_count; /* the process's at open; immutable */
	struct mnt_ns *mounts; /* counted: whose changes poll tells of, or NULL; immutable */
	_Atomic uint64_t events; /* those that poll has told of */
	struct mutex lock; /* over the making of the text and a read's copy; outermost, but for pos_lock */
	/* Guarded by lock. */
	char *text; /* NULL: not yet generated */
	size_t size;
};

static const struct file_ops polled_file_ops;

/* By the bits alone, without privileges; such files are root's, or his of the namespace that they speak of. */
static bool mode_allows(const struct proc_node *n, const struct file *f)
{
	const struct task *self = task_current();
	uint32_t mode = n->entry->mode, owner = self ? proc_sysctl_owner(n, self) : 0;
	uint32_t want = (f->mode & FILE_READ ? 04 : 0) | (f->mode & FILE_WRITE ? 02 : 0);

	return ((f->cred->euid == owner ? mode >> 6 : mode) & want) == want;
}

/* The namespace of t's mounts, counted, or NULL. */
static struct mnt_ns *mounts_of(struct task *t)
{
	struct fs_info *fs = task_get_fs(t);
	struct mnt_ns *ns = NULL;

	if (!fs)
		return NULL;
	mutex_lock(&fs->lock);
	if (fs->ns)
		ns = mnt_ns_get(fs->ns);
	mutex_unlock(&fs->lock);
	fs_info_put(fs);
	return ns;
}

/* s->lock held, or nobody else has s. */
static void drop_text(struct snapshot *s)
{
	kept_size -= (int64_t)s->size;
	free(s->text);
	s->text = NULL;
	s->size = 0;
}

static void snapshot_free(struct snapshot *s)
{
	drop_text(s);
	mnt_ns_put(s->mounts);
	mutex_destroy(&s->lock);
	free(s);
}

/* The process has executed another program since s was opened. */
static bool is_another_program(const struct snapshot *s, const struct proc_node *n)
{
	return n->process && n->process->exec_count != s->exec_count;
}

/* What was allowed at open may not be what this program, set-user-ID perhaps, would allow. */
static int check_again(const struct snapshot *s, const struct proc_ctx *c, const struct cred *opener)
{
	return c->node->entry->guarded && is_another_program(s, c->node) ? proc_may_access(c->task, opener) : 0;
}

/* s->lock held, or nobody else has s. */
static int generate(struct snapshot *s, const struct proc_node *n, const struct cred *opener)
{
	struct proc_ctx c;
	char *text = NULL;
	size_t size = 0;
	FILE *out;
	int r = proc_ctx_begin(&c, n);

	c.opener = opener;
	if (r == 0)
		r = check_again(s, &c, opener);
	if (r < 0) {
		proc_ctx_end(&c);
		return r;
	}
	out = open_memstream(&text, &size);
	r = out ? 0 : -ENOMEM;
	if (r == 0 && !(n->entry->of_mm && is_another_program(s, n)))
		r = n->entry->show(&c, out);
	proc_ctx_end(&c);
	if (out && fclose(out) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0) {
		free(text);
		return r;
	}
	drop_text(s);
	s->text = text;
	s->size = size;
	kept_size += (int64_t)size;
	return 0;
}

/* What the task of an entry has to have still. */
static int check_alive(const struct proc_entry *e, struct task *t)
{
	struct mm *mm = e->needs_mm ? task_get_mm(t) : NULL;
	struct fs_info *fs = e->of_mounts ? task_get_fs(t) : NULL;
	int r = 0;

	if (e->needs_mm && !mm)
		r = -ESRCH;
	else if (e->of_mounts && !fs)
		r = -EINVAL;
	mm_put(mm);
	if (fs)
		fs_info_put(fs);
	return r;
}

int proc_file_open(struct inode *i, struct file *f)
{
	struct mnt_ns *mounts = NULL;
	const struct proc_node *n = i->priv;
	struct snapshot *s;
	struct proc_ctx c;
	int r = 0;

	if (n->sysctl && !mode_allows(n, f))
		return -EACCES;
	if (f->flags & L_O_DIRECT)
		return -EINVAL;
	if (n->process) {
		r = proc_ctx_begin(&c, n);
		if (r == 0 && n->entry->guarded)
			r = proc_may_access(c.task, f->cred);
		if (r == 0)
			r = check_alive(n->entry, c.task);
		if (r == 0 && n->entry->polls_mounts)
			mounts = mounts_of(c.task);
		proc_ctx_end(&c);
		if (r < 0)
			return r;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		mnt_ns_put(mounts);
		return -ENOMEM;
	}
	if (mounts) {
		s->mounts = mounts;
		s->events = mnt_ns_events(mounts);
		f->ops = &polled_file_ops;
	}
	mutex_init(&s->lock);
	s->exec_count = n->process ? n->process->exec_count : 0;
	r = n->entry->at_open ? generate(s, n, f->cred) : 0;
	if (r < 0)
		snapshot_free(s);
	else
		f->priv = s;
	return r;
}

static void proc_file_release(struct file *f)
{
	snapshot_free(f->priv);
}

static ssize_t transfer(struct file *f, struct uio *u, int64_t pos, bool write)
{
	const struct proc_node *n = f->inode->priv;
	struct proc_ctx c;
	ssize_t r = proc_ctx_begin(&c, n);

	if (r < 0)
		return r == -ESRCH ? 0 : r; /* its memory is gone */
	if (!(n->entry->of_mm && is_another_program(f->priv, n)))
		r = n->entry->transfer(&c, f->cred, u, pos, write);
	proc_ctx_end(&c);
	return r;
}

static ssize_t proc_file_read(struct file *f, struct uio *u, int64_t pos)
{
	const struct proc_node *n = f->inode->priv;
	struct snapshot *s = f->priv;
	ssize_t r = 0;

	if (n->entry->transfer)
		return transfer(f, u, pos, false);
	if (!n->entry->show)
		return -EPERM;
	mutex_lock(&s->lock);
	if ((pos == 0 && !n->entry->at_open) || !s->text)
		r = generate(s, n, f->cred);
	if (r == 0 && (uint64_t)pos < s->size)
		r = uio_put(u, s->text + pos, min_of(uio_left(u), s->size - (uint64_t)pos));
	if (kept_size > KEPT_MAX && !n->entry->at_open)
		drop_text(s);
	mutex_unlock(&s->lock);
	return r;
}

static ssize_t proc_file_write(struct file *f, struct uio *u, int64_t pos)
{
	const struct proc_node *n = f->inode->priv;
	struct proc_ctx c;
	size_t asked = uio_left(u), len = min_of(asked, STORE_MAX - 1);
	char *text;
	ssize_t r;

	if (n->entry->transfer)
		return transfer(f, u, pos, true);
	if (!n->entry->store)
		return n->process ? -EINVAL : -EIO;
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	r = uio_take(u, text, len);
	if (r >= 0) {
		len = (size_t)r;
		text[len] = '\0';
		r = proc_ctx_begin(&c, n);
		c.opener = f->cred;
		c.pos = pos;
		c.size = asked;
		if (r == 0) {
			r = n->entry->store(&c, text, len);
			proc_ctx_end(&c);
		}
		if (r == 0)
			r = (ssize_t)len;
	}
	free(text);
	return r;
}

static int64_t proc_file_lseek(struct file *f, int64_t off, int whence)
{
	const struct proc_node *n = f->inode->priv;

	if (n->sysctl || n->entry->raw)
		return file_lseek_generic(f, off, whence, 0);
	return whence == L_SEEK_SET || whence == L_SEEK_CUR ? file_lseek_generic(f, off, whence, 0) : -EINVAL;
}

const struct file_ops proc_file_ops = {
	.lseek = proc_file_lseek,
	.read = proc_file_read,
	.write = proc_file_write,
	.release = proc_file_release,
};

/* Always readable; and once after each change of the mounts, proc_pid_mountinfo(5) says, an error and urgent. */
static uint32_t proc_file_poll(struct file *f, struct wait_entry *e)
{
	struct snapshot *s = f->priv;
	uint64_t now;

	if (e)
		waitqueue_add(mnt_ns_queue(s->mounts), e);
	now = mnt_ns_events(s->mounts);
	if (atomic_exchange(&s->events, now) == now)
		return L_POLLIN | L_POLLRDNORM;
	return L_POLLIN | L_POLLRDNORM | L_POLLERR | L_POLLPRI;
}

static const struct file_ops polled_file_ops = {
	.lseek = proc_file_lseek,
	.read = proc_file_read,
	.write = proc_file_write,
	.poll = proc_file_poll,
	.release = proc_file_release,
};

/* ---- what many entries show ---- */

int proc_show_text(const struct proc_ctx *c, FILE *out)
{
	fputs(c->node->entry->string, out);
	return 0;
}

int proc_show_string(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%s\n", c->node->entry->string);
	return 0;
}

int proc_text_string(const struct proc_ctx *c, char **out)
{
	*out = strdup(c->node->entry->string);
	return *out ? 0 : -ENOMEM;
}

int proc_show_value(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%llu\n", (unsigned long long)c->node->entry->value);
	return 0;
}
