/* bailey conform [OPTIONS] [--] CMD [ARGS]: reads the options and reports; conform.h does the work. */
#include <errno.h>
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

struct parse {
	struct conform_case c;
	struct env env;
	const char *json;
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
	p->c.platform = value;
	return 0;
}

static int set_json(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;

	(void)second;
	p->json = value;
	return 0;
}

static int set_timeout(void *ctx, char *value, char *second)
{
	struct parse *p = ctx;
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	(void)second;
	if (value[0] < '0' || value[0] > '9' || *end || n == 0 || n > 1000000)
		return usage_error(&command_line, "--timeout takes 1 to 1000000 seconds, not %s", quoted(value));
	p->c.timeout_s = (unsigned)n;
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
	{"platform", TAKES_VALUE, "P", "the platform of the run inside: systrap, ptrace or auto (default)", set_platform},
	{"json", TAKES_VALUE, "FILE", "write the result to FILE, too", set_json},
	{"timeout", TAKES_VALUE, "S", "end each run after S seconds", set_timeout},
	{"env", TAKES_VALUE, "K=V", "set K in the environment of both runs", set_env},
	{"ro-bind", TAKES_PAIR, "SRC DST", "as of \"bailey do\": for programs in /tmp and other places not shown", set_ro_bind},
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

/* A name with a slash is the caller's, who stands elsewhere than CMD will. */
static int make_absolute(char **name)
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
	free(cwd);
	*name = path;
	return 0;
}

/* ---- reports ---- */

static void write_status(FILE *f, int status)
{
	if (status == CONFORM_NO_END)
		fprintf(f, "null");
	else
		fprintf(f, "%d", status);
}

static void write_json(FILE *f, const struct conform_case *c, const struct conform_result *r)
{
	fprintf(f, "{\"command\": [");
	for (size_t i = 0; c->argv[i]; i++) {
		fputs(i ? ", " : "", f);
		json_string(f, c->argv[i]);
	}
	fprintf(f, "],\n \"platform\": ");
	json_string(f, c->platform);
	fprintf(f, ",\n \"status\": {\"native\": ");
	write_status(f, r->native.status);
	fprintf(f, ", \"inside\": ");
	write_status(f, r->inside.status);
	fprintf(f, "},\n \"differences\": [");
	for (size_t i = 0; i < r->count; i++) {
		fprintf(f, "%s\n  {\"what\": ", i ? "," : "");
		json_string(f, r->differences[i].what);
		fprintf(f, ", \"native\": ");
		json_string(f, r->differences[i].native);
		fprintf(f, ", \"inside\": ");
		json_string(f, r->differences[i].inside);
		putc('}', f);
	}
	fprintf(f, "]}\n");
}

static int report(const struct parse *p, const struct conform_result *r)
{
	FILE *f;

	for (size_t i = 0; i < r->count; i++) {
		const struct conform_difference *d = &r->differences[i];

		printf("%s: natively %s; inside %s\n", d->what, d->native, d->inside);
	}
	if (r->count == 0)
		printf("the same, with exit status %d\n", r->native.status);
	if (!p->json)
		return 0;
	f = fopen(p->json, "we");
	if (f) {
		write_json(f, &p->c, r);
		if (fclose(f) == 0)
			return 0;
	}
	log_error("conform: cannot write %s: %s; name a file that can be written", quoted(p->json), strerror(errno));
	return EXIT_BAILEY;
}

int cmd_conform(int argc, char **argv)
{
	struct parse p = {.c = {.platform = "auto"}};
	struct conform_result result;
	int rest, status;

	env_init(&p.env);
	env_pass_usual(&p.env);
	status = options_parse(&command_line, &p, argc, argv, &rest);
	if (status)
		return status == OPTIONS_DONE ? 0 : status;
	if (rest == argc)
		return usage_error(&command_line, "no command given");
	p.c.argv = argv + rest;
	p.c.env = p.env.v;
	status = make_absolute(&p.c.argv[0]);
	if (status)
		return status;
	if (conform_run(&p.c, &result) < 0) {
		status = EXIT_BAILEY;
	} else if (conform_compare(&result) < 0) {
		log_error("conform: cannot read what the runs left in %s", result.dir);
		status = EXIT_BAILEY;
	} else {
		status = report(&p, &result);
		if (status == 0 && result.count > 0)
			status = EXIT_DIFFERS;
	}
	conform_end(&result);
	return status;
}
