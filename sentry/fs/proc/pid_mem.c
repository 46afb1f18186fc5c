/* What lies in a process's memory: /proc/PID/{cmdline,environ,auxv,maps,smaps,statm,pagemap}. */
#include <stdlib.h>
#include <string.h>

#include "abi/auxvec.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "base/checked.h"
#include "host/file.h"
#include "host/smaps.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"

/* The strings of argv and envp lie one after the other below the stack's top; no more than this of them is shown. */
#define STRINGS_MAX (8ul << 20)

/* Bytes [start, end) of the guest's memory, as far as they can be read; *out is allocated. */
static size_t read_range(struct mm *mm, uint64_t start, uint64_t end, char **out)
{
	uint64_t size = end > start ? min_of(end - start, STRINGS_MAX) : 0;
	ssize_t n;

	*out = size ? malloc(size) : NULL;
	if (!*out)
		return 0;
	n = mm_move(mm, start, *out, size, false);
	return n > 0 ? (size_t)n : 0;
}

struct string_area {
	uint64_t arg_start, arg_end, env_start, env_end;
};

static struct string_area string_area(struct mm *mm)
{
	struct string_area a;

	mutex_lock(&mm->lock);
	a = (struct string_area){mm->arg_start, mm->arg_end, mm->env_start, mm->env_end};
	mutex_unlock(&mm->lock);
	return a;
}

/*
 * The arguments as they are now.  A program that wrote over them so that the last NUL is gone has set a title
 * (setproctitle): then it is the one string that begins there, and may go on where the environment was.
 */
int proc_show_cmdline(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	struct string_area a;
	char *args, *rest = NULL;
	size_t len, rest_len;

	if (!mm)
		return 0;
	a = string_area(mm);
	len = read_range(mm, a.arg_start, a.arg_end, &args);
	if (len && len == a.arg_end - a.arg_start && args[len - 1] != '\0') {
		size_t title = strnlen(args, len);

		fwrite(args, 1, title, out);
		if (title == len && a.env_start == a.arg_end) {
			rest_len = read_range(mm, a.env_start, a.env_end, &rest);
			fwrite(rest, 1, rest ? strnlen(rest, rest_len) : 0, out);
		}
	} else if (len) {
		fwrite(args, 1, len, out);
	}
	free(args);
	free(rest);
	mm_put(mm);
	return 0;
}

int proc_show_environ(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	struct string_area a;
	char *env;
	size_t len;

	if (!mm)
		return 0;
	a = string_area(mm);
	len = read_range(mm, a.env_start, a.env_end, &env);
	if (len)
		fwrite(env, 1, len, out);
	free(env);
	mm_put(mm);
	return 0;
}

int proc_show_auxv(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	size_t words = 0;

	if (!mm)
		return 0;
	mutex_lock(&mm->lock);
	while (words + 2 < ARRAY_SIZE(mm->auxv) && mm->auxv[words] != L_AT_NULL)
		words += 2;
	fwrite(mm->auxv, sizeof(mm->auxv[0]), words + 2, out); /* AT_NULL as well */
	mutex_unlock(&mm->lock);
	mm_put(mm);
	return 0;
}

static int show_map_list(const struct proc_ctx *c, FILE *out, enum mm_show what)
{
	struct mm *mm = task_get_mm(c->task);
	struct task *self = task_current();
	struct path root;
	int r;

	if (!mm || !self) {
		mm_put(mm);
		return 0;
	}
	fs_info_root(self->fs, &root);
	r = mm_show(mm, &root, what, out);
	path_put(&root);
	mm_put(mm);
	return r;
}

int proc_show_maps(const struct proc_ctx *c, FILE *out)
{
	return show_map_list(c, out, MM_SHOW_MAPS);
}

int proc_show_smaps(const struct proc_ctx *c, FILE *out)
{
	return show_map_list(c, out, MM_SHOW_SMAPS);
}

int proc_show_smaps_rollup(const struct proc_ctx *c, FILE *out)
{
	return show_map_list(c, out, MM_SHOW_ROLLUP);
}

/* Pages: size, resident, of files and shared memory, text, 0, data and stack, 0. */
int proc_show_statm(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	uint64_t size = 0, rss = 0, shared = 0, text = 0, data = 0;

	if (mm) {
		mm_usage(mm, &size, &rss, &shared);
		mutex_lock(&mm->lock);
		text = page_down(mm->end_code + PAGE_SIZE - 1) - page_down(mm->start_code);
		data = mm->data_size + mm->stack_size;
		mutex_unlock(&mm->lock);
		mm_put(mm);
	}
	fprintf(out, "%lu %lu %lu %lu 0 %lu 0\n", size / PAGE_SIZE, rss / PAGE_SIZE, shared / PAGE_SIZE, text / PAGE_SIZE,
		data / PAGE_SIZE);
	return 0;
}

/* ---- pagemap: an entry for each page, as for those who may not see page frame numbers ---- */

#define PAGEMAP_CHUNK 512u /* entries that are read at a time */

/* Entries from page on, into buf; none past the end of user space.  Above what guests can map there is nothing to see. */
static ssize_t pagemap_chunk(int fd, uint64_t page, uint64_t *buf, size_t count)
{
	uint64_t ceiling = GUEST_CEILING / PAGE_SIZE, end = L_TASK_SIZE / PAGE_SIZE;
	size_t known;
	ssize_t n = 0;

	if (page >= end)
		return 0;
	count = min_of(count, end - page);
	known = page < ceiling ? min_of(count, ceiling - page) : 0;
	memset(buf, 0, count * sizeof(*buf));
	if (known)
		n = host_pagemap_read(fd, page * PAGE_SIZE, buf, known);
	return n < 0 ? n : (ssize_t)count;
}

ssize_t proc_pagemap_transfer(const struct proc_ctx *c, const struct cred *caller, struct uio *u, int64_t pos, bool write)
{
	uint64_t buf[PAGEMAP_CHUNK];
	struct mm *mm;
	ssize_t done = 0, r = proc_may_access(c->task, caller);
	int fd;

	if (write)
		return -EINVAL;
	if (r < 0)
		return r;
	if (pos % (int64_t)sizeof(buf[0]) || uio_left(u) % sizeof(buf[0]))
		return -EINVAL;
	mm = task_get_mm(c->task);
	if (!mm)
		return 0;
	fd = host_pagemap_open(pas_host_pid(mm->as));
	r = min_of(fd, 0);
	while (fd >= 0 && uio_left(u)) {
		size_t count = min_of(uio_left(u) / sizeof(buf[0]), (size_t)PAGEMAP_CHUNK);

		r = pagemap_chunk(fd, ((uint64_t)pos + (uint64_t)done) / sizeof(buf[0]), buf, count);
		if (r > 0)
			r = uio_put(u, buf, (size_t)r * sizeof(buf[0]));
		if (r <= 0)
			break;
		done += r;
	}
	if (fd >= 0)
		host_close(fd);
	mm_put(mm);
	return done ? done : r;
}
