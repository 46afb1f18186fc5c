/* bailey conform [OPTIONS] [--] CMD [ARGS]: reads the options and reports; conform.h does the work. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/conform.h"
#include "cli/env.h"
#include "cli/options.h"
#include "host/front.h"

#define EXIT_DIFFERS 1
#define TIMEOUT_MAX 1000000u /* seconds */

struct parse {
	struct conform_case c;
	struct env env;
	const char *json;
	FILE *json_file; /* opened before anything runs */
	char *bailey;
};

static const struct command_line command_line;

/* ---- options ---- */

static void pass_on(struct conform_case *c, char *word)
{
	c->do_options = grown(c->do_options, c->do_option_count + 1, sizeof(*c->do_options));
	c->do_options[c->do_option_count++] = word;
}

static int set_platform(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (strcmp(value, "auto") && strcmp(value, "ptrace") && strcmp(value, "systrap"))
		return usage_error(&command_line, "--platform takes auto, ptrace or systrap, not %s", quoted(value));
	for (size_t i = 0; i < p->c.platform_count; i++)
		if (!strcmp(p->c.platforms[i], value))
			return usage_error(&command_line, "--platform %s is given twice", value);
	p->c.platforms = grown(p->c.platforms, p->c.platform_count + 1, sizeof(*p->c.platforms));
	p->c.platforms[p->c.platform_count++] = value;
	return 0;
}

static int set_json(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	p->json = value;
	return 0;
}

/* A number of seconds at *text, which is moved behind it; 0 if there is none. */
static unsigned parse_seconds(char **text)
{
	unsigned long n = **text < '0' || **text > '9' ? 0 : strtoul(*text, text, 10);

	return n > TIMEOUT_MAX ? 0 : (unsigned)n;
}

static int set_timeout(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;
	char *at = value;

	(void)second;
	p->c.native_timeout_s = p->c.inside_timeout_s = parse_seconds(&at);
	if (p->c.native_timeout_s && *at == ':') {
		at++;
		p->c.inside_timeout_s = parse_seconds(&at);
	}
	if (p->c.inside_timeout_s == 0 || *at)
		return usage_error(&command_line, "--timeout takes 1 to %u seconds, or two such numbers with \":\" between them, not %s",
				   TIMEOUT_MAX, quoted(value));
	return 0;
}

static int set_ignore(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;
	char why[200];
	int r;

	(void)second;
	p->c.ignored = grown(p->c.ignored, p->c.ignored_count + 1, sizeof(*p->c.ignored));
	r = regcomp(&p->c.ignored[p->c.ignored_count], value, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &p->c.ignored[p->c.ignored_count], why, sizeof(why));
		return usage_error(&command_line, "--ignore takes an extended regular expression, not %s: %s", quoted(value), why);
	}
	p->c.ignored_count++;
	return 0;
}

static int set_keep(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	p->c.keep = value;
	return 0;
}

static int set_bailey(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (!value[0])
		return usage_error(&command_line, "--bailey takes the path of a bailey, not %s", quoted(value));
	p->bailey = value;
	return 0;
}

static int set_do(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	pass_on(&p->c, value);
	return 0;
}

static int set_env(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	if (value[0] == '=' || !strchr(value, '='))
		return usage_error(&command_line, "--env takes NAME=VALUE, not %s", quoted(value));
	env_put(&p->env, value);
	return 0;
}

static int set_ro_bind(void *ctx, char *source, char *target)
{
	struct parse *p = ctx;

	pass_on(&p->c, (char *)(uintptr_t)"--ro-bind");
	pass_on(&p->c, source);
	pass_on(&p->c, target);
	return 0;
}

static const struct option options[] = {
	{"platform", TAKES_VALUE, "P", "the platform of a run inside: systrap, ptrace or auto (default); given again: a run on\neach", set_platform},
	{"timeout", TAKES_VALUE, "S[:S]", "end each run after S seconds; with two, the native one and each inside", set_timeout},
	{"ignore", TAKES_VALUE, "REGEX", "do not compare lines of output that match (may be given again)", set_ignore},
	{"json", TAKES_VALUE, "FILE", "write the result to FILE, too", set_json},
	{"keep", TAKES_VALUE, "DIR",
	 "keep what the runs left in DIR, which is new or empty: NAME.out, NAME.err, NAME.status,\n"
	 "the directory NAME, where NAME is native or the platform, and PLATFORM.differences",
	 set_keep},
	{"env", TAKES_VALUE, "K=V", "set K in the environment of all runs", set_env},
	{"ro-bind", TAKES_PAIR, "SRC DST", "as of \"bailey do\": for what CMD needs of /tmp and other places not shown (the\ncaller's own directory is, if CMD is a path from there on)", set_ro_bind},
	{"do", TAKES_VALUE, "WORD", "pass WORD on to \"bailey do\": --do=--init=no (may be given again)", set_do},
	{"bailey", TAKES_VALUE, "FILE", "the bailey that runs CMD inside (default: this one)", set_bailey},
};

static const struct command_line command_line = {
	.command = "conform",
	.usage = "usage: bailey conform [OPTIONS] [--] CMD [ARGS]\n"
		 "\n"
		 "Runs CMD natively and then inside a sandbox, each time in an empty working directory of the same name,\n"
		 "without input or a terminal, and says where exit status, standard output, standard error or the files that\n"
		 "it left there differ.\n",
	.closing = "Exit status: 0 no difference; 1 there are differences; 125 Bailey's own error.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* Where "bailey do" shows another tree than the host's, unless it is started there. */
static bool is_covered(const char *dir)
{
	return !strncmp(dir, "/tmp/", 5) || !strncmp(dir, "/dev/shm/", 9);
}

/* A name with a slash is the caller's, who stands elsewhere than the runs will: there it is made to be found, too. */
static int make_absolute(struct parse *p, char **name)
{
	char *cwd, *path;

	if ((*name)[0] == '/' || !strchr(*name, '/'))
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&path, "%s/%s", cwd, *name) < 0) {
		log_error("conform: cannot tell where %s is: %s; name it from / on", quoted(*name), strerror(errno));
		free(cwd);
		return EXIT_BAILEY;
	}
	*name = path;
	if (is_covered(cwd))
		return set_ro_bind(p, cwd, cwd);
	free(cwd);
	return 0;
}

/* ---- reports ---- */

/* For a terminal, too: what is not printable is "?". */
static void print_text(FILE *f, const char *text)
{
	for (; *text; text++)
		putc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, f);
}

/* Each line begins with prefix. */
static void print_differences(FILE *f, const char *prefix, const struct conform_outcome *o)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct conform_difference *d = &o->differences[i];

		fputs(prefix, f);
		print_text(f, d->what);
		fputs(": natively ", f);
		print_text(f, d->native);
		fputs("; inside ", f);
		print_text(f, d->inside);
		putc('\n', f);
	}
}

/* Where there are several platforms each line says of which it is. */
static void print_outcome(const struct conform_result *r, const struct conform_outcome *o)
{
	char prefix[32] = "";

	if (r->inside_count > 1)
		snprintf(prefix, sizeof(prefix), "%s: ", o->name);
	print_differences(stdout, prefix, o);
	if (o->count == 0)
		printf("%sthe same, with exit status %d\n", prefix, o->status);
}

/* Status, time and its bound; null where there is none. */
static void write_run(FILE *f, const struct conform_outcome *o, unsigned timeout_s)
{
	fprintf(f, "\"status\": ");
	if (o->status == CONFORM_NO_END)
		fprintf(f, "null");
	else
		fprintf(f, "%d", o->status);
	fprintf(f, ", \"seconds\": %.3f, \"timeout\": ", o->seconds);
	if (timeout_s)
		fprintf(f, "%u", timeout_s);
	else
		fprintf(f, "null");
}

static void write_differences(FILE *f, const struct conform_outcome *o)
{
	fprintf(f, "\"differences\": [");
	for (size_t i = 0; i < o->count; i++) {
		fprintf(f, "%s\n    {\"what\": ", i ? "," : "");
		json_string(f, o->differences[i].what);
		fprintf(f, ", \"native\": ");
		json_string(f, o->differences[i].native);
		fprintf(f, ", \"inside\": ");
		json_string(f, o->differences[i].inside);
		putc('}', f);
	}
	putc(']', f);
}

static void write_json(FILE *f, const struct conform_case *c, const struct conform_result *r)
{
	fprintf(f, "{\"command\": [");
	for (size_t i = 0; c->argv[i]; i++) {
		fputs(i ? ", " : "", f);
		json_string(f, c->argv[i]);
	}
	fprintf(f, "],\n \"native\": {");
	write_run(f, &r->native, c->native_timeout_s);
	fprintf(f, "},\n \"inside\": [");
	for (size_t i = 0; i < r->inside_count; i++) {
		fprintf(f, "%s\n  {\"platform\": ", i ? "," : "");
		json_string(f, r->inside[i].name);
		fprintf(f, ", ");
		write_run(f, &r->inside[i], c->inside_timeout_s);
		fprintf(f, ",\n   ");
		write_differences(f, &r->inside[i]);
		putc('}', f);
	}
	fprintf(f, "]}\n");
}

static int cannot_write(const char *name)
{
	log_error("conform: cannot write %s: %s; name a file that can be written", quoted(name), strerror(errno));
	return EXIT_BAILEY;
}

/* 0, or an exit status after an error that has been told. */
static int keep_differences(const struct conform_result *r, const struct conform_outcome *o)
{
	char name[4200];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s.differences", r->dir, o->name);
	f = fopen(name, "we");
	if (!f)
		return cannot_write(name);
	print_differences(f, "", o);
	return fclose(f) == 0 ? 0 : cannot_write(name);
}

/* The exit status. */
static int report(const struct parse *p, const struct conform_result *r)
{
	bool same = true;
	int status = 0;

	for (size_t i = 0; i < r->inside_count; i++) {
		print_outcome(r, &r->inside[i]);
		same = same && r->inside[i].count == 0;
		if (status == 0 && r->kept)
			status = keep_differences(r, &r->inside[i]);
	}
	if (fflush(stdout) != 0)
		return cannot_write("standard output");
	if (status == 0 && p->json_file) {
		write_json(p->json_file, &p->c, r);
		if (fflush(p->json_file) != 0)
			status = cannot_write(p->json);
	}
	return status == 0 && !same ? EXIT_DIFFERS : status;
}

/* As if it had never been held back. */
static void end_by(int signo)
{
	sigset_t set;

	signal(signo, SIG_DFL);
	raise(signo);
	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int cmd_conform(int argc, char **argv)
{
	static const char *usual_platform = "auto";
	struct parse p = {0};
	struct conform_result result;
	int rest, status, signo;

	env_init(&p.env);
	env_pass_usual(&p.env);
	status = options_parse(&command_line, &p, argc, argv, &rest);
	if (status)
		return status == OPTIONS_DONE ? 0 : status;
	if (rest == argc)
		return usage_error(&command_line, "no command given");
	p.c.argv = argv + rest;
	p.c.env = p.env.v;
	if (p.c.platform_count == 0) {
		p.c.platforms = &usual_platform;
		p.c.platform_count = 1;
	}
	status = make_absolute(&p, &p.c.argv[0]);
	if (status == 0 && p.bailey)
		status = make_absolute(&p, &p.bailey);
	if (status)
		return status;
	if (p.json && !(p.json_file = fopen(p.json, "we")))
		return cannot_write(p.json);
	p.c.bailey = p.bailey;
	if (conform_run(&p.c, &result) < 0 || conform_compare(&p.c, &result) < 0)
		status = EXIT_BAILEY;
	else
		status = report(&p, &result);
	signo = result.signal;
	conform_end(&result);
	if (signo)
		end_by(signo);
	return status;
}
