/*
 * bailey syscalls [--json|--markdown] [NAME...]: what the table in abi/syscalls.def says of each system call.
 * --markdown is what docs/syscalls.md is made from (tools/gen-syscalls-doc).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/syscalls.h"
#include "base/json.h"
#include "cli/cmd.h"

static const char usage[] = "usage: bailey syscalls [--json|--markdown] [NAME...]\n";

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

enum format { TEXT, JSON, MARKDOWN };

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
			fprintf(stderr, "bailey: syscalls: there is no system call named \"%s\" in Linux 6.18\n", names[i]);
			status = 1;
			continue;
		}
		print_row(format, s, first);
		first = false;
	}
	return status;
}

int cmd_syscalls(int argc, char **argv)
{
	enum format format = TEXT;
	int i = 1, status = 0;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json")) {
			format = JSON;
		} else if (!strcmp(argv[i], "--markdown")) {
			format = MARKDOWN;
		} else if (!strcmp(argv[i], "--help")) {
			fputs(usage, stdout);
			return 0;
		} else {
			fprintf(stderr, "bailey: syscalls: unknown option \"%s\"\n%s", argv[i], usage);
			return 125;
		}
	}
	if (format == JSON)
		printf("[");
	else if (format == MARKDOWN)
		markdown_head();
	if (i < argc)
		status = print_named(format, argc - i, argv + i);
	for (size_t row = 0; i >= argc && row < abi_syscall_count; row++)
		print_row(format, &abi_syscalls[row], row == 0);
	if (format == JSON)
		printf("\n]\n");
	if (format == TEXT && i >= argc) {
		struct counts c = count_all();

		printf("%zu calls: %u full, %u partial, %u absent\n", abi_syscall_count, c.full, c.partial, c.absent);
	}
	if (fflush(stdout) != 0) {
		fprintf(stderr, "bailey: syscalls: cannot write the table: %s\n", strerror(errno));
		return 125;
	}
	return status;
}
