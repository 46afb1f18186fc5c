/* Classic BPF as seccomp(2) filters use it: checked once, then run on struct l_seccomp_data.  Pure: no tasks, no guest
 * memory. */
#ifndef BAILEY_SENTRY_SECCOMP_BPF_H
#define BAILEY_SENTRY_SECCOMP_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/audit.h"
#include "base/compiler.h"

/* Whether a program of count instructions may run: every one is of those that seccomp knows, loads lie in the data,
 * jumps lead forward and stay inside, memory is written before it is read, and the last one returns. */
bool bpf_check(const struct l_sock_filter *f, size_t count) MUST_CHECK;
/* Runs a program that passed the check; its result. */
uint32_t bpf_run(const struct l_sock_filter *f, const struct l_seccomp_data *data) MUST_CHECK;

#endif
