/* rseq(2): the books of what each thread has registered.  The work is the host's: see platform/platform.h. */
#ifndef BAILEY_SENTRY_TASK_RSEQ_H
#define BAILEY_SENTRY_TASK_RSEQ_H

#include <stdint.h>

#include "base/compiler.h"

struct task;

/* Debian 12's headers are older than these. */
#define AUX_RSEQ_FEATURE_SIZE 27
#define AUX_RSEQ_ALIGN 28

/* rseq(2), all of it but the decoding.  For the calling task. */
int rseq_call(struct task *t, uint64_t area, uint32_t size, int flags, uint32_t sig) MUST_CHECK;
/* A fork's child has what its parent registered; rseq_start, by the child's own thread, tells the host. */
void rseq_inherit(struct task *t, struct task *child);
void rseq_start(struct task *t);
/* Before anybody can hear that t lets go of its address space: its area may be gone the moment somebody has. */
void rseq_release(struct task *t);

#endif
