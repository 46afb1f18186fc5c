/* AF_INET and AF_INET6 sockets: ip(7), ipv6(7), tcp(7), udp(7).  There is a loopback interface, and nothing else. */
#ifndef BAILEY_SENTRY_NET_INET_INET_H
#define BAILEY_SENTRY_NET_INET_INET_H

#include <stdio.h>

#include "sentry/net/socket.h"

/* *out owned.  -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EPERM (raw sockets), -ENOMEM. */
int inet_socket_new(struct task *t, int family, int type, int protocol, struct socket **out) MUST_CHECK;

/* The lines of /proc/net/tcp, udp and so on. */
void inet_show_tcp(FILE *out, int family);
void inet_show_udp(FILE *out, int family);

#endif
