/* Where two outcomes differ: statuses and outputs; files are conform_files.c's.  See conform.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/conform.h"
#include "cli/env.h"
#include "cli/options.h"

#define COMMON_SHOWN 60 /* bytes */

void conform_note(struct conform_outcome *o, const char *what, const char *native, const char *inside)
{
	struct conform_difference d = {strdup(what), strdup(native), strdup(inside)};

	if (!d.what || !d.native || !d.inside)
		panic("out of memory while comparing");
	o->differences = grown(o->differences, o->count + 1, sizeof(*o->differences));
	o->differences[o->count++] = d;
}

/* ---- outputs ---- */

/* A run's output, read line by line, those that are ignored passed over. */
struct output {
	FILE *f;
	char *line; /* without its newline */
	size_t room, len;
	unsigned long number; /* of the line, from 1; of the last one at the end */
	bool at_end;
};

static bool is_ignored(const struct conform_case *c, const char *line)
{
	for (size_t i = 0; i < c->ignored_count; i++)
		if (regexec(&c->ignored[i], line, 0, NULL, 0) == 0)
			return true;
	return false;
}

static void next_line(const struct conform_case *c, struct output *o)
{
	do {
		ssize_t n = getline(&o->line, &o->room, o->f);

		if (n < 0 && !feof(o->f))
			panic("cannot read an output while comparing: %s", strerror(errno));
		o->at_end = n < 0;
		if (o->at_end)
			return;
		o->number++;
		o->len = (size_t)n;
		if (n > 0 && o->line[n - 1] == '\n')
			o->line[--o->len] = '\0';
	} while (is_ignored(c, o->line));
}

static bool is_same_line(const struct output *a, const struct output *b)
{
	return a->at_end == b->at_end && (a->at_end || (a->len == b->len && memcmp(a->line, b->line, a->len) == 0));
}

static size_t common_length(const struct output *a, const struct output *b)
{
	size_t n = 0;

	while (!a->at_end && !b->at_end && n < a->len && n < b->len && a->line[n] == b->line[n])
		n++;
	return n;
}

/* The first `common` bytes are the other's, too: left out if there are many, or a zero among them. */
static void describe_line(const struct output *o, size_t common, char *buf, size_t size)
{
	if (o->at_end)
		snprintf(buf, size, "ends after line %lu", o->number);
	else if (common > COMMON_SHOWN || strnlen(o->line, common) < common)
		snprintf(buf, size, "line %lu is from byte %zu on %s", o->number, common, quoted(o->line + common));
	else
		snprintf(buf, size, "line %lu is %s", o->number, quoted(o->line));
}

static int open_output(int dir, const char *name, const char *suffix, struct output *out)
{
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "%s.%s", name, suffix);
	fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	*out = (struct output){.f = fd < 0 ? NULL : fdopen(fd, "r")};
	return out->f ? 0 : -errno;
}

static void close_output(struct output *o)
{
	if (o->f)
		fclose(o->f);
	free(o->line);
}

static int compare_output(const struct conform_case *c, int dir, struct conform_outcome *o, const char *what, const char *suffix)
{
	char text_a[200], text_b[200];
	struct output a, b = {0};
	int r = open_output(dir, "native", suffix, &a);

	if (r == 0)
		r = open_output(dir, o->name, suffix, &b);
	if (r == 0) {
		do {
			next_line(c, &a);
			next_line(c, &b);
		} while (is_same_line(&a, &b) && !a.at_end);
		describe_line(&a, common_length(&a, &b), text_a, sizeof(text_a));
		describe_line(&b, common_length(&a, &b), text_b, sizeof(text_b));
		if (!is_same_line(&a, &b))
			conform_note(o, what, text_a, text_b);
	}
	close_output(&a);
	close_output(&b);
	return r;
}

/* ---- all of it ---- */

static void status_text(const struct conform_outcome *o, unsigned timeout_s, char *buf, size_t size)
{
	if (o->status == CONFORM_NO_END)
		snprintf(buf, size, "no end within %u s", timeout_s);
	else
		snprintf(buf, size, "%d", o->status);
}

static int compare(const struct conform_case *c, const struct conform_result *r, int dir, struct conform_outcome *o)
{
	char a[32], b[32];
	int err;

	if (r->native.status != o->status || o->status == CONFORM_NO_END) {
		status_text(&r->native, c->native_timeout_s, a, sizeof(a));
		status_text(o, c->inside_timeout_s, b, sizeof(b));
		conform_note(o, "status", a, b);
	}
	err = compare_output(c, dir, o, "stdout", "out");
	if (err == 0)
		err = compare_output(c, dir, o, "stderr", "err");
	return err < 0 ? err : conform_compare_files(dir, o);
}

int conform_compare(const struct conform_case *c, struct conform_result *r)
{
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = dir < 0 ? -errno : 0;

	for (size_t i = 0; err == 0 && i < r->inside_count; i++)
		err = compare(c, r, dir, &r->inside[i]);
	if (dir >= 0)
		close(dir);
	if (err < 0)
		log_error("conform: cannot read what the runs left in %s: %s; leave that directory to them", r->dir, strerror(-err));
	return err;
}
