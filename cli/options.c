/* See options.h. */
#include "cli/options.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "cli/cmd.h"
#include "host/front.h"

#define SHOWN_LENGTH 120 /* bytes of an argument that a message repeats */
#define HELP_COLUMN 24

/* ---- messages ---- */

const char *quoted(const char *text)
{
	static char buffers[4][SHOWN_LENGTH + 8];
	static unsigned next;
	char *b = buffers[next++ % 4];

	snprintf(b, sizeof(buffers[0]), "\"%.*s%s\"", SHOWN_LENGTH, text,
		 strnlen(text, SHOWN_LENGTH + 1) > SHOWN_LENGTH ? "..." : "");
	return b;
}

int usage_error(const struct command_line *cl, const char *fmt, ...)
{
	char what[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_error("%s: %s; see \"bailey %s --help\"", cl->command, what, cl->command);
	return EXIT_BAILEY;
}

/* ---- help ---- */

static int print_name(const struct option *o)
{
	const char *sign = o->takes == TAKES_NOTHING ? "" : o->takes == TAKES_AFTER_SIGN ? "[=" : " ";

	return printf("%s%s%s%s%s", o->name[1] ? "--" : "-", o->name, sign, o->values ? o->values : "",
		      o->takes == TAKES_AFTER_SIGN ? "]" : "");
}

/* The help of a row, whose further lines are indented like the first. */
static void print_help_text(const char *text, int column)
{
	if (column > HELP_COLUMN - 2) {
		putchar('\n');
		column = 0;
	}
	for (const char *line = text; line;) {
		const char *end = strchr(line, '\n');
		int len = end ? (int)(end - line) : (int)strlen(line);

		printf("%*s%.*s\n", HELP_COLUMN - column, "", len, line);
		column = 0;
		line = end ? end + 1 : NULL;
	}
}

static void print_help(const struct command_line *cl)
{
	printf("%s\n", cl->usage);
	for (size_t i = 0; i < cl->option_count;) {
		const char *text = cl->options[i].help;
		int column = printf("  ");

		column += print_name(&cl->options[i++]);
		while (i < cl->option_count && !cl->options[i].help) {
			column += printf(", ");
			column += print_name(&cl->options[i++]);
		}
		print_help_text(text, column);
	}
	print_help_text("this text; --version prints the version", printf("  --help"));
	if (cl->closing)
		printf("\n%s", cl->closing);
}

/* ---- parsing ---- */

struct cursor {
	int argc, at; /* at: the next argument */
	char **argv;
};

static char *next(struct cursor *c)
{
	return c->at < c->argc ? c->argv[c->at++] : NULL;
}

static const struct option *find_option(const struct command_line *cl, const char *name, size_t len)
{
	for (size_t i = 0; i < cl->option_count; i++)
		if (strlen(cl->options[i].name) == len && memcmp(cl->options[i].name, name, len) == 0)
			return &cl->options[i];
	return NULL;
}

/* value is what came with the option itself, or NULL. */
static int take_values(const struct command_line *cl, void *ctx, const struct option *o, struct cursor *c, char *value)
{
	const char *dashes = o->name[1] ? "--" : "-";
	char *second = NULL;

	if (value && (o->takes == TAKES_NOTHING || o->takes == TAKES_PAIR))
		return usage_error(cl, "%s%s takes no \"=\"%s%s", dashes, o->name,
				   o->takes == TAKES_PAIR ? ": write " : "", o->takes == TAKES_PAIR ? o->values : "");
	if (!value && (o->takes == TAKES_VALUE || o->takes == TAKES_PAIR)) {
		value = next(c);
		if (!value)
			return usage_error(cl, "%s%s needs %s after it", dashes, o->name, o->values);
	}
	if (o->takes == TAKES_PAIR) {
		second = next(c);
		if (!second)
			return usage_error(cl, "%s%s needs %s after it, and the second is missing", dashes, o->name,
					   o->values);
	}
	return o->set(ctx, value, second);
}

static int take_option(const struct command_line *cl, void *ctx, struct cursor *c)
{
	char *arg = next(c), *value = NULL;
	const struct option *o;

	if (arg[1] == '-') {
		size_t len = strcspn(arg + 2, "=");

		o = find_option(cl, arg + 2, len);
		if (o && !o->name[1]) /* --v is not -v */
			o = NULL;
		if (arg[2 + len])
			value = arg + 2 + len + 1;
	} else {
		o = find_option(cl, arg + 1, 1);
		if (arg[2])
			value = arg + 2;
	}
	if (!o)
		return usage_error(cl, "there is no option %s", quoted(arg));
	return take_values(cl, ctx, o, c, value);
}

int options_parse(const struct command_line *cl, void *ctx, int argc, char **argv, int *rest)
{
	struct cursor c = {.argc = argc, .at = 1, .argv = argv};

	while (c.at < argc && argv[c.at][0] == '-' && argv[c.at][1]) {
		int status;

		if (!strcmp(argv[c.at], "--")) {
			c.at++;
			break;
		}
		if (!strcmp(argv[c.at], "--help")) {
			print_help(cl);
			return OPTIONS_DONE;
		}
		if (!strcmp(argv[c.at], "--version")) {
			print_version();
			return OPTIONS_DONE;
		}
		status = take_option(cl, ctx, &c);
		if (status)
			return status;
	}
	*rest = c.at;
	return 0;
}
