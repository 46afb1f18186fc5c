/*
 * Can systrap work here?  A child tries what a template needs: a listener of its own, descriptors passed together with
 * an answer, close_range; and the parent tries to read the child's memory.  Nothing is left behind.
 */
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "platform/systrap/systrap.h"

enum step { STEP_RUNNING, STEP_NO_NEW_PRIVS, STEP_SIZES, STEP_LISTENER, STEP_ADDFD, STEP_CLOSE_RANGE, STEP_DONE };

/* Shared with the child. */
struct findings {
	_Atomic uint32_t step; /* a futex: the step that failed, or STEP_DONE */
	int err;
};

static const char *const reasons[] = {
	[STEP_RUNNING] = "a test process died; is process creation limited?",
	[STEP_NO_NEW_PRIVS] = "no_new_privs cannot be set: Linux 5.14 or later is needed",
	[STEP_SIZES] = "the kernel's seccomp notifications have an unknown size",
	[STEP_LISTENER] = "no seccomp listener: Linux 5.14 or later is needed, and seccomp(2) must be allowed",
	[STEP_ADDFD] = "no descriptor passing by seccomp listeners: Linux 5.14 or later is needed",
	[STEP_CLOSE_RANGE] = "close_range(2) does not work: Linux 5.9 or later is needed, and it must be allowed",
};

const char foreign_listener_reason[] =
	"another seccomp listener is already installed around this process (a container engine's or sandbox's "
	"notification profile); run without it, or use --platform ptrace";

static NORETURN void report(struct findings *f, enum step step, int err)
{
	f->err = err;
	atomic_store(&f->step, (uint32_t)step);
	futex_wake_shared(&f->step);
	/* The parent reads our memory, then kills us. */
	for (;;)
		pause();
}

static NORETURN void try_everything(struct findings *f)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog prog = {.len = 1, .filter = allow};
	struct seccomp_notif_addfd add = {.flags = SECCOMP_ADDFD_FLAG_SEND};
	struct seccomp_notif_sizes sizes;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		report(f, STEP_NO_NEW_PRIVS, errno);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0 || sizes.seccomp_notif > NOTIF_ROOM ||
	    sizes.seccomp_notif_resp != sizeof(struct seccomp_notif_resp))
		report(f, STEP_SIZES, errno);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (fd < 0)
		report(f, STEP_LISTENER, errno);
	/* There is no notification 0; a kernel that knows the flag looks for it and does not find it. */
	add.srcfd = (uint32_t)fd;
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) == 0 || errno != ENOENT)
		report(f, STEP_ADDFD, errno);
	if (syscall(SYS_close_range, fd, fd, CLOSE_RANGE_UNSHARE) < 0)
		report(f, STEP_CLOSE_RANGE, errno);
	report(f, STEP_DONE, 0);
}

/* Waits for the child to report or die. */
static enum step await(const struct findings *f, pid_t pid)
{
	for (int i = 0; i < 500; i++) {
		siginfo_t si = {0};

		if (atomic_load(&f->step) != STEP_RUNNING)
			break;
		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid)
			break;
		futex_wait_shared((_Atomic uint32_t *)&f->step, STEP_RUNNING, 20000000);
	}
	return (enum step)atomic_load(&f->step);
}

int probe_memory(pid_t pid, const void *there, void *here, size_t size, char *why, size_t why_size)
{
	struct iovec local = {here, size}, remote = {(void *)(uintptr_t)there, size};
	int err;

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	err = errno;
	snprintf(why, why_size,
		 "process_vm_readv on a child of ours fails (%s); allow it in the seccomp profile and set "
		 "kernel.yama.ptrace_scope to 0 or 1",
		 strerror(err));
	return -err;
}

static int judge(const struct findings *f, enum step step, pid_t pid, char *why, size_t why_size)
{
	static const uint32_t secret = 0xba11e9;
	uint32_t seen = 0;

	if (step == STEP_LISTENER && f->err == EBUSY) {
		snprintf(why, why_size, "%s", foreign_listener_reason);
		return -EBUSY;
	}
	if (step != STEP_DONE) {
		snprintf(why, why_size, "%s (%s)", reasons[step], strerror(f->err));
		return f->err ? -f->err : -ENOSYS;
	}
	return probe_memory(pid, &secret, &seen, sizeof(seen), why, why_size);
}

int systrap_probe(char *why, size_t why_size)
{
	struct findings *f = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	siginfo_t si;
	pid_t pid;
	int r;

	if (f == MAP_FAILED) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	pid = fork();
	if (pid == 0)
		try_everything(f);
	if (pid < 0) {
		r = -errno;
		snprintf(why, why_size, "cannot fork: %s", strerror(-r));
	} else {
		r = judge(f, await(f, pid), pid, why, why_size);
		kill(pid, SIGKILL);
		waitid(P_PID, (id_t)pid, &si, WEXITED);
	}
	munmap(f, PAGE_SIZE);
	return r;
}

bool probe_mmap_is_atomic(void)
{
	struct utsname u;
	int major, minor;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 12));
}
