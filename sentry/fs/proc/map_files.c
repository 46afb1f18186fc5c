/*
 * /proc/PID/map_files: a link for each mapping of a file, named by where it begins and ends; see proc_pid_map_files(5).
 * DIVERGES: shared memory of no file is not there, as no file stands behind it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"

static bool mapping_from(const struct proc_ctx *c, uint64_t from, struct mm_mapping *out)
{
	struct mm *mm = task_get_mm(c->task);
	bool found = mm && mm_next_file_mapping(mm, from, out);

	mm_put(mm);
	return found;
}

/* The one that is exactly where the node says. */
static int mapping_of(const struct proc_ctx *c, uint64_t start, uint64_t end, struct mm_mapping *out)
{
	if (!mapping_from(c, start, out))
		return -ENOENT;
	if (out->start == start && out->end == end)
		return 0;
	file_put(out->file);
	return -ENOENT;
}

static int follow(const struct proc_ctx *c, struct path *out)
{
	struct mm_mapping m;
	int r = mapping_of(c, c->node->start, c->node->end, &m);

	if (r < 0)
		return r;
	*out = m.file->path;
	path_get(out);
	file_put(m.file);
	return 0;
}

static const struct proc_entry member = {
	.name = "map", .mode = L_S_IFLNK, .follow = follow, .guarded = true, .checkpoint = true};

static void fill(struct proc_node *child, const struct mm_mapping *m)
{
	child->entry = &member;
	child->start = m->start;
	child->end = m->end;
	child->link_mode = (m->file->mode & FILE_READ ? L_S_IRUSR : 0) | (m->file->mode & FILE_WRITE ? L_S_IWUSR : 0);
	process_get(child->process);
}

/* "START-END" in hexadecimal digits without leading zeros. */
static bool parse(const char *name, uint64_t *start, uint64_t *end)
{
	char again[40], *at;

	*start = strtoull(name, &at, 16);
	if (*at != '-')
		return false;
	*end = strtoull(at + 1, NULL, 16);
	snprintf(again, sizeof(again), "%" PRIx64 "-%" PRIx64, *start, *end);
	return strcasecmp(name, again) == 0;
}

static int find(const struct proc_ctx *c, const char *name, struct proc_node *child)
{
	struct mm_mapping m;
	uint64_t start, end;
	int r = parse(name, &start, &end) ? mapping_of(c, start, end, &m) : -ENOENT;

	if (r < 0)
		return r;
	fill(child, &m);
	file_put(m.file);
	return 0;
}

/* Positions are page numbers. */
static int64_t list(const struct proc_ctx *c, int64_t from, char *name, size_t size, struct proc_node *child)
{
	struct mm_mapping m;

	if ((uint64_t)from > UINT64_MAX / PAGE_SIZE || !mapping_from(c, (uint64_t)from * PAGE_SIZE, &m))
		return -ENOENT;
	snprintf(name, size, "%" PRIx64 "-%" PRIx64, m.start, m.end);
	fill(child, &m);
	file_put(m.file);
	return (int64_t)(m.start / PAGE_SIZE);
}

const struct proc_dir proc_map_files_dir = {.find = find, .list = list};
