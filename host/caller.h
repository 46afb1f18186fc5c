/* Who started Bailey, and where.  Asked once, before the sentry gives its view of the host up. */
#ifndef BAILEY_HOST_CALLER_H
#define BAILEY_HOST_CALLER_H

#include <stdint.h>

#include "base/compiler.h"

struct host_caller {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary; allocated */
	uint32_t group_count;
	char *cwd; /* allocated; NULL if it has no name (any more) */
};

int host_caller(struct host_caller *out) MUST_CHECK;

/*
 * Reads "USER" or "USER:GROUP", each by number or by name.  Names are those in the etc/passwd and etc/group of the
 * directory root, or, NULL, those that the host knows.  A user alone has the group of its entry, or where there is none, that
 * of its own number.  -ENOENT: no such name; -ERANGE: no such number can be; or what kept the files from being read.
 */
int host_find_user(const char *root, const char *text, uint32_t *uid, uint32_t *gid) MUST_CHECK;

/*
 * Owners as the guest is to see them.  In a user namespace of its own an ordinary user's sentry is told the overflow id
 * for every owner but the caller: those are shown as 0, since nearly all of the host's files are root's.
 * DIVERGES: a third user's file is shown as root's too; what may be done with it is the host's to say in any case.
 */
uint32_t host_shown_uid(uint32_t uid);
uint32_t host_shown_gid(uint32_t gid);
/* Only these are known by their own number from now on (confine.c). */
void host_know_only(uint32_t uid, uint32_t gid);

/* A close-on-exec copy of fd. */
int host_dup(int fd) MUST_CHECK;

/* Lets the sentry have as many descriptors as the host allows: each file and each stub of the guest may take some.  The
 * limit that the guest starts with stays the caller's (host_getrlimit). */
void host_raise_fd_limit(void);
/* Has the host make the table of descriptors large at once.  Where it grows while there are several threads, the one that opens a file
 * waits until each of the host's CPUs has scheduled (RCU), 3 to 15 ms each time. */
void host_grow_fd_table(void);

/* Ends the sentry at once, without destructors: other threads still run. */
NORETURN void host_exit(int status);

#endif
