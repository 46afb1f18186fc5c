/* bailey do [OPTIONS] [--] CMD [ARGS]: reads the options; boot.c does the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "cli/boot.h"
#include "cli/cmd.h"
#include "host/front.h"

static const char usage[] =
	"usage: bailey do [OPTIONS] [--] CMD [ARGS]\n"
	"\n"
	"Runs CMD in a sandbox.  It sees the host's files, read-only, with its own changes kept in memory and gone\n"
	"afterwards; no network; none of the caller's processes; and of the environment PATH, HOME, TERM, LANG and the "
	"like.\n"
	"\n"
	"  --bind S D         show the host's directory or file S at D, writable\n"
	"  --ro-bind S D      the same, read-only\n"
	"  --env K=V          set K in the environment; --env K passes the caller's K\n"
	"  --workdir D        start in directory D (default: the caller's)\n"
	"  --platform P       how system calls are caught: systrap, ptrace, or auto (default: systrap if it works "
	"here)\n"
	"  --strace[=NAMES]   write each system call (or those named, with commas; !NAMES: all others) to stderr\n"
	"  --log-level L      error, warn (default), info or debug\n"
	"\n"
	"Exit status: CMD's; 128+N if signal N ended it; 125 Bailey's own error; 126 CMD cannot be executed; 127 not "
	"found.\n";

/* What passes of the caller's environment: where programs are and how to talk to the person, not who or what they hold.
 */
static const char *const passed_env[] = {"PATH", "HOME", "USER",     "LOGNAME",	  "SHELL",
					 "TERM", "LANG", "LANGUAGE", "COLORTERM", "TZ"};

struct vec {
	char **v; /* NULL-terminated */
	size_t count;
};

struct parse {
	struct do_options *o;
	struct vec env;
	int argc;
	char **argv;
	int at; /* the next argument */
};

static NORETURN void die_out_of_memory(void)
{
	fprintf(stderr, "bailey: do: out of memory\n");
	exit(EXIT_BAILEY);
}

static void *grown(void *array, size_t count, size_t size)
{
	void *p = reallocarray(array, count, size);

	if (!p)
		die_out_of_memory();
	return p;
}

static int bad_usage(const char *what, const char *about)
{
	fprintf(stderr, "bailey: do: %s%s%s%s; see \"bailey do --help\"\n", what, about ? " \"" : "",
		about ? about : "", about ? "\"" : "");
	return EXIT_BAILEY;
}

/* ---- the environment ---- */

/* Appends entry ("K=V", borrowed), in the place of an earlier one with the same name. */
static void env_put(struct vec *env, char *entry)
{
	size_t name_len = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->v[i], entry, name_len) == 0) {
			env->v[i] = entry;
			return;
		}
	}
	env->v = grown(env->v, env->count + 2, sizeof(*env->v));
	env->v[env->count++] = entry;
	env->v[env->count] = NULL;
}

static void env_pass(struct vec *env, const char *name)
{
	const char *value = getenv(name);
	char *entry;

	if (!value)
		return;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		die_out_of_memory();
	env_put(env, entry);
}

static void env_init(struct vec *env)
{
	*env = (struct vec){.v = grown(NULL, 1, sizeof(*env->v))};
	env->v[0] = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(passed_env); i++)
		env_pass(env, passed_env[i]);
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "LC_", 3) == 0)
			env_put(env, *e);
}

/* ---- options: each takes its values from p and returns 0 or an exit status ---- */

static char *next(struct parse *p)
{
	return p->at < p->argc ? p->argv[p->at++] : NULL;
}

static int take_bind(struct parse *p, bool read_only)
{
	struct do_options *o = p->o;
	const char *source = next(p), *target = next(p);

	if (!source || !target)
		return bad_usage("a bind takes a source on the host and a target inside", NULL);
	if (target[0] != '/')
		return bad_usage("a bind's target must be an absolute path, not", target);
	o->binds = grown(o->binds, o->bind_count + 1, sizeof(*o->binds));
	o->bind_targets = grown(o->bind_targets, o->bind_count + 1, sizeof(*o->bind_targets));
	o->binds[o->bind_count] = (struct confine_bind){.source = source, .read_only = read_only, .dir_fd = -1};
	o->bind_targets[o->bind_count++] = target;
	return 0;
}

static int opt_bind(struct parse *p, char *value)
{
	return take_bind(p, false);
}

static int opt_ro_bind(struct parse *p, char *value)
{
	return take_bind(p, true);
}

static int opt_env(struct parse *p, char *value)
{
	if (value[0] == '=' || !value[0])
		return bad_usage("--env takes NAME=VALUE or NAME, not", value);
	if (strchr(value, '='))
		env_put(&p->env, value);
	else
		env_pass(&p->env, value);
	return 0;
}

static int opt_workdir(struct parse *p, char *value)
{
	if (value[0] != '/')
		return bad_usage("--workdir takes an absolute path inside, not", value);
	p->o->workdir = value;
	return 0;
}

static int opt_platform(struct parse *p, char *value)
{
	if (strcmp(value, "auto") && strcmp(value, "ptrace") && strcmp(value, "systrap"))
		return bad_usage("--platform takes auto, ptrace or systrap, not", value);
	p->o->platform = value;
	return 0;
}

static int opt_log_level(struct parse *p, char *value)
{
	static const char *const levels[] = {
		[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcmp(value, levels[i])) {
			log_threshold = (enum log_level)i;
			return 0;
		}
	}
	return bad_usage("--log-level takes error, warn, info or debug, not", value);
}

static int opt_strace(struct parse *p, char *value)
{
	p->o->strace = true;
	p->o->strace_calls = value;
	return 0;
}

static const struct option {
	const char *name;
	enum { NO_VALUE, VALUE, OPTIONAL_VALUE } takes; /* after '=', or (VALUE) as the next argument */
	int (*set)(struct parse *p, char *value);
} options[] = {
	{"bind", NO_VALUE, opt_bind},		{"ro-bind", NO_VALUE, opt_ro_bind}, {"env", VALUE, opt_env},
	{"workdir", VALUE, opt_workdir},	{"platform", VALUE, opt_platform},  {"log-level", VALUE, opt_log_level},
	{"strace", OPTIONAL_VALUE, opt_strace},
};

static int take_option(struct parse *p, char *arg)
{
	size_t name_len = strcspn(arg, "=");
	char *value = arg[name_len] ? arg + name_len + 1 : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *opt = &options[i];

		if (strncmp(arg + 2, opt->name, name_len - 2) || opt->name[name_len - 2])
			continue;
		if (opt->takes == NO_VALUE && value)
			return bad_usage("no \"=\" is taken by", arg);
		if (opt->takes == VALUE && !value) {
			value = next(p);
			if (!value)
				return bad_usage("a value is missing after", arg);
		}
		return opt->set(p, value);
	}
	return bad_usage("unknown option", arg);
}

int cmd_do(int argc, char **argv)
{
	struct do_options o = {.platform = "auto"};
	struct parse p = {.o = &o, .argc = argc, .argv = argv, .at = 1};
	char *arg;
	int status;

	env_init(&p.env);
	while (p.at < argc && argv[p.at][0] == '-' && argv[p.at][1]) {
		arg = argv[p.at++];
		if (!strcmp(arg, "--"))
			break;
		if (!strcmp(arg, "--help")) {
			fputs(usage, stdout);
			return 0;
		}
		status = strncmp(arg, "--", 2) ? bad_usage("unknown option", arg) : take_option(&p, arg);
		if (status)
			return status;
	}
	if (p.at == argc)
		return bad_usage("no command given", NULL);
	o.argv = argv + p.at;
	o.env = p.env.v;
	return boot(&o);
}
