/*
 * The floating point and vector state as a signal frame holds it: an XSAVE area in standard form whose software bytes
 * say how large it is.  Functions on buffers; how a state gets in and out of a thread is the platform's.
 * Source: the kernel's arch/x86/include/uapi/asm/sigcontext.h.
 *
 * A state is xstate_size bytes; FP_XSTATE_MAGIC2, the four bytes that follow it in a frame, is the frame builder's
 * (extended_size in the software bytes counts it).
 */
#ifndef BAILEY_PLATFORM_ARCH_X86_64_XSTATE_H
#define BAILEY_PLATFORM_ARCH_X86_64_XSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define XSTATE_LEGACY_SIZE 512u /* FXSAVE's part, where the software bytes lie too */
#define XSTATE_HEADER_SIZE 64u
#define XSTATE_MAX 16384u /* more than any processor's */
#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u

/* At the end of the legacy part (struct _fpx_sw_bytes). */
struct xstate_software_bytes {
	uint32_t magic1;
	uint32_t extended_size; /* bytes, MAGIC2 included */
	uint64_t xfeatures;	/* what the area can hold */
	uint32_t xstate_size;	/* bytes, MAGIC2 not included */
	uint32_t padding[7];
};
#define XSTATE_SOFTWARE_OFF (XSTATE_LEGACY_SIZE - sizeof(struct xstate_software_bytes))

/* Writes the software bytes of a state of size bytes that holds xfeatures; none (zeroes) for a legacy state. */
void xstate_mark(void *state, size_t size, uint64_t xfeatures);

/* Writes the state of a fresh process. */
void xstate_fresh(void *state, size_t size);

/*
 * Turns what a frame held (size bytes) into a whole area of full_size bytes, as the kernel does at rt_sigreturn: a state
 * without valid software bytes gives its legacy part, and all else is initial.  So is what the software bytes do not name, of
 * the known components; others are left in the header, to be refused by whoever loads the state.  -EINVAL for less than a legacy part.
 */
int xstate_from_frame(void *state, size_t full_size, uint64_t known, const void *frame, size_t size) MUST_CHECK;

/* The bits of MXCSR that this processor lets one set. */
uint32_t xstate_mxcsr_mask(void);

/*
 * Whether the processor would load this state of size bytes, a legacy part at least, with no other components than known.  Asked by us,
 * because PTRACE_SETREGSET does not look at the MXCSR of a state whose header has no SSE, and XRSTOR does.
 */
bool xstate_loadable(const void *state, size_t size, uint64_t known);

#endif
