/* bailey SUBCOMMAND [ARGUMENTS]: finds the subcommand and hands over. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/options.h"
#include "host/front.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} subcommands[] = {
	{"do", cmd_do, "run a command inside a sandbox"},
	{"doctor", cmd_doctor, "say what this machine allows, and whether it is safe to run commands inside"},
	{"conform", cmd_conform, "run a command natively and inside, and say where the two differ"},
	{"syscalls", cmd_syscalls, "say which Linux system calls there are inside"},
};

static void usage(FILE *to)
{
	fprintf(to, "usage: bailey SUBCOMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		fprintf(to, "  %-10s %s\n", subcommands[i].name, subcommands[i].what);
	fprintf(to, "\n\"bailey SUBCOMMAND --help\" says more.  \"bailey --version\" gives the version.\n");
}

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (!strcmp(name, subcommands[i].name))
			return &subcommands[i];
	log_error("there is no subcommand %s; \"bailey --help\" lists them", quoted(name));
	return NULL;
}

/* "bailey help", or "bailey help SUBCOMMAND", which is "bailey SUBCOMMAND --help". */
static int help(const char *name)
{
	char *argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)"--help", NULL};
	const struct subcommand *s = name ? find(name) : NULL;

	if (s)
		return s->run(2, argv);
	if (name)
		return EXIT_BAILEY;
	usage(stdout);
	return 0;
}

void print_version(void)
{
	printf("bailey version %s\n", BAILEY_VERSION);
}

int main(int argc, char **argv)
{
	const struct subcommand *s;

	front_init();
	if (argc < 2) {
		usage(stderr);
		return EXIT_BAILEY;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argv[2]);
	if (!strcmp(argv[1], "--version")) {
		print_version();
		return 0;
	}
	s = find(argv[1]);
	return s ? s->run(argc - 1, argv + 1) : EXIT_BAILEY;
}
