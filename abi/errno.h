/*
 * Error numbers.  Bailey runs x86-64 guests on x86-64 hosts, so <errno.h>'s values are the guest's; what is added
 * here are Linux's internal restart codes, which entry/ alone turns into results (they never reach a guest).
 */
#ifndef BAILEY_ABI_ERRNO_H
#define BAILEY_ABI_ERRNO_H

#include <errno.h>

#define ERESTARTSYS 512		  /* restart if the handler has SA_RESTART, or if none runs; else EINTR */
#define ERESTARTNOINTR 513	  /* always restart */
#define ERESTARTNOHAND 514	  /* restart only if no handler runs; else EINTR */
#define ERESTART_RESTARTBLOCK 516 /* as NOHAND, through restart_syscall(2) and the task's restart block */

/* "EINVAL" for 22; "E?" for what has no name. */
const char *abi_errno_name(int err);

#endif
