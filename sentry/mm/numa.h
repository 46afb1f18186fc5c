/* NUMA policies on a machine with one node.  See numa.c. */
#ifndef BAILEY_SENTRY_MM_NUMA_H
#define BAILEY_SENTRY_MM_NUMA_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/mman.h"
#include "base/compiler.h"

struct mm;

#define NUMA_MAX_NODES 1024 /* nodes that a mask may name */

/* A set of nodes as a guest gave it. */
struct node_mask {
	uint64_t low; /* nodes 0 to 63 */
	bool high;    /* some node above those */
};

/* A policy as get_mempolicy(2) shows it. */
struct mem_policy {
	int mode;	/* L_MPOL_* with its mode flags */
	uint64_t nodes; /* nodes 0 to 63 */
};

/* Makes a policy of what a guest asks; -EINVAL for what set_mempolicy(2) refuses. */
int mem_policy_make(int mode, const struct node_mask *nodes, struct mem_policy *out) MUST_CHECK;
/* mbind(2) once its flags were checked: -EINVAL, -EFAULT if the range has holes, -ENOMEM. */
int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t len, const struct mem_policy *policy) MUST_CHECK;
/* The policy of the mapping that holds addr; -EFAULT if there is none. */
int mm_get_policy(struct mm *mm, uint64_t addr, struct mem_policy *out) MUST_CHECK;
/* set_mempolicy_home_node(2) for node 0: -EINVAL, -ENOENT if nothing there has a policy, -EOPNOTSUPP. */
int mm_set_home_node(struct mm *mm, uint64_t addr, uint64_t len) MUST_CHECK;

#endif
