/* AF_UNIX sockets: unix(7). */
#ifndef BAILEY_SENTRY_NET_UNIX_UNIX_H
#define BAILEY_SENTRY_NET_UNIX_UNIX_H

#include <stdio.h>

#include "sentry/net/socket.h"

struct tunable;

/* type is L_SOCK_STREAM, DGRAM or SEQPACKET; *out owned.  -ENOMEM, -ENFILE. */
int unix_socket_new(int type, struct socket **out) MUST_CHECK;
/* Two of them, connected to each other; t is who SO_PEERCRED tells of. */
int unix_pair_new(int type, struct task *t, struct socket *out[2]) MUST_CHECK;

/* The lines of /proc/net/unix. */
void unix_show(FILE *out);

extern struct tunable unix_max_dgram_qlen; /* net.unix.max_dgram_qlen */

#endif
