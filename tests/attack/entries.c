/* The other ways into the kernel: int 0x80, sysenter, 32-bit code, x32 numbers, vsyscall.  None may reach the host. */
#include "attack.h"

#include <sys/mman.h>

#define NR32_mkdir 39
#define NR32_kill 37

static long int80(long nr, long b, long c, long d)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(b), "c"(c), "d"(d), "S"(0), "D"(0) : "memory", "r8", "r9", "r10",
			 "r11");
	return (int)r;
}

/* fn in a child: it may die; the sandbox may not.  Its exit status is 0 or 1 by its checks. */
static void in_child(void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		fn();
		child_exit();
	}
	int status = finish_off(pid, 20000);
	CHECK(status == 0 || (status & 0x7f));
	still_alive();
}

static void int80_all(void)
{
	for (long nr = 0; nr <= 1000; nr++)
		CHECK_EQ(int80(nr, 0, 0, 0), -ENOSYS);
	CHECK_EQ(int80(-1, 0, 0, 0), -ENOSYS);
	CHECK_EQ(int80(0x7fffffff, -1, -1, -1), -ENOSYS);
}

TEST(int80_every_number)
{
	in_child(int80_all);
}

static void int80_with_purpose(void)
{
	char *path = low_area(4096, PROT_READ | PROT_WRITE);

	strcpy(path, marker());
	CHECK_EQ(int80(NR32_mkdir, (long)path, 0777, 0), -ENOSYS);
	CHECK_EQ(int80(NR32_kill, victim(), 9, 0), -ENOSYS);
	/* The numbers of 64-bit calls, in case an entry is judged by the wrong table. */
	CHECK_EQ(int80(SYS_mkdir, (long)path, 0777, 0), -ENOSYS);
	CHECK_EQ(int80(SYS_kill, victim(), 9, 0), -ENOSYS);
	CHECK_EQ(int80(15, 0, 0, 0), -ENOSYS); /* rt_sigreturn there, chmod here */
	CHECK_EQ(int80(119, 0, 0, 0), -ENOSYS); /* sigreturn */
	CHECK_EQ(int80(173, 0, 0, 0), -ENOSYS); /* rt_sigreturn */
}

TEST(int80_with_purpose)
{
	in_child(int80_with_purpose);
	CHECK_ERR(access(marker(), F_OK), ENOENT);
}

static void x32_all(void)
{
	static const long args[] = {0, -1};

	for (long nr = 0; nr <= 1000; nr++)
		for (int i = 0; i < 2; i++) {
			errno = 0;
			CHECK(syscall(0x40000000 | nr, args[i], args[i], args[i], args[i], args[i], args[i]) == -1 &&
			      errno == ENOSYS);
		}
	CHECK_ERR(syscall(0x40000000 | SYS_mkdir, marker(), 0777), ENOSYS);
	CHECK_ERR(syscall(0x40000000 | SYS_kill, victim(), 9), ENOSYS);
	CHECK_ERR(syscall(0x40000000 | 513, 0), ENOSYS); /* x32 rt_sigreturn */
}

TEST(x32_every_number)
{
	in_child(x32_all);
}

/* Runs bytes as 32-bit code with eax, ebx, ecx, edx given.  The code must end with `lret`.  Signals must not be handled
 * there by C code, so what goes wrong kills the child. */
static long run32(const unsigned char *code, size_t size, long eax, long ebx, long ecx, long edx)
{
	char *p = low_area(16384, PROT_READ | PROT_WRITE | PROT_EXEC);
	struct __attribute__((packed)) {
		uint32_t ip;
		uint16_t cs;
	} *far = (void *)(p + 4096);
	long r;

	memcpy(p, code, size);
	far->ip = (uint32_t)(uintptr_t)p;
	far->cs = 0x23;
	__asm__ volatile("movq %%rsp, %%r12; movq %6, %%rsp; lcall *(%5); movq %%r12, %%rsp"
			 : "=a"(r)
			 : "a"(eax), "b"(ebx), "c"(ecx), "d"(edx), "D"(far), "S"(p + 16384 - 256)
			 : "memory", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rbp");
	return (int)r;
}

static long low_path(void)
{
	char *path = low_area(4096, PROT_READ | PROT_WRITE);

	strcpy(path, marker());
	return (long)path;
}

static void compat_int80(void)
{
	static const unsigned char code[] = {0xcd, 0x80, 0xcb};

	for (long nr = 0; nr < 500; nr += 7)
		CHECK_EQ(run32(code, sizeof(code), nr, 0, 0, 0), -ENOSYS);
	CHECK_EQ(run32(code, sizeof(code), NR32_mkdir, low_path(), 0777, 0), -ENOSYS);
	CHECK_EQ(run32(code, sizeof(code), NR32_kill, victim(), 9, 0), -ENOSYS);
}

static void compat_syscall(void)
{
	static const unsigned char code[] = {0x0f, 0x05, 0xcb};
	long r = run32(code, sizeof(code), NR32_mkdir, low_path(), 0777, 0);

	CHECK(r < 0);
	r = run32(code, sizeof(code), SYS_mkdir, low_path(), 0777, 0);
	CHECK(r < 0);
}

static void compat_sysenter(void)
{
	static const unsigned char code[] = {0x89, 0xe5, 0x0f, 0x34, 0xcb};
	long r = run32(code, sizeof(code), NR32_mkdir, low_path(), 0777, 0);

	CHECK(r < 0);
}

TEST(thirty_two_bit_code)
{
	in_child(compat_int80);
	in_child(compat_syscall);
	in_child(compat_sysenter);
	CHECK_ERR(access(marker(), F_OK), ENOENT);
}

static void sysenter64(void)
{
	long r;

	__asm__ volatile("sysenter" : "=a"(r) : "a"(NR32_mkdir), "b"(low_path()), "c"(0777) : "memory");
	CHECK(r < 0);
}

TEST(sysenter)
{
	in_child(sysenter64);
}

/* Calls an address; the signal that came of it, or 0 and its result. */
static int call_at(uintptr_t at, void *a, void *b, long *result)
{
	int sig = sigsetjmp(a_out, 1);

	if (sig)
		return sig;
	*result = ((long (*)(void *, void *))at)(a, b);
	return 0;
}

#define VSYSCALL 0xffffffffff600000ul

static void vsyscalls(void)
{
	struct timespec ts[2];
	long now = time(NULL), r = 0;

	/* The three entries work or fault: there are kernels without.  Anywhere else there is nothing. */
	catch_everything();
	call_at(VSYSCALL, ts, ts, &r);
	if (call_at(VSYSCALL + 0x400, NULL, NULL, &r) == 0)
		CHECK(r - now >= 0 && r - now < 100);
	call_at(VSYSCALL + 0x800, NULL, NULL, &r);
	for (uintptr_t off = 1; off < 0x1000; off += 0x3f)
		CHECK_EQ(call_at(VSYSCALL + off, NULL, NULL, &r), SIGSEGV);
	call_at(VSYSCALL, (void *)SYSTRAP_CHANNELS, (void *)8, &r);
}

TEST(vsyscall_page)
{
	in_child(vsyscalls);
}
