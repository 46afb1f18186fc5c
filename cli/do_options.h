/* What "bailey do" is told on its command line. */
#ifndef BAILEY_CLI_DO_OPTIONS_H
#define BAILEY_CLI_DO_OPTIONS_H

#include "base/compiler.h"
#include "cli/boot.h"

/* Fills in *o (for good: nothing of it is ever freed).  As options_parse, but that there is a command, too. */
int do_options_parse(struct do_options *o, int argc, char **argv) MUST_CHECK;

#endif
