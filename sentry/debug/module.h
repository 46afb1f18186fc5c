/* The ELF file that is mapped at an address of a guest, as its headers in guest memory describe it. */
#ifndef BAILEY_SENTRY_DEBUG_MODULE_H
#define BAILEY_SENTRY_DEBUG_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

struct module {
	uint64_t start, end;   /* guest addresses, from its first header's mapping to the last of its mappings */
	uint64_t bias;	       /* what was added to the file's addresses */
	uint64_t eh_frame_hdr; /* guest address of the header of its unwind table, and */
	uint64_t table;	       /*   of the table that can be searched; */
	uint64_t table_size;   /*   bytes, 0: it has none */
};

/* Finds what is mapped at addr in t's address space; false if that is no ELF file.  Everything said is as trustworthy as the
 * guest.  t is the calling task; no lock held. */
bool module_find(struct task *t, uint64_t addr, struct module *out);
/* The name of the file that is mapped at addr, as t sees it; "?" if there is none. */
void module_name(struct task *t, uint64_t addr, char *buf, size_t size);

#endif
