/*
 * The host's vDSO, lent to the guest: clock_gettime and its kin then cost what they cost natively, without a call.
 *
 * Its code and its data pages are the host kernel's own, read-only, and hold the clocks and the CPU's number, which the
 * guest may know.  A system call in it (its way out for rare clocks) is caught like any other.  A platform's template
 * moves them above GUEST_CEILING before it unmaps the rest; every stub inherits them there.
 */
#ifndef BAILEY_PLATFORM_ARCH_X86_64_VDSO_H
#define BAILEY_PLATFORM_ARCH_X86_64_VDSO_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the calling process's vDSO in /proc/self/maps; nothing is lent if that cannot be read.  Call it while the host's
 * /proc is still in view and the process is single-threaded. */
void vdso_note(void);
/* Bytes from the first data page to the end of the code; 0 if there is none to lend. */
uint64_t vdso_size(void);
/* In a forked template: moves the pages so that the first lies at `to`, which is free.  System calls only.  0, or -errno with
 * the process's vDSO torn apart. */
int vdso_move(uint64_t to);
/* Where the ELF header is once the pages lie at `at`: AT_SYSINFO_EHDR. */
uint64_t vdso_ehdr(uint64_t at);
/* The i-th of the pages' parts: where it lies once the ELF header is at ehdr, its name (static) in /proc/PID/maps, whether it
 * is code.  False past the last. */
bool vdso_part(unsigned i, uint64_t ehdr, uint64_t *start, uint64_t *end, const char **name, bool *code);

#endif
