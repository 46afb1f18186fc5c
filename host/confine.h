/*
 * Confinement: what the sentry gives up before it runs guest code, so that a sentry that was taken over can do little.
 *
 *     confine_split     own namespaces, and a front process that stays outside        (as many as the host allows)
 *     confine_root      an empty root that holds only what is to be seen              (if there is a mount namespace)
 *     confine_drop      no capability, no_new_privs, bound to the front's life        (mandatory)
 *     ... the platform starts ...
 *     confine_settle    what the front was still doing has been done
 *     ... the helper threads start ...
 *     confine_filter    the allow-list of host calls, on every thread                 (mandatory)
 *
 * in this order.  What a host refuses is noted in the report and done without; what is mandatory and fails is an error.
 * All but confine_filter are called single-threaded.
 */
#ifndef BAILEY_HOST_CONFINE_H
#define BAILEY_HOST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

enum confine_layer {
	CONFINE_USER_NS,
	CONFINE_MOUNT_NS,
	CONFINE_PID_NS,
	CONFINE_NET_NS,
	CONFINE_IPC_NS,
	CONFINE_UTS_NS,
	CONFINE_CGROUP_NS,
	CONFINE_EMPTY_ROOT,
	CONFINE_PROC,	 /* a read-only proc of the own pid namespace, to learn of the stubs' memory */
	CONFINE_NO_CAPS, /* mandatory from here on */
	CONFINE_NO_NEW_PRIVS,
	CONFINE_SECCOMP,
	CONFINE_LAYER_COUNT,
};

/* What came of each layer: 0 it is there, -errno the host refused it, CONFINE_UNNEEDED, CONFINE_PENDING. */
struct confine_report {
	int state[CONFINE_LAYER_COUNT];
};
#define CONFINE_PENDING 1
#define CONFINE_UNNEEDED 2 /* a user namespace, where the caller may make the others without one */

void confine_report_init(struct confine_report *rep);
const char *confine_layer_name(enum confine_layer layer);
/* What --require and doctor's JSON call it, which does not change: "userns", "pidns", "root"... */
const char *confine_layer_key(enum confine_layer layer);
/* The layer of that key, which need not end at len; CONFINE_LAYER_COUNT: there is none. */
enum confine_layer confine_layer_by_key(const char *key, size_t len);
static inline bool confine_is_mandatory(enum confine_layer layer)
{
	return layer >= CONFINE_NO_CAPS;
}
/* One line: which layers there are, and which are missing and why. */
void confine_report_text(const struct confine_report *rep, char *buf, size_t size);

/*
 * Makes the namespaces and forks.  Returns 0 in the child, which goes on to become the sentry (process 1 of its own
 * namespace where there is one), and its process id in the front process, which calls supervise() (front.h).  Host
 * signals that are meant for the guest are blocked in both.  -errno if there is no child.
 */
pid_t confine_split(struct confine_report *rep) MUST_CHECK;

/* Something of the host to be seen inside. */
struct confine_bind {
	const char *source; /* borrowed; a host path, in the caller's view */
	bool read_only;
	bool optional; /* done without if there is no such source */
	/* Set by confine_root: */
	int dir_fd;	  /* O_PATH: the directory, or the one that holds the file; owned by the caller.  -1: none */
	const char *name; /* NULL: dir_fd itself; else the file's name in it (static, or part of source) */
	bool no_links;	  /* the host follows no symbolic link in what is mounted there */
	int error;	  /* 0, or -errno: source cannot be had, and confine_root has failed with it */
};

/*
 * Opens root (a directory; always read-only) and the binds, makes the sentry's own root empty and shuts the rest out.
 * root's own /proc, /sys and /dev are not in it.  Without a mount namespace the descriptors are opened as they are and
 * the sentry keeps the host's root.  -errno if one of them cannot be had, which says so in its `error`.
 */
int confine_root(struct confine_report *rep, struct confine_bind *root, struct confine_bind *binds,
		 size_t count) MUST_CHECK;

/*
 * Enters the network namespace that the front makes meanwhile, if it was to be made after the fork; before the caller's capabilities
 * go.  confine_drop does it for the sentry; a child that was forked before has to do it as well.  *refused: 0, or the error with which
 * the host refused to make it, for all alike; left alone if it was made before.  -errno: there is one, and the caller is not in any.
 */
int confine_join_network(int *refused) MUST_CHECK;

/* Empties all capability sets of the calling thread, the bounding set as far as it may, and sets no_new_privs. */
int confine_drop_caps(void);

/* Waits for what the front does meanwhile: when this returns 0, the front's capabilities are gone, and so is the old root, or the report
 * says that the host refused that.  Before there is a second thread.  -errno: the sentry must not go on. */
int confine_settle(struct confine_report *rep) MUST_CHECK;

/* Lets go of all capabilities for good, and ends with the front process.  -errno: the sentry must not go on. */
int confine_drop(struct confine_report *rep) MUST_CHECK;

/*
 * Installs the allow-list of host/calls.def with the rows of `platform` on every thread of the sentry.  With the
 * environment variable BAILEY_HOST_CALLS=report a forbidden call is logged and fails with ENOSYS, for developers.
 */
int confine_filter(struct confine_report *rep, const char *platform) MUST_CHECK;

#endif
