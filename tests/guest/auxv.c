/* What a new program finds on its stack: arguments, environment and the auxiliary vector. */
#include "harness.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

extern char **environ;

/* The vector lies behind the environment's NULL. */
static Elf64_auxv_t *auxv_start(void)
{
	char **p = environ;

	while (*p)
		p++;
	return (Elf64_auxv_t *)(p + 1);
}

static Elf64_auxv_t *auxv_find(unsigned long type)
{
	for (Elf64_auxv_t *a = auxv_start(); a->a_type != AT_NULL; a++)
		if (a->a_type == type)
			return a;
	return NULL;
}

/* "@show": prints what it was given, one item a line. */
ROLE(argc, argv)
{
	if (strcmp(argv[1], "@align") == 0) {
		/* argc is at the stack pointer of the entry point, which the ABI wants at a multiple of 16. */
		return ((uintptr_t)(argv - 1) & 15) == 0 && *(long *)(argv - 1) == argc ? 0 : 1;
	}
	printf("%d\n", argc);
	for (int i = 0; i < argc; i++)
		printf("a:%s\n", argv[i]);
	for (char **e = environ; *e; e++)
		printf("e:%s\n", *e);
	printf("x:%s\n", (char *)getauxval(AT_EXECFN));
	return 0;
}

static void run_self(char **argv, char **envp, char *out, size_t cap)
{
	int p[2], status;
	size_t size = 0;
	ssize_t n;
	pid_t pid;

	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execve("/proc/self/exe", argv, envp);
		_exit(127);
	}
	close(p[1]);
	while ((n = read(p[0], out + size, cap - 1 - size)) > 0)
		size += (size_t)n;
	out[size] = 0;
	close(p[0]);
	status = h_wait(pid);
	CHECK_EQ(status, 0);
}

TEST(arguments_and_environment)
{
	char *argv[] = {"name", "@show", "", "a b", "\xff", NULL};
	char *envp[] = {"A=1", "NOEQUALS", "", "B=x=y", NULL};
	char out[1024];

	run_self(argv, envp, out, sizeof(out));
	CHECK_STR(out, "5\na:name\na:@show\na:\na:a b\na:\xff\ne:A=1\ne:NOEQUALS\ne:\ne:B=x=y\nx:/proc/self/exe\n");
}

TEST(alignment)
{
	char arg[64] = "";
	char *argv[] = {"x", "@align", arg, NULL};

	/* Whatever the strings' lengths and the vectors' counts. */
	for (size_t n = 0; n < 18; n++) {
		char *envp[] = {n & 1 ? "E=1" : NULL, NULL};
		char out[64];

		memset(arg, 'a', n);
		run_self(argv, envp, out, sizeof(out));
	}
}

TEST(vector)
{
	Elf64_auxv_t *a;
	int count = 0;

	for (a = auxv_start(); a->a_type != AT_NULL && count < 64; a++)
		count++;
	CHECK(count >= 15 && count < 40);
	CHECK_EQ(getauxval(AT_PAGESZ), 4096);
	CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	CHECK_EQ(getauxval(AT_CLKTCK), 100);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_EUID), geteuid());
	CHECK_EQ(getauxval(AT_GID), getgid());
	CHECK_EQ(getauxval(AT_EGID), getegid());
	CHECK_EQ(getauxval(AT_SECURE), 0);
	CHECK(auxv_find(AT_FLAGS) && auxv_find(AT_FLAGS)->a_un.a_val == 0);
	CHECK(auxv_find(AT_HWCAP) && (auxv_find(AT_HWCAP)->a_un.a_val & 1)); /* cpuid's "fpu"; libc hides it */
	CHECK(auxv_find(AT_HWCAP2));
	if (CHECK(auxv_find(AT_PLATFORM)))
		CHECK_STR((char *)getauxval(AT_PLATFORM), "x86_64");
	CHECK(auxv_find(AT_BASE));
}

static int auxv_of(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	return fd;
}

/* A descriptor shows the program that there was when it was opened, even after the process has gone. */
TEST(of_the_program_at_open)
{
	char before[1024], after[1024], old[1024];
	int in[2], executed[2], fd, fd2;
	struct gate g;
	ssize_t size;
	pid_t pid;

	gate_init(&g);
	REQUIRE(pipe(in) == 0 && pipe2(executed, O_CLOEXEC) == 0);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(dup2(in[0], 0) == 0);
		close(in[1]);
		gate_pass(&g);
		execl("/bin/cat", "cat", NULL);
		_exit(127);
	}
	close(in[0]), close(executed[1]);
	fd = auxv_of(pid);
	fd2 = auxv_of(pid);
	size = read(fd2, before, sizeof(before));
	REQUIRE(size > 0 && (size_t)size < sizeof(before));
	gate_open(&g);
	CHECK_EQ(read(executed[0], old, 1), 0); /* closed by execve */
	CHECK_EQ(pread(fd, old, sizeof(old), 0), size);
	CHECK(memcmp(old, before, (size_t)size) == 0);
	close(fd2);
	fd2 = auxv_of(pid);
	CHECK(read(fd2, after, sizeof(after)) > 0);
	CHECK(memcmp(after, before, (size_t)size) != 0);
	close(in[1]);
	JOIN(pid);
	CHECK_EQ(pread(fd, old, sizeof(old), 0), size);
	CHECK(memcmp(old, before, (size_t)size) == 0);
	close(fd), close(fd2), close(executed[0]);
	gate_free(&g);
}

TEST(program_headers)
{
	extern char etext;
	Elf64_Phdr *ph = (Elf64_Phdr *)getauxval(AT_PHDR);
	unsigned long count = getauxval(AT_PHNUM), entry = getauxval(AT_ENTRY);
	uint64_t bias = 0;
	bool found = false;

	if (!CHECK(ph && count > 0 && count < 40))
		return;
	for (unsigned long i = 0; i < count; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
			bias = ((uintptr_t)ph & ~4095ul) - ph[i].p_vaddr; /* the headers are in the file's first page */
	for (unsigned long i = 0; i < count; i++)
		if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X) && entry >= bias + ph[i].p_vaddr &&
		    entry < bias + ph[i].p_vaddr + ph[i].p_memsz)
			found = true;
	CHECK(found);
	CHECK(entry < (uintptr_t)&etext);
}

TEST(random)
{
	unsigned char *r = (unsigned char *)getauxval(AT_RANDOM), all = 0;

	if (!CHECK(r))
		return;
	for (int i = 0; i < 16; i++)
		all |= r[i];
	CHECK(all != 0);
}

TEST(execfn)
{
	const char *fn = (const char *)getauxval(AT_EXECFN);
	struct stat a, b;

	if (!CHECK(fn))
		return;
	CHECK(stat(fn, &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_ino == b.st_ino);
	/* The name is the last string of the stack, and only a null word follows it. */
	CHECK((uintptr_t)fn > (uintptr_t)environ);
}

TEST(strings_are_contiguous)
{
	/* argv's strings, then the environment's, one after the other: programs that rewrite their title rely on it. */
	char buf[65536];
	ssize_t n = read_file("/proc/self/environ", buf, sizeof(buf));
	char *end = NULL;

	for (char **e = environ; *e; e++) {
		if (end)
			CHECK(*e == end);
		end = *e + strlen(*e) + 1;
	}
	if (environ[0])
		CHECK_EQ(n, end - environ[0]);
}

TEST(vdso)
{
	Elf64_Ehdr *vdso = (Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);

	if (!vdso)
		SKIP("no vDSO");
	CHECK(memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0);
	CHECK_EQ(vdso->e_type, ET_DYN);
	CHECK_EQ(vdso->e_machine, EM_X86_64);
}

TEST(stack_limits)
{
	char here;

	/* The stack is writable well below the present frame. */
	char *deep = (char *)((uintptr_t)&here - (1 << 20));
	volatile char probe[256 << 10];

	probe[0] = 1;
	probe[sizeof(probe) - 1] = 1;
	CHECK(deep < &here);
	CHECK((uintptr_t)environ > (uintptr_t)&here);
}
