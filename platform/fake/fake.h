/*
 * The fake platform, for unit tests: guest memory is a table of pages in the test's own process, and a guest thread is
 * a script of events that the test writes.  No host process is made, so it works under sanitizers and fuzzers and in
 * a process with many threads.
 *
 * A context whose script has run out is a guest that computes: its switch waits for the script to go on, an
 * interrupt, or the end.
 */
#ifndef BAILEY_PLATFORM_FAKE_FAKE_H
#define BAILEY_PLATFORM_FAKE_FAKE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/platform.h"

extern const struct platform_ops fake_platform;

/* What the guest does next, after all that was pushed before.  Any thread. */
void fake_push_syscall(struct pctx *ctx, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		       uint64_t a5);
void fake_push_fault(struct pctx *ctx, int signo, int code, uint64_t addr);
/* Any event at all, an impossible one included. */
void fake_push_event(struct pctx *ctx, const struct pf_event *ev);

/* How many of the context's system calls were answered: it was resumed after them. */
size_t fake_answered(struct pctx *ctx);
/* What the n-th (from 0) was answered, in rax.  Waits until it has been; 0 if the guest died before. */
long fake_result(struct pctx *ctx, size_t n);
/* Waits until the script has run out and a switch waits for more. */
void fake_await_computing(struct pctx *ctx);

#endif
