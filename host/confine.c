/* The report, the namespaces, and the privileges that are let go.  See confine.h; the root is confine_root.c, the
 * filter confine_filter.c. */
#include "host/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/log.h"
#include "host/caller.h"
#include "host/confine_help.h"
#include "host/link.h"
#include "host/signals.h"

static const struct {
	const char *name, *key;
	int clone_flag; /* 0: no namespace */
} layers[CONFINE_LAYER_COUNT] = {
	[CONFINE_USER_NS] = {"user", "userns", CLONE_NEWUSER},
	[CONFINE_MOUNT_NS] = {"mount", "mountns", CLONE_NEWNS},
	[CONFINE_PID_NS] = {"pid", "pidns", CLONE_NEWPID},
	[CONFINE_NET_NS] = {"net", "netns", CLONE_NEWNET},
	[CONFINE_IPC_NS] = {"ipc", "ipcns", CLONE_NEWIPC},
	[CONFINE_UTS_NS] = {"uts", "utsns", CLONE_NEWUTS},
	[CONFINE_CGROUP_NS] = {"cgroup", "cgroupns", CLONE_NEWCGROUP},
	[CONFINE_EMPTY_ROOT] = {"empty root", "root", 0},
	[CONFINE_PROC] = {"own proc", "proc", 0},
	[CONFINE_NO_CAPS] = {"no capabilities", "no-caps", 0},
	[CONFINE_NO_NEW_PRIVS] = {"no new privileges", "no-new-privs", 0},
	[CONFINE_SECCOMP] = {"host-call filter", "seccomp", 0},
};

/* ---- the report ---- */

void confine_report_init(struct confine_report *rep)
{
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++)
		rep->state[i] = CONFINE_PENDING;
}

const char *confine_layer_name(enum confine_layer layer)
{
	return layers[layer].name;
}

const char *confine_layer_key(enum confine_layer layer)
{
	return layers[layer].key;
}

enum confine_layer confine_layer_by_key(const char *key, size_t len)
{
	int i = 0;

	while (i < CONFINE_LAYER_COUNT && (strlen(layers[i].key) != len || memcmp(layers[i].key, key, len) != 0))
		i++;
	return (enum confine_layer)i;
}

static void append(char *buf, size_t size, size_t *len, const char *what, const char *before, const char *after)
{
	int n;

	if (*len >= size)
		return;
	n = snprintf(buf + *len, size - *len, "%s%s%s", before, what, after);
	if (n > 0)
		*len = min_of(*len + (size_t)n, size - 1);
}

void confine_report_text(const struct confine_report *rep, char *buf, size_t size)
{
	size_t len = 0;
	bool missing = false;

	buf[0] = '\0';
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++)
		if (rep->state[i] == 0)
			append(buf, size, &len, layers[i].name, len ? ", " : "", "");
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++) {
		if (rep->state[i] >= 0)
			continue;
		append(buf, size, &len, layers[i].name, missing ? ", " : "; refused by the host: ", " (");
		append(buf, size, &len, abi_errno_name(-rep->state[i]), "", ")");
		missing = true;
	}
}

/* ---- namespaces ---- */

static bool has_capability(int cap)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};

	if (syscall(SYS_capget, &h, d) < 0)
		return false;
	return d[cap / 32].effective & 1u << cap % 32;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	close(fd);
	return 0;
}

/* The caller's own ids, mapped to themselves: all that an ordinary user may map. */
static int map_own_ids(uid_t uid, gid_t gid)
{
	char line[64];
	int r;

	r = write_file("/proc/self/setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(line, sizeof(line), "%u %u 1", gid, gid);
	r = write_file("/proc/self/gid_map", line);
	if (r < 0)
		return r;
	snprintf(line, sizeof(line), "%u %u 1", uid, uid);
	return write_file("/proc/self/uid_map", line);
}

static int flags_from(int first)
{
	int flags = 0;

	for (int i = first; i < CONFINE_LAYER_COUNT; i++)
		flags |= layers[i].clone_flag;
	return flags;
}

static void note_namespaces(struct confine_report *rep, int state)
{
	for (int i = CONFINE_MOUNT_NS; layers[i].clone_flag; i++)
		rep->state[i] = state;
}

/* The namespaces other than the user namespace, and the network's, if that can be made later: at once, or, where the host refuses that,
 * those that it does not. */
static void make_namespaces(struct confine_report *rep)
{
	const int later = help_plan() ? CLONE_NEWNET : 0;
	const bool at_once = unshare(flags_from(CONFINE_MOUNT_NS) & ~later) == 0;

	for (int i = CONFINE_MOUNT_NS; layers[i].clone_flag; i++) {
		if (layers[i].clone_flag == later)
			rep->state[i] = CONFINE_PENDING;
		else
			rep->state[i] = at_once || unshare(layers[i].clone_flag) == 0 ? 0 : -errno;
	}
}

static void enter_namespaces(struct confine_report *rep)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (has_capability(CAP_SYS_ADMIN)) {
		rep->state[CONFINE_USER_NS] = CONFINE_UNNEEDED;
		make_namespaces(rep);
		return;
	}
	/* There would be no way back from a namespace in which we are nobody. */
	if (uid == 0 && !has_capability(CAP_SETFCAP)) {
		rep->state[CONFINE_USER_NS] = -EPERM;
		note_namespaces(rep, -EPERM);
		return;
	}
	if (unshare(CLONE_NEWUSER) < 0) {
		rep->state[CONFINE_USER_NS] = -errno;
		note_namespaces(rep, -errno);
		return;
	}
	r = map_own_ids(uid, gid);
	rep->state[CONFINE_USER_NS] = r;
	if (r < 0)
		log_warn("cannot map the own user id in a user namespace: %s; going on as nobody there",
			 abi_errno_name(-r));
	else
		host_know_only(uid, gid);
	make_namespaces(rep);
}

/* It may be left alone by one without CAP_SETPCAP: no_new_privs keeps it from mattering. */
static void empty_bounding_set(void)
{
	int there;

	for (int cap = 0; (there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		if (there && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return;
}

pid_t confine_split(struct confine_report *rep)
{
	pid_t pid;

	pid = link_make();
	if (pid < 0)
		return pid;
	enter_namespaces(rep);
	empty_bounding_set(); /* once, for all that are forked: it costs a call for each capability */
	host_signals_block();
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		link_keep_sentry();
	} else {
		link_keep_front();
		help_give();
	}
	return pid;
}

/* ---- privileges ---- */

int confine_drop_caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	empty_bounding_set();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &h, none) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* PDEATHSIG first, then the question whether it came too late. */
static int bind_to_front(void)
{
	struct pollfd p = {.fd = link_fd()};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	if (poll(&p, 1, 0) < 0)
		return -errno;
	if (p.revents & POLLHUP)
		return -ESRCH;
	return 0;
}

int confine_drop(struct confine_report *rep)
{
	int r = confine_join_network(&rep->state[CONFINE_NET_NS]);

	if (r < 0)
		return r;
	r = confine_drop_caps();
	rep->state[CONFINE_NO_CAPS] = rep->state[CONFINE_NO_NEW_PRIVS] = r;
	if (r < 0)
		return r;
	umask(0); /* the guest's is virtual */
	/* Losing capabilities made us undumpable, and then even our own children's memory is out of reach. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	return bind_to_front();
}
