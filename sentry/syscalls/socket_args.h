/* What the socket calls share. */
#ifndef BAILEY_SENTRY_SYSCALLS_SOCKET_ARGS_H
#define BAILEY_SENTRY_SYSCALLS_SOCKET_ARGS_H

#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* The socket at descriptor fd, counted; -EBADF, -ENOTSOCK. */
int arg_socket(struct task *t, uint64_t fd, struct file **out) MUST_CHECK;
/* Gives an address: as much of it as the int at dst_size says there is room for; that int becomes its whole size. */
int socket_put_value(struct task *t, uint64_t dst, uint64_t dst_size, const void *value, size_t size) MUST_CHECK;

#endif
