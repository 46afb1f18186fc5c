/* Users and groups by name: host_find_user of caller.h. */
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/caller.h"

#define NO_ID UINT32_MAX /* what chown(2) takes for "leave it" is nobody's number */

/* A file of somebody else's tree: not out of that tree, and nothing that blocks or is not a file. */
static int open_in(const char *root, const char *path, FILE **out)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT};
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r = 0;
	struct stat st;

	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0)
		r = -errno;
	close(dir);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	*out = fdopen(fd, "r");
	if (*out)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* The entry named `name`, or, NULL, that of the number *uid. */
static int find_passwd(const char *root, const char *name, uint32_t *uid, uint32_t *gid)
{
	struct passwd *p;
	FILE *f = NULL;
	int r;

	if (root) {
		r = open_in(root, "etc/passwd", &f);
		if (r < 0)
			return r;
		while ((p = fgetpwent(f)) && (name ? strcmp(p->pw_name, name) != 0 : p->pw_uid != *uid))
			;
	} else {
		p = name ? getpwnam(name) : getpwuid(*uid);
	}
	if (p) {
		*uid = p->pw_uid;
		*gid = p->pw_gid;
	}
	if (f)
		fclose(f);
	return p ? 0 : -ENOENT;
}

static int find_group(const char *root, const char *name, uint32_t *gid)
{
	struct group *g;
	FILE *f = NULL;
	int r;

	if (root) {
		r = open_in(root, "etc/group", &f);
		if (r < 0)
			return r;
		while ((g = fgetgrent(f)) && strcmp(g->gr_name, name) != 0)
			;
	} else {
		g = getgrnam(name);
	}
	if (g)
		*gid = g->gr_gid;
	if (f)
		fclose(f);
	return g ? 0 : -ENOENT;
}

/* 1 and *id if text is a number, 0 if it is a name, -ERANGE. */
static int as_number(const char *text, uint32_t *id)
{
	unsigned long n;

	if (!text[0] || text[strspn(text, "0123456789")])
		return 0;
	errno = 0;
	n = strtoul(text, NULL, 10);
	if (errno || n >= NO_ID)
		return -ERANGE;
	*id = (uint32_t)n;
	return 1;
}

static int find_user(const char *root, const char *user, const char *group, uint32_t *uid, uint32_t *gid)
{
	int r = as_number(user, uid);

	if (r < 0)
		return r;
	if (r == 0) {
		r = find_passwd(root, user, uid, gid);
		if (r < 0)
			return r;
	} else if (!group && find_passwd(root, NULL, uid, gid) < 0) {
		*gid = *uid;
	}
	if (!group)
		return 0;
	r = as_number(group, gid);
	if (r == 0)
		return find_group(root, group, gid);
	return r < 0 ? r : 0;
}

int host_find_user(const char *root, const char *text, uint32_t *uid, uint32_t *gid)
{
	char *user = strdup(text), *group;
	int r;

	if (!user)
		return -ENOMEM;
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	r = find_user(root, user, group, uid, gid);
	free(user);
	return r;
}
