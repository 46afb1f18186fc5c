/* Inodes of procfs, made afresh at each lookup from the tables: directories, links, and the file system itself. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/dirent.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/types.h"
#include "sentry/fs/common.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/fs/proc/proc.h"

#define DIGITS_MAX 10

static void node_release_fields(const struct proc_node *n)
{
	if (n->process)
		process_put(n->process);
}

int proc_ctx_begin(struct proc_ctx *c, const struct proc_node *node)
{
	*c = (struct proc_ctx){.node = node};
	if (!node->process)
		return 0;
	c->task = task_find(node->tid);
	if (c->task && c->task->process == node->process)
		return 0;
	proc_ctx_end(c); /* gone, and perhaps the number is another's by now */
	return -ESRCH;
}

void proc_ctx_end(struct proc_ctx *c)
{
	if (c->task)
		task_put(c->task);
	c->task = NULL;
}

struct process *proc_process_of(const struct file *f)
{
	const struct proc_node *n = f->inode->sb->magic == L_PROC_SUPER_MAGIC ? f->inode->priv : NULL;

	return n && n->entry == &proc_pid_entry ? n->process : NULL;
}

/* What is not to be looked into, those may who hold what its memory belongs to. */
static bool may_see_undumpable(struct task *t, const struct cred *caller)
{
	struct mm *mm = task_get_mm(t);
	bool may = !mm || cred_ns_capable(caller, mm->user_ns, L_CAP_SYS_PTRACE);

	mm_put(mm);
	return may;
}

/* ptrace(2), "Ptrace access mode checking", for a caller that counts as uid and gid. */
static int may_access_as(struct task *t, const struct cred *caller, uint32_t uid, uint32_t gid)
{
	struct task *self = task_current();
	const struct cred *c;
	bool same_ids, more_caps, ok;

	if (self && self->process == t->process)
		return 0;
	c = task_get_cred(t);
	same_ids = uid == c->uid && uid == c->euid && uid == c->suid && gid == c->gid && gid == c->egid &&
		   gid == c->sgid;
	more_caps = c->user_ns != caller->user_ns || (c->cap_permitted & ~caller->cap_permitted);
	ok = cred_ns_capable(caller, c->user_ns, L_CAP_SYS_PTRACE) || (same_ids && !more_caps);
	if (ok && !t->process->dumpable)
		ok = may_see_undumpable(t, caller);
	cred_put(c);
	return ok ? 0 : -EACCES;
}

int proc_may_access(struct task *t, const struct cred *caller)
{
	return may_access_as(t, caller, caller->fsuid, caller->fsgid);
}

int proc_may_access_real(struct task *t, const struct cred *caller)
{
	return may_access_as(t, caller, caller->uid, caller->gid);
}

/* proc_ctx_begin, and the check that guarded entries want. */
static int begin_guarded(struct proc_ctx *c, const struct proc_node *node)
{
	struct task *self = task_current();
	int r = proc_ctx_begin(c, node);

	if (r == 0 && node->entry->guarded && c->task && self) {
		r = proc_may_access(c->task, self->cred);
		if (r < 0)
			proc_ctx_end(c);
	}
	return r;
}

/* ---- inode numbers and owners ---- */

/* The same each time for the same thing: the task, the descriptor, and the entry's place in the program.  A later process of
 * the same number has others: when it began is mixed in. */
static uint64_t node_ino(const struct proc_node *n)
{
	uint64_t place = (uint64_t)((const char *)n->entry - (const char *)&proc_root_entry) / sizeof(void *);
	uint64_t age = n->process ? (uint64_t)n->process->start_ns / 1024 & 0xfffff : 0;

	if (n->entry == &proc_root_entry)
		return 1;
	if (n->end)
		return ((uint64_t)n->tid << 40 ^ n->start / PAGE_SIZE << 20) | (place & 0xfffff);
	return (uint64_t)n->thread << 62 | (uint64_t)n->tid << 40 | ((uint64_t)(n->fd + 1) ^ age) << 20 | (place & 0xfffff);
}

/* Of a process that does not want to be looked into, its memory's root owns all but the directories that anybody may list; of one that
 * has no memory any more, root. */
static void set_owner(struct inode *i, const struct proc_node *n)
{
	struct task *t = n->process ? task_find(n->tid) : NULL;
	const struct cred *c;
	struct mm *mm;
	uint32_t root;

	if (n->sysctl && task_current())
		i->uid = proc_sysctl_owner(n, task_current());
	if (!t)
		return;
	mm = task_get_mm(t);
	if (i->mode == (L_S_IFDIR | 0555) || (mm && n->process->dumpable)) {
		c = task_get_cred(t);
		i->uid = c->euid;
		i->gid = c->egid;
		cred_put(c);
	} else {
		root = mm ? id_from_ns(mm->user_ns, ID_USER, 0) : ID_NONE;
		i->uid = root == ID_NONE ? 0 : root;
		root = mm ? id_from_ns(mm->user_ns, ID_GROUP, 0) : ID_NONE;
		i->gid = root == ID_NONE ? 0 : root;
	}
	mm_put(mm);
	task_put(t);
}

/* The mode of a link in fd/ says how the file is open. */
static uint32_t fd_link_mode(const struct proc_node *n)
{
	struct task *t = task_find(n->tid);
	struct fdtable *files = t ? task_get_files(t) : NULL;
	struct file *f = files ? fd_lookup_path_ok(files, n->fd) : NULL;
	uint32_t mode = L_S_IFLNK;

	if (f) {
		mode |= f->mode & FILE_READ ? L_S_IRUSR | L_S_IXUSR : 0;
		mode |= f->mode & FILE_WRITE ? L_S_IWUSR | L_S_IXUSR : 0;
		file_put(f);
	}
	if (files)
		fdtable_put(files);
	if (t)
		task_put(t);
	return mode;
}

static uint32_t dir_nlink(const struct proc_dir *dir)
{
	uint32_t n = 2;

	for (size_t i = 0; i < dir->count; i++)
		n += L_S_ISDIR(dir->entries[i].mode);
	return n;
}

static const struct inode_ops dir_ops, link_ops, magic_ops, file_ops, own_dir_ops, sysctl_dir_ops, sysctl_file_ops;
static const struct file_ops dir_file_ops;

int proc_inode_new(struct super_block *sb, const struct proc_node *node, struct inode **out)
{
	const struct proc_entry *e = node->entry;
	struct proc_node *copy = malloc(sizeof(*copy));
	struct inode *i = NULL;

	if (copy) {
		if (e->dir)
			i = inode_new(sb, e->mode, node->sysctl ? &sysctl_dir_ops : e->own ? &own_dir_ops : &dir_ops,
				      &dir_file_ops);
		else if (e->follow)
			i = inode_new(sb, node->fd >= 0 ? fd_link_mode(node) : e->mode | node->link_mode, &magic_ops, NULL);
		else if (e->text)
			i = inode_new(sb, e->mode, &link_ops, NULL);
		else
			i = inode_new(sb, e->mode, node->sysctl ? &sysctl_file_ops : &file_ops, &proc_file_ops);
	}
	if (!i) {
		free(copy);
		node_release_fields(node);
		return -ENOMEM;
	}
	*copy = *node;
	i->priv = copy;
	i->no_mounts = node->fd >= 0;
	i->ino = node_ino(node);
	if (e->dir)
		i->nlink = dir_nlink(e->dir);
	if (proc_is_task_dir(e))
		i->iflags |= L_FS_IMMUTABLE_FL;
	if (e->text && e->string)
		i->size = (int64_t)strlen(e->string);
	if (e->follow && (node->fd >= 0 || node->end))
		i->size = 64; /* what Linux says of them */
	set_owner(i, node);
	*out = i;
	return 0;
}

static void proc_release(struct inode *i)
{
	struct proc_node *n = i->priv;

	node_release_fields(n);
	free(n);
}

static bool changes_owner(const struct inode *i, const struct iattr *a)
{
	return ((a->valid & ATTR_UID) && a->uid != i->uid) || ((a->valid & ATTR_GID) && a->gid != i->gid);
}

/*
 * Times may be set and files "truncated", as shells do; owner and mode are what they are.  What is a process's takes another
 * owner, but for no longer than until it is looked up again.  DIVERGES: what is of no process keeps its owner; Linux lets root
 * change it, but not below /proc/sys.  Test: procsys.
 */
static int proc_setattr(struct inode *i, const struct iattr *a)
{
	const struct proc_node *n = i->priv;
	struct iattr kept = *a;

	if ((a->valid & ATTR_MODE) || (n->sysctl && (a->valid & (ATTR_UID | ATTR_GID))) || (!n->process && changes_owner(i, a)))
		return -EPERM;
	kept.valid &= ATTR_ATIME | ATTR_MTIME | ATTR_UID | ATTR_GID;
	inode_apply(i, &kept);
	return 0;
}

/* Below /proc/sys by the mode alone, whatever capabilities one has. */
static int sysctl_permission(struct inode *i, unsigned mask, const struct cred *c)
{
	uint32_t mode = c->euid == i->uid ? i->mode >> 6 : i->mode;

	return (mask & ~mode & (MAY_READ | MAY_WRITE | MAY_EXEC)) ? -EACCES : 0;
}

/* fd/ and map_files/ are open to the process that they are of, whoever owns them. */
static int own_dir_permission(struct inode *i, unsigned mask, const struct cred *c)
{
	const struct proc_node *n = i->priv;
	const struct task *self = task_current();
	int r = inode_permission_by_mode(i, mask, c);

	return r < 0 && self && self->process == n->process ? 0 : r;
}

/* ---- directories ---- */

/* "17" is 17; "017", "-1" and what is not a number are -1. */
static int parse_number(const char *name)
{
	size_t len = strspn(name, "0123456789");
	long n;

	if (len == 0 || len > DIGITS_MAX || name[len] || (name[0] == '0' && len > 1))
		return -1;
	n = strtol(name, NULL, 10);
	return n <= INT_MAX ? (int)n : -1;
}

static int may_look_into(const struct proc_ctx *c)
{
	const struct task *self = task_current();

	return c->task && self ? proc_may_access(c->task, self->cred) : 0;
}

static int find_child(const struct proc_ctx *c, const char *name, struct proc_node *child)
{
	const struct proc_node *n = c->node;
	const struct proc_dir *dir = n->entry->dir;
	int number, r;

	for (size_t i = 0; i < dir->count; i++) {
		if (strcmp(dir->entries[i].name, name))
			continue;
		*child = *n;
		child->entry = &dir->entries[i];
		child->sysctl |= child->entry->dir == &proc_sys_dir;
		if (child->process)
			process_get(child->process);
		return 0;
	}
	if (dir->find) {
		*child = *n;
		r = may_look_into(c);
		return r < 0 ? r : dir->find(c, name, child);
	}
	number = dir->enter ? parse_number(name) : -1;
	if (number < 0)
		return -ENOENT;
	*child = *n;
	child->entry = dir->member;
	r = dir->enter(c, number, child);
	return r;
}

/* What is not there is an error and no negative dentry: so that is what whoever wants to make something hears, too. */
static int dir_lookup(struct inode *i, struct dentry *d)
{
	struct proc_node child;
	struct proc_ctx c;
	struct inode *inode;
	int r = proc_ctx_begin(&c, i->priv);

	if (r < 0)
		return r == -ESRCH ? -ENOENT : r;
	r = find_child(&c, dentry_name(d), &child);
	proc_ctx_end(&c);
	if (r == 0)
		r = proc_inode_new(i->sb, &child, &inode);
	if (r == 0)
		dentry_instantiate(d, inode);
	return r;
}

/* Positions: the dots, the table's entries, then each number at its own. */
static int emit_members(const struct proc_ctx *c, struct dir_context *dc)
{
	const struct proc_dir *dir = c->node->entry->dir;
	int64_t base = 2 + (int64_t)dir->count;
	char name[16];

	while (dc->pos - base <= INT_MAX) {
		int number = dir->next(c, (int)(dc->pos - base));
		struct proc_node child = *c->node;

		if (number < 0)
			break;
		child.entry = dir->member;
		if (dir->enter(c, number, &child) == 0) {
			int len = snprintf(name, sizeof(name), "%d", number);
			uint64_t ino = node_ino(&child);

			node_release_fields(&child);
			if (!dc->emit(dc, name, (size_t)len, ino, fs_dirent_type(dir->member->mode), base + number + 1))
				break;
		}
		dc->pos = base + number + 1;
	}
	return 0;
}

/* Positions behind the table: those of list. */
static int emit_named(const struct proc_ctx *c, struct dir_context *dc)
{
	const struct proc_dir *dir = c->node->entry->dir;
	int64_t base = 2 + (int64_t)dir->count;
	int r = may_look_into(c);

	while (r == 0) {
		struct proc_node child = *c->node;
		char name[40];
		int64_t at = dir->list(c, dc->pos - base, name, sizeof(name), &child);
		uint64_t ino;

		if (at < 0)
			break;
		ino = node_ino(&child);
		node_release_fields(&child);
		if (!dc->emit(dc, name, strlen(name), ino, fs_dirent_type(child.entry->mode), base + at + 1))
			break;
		dc->pos = base + at + 1;
	}
	return r;
}

static int dir_iterate(struct file *f, struct dir_context *dc)
{
	const struct proc_node *n = f->inode->priv;
	const struct proc_dir *dir = n->entry->dir;
	struct proc_ctx c;
	int r;

	r = proc_ctx_begin(&c, n);
	if (r < 0)
		return r == -ESRCH ? -ENOENT : r;
	if (!fs_emit_dots(f, dc))
		goto out;
	while (dc->pos < 2 + (int64_t)dir->count) {
		struct proc_node child = *n;

		child.entry = &dir->entries[dc->pos - 2];
		if (!dc->emit(dc, child.entry->name, strlen(child.entry->name), node_ino(&child),
			      fs_dirent_type(child.entry->mode), dc->pos + 1))
			goto out;
		dc->pos++;
	}
	if (dir->next)
		r = emit_members(&c, dc);
	else if (dir->list)
		r = emit_named(&c, dc);
out:
	proc_ctx_end(&c);
	return r;
}

static int own_dir_getattr(struct inode *i, struct l_statx *st)
{
	const struct proc_node *n = i->priv;
	struct proc_ctx c;

	inode_generic_stat(i, st);
	if (n->entry->dir->size && proc_ctx_begin(&c, n) == 0)
		st->stx_size = (uint64_t)n->entry->dir->size(&c);
	proc_ctx_end(&c);
	return 0;
}

/* ---- links ---- */

static int link_readlink(struct inode *i, char **out)
{
	const struct proc_node *n = i->priv;
	struct proc_ctx c;
	int r = begin_guarded(&c, n);

	if (r == 0)
		r = n->entry->text(&c, out);
	proc_ctx_end(&c);
	return r;
}

static int where_to(struct inode *i, struct path *out)
{
	const struct proc_node *n = i->priv;
	struct proc_ctx c;
	int r = begin_guarded(&c, n);

	if (r == 0)
		r = n->entry->follow(&c, out);
	proc_ctx_end(&c);
	return r == -ESRCH ? -ENOENT : r;
}

static int magic_follow(struct inode *i, struct path *out)
{
	const struct proc_node *n = i->priv;
	const struct task *self = task_current();

	if (n->entry->checkpoint && self && !cred_capable(self->cred, L_CAP_CHECKPOINT_RESTORE) &&
	    !cred_capable(self->cred, L_CAP_SYS_ADMIN))
		return -EPERM;
	return where_to(i, out);
}

/* Where it leads, as the reader would name that. */
static int magic_readlink(struct inode *i, char **out)
{
	struct task *self = task_current();
	struct path target, root;
	char *text;
	int r;

	if (!self)
		return -EINVAL;
	r = where_to(i, &target);
	if (r < 0)
		return r;
	text = malloc(L_PATH_MAX);
	r = -ENOMEM;
	if (text) {
		fs_info_root(self->fs, &root);
		r = vfs_path_name(&target, &root, text, L_PATH_MAX);
		path_put(&root);
	}
	path_put(&target);
	if (r < 0) {
		free(text);
		return r;
	}
	*out = text;
	return 0;
}

static const struct inode_ops dir_ops = {
	.lookup = dir_lookup,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops link_ops = {
	.readlink = link_readlink,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops magic_ops = {
	.readlink = magic_readlink,
	.follow = magic_follow,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops file_ops = {
	.open = proc_file_open,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops own_dir_ops = {
	.lookup = dir_lookup,
	.getattr = own_dir_getattr,
	.permission = own_dir_permission,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops sysctl_dir_ops = {
	.lookup = dir_lookup,
	.permission = sysctl_permission,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct inode_ops sysctl_file_ops = {
	.open = proc_file_open,
	.permission = sysctl_permission,
	.setattr = proc_setattr,
	.release = proc_release,
};
static const struct file_ops dir_file_ops = {
	.iterate = dir_iterate,
};

/* ---- the file system ---- */

static int proc_statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_frsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static void proc_super_release(struct super_block *sb)
{
	ns_put(sb->priv);
}

/* Only directories above a mount point are kept: they are good as long as the task is there.
 * DIVERGES: what is mounted below a task's directory stays in the namespace when the task is gone, out of reach. */
static bool proc_revalidate(struct dentry *d)
{
	struct inode *i = dentry_inode(d);
	const struct proc_node *n = i ? i->priv : NULL;
	struct proc_ctx c;

	if (!n || proc_ctx_begin(&c, n) < 0)
		return false;
	proc_ctx_end(&c);
	set_owner(i, n);
	return true;
}

static const struct super_ops proc_super_ops = {
	.statfs = proc_statfs,
	.release = proc_super_release,
	.revalidate = proc_revalidate,
};

int procfs_create(struct pid_ns *ns, struct super_block **out)
{
	struct super_block *sb = super_new("proc", L_PROC_SUPER_MAGIC, &proc_super_ops, NULL);
	struct proc_node root = {.entry = &proc_root_entry, .pid_ns = ns, .fd = -1};
	struct inode *i;

	if (!sb)
		return -ENOMEM;
	proc_sysctl_init();
	sb->priv = ns_get(pid_ns_common(ns));
	sb->flags = SB_NO_CACHE;
	if (proc_inode_new(sb, &root, &i) == 0)
		sb->root = dentry_make_root(sb, i);
	if (!sb->root) {
		super_put(sb);
		return -ENOMEM;
	}
	*out = sb;
	return 0;
}
