/*
 * The ELF planner: decides from a file's headers what execve(2) is to map where.  Behaves as load_elf_binary of Linux
 * 6.18, in its refusals and their order too.  Like Linux it looks at the magic, type and machine only, not at the
 * class, version or ABI bytes; an x32 or i386 file fails at the machine or at the size of a program header.
 *
 * libelf decodes headers of checked size (byte order, alignment); it is never shown the file.
 */
#include "loader/loader.h"

#include <elf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"

/* ---- reading ---- */

static ssize_t read_bytes(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct elf_bytes *b = arg;

	if (off >= b->size)
		return 0;
	len = min_of(len, b->size - off);
	memcpy(buf, (const char *)b->data + off, len);
	return (ssize_t)len;
}

struct elf_source elf_source_bytes(const struct elf_bytes *b)
{
	return (struct elf_source){.read = read_bytes, .arg = (void *)(uintptr_t)b, .size = b->size};
}

/* All of len, or -EIO. */
static int read_exactly(const struct elf_source *src, void *buf, size_t len, uint64_t off)
{
	ssize_t n;

	if (off > INT64_MAX - len)
		return -EINVAL;
	n = src->read(src->arg, buf, len, off);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

static bool decode(Elf_Type type, void *dst, size_t dst_size, const void *raw, size_t raw_size)
{
	Elf_Data to = {.d_buf = dst, .d_type = type, .d_version = EV_CURRENT, .d_size = dst_size};
	Elf_Data from = {.d_buf = (void *)(uintptr_t)raw, .d_type = type, .d_version = EV_CURRENT, .d_size = raw_size};

	return elf64_xlatetom(&to, &from, ELFDATA2LSB) != NULL;
}

/* Reads and checks the file header. */
static int read_ehdr(const struct elf_source *src, enum elf_role role, Elf64_Ehdr *eh)
{
	unsigned char raw[sizeof(*eh)] = {0};
	ssize_t n;

	n = src->read(src->arg, raw, sizeof(raw), 0);
	if (n < 0)
		return (int)n;
	/* A program's head is looked at in a buffer filled up with zeros, an interpreter's is read in full. */
	if (role == ELF_INTERPRETER && (size_t)n < sizeof(raw))
		return -EIO;
	if (memcmp(raw, ELFMAG, SELFMAG) || !decode(ELF_T_EHDR, eh, sizeof(*eh), raw, sizeof(raw)))
		return -ENOEXEC;
	/* An interpreter of another type is noticed only when it is mapped. */
	if (role == ELF_PROGRAM && eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return -ENOEXEC;
	if (eh->e_machine != EM_X86_64)
		return -ENOEXEC;
	return 0;
}

/* Reads the program headers into an array, returned owned. */
static int read_phdrs(const struct elf_source *src, const Elf64_Ehdr *eh, Elf64_Phdr **out)
{
	size_t size = eh->e_phnum * sizeof(Elf64_Phdr);
	Elf64_Phdr *ph = NULL;
	void *raw;
	int r = -ENOEXEC;

	if (eh->e_phentsize != sizeof(*ph) || eh->e_phnum == 0 || eh->e_phnum > ELF_MAX_PHDRS)
		return -ENOEXEC;
	raw = malloc(size);
	ph = malloc(size);
	if (!raw || !ph)
		r = -ENOMEM;
	else if (!read_exactly(src, raw, size, eh->e_phoff) && decode(ELF_T_PHDR, ph, size, raw, size))
		r = 0; /* whatever goes wrong with the reading is a bad format */
	free(raw);
	if (r)
		free(ph);
	else
		*out = ph;
	return r;
}

/* The first PT_INTERP counts. */
static int read_interp(const struct elf_source *src, const Elf64_Phdr *ph, size_t count, struct elf_plan *plan)
{
	int r;

	for (size_t i = 0; i < count; i++) {
		if (ph[i].p_type != PT_INTERP)
			continue;
		if (ph[i].p_filesz < 2 || ph[i].p_filesz > sizeof(plan->interp))
			return -ENOEXEC;
		r = read_exactly(src, plan->interp, ph[i].p_filesz, ph[i].p_offset);
		if (r)
			return r;
		if (plan->interp[ph[i].p_filesz - 1] != '\0')
			return -ENOEXEC;
		/* Linux looks up "" and finds the working directory. */
		return plan->interp[0] ? 0 : -EACCES;
	}
	return 0;
}

/* ---- planning ---- */

static int prot_of(uint32_t p_flags)
{
	int prot = 0;

	if (p_flags & PF_R)
		prot |= L_PROT_READ;
	if (p_flags & PF_W)
		prot |= L_PROT_WRITE;
	if (p_flags & PF_X)
		prot |= L_PROT_EXEC;
	return prot;
}

/*
 * The ranges of one PT_LOAD at its own (unbiased) addresses.  0, or what mmap or clear_user would have answered.  The
 * caller has made sure that vaddr + memsz neither wraps nor passes the ceiling, and that filesz <= memsz.
 */
static int plan_segment(const Elf64_Phdr *ph, uint64_t file_size, struct elf_segment *seg)
{
	uint64_t in_page = ph->p_vaddr & ~PAGE_MASK;
	uint64_t file_end = ph->p_vaddr + ph->p_filesz, mem_end = ph->p_vaddr + ph->p_memsz;
	uint64_t anon_from = page_down(ph->p_vaddr), last_byte;

	*seg = (struct elf_segment){.prot = prot_of(ph->p_flags)};
	if (ph->p_filesz) {
		if ((ph->p_offset & ~PAGE_MASK) != in_page)
			return -EINVAL;
		seg->map_start = page_down(ph->p_vaddr);
		if (!page_up(file_end, &seg->map_end))
			return -ENOMEM;
		seg->file_off = ph->p_offset - in_page;
		if (!checked_add(seg->file_off, seg->map_end - seg->map_start, &last_byte) || last_byte > INT64_MAX)
			return -EOVERFLOW;
		anon_from = seg->map_end;
	}
	if (ph->p_memsz == ph->p_filesz)
		return 0;

	/* What is not writable is left with the file's bytes in it: Linux fails to clear it and lets that pass. */
	if (ph->p_filesz && (seg->prot & L_PROT_WRITE) && (file_end & ~PAGE_MASK)) {
		seg->clear_start = file_end;
		seg->clear_end = seg->map_end;
		/* The page to be cleared lies behind the file's end: no page is there. */
		if (page_down(ph->p_offset + ph->p_filesz) >= file_size)
			return -EFAULT;
	}
	seg->anon_start = anon_from;
	if (!page_up(mem_end, &seg->anon_end))
		return -ENOMEM;
	/* Always writable, whatever the segment says. */
	seg->anon_prot = L_PROT_READ | L_PROT_WRITE | (seg->prot & L_PROT_EXEC);
	return 0;
}

/* Where /proc/PID/stat says that code and data lie. */
static void note_bounds(struct elf_plan *plan, const Elf64_Phdr *ph)
{
	if (ph->p_flags & PF_X) {
		plan->start_code = min_of(plan->start_code, ph->p_vaddr);
		plan->end_code = max_of(plan->end_code, ph->p_vaddr + ph->p_filesz);
	}
	plan->start_data = max_of(plan->start_data, ph->p_vaddr);
	plan->end_data = max_of(plan->end_data, ph->p_vaddr + ph->p_filesz);
}

/* All PT_LOADs.  0, or -errno of the first that cannot be mapped. */
static int plan_segments(const struct elf_source *src, const Elf64_Ehdr *eh, const Elf64_Phdr *ph, struct elf_plan *plan)
{
	uint64_t low = UINT64_MAX, high = 0, align = PAGE_SIZE;
	int r;

	for (size_t i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_filesz > ph->p_memsz || ph->p_memsz > plan->ceiling ||
		    ph->p_vaddr > plan->ceiling - ph->p_memsz)
			return plan->role == ELF_PROGRAM ? -EINVAL : -ENOMEM;
		r = plan_segment(ph, src->size, &plan->segments[plan->segment_count]);
		if (r)
			return r;
		plan->segment_count++;
		low = min_of(low, page_down(ph->p_vaddr));
		high = max_of(high, ph->p_vaddr + ph->p_memsz);
		if (ph->p_align && !(ph->p_align & (ph->p_align - 1)))
			align = max_of(align, ph->p_align);
		if (ph->p_offset <= eh->e_phoff && eh->e_phoff - ph->p_offset < ph->p_filesz)
			plan->phdr = eh->e_phoff - ph->p_offset + ph->p_vaddr;
		note_bounds(plan, ph);
	}
	plan->align = align;
	if (!plan->segment_count) /* a fixed program may consist of nothing: it faults at its entry */
		return plan->relocatable || plan->role == ELF_INTERPRETER ? -EINVAL : 0;
	if (!page_up(high, &high))
		return -ENOMEM;
	plan->span_start = low;
	plan->span_size = high - low;
	plan->brk_start = high;
	if (plan->relocatable && plan->span_size == 0)
		return -EINVAL;
	return 0;
}

/* A program with an interpreter may name any entry: it is the interpreter that gets control. */
static void check_entry(struct elf_plan *plan)
{
	if (!plan->fatal && !plan->interp[0] && plan->entry >= plan->ceiling)
		plan->fatal = -EINVAL;
}

static int plan_headers(const struct elf_source *src, const Elf64_Ehdr *eh, const Elf64_Phdr *ph, struct elf_plan *plan)
{
	size_t loads = 0;
	int r;

	if (plan->role == ELF_PROGRAM) {
		r = read_interp(src, ph, eh->e_phnum, plan);
		if (r)
			return r;
	}
	for (size_t i = 0; i < eh->e_phnum; i++) {
		loads += ph[i].p_type == PT_LOAD;
		if (ph[i].p_type == PT_GNU_STACK && plan->role == ELF_PROGRAM)
			plan->stack_exec = (ph[i].p_flags & PF_X) != 0;
	}
	if (loads) {
		plan->segments = calloc(loads, sizeof(*plan->segments));
		if (!plan->segments)
			return -ENOMEM;
	}
	plan->relocatable = eh->e_type == ET_DYN;
	plan->entry = eh->e_entry;
	plan->phnum = eh->e_phnum;
	plan->phentsize = eh->e_phentsize;
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		plan->fatal = -ENOEXEC;
	else
		plan->fatal = plan_segments(src, eh, ph, plan);
	if (!plan->relocatable)
		check_entry(plan);
	return 0;
}

int elf_plan(const struct elf_source *src, enum elf_role role, uint64_t ceiling, struct elf_plan *plan)
{
	Elf64_Phdr *ph = NULL;
	Elf64_Ehdr eh;
	int r;

	*plan = (struct elf_plan){.role = role, .ceiling = page_down(ceiling), .start_code = UINT64_MAX};
	r = read_ehdr(src, role, &eh);
	if (!r)
		r = read_phdrs(src, &eh, &ph);
	if (r)
		return r == -ENOEXEC && role == ELF_INTERPRETER ? -ELIBBAD : r;
	r = plan_headers(src, &eh, ph, plan);
	free(ph);
	return r;
}

void elf_plan_free(struct elf_plan *plan)
{
	if (!plan)
		return;
	free(plan->segments);
	plan->segments = NULL;
	plan->segment_count = 0;
}

int elf_place(struct elf_plan *plan, uint64_t base)
{
	uint64_t end, bias = base - plan->span_start;

	if (!plan->relocatable || plan->fatal || (base & ~PAGE_MASK))
		return -EINVAL;
	if (!checked_add(base, plan->span_size, &end) || end > plan->ceiling)
		return -ENOMEM;
	/* The bias may be "negative"; every address within the span stays within [base, end). */
	for (size_t i = 0; i < plan->segment_count; i++) {
		struct elf_segment *seg = &plan->segments[i];

		seg->map_start += bias;
		seg->map_end += bias;
		seg->clear_start += bias;
		seg->clear_end += bias;
		seg->anon_start += bias;
		seg->anon_end += bias;
	}
	plan->span_start = base;
	plan->bias = bias;
	plan->entry += bias;
	plan->phdr += bias;
	plan->brk_start += bias;
	plan->start_code += bias;
	plan->end_code += bias;
	plan->start_data += bias;
	plan->end_data += bias;
	check_entry(plan);
	return 0;
}
