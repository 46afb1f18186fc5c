/* What of a process's memory is there, and what it is called: mincore(2), smaps, pagemap, status, names of mappings. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define PAGE 4096ul
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static char *map(size_t pages, int flags)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* The text of a file of ours, NUL-terminated, in a buffer that the next call uses again. */
static char *slurp(const char *path)
{
	static char *text;
	static size_t room;
	size_t n = 0;
	int fd = open(path, O_RDONLY);

	REQUIRE(fd >= 0);
	for (;;) {
		ssize_t r;

		if (room - n < 8192)
			text = realloc(text, room += 65536);
		r = read(fd, text + n, room - n - 1);
		REQUIRE(r >= 0);
		if (r == 0)
			break;
		n += (size_t)r;
	}
	close(fd);
	text[n] = 0;
	return text;
}

/* The line of maps or smaps whose mapping holds addr. */
static char *line_of(char *text, const void *addr)
{
	for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && (unsigned long)addr >= start && (unsigned long)addr < end)
			return line;
	}
	H_FAIL("nothing is mapped at %p\n", addr);
	return text + strlen(text);
}

/* The number of kB behind a name in the part of smaps that begins at line. */
static long amount(const char *line, const char *name)
{
	char want[40];
	const char *at;

	snprintf(want, sizeof(want), "\n%s:", name);
	at = strstr(line, want);
	return at ? atol(at + strlen(want)) : -1;
}

static bool has_flag(const char *line, const char *flag)
{
	const char *at = strstr(line, "\nVmFlags:"), *end = at ? strchr(at + 1, '\n') : NULL, *f;
	char want[8];

	snprintf(want, sizeof(want), " %s ", flag);
	f = at ? strstr(at, want) : NULL;
	return f && f < end;
}

static char *name_of(char *line)
{
	char *end = strchr(line, '\n'), *p;

	if (end)
		*end = 0;
	p = strchr(line, '[');
	if (!p)
		p = strchr(line, '/');
	return p ? p : line + strlen(line);
}

TEST(mincore_tells)
{
	unsigned char vec[16];
	char *p = map(8, MAP_PRIVATE), *s = map(8, MAP_SHARED), *hole = map(3, MAP_PRIVATE);

	p[0] = p[3 * PAGE] = 1;
	s[PAGE] = 1;
	memset(vec, 0x55, sizeof(vec));
	OK(mincore(p, 8 * PAGE, vec));
	for (int i = 0; i < 8; i++)
		CHECK_EQ(vec[i] & 1, i == 0 || i == 3);
	CHECK_EQ(vec[8], 0x55);
	OK(mincore(s, 8 * PAGE, vec));
	for (int i = 0; i < 8; i++)
		CHECK_EQ(vec[i] & 1, i == 1);
	OK(madvise(p, PAGE, MADV_DONTNEED));
	OK(mincore(p, 1, vec));
	CHECK_EQ(vec[0] & 1, 0);
	OK(mincore(p + PAGE, 0, vec));
	OK(munmap(hole + PAGE, PAGE));
	CHECK_ERR(mincore(hole, 3 * PAGE, vec), ENOMEM);
	CHECK_ERR(mincore(hole + PAGE, PAGE, vec), ENOMEM);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_ERR(mincore(p, PAGE, NULL), EFAULT);
	CHECK_ERR(mincore(p, PAGE, (unsigned char *)-PAGE), EFAULT);
	CHECK_ERR(mincore(p, (size_t)-PAGE, vec), ENOMEM);
	OK(mprotect(p, PAGE, PROT_NONE));
	OK(mincore(p, PAGE, vec));
	munmap(p, 8 * PAGE);
	munmap(s, 8 * PAGE);
	munmap(hole, 3 * PAGE);
}

TEST(smaps_counts)
{
	char *p = map(64, MAP_PRIVATE), *line;

	OK(madvise(p, 64 * PAGE, MADV_NOHUGEPAGE)); /* else a fault may bring more than a page, and neighbours be joined */
	for (int i = 0; i < 10; i++)
		p[(size_t)i * 3 * PAGE] = 1;
	line = line_of(slurp("/proc/self/smaps"), p);
	CHECK_EQ(amount(line, "Size"), 256);
	CHECK_EQ(amount(line, "Rss"), 40);
	CHECK_EQ(amount(line, "Pss"), 40);
	CHECK_EQ(amount(line, "Pss_Dirty"), 40);
	CHECK_EQ(amount(line, "Anonymous"), 40);
	CHECK_EQ(amount(line, "Private_Dirty"), 40);
	CHECK_EQ(amount(line, "Shared_Dirty"), 0);
	CHECK_EQ(amount(line, "Locked"), 0);
	CHECK_EQ(amount(line, "Swap"), 0);
	CHECK(has_flag(line, "rd") && has_flag(line, "wr") && !has_flag(line, "ex") && !has_flag(line, "sh") &&
	      has_flag(line, "nh") && has_flag(line, "ac"));
	pid_t pid = h_fork();
	if (pid == 0) {
		line = line_of(slurp("/proc/self/smaps"), p);
		CHECK_EQ(amount(line, "Rss"), 40);
		CHECK_EQ(amount(line, "Pss"), 20);
		CHECK_EQ(amount(line, "Shared_Dirty"), 40);
		CHECK_EQ(amount(line, "Private_Dirty"), 0);
		p[0] = 2;
		line = line_of(slurp("/proc/self/smaps"), p);
		CHECK_EQ(amount(line, "Private_Dirty"), 4);
		CHECK_EQ(amount(line, "Shared_Dirty"), 36);
		child_exit();
	}
	JOIN(pid);
	OK(madvise(p, 64 * PAGE, MADV_DONTNEED));
	line = line_of(slurp("/proc/self/smaps"), p);
	CHECK_EQ(amount(line, "Rss"), 0);
	munmap(p, 64 * PAGE);
}

/* A locked part in the middle of what the host may see as one. */
TEST(smaps_of_parts)
{
	char *p = map(30, MAP_PRIVATE), *line;

	OK(madvise(p, 30 * PAGE, MADV_NOHUGEPAGE));
	p[0] = p[PAGE] = 1;
	OK(mlock(p + 10 * PAGE, 10 * PAGE));
	line = line_of(slurp("/proc/self/smaps"), p);
	CHECK_EQ(amount(line, "Size"), 40);
	CHECK_EQ(amount(line, "Rss"), 8);
	CHECK(!has_flag(line, "lo"));
	line = line_of(slurp("/proc/self/smaps"), p + 10 * PAGE);
	CHECK_EQ(amount(line, "Size"), 40);
	CHECK_EQ(amount(line, "Rss"), 40);
	CHECK_EQ(amount(line, "Locked"), 40);
	CHECK(has_flag(line, "lo"));
	line = line_of(slurp("/proc/self/smaps"), p + 20 * PAGE);
	CHECK_EQ(amount(line, "Rss"), 0);
	munmap(p, 30 * PAGE);
}

TEST(vmflags_of_advice)
{
	static const struct {
		int advice, undo;
		const char *flag;
	} marks[] = {{MADV_SEQUENTIAL, MADV_NORMAL, "sr"}, {MADV_RANDOM, MADV_NORMAL, "rr"},	   {MADV_DONTFORK, MADV_DOFORK, "dc"},
		     {MADV_DONTDUMP, MADV_DODUMP, "dd"},   {MADV_WIPEONFORK, MADV_KEEPONFORK, "wf"}};
	char *p = map(4, MAP_PRIVATE);

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		OK(madvise(p, 4 * PAGE, marks[i].advice));
		CHECK(has_flag(line_of(slurp("/proc/self/smaps"), p), marks[i].flag));
		OK(madvise(p, 4 * PAGE, marks[i].undo));
		CHECK(!has_flag(line_of(slurp("/proc/self/smaps"), p), marks[i].flag));
	}
	munmap(p, 4 * PAGE);
}

TEST(rollup_is_the_sum)
{
	static const char *const names[] = {"Rss", "Anonymous", "Private_Dirty", "Shared_Clean", "Swap"};
	char *text = strdup(slurp("/proc/self/smaps")), *rollup = slurp("/proc/self/smaps_rollup"), *line = strchr(rollup, '\n');

	CHECK(strstr(rollup, "[rollup]\n"));
	REQUIRE(line);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char want[40];
		long sum = 0, all = amount(line, names[i]);

		snprintf(want, sizeof(want), "\n%s:", names[i]);
		for (char *at = strstr(text, want); at; at = strstr(at + 1, want))
			sum += atol(at + strlen(want));
		/* Reading has itself touched a page or two. */
		CHECK(sum - all <= 64 && all - sum <= 64);
	}
	CHECK(amount(line, "Pss") <= amount(line, "Rss"));
	/* Each is rounded down by itself. */
	CHECK(labs(amount(line, "Pss_Anon") + amount(line, "Pss_File") + amount(line, "Pss_Shmem") - amount(line, "Pss")) <= 3);
	free(text);
}

static long status_kb(const char *name)
{
	char *text = slurp("/proc/self/status"), want[40], *at;

	snprintf(want, sizeof(want), "\n%s:", name);
	at = strstr(text, want);
	return at ? atol(at + strlen(want)) : -1;
}

/* The kernel counts a CPU at a time, so that each number may be some pages behind. */
TEST(status_grows_by_what_is_touched)
{
	enum { PAGES = 4096, KB = PAGES * 4, SLACK = 1024 };
	long anon = status_kb("RssAnon"), shmem = status_kb("RssShmem"), rss = status_kb("VmRSS");
	char *p = map(PAGES, MAP_PRIVATE), *s = map(PAGES, MAP_SHARED);
	long size, resident, shared;

	memset(p, 1, PAGES * PAGE);
	memset(s, 1, PAGES * PAGE);
	CHECK(labs(status_kb("RssAnon") - anon - KB) < SLACK);
	CHECK(labs(status_kb("RssShmem") - shmem - KB) < SLACK);
	CHECK(labs(status_kb("VmRSS") - rss - 2 * KB) < SLACK);
	CHECK_EQ(status_kb("VmRSS"), status_kb("RssAnon") + status_kb("RssFile") + status_kb("RssShmem"));
	CHECK(status_kb("VmHWM") >= rss + 2 * KB - SLACK);
	REQUIRE(sscanf(slurp("/proc/self/statm"), "%ld %ld %ld", &size, &resident, &shared) == 3);
	CHECK(labs(resident * 4 - status_kb("VmRSS")) < SLACK);
	CHECK(labs(shared * 4 - status_kb("RssFile") - status_kb("RssShmem")) < SLACK);
	CHECK_EQ(size * 4, status_kb("VmSize"));
	munmap(p, PAGES * PAGE);
	munmap(s, PAGES * PAGE);
	CHECK(labs(status_kb("VmRSS") - rss) < SLACK);
}

/* What is mapped is what maps lists, the vDSO and its data included; the page of [vsyscall] is nobody's. */
TEST(sizes_are_sums_of_maps)
{
	long all_kb = 0, code_kb = 0, size, lib, exe, pages;

	for (char *line = slurp("/proc/self/maps"); line && *line; line = strchr(line, '\n') + 1) {
		unsigned long start, end;
		char perms[5];

		REQUIRE(sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3);
		if (start >> 63)
			continue;
		all_kb += (long)(end - start) / 1024;
		if (perms[1] == '-' && perms[2] == 'x')
			code_kb += (long)(end - start) / 1024;
	}
	size = status_kb("VmSize");
	lib = status_kb("VmLib");
	exe = status_kb("VmExe");
	CHECK_EQ(size, all_kb);
	CHECK_EQ(lib + exe, code_kb);
	REQUIRE(sscanf(slurp("/proc/self/statm"), "%ld", &pages) == 1);
	CHECK_EQ(pages * 4, all_kb);
}

/* ---- pagemap ---- */

static uint64_t entry(int fd, const void *addr)
{
	uint64_t e = 0;

	CHECK_EQ(pread(fd, &e, sizeof(e), (off_t)((uintptr_t)addr / PAGE * 8)), 8);
	return e;
}

TEST(pagemap)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	char *p = map(4, MAP_PRIVATE), *s = map(4, MAP_SHARED);
	uint64_t e[8];

	REQUIRE(fd >= 0);
	p[0] = p[2 * PAGE] = s[PAGE] = 1;
	CHECK_EQ(entry(fd, p) >> 63, 1);
	CHECK_EQ(entry(fd, p + PAGE) >> 63, 0);
	CHECK_EQ(entry(fd, p + 2 * PAGE) >> 63, 1);
	CHECK_EQ(entry(fd, s + PAGE) >> 63, 1);
	CHECK_EQ(entry(fd, s + PAGE) >> 61 & 1, 1); /* shared */
	CHECK_EQ(entry(fd, p) >> 61 & 1, 0);
	CHECK_EQ(pread(fd, e, 64, (off_t)((uintptr_t)p / PAGE * 8)), 64);
	CHECK(e[0] >> 63 && !(e[1] >> 63) && e[2] >> 63);
	CHECK_EQ(entry(fd, (void *)(16 * PAGE)), 0);
	CHECK_ERR(pread(fd, e, 7, 0), EINVAL);
	CHECK_ERR(pread(fd, e, 8, 4), EINVAL);
	CHECK_EQ(pread(fd, e, 8, (off_t)(0x7ffffffff000ull / PAGE * 8)), 0);
	CHECK_EQ(pread(fd, e, 0, 0), 0);
	close(fd);
	munmap(p, 4 * PAGE);
	munmap(s, 4 * PAGE);
}

/* ---- names ---- */

static bool have_names(const char *p)
{
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, NULL) == 0)
		return true;
	h_say("  the kernel has no names for anonymous memory\n");
	return false;
}

TEST(anonymous_names)
{
	char *p = map(6, MAP_PRIVATE), *s = map(2, MAP_SHARED), longest[81], *edge = map(2, MAP_PRIVATE);
	int file = open("/proc/self/exe", O_RDONLY);
	char *f = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);

	CHECK_ERR(prctl(PR_SET_VMA, 1, p, PAGE, "x"), EINVAL);
	if (!have_names(p))
		return;
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + PAGE, 2 * PAGE, "a name"));
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), p + PAGE)), "[anon:a name]");
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), p)), "");
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), p + 3 * PAGE)), "");
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, s, 2 * PAGE, "shared"));
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), s)), "[anon_shmem:shared]");
	/* Neighbours of one name are one mapping; another name parts them. */
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 3 * PAGE, PAGE, "a name"));
	unsigned long start, end;
	REQUIRE(sscanf(line_of(slurp("/proc/self/maps"), p + PAGE), "%lx-%lx", &start, &end) == 2);
	CHECK(start == (unsigned long)p + PAGE && end == (unsigned long)p + 4 * PAGE);
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 6 * PAGE, NULL));
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), p + PAGE)), "");

	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 1, PAGE, "x"), EINVAL);
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, -PAGE, "x"), EINVAL);
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 0, "x"));
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, ""));
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "tab\t"), EINVAL);
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "[x]"), EINVAL);
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "a\\b"), EINVAL);
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "\xc3\xa4"), EINVAL);
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, (char *)8), EFAULT);
	memset(longest, 'n', 80);
	longest[80] = 0;
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, longest), EINVAL);
	longest[79] = 0;
	OK(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, longest));
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, f, PAGE, "x"), EBADF);
	OK(munmap(edge + PAGE, PAGE));
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, edge, 2 * PAGE, "to the edge"), ENOMEM);
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), edge)), "[anon:to the edge]");

	/* A name is inherited, and moves with its mapping. */
	char *moved = mremap(edge, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(moved != MAP_FAILED);
	CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), moved + 3 * PAGE)), "[anon:to the edge]");
	pid_t pid = h_fork();
	if (pid == 0) {
		CHECK_STR(name_of(line_of(slurp("/proc/self/maps"), moved)), "[anon:to the edge]");
		child_exit();
	}
	JOIN(pid);
	munmap(moved, 4 * PAGE);
	munmap(p, 6 * PAGE);
	munmap(s, 2 * PAGE);
	munmap(f, PAGE);
	close(file);
}

TEST(special_mappings)
{
	char *text = slurp("/proc/self/maps");
	int local = 0;

	CHECK(strstr(text, "[vdso]\n"));
	CHECK(strstr(text, "[vvar]\n"));
	CHECK(strstr(text, "[heap]\n"));
	CHECK_STR(name_of(line_of(text, &local)), "[stack]");
}
