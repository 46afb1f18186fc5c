/* What lies in a process's memory: /proc/PID/{cmdline,environ,auxv,maps,smaps,statm}. */
#include <stdlib.h>
#include <string.h>

#include "abi/auxvec.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/proc/internal.h"
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
	n = pas_read(mm->as, start, *out, size);
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

static int show_map_list(const struct proc_ctx *c, FILE *out, bool smaps)
{
	struct mm *mm = task_get_mm(c->task);
	struct task *self = task_current();
	struct path root;
	char *text;
	size_t len;
	int r;

	if (!mm || !self) {
		mm_put(mm);
		return 0;
	}
	fs_info_root(self->fs, &root);
	r = mm_show_maps(mm, &root, smaps, &text, &len);
	path_put(&root);
	mm_put(mm);
	if (r < 0)
		return r;
	fwrite(text, 1, len, out);
	free(text);
	return 0;
}

int proc_show_maps(const struct proc_ctx *c, FILE *out)
{
	return show_map_list(c, out, false);
}

int proc_show_smaps(const struct proc_ctx *c, FILE *out)
{
	return show_map_list(c, out, true);
}

/* Pages: size, resident, shared, text, 0, data and stack, 0.  How many are shared only the host knows. */
int proc_show_statm(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	uint64_t size = 0, rss = 0, text = 0, data = 0;

	if (mm) {
		mm_usage(mm, &size, &rss);
		mutex_lock(&mm->lock);
		text = page_down(mm->end_code + PAGE_SIZE - 1) - page_down(mm->start_code);
		data = mm->data_size + mm->stack_size;
		mutex_unlock(&mm->lock);
		mm_put(mm);
	}
	fprintf(out, "%lu %lu 0 %lu 0 %lu 0\n", size / PAGE_SIZE, rss / PAGE_SIZE, text / PAGE_SIZE, data / PAGE_SIZE);
	return 0;
}
