/* Mappings in a range of the program's own, looked at by touching them; and the memory that other steps give to calls. */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul
#define AREA ((char *)0x200000000000)
#define AREA_PAGES 24u

/* ---- memory for calls ---- */

#define PLAIN_SIZE 16384

static char *plain;   /* PLAIN_SIZE bytes, then a page that is not there */
static char *guarded; /* a page of each: read-only, none, writable, none */

void memory_start(void)
{
	plain = mmap(NULL, PLAIN_SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guarded = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (plain == MAP_FAILED || guarded == MAP_FAILED)
		_exit(97);
	memset(guarded, 'r', PAGE);
	mprotect(plain + PLAIN_SIZE, PAGE, PROT_NONE);
	mprotect(guarded, PAGE, PROT_READ);
	mprotect(guarded + PAGE, PAGE, PROT_NONE);
	mprotect(guarded + 3 * PAGE, PAGE, PROT_NONE);
}

size_t some_size(void)
{
	static const size_t edges[] = {0, 1, 8, 63, 64, 100, 511, 1024, 4095, 4096, 4097, 8192, 12000, PLAIN_SIZE};

	return once_in(2) ? PICK(edges) : roll(300);
}

static void fill(char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (char)('a' + roll(26));
}

void *some_memory(size_t size, bool filled)
{
	char *p = plain;
	unsigned how = roll(40);

	if (how < 6)
		p = plain + PLAIN_SIZE - size;
	else if (how == 6)
		p = plain + PLAIN_SIZE - size / 2; /* a part is not there */
	else if (how == 7)
		p = guarded + 3 * PAGE - (size < PAGE ? size : PAGE);
	else if (how == 8)
		return guarded + roll(PAGE); /* read-only, then none */
	else if (how == 9)
		return once_in(2) ? NULL : guarded + PAGE;
	if (filled)
		fill(p, readable(p, size));
	return p;
}

void *whole_memory(size_t size)
{
	fill(plain, size);
	return plain;
}

const char *some_text(const char *text, const char **where)
{
	size_t size = strlen(text) + 1;

	*where = text;
	switch (roll(30)) {
	case 0: /* up to the last byte that is there */
		*where = memcpy(plain + PLAIN_SIZE - size, text, size);
		return " at the end";
	case 1: /* without its end */
		*where = memcpy(plain + PLAIN_SIZE - size + 1, text, size - 1);
		return " cut off";
	case 2:
		*where = once_in(2) ? NULL : guarded + PAGE;
		return " nowhere";
	default:
		return "";
	}
}

static size_t within(const char *p, size_t size, const char *end)
{
	return p + size <= end ? size : (size_t)(end - p);
}

size_t readable(const void *at, size_t size)
{
	const char *p = at;

	if (p >= plain && p <= plain + PLAIN_SIZE)
		return within(p, size, plain + PLAIN_SIZE);
	if (p >= guarded && p < guarded + PAGE)
		return within(p, size, guarded + PAGE);
	if (p >= guarded + 2 * PAGE && p <= guarded + 3 * PAGE)
		return within(p, size, guarded + 3 * PAGE);
	if (p >= guarded + PAGE && p < guarded + 4 * PAGE)
		return 0;
	return p ? size : 0;
}

/* ---- touching ---- */

static sigjmp_buf out_of_fault;
static volatile int fault_signo, fault_code;
static char *volatile fault_addr;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	fault_signo = signo;
	fault_code = info->si_code;
	fault_addr = info->si_addr;
	siglongjmp(out_of_fault, 1);
}

/* Reads a byte, and writes one there. */
static void touch(char *p, bool write_too)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, segv, bus;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	if (sigsetjmp(out_of_fault, 1) == 0) {
		more(" %02x", *(volatile unsigned char *)p);
		if (write_too) {
			*(volatile char *)p = (char)roll(256);
			more("w");
		}
	} else {
		more(" signal %d code %d at %+ld", fault_signo, fault_code, (long)(fault_addr - p));
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
}

/* ---- steps ---- */

/* Pages of the area: where they begin (*page) and how many. */
static unsigned some_pages(unsigned *page)
{
	*page = roll(AREA_PAGES - 1);
	return 1 + roll(AREA_PAGES - *page < 6 ? AREA_PAGES - *page : 6);
}

/* Linux takes away what a mapping of one would have replaced, although there is none. */
static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static void map_step(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_WRITE};
	static const int ways[] = {MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE, MAP_SHARED, 0, MAP_PRIVATE | MAP_SHARED};
	unsigned page, count = some_pages(&page);
	int prot = PICK(prots), flags = PICK(ways) | (once_in(4) ? MAP_FIXED_NOREPLACE : MAP_FIXED), fd = -1;
	long off = 0;
	void *p;

	if (once_in(2)) {
		flags |= MAP_ANONYMOUS;
	} else {
		fd = some_fd();
		if (is_socket(fd))
			return;
		off = (long)(roll(3) * PAGE) + (once_in(20) ? 1 : 0);
	}
	step("mmap(+%u, %u, %#x, %#x, %d, %ld)", page, count, prot, flags, fd, off);
	p = mmap(AREA + page * PAGE, count * PAGE, prot, flags, fd, off);
	if (p == MAP_FAILED)
		gave(-1);
	else
		gave((long)((char *)p - AREA) / (long)PAGE);
}

static void remap_step(void)
{
	static const int all[] = {0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED,
				  MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP};
	unsigned from, to, old_count = some_pages(&from), new_count = some_pages(&to);
	int flags = PICK(all);
	char *p;

	if (once_in(2))
		new_count = old_count;
	if (flags == MREMAP_MAYMOVE) /* it would go where the two need not agree */
		new_count = 1 + roll(old_count);
	step("mremap(+%u, %u, %u, %#x, +%u)", from, old_count, new_count, flags, to);
	p = mremap(AREA + from * PAGE, old_count * PAGE, new_count * PAGE, flags, AREA + to * PAGE);
	if (p == MAP_FAILED)
		gave(-1);
	else
		gave((p - AREA) / (long)PAGE);
}

static void protect_step(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, 0x40};
	unsigned page, count = some_pages(&page);
	int prot = PICK(prots);

	step("mprotect(+%u, %u, %#x)", page, count, prot);
	gave(mprotect(AREA + page * PAGE, count * PAGE, prot));
}

static void advise_step(void)
{
	static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_NORMAL, MADV_WILLNEED, MADV_REMOVE,
				      MADV_DONTFORK, MADV_DOFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE, 77, MADV_WIPEONFORK};
	unsigned page, count = some_pages(&page);
	int advice = PICK(advices);

	step("madvise(+%u, %u, %d)", page, count, advice);
	gave(madvise(AREA + page * PAGE, count * PAGE, advice));
}

static void unmap_step(void)
{
	unsigned page, count = some_pages(&page), odd = once_in(15) ? 7 : 0;

	step("munmap(+%u+%u, %u)", page, odd, count);
	gave(munmap(AREA + page * PAGE + odd, count * PAGE));
}

static void sync_step(void)
{
	static const int all[] = {MS_SYNC, MS_ASYNC, MS_INVALIDATE | MS_SYNC, MS_SYNC | MS_ASYNC, 0};
	unsigned page, count = some_pages(&page);
	int flags = PICK(all);

	step("msync(+%u, %u, %d)", page, count, flags);
	gave(msync(AREA + page * PAGE, count * PAGE, flags));
}

static void touch_step(void)
{
	unsigned page, count = some_pages(&page);
	bool write_too = once_in(2);

	step("touch(+%u, %u%s):", page, count, write_too ? ", w" : "");
	for (unsigned i = 0; i < count; i++)
		touch(AREA + (page + i) * PAGE + roll(PAGE), write_too);
}

/* A call that reads or writes memory of the area: of a pipe, for a file may be what is mapped there. */
static void copy_step(void)
{
	unsigned page, count = some_pages(&page);
	char *p = AREA + page * PAGE + roll(PAGE);
	size_t size = roll(count * PAGE);
	int fd = some_fd();

	if (!is_pipe(fd))
		return;
	if (once_in(2)) {
		step("write(%d, +%u, %zu)", fd, page, size);
		gave(write(fd, p, size));
	} else {
		step("read(%d, +%u, %zu)", fd, page, size);
		gave(read(fd, p, size));
	}
}

/* What is mapped in the area, as /proc/self/maps has it; neighbours that are alike may be one there, and are here. */
static void maps_step(void)
{
	unsigned long start, end, off, last_start = 0, last_end = 0, last_off = 0, ino, last_ino = 0;
	char text[512], perms[8], last_perms[8] = "";
	FILE *f = fopen("/proc/self/maps", "r");

	step("maps:");
	if (!f) {
		gave(-1);
		return;
	}
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "%lx-%lx %7s %lx %*s %lu", &start, &end, perms, &off, &ino) != 5 || (char *)end <= AREA ||
		    (char *)start >= AREA + AREA_PAGES * PAGE)
			continue;
		if ((char *)start < AREA)
			start = (unsigned long)AREA;
		if ((char *)end > AREA + AREA_PAGES * PAGE)
			end = (unsigned long)(AREA + AREA_PAGES * PAGE);
		if (last_end == start && last_ino == ino && strcmp(perms, last_perms) == 0 &&
		    (ino ? off == last_off + (last_end - last_start) : 1)) {
			last_end = end;
			continue;
		}
		if (last_end)
			more(" %02lu-%02lu%s@%lx", ((char *)last_start - AREA) / PAGE, ((char *)last_end - AREA) / PAGE,
			     last_perms, last_off);
		last_start = start;
		last_end = end;
		last_off = off;
		last_ino = ino;
		memcpy(last_perms, perms, sizeof(perms));
	}
	if (last_end)
		more(" %02lu-%02lu%s@%lx", ((char *)last_start - AREA) / PAGE, ((char *)last_end - AREA) / PAGE, last_perms,
		     last_off);
	fclose(f);
}

void memory_step(void)
{
	static void (*const steps[])(void) = {map_step, map_step, map_step, unmap_step, remap_step, protect_step,
					      advise_step, sync_step, touch_step, touch_step, copy_step, maps_step};

	PICK(steps)();
}
