/* What the host says of the sentry's own process and of its stubs. */
#ifndef BAILEY_HOST_PROCESS_H
#define BAILEY_HOST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/* The limit `resource` (Linux's numbering) of the sentry; RLIM64_INFINITY is UINT64_MAX. */
int host_getrlimit(unsigned resource, uint64_t *soft, uint64_t *hard) MUST_CHECK;
/* The soft limit of descriptors as it was before the sentry raised its own, which host_getrlimit tells from now on, and as it is since. */
void host_note_fd_limit(uint64_t soft, uint64_t raised);
/* How many descriptors the sentry may have: 0 if that was never noted. */
uint64_t host_own_fd_limit(void);

/*
 * Where the stubs are seen: a directory descriptor of a proc file system of the sentry's process id namespace
 * (consumed), or -1.  confine.c calls it once, at start-up.
 */
void host_set_proc_fd(int fd);
int host_proc_fd(void); /* borrowed */
/* Opens a file of the process's directory there, to be read.  -errno. */
int host_process_open(pid_t pid, const char *file) MUST_CHECK;
/* Resident bytes of the process, and how many of them are of files or shared memory; 0 if that cannot be learnt (no proc, or
 * the process is gone). */
uint64_t host_process_rss(pid_t pid, uint64_t *shared);
/* What its status says of its memory, in bytes; zeroes if that cannot be learnt. */
struct host_process_status {
	uint64_t peak, anon, file, shmem, page_tables, swap;
};
void host_process_status(pid_t pid, struct host_process_status *out);

/* Its page faults so far and resident bytes; zeroes if that cannot be learnt. */
struct host_process_memory {
	uint64_t minor_faults, major_faults, resident;
};
void host_process_memory(pid_t pid, struct host_process_memory *out);

/* CPU time in ns that a process (a stub), or a thread of the sentry's own, has used so far; negative if it is gone. */
int64_t host_process_cpu_ns(pid_t pid);
int64_t host_thread_cpu_ns(pid_t tid);
/* The same of a thread of another process (a stub's), which no clock tells; negative if that cannot be learnt. */
int64_t host_stub_thread_cpu_ns(pid_t pid, pid_t tid);
/* On which CPU such a thread runs, or ran last; negative if that cannot be learnt. */
int host_stub_thread_cpu(pid_t pid, pid_t tid);
/* Whether such a thread runs or waits for a CPU; false if that cannot be learnt. */
bool host_stub_thread_runnable(pid_t pid, pid_t tid);
/* The calling thread's id on the host. */
pid_t host_gettid(void);

/* CPU time of the sentry and of the children it has waited for, in ns. */
struct host_cpu_times {
	int64_t user_ns, system_ns, child_user_ns, child_system_ns;
};
void host_cpu_times(struct host_cpu_times *out);

/* How often the calling thread had to leave its CPU to another: getrusage(2)'s involuntary context switches. */
uint64_t host_preemptions(void);

#endif
