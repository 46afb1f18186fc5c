/* See smaps.h. */
#include "host/smaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/process.h"

#define FRAME_MASK ((1ull << 55) - 1) /* of present pages the frame, of others where they are swapped */

static const char *const names[HOST_MEM_KINDS] = {
	"Rss",		  "Pss",	    "Pss_Dirty",      "Shared_Clean",  "Shared_Dirty",	 "Private_Clean",
	"Private_Dirty",  "Referenced",	    "Anonymous",      "KSM",	       "LazyFree",	 "AnonHugePages",
	"ShmemPmdMapped", "FilePmdMapped",  "Shared_Hugetlb", "Private_Hugetlb", "Swap",	 "SwapPss",
};

const char *host_memory_name(enum host_memory_kind kind)
{
	return names[kind];
}

struct list {
	struct host_mapping *v;
	size_t count, room;
};

static int add_mapping(struct list *l, uint64_t start, uint64_t end)
{
	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct host_mapping *v = realloc(l->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	l->v[l->count++] = (struct host_mapping){.start = start, .end = end};
	return 0;
}

/* "Name:   12 kB" of the last mapping.  A kind that is not known here, or that this host lacks, is 0. */
static void take_amount(struct list *l, const char *line)
{
	size_t len = strcspn(line, ":");

	if (!l->count || line[len] != ':')
		return;
	for (size_t i = 0; i < HOST_MEM_KINDS; i++)
		if (strlen(names[i]) == len && memcmp(names[i], line, len) == 0)
			l->v[l->count - 1].kb[i] = (uint32_t)strtoul(line + len + 1, NULL, 10);
}

/* A mapping's first line begins with its addresses, in lower case; the names of amounts with a capital. */
static int take_line(struct list *l, const char *line)
{
	char *end;
	uint64_t start;

	if (line[0] >= 'A' && line[0] <= 'Z') {
		take_amount(l, line);
		return 0;
	}
	start = strtoull(line, &end, 16);
	return *end == '-' ? add_mapping(l, start, strtoull(end + 1, NULL, 16)) : 0;
}

int host_process_mappings(pid_t pid, struct host_mapping **out, size_t *count)
{
	struct list l = {0};
	char *line = NULL;
	size_t size = 0;
	FILE *f = NULL;
	int fd = host_process_open(pid, "smaps"), r = 0;

	if (fd >= 0) {
		f = fdopen(fd, "r");
		if (!f)
			close(fd);
	}
	while (f && r == 0 && getline(&line, &size, f) > 0)
		r = take_line(&l, line);
	if (f)
		fclose(f);
	free(line);
	if (r < 0) {
		free(l.v);
		return r;
	}
	*out = l.v;
	*count = l.count;
	return 0;
}

int host_pagemap_open(pid_t pid)
{
	return host_process_open(pid, "pagemap");
}

ssize_t host_pagemap_read(int fd, uint64_t addr, uint64_t *entries, size_t count)
{
	ssize_t n = pread(fd, entries, count * sizeof(*entries), (off_t)(addr / PAGE_SIZE * sizeof(*entries)));

	if (n < 0)
		return -errno;
	n /= (ssize_t)sizeof(*entries);
	for (ssize_t i = 0; i < n; i++)
		entries[i] &= ~FRAME_MASK;
	return n;
}
