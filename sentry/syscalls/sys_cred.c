/* User and group ids and capabilities: credentials(7), capabilities(7).  A change makes a new struct cred. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

#define UNCHANGED 0xffffffffu

long sys_getuid(struct task *t, const struct sys_args *args)
{
	return cred_show_uid(t->cred, t->cred->uid);
}

long sys_geteuid(struct task *t, const struct sys_args *args)
{
	return cred_show_uid(t->cred, t->cred->euid);
}

long sys_getgid(struct task *t, const struct sys_args *args)
{
	return cred_show_gid(t->cred, t->cred->gid);
}

long sys_getegid(struct task *t, const struct sys_args *args)
{
	return cred_show_gid(t->cred, t->cred->egid);
}

static int put_three(struct task *t, const struct sys_args *args, uint32_t a, uint32_t b, uint32_t c)
{
	int r = copy_out(t->ctx, args->a[0], &a, sizeof(a));

	if (r == 0)
		r = copy_out(t->ctx, args->a[1], &b, sizeof(b));
	if (r == 0)
		r = copy_out(t->ctx, args->a[2], &c, sizeof(c));
	return r;
}

long sys_getresuid(struct task *t, const struct sys_args *args)
{
	const struct cred *c = t->cred;

	return put_three(t, args, cred_show_uid(c, c->uid), cred_show_uid(c, c->euid), cred_show_uid(c, c->suid));
}

long sys_getresgid(struct task *t, const struct sys_args *args)
{
	const struct cred *c = t->cred;

	return put_three(t, args, cred_show_gid(c, c->gid), cred_show_gid(c, c->egid), cred_show_gid(c, c->sgid));
}

/* ---- changing ---- */

/* What a change of user ids does to capabilities: capabilities(7), "Effect of user ID changes". */
static void fix_capabilities(const struct cred *old, struct cred *c)
{
	uint32_t root = cred_root(c);
	bool had_root = old->uid == root || old->euid == root || old->suid == root;
	bool has_root = c->uid == root || c->euid == root || c->suid == root;

	if (c->securebits & L_SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && !has_root) {
		if (!(c->securebits & L_SECBIT_KEEP_CAPS))
			c->cap_permitted = c->cap_effective = 0;
		c->cap_ambient = 0;
	}
	if (old->euid == root && c->euid != root)
		c->cap_effective = 0;
	if (old->euid != root && c->euid == root)
		c->cap_effective = c->cap_permitted;
}

static long commit_uids(struct task *t, struct cred *c)
{
	c->fsuid = c->euid;
	fix_capabilities(t->cred, c);
	task_set_cred(t, c);
	return 0;
}

static long commit_gids(struct task *t, struct cred *c)
{
	c->fsgid = c->egid;
	task_set_cred(t, c);
	return 0;
}

static struct cred *copy_cred(struct task *t)
{
	return cred_copy(t->cred, t->cred->group_count);
}

long sys_setuid(struct task *t, const struct sys_args *args)
{
	uint32_t uid = cred_read_uid(t->cred, (uint32_t)args->a[0]);
	struct cred *c;

	if (uid == ID_NONE)
		return -EINVAL;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	if (cred_own_capable(c, L_CAP_SETUID)) {
		c->uid = c->suid = uid;
	} else if (uid != c->uid && uid != c->suid) {
		cred_put(c);
		return -EPERM;
	}
	c->euid = uid;
	return commit_uids(t, c);
}

long sys_setgid(struct task *t, const struct sys_args *args)
{
	uint32_t gid = cred_read_gid(t->cred, (uint32_t)args->a[0]);
	struct cred *c;

	if (gid == ID_NONE)
		return -EINVAL;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	if (cred_own_capable(c, L_CAP_SETGID)) {
		c->gid = c->sgid = gid;
	} else if (gid != c->gid && gid != c->sgid) {
		cred_put(c);
		return -EPERM;
	}
	c->egid = gid;
	return commit_gids(t, c);
}

/* An argument that may say UNCHANGED: what it means to t.  False: it means nobody. */
static bool read_id(const struct task *t, enum id_kind kind, uint64_t arg, uint32_t *out)
{
	*out = id_from_ns(t->cred->user_ns, kind, (uint32_t)arg);
	return *out != ID_NONE || (uint32_t)arg == UNCHANGED;
}

/* Without the capability an id may only become one of those it is now. */
static bool id_allowed(uint32_t id, bool capable, uint32_t a, uint32_t b, uint32_t c)
{
	return id == UNCHANGED || capable || id == a || id == b || id == c;
}

long sys_setresuid(struct task *t, const struct sys_args *args)
{
	uint32_t r, e, s;
	const struct cred *o = t->cred;
	bool cap = cred_own_capable(o, L_CAP_SETUID);
	struct cred *c;

	if (!read_id(t, ID_USER, args->a[0], &r) || !read_id(t, ID_USER, args->a[1], &e) ||
	    !read_id(t, ID_USER, args->a[2], &s))
		return -EINVAL;
	if (!id_allowed(r, cap, o->uid, o->euid, o->suid) || !id_allowed(e, cap, o->uid, o->euid, o->suid) ||
	    !id_allowed(s, cap, o->uid, o->euid, o->suid))
		return -EPERM;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	c->uid = r == UNCHANGED ? c->uid : r;
	c->euid = e == UNCHANGED ? c->euid : e;
	c->suid = s == UNCHANGED ? c->suid : s;
	return commit_uids(t, c);
}

long sys_setresgid(struct task *t, const struct sys_args *args)
{
	uint32_t r, e, s;
	const struct cred *o = t->cred;
	bool cap = cred_own_capable(o, L_CAP_SETGID);
	struct cred *c;

	if (!read_id(t, ID_GROUP, args->a[0], &r) || !read_id(t, ID_GROUP, args->a[1], &e) ||
	    !read_id(t, ID_GROUP, args->a[2], &s))
		return -EINVAL;
	if (!id_allowed(r, cap, o->gid, o->egid, o->sgid) || !id_allowed(e, cap, o->gid, o->egid, o->sgid) ||
	    !id_allowed(s, cap, o->gid, o->egid, o->sgid))
		return -EPERM;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	c->gid = r == UNCHANGED ? c->gid : r;
	c->egid = e == UNCHANGED ? c->egid : e;
	c->sgid = s == UNCHANGED ? c->sgid : s;
	return commit_gids(t, c);
}

long sys_setreuid(struct task *t, const struct sys_args *args)
{
	uint32_t r, e;
	const struct cred *o = t->cred;
	bool cap = cred_own_capable(o, L_CAP_SETUID);
	uint32_t old_uid = o->uid;
	struct cred *c;

	if (!read_id(t, ID_USER, args->a[0], &r) || !read_id(t, ID_USER, args->a[1], &e))
		return -EINVAL;
	if (!id_allowed(r, cap, o->uid, o->euid, o->uid) || !id_allowed(e, cap, o->uid, o->euid, o->suid))
		return -EPERM;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	c->uid = r == UNCHANGED ? c->uid : r;
	c->euid = e == UNCHANGED ? c->euid : e;
	if (r != UNCHANGED || (e != UNCHANGED && e != old_uid))
		c->suid = c->euid;
	return commit_uids(t, c);
}

long sys_setregid(struct task *t, const struct sys_args *args)
{
	uint32_t r, e;
	const struct cred *o = t->cred;
	bool cap = cred_own_capable(o, L_CAP_SETGID);
	uint32_t old_gid = o->gid;
	struct cred *c;

	if (!read_id(t, ID_GROUP, args->a[0], &r) || !read_id(t, ID_GROUP, args->a[1], &e))
		return -EINVAL;
	if (!id_allowed(r, cap, o->gid, o->egid, o->gid) || !id_allowed(e, cap, o->gid, o->egid, o->sgid))
		return -EPERM;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	c->gid = r == UNCHANGED ? c->gid : r;
	c->egid = e == UNCHANGED ? c->egid : e;
	if (r != UNCHANGED || (e != UNCHANGED && e != old_gid))
		c->sgid = c->egid;
	return commit_gids(t, c);
}

/* What has to do with files goes and comes with root's file system id. */
static void fix_fs_capabilities(const struct cred *old, struct cred *c)
{
	uint32_t root = cred_root(c);

	if (c->securebits & L_SECBIT_NO_SETUID_FIXUP)
		return;
	if (old->fsuid == root && c->fsuid != root)
		c->cap_effective &= ~L_CAP_FS_SET;
	if (old->fsuid != root && c->fsuid == root)
		c->cap_effective |= L_CAP_FS_SET & c->cap_permitted;
}

/* setfsuid(2) and setfsgid(2) return the old id, whatever happened. */
long sys_setfsuid(struct task *t, const struct sys_args *args)
{
	uint32_t id = cred_read_uid(t->cred, (uint32_t)args->a[0]), old = cred_show_uid(t->cred, t->cred->fsuid);
	const struct cred *o = t->cred;
	struct cred *c;

	if (id == ID_NONE || id == o->fsuid ||
	    !(id == o->uid || id == o->euid || id == o->suid || cred_own_capable(o, L_CAP_SETUID)))
		return old;
	c = copy_cred(t);
	if (!c)
		return old;
	c->fsuid = id;
	fix_fs_capabilities(t->cred, c);
	task_set_cred(t, c);
	return old;
}

long sys_setfsgid(struct task *t, const struct sys_args *args)
{
	uint32_t id = cred_read_gid(t->cred, (uint32_t)args->a[0]), old = cred_show_gid(t->cred, t->cred->fsgid);
	const struct cred *o = t->cred;
	struct cred *c;

	if (id == ID_NONE || id == o->fsgid ||
	    !(id == o->gid || id == o->egid || id == o->sgid || cred_own_capable(o, L_CAP_SETGID)))
		return old;
	c = copy_cred(t);
	if (!c)
		return old;
	c->fsgid = id;
	task_set_cred(t, c);
	return old;
}

/* ---- supplementary groups ---- */

static int put_groups(struct task *t, uint64_t dst)
{
	const struct cred *c = t->cred;
	size_t size = c->group_count * sizeof(c->groups[0]);
	uint32_t *shown;
	int r;

	if (c->user_ns == &user_ns_first)
		return copy_out(t->ctx, dst, c->groups, size);
	shown = malloc(size + 1);
	if (!shown)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->group_count; i++)
		shown[i] = cred_show_gid(c, c->groups[i]);
	r = copy_out(t->ctx, dst, shown, size);
	free(shown);
	return r;
}

long sys_getgroups(struct task *t, const struct sys_args *args)
{
	int size = (int)args->a[0];
	const struct cred *c = t->cred;
	int r;

	if (size < 0)
		return -EINVAL;
	if (size == 0)
		return (long)c->group_count;
	if ((uint32_t)size < c->group_count)
		return -EINVAL;
	r = put_groups(t, args->a[1]);
	return r < 0 ? r : (long)c->group_count;
}

long sys_setgroups(struct task *t, const struct sys_args *args)
{
	uint32_t count = (uint32_t)args->a[0];
	struct cred *c;
	int r;

	if (!cred_own_capable(t->cred, L_CAP_SETGID) || !user_ns_may_setgroups(t->cred->user_ns))
		return -EPERM;
	if (count > L_NGROUPS_MAX)
		return -EINVAL;
	c = cred_copy(t->cred, count);
	if (!c)
		return -ENOMEM;
	r = copy_in(t->ctx, c->groups, args->a[1], count * sizeof(c->groups[0]));
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		c->groups[i] = cred_read_gid(c, c->groups[i]);
		r = c->groups[i] == ID_NONE ? -EINVAL : 0;
	}
	if (r < 0) {
		cred_put(c);
		return r;
	}
	cred_sort_groups(c);
	task_set_cred(t, c);
	return 0;
}

/* ---- capabilities ---- */

/* The header's version and how many words of data it has; an unknown one is answered with the present one. */
static int cap_header(struct task *t, uint64_t gva, struct l_user_cap_header *h, size_t *words)
{
	int r = copy_in(t->ctx, &h->version, gva, sizeof(h->version));

	if (r < 0)
		return r;
	switch (h->version) {
	case L__LINUX_CAPABILITY_VERSION_1:
		*words = 1;
		break;
	case L__LINUX_CAPABILITY_VERSION_2:
	case L__LINUX_CAPABILITY_VERSION_3:
		*words = 2;
		break;
	default:
		h->version = L__LINUX_CAPABILITY_VERSION_3;
		r = copy_out(t->ctx, gva, &h->version, sizeof(h->version));
		return r < 0 ? r : -EINVAL;
	}
	return copy_in(t->ctx, &h->pid, gva + offsetof(struct l_user_cap_header, pid), sizeof(h->pid));
}

long sys_capget(struct task *t, const struct sys_args *args)
{
	struct l_user_cap_data data[2];
	struct l_user_cap_header h;
	const struct cred *c;
	size_t words;
	int r = cap_header(t, args->a[0], &h, &words);

	if (r < 0)
		return r == -EINVAL && !args->a[1] ? 0 : r;
	if (h.pid < 0)
		return -EINVAL;
	if (h.pid == 0 || h.pid == task_own_nr(t)) {
		c = cred_get(t->cred);
	} else {
		struct task *o = task_named(t, h.pid);

		if (!o)
			return -ESRCH;
		c = task_get_cred(o);
		task_put(o);
	}
	for (size_t i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(c->cap_effective >> (32 * i));
		data[i].permitted = (uint32_t)(c->cap_permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(c->cap_inheritable >> (32 * i));
	}
	cred_put(c);
	return args->a[1] ? copy_out(t->ctx, args->a[1], data, words * sizeof(data[0])) : 0;
}

long sys_capset(struct task *t, const struct sys_args *args)
{
	struct l_user_cap_data data[2];
	struct l_user_cap_header h;
	const struct cred *o = t->cred;
	uint64_t eff = 0, perm = 0, inh = 0;
	struct cred *c;
	size_t words;
	int r = cap_header(t, args->a[0], &h, &words);

	if (r < 0)
		return r;
	if (h.pid != 0 && h.pid != task_own_nr(t))
		return -EPERM;
	memset(data, 0, sizeof(data));
	r = copy_in(t->ctx, data, args->a[1], words * sizeof(data[0]));
	if (r < 0)
		return r;
	for (size_t i = 0; i < 2; i++) {
		eff |= (uint64_t)data[i].effective << (32 * i);
		perm |= (uint64_t)data[i].permitted << (32 * i);
		inh |= (uint64_t)data[i].inheritable << (32 * i);
	}
	eff &= L_CAP_FULL_SET;
	perm &= L_CAP_FULL_SET;
	inh &= L_CAP_FULL_SET;
	if ((inh & ~(o->cap_inheritable | o->cap_permitted)) && !cred_own_capable(o, L_CAP_SETPCAP))
		return -EPERM;
	if ((inh & ~(o->cap_inheritable | o->cap_bounding)) || (perm & ~o->cap_permitted) || (eff & ~perm))
		return -EPERM;
	c = copy_cred(t);
	if (!c)
		return -ENOMEM;
	c->cap_effective = eff;
	c->cap_permitted = perm;
	c->cap_inheritable = inh;
	c->cap_ambient &= perm & inh;
	task_set_cred(t, c);
	return 0;
}
