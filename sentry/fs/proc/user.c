/* User namespaces in /proc: the maps of ids, setgroups (user_namespaces(7)), and the limits of /proc/sys/user. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/task/namespaces.h"

/* ---- /proc/PID/uid_map, gid_map and setgroups ---- */

/* The task's, counted. */
static struct user_ns *ns_of(const struct proc_ctx *c)
{
	return user_ns_of(task_get_ns(c->task, NS_USER));
}

/* What u's ids are to whoever reads: those of his own namespace are told as the parent's. */
int proc_show_id_map(const struct proc_ctx *c, FILE *out)
{
	enum id_kind kind = (enum id_kind)c->node->entry->value;
	struct user_ns *u = ns_of(c);
	const struct user_ns *to = c->opener->user_ns;
	const struct id_map *m = u->maps[kind];

	if (to == u && u->level)
		to = u->ns.owner;
	if (u == &user_ns_first)
		fprintf(out, "%10u %10u %10u\n", 0, id_to_ns(to, kind, 0), UINT32_MAX);
	for (unsigned i = 0; m && i < m->count; i++) {
		const struct id_extent *e = &m->extents[i];

		fprintf(out, "%10u %10u %10u\n", e->first, id_to_ns(to, kind, e->lower), e->count);
	}
	user_ns_put(u);
	return 0;
}

int proc_store_id_map(const struct proc_ctx *c, const char *text, size_t len)
{
	const struct task *self = task_current();
	struct user_ns *u;
	int r;

	(void)len;
	if (!self)
		return -EPERM;
	if (c->pos != 0 || c->size >= PAGE_SIZE)
		return -EINVAL;
	u = ns_of(c);
	r = user_ns_set_map(u, (enum id_kind)c->node->entry->value, text, c->opener, self->cred);
	if (r == 0)
		task_user_ns_changed(u);
	user_ns_put(u);
	return r;
}

int proc_show_setgroups(const struct proc_ctx *c, FILE *out)
{
	struct user_ns *u = ns_of(c);

	fputs(u->setgroups_denied ? "deny\n" : "allow\n", out);
	user_ns_put(u);
	return 0;
}

#define SETGROUPS_MAX 8 /* bytes: the longest word and a newline are less */

int proc_store_setgroups(const struct proc_ctx *c, const char *text, size_t len)
{
	struct user_ns *u;
	int r;

	(void)len;
	if (c->pos != 0 || c->size >= SETGROUPS_MAX)
		return -EINVAL;
	u = ns_of(c);
	r = cred_ns_capable(c->opener, u, L_CAP_SYS_ADMIN) ? user_ns_set_setgroups(u, text) : -EACCES;
	user_ns_put(u);
	return r;
}

/* ---- /proc/sys/user: of the caller's namespace; value is the enum ns_kind ---- */

static struct tunable *limit_of(const struct proc_ctx *c)
{
	struct task *self = task_current();

	return &(self ? self->cred->user_ns : &user_ns_first)->max[c->node->entry->value];
}

static int show_limit(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%lld\n", (long long)limit_of(c)->value);
	return 0;
}

static int store_limit(const struct proc_ctx *c, const char *text, size_t len)
{
	struct tunable *max = limit_of(c);
	int64_t v;
	int r = proc_parse_number(text, 10, max->min, max->max, &v);

	(void)len;
	if (r == 0)
		max->value = v;
	return r;
}

bool proc_is_user_limit(const struct proc_entry *e)
{
	return e->show == show_limit;
}

#define LIMIT(name, kind) PROC_FILE("max_" name "_namespaces", 0644, show_limit, .store = store_limit, .value = (kind))
static const struct proc_entry limits[] = {
	LIMIT("cgroup", NS_CGROUP), LIMIT("ipc", NS_IPC),   LIMIT("mnt", NS_MNT),   LIMIT("net", NS_NET),
	LIMIT("pid", NS_PID),	    LIMIT("time", NS_TIME), LIMIT("user", NS_USER), LIMIT("uts", NS_UTS),
};
const struct proc_dir proc_user_dir = {.entries = limits, .count = ARRAY_SIZE(limits)};
