/* The subcommands, one file each.  argv[0] is the subcommand's name; the result is the exit status. */
#ifndef BAILEY_CLI_CMD_H
#define BAILEY_CLI_CMD_H

/* Exit statuses of Bailey's own; front.h has EXIT_BAILEY (125). */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

int cmd_conform(int argc, char **argv);
int cmd_do(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_syscalls(int argc, char **argv);

/* What --version answers, wherever it is asked. */
void print_version(void);

#endif
