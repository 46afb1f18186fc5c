/* Where the shim's entries are (shim.S), as offsets in its page, and where its pages lie in every stub. */
#ifndef BAILEY_PLATFORM_PTRACE_SHIM_H
#define BAILEY_PLATFORM_PTRACE_SHIM_H

#include <stdint.h>

extern const uint8_t ptrace_shim[], ptrace_shim_end[];
extern const uint8_t ptrace_shim_syscall[], ptrace_shim_clone[], ptrace_shim_fork[], ptrace_shim_forked[],
	ptrace_shim_birth[], ptrace_shim_park[], ptrace_shim_parked[], ptrace_shim_exit[], ptrace_shim_map_file[],
	ptrace_shim_cmpxchg[], ptrace_shim_handler[];

/* The address of an entry in a stub whose shim lies at base. */
#define SHIM_AT(base, entry) ((base) + (uint64_t)(ptrace_shim_##entry - ptrace_shim))

/* Text first, then the scratch page, then the stack on which the host puts a signal frame (tracee_exception). */
#define SHIM_TEXT_SIZE 4096ull
#define SHIM_SCRATCH_OFF 4096ull
#define SHIM_FRAME_OFF 8192ull
#define SHIM_FRAME_SIZE 24576ull /* room for the largest vector state there is, of 11 KiB, and more */
#define SHIM_SIZE (SHIM_FRAME_OFF + SHIM_FRAME_SIZE)

#endif
