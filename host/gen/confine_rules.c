/* What calls.def says, as rules of libseccomp.  Used when Bailey is built, by host_filter.c. */
#include "host/gen/confine_rules.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/compiler.h"

/* Calls and constants newer than the headers that Bailey must build with. */
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static uint32_t self; /* for rule_SELF: set by confine_rules, before there are threads */

/* ---- argument rules: each adds what it allows of call nr; 0 or -errno ---- */

static int allow_if(scmp_filter_ctx f, int nr, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 1, cmp);
}

static struct scmp_arg_cmp equals(unsigned arg, uint64_t value)
{
	return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value)
{
	return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static int allow_values(scmp_filter_ctx f, int nr, unsigned arg, const uint64_t *values, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = allow_if(f, nr, equals(arg, values[i]));
	return r;
}

static int rule_ANY(scmp_filter_ctx f, int nr)
{
	return seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 0);
}

static int rule_NO_EXEC_PROT(scmp_filter_ctx f, int nr)
{
	return allow_if(f, nr, masked(2, PROT_EXEC, 0));
}

static int rule_NEW_THREAD(scmp_filter_ctx f, int nr)
{
	const uint64_t thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
	const uint64_t never = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			       CLONE_NEWCGROUP | CLONE_PTRACE | CLONE_PARENT;

	return allow_if(f, nr, masked(0, thread | never, thread));
}

static int rule_SELF(scmp_filter_ctx f, int nr)
{
	return allow_if(f, nr, equals(0, self));
}

/* From 1 to the kernel's PID_MAX_LIMIT, as one rule a bit that is set: 0 is the own group, negative are groups and
 * everybody. */
static int rule_KILL_ONE(scmp_filter_ctx f, int nr)
{
	const uint64_t pid_bits = 0x3fffff;
	int r = 0;

	for (uint64_t bit = 1; r == 0 && bit & pid_bits; bit <<= 1)
		r = seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 2, masked(0, ~pid_bits | bit, bit),
					   equals(1, SIGKILL));
	return r;
}

static int rule_READ_LIMITS(scmp_filter_ctx f, int nr)
{
	return seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 2, equals(0, 0), equals(2, 0));
}

/* Sequenced packets know no other address than the other end, whatever sendmsg(2) is told; datagrams do. */
static int rule_PACKET_PAIR(scmp_filter_ctx f, int nr)
{
	return seccomp_rule_add_exact(f, SCMP_ACT_ALLOW, nr, 3, equals(0, AF_UNIX), equals(1, SOCK_SEQPACKET | SOCK_CLOEXEC),
				      equals(2, 0));
}

/* A file is sent without waiting. */
static int rule_SEND_AT_ONCE(scmp_filter_ctx f, int nr)
{
	return allow_if(f, nr, equals(2, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static int rule_MKNOD_LIST(scmp_filter_ctx f, int nr)
{
	static const uint64_t types[] = {S_IFIFO, S_IFSOCK, S_IFREG};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(types); i++)
		r = allow_if(f, nr, masked(2, S_IFMT, types[i]));
	return r;
}

#define VALUE_RULE(name, arg, ...)                                                                                     \
	static int rule_##name(scmp_filter_ctx f, int nr)                                                              \
	{                                                                                                              \
		static const uint64_t values[] = {__VA_ARGS__};                                                        \
		return allow_values(f, nr, arg, values, ARRAY_SIZE(values));                                           \
	}

VALUE_RULE(FCNTL_LIST, 1, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS)
VALUE_RULE(MADVISE_LIST, 2, MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DONTDUMP, MADV_HUGEPAGE,
	   MADV_NOHUGEPAGE, MADV_WILLNEED, MADV_POPULATE_WRITE, MADV_GUARD_INSTALL, MADV_GUARD_REMOVE)
/* Is it there, and the signal with which platforms take a thread out of guest code. */
VALUE_RULE(KICK_LIST, 2, 0, SIGURG)
VALUE_RULE(PRCTL_LIST, 0, PR_SET_NAME, PR_SET_VMA)
/* Reading and setting a terminal's modes and size; never TIOCSTI, which would type into the caller's shell.  TIOCOUTQ is SIOCOUTQ. */
VALUE_RULE(IOCTL_LIST, 1, TCGETS, TCSETS, TCSETSW, TCSETSF, TCFLSH, TCXONC, TCSBRK, TCSBRKP, TIOCGWINSZ, TIOCSWINSZ,
	   TIOCOUTQ, FIONREAD)
/* The listener of the stubs' own filters. */
VALUE_RULE(NOTIF_LIST, 1, SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_IOCTL_NOTIF_ID_VALID,
	   SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_SET_FLAGS)

/* ---- the list ---- */

struct row {
	const char *name;
	int nr;
	const char *platform;			/* NULL: any */
	int (*rule)(scmp_filter_ctx f, int nr); /* NULL: refused with the error */
	int error;
};

static const struct row rows[] = {
#define HOST_CALL(call, RULE, why) {#call, __NR_##call, NULL, rule_##RULE, 0},
#define HOST_CALL_FOR(only, call, RULE, why) {#call, __NR_##call, #only, rule_##RULE, 0},
#define HOST_CALL_REFUSED(call, ERRNO, why) {#call, __NR_##call, NULL, NULL, ERRNO},
#include "host/calls.def"
#undef HOST_CALL
#undef HOST_CALL_FOR
#undef HOST_CALL_REFUSED
};

static int add_row(scmp_filter_ctx f, const struct row *row)
{
	int r;

	if (row->rule)
		r = row->rule(f, row->nr);
	else
		r = seccomp_rule_add_exact(f, SCMP_ACT_ERRNO((uint32_t)row->error), row->nr, 0);
	/* A call that is allowed anyhow by a row before. */
	return r == -EEXIST ? 0 : r;
}

int confine_rules(scmp_filter_ctx f, const char *platform, uint32_t self_pid, const char **which)
{
	/* One filter for all threads; a rule on what comes in through no_new_privs is confine_drop's. */
	int r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	self = self_pid;
	*which = "none";
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	/* A tree, not a list: what the host looks at for each number of a call when it takes the filter on is few instructions. */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* x32 and int 0x80 are calls too. */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
		*which = rows[i].name;
		if (!rows[i].platform || strcmp(rows[i].platform, platform) == 0)
			r = add_row(f, &rows[i]);
	}
	return r;
}
