/*
 * AF_UNIX sockets, as far as there are any: connected pairs (socketpair(2)) of streams, datagrams and sequenced packets, without
 * names and without ancillary data.  Behaves as unix(7).
 */
#ifndef BAILEY_SENTRY_NET_UNIX_H
#define BAILEY_SENTRY_NET_UNIX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/socket.h"
#include "base/compiler.h"
#include "sentry/core/uio.h"

struct cred;
struct file;

/* Two sockets of type L_SOCK_STREAM, DGRAM or SEQPACKET (else -ESOCKTNOSUPPORT), connected to each other: owned.  flags are
 * L_O_NONBLOCK or 0; maker is what SO_PEERCRED tells of both. */
int unix_pair_new(int type, uint32_t flags, const struct l_ucred *maker, const struct cred *c, struct file *out[2]) MUST_CHECK;
bool unix_file_is(const struct file *f);

/* Of a unix_file_is file; flags are L_MSG_*, -EOPNOTSUPP for MSG_OOB.  SIGPIPE is sent where send(2) says so. */
ssize_t unix_send(struct file *f, struct uio *u, unsigned flags) MUST_CHECK;
/* *out_flags gets L_MSG_TRUNC and L_MSG_EOR as recvmsg(2) reports them.  With L_MSG_TRUNC in flags the whole length of a packet. */
ssize_t unix_recv(struct file *f, struct uio *u, unsigned flags, unsigned *out_flags) MUST_CHECK;
int unix_shutdown(struct file *f, int how) MUST_CHECK; /* L_SHUT_* */

int unix_type(const struct file *f);
void unix_peer_cred(const struct file *f, struct l_ucred *out);
int unix_take_error(struct file *f); /* SO_ERROR: the errno, positive; told once */
uint32_t unix_send_buffer(struct file *f);
void unix_set_send_buffer(struct file *f, uint32_t size); /* bytes, not yet doubled; clamped */

#endif
