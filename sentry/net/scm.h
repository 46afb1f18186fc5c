/*
 * Ancillary data of a message: files, and who sent it (cmsg(3), unix(7)).  How it looks to guests is
 * sentry/syscalls/socket_control.c's; here it is an object that travels with a message.
 */
#ifndef BAILEY_SENTRY_NET_SCM_H
#define BAILEY_SENTRY_NET_SCM_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/socket.h"
#include "base/compiler.h"

struct file;
struct flights;
struct process;
struct task;

/* Who a process says that it is; ids are the first namespaces'. */
struct scm_cred {
	struct process *process; /* counted, or NULL: nobody known */
	uint32_t uid, gid;	 /* ID_NONE: nobody known */
};

struct scm_rights {
	struct scm_rights *next; /* scm_rights_put's */
	struct flights *flights; /* net/unix/garbage.c's: whom it is counted for; counted, or NULL */
	unsigned count;
	struct file *files[]; /* counted */
};

/* A message's: what it owns goes by scm_end, or is moved into another. */
struct scm {
	struct scm_rights *rights; /* or NULL */
	bool has_cred;		   /* cred was given, or has been filled in */
	struct scm_cred cred;
};

/* The calling task, by its effective ids where effective, else the real ones. */
struct scm_cred scm_cred_of(struct task *t, bool effective);
struct scm_cred scm_cred_get(const struct scm_cred *c); /* a further one */
void scm_cred_put(struct scm_cred *c);

/* Room for max files, with none in it yet; NULL: no memory. */
struct scm_rights *scm_rights_new(unsigned max);
struct scm_rights *scm_rights_copy(const struct scm_rights *r); /* the same files once more; NULL: no memory */
/*
 * Lets go of the files.  Closing the last of a socket may let go of what lies in its queue, and so on, as deep as a guest likes:
 * what comes up while the calling thread is in here already is put off to its outermost call.
 */
void scm_rights_put(struct scm_rights *r);
bool scm_rights_being_put(void); /* the calling thread is in there */

void scm_end(struct scm *s);

#endif
