/* strace lines: what one looks like, and when it is written.  See strace.h. */
#include "sentry/entry/strace.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/file.h"
#include "sentry/entry/strace_internal.h"
#include "sentry/task/task.h"

#define LINE_SIZE 16384
#define RESULT_COLUMN 46 /* short lines get their result here */

bool strace_on;

static int strace_fd = -1; /* set by strace_init, immutable afterwards */

/* A thread's call in hand: its arguments' texts, as far as they were known when it began. */
struct pending_call {
	struct text entry;
	size_t begin[ABI_MAX_ARGS + 1]; /* argument k is entry.buf[begin[k] .. begin[k+1]) */
	char entry_buf[LINE_SIZE], line_buf[LINE_SIZE];
};

static pthread_key_t pending_key;

int strace_init(const char *names, int fd, char *why, size_t why_size)
{
	int r = strace_filter_init(names, why, why_size);

	if (r == 0 && pthread_key_create(&pending_key, free) != 0) {
		snprintf(why, why_size, "no thread key is left");
		r = -EAGAIN;
	}
	if (r < 0)
		return r;
	strace_fd = fd;
	strace_on = true;
	return 0;
}

void text_add(struct text *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->len + 1 >= o->cap)
		return;
	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, o->cap - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len = min_of(o->len + (size_t)n, o->cap - 1);
}

static struct pending_call *pending_get(void)
{
	struct pending_call *p = pthread_getspecific(pending_key);

	if (!p) {
		p = malloc(sizeof(*p));
		if (!p || pthread_setspecific(pending_key, p) != 0) {
			free(p);
			return NULL;
		}
	}
	return p;
}

/* Writes a line with one write, so that those of several threads do not mix.  Nobody is told if the reader is gone. */
static void emit(struct text *line)
{
	ssize_t r;

	if (line->len + 1 < line->cap)
		line->buf[line->len++] = '\n';
	else
		line->buf[line->len - 1] = '\n';
	r = host_write(strace_fd, line->buf, line->len);
	(void)r;
}

static void add_result(struct text *o, const struct abi_syscall *s, long result)
{
	if (result < 0 && result >= -4095) {
		const char *name = abi_errno_name((int)-result);
		const char *what = strerrordesc_np((int)-result);

		if (result <= -ERESTARTSYS)
			text_add(o, "? %s (to be restarted)", name);
		else
			text_add(o, "-1 %s (%s)", name, what ? what : "no such error");
		return;
	}
	switch (s ? s->result : ABI_RET_LONG) {
	case ABI_RET_PTR:
	case ABI_RET_HEX:
		text_add(o, "%#lx", (unsigned long)result);
		break;
	case ABI_RET_MODE:
		text_add(o, "0%lo", (unsigned long)result);
		break;
	default:
		text_add(o, "%ld", result);
	}
}

/* What follows the arguments of a line that began at `begin`. */
static void end_args(struct text *o, size_t begin)
{
	text_add(o, ")");
	if (o->len - begin < RESULT_COLUMN)
		text_add(o, "%*s", (int)(RESULT_COLUMN - (o->len - begin)), "");
	text_add(o, " = ");
}

static void add_head(struct text *o, const struct task *t, const struct abi_syscall *s, uint64_t nr)
{
	text_add(o, "%-5d ", t->tid);
	if (s)
		text_add(o, "%s(", s->name);
	else
		text_add(o, "syscall_%#llx(", (unsigned long long)nr);
}

/* The whole line, from what was kept at the beginning and what is known now. */
static void build_line(struct text *o, struct task *t, const struct abi_syscall *s, const struct sys_args *args,
		       const struct pending_call *p, const long *result)
{
	size_t begin = o->len;

	add_head(o, t, s, args->nr);
	for (unsigned k = 0; k < ABI_MAX_ARGS; k++) {
		size_t before, in_len, out_at;

		if (s && (s->args[k].kind == ABI_ARG_END || strace_arg_unused(s, args->a, k)))
			break;
		if (k)
			text_add(o, ", ");
		before = o->len;
		text_add(o, "%.*s", (int)(p->begin[k + 1] - p->begin[k]), p->entry.buf + p->begin[k]);
		if (!s || !result || !(s->args[k].dir & ABI_DIR_OUT))
			continue;
		in_len = o->len - before;
		if (in_len)
			text_add(o, " => ");
		out_at = o->len;
		strace_arg(o, t->ctx, s, args->a, k, result);
		/* Nothing new: take the arrow, or the same text again, off. */
		if (in_len && (o->len == out_at || (o->len - out_at == in_len &&
						    !memcmp(o->buf + out_at, o->buf + before, in_len)))) {
			o->len = before + in_len;
			o->buf[o->len] = '\0';
		}
	}
	end_args(o, begin);
}

void strace_enter(struct task *t, const struct sys_args *args)
{
	bool is_wanted;
	const struct abi_syscall *s = strace_wanted(args->nr, &is_wanted);
	struct pending_call *p = is_wanted ? pending_get() : NULL;

	if (!p)
		return;
	p->entry = (struct text){p->entry_buf, 0, sizeof(p->entry_buf)};
	for (unsigned k = 0; k < ABI_MAX_ARGS; k++) {
		p->begin[k] = p->entry.len;
		if (s)
			strace_arg(&p->entry, t->ctx, s, args->a, k, NULL);
		else
			text_add(&p->entry, "%#llx", (unsigned long long)args->a[k]);
	}
	p->begin[ABI_MAX_ARGS] = p->entry.len;
	if (s && s->result == ABI_RET_NONE) {
		struct text line = {p->line_buf, 0, sizeof(p->line_buf)};

		build_line(&line, t, s, args, p, NULL);
		text_add(&line, "?");
		emit(&line);
	}
}

void strace_exit(struct task *t, const struct sys_args *args, long result)
{
	bool is_wanted;
	const struct abi_syscall *s = strace_wanted(args->nr, &is_wanted);
	struct pending_call *p = is_wanted ? pending_get() : NULL;
	struct text line;

	if (!p || (s && s->result == ABI_RET_NONE))
		return;
	line = (struct text){p->line_buf, 0, sizeof(p->line_buf)};
	build_line(&line, t, s, args, p, &result);
	add_result(&line, s, result);
	emit(&line);
}

static void add_strings(struct text *o, char *const *v)
{
	text_add(o, "[");
	for (unsigned n = 0; v[n]; n++) {
		if (n == STRACE_ARRAY_MAX) {
			text_add(o, ", ...");
			break;
		}
		text_add(o, n ? ", " : "");
		text_quoted(o, v[n], strnlen(v[n], STRACE_ARG_MAX));
		text_add(o, strnlen(v[n], STRACE_ARG_MAX + 1) > STRACE_ARG_MAX ? "..." : "");
	}
	text_add(o, "]");
}

void strace_first_exec(struct task *t, const char *path, char *const *argv, char *const *envp, long result)
{
	bool is_wanted;
	const struct abi_syscall *s = strace_wanted(abi_syscall_by_name("execve")->nr, &is_wanted);
	struct pending_call *p = is_wanted ? pending_get() : NULL;
	struct text line;
	unsigned vars = 0;

	if (!p)
		return;
	while (envp[vars])
		vars++;
	line = (struct text){p->line_buf, 0, sizeof(p->line_buf)};
	add_head(&line, t, s, s->nr);
	text_quoted(&line, path, strlen(path));
	text_add(&line, ", ");
	add_strings(&line, argv);
	text_add(&line, ", [/* %u vars */]", vars);
	end_args(&line, 0);
	add_result(&line, s, result);
	emit(&line);
}
