/*
 * /proc/sys: what programs look up there.  What Bailey can act upon can be written by root, as on Linux; all else is as in a
 * container, whose /proc/sys does not change.  Values are Linux's defaults, or Bailey's own limits where it has others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/resource.h"
#include "abi/socket.h"
#include "abi/types.h"
#include "abi/utsname.h"
#include "base/checked.h"
#include "host/random.h"
#include "host/system.h"
#include "sentry/core/uts.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/tty/pty.h"
#include "sentry/ipc/aio.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/net/unix/unix.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/inotify.h"

#define UUID_LEN 36

static char boot_id[UUID_LEN + 1]; /* set before there are tasks, immutable afterwards */

/* A random UUID, version 4. */
static void make_uuid(char out[UUID_LEN + 1])
{
	uint8_t b[16];

	host_random(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, UUID_LEN + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void proc_sysctl_init(void)
{
	if (!boot_id[0])
		make_uuid(boot_id);
}

static int show_uuid(const struct proc_ctx *c, FILE *out)
{
	char uuid[UUID_LEN + 1];

	(void)c;
	make_uuid(uuid);
	fprintf(out, "%s\n", uuid);
	return 0;
}

static int show_boot_id(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%s\n", boot_id);
	return 0;
}

/* The caller's, borrowed. */
static struct ns *own_uts(void)
{
	struct task *self = task_current();

	return self ? self->ns[NS_UTS] : uts_ns_first();
}

/* value is where in struct l_utsname the string lies. */
static int show_uts(const struct proc_ctx *c, FILE *out)
{
	struct l_utsname u;

	uts_get(own_uts(), &u);
	fprintf(out, "%s\n", (const char *)&u + c->node->entry->value);
	return 0;
}

/* The first line, as much as there is room for. */
static int store_uts(const struct proc_ctx *c, const char *text, size_t len)
{
	size_t name_len = min_of(strcspn(text, "\n"), (size_t)L_UTS_LEN);

	(void)len;
	if (c->node->entry->value == offsetof(struct l_utsname, nodename))
		uts_set_nodename(own_uts(), text, name_len);
	else
		uts_set_domainname(own_uts(), text, name_len);
	return 0;
}

static int show_randomize(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%u\n", exec_randomize_va_space);
	return 0;
}

static int store_randomize(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t v;
	int r = proc_parse_number(text, 10, 0, 2, &v);

	(void)c;
	(void)len;
	if (r == 0)
		exec_randomize_va_space = (unsigned)v;
	return r;
}

/* value is the enum vfs_protected_kind. */
static int show_protected(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%u\n", vfs_protected[c->node->entry->value]);
	return 0;
}

static int store_protected(const struct proc_ctx *c, const char *text, size_t len)
{
	uint64_t kind = c->node->entry->value;
	int64_t v;
	int r = proc_parse_number(text, 10, 0, kind == VFS_PROTECTED_FIFOS || kind == VFS_PROTECTED_REGULAR ? 2 : 1, &v);

	(void)len;
	if (r == 0)
		vfs_protected[kind] = (unsigned)v;
	return r;
}

/* One for all, or, by its place in there, one of the caller's IPC namespace. */
static struct tunable *tunable_of(const struct proc_entry *e)
{
	return e->tunable ? e->tunable : (struct tunable *)((char *)task_ipc_ns(task_current()) + e->value);
}

static int show_tunable(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%lld\n", (long long)tunable_of(c->node->entry)->value);
	return 0;
}

static int store_tunable(const struct proc_ctx *c, const char *text, size_t len)
{
	struct tunable *t = tunable_of(c->node->entry);
	int64_t v;
	int r = proc_parse_number(text, 10, t->min, t->max, &v);

	(void)len;
	if (r == 0)
		t->value = t->round ? t->round(v) : v;
	return r;
}

static int show_aio_nr(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%" PRIu64 "\n", aio_nr());
	return 0;
}

static int show_ns_last_pid(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%d\n", pid_ns_last(task_current()));
	return 0;
}

static int store_ns_last_pid(const struct proc_ctx *c, const char *text, size_t len)
{
	const struct task *self = task_current();
	const struct user_ns *owner = pid_ns_common(task_pid_ns(self))->owner;
	int64_t v;
	int r = proc_parse_number(text, 10, 0, PID_MAX - 1, &v);

	(void)c;
	(void)len;
	if (!cred_ns_capable(self->cred, owner, L_CAP_SYS_ADMIN) &&
	    !cred_ns_capable(self->cred, owner, L_CAP_CHECKPOINT_RESTORE))
		return -EPERM;
	if (r == 0)
		pid_ns_set_last(self, (int)v);
	return r;
}

/* A pool for which no memory can be had: whatever is asked for, it stays empty. */
static int store_huge_pages(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t ignored;

	(void)c;
	(void)len;
	return proc_parse_number(text, 10, 0, INT64_MAX, &ignored);
}

#define DROP_PAGES 1  /* of file contents, which the host caches */
#define DROP_NAMES 2
#define DROP_SILENT 4 /* Linux says in its log who asked for it */

static int store_drop_caches(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t what;
	int r = proc_parse_number(text, 10, DROP_PAGES, DROP_SILENT, &what);

	(void)c;
	(void)len;
	if (r == 0 && (what & DROP_NAMES))
		log_debug("%zu cached names dropped", dcache_shrink());
	return r;
}

/* Open files, those of them that wait for use (none), how many there may be. */
static int show_file_nr(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%lld\t0\t%lld\n", (long long)vfs_file_count, (long long)INT64_MAX);
	return 0;
}

/* Inodes in memory and unused ones (none are kept); value says how many zeros follow. */
static int show_inode_nr(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%lld", (long long)vfs_inode_count);
	for (uint64_t i = 0; i < c->node->entry->value; i++)
		fputs("\t0", out);
	fputc('\n', out);
	return 0;
}

static int show_pty_count(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%u\n", devpts_count());
	return 0;
}

static struct tunable *sem_limit(unsigned n)
{
	struct ipc_ns *ns = task_ipc_ns(task_current());
	struct tunable *const limits[] = {&ns->semmsl, &ns->semmns, &ns->semopm, &ns->semmni};

	return limits[n];
}

static int show_sem_limits(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	for (unsigned n = 0; n < 4; n++)
		fprintf(out, "%lld%c", (long long)sem_limit(n)->value, n < 3 ? '\t' : '\n');
	return 0;
}

/* Up to four numbers; those before one that is wrong are taken. */
static int store_sem_limits(const struct proc_ctx *c, const char *text, size_t len)
{
	(void)c;
	(void)len;
	for (unsigned n = 0; n < 4; n++) {
		struct tunable *t = sem_limit(n);
		char *end;
		long long v;

		text += strspn(text, " \t\n");
		if (!*text)
			return n ? 0 : -EINVAL;
		v = strtoll(text, &end, 10);
		if (end == text || (*end && !strchr(" \t\n", *end)) || v < INT32_MIN || v > INT32_MAX)
			return -EINVAL;
		if (v < t->min || v > t->max)
			return n == 3 ? -ERANGE : -EINVAL;
		t->value = v;
		text = end;
	}
	return 0;
}

/* A limit of the caller's IPC namespace, at value in it. */
static _Atomic uint64_t *ipc_limit(const struct proc_ctx *c)
{
	return (_Atomic uint64_t *)((char *)task_ipc_ns(task_current()) + c->node->entry->value);
}

static int show_ipc_limit(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%llu\n", (unsigned long long)*ipc_limit(c));
	return 0;
}

static int store_ipc_limit(const struct proc_ctx *c, const char *text, size_t len)
{
	unsigned long long v;
	char *end;

	(void)len;
	text += strspn(text, " \t\n");
	errno = 0;
	v = strtoull(text, &end, 10);
	if (*text == '-' || end == text || end[strspn(end, " \t\n")] || errno)
		return -EINVAL;
	*ipc_limit(c) = v;
	return 0;
}

static bool is_of_ipc_ns(const struct proc_entry *e)
{
	return (e->show == show_tunable && !e->tunable) || e->show == show_ipc_limit || e->show == show_sem_limits;
}

uint32_t proc_sysctl_owner(const struct proc_node *n, const struct task *t)
{
	const struct user_ns *u = &user_ns_first;
	uint32_t root;

	if (is_of_ipc_ns(n->entry))
		u = t->ns[NS_IPC]->owner;
	else if (proc_is_user_limit(n->entry))
		u = t->cred->user_ns;
	root = id_from_ns(u, ID_USER, 0);
	return root == ID_NONE ? 0 : root;
}

#define UTS(name, field) PROC_FILE(name, 0444, show_uts, .value = offsetof(struct l_utsname, field))
#define PROTECTED(name, kind) PROC_FILE("protected_" name, 0644, show_protected, .store = store_protected, .value = (kind))
#define TUNABLE(name, t) PROC_FILE(name, 0644, show_tunable, .store = store_tunable, .tunable = &(t))
#define IPC_TUNABLE(name)                                                                                              \
	PROC_FILE(#name, 0644, show_tunable, .store = store_tunable, .value = offsetof(struct ipc_ns, name))
#define IPC_LIMIT(name)                                                                                                \
	PROC_FILE(#name, 0644, show_ipc_limit, .store = store_ipc_limit, .value = offsetof(struct ipc_ns, name))
#define NUMBER(name, n) PROC_FILE(name, 0444, proc_show_value, .value = (n))
#define STRING(name, s) PROC_FILE(name, 0444, proc_show_string, .string = (s))
#define TABLE(dir, ...)                                                                                                \
	static const struct proc_entry dir##_entries[] = {__VA_ARGS__};                                                \
	static const struct proc_dir dir = {.entries = dir##_entries, .count = ARRAY_SIZE(dir##_entries)}

TABLE(random_dir,
      PROC_FILE("boot_id", 0444, show_boot_id),
      NUMBER("entropy_avail", 256),
      NUMBER("poolsize", 256),
      NUMBER("urandom_min_reseed_secs", 60),
      PROC_FILE("uuid", 0444, show_uuid),
      NUMBER("write_wakeup_threshold", 256));

TABLE(seccomp_dir, STRING("actions_avail", "kill_process kill_thread trap errno trace log allow"));

TABLE(yama_dir, NUMBER("ptrace_scope", 0));

TABLE(pty_dir, NUMBER("max", PTY_MAX), PROC_FILE("nr", 0444, show_pty_count), NUMBER("reserve", 0));

TABLE(kernel_dir,
      STRING("arch", "x86_64"),
      NUMBER("auto_msgmni", 0),
      NUMBER("cap_last_cap", L_CAP_LAST_CAP),
      STRING("core_pattern", "core"),
      NUMBER("core_pipe_limit", 0),
      NUMBER("core_uses_pid", 0),
      NUMBER("ctrl-alt-del", 0),
      NUMBER("dmesg_restrict", 1),
      PROC_FILE("domainname", 0644, show_uts, .store = store_uts, .value = offsetof(struct l_utsname, domainname)),
      PROC_FILE("hostname", 0644, show_uts, .store = store_uts, .value = offsetof(struct l_utsname, nodename)),
      NUMBER("io_uring_disabled", 2),
      NUMBER("kptr_restrict", 1),
      IPC_TUNABLE(msg_next_id),
      IPC_TUNABLE(msgmax),
      IPC_TUNABLE(msgmnb),
      IPC_TUNABLE(msgmni),
      NUMBER("ngroups_max", L_NGROUPS_MAX),
      PROC_FILE("ns_last_pid", 0666, show_ns_last_pid, .store = store_ns_last_pid),
      NUMBER("numa_balancing", 0),
      UTS("osrelease", release),
      UTS("ostype", sysname),
      NUMBER("overflowgid", 65534),
      NUMBER("overflowuid", 65534),
      NUMBER("panic", 0),
      NUMBER("perf_event_paranoid", 3),
      NUMBER("pid_max", PID_MAX),
      STRING("printk", "4\t4\t1\t7"),
      PROC_DIR("pty", 0555, pty_dir),
      PROC_DIR("random", 0555, random_dir),
      PROC_FILE("randomize_va_space", 0644, show_randomize, .store = store_randomize),
      NUMBER("sched_rr_timeslice_ms", 100),
      NUMBER("sched_rt_period_us", 1000000),
      NUMBER("sched_rt_runtime_us", 950000),
      PROC_DIR("seccomp", 0555, seccomp_dir),
      PROC_FILE("sem", 0644, show_sem_limits, .store = store_sem_limits),
      IPC_TUNABLE(sem_next_id),
      IPC_TUNABLE(shm_next_id),
      NUMBER("shm_rmid_forced", 0),
      IPC_LIMIT(shmall),
      IPC_LIMIT(shmmax),
      IPC_TUNABLE(shmmni),
      NUMBER("sysctl_writes_strict", 1),
      NUMBER("tainted", 0),
      NUMBER("threads-max", PID_MAX),
      NUMBER("unprivileged_bpf_disabled", 2),
      UTS("version", version),
      PROC_DIR("yama", 0555, yama_dir));

TABLE(vm_dir,
      NUMBER("admin_reserve_kbytes", 8192),
      NUMBER("dirty_background_bytes", 0),
      NUMBER("dirty_background_ratio", 10),
      NUMBER("dirty_bytes", 0),
      NUMBER("dirty_expire_centisecs", 3000),
      NUMBER("dirty_ratio", 20),
      NUMBER("dirty_writeback_centisecs", 500),
      PROC_FILE("drop_caches", 0200, NULL, .store = store_drop_caches),
      NUMBER("laptop_mode", 0),
      NUMBER("legacy_va_layout", 0),
      TUNABLE("max_map_count", mm_max_map_count),
      NUMBER("memfd_noexec", 0),
      NUMBER("min_free_kbytes", PROC_MIN_FREE_KB),
      NUMBER("mmap_min_addr", GUEST_MIN),
      PROC_FILE("nr_hugepages", 0644, proc_show_value, .store = store_huge_pages),
      NUMBER("nr_overcommit_hugepages", 0),
      NUMBER("oom_dump_tasks", 1),
      NUMBER("oom_kill_allocating_task", 0),
      NUMBER("overcommit_kbytes", 0),
      NUMBER("overcommit_memory", 0),
      NUMBER("overcommit_ratio", 50),
      NUMBER("page-cluster", 3),
      NUMBER("panic_on_oom", 0),
      NUMBER("swappiness", 60),
      NUMBER("unprivileged_userfaultfd", 0),
      NUMBER("user_reserve_kbytes", 131072),
      NUMBER("vfs_cache_pressure", 100),
      NUMBER("zone_reclaim_mode", 0));

TABLE(epoll_dir, NUMBER("max_user_watches", 1 << 20));
TABLE(inotify_dir,
      TUNABLE("max_queued_events", inotify_max_queued_events),
      TUNABLE("max_user_instances", inotify_max_instances),
      TUNABLE("max_user_watches", inotify_max_watches));
TABLE(mqueue_dir,
      NUMBER("msg_default", MQ_MSG_DEFAULT),
      NUMBER("msg_max", MQ_MSG_MAX),
      NUMBER("msgsize_default", MQ_MSGSIZE_DEFAULT),
      NUMBER("msgsize_max", MQ_MSGSIZE_MAX),
      NUMBER("queues_max", MQ_QUEUES_MAX));

TABLE(fs_dir,
      TUNABLE("aio-max-nr", aio_max_nr),
      PROC_FILE("aio-nr", 0444, show_aio_nr),
      STRING("dentry-state", "0\t0\t45\t0\t0\t0"),
      TUNABLE("dir-notify-enable", dnotify_enable),
      PROC_DIR("epoll", 0555, epoll_dir),
      NUMBER("file-max", INT64_MAX),
      PROC_FILE("file-nr", 0444, show_file_nr),
      PROC_FILE("inode-nr", 0444, show_inode_nr, .value = 1),
      PROC_FILE("inode-state", 0444, show_inode_nr, .value = 6),
      PROC_DIR("inotify", 0555, inotify_dir),
      TUNABLE("lease-break-time", lease_break_time),
      TUNABLE("leases-enable", leases_enable),
      NUMBER("mount-max", 100000),
      PROC_DIR("mqueue", 0555, mqueue_dir),
      TUNABLE("nr_open", vfs_nr_open),
      NUMBER("overflowgid", 65534),
      NUMBER("overflowuid", 65534),
      TUNABLE("pipe-max-size", pipe_max_size),
      NUMBER("pipe-user-pages-hard", 0),
      NUMBER("pipe-user-pages-soft", 16384),
      PROTECTED("fifos", VFS_PROTECTED_FIFOS),
      PROTECTED("hardlinks", VFS_PROTECTED_HARDLINKS),
      PROTECTED("regular", VFS_PROTECTED_REGULAR),
      PROTECTED("symlinks", VFS_PROTECTED_SYMLINKS),
      NUMBER("suid_dumpable", 0));

TABLE(tty_dir, NUMBER("ldisc_autoload", 0), NUMBER("legacy_tiocsti", 0));
TABLE(dev_dir, PROC_DIR("tty", 0555, tty_dir));

TABLE(core_dir,
      STRING("default_qdisc", "pfifo_fast"),
      NUMBER("netdev_max_backlog", 1000),
      NUMBER("optmem_max", 131072),
      NUMBER("rmem_default", 212992),
      NUMBER("rmem_max", 212992),
      TUNABLE("somaxconn", net_somaxconn),
      NUMBER("wmem_default", 212992),
      NUMBER("wmem_max", 212992));
TABLE(unix_dir,
      TUNABLE("max_dgram_qlen", unix_max_dgram_qlen));
TABLE(ipv4_dir,
      NUMBER("ip_default_ttl", 64),
      NUMBER("ip_forward", 0),
      STRING("ip_local_port_range", "32768\t60999"),
      STRING("ip_local_reserved_ports", ""),
      NUMBER("ip_nonlocal_bind", 0),
      NUMBER("ip_unprivileged_port_start", 1024),
      STRING("ping_group_range", "1\t0"),
      STRING("tcp_available_congestion_control", "reno"),
      STRING("tcp_congestion_control", "reno"),
      NUMBER("tcp_fin_timeout", 60),
      NUMBER("tcp_keepalive_intvl", 75),
      NUMBER("tcp_keepalive_probes", 9),
      NUMBER("tcp_keepalive_time", 7200),
      NUMBER("tcp_max_syn_backlog", 512),
      STRING("tcp_rmem", "4096\t131072\t6291456"),
      NUMBER("tcp_sack", 1),
      NUMBER("tcp_syncookies", 1),
      NUMBER("tcp_timestamps", 1),
      NUMBER("tcp_window_scaling", 1),
      STRING("tcp_wmem", "4096\t16384\t4194304"));
TABLE(net_dir, PROC_DIR("core", 0555, core_dir), PROC_DIR("ipv4", 0555, ipv4_dir), PROC_DIR("unix", 0555, unix_dir));

static const struct proc_entry sys_entries[] = {
	PROC_DIR("dev", 0555, dev_dir), PROC_DIR("fs", 0555, fs_dir),	       PROC_DIR("kernel", 0555, kernel_dir),
	PROC_DIR("net", 0555, net_dir), PROC_DIR("user", 0555, proc_user_dir), PROC_DIR("vm", 0555, vm_dir),
};
const struct proc_dir proc_sys_dir = {.entries = sys_entries, .count = ARRAY_SIZE(sys_entries)};
