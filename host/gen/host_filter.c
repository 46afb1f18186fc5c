/*
 * Run when Bailey is built: writes the sentry's filters, one a platform, as a C header.
 *
 *     host_filter HEADER PLATFORM...
 */
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/gen/confine_rules.h"

#define MAX 4096

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "host_filter: %s: %s\n", what, why);
	return -1;
}

/* The instructions of platform's filter in code; their number, or -1. */
static ssize_t make(const char *platform, struct sock_filter code[MAX])
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	FILE *tmp = tmpfile();
	const char *which;
	ssize_t n;
	int r;

	if (!f || !tmp)
		return fail(platform, "no memory, or no temporary file");
	r = confine_rules(f, platform, CONFINE_SELF_MARK, &which);
	if (r < 0)
		return fail(which, strerror(-r));
	r = seccomp_export_bpf(f, fileno(tmp));
	if (r < 0)
		return fail(platform, strerror(-r));
	n = pread(fileno(tmp), code, MAX * sizeof(code[0]), 0);
	fclose(tmp);
	seccomp_release(f);
	if (n <= 0 || n % (ssize_t)sizeof(code[0]) || n == (ssize_t)(MAX * sizeof(code[0])))
		return fail(platform, "a filter of no sensible size");
	return n / (ssize_t)sizeof(code[0]);
}

int main(int argc, char **argv)
{
	static struct sock_filter code[MAX];
	ssize_t len[8], longest = 0;

	if (argc < 3 || argc > 8)
		return fail("usage", "host_filter HEADER PLATFORM...") < 0;
	if (!freopen(argv[1], "w", stdout))
		return fail(argv[1], strerror(errno)) < 0;
	puts("/* Made by host/gen/host_filter.c of host/calls.def. */\n");
	for (int p = 2; p < argc; p++) {
		len[p] = make(argv[p], code);
		if (len[p] < 0)
			return EXIT_FAILURE;
		longest = len[p] > longest ? len[p] : longest;
		printf("static const struct sock_filter host_filter_%s[] = {\n", argv[p]);
		for (ssize_t i = 0; i < len[p]; i++)
			printf("\t{%#x, %u, %u, %#x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
		puts("};");
	}
	printf("\n#define HOST_FILTER_SELF %#xu /* stands for the sentry's process id */\n", CONFINE_SELF_MARK);
	printf("#define HOST_FILTER_MAX %zd\n\n", longest);
	puts("static const struct {\n\tconst char *platform;\n\tconst struct sock_filter *code;\n\tunsigned short len;\n} host_filters[] = {");
	for (int p = 2; p < argc; p++)
		printf("\t{\"%s\", host_filter_%s, %zd},\n", argv[p], argv[p], len[p]);
	puts("};");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
