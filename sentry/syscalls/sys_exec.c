/* execve(2) and execveat(2): gathering the strings; the rest is sentry/task/exec.c. */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/resource.h"
#include "abi/types.h"
#include "loader/loader.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* Copies in a NULL-terminated array of strings; a null array is an empty one. */
static int copy_in_strings(struct task *t, uint64_t array, struct strings *out, uint64_t *budget, char *buf)
{
	for (uint64_t i = 0; array; i++) {
		uint64_t p;
		ssize_t len;
		int r = copy_in(t->ctx, &p, array + i * sizeof(p), sizeof(p));

		if (r < 0)
			return r;
		if (!p)
			break;
		len = copy_in_str(t->ctx, buf, p, L_MAX_ARG_STRLEN);
		if (len < 0)
			return len == -ENAMETOOLONG ? -E2BIG : (int)len;
		r = strings_add(out, buf, (size_t)len, budget);
		if (r < 0)
			return r;
		if (signal_pending(t) && task_killed(t))
			return -ERESTARTNOINTR;
	}
	return 0;
}

/* Linux opens the file before it counts the strings: what is wrong with it goes before err, which is wrong with them.
 */
static long file_first(struct task *t, const struct exec_request *req, long err)
{
	struct lookup l = task_lookup(t);
	struct file *f;
	int r = vfs_open_exec(&l, req->dirfd, req->path, req->at_flags, &f);

	if (r < 0)
		return r;
	file_put(f);
	return err;
}

static long exec(struct task *t, int dirfd, uint64_t path, uint64_t argv, uint64_t envp, unsigned at_flags)
{
	struct strings args = {0}, env = {0};
	struct exec_request req = {
		.dirfd = dirfd,
		.at_flags = at_flags,
		.argv = &args,
		.envp = &env,
		.budget = stack_args_limit(process_rlimit(t->process, L_RLIMIT_STACK)),
	};
	char *name = NULL, *buf = malloc(L_MAX_ARG_STRLEN);
	bool strings = false;
	long r;

	if (!buf)
		return -ENOMEM;
	r = copy_in_path(t->ctx, path, &name);
	if (r == 0) {
		req.path = name;
		strings = true;
		r = copy_in_strings(t, argv, &args, &req.budget, buf);
	}
	if (r == 0)
		r = copy_in_strings(t, envp, &env, &req.budget, buf);
	free(buf);
	if (r == 0)
		r = task_exec(t, &req);
	else if (strings)
		r = file_first(t, &req, r);
	strings_free(&args);
	strings_free(&env);
	free(name);
	return r;
}

long sys_execve(struct task *t, const struct sys_args *args)
{
	return exec(t, L_AT_FDCWD, args->a[0], args->a[1], args->a[2], 0);
}

long sys_execveat(struct task *t, const struct sys_args *args)
{
	return exec(t, (int)args->a[0], args->a[1], args->a[2], args->a[3], (unsigned)args->a[4]);
}
