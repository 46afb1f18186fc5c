/* See caller.h. */
#include "host/caller.h"

#include <fcntl.h>
#include <limits.h>
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

int host_dup(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return r < 0 ? -errno : r;
}

void host_raise_fd_limit(void)
{
	struct rlimit64 r;

	if (getrlimit64(RLIMIT_NOFILE, &r) < 0)
		return;
	host_note_fd_limit(r.rlim_cur);
	r.rlim_cur = r.rlim_max;
	setrlimit64(RLIMIT_NOFILE, &r); /* as it was, where that is refused */
}

void host_exit(int status)
{
	_exit(status);
}
