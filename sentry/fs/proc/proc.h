/* procfs: the kernel's and the processes' state as files.  Formats are Linux's: see proc(5). */
#ifndef BAILEY_SENTRY_FS_PROC_PROC_H
#define BAILEY_SENTRY_FS_PROC_PROC_H

#include "base/compiler.h"

struct cred;
struct ns;
struct file;
struct pid_ns;
struct process;
struct super_block;
struct task;

/* *out is returned owned.  -ENOMEM. */
int procfs_create(struct pid_ns *ns, struct super_block **out) MUST_CHECK;
/* Whose directory /proc/PID f is; borrowed while f is held; NULL: it is none. */
struct process *proc_process_of(const struct file *f);
/* May the caller look into t, by ptrace(2)'s PTRACE_MODE_READ: 0 or -EACCES. */
int proc_may_access(struct task *t, const struct cred *caller) MUST_CHECK;
/* The same by the caller's real ids, as calls that name a process ask (PTRACE_MODE_*_REALCREDS). */
int proc_may_access_real(struct task *t, const struct cred *caller) MUST_CHECK;

/* A file of nsfs that stands for ns (which it holds), as /proc/PID/ns/KIND does when it is opened. */
int ns_file_new(struct ns *ns, const struct cred *c, struct file **out) MUST_CHECK;
/* The same as a new descriptor of the calling task, closed by execve; -errno. */
int ns_open(struct ns *ns) MUST_CHECK;

/* The types of file systems that there are, by their place in /proc/filesystems; NULL past the last. */
const char *proc_filesystem(size_t index);

#endif
