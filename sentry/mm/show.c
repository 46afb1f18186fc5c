/*
 * /proc/PID/maps, smaps and smaps_rollup: the list of VMAs, and after it what every address space has above it (the vDSO and
 * the vsyscall page).  See proc_pid_maps(5) and proc_pid_smaps(5).  What of it is resident is in resident.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/types.h"
#include "base/checked.h"
#include "sentry/mm/change.h"
#include "sentry/mm/resident.h"
#include "sentry/mm/vma.h"
#include "sentry/task/task.h"
#include "sentry/vfs/vfs.h"

#define NAME_COLUMN 73
#define VSYSCALL_PAGE 0xffffffffff600000ull
#define NO_FILE 1 /* the device of kernel-internal memory files: /dev/zero's shared mappings */

/* One line of maps: of a VMA, or of what is in no VMA. */
struct line {
	uint64_t start, end, off, dev, ino;
	int prot, flags;
	const char *name; /* "" without */
};

static void show_line(FILE *f, const struct line *l)
{
	int width = fprintf(f, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", (unsigned long)l->start, (unsigned long)l->end,
			    l->prot & L_PROT_READ ? 'r' : '-', l->prot & L_PROT_WRITE ? 'w' : '-',
			    l->prot & L_PROT_EXEC ? 'x' : '-', l->flags & L_MAP_SHARED ? 's' : 'p', (unsigned long)l->off,
			    (unsigned)((l->dev >> 8) & 0xfff), (unsigned)((l->dev & 0xff) | ((l->dev >> 12) & 0xfff00)),
			    (unsigned long)l->ino);

	if (l->name[0])
		fprintf(f, "%*s%s", width < NAME_COLUMN ? NAME_COLUMN - width : 0, "", l->name);
	fputc('\n', f);
}

static void vma_name(const struct vma *v, const struct path *root, char *name)
{
	name[0] = '\0';
	if (v->file) {
		if (vfs_path_name(&v->file->path, root, name, L_PATH_MAX) != 0)
			snprintf(name, L_PATH_MAX, "(unreachable)");
	} else if (v->shared_id) {
		snprintf(name, L_PATH_MAX, v->name ? "[anon_shmem:%s]" : "/dev/zero (deleted)", v->name ? v->name->text : "");
	} else if (v->kind == VMA_HEAP) {
		snprintf(name, L_PATH_MAX, "[heap]");
	} else if (v->kind == VMA_STACK) {
		snprintf(name, L_PATH_MAX, "[stack]");
	} else if (v->name) {
		snprintf(name, L_PATH_MAX, "[anon:%s]", v->name->text);
	}
}

static void show_vma(FILE *f, const struct vma *v, const struct path *root, char *name)
{
	struct line l = {v->start, v->end, v->off, 0, 0, v->prot, v->flags, name};

	vma_name(v, root, name);
	if (v->file) {
		l.dev = v->file->inode->sb->dev;
		l.ino = v->file->inode->ino;
	} else if (v->shared_id) {
		l.ino = v->shared_id;
		l.dev = NO_FILE;
	} else {
		l.off = 0;
	}
	show_line(f, &l);
}

/* ---- details ---- */

/* In the order of the kernel's bits. */
static void show_flags(FILE *f, const struct vma *v)
{
	bool shared = v->flags & L_MAP_SHARED, noreserve = v->flags & L_MAP_NORESERVE;
	const struct {
		const char *name;
		bool set;
	} flags[] = {
		{"rd", v->prot & L_PROT_READ},
		{"wr", v->prot & L_PROT_WRITE},
		{"ex", v->prot & L_PROT_EXEC},
		{"sh", shared && mm_may_write(v->file, v->flags)},
		{"mr", true},
		{"mw", mm_may_write(v->file, v->flags)},
		{"me", true},
		{"ms", shared},
		{"gd", vma_grows(v)},
		{"lo", v->locked},
		{"sr", v->hints & VMA_SEQUENTIAL},
		{"rr", v->hints & VMA_RANDOM},
		{"dc", v->dont_fork},
		{"lf", v->locked && v->lock_on_fault},
		{"ac", !shared && (v->prot & L_PROT_WRITE) && !noreserve},
		{"nr", noreserve},
		{"wf", v->wipe_on_fork},
		{"dd", v->dont_dump},
		{"hg", v->hints & VMA_HUGE},
		{"nh", v->hints & VMA_NO_HUGE},
		{"mg", v->hints & VMA_MERGEABLE},
		{"sl", v->sealed},
	};

	fputs("VmFlags: ", f);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].set)
			fprintf(f, "%s ", flags[i].name);
	fputc('\n', f);
}

static void show_amount(FILE *f, const char *name, uint64_t kb)
{
	fprintf(f, "%s:%*lu kB\n", name, (int)(23 - strlen(name)), (unsigned long)kb);
}

static void show_size(FILE *f, uint64_t bytes)
{
	show_amount(f, "Size", bytes / 1024);
	show_amount(f, "KernelPageSize", PAGE_SIZE / 1024);
	show_amount(f, "MMUPageSize", PAGE_SIZE / 1024);
}

/* Locked is what is resident of a locked mapping. */
static void show_amounts(FILE *f, const struct resident *r, uint64_t locked_kb, bool rollup)
{
	for (int i = 0; i < HOST_MEM_KINDS; i++) {
		show_amount(f, host_memory_name(i), r->kb[i]);
		if (i == HOST_MEM_PSS_DIRTY && rollup) {
			show_amount(f, "Pss_Anon", r->pss_anon_kb);
			show_amount(f, "Pss_File", r->pss_file_kb);
			show_amount(f, "Pss_Shmem", r->pss_shmem_kb);
		}
	}
	show_amount(f, "Locked", locked_kb);
}

static void show_details(FILE *f, const struct vma *v, const struct resident *r)
{
	show_size(f, vma_len(v));
	show_amounts(f, r, v->locked ? r->kb[HOST_MEM_PSS] : 0, false);
	fputs("THPeligible:           0\n", f);
	show_flags(f, v);
}

/* ---- what is in no VMA ---- */

static void show_special(FILE *f, uint64_t start, uint64_t end, int prot, const char *name, bool details, const char *flags)
{
	struct line l = {start, end, 0, 0, 0, prot, L_MAP_PRIVATE, name};
	const struct resident none = {0};

	show_line(f, &l);
	if (!details)
		return;
	show_size(f, end - start);
	show_amounts(f, &none, 0, false);
	fprintf(f, "THPeligible:           0\nVmFlags: %s \n", flags);
}

uint64_t mm_special_size(bool code_only)
{
	struct pf_vdso_part part;
	uint64_t sum = 0;

	for (unsigned i = 0; platform_vdso_part(sandbox_platform(), i, &part); i++)
		if (part.code || !code_only)
			sum += part.end - part.start;
	return sum;
}

static void show_specials(FILE *f, bool details)
{
	struct pf_vdso_part part;

	for (unsigned i = 0; platform_vdso_part(sandbox_platform(), i, &part); i++)
		show_special(f, part.start, part.end, L_PROT_READ | (part.code ? L_PROT_EXEC : 0), part.name, details,
			     part.code ? "rd ex mr mw me de" : "rd mr pf io de dd");
	show_special(f, VSYSCALL_PAGE, VSYSCALL_PAGE + PAGE_SIZE, L_PROT_EXEC, "[vsyscall]", details, "ex");
}

/* ---- the files ---- */

static void show_rollup(FILE *f, const struct mm *mm, const struct resident *sum, uint64_t locked_kb)
{
	struct line l = {
		.start = mm->vma_count ? mm->vmas[0]->start : 0,
		.end = mm->vma_count ? mm->vmas[mm->vma_count - 1]->end : 0,
		.flags = L_MAP_PRIVATE,
		.name = "[rollup]",
	};

	show_line(f, &l);
	show_amounts(f, sum, locked_kb, true);
}

int mm_show(struct mm *mm, const struct path *root, enum mm_show what, FILE *out)
{
	char *name = malloc(L_PATH_MAX);
	struct resident sum = {0}, r;
	struct resident_map map;
	uint64_t locked_kb = 0;
	int err = name ? resident_begin(&map, mm, what != MM_SHOW_MAPS) : -ENOMEM;

	if (err < 0) {
		free(name);
		return err;
	}
	mutex_lock(&mm->lock);
	for (size_t i = 0; i < mm->vma_count; i++) {
		const struct vma *v = mm->vmas[i];

		if (what != MM_SHOW_ROLLUP)
			show_vma(out, v, root, name);
		if (what == MM_SHOW_MAPS)
			continue;
		resident_of(&map, v, &r);
		if (what == MM_SHOW_SMAPS)
			show_details(out, v, &r);
		resident_add(&sum, &r);
		if (v->locked)
			locked_kb += r.kb[HOST_MEM_PSS];
	}
	if (what == MM_SHOW_ROLLUP)
		show_rollup(out, mm, &sum, locked_kb);
	mutex_unlock(&mm->lock);
	if (what != MM_SHOW_ROLLUP)
		show_specials(out, what == MM_SHOW_SMAPS);
	resident_end(&map);
	free(name);
	return 0;
}
