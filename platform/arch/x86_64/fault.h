/* Exceptions: what a siginfo of the host's says about one, in the terms of a signal frame. */
#ifndef BAILEY_PLATFORM_ARCH_X86_64_FAULT_H
#define BAILEY_PLATFORM_ARCH_X86_64_FAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/platform.h"

/* True if info is an exception of the thread's own and not a signal that somebody sent. */
bool fault_is_exception(const siginfo_t *info);

/* Fills *f from info: signal, code and address, and the trap's number as far as those tell it; err and cr2 are 0. */
void fault_from_siginfo(struct pf_fault *f, const siginfo_t *info);
/* True if what a signal frame says besides (trapno, err, cr2) is the host's knowledge alone: page faults, general protection,
 * and floating-point exceptions.  After others trapno is right, err is 0, and cr2 is as it was. */
bool fault_needs_more(const struct pf_fault *f);

#endif
