/*
 * What execve(2) makes of a task's credentials: set-user-ID and set-group-ID bits, file capabilities and the rules of
 * capabilities(7), "Transformation of capabilities during execve()".
 */
#include <endian.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/task/exec_cred.h"
#include "sentry/task/task.h"

struct file_caps {
	uint64_t permitted, inheritable;
	bool present, effective;
};

/* The file's security.capability; none if it is not of a form we know, or means a root who is none to c. */
static int read_file_caps(const struct cred *c, const struct file *f, struct file_caps *out)
{
	struct inode *i = f->inode;
	uint32_t raw[6], revision;
	ssize_t n;

	*out = (struct file_caps){0};
	if (!i->ops || !i->ops->getxattr)
		return 0;
	n = i->ops->getxattr(i, "security.capability", raw, sizeof(raw));
	if (n < 0)
		return 0; /* there is none, or the file system knows none */
	revision = n >= (ssize_t)sizeof(raw[0]) ? le32toh(raw[0]) & L_VFS_CAP_REVISION_MASK : 0;
	if (!(revision == L_VFS_CAP_REVISION_3 && n == 24) && !(revision == L_VFS_CAP_REVISION_2 && n == 20) &&
	    !(revision == L_VFS_CAP_REVISION_1 && n == 12))
		return -EINVAL;
	if (!file_caps_for(i, raw, (size_t)n, c->user_ns))
		return 0;
	out->present = true;
	out->effective = (le32toh(raw[0]) & L_VFS_CAP_FLAGS_EFFECTIVE) != 0;
	out->permitted = le32toh(raw[1]);
	out->inheritable = le32toh(raw[2]);
	if (revision != L_VFS_CAP_REVISION_1) {
		out->permitted |= (uint64_t)le32toh(raw[3]) << 32;
		out->inheritable |= (uint64_t)le32toh(raw[4]) << 32;
	}
	out->permitted &= L_CAP_FULL_SET;
	out->inheritable &= L_CAP_FULL_SET;
	return 0;
}

/* What the bits of the mode make of the effective ids. */
static void apply_setid(const struct l_statx *st, struct cred *c)
{
	if (id_to_ns(c->user_ns, ID_USER, st->stx_uid) == ID_NONE ||
	    id_to_ns(c->user_ns, ID_GROUP, st->stx_gid) == ID_NONE)
		return; /* whose it is is not known there */
	if (st->stx_mode & L_S_ISUID)
		c->euid = st->stx_uid;
	if ((st->stx_mode & (L_S_ISGID | L_S_IXGRP)) == (L_S_ISGID | L_S_IXGRP))
		c->egid = st->stx_gid;
}

int exec_plan_cred(struct task *t, const struct file *f, struct exec_cred *out)
{
	const struct cred *old = t->cred;
	struct cred *c = cred_copy(old, old->group_count);
	struct file_caps caps = {0};
	struct l_statx st;
	uint32_t root = cred_root(old);
	bool setid, effective;
	int r;

	if (!c)
		return -ENOMEM;
	r = vfs_getattr(&f->path, &st);
	if (r == 0 && !c->no_new_privs && vfs_may_suid(&f->path, t->fs->ns, c)) {
		apply_setid(&st, c);
		r = read_file_caps(c, f, &caps);
	}
	if (r < 0)
		goto fail;
	out->clear_personality = c->euid != old->euid || c->egid != old->egid;

	/* The file's. */
	c->cap_permitted = (caps.permitted & c->cap_bounding) | (caps.inheritable & c->cap_inheritable);
	effective = caps.effective;
	r = -EPERM; /* a program that knows nothing of capabilities runs with all of its file's or not at all */
	if (caps.effective && (caps.permitted & ~c->cap_permitted))
		goto fail;
	/* Root's; a set-user-ID program with capabilities of its own has those alone. */
	if (!(c->securebits & L_SECBIT_NOROOT) && !(caps.present && c->uid != root && c->euid == root)) {
		if (c->uid == root || c->euid == root)
			c->cap_permitted = c->cap_bounding | c->cap_inheritable;
		if (c->euid == root)
			effective = true;
	}
	setid = c->euid != c->uid || c->egid != c->gid;
	if ((c->no_new_privs || (t->trace.traced && !t->trace.privileged)) && (setid || (c->cap_permitted & ~old->cap_permitted))) {
		c->euid = c->uid;
		c->egid = c->gid;
		c->cap_permitted &= old->cap_permitted;
	}
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	if (caps.present || setid)
		c->cap_ambient = 0;
	c->cap_permitted |= c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	c->securebits &= ~(uint32_t)L_SECBIT_KEEP_CAPS;

	out->secure = setid || (c->uid != root && (effective || (c->cap_permitted & ~c->cap_ambient)));
	out->dumpable = c->euid == c->uid && c->egid == c->gid && !(c->cap_permitted & ~old->cap_permitted) &&
			vfs_permission(&f->path, MAY_READ, old) == 0;
	out->clear_personality |= effective && caps.present;
	cred_settle(c, old);
	out->cred = c;
	return 0;

fail:
	cred_put(c);
	return r;
}
