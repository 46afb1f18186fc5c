/*
 * bailey syscalls [OPTIONS] [NAME...]: what the table in abi/syscalls.def says of each system call.
 * --markdown is what docs/syscalls.md is made from (tools/gen-syscalls-doc).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/syscalls.h"
#include "base/compiler.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/options.h"
#include "host/front.h"

enum format { TEXT, JSON, MARKDOWN };

struct counts {
	unsigned full, partial, absent;
};

static struct counts count_all(void)
{
	struct counts c = {0, 0, 0};

	for (size_t i = 0; i < abi_syscall_count; i++) {
		switch ((enum abi_status)abi_syscalls[i].status) {
		case ABI_FULL:
			c.full++;
			break;
		case ABI_PARTIAL:
			c.partial++;
			break;
		case ABI_ABSENT:
			c.absent++;
			break;
		}
	}
	return c;
}

/* What the guest gets from a call that is absent; NULL for one that is there. */
static const char *refusal(const struct abi_syscall *s)
{
	return s->status == ABI_ABSENT ? abi_errno_name(s->refusal) : NULL;
}

static const char *kind_name(const struct abi_arg *a)
{
	static const char *const names[] = {
		[ABI_ARG_INT] = "int",	     [ABI_ARG_UINT] = "uint",	[ABI_ARG_LONG] = "long",     [ABI_ARG_HEX] = "hex",
		[ABI_ARG_SIZE] = "size",     [ABI_ARG_OFF] = "offset",	[ABI_ARG_PTR] = "pointer",   [ABI_ARG_FD] = "fd",
		[ABI_ARG_DIRFD] = "dirfd",   [ABI_ARG_PID] = "pid",	[ABI_ARG_UID] = "uid",	     [ABI_ARG_GID] = "gid",
		[ABI_ARG_SIG] = "signal",    [ABI_ARG_MODE] = "mode",	[ABI_ARG_DEV] = "dev",	     [ABI_ARG_FLAGS] = "flags",
		[ABI_ARG_ENUM] = "enum",     [ABI_ARG_PATH] = "path",	[ABI_ARG_STR] = "string",    [ABI_ARG_STRV] = "strings",
		[ABI_ARG_BUF] = "buffer",    [ABI_ARG_STRUCT] = "struct", [ABI_ARG_ARRAY] = "array", [ABI_ARG_VAR] = "struct",
		[ABI_ARG_IOV] = "iovec",
	};

	return names[a->kind];
}

static void json_row(const struct abi_syscall *s, const char *separator)
{
	printf("%s\n  {\"nr\": %u, \"name\": \"%s\", \"status\": \"%s\", ", separator, s->nr, s->name,
	       abi_status_name(s->status));
	if (refusal(s))
		printf("\"error\": \"%s\", ", refusal(s));
	printf("\"note\": ");
	json_string(stdout, s->note);
	printf(", \"args\": [");
	for (size_t k = 0; k < ABI_MAX_ARGS && s->args[k].kind != ABI_ARG_END; k++)
		printf("%s{\"name\": \"%s\", \"kind\": \"%s\"}", k ? ", " : "", s->args[k].name, kind_name(&s->args[k]));
	printf("]}");
}

static void text_row(const struct abi_syscall *s)
{
	printf("%3u  %-24s %-8s", s->nr, s->name, abi_status_name(s->status));
	if (refusal(s) && s->refusal != ENOSYS)
		printf(" %s;", refusal(s));
	printf("%s%s\n", s->note[0] ? " " : "", s->note);
}

static void markdown_head(void)
{
	struct counts c = count_all();

	printf("# System calls\n\n"
	       "Made from abi/syscalls.def by tools/gen-syscalls-doc: do not edit.\n\n"
	       "Of the %zu system calls of Linux 6.18 on x86-64, %u are full (all documented behaviour, with a test), %u\n"
	       "partial (the note says what is missing) and %u absent (the note says why; they return ENOSYS unless the\n"
	       "note begins with another error).\n\n"
	       "| nr | call | status | note |\n|---:|---|---|---|\n",
	       abi_syscall_count, c.full, c.partial, c.absent);
}

static void markdown_row(const struct abi_syscall *s)
{
	/* Underscores are emphasis outside of code. */
	printf("| %u | `%s` | %s | ", s->nr, s->name, abi_status_name(s->status));
	if (refusal(s) && s->refusal != ENOSYS)
		printf("%s: ", refusal(s));
	for (const char *n = s->note; *n; n++) {
		if (*n == '|' || *n == '_' || *n == '*' || *n == '<')
			putchar('\\');
		putchar(*n);
	}
	printf(" |\n");
}

static void print_row(enum format format, const struct abi_syscall *s, bool first)
{
	if (format == JSON)
		json_row(s, first ? "" : ",");
	else if (format == MARKDOWN)
		markdown_row(s);
	else
		text_row(s);
}

static int print_named(enum format format, int count, char **names)
{
	int status = 0;
	bool first = true;

	for (int i = 0; i < count; i++) {
		const struct abi_syscall *s = abi_syscall_by_name(names[i]);

		if (!s) {
			log_error("syscalls: there is no system call named %s in Linux 6.18; \"bailey syscalls\" lists them", quoted(names[i]));
			status = 1;
			continue;
		}
		print_row(format, s, first);
		first = false;
	}
	return status;
}

/* ---- the command line ---- */

static const struct command_line command_line;

static int choose(enum format *format, enum format wanted)
{
	if (*format != TEXT && *format != wanted)
		return usage_error(&command_line, "--json and --markdown exclude each other");
	*format = wanted;
	return 0;
}

static int set_json(void *ctx, char *value, char *second)
{
	(void)value, (void)second;
	return choose(ctx, JSON);
}

static int set_markdown(void *ctx, char *value, char *second)
{
	(void)value, (void)second;
	return choose(ctx, MARKDOWN);
}

static const struct option options[] = {
	{"json", TAKES_NOTHING, NULL, "say it as JSON, with the arguments of each", set_json},
	{"markdown", TAKES_NOTHING, NULL, "say it as docs/syscalls.md does", set_markdown},
};

static const struct command_line command_line = {
	.command = "syscalls",
	.usage = "usage: bailey syscalls [OPTIONS] [NAME...]\n"
		 "\n"
		 "Says of each system call of Linux, or of those named, whether it is there inside: full, partial (and what is\n"
		 "missing) or absent (and why).\n",
	.closing = "Exit status: 0; 1 if there is no system call of one of the names; 125 Bailey's own error.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

int cmd_syscalls(int argc, char **argv)
{
	enum format format = TEXT;
	int rest, status = options_parse(&command_line, &format, argc, argv, &rest);

	if (status)
		return status == OPTIONS_DONE ? 0 : status;
	if (format == JSON)
		printf("[");
	else if (format == MARKDOWN)
		markdown_head();
	if (rest < argc)
		status = print_named(format, argc - rest, argv + rest);
	for (size_t row = 0; rest == argc && row < abi_syscall_count; row++)
		print_row(format, &abi_syscalls[row], row == 0);
	if (format == JSON)
		printf("\n]\n");
	if (format == TEXT && rest == argc) {
		struct counts c = count_all();

		printf("%zu calls: %u full, %u partial, %u absent\n", abi_syscall_count, c.full, c.partial, c.absent);
	}
	if (fflush(stdout) != 0) {
		log_error("syscalls: cannot write the table: %s; give it an output that can be written", strerror(errno));
		return EXIT_BAILEY;
	}
	return status;
}
