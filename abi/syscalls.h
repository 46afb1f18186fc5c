/*
 * The table of system calls as data: names, argument descriptors, status and note, expanded from syscalls.def (its head
 * says what each column means).  Dispatch does not go through here: it includes syscalls.def itself.
 */
#ifndef BAILEY_ABI_SYSCALLS_H
#define BAILEY_ABI_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>

#include "abi/names.h"

enum abi_status { ABI_ABSENT, ABI_PARTIAL, ABI_FULL };

enum abi_result {
	ABI_RET_ZERO,
	ABI_RET_INT,
	ABI_RET_LONG,
	ABI_RET_HEX,
	ABI_RET_SIZE,
	ABI_RET_OFF,
	ABI_RET_FD,
	ABI_RET_PID,
	ABI_RET_UID,
	ABI_RET_MODE,
	ABI_RET_PTR,
	ABI_RET_NONE,
};

enum abi_arg_kind {
	ABI_ARG_END, /* the call has no more arguments */
	ABI_ARG_INT,
	ABI_ARG_UINT,
	ABI_ARG_LONG,
	ABI_ARG_HEX,
	ABI_ARG_SIZE,
	ABI_ARG_OFF,
	ABI_ARG_PTR,
	ABI_ARG_FD,
	ABI_ARG_DIRFD,
	ABI_ARG_PID,
	ABI_ARG_UID,
	ABI_ARG_GID,
	ABI_ARG_SIG,
	ABI_ARG_MODE,
	ABI_ARG_DEV,
	ABI_ARG_FLAGS,
	ABI_ARG_ENUM,
	/* Addresses of memory that the call reads (dir has ABI_DIR_IN) or fills (ABI_DIR_OUT). */
	ABI_ARG_PATH,
	ABI_ARG_STR,
	ABI_ARG_STRV,
	ABI_ARG_BUF,	/* bytes; len says how many */
	ABI_ARG_STRUCT, /* one of type */
	ABI_ARG_ARRAY,	/* of type; len says how many */
	ABI_ARG_VAR,	/* one of type, of the size in bytes that len says */
	ABI_ARG_IOV,	/* iovecs, a[len_arg] of them; len says how many bytes are out */
};

enum { ABI_DIR_IN = 1, ABI_DIR_OUT = 2 };

enum abi_len {
	ABI_LEN_NONE,
	ABI_LEN_ARG,	/* a[len_arg] */
	ABI_LEN_RESULT, /* the result, at most a[len_arg] */
	ABI_LEN_DEREF,	/* the 32-bit word that a[len_arg] points to, as it is after the call, at most as it was before */
};

/* The structured types of arguments: name and size in bytes (0: no fixed one). */
#define ABI_TYPES(T)                                                                                                   \
	T(bytes, 0)                                                                                                    \
	T(int, 4)                                                                                                      \
	T(uint, 4)                                                                                                     \
	T(long, 8)                                                                                                     \
	T(ulong, 8)                                                                                                    \
	T(off, 8)                                                                                                      \
	T(fdpair, 8)                                                                                                   \
	T(wstatus, 4)                                                                                                  \
	T(sigset, 8)                                                                                                   \
	T(cap_header, 8)                                                                                               \
	T(clone_args, 88)                                                                                              \
	T(epoll_event, 12)                                                                                             \
	T(futex_waitv, 24)                                                                                             \
	T(itimerspec, 32)                                                                                              \
	T(itimerval, 32)                                                                                               \
	T(mq_attr, 64)                                                                                                 \
	T(msghdr, 56)                                                                                                  \
	T(open_how, 24)                                                                                                \
	T(pollfd, 8)                                                                                                   \
	T(rlimit, 16)                                                                                                  \
	T(rusage, 144)                                                                                                 \
	T(sched_attr, 56)                                                                                              \
	T(sembuf, 6)                                                                                                   \
	T(sigaction, 32)                                                                                               \
	T(sigevent, 64)                                                                                                \
	T(siginfo, 128)                                                                                                \
	T(sockaddr, 0)                                                                                                 \
	T(stack, 24)                                                                                                   \
	T(stat, 144)                                                                                                   \
	T(statfs, 120)                                                                                                 \
	T(statx, 256)                                                                                                  \
	T(sysinfo, 112)                                                                                                \
	T(timespec, 16)                                                                                                \
	T(timespec2, 32)                                                                                               \
	T(timeval, 16)                                                                                                 \
	T(timeval2, 32)                                                                                                \
	T(timex, 208)                                                                                                  \
	T(timezone, 8)                                                                                                 \
	T(tms, 32)                                                                                                     \
	T(utimbuf, 16)                                                                                                 \
	T(utsname, 390)

enum abi_type {
	ABI_TYPE_NONE,
#define T(name, size) ABI_TYPE_##name,
	ABI_TYPES(T)
#undef T
	ABI_TYPE_COUNT
};

struct abi_arg {
	const char *name;
	uint8_t kind;	 /* enum abi_arg_kind */
	uint8_t dir;	 /* ABI_DIR_* */
	uint8_t type;	 /* enum abi_type */
	uint8_t len;	 /* enum abi_len */
	uint8_t len_arg; /* 0 to 5 */
	uint16_t size;	 /* of one element, in bytes; 0: no fixed one */
	const struct abi_names *names;
};

#define ABI_MAX_ARGS 6

struct abi_syscall {
	uint32_t nr;
	const char *name;
	uint8_t status; /* enum abi_status */
	uint8_t result; /* enum abi_result */
	uint8_t refusal; /* what an absent call returns, positive: ENOSYS or the row's own */
	const char *note;
	struct abi_arg args[ABI_MAX_ARGS]; /* as far as kind is not ABI_ARG_END */
};

extern const struct abi_syscall abi_syscalls[]; /* sorted by number */
extern const size_t abi_syscall_count;

/* One more than the highest number. */
#define ABI_SYSCALL_MAX 470

const struct abi_syscall *abi_syscall_by_nr(uint64_t nr);     /* NULL: no such number */
const struct abi_syscall *abi_syscall_by_name(const char *name); /* NULL: no such name */
const char *abi_status_name(enum abi_status s);		      /* "full", ... */

#endif
