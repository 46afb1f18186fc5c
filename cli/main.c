/* bailey SUBCOMMAND [ARGUMENTS]: finds the subcommand and hands over. */
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

void print_version(void)
{
	printf("bailey version %s\n", BAILEY_VERSION);
}

int main(int argc, char **argv)
{
	front_init();
	if (argc < 2) {
		usage(stderr);
		return EXIT_BAILEY;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		print_version();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (!strcmp(argv[1], subcommands[i].name))
			return subcommands[i].run(argc - 1, argv + 1);
	log_error("there is no subcommand %s; \"bailey --help\" lists them", quoted(argv[1]));
	return EXIT_BAILEY;
}
