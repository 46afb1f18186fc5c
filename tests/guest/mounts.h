/*
 * For guest programs that mount.  All of it happens in children that have left the namespace they began in and made
 * every mount private there, so that nothing outside changes.
 */
#ifndef BAILEY_TESTS_MOUNTS_H
#define BAILEY_TESTS_MOUNTS_H

#include "harness.h"

#include <sys/mount.h>

static char base[80]; /* where the child mounts: a tmpfs of its own */

H_UNUSED static bool can_mount(void)
{
	return geteuid() == 0;
}
#define NEED_ROOT()                                                                                                    \
	do                                                                                                             \
		if (!can_mount())                                                                                      \
			SKIP("mounting needs root");                                                                   \
	while (0)

H_UNUSED static int do_pivot(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

H_UNUSED static const char *at(const char *name)
{
	static char bufs[8][160];
	static int n;

	n = (n + 1) % 8;
	snprintf(bufs[n], sizeof(bufs[n]), "%s/%s", base, name);
	return bufs[n];
}

H_UNUSED static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (CHECK(fd >= 0))
		close(fd);
}

H_UNUSED static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A new namespace with everything private, and a tmpfs at base. */
H_UNUSED static void enter_private(void)
{
	REQUIRE(unshare(CLONE_NEWNS) == 0);
	REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	snprintf(base, sizeof(base), "/tmp/mntns.%d", (int)getpid());
	REQUIRE(mkdir(base, 0755) == 0);
	REQUIRE(mount("base", base, "tmpfs", 0, "mode=755") == 0);
}

H_UNUSED static void leave_private(void)
{
	CHECK(chdir("/") == 0);
	OK(umount2(base, MNT_DETACH));
	OK(rmdir(base));
}

/* Runs fn in a child that may mount. */
H_UNUSED static void in_private(void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		enter_private();
		fn();
		leave_private();
		child_exit();
	}
	JOIN(pid);
}

H_UNUSED static void mkdirs(const char *a, const char *b)
{
	OK(mkdir(at(a), 0755));
	if (b)
		OK(mkdir(at(b), 0755));
}

/* The optional fields of the last mountinfo line for the mount point, "" if it has none; false: no such line. */
H_UNUSED static bool mountinfo_fields(const char *point, char *fields, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], where[1024], options[1024], rest[1024];
	bool found = false;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		int used = 0;

		if (sscanf(line, "%*d %*d %*s %*s %1023s %1023s %n", where, options, &used) < 2 || strcmp(where, point))
			continue;
		snprintf(rest, sizeof(rest), "%s", line + used);
		found = true;
		if (strncmp(rest, "- ", 2) == 0) {
			fields[0] = '\0';
			continue;
		}
		*strstr(rest, " - ") = '\0';
		snprintf(fields, size, "%s", rest);
	}
	fclose(f);
	return found;
}

H_UNUSED static bool is_mounted(const char *point)
{
	char fields[256];

	return mountinfo_fields(point, fields, sizeof(fields));
}

#endif
