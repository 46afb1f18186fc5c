/* AF_NETLINK sockets: netlink(7).  Of its families there are ROUTE (questions about interfaces, addresses and routes) and KOBJECT_UEVENT
 * (on which nothing is ever heard). */
#ifndef BAILEY_SENTRY_NET_NETLINK_NETLINK_H
#define BAILEY_SENTRY_NET_NETLINK_NETLINK_H

#include <stdio.h>

#include "sentry/net/socket.h"

/* type is L_SOCK_RAW or DGRAM; *out owned.  -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -ENOMEM. */
int netlink_socket_new(int type, int protocol, struct socket **out) MUST_CHECK;

/* The lines of /proc/net/netlink. */
void netlink_show(FILE *out);

#endif
