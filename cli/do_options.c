/* The options of "bailey do": one function for each, and the table of them at the end.  See do_options.h. */
#include "cli/do_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cmd.h"
#include "cli/env.h"
#include "cli/options.h"
#include "host/caller.h"
#include "host/front.h"

#define HOSTNAME_MAX 64 /* Linux's __NEW_UTS_LEN */
#define TMPFS_PERCENT 50 /* of memory, unless a size is given: as mount(8) */

struct parse {
	struct do_options *o;
	const char *user; /* looked up when the root is known */
	bool clear_env, wants_short_cuts;
	char **env; /* values of --env, in order */
	size_t env_count;
	const char *log, *strace_log;
};

static const struct command_line command_line;

#define bad(...) usage_error(&command_line, __VA_ARGS__)

/* ---- what is mounted ---- */

static struct do_mount *add_mount(struct do_options *o, const char *target)
{
	o->mounts = grown(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
	o->mounts[o->mount_count] = (struct do_mount){.target = target};
	return &o->mounts[o->mount_count++];
}

static int check_target(const char *option, const char *target)
{
	if (target[0] != '/')
		return bad("%s: the place inside must be an absolute path, not %s", option, quoted(target));
	if (strspn(target, "/.") == strlen(target))
		return bad("%s: %s would hide the whole root; --rootfs DIR gives another one", option, quoted(target));
	for (const char *at = strstr(target, "/.."); at; at = strstr(at + 1, "/.."))
		if (at[3] == '/' || !at[3])
			return bad("%s: the place inside must be named without \"..\", unlike %s", option, quoted(target));
	return 0;
}

static int add_bind(struct parse *p, const char *option, const char *source, const char *target, bool read_only,
		    bool optional)
{
	struct do_options *o = p->o;
	struct do_mount *m;
	int status;

	if (!source[0])
		return bad("%s: the source on the host is empty", option);
	status = check_target(option, target);
	if (status)
		return status;
	m = add_mount(o, target);
	m->is_bind = true;
	m->bind = o->bind_count;
	o->binds = grown(o->binds, o->bind_count + 1, sizeof(*o->binds));
	o->binds[o->bind_count++] =
		(struct confine_bind){.source = source, .read_only = read_only, .optional = optional, .dir_fd = -1};
	return 0;
}

static int set_bind(void *ctx, char *source, char *target)
{
	return add_bind(ctx, "--bind", source, target, false, false);
}

static int set_ro_bind(void *ctx, char *source, char *target)
{
	return add_bind(ctx, "--ro-bind", source, target, true, false);
}

static int set_bind_try(void *ctx, char *source, char *target)
{
	return add_bind(ctx, "--bind-try", source, target, false, true);
}

static int set_ro_bind_try(void *ctx, char *source, char *target)
{
	return add_bind(ctx, "--ro-bind-try", source, target, true, true);
}

static int set_volume(void *ctx, char *value, char *second)
{
	char *source = value, *target = strchr(value, ':'), *mode;

	(void)second;
	if (!target)
		return bad("-v takes SRC:DST, SRC:DST:ro or SRC:DST:rw, not %s", quoted(value));
	*target++ = '\0';
	mode = strchr(target, ':');
	if (mode)
		*mode++ = '\0';
	if (mode && strcmp(mode, "ro") && strcmp(mode, "rw"))
		return bad("-v: after the second \":\" comes ro or rw, not %s", quoted(mode));
	return add_bind(ctx, "-v", source, target, mode && !strcmp(mode, "ro"), false);
}

/* N, NK, NM, NG (bytes) or N% (of memory). */
static bool parse_size(const char *text, uint64_t *size, unsigned *percent)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	uint64_t n;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || n == 0)
		return false;
	if (!strcmp(end, "%")) {
		*percent = n <= 100 ? (unsigned)n : 0;
		return n <= 100;
	}
	if (end[0]) {
		unit = strchr(units, end[0] & ~0x20);
		if (!unit || end[1] || n > (UINT64_MAX >> 1) >> (10 * (unit - units + 1)))
			return false;
		n <<= 10 * (unit - units + 1);
	}
	*size = n;
	return n <= UINT64_MAX >> 1;
}

static int set_tmpfs(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;
	char *option = strrchr(value, ':');
	struct do_mount m = {.target = value, .percent = TMPFS_PERCENT};
	int status;

	(void)second;
	if (option && strchr(option, '=')) {
		if (strncmp(option, ":size=", 6))
			return bad("--tmpfs: after the directory comes :size=N, not %s", quoted(option));
		if (!parse_size(option + 6, &m.size, &m.percent))
			return bad("--tmpfs: a size is a number above 0, with K, M, G or %% behind it, not %s", quoted(option + 6));
		*option = '\0';
	}
	status = check_target("--tmpfs", value);
	if (status == 0)
		*add_mount(p->o, value) = m;
	return status;
}

static int set_rootfs(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (!value[0])
		return bad("--rootfs takes a directory of the host, not %s", quoted(value));
	p->o->root.source = value;
	p->o->foreign_root = true;
	return 0;
}

/* ---- what the command starts with ---- */

static int set_workdir(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (value[0] != '/')
		return bad("--workdir takes an absolute path inside, not %s", quoted(value));
	p->o->workdir = value;
	return 0;
}

static int set_env(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (value[0] == '=' || !value[0])
		return bad("--env takes NAME=VALUE or NAME, not %s", quoted(value));
	p->env = grown(p->env, p->env_count + 1, sizeof(*p->env));
	p->env[p->env_count++] = value;
	return 0;
}

static int set_clearenv(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)value, (void)second;
	p->clear_env = true;
	return 0;
}

static int set_user(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (!value[0] || value[0] == ':' || value[strlen(value) - 1] == ':')
		return bad("--user takes a user, or a user and a group: UID[:GID], by number or name, not %s", quoted(value));
	p->user = value;
	return 0;
}

static int set_hostname(void *ctx, char *value, char *second)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	struct parse *p = ctx;
	size_t len = strlen(value);

	(void)second;
	if (len == 0 || len > HOSTNAME_MAX || strspn(value, letters) != len)
		return bad("--hostname takes 1 to %d letters, digits, \"-\", \".\" and \"_\", not %s", HOSTNAME_MAX, quoted(value));
	p->o->hostname = value;
	return 0;
}

/* ---- how it is run ---- */

static int set_platform(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (strcmp(value, "auto") && strcmp(value, "ptrace") && strcmp(value, "systrap"))
		return bad("--platform takes auto, ptrace or systrap, not %s", quoted(value));
	p->o->platform = value;
	return 0;
}

static int no_layer(const char *name)
{
	char keys[256];
	size_t len = 0;

	for (int i = 0; i < CONFINE_LAYER_COUNT && len < sizeof(keys); i++)
		len += (size_t)snprintf(keys + len, sizeof(keys) - len, "%s%s", i ? ", " : "", confine_layer_key((enum confine_layer)i));
	return bad("--require: there is no layer %s, but %s", quoted(name), keys);
}

static int set_require(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	for (char *name = strsep(&value, ","); name; name = strsep(&value, ",")) {
		enum confine_layer layer = confine_layer_by_key(name, strlen(name));

		if (layer == CONFINE_LAYER_COUNT)
			return no_layer(name);
		p->o->required |= 1u << layer;
	}
	return 0;
}

static int set_no_patch(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)value;
	(void)second;
	p->o->no_patch = true;
	return 0;
}

static int set_t0(void *ctx, char *value, char *second)
{
	static const char *const names[] = {[SHORT_CUTS_OFF] = "off", [SHORT_CUTS_SAFE] = "safe", [SHORT_CUTS_ALL] = "all"};
	struct parse *p = ctx;

	(void)second;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(value, names[i])) {
			p->o->short_cuts = (enum short_cuts)i;
			p->wants_short_cuts = i != SHORT_CUTS_OFF;
			return 0;
		}
	}
	return bad("--t0 takes off, safe or all, not %s", quoted(value));
}

static int set_strace(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (value && !value[0])
		return bad("--strace= takes names of system calls and groups; --strace alone shows all");
	p->o->strace = true;
	p->o->strace_calls = value;
	return 0;
}

static int set_backtrace(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)value, (void)second;
	p->o->backtrace = true;
	return 0;
}

static int set_strace_log(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	p->o->strace = true;
	p->strace_log = value;
	return 0;
}

static int set_log(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	p->log = value;
	return 0;
}

static int set_log_level(void *ctx, char *value, char *second)
{
	static const char *const levels[] = {
		[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

	(void)ctx, (void)second;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcmp(value, levels[i])) {
			log_threshold = (enum log_level)i;
			return 0;
		}
	}
	return bad("--log-level takes error, warn, info or debug, not %s", quoted(value));
}

static int set_init(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bad("--init takes yes or no, not %s", quoted(value));
	p->o->without_init = !strcmp(value, "no");
	return 0;
}

/* ---- the table ---- */

static const struct option options[] = {
	{"rootfs", TAKES_VALUE, "DIR", "show the host's directory DIR as /, instead of the host's own root", set_rootfs},
	{"bind", TAKES_PAIR, "SRC DST", "show the host's directory or file SRC at DST, writable", set_bind},
	{"ro-bind", TAKES_PAIR, "SRC DST", "the same, read-only", set_ro_bind},
	{"v", TAKES_VALUE, "SRC:DST[:ro]", "as --bind, or --ro-bind", set_volume},
	{"bind-try", TAKES_PAIR, "SRC DST", "as --bind, but nothing if there is no SRC", set_bind_try},
	{"ro-bind-try", TAKES_PAIR, "SRC DST", "as --ro-bind, but nothing if there is no SRC", set_ro_bind_try},
	{"tmpfs", TAKES_VALUE, "DIR[:size=N]",
	 "a directory in memory at DIR, of N bytes at most (N, NK, NM, NG, or N% of\nmemory; default: 50%)", set_tmpfs},
	{"workdir", TAKES_VALUE, "DIR", "start in DIR (default: the caller's directory; / with --rootfs)", set_workdir},
	{"chdir", TAKES_VALUE, "DIR", NULL, set_workdir},
	{"cwd", TAKES_VALUE, "DIR", NULL, set_workdir},
	{"env", TAKES_VALUE, "K=V", "set K in the environment; --env K passes the caller's K", set_env},
	{"clearenv", TAKES_NOTHING, NULL, "pass nothing of the environment but what --env says", set_clearenv},
	{"user", TAKES_VALUE, "UID[:GID]",
	 "run CMD as this user and group, by number or by a name of the root's; a user alone\n"
	 "has the group from its entry, or that of its own number",
	 set_user},
	{"hostname", TAKES_VALUE, "NAME", "the host's name inside", set_hostname},
	{"init", TAKES_VALUE, "yes|no",
	 "no: CMD is process 1 inside and has its duties; it reaps orphans, a signal that it\n"
	 "does not handle does nothing, and all end with it (default: yes: Bailey's own init)",
	 set_init},
	{"platform", TAKES_VALUE, "P",
	 "how system calls are caught: systrap, ptrace, or auto (default: systrap if it\nworks here)", set_platform},
	{"require", TAKES_VALUE, "LAYERS",
	 "do not run without these layers of confinement (with commas, as \"bailey doctor\" names\nthem); may be given again",
	 set_require},
	{"no-patch", TAKES_NOTHING, NULL,
	 "leave the program's text in memory as it is: often used system calls are slower then", set_no_patch},
	{"t0", TAKES_VALUE, "off|safe|all",
	 "which often used system calls are answered without leaving the program: none; ids and\nsched_yield; "
	 "or rt_sigprocmask, lseek, reads and pipes, too (default: all; needs patched text)", set_t0},
	{"strace", TAKES_AFTER_SIGN, "NAMES",
	 "write each system call, or those named (with commas), to standard error; %file, %desc,\n"
	 "%process, %network, %signal, %ipc and %memory are groups as strace has them;\n"
	 "!NAME,!NAME: all but these",
	 set_strace},
	{"strace-log", TAKES_VALUE, "FILE", "write them to FILE, which is emptied first", set_strace_log},
	{"backtrace", TAKES_NOTHING, NULL,
	 "say where a process was when SIGSEGV or its like killed it, from its own unwind\ntables", set_backtrace},
	{"log", TAKES_VALUE, "FILE", "append Bailey's own messages to FILE (errors go to standard error as well)", set_log},
	{"log-level", TAKES_VALUE, "L", "error, warn (default), info or debug", set_log_level},
};

static const struct command_line command_line = {
	.command = "do",
	.usage = "usage: bailey do [OPTIONS] [--] CMD [ARGS]\n"
		 "\n"
		 "Runs CMD in a sandbox.  It sees the host's files, read-only, with its own changes kept in memory and gone\n"
		 "afterwards; no network; none of the caller's processes; and of the environment PATH, HOME, TERM, LANG and\n"
		 "the like.\n",
	.closing = "Mounts are made in the order given, a later one over an earlier one; --env and --require add up; of\n"
		   "any other option that is given twice the last one counts.  Exit status: CMD's; 128+N if signal N ended it;\n"
		   "125 Bailey's own error; 126 CMD cannot be executed; 127 not found.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* ---- what can only be done when all is known ---- */

static void make_env(struct parse *p)
{
	struct env env;

	env_init(&env);
	if (!p->clear_env)
		env_pass_usual(&env);
	for (size_t i = 0; i < p->env_count; i++) {
		if (strchr(p->env[i], '='))
			env_put(&env, p->env[i]);
		else
			env_pass(&env, p->env[i]);
	}
	p->o->env = env.v;
}

static int open_output(const char *option, const char *name, int flags, int *fd)
{
	if (!name)
		return 0;
	*fd = open(name, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC | flags, 0666);
	if (*fd >= 0)
		return 0;
	log_error("do: %s: cannot write to %s: %s; name a file that can be written", option, quoted(name), strerror(errno));
	return EXIT_BAILEY;
}

static int find_user(struct parse *p)
{
	struct do_options *o = p->o;
	int r;

	if (!p->user)
		return 0;
	r = host_find_user(o->foreign_root ? o->root.source : NULL, p->user, &o->uid, &o->gid);
	if (r == 0) {
		o->other_user = true;
		return 0;
	}
	if (r == -ENOENT)
		return bad("--user: %s has no such user or group as %s; a number always works",
			   o->foreign_root ? "the root's /etc" : "the host", quoted(p->user));
	if (r == -ERANGE)
		return bad("--user: numbers of users and groups go from 0 to 4294967294, unlike %s", quoted(p->user));
	log_error("do: --user: cannot look up %s: %s; give a number", quoted(p->user), strerror(-r));
	return EXIT_BAILEY;
}

int do_options_parse(struct do_options *o, int argc, char **argv)
{
	struct parse p = {.o = o};
	int status, rest;

	*o = (struct do_options){
		.platform = "auto",
		.short_cuts = SHORT_CUTS_ALL,
		.root = {.source = "/", .read_only = true, .dir_fd = -1},
		.strace_fd = -1,
		.log_fd = -1,
	};
	status = options_parse(&command_line, &p, argc, argv, &rest);
	if (status)
		return status;
	if (rest == argc)
		return bad("no command given");
	if (o->no_patch && p.wants_short_cuts)
		return bad("--no-patch and --t0 exclude each other: short cuts are taken at patched calls; leave one out");
	o->argv = argv + rest;
	make_env(&p);
	status = find_user(&p);
	if (status == 0)
		status = open_output("--log", p.log, O_APPEND, &o->log_fd);
	if (status == 0)
		status = open_output("--strace-log", p.strace_log, O_APPEND | O_TRUNC, &o->strace_fd);
	return status;
}
