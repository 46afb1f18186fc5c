/* See resident.h. */
#include "sentry/mm/resident.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "host/file.h"
#include "sentry/vfs/vfs.h"

#define ENTRIES 512u

int resident_begin(struct resident_map *map, struct mm *mm, bool wanted)
{
	*map = (struct resident_map){.pagemap_fd = -1, .pid = pas_host_pid(mm->as)};
	return wanted ? host_process_mappings(map->pid, &map->host, &map->count) : 0;
}

void resident_end(struct resident_map *map)
{
	free(map->host);
	if (map->pagemap_fd >= 0)
		host_close(map->pagemap_fd);
}

/* How many pages of [start, end) are there. */
static uint64_t present_pages(struct resident_map *map, uint64_t start, uint64_t end)
{
	uint64_t entries[ENTRIES], present = 0;

	if (map->pagemap_fd < 0)
		map->pagemap_fd = host_pagemap_open(map->pid);
	while (map->pagemap_fd >= 0 && start < end) {
		ssize_t n = host_pagemap_read(map->pagemap_fd, start, entries, min_of((end - start) / PAGE_SIZE, (uint64_t)ENTRIES));

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			present += (entries[i] & HOST_PAGE_PRESENT) != 0;
		start += (uint64_t)n * PAGE_SIZE;
	}
	return present;
}

/* Adds the part [start, end) of a host's mapping: all of it, or in proportion to the pages that are there. */
static void add_part(struct resident_map *map, const struct host_mapping *h, uint64_t start, uint64_t end, struct resident *out)
{
	uint64_t part_kb = h->kb[HOST_MEM_RSS], whole_kb = max_of(part_kb, (uint64_t)1);

	if ((start > h->start || end < h->end) && part_kb)
		part_kb = min_of(present_pages(map, start, end) * (PAGE_SIZE / 1024), part_kb);
	else
		part_kb = whole_kb;
	for (int i = 0; i < HOST_MEM_KINDS; i++)
		out->kb[i] += h->kb[i] * part_kb / whole_kb;
}

/* Pss by what the pages are.  Of a private mapping of a file the pages that were written are anonymous. */
static void split_pss(const struct vma *v, struct resident *r)
{
	uint64_t pss = r->kb[HOST_MEM_PSS];
	bool shmem = v->shared_id || (v->file && v->file->inode->sb->flags & SB_SHMEM);

	if (v->flags & L_MAP_PRIVATE)
		r->pss_anon_kb = v->file ? min_of(pss, r->kb[HOST_MEM_ANONYMOUS]) : pss;
	if (shmem)
		r->pss_shmem_kb = pss - r->pss_anon_kb;
	else
		r->pss_file_kb = pss - r->pss_anon_kb;
}

void resident_of(struct resident_map *map, const struct vma *v, struct resident *out)
{
	*out = (struct resident){0};
	while (map->next < map->count && map->host[map->next].end <= v->start)
		map->next++;
	for (size_t i = map->next; i < map->count && map->host[i].start < v->end; i++) {
		const struct host_mapping *h = &map->host[i];

		add_part(map, h, max_of(h->start, v->start), min_of(h->end, v->end), out);
	}
	split_pss(v, out);
}

void resident_add(struct resident *sum, const struct resident *more)
{
	for (int i = 0; i < HOST_MEM_KINDS; i++)
		sum->kb[i] += more->kb[i];
	sum->pss_anon_kb += more->pss_anon_kb;
	sum->pss_file_kb += more->pss_file_kb;
	sum->pss_shmem_kb += more->pss_shmem_kb;
}
