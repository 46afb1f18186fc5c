/*
 * The sentry's own seccomp filter: the allow-list of calls.def.  What is not listed kills the sentry, and with it the sandbox: a
 * sentry that makes such a call is either broken or taken over.  libseccomp makes a program of the list when Bailey is built
 * (gen/host_filter.c), for it takes a tenth of a sandbox's start.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/syscalls.h"
#include "base/compiler.h"
#include "base/log.h"
#include "host/confine.h"
#include "host_filter.h" /* made when Bailey is built: host_filters */

/* ---- for developers: say what was refused, and go on ---- */

static void report_call(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const struct abi_syscall *call =
		abi_syscall_by_nr((uint64_t)info->si_syscall); /* no malloc: we may be inside it */

	log_error("host/calls.def does not allow %s(%#llx, %#llx, %#llx)", call ? call->name : "?",
		  uc->uc_mcontext.gregs[REG_RDI], uc->uc_mcontext.gregs[REG_RSI], uc->uc_mcontext.gregs[REG_RDX]);
	uc->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

static void start_reporting(void)
{
	struct sigaction sa = {.sa_sigaction = report_call, .sa_flags = SA_SIGINFO | SA_NODEFER};

	log_warn("BAILEY_HOST_CALLS=report: forbidden host calls of the sentry are reported instead of ending it");
	sigaction(SIGSYS, &sa, NULL);
}

/* ---- the rule ---- */

static void replace(struct sock_filter *insn, uint16_t class, uint32_t from, uint32_t to)
{
	if (BPF_CLASS(insn->code) == class && insn->k == from)
		insn->k = to;
}

static int load(const char *platform, bool report)
{
	struct sock_filter code[HOST_FILTER_MAX];
	struct sock_fprog prog = {.filter = code};
	const uint32_t self = (uint32_t)getpid();
	size_t i = 0;
	long r;

	while (i < ARRAY_SIZE(host_filters) && strcmp(host_filters[i].platform, platform) != 0)
		i++;
	if (i == ARRAY_SIZE(host_filters))
		return -ENOENT;
	prog.len = host_filters[i].len;
	memcpy(code, host_filters[i].code, prog.len * sizeof(code[0]));
	for (i = 0; i < prog.len; i++) {
		replace(&code[i], BPF_JMP, HOST_FILTER_SELF, self);
		if (report)
			replace(&code[i], BPF_RET, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP);
	}
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	if (r < 0)
		return -errno;
	return r > 0 ? -ESRCH : 0; /* a thread that cannot have it is named */
}

int confine_filter(struct confine_report *rep, const char *platform)
{
	const char *mode = getenv("BAILEY_HOST_CALLS");
	bool report = mode && strcmp(mode, "report") == 0;
	int r;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* A sanitizer's runtime makes calls of its own at any time. */
	rep->state[CONFINE_SECCOMP] = -EOPNOTSUPP;
	return 0;
#endif
	if (report)
		start_reporting();
	r = load(platform, report);
	rep->state[CONFINE_SECCOMP] = r;
	return r;
}
