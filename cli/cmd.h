/* The subcommands, one file each.  argv[0] is the subcommand's name; the result is the exit status. */
#ifndef BAILEY_CLI_CMD_H
#define BAILEY_CLI_CMD_H

int cmd_syscalls(int argc, char **argv);

#endif
