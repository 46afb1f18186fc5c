/* What tests of ptrace(2) share: children that are traced, and what they stop with. */
#ifndef BAILEY_TESTS_TRACING_H
#define BAILEY_TESTS_TRACING_H

#include "harness.h"

#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define STOPPED(sig) ((sig) << 8 | 0x7f)

/* The bare call: libc's ptrace() returns what it peeks. */
H_UNUSED static long pt(int request, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* The next status of a tracee, -1 if there is none. */
H_UNUSED static int next(pid_t pid)
{
	int status;
	pid_t r;

	do
		r = waitpid(pid, &status, __WALL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -1 : status;
}

/* A child that is traced by us, has stopped itself by SIGSTOP, and then does what body says. */
H_UNUSED static pid_t traced_child(void (*body)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(99);
		raise(SIGSTOP);
		body();
		_exit(h_failures ? 1 : 0);
	}
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	return pid;
}

H_UNUSED static void get_regs(pid_t pid, struct user_regs_struct *regs)
{
	memset(regs, 0, sizeof(*regs));
	OK(ptrace(PTRACE_GETREGS, pid, 0, regs));
}

H_UNUSED static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK_EQ(next(pid), SIGKILL);
}

#endif
