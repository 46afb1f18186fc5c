/* See vdso.h. */
#include "platform/arch/x86_64/vdso.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"

#define PIECES_MAX 4 /* [vvar], [vvar_vclock], [vdso] */

/* In the order of their addresses; set once, before the first template is made. */
static struct piece {
	uint64_t start, end;
	bool code;
	char name[24];
} pieces[PIECES_MAX];
static unsigned piece_count;

void vdso_note(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], name[64];
	bool code_seen = false;

	piece_count = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %63s", &start, &end, name) != 3)
			continue;
		if (strncmp(name, "[vvar", 5) != 0 && strcmp(name, "[vdso]") != 0)
			continue;
		if (piece_count == PIECES_MAX || code_seen || (piece_count && pieces[piece_count - 1].end != start)) {
			piece_count = 0; /* not laid out as we know it: better none than half of it */
			code_seen = false;
			break;
		}
		code_seen = strcmp(name, "[vdso]") == 0;
		pieces[piece_count] = (struct piece){start, end, code_seen, ""};
		snprintf(pieces[piece_count++].name, sizeof(pieces[0].name), "%.23s", name);
	}
	if (!code_seen)
		piece_count = 0;
	if (maps)
		fclose(maps);
}

uint64_t vdso_size(void)
{
	return piece_count ? pieces[piece_count - 1].end - pieces[0].start : 0;
}

int vdso_move(uint64_t to)
{
	for (unsigned i = 0; i < piece_count; i++) {
		uint64_t size = pieces[i].end - pieces[i].start, at = to + (pieces[i].start - pieces[0].start);

		if (syscall(SYS_mremap, pieces[i].start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) != (long)at)
			return -errno;
	}
	return 0;
}

bool vdso_part(unsigned i, uint64_t ehdr, uint64_t *start, uint64_t *end, const char **name, bool *code)
{
	if (i >= piece_count)
		return false;
	*start = ehdr - pieces[piece_count - 1].start + pieces[i].start;
	*end = *start + (pieces[i].end - pieces[i].start);
	*name = pieces[i].name;
	*code = pieces[i].code;
	return true;
}

uint64_t vdso_ehdr(uint64_t at)
{
	return piece_count ? at + (pieces[piece_count - 1].start - pieces[0].start) : 0;
}
