/*
 * How procfs is made: tables of entries.  A directory is a table (struct proc_dir), and perhaps members named by
 * numbers; a file is a function that writes its text; a magic link is a function that says where it leads.
 *
 *   node.c     inodes of entries: lookup, listing, links          pid.c         /proc/PID: the tables, links, fd/
 *   file.c     reading and writing files of generated text        pid_status.c  what a task is and does
 *   system.c   /proc itself and what it says of the machine       pid_mem.c     its memory, arguments and limits
 *   cpuinfo.c  /proc/cpuinfo                                      pid_misc.c    the rest of what it has
 *   sysctl.c   /proc/sys                                          ns.c          its namespaces
 *   net.c      /proc/net                                          machine.c     devices, interrupts, memory...
 *   sysvipc.c  /proc/sysvipc                                  user.c        maps of ids, limits of namespaces
 *                                                             map_files.c   its mappings of files
 */
#ifndef BAILEY_SENTRY_FS_PROC_INTERNAL_H
#define BAILEY_SENTRY_FS_PROC_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/vfs/vfs.h"

struct proc_dir;
struct proc_entry;

/* What an inode speaks of. */
struct proc_node {
	const struct proc_entry *entry;
	struct process *process; /* counted; NULL outside of /proc/PID */
	struct pid_ns *pid_ns;	 /* whose numbers are shown: the file system's; borrowed */
	int tid;		 /* its task, as the sentry numbers it; of a process the leader */
	bool thread;		 /* below task/: of that thread alone */
	int fd;			 /* of a member of fd/ and fdinfo/; else -1 */
	uint64_t start, end;	 /* of a member of map_files/: the mapping's; else 0 */
	uint32_t link_mode;	 /* of the same: its permissions */
	bool sysctl;		 /* below /proc/sys, where no capability helps against a mode */
};

/* What a table's functions are called with.  task is the node's, counted by the caller; NULL outside of /proc/PID. */
struct proc_ctx {
	const struct proc_node *node;
	struct task *task;
	const struct cred *opener; /* of a file's functions: who has opened it; borrowed */
	int64_t pos;		   /* of store: where it was written at, */
	size_t size;		   /* and how much, of which text may be the beginning */
};

struct proc_entry {
	const char *name;
	uint32_t mode; /* with the type */
	bool guarded;  /* only for those who may trace the task: ptrace(2), PTRACE_MODE_READ */
	bool own;      /* a directory that the process itself may always read and search */
	bool checkpoint; /* a magic link that only those follow who may take checkpoints: capabilities(7) */
	bool polls_mounts; /* poll(2) tells of changes of the task's mounts */
	bool needs_mm; /* cannot be opened of a task without memory: -ESRCH */
	bool of_mounts; /* nor this of one without a root: -EINVAL */
	bool raw;      /* bytes that lseek may go anywhere in; of any other text there is a beginning only */
	bool of_mm;    /* of the memory that there was at open: nothing is left of it after an execve */
	bool at_open;  /* its text is that of the time when it was opened, whatever becomes of the process; it is small */

	/* A file: writes its text.  -errno. */
	int (*show)(const struct proc_ctx *c, FILE *out);
	/* What a write does; text is NUL-terminated at len.  NULL: -EINVAL for a process's file, -EIO elsewhere. */
	int (*store)(const struct proc_ctx *c, const char *text, size_t len);
	/* In place of both, for what is no text: bytes at a position, on behalf of caller. */
	ssize_t (*transfer)(const struct proc_ctx *c, const struct cred *caller, struct uio *u, int64_t pos, bool write);
	/* A link's text, allocated; or where a magic link leads, counted. */
	int (*text)(const struct proc_ctx *c, char **out);
	int (*follow)(const struct proc_ctx *c, struct path *out);
	const struct proc_dir *dir;

	/* For functions that serve several entries. */
	uint64_t value;
	const char *string;
	struct tunable *tunable;
};

struct proc_dir {
	const struct proc_entry *entries;
	size_t count;
	/* Members named by numbers, each an inode of `member`: the lowest number >= from that there is, or -1; and the node of
	 * one (fields other than entry; process counted), -ENOENT.  NULL: there are none. */
	int (*next)(const struct proc_ctx *c, int from);
	int (*enter)(const struct proc_ctx *c, int number, struct proc_node *child);
	const struct proc_entry *member;
	/* In place of those, members with names of their own, for those alone who may trace the task: the node of one, as enter gives
	 * it, but with its entry; and the first whose position is from or above, its name, and that position, or -ENOENT. */
	int (*find)(const struct proc_ctx *c, const char *name, struct proc_node *child);
	int64_t (*list)(const struct proc_ctx *c, int64_t from, char *name, size_t size, struct proc_node *child);
	int64_t (*size)(const struct proc_ctx *c); /* what stat says, of an `own` entry's; NULL: 0 */
};

#define PROC_FILE(name_, mode_, show_, ...) { .name = (name_), .mode = L_S_IFREG | (mode_), .show = (show_), ##__VA_ARGS__ }
#define PROC_DIR(name_, mode_, dir_, ...) { .name = (name_), .mode = L_S_IFDIR | (mode_), .dir = &(dir_), ##__VA_ARGS__ }
#define PROC_LINK(name_, text_, ...) { .name = (name_), .mode = L_S_IFLNK | 0777, .text = (text_), ##__VA_ARGS__ }
#define PROC_MAGIC(name_, follow_, ...)                                                                                \
	{ .name = (name_), .mode = L_S_IFLNK | 0777, .follow = (follow_), .guarded = true, ##__VA_ARGS__ }

#define PROC_MIN_FREE_KB 67584 /* vm.min_free_kbytes */

/* ---- node.c ---- */

/* An inode for *node, which is consumed, success or not. */
int proc_inode_new(struct super_block *sb, const struct proc_node *node, struct inode **out) MUST_CHECK;
/* Fills *c for a node; -ESRCH if its task is gone.  proc_ctx_end afterwards. */
int proc_ctx_begin(struct proc_ctx *c, const struct proc_node *node) MUST_CHECK;
void proc_ctx_end(struct proc_ctx *c);

/* ---- file.c ---- */
extern const struct file_ops proc_file_ops;
int proc_file_open(struct inode *i, struct file *f) MUST_CHECK;

/* ---- the tables' functions ---- */

extern const struct proc_entry proc_root_entry;	       /* system.c */
extern const struct proc_entry proc_pid_entry;	       /* pid.c */
extern const struct proc_dir proc_sys_dir;	       /* sysctl.c */
extern const struct proc_dir proc_sysvipc_dir;	       /* sysvipc.c */
int proc_root_next(const struct proc_ctx *c, int from); /* pid.c */
bool proc_is_task_dir(const struct proc_entry *e); /* /proc/PID or task/TID */
int proc_root_enter(const struct proc_ctx *c, int number, struct proc_node *child);
int proc_show_cpuinfo(const struct proc_ctx *c, FILE *out);
int proc_show_meminfo(const struct proc_ctx *c, FILE *out); /* machine.c */
int proc_show_devices(const struct proc_ctx *c, FILE *out);
int proc_show_interrupts(const struct proc_ctx *c, FILE *out);
int proc_show_softirqs(const struct proc_ctx *c, FILE *out);
int proc_show_zoneinfo(const struct proc_ctx *c, FILE *out);
int proc_show_vmstat(const struct proc_ctx *c, FILE *out);
int proc_show_key_users(const struct proc_ctx *c, FILE *out);
void proc_sysctl_init(void);
/* Who owns the file of /proc/sys, to t: root, or user 0 of the namespace whose value it is. */
uint32_t proc_sysctl_owner(const struct proc_node *n, const struct task *t);
bool proc_is_user_limit(const struct proc_entry *e); /* user.c */
char proc_task_state(const struct task *t); /* 'R', 'S', ... */

int proc_show_stat(const struct proc_ctx *c, FILE *out); /* pid_status.c */
int proc_show_status(const struct proc_ctx *c, FILE *out);
int proc_show_comm(const struct proc_ctx *c, FILE *out);
int proc_store_comm(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_oom_score(const struct proc_ctx *c, FILE *out);
int proc_show_oom_score_adj(const struct proc_ctx *c, FILE *out);
int proc_store_oom_score_adj(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_personality(const struct proc_ctx *c, FILE *out);
int proc_show_limits(const struct proc_ctx *c, FILE *out);
int proc_show_schedstat(const struct proc_ctx *c, FILE *out);

int proc_show_statm(const struct proc_ctx *c, FILE *out); /* pid_mem.c */
int proc_show_cmdline(const struct proc_ctx *c, FILE *out);
int proc_show_environ(const struct proc_ctx *c, FILE *out);
int proc_show_auxv(const struct proc_ctx *c, FILE *out);
int proc_show_maps(const struct proc_ctx *c, FILE *out);
int proc_show_smaps(const struct proc_ctx *c, FILE *out);
int proc_show_smaps_rollup(const struct proc_ctx *c, FILE *out);
ssize_t proc_pagemap_transfer(const struct proc_ctx *c, const struct cred *caller, struct uio *u, int64_t pos, bool write);

struct locks_view proc_locks_view(const struct proc_ctx *c,
				  FILE *out); /* system.c; with the numbers of c's PID namespace */
int proc_mount_table(const struct proc_ctx *c, bool mountinfo, char **text, size_t *len) MUST_CHECK; /* pid.c; allocated */
int proc_set_oom_score_adj(struct process *p, int v) MUST_CHECK; /* pid_status.c; -EACCES without the right to lower it */

/* A number alone, with white space around it: in base (0: as C writes it), in [min, max]; -EINVAL otherwise. */
int proc_parse_number(const char *text, int base, int64_t min, int64_t max, int64_t *out) MUST_CHECK; /* pid_misc.c */
int proc_show_io(const struct proc_ctx *c, FILE *out);
int proc_show_wchan(const struct proc_ctx *c, FILE *out);
int proc_show_stack(const struct proc_ctx *c, FILE *out);
int proc_show_syscall(const struct proc_ctx *c, FILE *out);
int proc_show_sched(const struct proc_ctx *c, FILE *out);
int proc_show_timers(const struct proc_ctx *c, FILE *out);
int proc_show_timerslack(const struct proc_ctx *c, FILE *out);
int proc_store_timerslack(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_coredump_filter(const struct proc_ctx *c, FILE *out);
int proc_store_coredump_filter(const struct proc_ctx *c, const char *text, size_t len);
int proc_store_clear_refs(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_oom_adj(const struct proc_ctx *c, FILE *out);
int proc_store_oom_adj(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_attr(const struct proc_ctx *c, FILE *out);
int proc_store_attr(const struct proc_ctx *c, const char *text, size_t len);
extern const struct proc_dir proc_attr_dir;
int proc_show_children(const struct proc_ctx *c, FILE *out);
int proc_show_mountstats(const struct proc_ctx *c, FILE *out);
int proc_show_numa_maps(const struct proc_ctx *c, FILE *out);
ssize_t proc_mem_transfer(const struct proc_ctx *c, const struct cred *caller, struct uio *u, int64_t pos, bool write);

int proc_show_id_map(const struct proc_ctx *c, FILE *out); /* user.c; value is the enum id_kind */
int proc_store_id_map(const struct proc_ctx *c, const char *text, size_t len);
int proc_show_setgroups(const struct proc_ctx *c, FILE *out);
int proc_store_setgroups(const struct proc_ctx *c, const char *text, size_t len);
extern const struct proc_dir proc_user_dir; /* /proc/sys/user */
extern const struct proc_dir proc_ns_dir, proc_net_dir;
extern const struct proc_dir proc_map_files_dir; /* map_files.c */
int proc_show_timens_offsets(const struct proc_ctx *c, FILE *out); /* pid_misc.c */
int proc_store_timens_offsets(const struct proc_ctx *c, const char *text, size_t len);

/* The entry's string as it is; with a newline; its number with a newline. */
int proc_show_text(const struct proc_ctx *c, FILE *out);
int proc_show_string(const struct proc_ctx *c, FILE *out);
int proc_show_value(const struct proc_ctx *c, FILE *out);
int proc_text_string(const struct proc_ctx *c, char **out);

#endif
