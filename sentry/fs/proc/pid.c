/* /proc/PID and /proc/PID/task/TID: their tables, their links, and their descriptors. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/vfs/mount.h"

/* ---- links to files ---- */

static int follow_exe(const struct proc_ctx *c, struct path *out)
{
	struct process *p = c->task->process;
	int r = -ENOENT;

	mutex_lock(&p->exec_lock);
	if (p->exe && !p->zombie) {
		*out = p->exe->path;
		path_get(out);
		r = 0;
	}
	mutex_unlock(&p->exec_lock);
	return r;
}

static int follow_fs(const struct proc_ctx *c, struct path *out, void (*which)(struct fs_info *, struct path *))
{
	struct fs_info *fs = task_get_fs(c->task);

	if (!fs)
		return -ENOENT;
	which(fs, out);
	fs_info_put(fs);
	return 0;
}

static int follow_cwd(const struct proc_ctx *c, struct path *out)
{
	return follow_fs(c, out, fs_info_cwd);
}

static int follow_root(const struct proc_ctx *c, struct path *out)
{
	return follow_fs(c, out, fs_info_root);
}

/* ---- fd/ and fdinfo/ ---- */

static int fd_next(const struct proc_ctx *c, int from)
{
	struct fdtable *files = task_get_files(c->task);
	struct file *f = NULL;
	bool cloexec;
	int fd;

	if (!files)
		return -1;
	fd = fdtable_next(files, from, &f, &cloexec);
	if (fd >= 0)
		file_put(f);
	fdtable_put(files);
	return fd;
}

/* The file behind a node of fd/ or fdinfo/, counted. */
static int node_file(const struct proc_ctx *c, int fd, struct file **out, bool *cloexec)
{
	struct fdtable *files = task_get_files(c->task);
	int found;

	if (!files)
		return -ENOENT;
	found = fdtable_next(files, fd, out, cloexec);
	fdtable_put(files);
	if (found == fd)
		return 0;
	if (found >= 0)
		file_put(*out);
	return -ENOENT;
}

static int fd_enter(const struct proc_ctx *c, int number, struct proc_node *child)
{
	struct file *f;
	bool cloexec;
	int r = node_file(c, number, &f, &cloexec);

	if (r < 0)
		return r;
	file_put(f);
	child->fd = number;
	process_get(child->process);
	return 0;
}

/* How many there are. */
static int64_t fd_dir_size(const struct proc_ctx *c)
{
	int64_t n = 0;

	for (int fd = fd_next(c, 0); fd >= 0; fd = fd_next(c, fd + 1))
		n++;
	return n;
}

static int follow_fd(const struct proc_ctx *c, struct path *out)
{
	struct file *f;
	bool cloexec;
	int r = node_file(c, c->node->fd, &f, &cloexec);

	if (r < 0)
		return r;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

static int show_fdinfo(const struct proc_ctx *c, FILE *out)
{
	struct locks_view v;
	struct fdtable *files;
	char more[1024] = "";
	struct file *f;
	bool cloexec;
	int64_t pos;
	int r = node_file(c, c->node->fd, &f, &cloexec);

	if (r < 0)
		return r;
	pos = file_pos_peek(f);
	fprintf(out, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n", (long long)pos,
		f->flags | (cloexec ? L_O_CLOEXEC : 0), f->path.mnt ? mount_id(f->path.mnt) : 0,
		(unsigned long long)f->inode->ino);
	files = task_get_files(c->task);
	v = proc_locks_view(c, out);
	vfs_show_file_locks(&v, f, files); /* compares it alone: there are no locks of a table that is gone */
	fdtable_put(files);
	if (f->ops && f->ops->fdinfo) {
		f->ops->fdinfo(f, more, sizeof(more));
		fputs(more, out);
	}
	file_put(f);
	return 0;
}

static const struct proc_entry fd_member = {.name = "fd", .mode = L_S_IFLNK | 0700, .follow = follow_fd, .guarded = true};
static const struct proc_entry fdinfo_member = PROC_FILE("fdinfo", 0444, show_fdinfo, .guarded = true);
static const struct proc_dir fd_dir = {.next = fd_next, .enter = fd_enter, .member = &fd_member, .size = fd_dir_size};
static const struct proc_dir fdinfo_dir = {.next = fd_next, .enter = fd_enter, .member = &fdinfo_member};

/* ---- mounts ---- */

int proc_mount_table(const struct proc_ctx *c, bool mountinfo, char **text, size_t *len)
{
	struct path root;
	int r = follow_root(c, &root);

	if (r < 0)
		return -EINVAL; /* as Linux, for a task that has ended */
	r = vfs_show_mounts(&root, mountinfo, text, len);
	path_put(&root);
	return r;
}

static int show_mount_table(const struct proc_ctx *c, FILE *out, bool mountinfo)
{
	char *text;
	size_t len;
	int r = proc_mount_table(c, mountinfo, &text, &len);

	if (r < 0)
		return r;
	fwrite(text, 1, len, out);
	free(text);
	return 0;
}

static int show_mounts(const struct proc_ctx *c, FILE *out)
{
	return show_mount_table(c, out, false);
}

static int show_mountinfo(const struct proc_ctx *c, FILE *out)
{
	return show_mount_table(c, out, true);
}

/* ---- user ids ---- */

static int show_id_map(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%10u %10u %10u\n", 0, 0, UINT32_MAX);
	return 0;
}

/* What can be set once at the most, and is: the maps of ids, who logged in. */
static int refuse_store(const struct proc_ctx *c, const char *text, size_t len)
{
	(void)c;
	(void)text;
	(void)len;
	return -EPERM;
}

/* ---- task/ ---- */

static int task_next(const struct proc_ctx *c, int from)
{
	struct process *p = c->task->process;
	int tid = thread_next_nr(p, c->node->pid_ns, from), pid = process_nr(p, c->node->pid_ns);

	/* A leader that has ended stays until the process is reaped, but is in no list of threads. */
	if (pid && from <= pid && (tid < 0 || tid > pid))
		tid = pid;
	return tid;
}

static int task_enter(const struct proc_ctx *c, int number, struct proc_node *child)
{
	struct task *t = task_find(pid_named_in(c->node->pid_ns, number));
	bool ours = t && t->process == c->task->process;
	int tid = t ? t->tid : 0;

	if (t)
		task_put(t);
	if (!ours)
		return -ENOENT;
	child->tid = tid;
	child->thread = true;
	process_get(child->process);
	return 0;
}

static const struct proc_entry tid_entry;
static const struct proc_dir task_dir = {.next = task_next, .enter = task_enter, .member = &tid_entry};

/* ---- the tables ---- */

/* One table for both: the first entries are a thread's alone, the last ones a process's. */
static const struct proc_entry pid_entries[] = {
	PROC_FILE("children", 0444, proc_show_children),
#define THREAD_ONLY 1

	PROC_DIR("attr", 0555, proc_attr_dir),
	PROC_FILE("auxv", 0400, proc_show_auxv, .guarded = true, .needs_mm = true, .at_open = true, .raw = true),
	PROC_FILE("cgroup", 0444, proc_show_string, .string = "0::/"),
	PROC_FILE("clear_refs", 0200, NULL, .store = proc_store_clear_refs),
	PROC_FILE("cmdline", 0444, proc_show_cmdline, .raw = true),
	PROC_FILE("comm", 0644, proc_show_comm, .store = proc_store_comm),
	PROC_FILE("cpuset", 0444, proc_show_string, .string = "/"),
	PROC_MAGIC("cwd", follow_cwd),
	PROC_FILE("environ", 0400, proc_show_environ, .guarded = true, .needs_mm = true, .of_mm = true, .raw = true),
	PROC_MAGIC("exe", follow_exe),
	PROC_DIR("fd", 0500, fd_dir, .own = true),
	PROC_DIR("fdinfo", 0555, fdinfo_dir),
	PROC_FILE("gid_map", 0644, proc_show_id_map, .store = proc_store_id_map, .value = ID_GROUP),
	PROC_FILE("io", 0400, proc_show_io, .guarded = true),
	PROC_FILE("limits", 0444, proc_show_limits),
	PROC_FILE("loginuid", 0644, proc_show_text, .store = refuse_store, .string = "4294967295", .raw = true),
	PROC_FILE("maps", 0444, proc_show_maps, .guarded = true, .of_mm = true),
	{.name = "mem", .mode = L_S_IFREG | 0600, .transfer = proc_mem_transfer, .guarded = true, .needs_mm = true,
	 .of_mm = true},
	PROC_FILE("mountinfo", 0444, show_mountinfo, .of_mounts = true, .polls_mounts = true),
	PROC_FILE("mounts", 0444, show_mounts, .of_mounts = true, .polls_mounts = true),
	PROC_DIR("net", 0555, proc_net_dir),
	PROC_DIR("ns", 0511, proc_ns_dir),
	PROC_FILE("numa_maps", 0444, proc_show_numa_maps, .guarded = true, .of_mm = true),
	PROC_FILE("oom_adj", 0644, proc_show_oom_adj, .store = proc_store_oom_adj, .raw = true),
	PROC_FILE("oom_score", 0444, proc_show_oom_score),
	PROC_FILE("oom_score_adj", 0644, proc_show_oom_score_adj, .store = proc_store_oom_score_adj, .raw = true),
	{.name = "pagemap", .mode = L_S_IFREG | 0400, .transfer = proc_pagemap_transfer, .guarded = true,
	 .needs_mm = true},
	PROC_FILE("personality", 0400, proc_show_personality, .guarded = true),
	PROC_FILE("projid_map", 0644, show_id_map, .store = refuse_store),
	PROC_MAGIC("root", follow_root),
	PROC_FILE("sched", 0644, proc_show_sched),
	PROC_FILE("schedstat", 0444, proc_show_schedstat),
	PROC_FILE("sessionid", 0444, proc_show_text, .string = "4294967295", .raw = true),
	PROC_FILE("setgroups", 0644, proc_show_setgroups, .store = proc_store_setgroups),
	PROC_FILE("smaps", 0444, proc_show_smaps, .guarded = true, .of_mm = true),
	PROC_FILE("smaps_rollup", 0444, proc_show_smaps_rollup, .guarded = true, .needs_mm = true, .of_mm = true),
	PROC_FILE("stack", 0400, proc_show_stack, .guarded = true),
	PROC_FILE("stat", 0444, proc_show_stat),
	PROC_FILE("statm", 0444, proc_show_statm),
	PROC_FILE("status", 0444, proc_show_status),
	PROC_FILE("syscall", 0400, proc_show_syscall, .guarded = true),
	PROC_FILE("uid_map", 0644, proc_show_id_map, .store = proc_store_id_map, .value = ID_USER),
	PROC_FILE("wchan", 0444, proc_show_wchan),

#define PROCESS_ONLY 7
	PROC_FILE("coredump_filter", 0644, proc_show_coredump_filter, .store = proc_store_coredump_filter,
		  .guarded = true, .raw = true),
	PROC_DIR("map_files", 0500, proc_map_files_dir, .own = true),
	PROC_FILE("mountstats", 0400, proc_show_mountstats, .of_mounts = true),
	PROC_DIR("task", 0555, task_dir),
	PROC_FILE("timens_offsets", 0644, proc_show_timens_offsets, .store = proc_store_timens_offsets),
	PROC_FILE("timers", 0444, proc_show_timers, .guarded = true),
	PROC_FILE("timerslack_ns", 0666, proc_show_timerslack, .store = proc_store_timerslack),
};
static const struct proc_dir pid_dir = {.entries = pid_entries + THREAD_ONLY, .count = ARRAY_SIZE(pid_entries) - THREAD_ONLY};
static const struct proc_dir tid_dir = {.entries = pid_entries, .count = ARRAY_SIZE(pid_entries) - PROCESS_ONLY};

const struct proc_entry proc_pid_entry = PROC_DIR("PID", 0555, pid_dir);
static const struct proc_entry tid_entry = PROC_DIR("TID", 0555, tid_dir);

bool proc_is_task_dir(const struct proc_entry *e)
{
	return e == &proc_pid_entry || e == &tid_entry;
}

/* ---- the root's numbers ---- */

int proc_root_next(const struct proc_ctx *c, int from)
{
	return process_next_nr(c->node->pid_ns, from);
}

/* As on Linux a thread's number is found as well, though it is not listed. */
int proc_root_enter(const struct proc_ctx *c, int number, struct proc_node *child)
{
	struct task *t = task_find(pid_named_in(c->node->pid_ns, number));

	if (t && task_nr(t, c->node->pid_ns) != number) {
		task_put(t); /* a group's number, whose leader is gone */
		t = NULL;
	}
	if (!t)
		return -ENOENT;
	child->process = process_get(t->process);
	child->tid = t->tid;
	task_put(t);
	return 0;
}
