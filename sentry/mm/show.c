/* /proc/PID/maps and smaps: the VMA list as text.  See proc_pid_maps(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/types.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

static const char *vma_label(const struct vma *v)
{
	switch (v->kind) {
	case VMA_HEAP:
		return "[heap]";
	case VMA_STACK:
		return "[stack]";
	case VMA_VDSO:
		return "[vdso]";
	default:
		return "";
	}
}

static void show_vma(FILE *f, const struct vma *v, const struct path *root, char *name)
{
	uint64_t dev = 0, ino = 0;
	int width;

	snprintf(name, L_PATH_MAX, "%s", vma_label(v));
	if (v->file) {
		dev = v->file->inode->sb->dev;
		ino = v->file->inode->ino;
		if (vfs_path_name(&v->file->path, root, name, L_PATH_MAX) != 0)
			snprintf(name, L_PATH_MAX, "(unreachable)");
	} else if (v->shared_id) {
		snprintf(name, L_PATH_MAX, "/dev/zero (deleted)");
		ino = v->shared_id;
		dev = 1;
	}
	width = fprintf(f, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", (unsigned long)v->start, (unsigned long)v->end,
			v->prot & L_PROT_READ ? 'r' : '-', v->prot & L_PROT_WRITE ? 'w' : '-',
			v->prot & L_PROT_EXEC ? 'x' : '-', v->flags & L_MAP_SHARED ? 's' : 'p', (unsigned long)v->off,
			(unsigned)((dev >> 8) & 0xfff), (unsigned)((dev & 0xff) | ((dev >> 12) & 0xfff00)),
			(unsigned long)ino);
	if (name[0])
		fprintf(f, "%*s%s", width < 73 ? 73 - width : 0, "", name);
	fputc('\n', f);
}

/* The sizes that only the host knows (Rss and the like) are given as if nothing were shared: see mm_usage for the sum. */
static void show_vma_details(FILE *f, const struct vma *v)
{
	fprintf(f, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
		(unsigned long)vma_len(v) / 1024);
	fprintf(f, "Locked:         %8lu kB\n", (unsigned long)(v->locked ? vma_len(v) / 1024 : 0));
	fprintf(f, "VmFlags:%s%s%s%s mr mw me%s%s%s\n", v->prot & L_PROT_READ ? " rd" : "",
		v->prot & L_PROT_WRITE ? " wr" : "", v->prot & L_PROT_EXEC ? " ex" : "",
		v->flags & L_MAP_SHARED ? " sh" : "", vma_grows(v) ? " gd" : "", v->locked ? " lo" : "",
		v->dont_fork ? " dc" : "");
}

int mm_show_maps(struct mm *mm, const struct path *root, bool smaps, char **out, size_t *len)
{
	char *name = malloc(L_PATH_MAX);
	FILE *f = open_memstream(out, len);
	int r = 0;

	if (!name || !f) {
		free(name);
		if (f) {
			fclose(f);
			free(*out);
		}
		return -ENOMEM;
	}
	mutex_lock(&mm->lock);
	for (size_t i = 0; i < mm->vma_count; i++) {
		show_vma(f, mm->vmas[i], root, name);
		if (smaps)
			show_vma_details(f, mm->vmas[i]);
	}
	mutex_unlock(&mm->lock);
	if (fclose(f) != 0) {
		free(*out);
		r = -ENOMEM;
	}
	free(name);
	return r;
}
