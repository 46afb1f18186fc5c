/* Finds a mapped ELF file's unwind table: file header, program headers, .eh_frame_hdr, all read from guest memory. */
#include "sentry/debug/module.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "abi/types.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"
#include "sentry/vfs/vfs.h"

#define PHDRS_MAX 64

/* .eh_frame_hdr with the encodings that every linker uses (LSB, "Exception Frames"): a pc-relative pointer, then a count and a
 * table of pairs relative to the header.  Others are taken for no table. */
struct eh_frame_hdr {
	uint8_t version, eh_frame_ptr_enc, fde_count_enc, table_enc;
	int32_t eh_frame_ptr;
	uint32_t fde_count;
};
#define PE_PCREL_SDATA4 0x1b
#define PE_UDATA4 0x03
#define PE_DATAREL_SDATA4 0x3b
#define PAIR_SIZE 8u

static void note_table(struct task *t, uint64_t hdr_addr, uint64_t room, struct module *m)
{
	struct eh_frame_hdr hdr;

	if (room < sizeof(hdr) || copy_in(t->ctx, &hdr, hdr_addr, sizeof(hdr)) < 0)
		return;
	if (hdr.version != 1 || hdr.eh_frame_ptr_enc != PE_PCREL_SDATA4 || hdr.fde_count_enc != PE_UDATA4 ||
	    hdr.table_enc != PE_DATAREL_SDATA4)
		return;
	m->eh_frame_hdr = hdr_addr;
	m->table = hdr_addr + sizeof(hdr);
	m->table_size = min_of((uint64_t)hdr.fde_count * PAIR_SIZE, room - sizeof(hdr));
}

static bool read_headers(struct task *t, Elf64_Ehdr *eh, Elf64_Phdr *ph, uint64_t base)
{
	if (copy_in(t->ctx, eh, base, sizeof(*eh)) < 0 || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return false;
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_phentsize != sizeof(*ph) || eh->e_phnum > PHDRS_MAX)
		return false;
	return copy_in(t->ctx, ph, base + eh->e_phoff, eh->e_phnum * sizeof(*ph)) == 0;
}

bool module_find(struct task *t, uint64_t addr, struct module *out)
{
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr eh;
	bool found = false;

	memset(out, 0, sizeof(*out));
	if (!mm_file_extent(t->mm, addr, &out->start, &out->end) || !read_headers(t, &eh, ph, out->start))
		return false;
	for (size_t i = 0; i < eh.e_phnum && !found; i++) {
		found = ph[i].p_type == PT_LOAD && ph[i].p_offset == 0;
		out->bias = out->start - ph[i].p_vaddr;
	}
	for (size_t i = 0; found && i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_GNU_EH_FRAME)
			note_table(t, out->bias + ph[i].p_vaddr, ph[i].p_memsz, out);
	return found;
}

void module_name(struct task *t, uint64_t addr, char *buf, size_t size)
{
	struct file *f = mm_file_at(t->mm, addr);
	struct path root;

	snprintf(buf, size, "?");
	if (!f)
		return;
	fs_info_root(t->fs, &root);
	if (vfs_path_name(&f->path, &root, buf, size) < 0)
		snprintf(buf, size, "?");
	path_put(&root);
	file_put(f);
}
