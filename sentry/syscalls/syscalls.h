/* Every handler's prototype, by name, from the one table; dispatch takes those that are there. */
#ifndef BAILEY_SENTRY_SYSCALLS_SYSCALLS_H
#define BAILEY_SENTRY_SYSCALLS_SYSCALLS_H

#include "abi/sysargs.h"

#define SYSCALL(nr, name, ...) sys_handler sys_##name;
#include "abi/syscalls.def"

#endif
