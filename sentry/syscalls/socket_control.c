/*
 * Ancillary data as guests write and read it: cmsg(3).  What it means is the socket families'; this is its form, and the rules of who
 * may say that he is whom (unix(7)).
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/socket.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/socket_args.h"
#include "sentry/task/pidns.h"

#define CONTROL_MAX 131072u /* net.core.optmem_max */
#define HEADER ((uint32_t)sizeof(struct l_cmsghdr))

/* ---- in ---- */

/* -EPERM: t may not say that it is those. */
static int check_claim(const struct task *t, int pid, uint32_t uid, uint32_t gid)
{
	const struct cred *c = t->cred;

	if (pid != t->process->pid && !cred_own_capable(c, L_CAP_SYS_ADMIN))
		return -EPERM;
	if (uid != c->uid && uid != c->euid && uid != c->suid && !cred_own_capable(c, L_CAP_SETUID))
		return -EPERM;
	if (gid != c->gid && gid != c->egid && gid != c->sgid && !cred_own_capable(c, L_CAP_SETGID))
		return -EPERM;
	return 0;
}

static int take_cred(struct task *t, const uint8_t *data, uint64_t size, struct scm *out)
{
	uint32_t uid, gid;
	struct l_ucred u;
	int pid, r;

	if (size != sizeof(u))
		return -EINVAL;
	memcpy(&u, data, sizeof(u));
	pid = pid_named(t, u.pid);
	uid = cred_read_uid(t->cred, u.uid);
	gid = cred_read_gid(t->cred, u.gid);
	if (uid == ID_NONE || gid == ID_NONE)
		return -EINVAL;
	r = check_claim(t, pid, uid, gid);
	if (r < 0)
		return r;
	if (out->has_cred)
		scm_cred_put(&out->cred);
	out->has_cred = false;
	out->cred.process = process_find(pid);
	if (!out->cred.process)
		return -ESRCH;
	out->cred.uid = uid;
	out->cred.gid = gid;
	out->has_cred = true;
	return 0;
}

static int take_rights(struct task *t, const uint8_t *data, uint64_t size, struct scm *out)
{
	uint64_t count = size / sizeof(int32_t);

	if (count > L_SCM_MAX_FD || (out->rights && count + out->rights->count > L_SCM_MAX_FD))
		return -EINVAL;
	if (count && !out->rights) {
		out->rights = scm_rights_new(L_SCM_MAX_FD);
		if (!out->rights)
			return -ENOMEM;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct file *f;
		int32_t fd;

		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		f = fd_lookup_path_ok(t->files, fd);
		if (!f)
			return -EBADF;
		out->rights->files[out->rights->count++] = f;
	}
	return 0;
}

static int take_one(struct task *t, const struct l_cmsghdr *h, const uint8_t *data, int family, struct scm *out)
{
	uint64_t size = h->cmsg_len - HEADER;

	if (h->cmsg_level != L_SOL_SOCKET)
		return family == L_AF_UNIX ? 0 : -EINVAL;
	if (h->cmsg_type == L_SCM_RIGHTS && family == L_AF_UNIX)
		return take_rights(t, data, size, out);
	if (h->cmsg_type == L_SCM_CREDENTIALS)
		return take_cred(t, data, size, out);
	return -EINVAL;
}

static int take_all(struct task *t, const uint8_t *buf, uint64_t len, int family, struct scm *out)
{
	uint64_t at = 0;

	while (len - at >= HEADER) {
		struct l_cmsghdr h;
		int r;

		memcpy(&h, buf + at, HEADER);
		if (h.cmsg_len < HEADER || h.cmsg_len > len - at)
			return -EINVAL;
		r = take_one(t, &h, buf + at + HEADER, family, out);
		if (r < 0)
			return r;
		if (L_CMSG_ALIGN(h.cmsg_len) > len - at)
			break;
		at += L_CMSG_ALIGN(h.cmsg_len);
	}
	return 0;
}

int control_take(struct task *t, const struct l_msghdr *m, int family, struct scm *out)
{
	uint8_t *buf;
	int r;

	*out = (struct scm){0};
	if (!m->msg_controllen)
		return 0;
	if (m->msg_controllen >= CONTROL_MAX)
		return -ENOBUFS;
	buf = malloc(m->msg_controllen);
	if (!buf)
		return -ENOBUFS;
	r = copy_in(t->ctx, buf, m->msg_control, m->msg_controllen);
	if (r == 0)
		r = take_all(t, buf, m->msg_controllen, family, out);
	free(buf);
	return r;
}

/* ---- out ---- */

static void step(struct control_out *o, uint64_t len)
{
	uint64_t space = min_of(L_CMSG_ALIGN(len), o->left);

	o->at += space;
	o->left -= space;
}

/* One piece of data, cut if there is no room for all of it.  False: nobody could be told. */
static bool put(struct task *t, struct control_out *o, int level, int type, const void *data, uint32_t size)
{
	struct {
		struct l_cmsghdr h;
		uint8_t data[32];
	} c = {{HEADER + size, level, type}, {0}};

	ASSERT(size <= sizeof(c.data));
	if (!o->given || o->left < HEADER) {
		o->flags |= L_MSG_CTRUNC;
		return true;
	}
	if (o->left < c.h.cmsg_len) {
		o->flags |= L_MSG_CTRUNC;
		c.h.cmsg_len = o->left;
	}
	memcpy(c.data, data, size);
	if (copy_out(t->ctx, o->at, &c, c.h.cmsg_len) < 0)
		return false;
	step(o, HEADER + size);
	return true;
}

static void give_cred(struct task *t, const struct scm *scm, struct control_out *o)
{
	struct l_ucred u = {0, ID_OVERFLOW, ID_OVERFLOW};

	if (scm->has_cred) {
		u.pid = scm->cred.process ? process_nr(scm->cred.process, task_pid_ns(t)) : 0;
		u.uid = cred_show_uid(t->cred, scm->cred.uid);
		u.gid = cred_show_gid(t->cred, scm->cred.gid);
	}
	(void)!put(t, o, L_SOL_SOCKET, L_SCM_CREDENTIALS, &u, sizeof(u));
}

static void give_pidfd(struct task *t, const struct scm *scm, struct control_out *o)
{
	struct file *f;
	int32_t fd;

	if (!o->given || o->left < HEADER + sizeof(fd)) {
		o->flags |= L_MSG_CTRUNC;
		return;
	}
	if (!scm->has_cred || !scm->cred.process)
		return;
	fd = pidfd_file_new(scm->cred.process, NULL, 0, t->cred, &f);
	if (fd == 0)
		fd = (int32_t)task_install(t, f, true);
	if (!put(t, o, L_SOL_SOCKET, L_SCM_PIDFD, &fd, sizeof(fd)) && fd >= 0)
		(void)!fd_close(t->files, fd);
}

/* A descriptor for f; false if there can be none, or nobody could be told. */
static bool give_file(struct task *t, struct file *f, uint64_t at, bool cloexec)
{
	int32_t fd = (int32_t)task_install(t, file_get(f), cloexec);

	if (fd < 0)
		return false;
	if (copy_out(t->ctx, at, &fd, sizeof(fd)) == 0)
		return true;
	(void)!fd_close(t->files, fd);
	return false;
}

static void give_rights(struct task *t, const struct scm_rights *r, struct control_out *o)
{
	uint64_t room = o->given && o->left > HEADER ? (o->left - HEADER) / sizeof(int32_t) : 0;
	struct l_cmsghdr h = {0, L_SOL_SOCKET, L_SCM_RIGHTS};
	unsigned n = 0;

	while (n < r->count && n < room && give_file(t, r->files[n], o->at + HEADER + n * sizeof(int32_t), o->cloexec))
		n++;
	if (n) {
		h.cmsg_len = HEADER + n * sizeof(int32_t);
		if (copy_out(t->ctx, o->at, &h, HEADER) == 0)
			step(o, h.cmsg_len);
	}
	if (n < r->count)
		o->flags |= L_MSG_CTRUNC;
}

/* What a family has told. */
static void give_told(struct task *t, const struct net_msg *m, struct control_out *o)
{
	struct l_cmsghdr h;

	for (uint32_t at = 0; at < m->told_len; at += (uint32_t)L_CMSG_ALIGN(h.cmsg_len)) {
		memcpy(&h, m->told + at, sizeof(h));
		(void)!put(t, o, h.cmsg_level, h.cmsg_type, m->told + at + sizeof(h), (uint32_t)(h.cmsg_len - sizeof(h)));
	}
}

void control_give(struct task *t, struct socket *s, struct net_msg *m, struct control_out *o)
{
	struct scm *scm = &m->scm;

	give_told(t, m, o);
	if (socket_has(s, SOCKET_PASSCRED))
		give_cred(t, scm, o);
	if (scm->rights)
		give_rights(t, scm->rights, o);
	if (socket_has(s, SOCKET_PASSPIDFD))
		give_pidfd(t, scm, o);
}
