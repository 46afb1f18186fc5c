/*
 * under CONDITION CMD...: runs CMD on a host that lacks something, by a seccomp filter that CMD inherits.
 *
 *   no-sync         seccomp listeners without synchronous wake-up, as before Linux 6.6
 *   no-ptrace       ptrace(2) is refused
 *   no-namespaces   unshare(2), setns(2), mounts and clone(2) of namespaces are refused
 *   engine          what a container engine's default profile refuses: the above two, clone3 (ENOSYS), pidfd_getfd
 *   no-listener     seccomp listeners are refused
 *   listener        a foreign seccomp listener is installed
 *   no-capset       capabilities cannot be dropped
 *   nothing-works   neither ptrace nor listeners
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <linux/types.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW(0x21, 4, __u64) /* since Linux 6.6 */
#endif

static scmp_filter_ctx ctx;

static void die(const char *what, int err)
{
	fprintf(stderr, "under: %s: %s\n", what, strerror(err));
	exit(99);
}

static void refuse(int err, const char *call, unsigned args, struct scmp_arg_cmp cmp)
{
	int r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)err), seccomp_syscall_resolve_name(call), args, &cmp);

	if (r < 0)
		die(call, -r);
}

static void refuse_all(int err, const char *call)
{
	refuse(err, call, 0, (struct scmp_arg_cmp){.arg = 0});
}

static void no_namespaces(void)
{
	static const char *const calls[] = {"unshare", "setns", "mount", "umount2", "pivot_root", "mount_setattr",
					    "open_tree", "move_mount", "fsopen"};
	static const unsigned kinds[] = {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
					 CLONE_NEWUTS, CLONE_NEWCGROUP};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		refuse_all(EPERM, calls[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		refuse(EPERM, "clone", 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kinds[i], kinds[i]));
	refuse_all(ENOSYS, "clone3");
}

static void no_ptrace(void)
{
	refuse_all(EPERM, "ptrace");
}

static void no_listener(void)
{
	refuse(EINVAL, "seccomp", 1,
	       SCMP_A1(SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER));
}

static void no_sync(void)
{
	refuse(EINVAL, "ioctl", 1, SCMP_A1(SCMP_CMP_EQ, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 0));
}

static void engine(void)
{
	no_namespaces();
	no_ptrace();
	refuse_all(EPERM, "pidfd_getfd");
}

static void nothing_works(void)
{
	no_ptrace();
	no_listener();
}

static void no_capset(void)
{
	refuse_all(EPERM, "capset");
}

/* The listener stays with this process, which waits for the command. */
static void listener(void)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(acct), 0);

	if (r < 0)
		die("seccomp_rule_add", -r);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*apply)(void);
	} conditions[] = {
		{"no-sync", no_sync},	      {"no-ptrace", no_ptrace}, {"no-namespaces", no_namespaces},
		{"engine", engine},	      {"no-listener", no_listener}, {"listener", listener},
		{"nothing-works", nothing_works}, {"no-capset", no_capset},
	};
	bool known = false;
	int r, status;
	pid_t pid;

	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (argc < 3 || !ctx)
		die("usage: under CONDITION CMD...", EINVAL);
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		if (strcmp(argv[1], conditions[i].name) == 0) {
			conditions[i].apply();
			known = true;
		}
	}
	if (!known)
		die(argv[1], EINVAL);
	r = seccomp_load(ctx);
	if (r < 0)
		die("seccomp_load", -r);
	pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		die(argv[2], errno);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid", errno);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
