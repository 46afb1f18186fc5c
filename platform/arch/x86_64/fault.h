/* Exceptions: what a siginfo of the host's says about one, in the terms of a signal frame. */
#ifndef BAILEY_PLATFORM_ARCH_X86_64_FAULT_H
#define BAILEY_PLATFORM_ARCH_X86_64_FAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/platform.h"

/* True if info is an exception of the thread's own and not a signal that somebody sent. */
bool fault_is_exception(const siginfo_t *info);

/*
 * Fills *f from info.  ptrace does not show trapno, the error code and cr2, so they are derived:
 * exact for all but page faults, where the error code's write bit has to be guessed: readable says whether the address
 * can be read, so that a refused access to it was a write (or a fetch, if it is the instruction's own).
 */
void fault_from_siginfo(struct pf_fault *f, const siginfo_t *info, uint64_t ip, bool readable);

#endif
