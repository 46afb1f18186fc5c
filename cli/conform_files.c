/* The files that two runs left: by name, kind, mode, number of links, size, content or target.  See conform.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/conform.h"

#define DEPTH_MAX 100 /* of directories; what lies deeper is not looked at */

bool conform_same_bytes(int dir, const char *a, const char *b, unsigned long long *at)
{
	int fds[2] = {openat(dir, a, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), openat(dir, b, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
	FILE *f[2] = {fds[0] < 0 ? NULL : fdopen(fds[0], "r"), fds[1] < 0 ? NULL : fdopen(fds[1], "r")};
	bool same = f[0] && f[1];
	int x = 0;

	for (*at = 0; same && x != EOF; ++*at) {
		x = getc(f[0]);
		same = x == getc(f[1]);
	}
	if (*at > 0 && !same)
		--*at;
	for (int i = 0; i < 2; i++) {
		if (f[i])
			fclose(f[i]);
		else if (fds[i] >= 0)
			close(fds[i]);
	}
	return same;
}

static const char *kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symbolic link";
	case S_IFIFO: return "FIFO";
	case S_IFSOCK: return "socket";
	default: return "device";
	}
}

/* What is said of one of two that differ; a directory's size and links are its file system's own affair. */
static void describe(int dir, const char *path, char *buf, size_t size)
{
	char target[256];
	struct stat st;
	ssize_t n;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		snprintf(buf, size, "absent");
	} else if (S_ISDIR(st.st_mode)) {
		snprintf(buf, size, "directory, mode %o", st.st_mode & 07777);
	} else if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, path, target, sizeof(target));
		snprintf(buf, size, "symbolic link to %.*s", n < 0 ? 0 : (int)n, target);
	} else {
		snprintf(buf, size, "%s, mode %o, %ju links, %jd bytes", kind(st.st_mode), st.st_mode & 07777,
			 (uintmax_t)st.st_nlink, (intmax_t)st.st_size);
	}
}

static bool is_regular(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static void compare_entry(struct conform_outcome *o, int dir, const char *native, const char *inside)
{
	char what[4200], a[400], b[400];
	unsigned long long at;

	describe(dir, native, a, sizeof(a));
	describe(dir, inside, b, sizeof(b));
	snprintf(what, sizeof(what), "file %s", strchr(native, '/') + 1);
	if (strcmp(a, b) == 0 && is_regular(dir, native) && !conform_same_bytes(dir, native, inside, &at))
		snprintf(b, sizeof(b), "the same, but other bytes from %llu on", at);
	if (strcmp(a, b) != 0)
		conform_note(o, what, a, b);
}

/* Compares what is in directory `side`/below, both sides; entries that both have only when side is the native one. */
static int compare_dir(struct conform_outcome *o, int dir, const char *side, const char *below, unsigned depth)
{
	char path[4096], native[4200], inside[4200];
	struct dirent *e;
	struct stat st;
	int fd, err = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s%s", side, below);
	fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err == -EACCES ? 0 : err;
	}
	while (err == 0 && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(native, sizeof(native), "native%s/%s", below, e->d_name);
		snprintf(inside, sizeof(inside), "%s%s/%s", o->name, below, e->d_name);
		if (side != o->name || fstatat(dir, native, &st, AT_SYMLINK_NOFOLLOW) < 0)
			compare_entry(o, dir, native, inside);
		if (e->d_type == DT_DIR && depth < DEPTH_MAX && strlen(native) < 3800)
			err = compare_dir(o, dir, side, native + strlen("native"), depth + 1);
	}
	closedir(d);
	return err;
}

int conform_compare_files(int dir, struct conform_outcome *o)
{
	int err = compare_dir(o, dir, "native", "", 0);

	return err < 0 ? err : compare_dir(o, dir, o->name, "", 0);
}
