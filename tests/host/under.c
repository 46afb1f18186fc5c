/*
 * under CONDITION CMD...: runs CMD on a host that lacks something, by a seccomp filter that CMD inherits.
 *
 *   no-sync         seccomp listeners without synchronous wake-up, as before Linux 6.6
 *   no-ptrace       ptrace(2) is refused
 *   no-namespaces   unshare(2), setns(2), mounts and clone(2) of namespaces are refused
 *   no-network      of the namespaces, that of the network is refused
 *   no-setns        setns(2) is refused, so that nobody can enter a namespace that another has made
 *   no-pidfd        there is no pidfd_open(2)
 *   no-umount       umount2(2) is refused, so that the old root stays
 *   engine          what a container engine's default profile refuses: no-namespaces, no-ptrace, clone3 (ENOSYS), pidfd_getfd
 *   no-listener     seccomp listeners are refused
 *   listener        a foreign seccomp listener is installed
 *   no-capset       capabilities cannot be dropped
 *   nothing-works   neither ptrace nor listeners
 *   container       as root: a container's root, that is, Docker's default profile and capabilities; else its profile
 *   container-nnp   the same with no_new_privs
 *   container-user  an ordinary user in such a container, without no_new_privs (only for root to try)
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/types.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

static void no_network(void)
{
	refuse(EPERM, "unshare", 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWNET, CLONE_NEWNET));
}

static void no_setns(void)
{
	refuse_all(EPERM, "setns");
}

static void no_pidfd(void)
{
	refuse_all(ENOSYS, "pidfd_open");
}

static void no_umount(void)
{
	refuse_all(EPERM, "umount2");
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

static bool stays; /* this process, which waits for the command */

/* The listener is this process's. */
static void listener(void)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(acct), 0);

	if (r < 0)
		die("seccomp_rule_add", -r);
	stays = true;
}

/* ---- a container ---- */

#define USER_ID 65533
#define NAMESPACE_FLAGS 0x7e020000 /* clone(2)'s, and CLONE_NEWNS; not CLONE_NEWTIME, which is a signal's number there */

static void (*after_load)(void);

static void allow(const char *call, unsigned args, struct scmp_arg_cmp cmp)
{
	int nr = seccomp_syscall_resolve_name(call), r;

	if (nr == __NR_SCMP_ERROR) /* newer than this libseccomp: refused, as by an engine that is linked with it */
		return;
	r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, args, &cmp);
	if (r < 0)
		die(call, -r);
}

/* A container's default capabilities are left, and can be had by exec; this takes CAP_SETPCAP itself, which stays. */
static void drop_capabilities(void)
{
	static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD, CAP_NET_RAW, CAP_SETGID, CAP_SETUID,
				   CAP_SETFCAP, CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE};
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		d[kept[i] / 32].permitted |= 1u << kept[i] % 32;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(d[cap / 32].permitted & 1u << cap % 32) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			die("PR_CAPBSET_DROP", errno);
	d[0].effective = d[0].permitted;
	d[1].effective = d[1].permitted;
	if (syscall(SYS_capset, &h, d) < 0)
		die("capset", errno);
}

static void become_user(void)
{
	drop_capabilities();
	if (setgroups(0, NULL) < 0 || setgid(USER_ID) < 0 || setuid(USER_ID) < 0)
		die("setuid", errno);
}

static void container_nnp(void)
{
	static const uint32_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
	static const char *const calls[] = {
#define CALL(name) #name,
#include "container_calls.def"
#undef CALL
	};
	int r = seccomp_reset(ctx, SCMP_ACT_ERRNO(EPERM));

	if (r == 0)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
	if (r == 0)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
	if (r < 0)
		die("seccomp_arch_add", -r);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		allow(calls[i], 0, (struct scmp_arg_cmp){.arg = 0});
	for (size_t i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
		allow("personality", 1, SCMP_A0(SCMP_CMP_EQ, personalities[i], 0));
	allow("socket", 1, SCMP_A0(SCMP_CMP_LT, AF_ALG, 0));
	allow("socket", 1, SCMP_A0(SCMP_CMP_EQ, AF_ALG + 1, 0));
	allow("socket", 1, SCMP_A0(SCMP_CMP_GT, AF_VSOCK, 0));
	allow("clone", 1, SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACE_FLAGS, 0));
	refuse_all(ENOSYS, "clone3");
	if (geteuid() == 0)
		after_load = drop_capabilities;
}

static void container(void)
{
	container_nnp();
	if (geteuid() == 0 && seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) < 0)
		die("SCMP_FLTATR_CTL_NNP", EINVAL);
}

static void container_user(void)
{
	container();
	if (geteuid() == 0)
		after_load = become_user;
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
		{"no-network", no_network},   {"no-setns", no_setns},	{"no-pidfd", no_pidfd},
		{"no-umount", no_umount},
		{"container", container},     {"container-nnp", container_nnp}, {"container-user", container_user},
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
	if (after_load)
		after_load();
	pid = stays ? fork() : 0;
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
