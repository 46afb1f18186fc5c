/* See facts.h. */
#include "host/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* ---- reading ---- */

/* A small file's text, cut off where buf ends; empty if it cannot be read. */
static void read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	return end == text ? FACT_UNKNOWN : n;
}

static long sysctl(const char *path)
{
	char text[32];

	read_text(path, text, sizeof(text));
	return number(text);
}

long host_facts_field(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return number(line + len + 1);
	return FACT_UNKNOWN;
}

/* ---- cgroups ---- */

/* True if the controllers of a line (with commas, up to a colon) name `wanted`. */
static bool has_controller(const char *list, const char *wanted)
{
	size_t len = strlen(wanted);

	for (const char *c = list; *c && *c != ':'; c += strcspn(c, ",:"), c += *c == ',')
		if (strncmp(c, wanted, len) == 0 && (c[len] == ',' || c[len] == ':'))
			return true;
	return false;
}

/* Lines are ID:CONTROLLERS:PATH; version 2 has "0::PATH", and counts where it is mounted at the usual place, thus only if
 * memory is no controller of version 1. */
void host_facts_cgroup(const char *text, struct host_cgroup *out)
{
	out->version = 0;
	out->path[0] = '\0';
	for (const char *line = text; *line;) {
		const char *end = line + strcspn(line, "\n"), *list = strchr(line, ':'), *path;
		bool memory, unified;

		path = list && list < end ? strchr(list + 1, ':') : NULL;
		if (path && path < end) {
			memory = has_controller(list + 1, "memory");
			unified = path == list + 1;
			if (memory || (unified && out->version == 0)) {
				out->version = memory ? 1 : 2;
				snprintf(out->path, sizeof(out->path), "%.*s", (int)(end - path - 1), path + 1);
			}
		}
		line = *end ? end + 1 : end;
	}
}

static void find_cgroup(struct host_cgroup *c)
{
	char text[4096], path[512];

	c->controllers[0] = '\0';
	c->writable = false;
	read_text("/proc/self/cgroup", text, sizeof(text));
	host_facts_cgroup(text, c);
	if (c->version == 0)
		return;
	snprintf(path, sizeof(path), CGROUP_ROOT "%s%s", c->version == 1 ? "/memory" : "", c->path);
	c->writable = faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
	if (c->version == 1) {
		snprintf(c->controllers, sizeof(c->controllers), "memory");
		return;
	}
	snprintf(path, sizeof(path), CGROUP_ROOT "%s/cgroup.controllers", c->path);
	read_text(path, c->controllers, sizeof(c->controllers));
	c->controllers[strcspn(c->controllers, "\n")] = '\0';
}

/* ---- all of it ---- */

static bool is_admin(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};

	return syscall(SYS_capget, &h, d) == 0 && (d[0].effective & 1u << CAP_SYS_ADMIN);
}

static uint64_t kilobytes(const char *text, const char *name)
{
	long n = host_facts_field(text, name);

	return n < 0 ? 0 : (uint64_t)n << 10;
}

void host_facts(struct host_facts *out)
{
	struct utsname u;
	char text[4096];
	long r;

	memset(out, 0, sizeof(*out));
	if (uname(&u) == 0)
		snprintf(out->kernel, sizeof(out->kernel), "%s", u.release);
	out->uid = geteuid();
	out->admin = is_admin();
	read_text("/proc/self/status", text, sizeof(text));
	out->seccomp_filters = host_facts_field(text, "Seccomp_filters");
	out->no_new_privs = host_facts_field(text, "NoNewPrivs");
	out->ptrace_scope = sysctl("/proc/sys/kernel/yama/ptrace_scope");
	out->max_user_namespaces = sysctl("/proc/sys/user/max_user_namespaces");
	out->userns_clone = sysctl("/proc/sys/kernel/unprivileged_userns_clone");
	out->apparmor_userns = sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	out->landlock = r < 0 ? -errno : r;
	read_text("/proc/meminfo", text, sizeof(text));
	out->memory_total = kilobytes(text, "MemTotal");
	out->memory_available = kilobytes(text, "MemAvailable");
	find_cgroup(&out->cgroup);
}

/* ---- cures ---- */

static const char *namespace_cure(const struct host_facts *f, int error)
{
	if (error == -ENOSYS || error == -EINVAL)
		return "the kernel was built without it, or a seccomp filter hides it";
	if (f->max_user_namespaces == 0 || error == -ENOSPC)
		return "set user.max_user_namespaces (and the max_*_namespaces beside it) to more than 0";
	if (!f->admin && f->userns_clone == 0)
		return "set kernel.unprivileged_userns_clone to 1";
	if (!f->admin && f->apparmor_userns == 1)
		return "give bailey an AppArmor profile with \"userns,\", or set kernel.apparmor_restrict_unprivileged_userns to 0";
	if (f->seccomp_filters > 0)
		return "allow unshare(2), clone(2) of namespaces and the mount calls in the seccomp profile around this process (a "
		       "container engine's)";
	if (!f->admin && f->uid == 0)
		return "run as an ordinary user, or give root CAP_SYS_ADMIN: a root without it gets no user namespace";
	return "the host's security modules refuse it: see its log";
}

const char *host_cure(const struct host_facts *f, enum confine_layer layer, int error)
{
	if (layer < CONFINE_EMPTY_ROOT)
		return namespace_cure(f, error);
	switch (layer) {
	case CONFINE_EMPTY_ROOT:
		if (error == -ENOSYS)
			return "Linux 5.12 or later is needed (mount_setattr), and the mount calls must be allowed";
		return "it needs the mount namespace and the mount calls";
	case CONFINE_PROC:
		return "it needs the pid namespace, and a /proc without anything mounted over parts of it";
	case CONFINE_SECCOMP:
		return "a kernel with seccomp filters is needed, and seccomp(2) must be allowed";
	default:
		return "prctl(2) and capset(2) must be allowed";
	}
}
