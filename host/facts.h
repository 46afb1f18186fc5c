/*
 * What the host says of itself and allows the caller, as far as it bears on confinement: for "bailey doctor".  Read from
 * files, before the view of the host is given up; what a layer or platform really does is not here: that is tried.
 */
#ifndef BAILEY_HOST_FACTS_H
#define BAILEY_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "host/confine.h"

#define FACT_UNKNOWN (-1) /* the host has no such setting, or does not show it */

struct host_cgroup {
	int version;	       /* 2; 1; 0: none in view */
	char path[256];	       /* of version 1, that of the memory controller */
	char controllers[128]; /* with spaces: those that may be used there (version 2), or that there are (version 1) */
	bool writable;	       /* the caller may make groups below */
};

struct host_facts {
	char kernel[72];	  /* release */
	uint32_t uid;
	bool admin;		  /* CAP_SYS_ADMIN */
	long seccomp_filters;	  /* around this process already */
	long no_new_privs;	  /* 0 or 1 */
	long ptrace_scope;	  /* kernel.yama.ptrace_scope */
	long max_user_namespaces; /* user.max_user_namespaces */
	long userns_clone;	  /* kernel.unprivileged_userns_clone, of Debian's kernels */
	long apparmor_userns;	  /* kernel.apparmor_restrict_unprivileged_userns */
	long landlock;		  /* the ABI's version, or -errno */
	uint64_t memory_total, memory_available; /* bytes; 0: not shown */
	struct host_cgroup cgroup;
};

void host_facts(struct host_facts *out);

/* How a layer that was refused with -errno `error` may be had on such a host: one line, static. */
const char *host_cure(const struct host_facts *f, enum confine_layer layer, int error);

/* The number after "NAME:" at a line's start of a file of /proc, or FACT_UNKNOWN. */
long host_facts_field(const char *text, const char *name);
/* Version and path from the text of /proc/self/cgroup; the other members are left alone. */
void host_facts_cgroup(const char *text, struct host_cgroup *out);

#endif
