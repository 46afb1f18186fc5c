/* wait4(2), waitid(2), pidfds: options and the encoding of a wait status. */
#ifndef BAILEY_ABI_WAIT_H
#define BAILEY_ABI_WAIT_H

#include <stdbool.h>

#include "abi/types.h"

#define L_WNOHANG 0x00000001
#define L_WUNTRACED 0x00000002
#define L_WSTOPPED L_WUNTRACED
#define L_WEXITED 0x00000004
#define L_WCONTINUED 0x00000008
#define L_WNOWAIT 0x01000000
#define L___WNOTHREAD 0x20000000
#define L___WALL 0x40000000
#define L___WCLONE 0x80000000

#define L_P_ALL 0
#define L_P_PID 1
#define L_P_PGID 2
#define L_P_PIDFD 3

#define L_PIDFD_NONBLOCK 04000
#define L_PIDFD_THREAD 0200
#define L_PIDFD_SIGNAL_THREAD 1u
#define L_PIDFD_SIGNAL_THREAD_GROUP 2u
#define L_PIDFD_SIGNAL_PROCESS_GROUP 4u
#define L_PIDFD_SELF_THREAD (-10000)
#define L_PIDFD_SELF_THREAD_GROUP (-10001)

#define L_W_EXITCODE(ret, sig) (((ret)&0xff) << 8 | (sig))
#define L_W_STOPCODE(sig) ((sig) << 8 | 0x7f)
#define L_W_CONTINUED 0xffff
#define L_WCOREFLAG 0x80

static inline bool l_wifexited(int status)
{
	return (status & 0x7f) == 0;
}
static inline bool l_wifstopped(int status)
{
	return (status & 0xff) == 0x7f;
}
static inline bool l_wifsignaled(int status)
{
	return !l_wifexited(status) && !l_wifstopped(status) && status != L_W_CONTINUED;
}
static inline int l_wexitstatus(int status)
{
	return (status >> 8) & 0xff;
}
static inline int l_wtermsig(int status)
{
	return status & 0x7f;
}

#endif
