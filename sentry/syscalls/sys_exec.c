/* execve(2) and execveat(2): gathering the strings; the rest is sentry/task/exec.c. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/resource.h"
#include "abi/types.h"
#include "base/checked.h"
#include "loader/loader.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* What was copied in of a page: pointers, and the strings of an environment, lie side by side. */
struct window {
	gva_t at;
	size_t len;
	char bytes[PAGE_SIZE];
};

/* How many bytes there are from addr on, within its page at most, and where; -EFAULT if none. */
static ssize_t look(struct task *t, struct window *w, gva_t addr, const char **bytes)
{
	if (addr < w->at || addr - w->at >= w->len) {
		ssize_t n = copy_in_some(t->ctx, w->bytes, addr, PAGE_SIZE - addr % PAGE_SIZE);

		if (n < 0)
			return n;
		w->at = addr;
		w->len = (size_t)n;
	}
	*bytes = w->bytes + (addr - w->at);
	return (ssize_t)(w->len - (addr - w->at));
}

/* The pointer at addr. */
static int look_at_pointer(struct task *t, struct window *w, gva_t addr, uint64_t *out)
{
	const char *bytes;
	ssize_t n = look(t, w, addr, &bytes);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(*out))
		return copy_in(t->ctx, out, addr, sizeof(*out));
	memcpy(out, bytes, sizeof(*out));
	return 0;
}

/* As copy_in_str. */
static ssize_t look_at_string(struct task *t, struct window *w, char *dst, gva_t src, size_t cap)
{
	for (size_t done = 0; done < cap;) {
		const char *bytes, *nul;
		ssize_t n = look(t, w, src + done, &bytes);
		size_t part;

		if (n < 0)
			return n;
		part = min_of((size_t)n, cap - done);
		nul = memchr(bytes, 0, part);
		memcpy(dst + done, bytes, nul ? (size_t)(nul - bytes) + 1 : part);
		if (nul)
			return (ssize_t)done + (nul - bytes);
		done += part;
	}
	return -ENAMETOOLONG;
}

/* Where copy_in_strings works. */
struct gather {
	struct window pointers, strings;
	char string[L_MAX_ARG_STRLEN];
};

/* Copies in a NULL-terminated array of strings; a null array is an empty one. */
static int copy_in_strings(struct task *t, uint64_t array, struct strings *out, uint64_t *budget, struct gather *g)
{
	g->pointers.len = g->strings.len = 0;
	for (uint64_t i = 0; array; i++) {
		uint64_t p;
		ssize_t len;
		int r = look_at_pointer(t, &g->pointers, array + i * sizeof(p), &p);

		if (r < 0)
			return r;
		if (!p)
			break;
		len = look_at_string(t, &g->strings, g->string, p, sizeof(g->string));
		if (len < 0)
			return len == -ENAMETOOLONG ? -E2BIG : (int)len;
		r = strings_add(out, g->string, (size_t)len, budget);
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
	struct gather *g = malloc(sizeof(*g));
	char *name = NULL;
	bool strings = false;
	long r;

	if (!g)
		return -ENOMEM;
	r = copy_in_path(t->ctx, path, &name);
	if (r == 0) {
		req.path = name;
		strings = true;
		r = copy_in_strings(t, argv, &args, &req.budget, g);
	}
	if (r == 0)
		r = copy_in_strings(t, envp, &env, &req.budget, g);
	free(g);
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
