/* See caller.h. */
#include "host/caller.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/process.h"

int host_caller(struct host_caller *out)
{
	gid_t *groups;
	int n = getgroups(0, NULL);

	if (n < 0)
		return -errno;
	groups = calloc((size_t)n + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	n = getgroups(n, groups);
	if (n < 0) {
		n = -errno;
		free(groups);
		return n;
	}
	*out = (struct host_caller){
		.uid = geteuid(),
		.gid = getegid(),
		.groups = groups,
		.group_count = (uint32_t)n,
		.cwd = getcwd(NULL, 0),
	};
	return 0;
}

/* ---- owners ---- */

#define OVERFLOW_ID 65534 /* kernel.overflowuid, which nobody changes */

static bool only_one_known; /* immutable after start-up, as are the ids */
static uint32_t known_uid, known_gid;

void host_know_only(uint32_t uid, uint32_t gid)
{
	known_uid = uid;
	known_gid = gid;
	only_one_known = true;
}

uint32_t host_shown_uid(uint32_t uid)
{
	return only_one_known && uid == OVERFLOW_ID && uid != known_uid ? 0 : uid;
}

uint32_t host_shown_gid(uint32_t gid)
{
	return only_one_known && gid == OVERFLOW_ID && gid != known_gid ? 0 : gid;
}

/* ---- the process ---- */

#define FD_TABLE_SIZE 1024 /* the directories that a file system keeps open, and as many again for all else */

int host_dup(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return r < 0 ? -errno : r;
}

void host_raise_fd_limit(void)
{
	struct rlimit64 r;
	uint64_t soft;

	if (getrlimit64(RLIMIT_NOFILE, &r) < 0)
		return;
	soft = r.rlim_cur;
	r.rlim_cur = r.rlim_max;
	host_note_fd_limit(soft, setrlimit64(RLIMIT_NOFILE, &r) < 0 ? soft : r.rlim_max); /* as it was, where that is refused */
}

void host_grow_fd_table(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC), last;

	if (fd < 0)
		return;
	last = fcntl(fd, F_DUPFD_CLOEXEC, FD_TABLE_SIZE - 1);
	if (last >= 0)
		close(last);
	close(fd);
}

void host_exit(int status)
{
	_exit(status);
}
