/*
 * The stubs' filter, run by an interpreter of classic BPF on every call number, on every place a call can come from, and on
 * arguments that are chosen to lie on both sides of each bound.  What may pass is said here a second time, as docs/SECURITY.md
 * has it.
 */
#include <check.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "platform/systrap/systrap.h"

#define BASE SYSTRAP_BASE
#define ALLOW SECCOMP_RET_ALLOW
#define TRAP SECCOMP_RET_TRAP
#define NOTIFY SECCOMP_RET_USER_NOTIF
#define CHANNELS_END (SYSTRAP_CHANNELS + (uint64_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE)

static struct sock_filter filter[FILTER_MAX];
static unsigned length;

/* As the kernel does it, for the instructions that filter.c uses. */
static uint32_t run(const struct seccomp_data *d)
{
	uint32_t a = 0, x = 0, at, memory = 0;

	for (at = 0; at < length; at++) {
		const struct sock_filter *f = &filter[at];
		bool yes = false;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + f->k, 4);
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_ALU | BPF_ADD | BPF_X:
			a += x;
			continue;
		case BPF_ALU | BPF_SUB | BPF_X:
			a -= x;
			continue;
		case BPF_LD | BPF_IMM:
			a = f->k;
			continue;
		case BPF_ST:
			memory = a;
			continue;
		case BPF_LD | BPF_MEM:
			a = memory;
			continue;
		case BPF_JMP | BPF_JA:
			at += f->k;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_X:
			yes = a >= x;
			break;
		default:
			ck_abort_msg("instruction %u: code %#x", at, f->code);
		}
		at += yes ? f->jt : f->jf;
	}
	ck_abort_msg("the filter has no end");
}

/* Without an assertion where all is well: they cost system calls. */
static void expect(const struct seccomp_data *d, uint32_t verdict)
{
	uint32_t got = run(d);

	if (got != verdict)
		ck_abort_msg("call %d from %#llx: %#x", d->nr, d->instruction_pointer, got);
}

static bool is_guest(uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len;

	return addr >= GUEST_MIN && addr < GUEST_CEILING && end >= addr && end <= GUEST_CEILING;
}

static bool is_windows(uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len;

	return addr >= SYSTRAP_WINDOWS && end >= addr && end <= SYSTRAP_WINDOWS_END;
}

/* What changes guest memory and nothing else; files are mapped privately, by fd alone. */
static bool changes_memory(int nr, const uint64_t *a, uint32_t fd)
{
	uint64_t flags = a[3] & ~(uint64_t)MAP_NORESERVE;

	switch (nr) {
	case SYS_munmap:
		return is_guest(a[0], a[1]) || is_windows(a[0], a[1]);
	case SYS_mprotect:
		return is_guest(a[0], a[1]) && a[2] < 8;
	case SYS_madvise:
		return is_guest(a[0], a[1]) && ((uint32_t)a[2] == MADV_DONTNEED || (uint32_t)a[2] == MADV_FREE);
	case SYS_mremap:
		return is_guest(a[0], a[1]) && is_guest(a[0], a[2]) && is_guest(a[4], a[2]) &&
		       (a[3] == 0 || a[3] == (MREMAP_MAYMOVE | MREMAP_FIXED));
	case SYS_mmap:
		if (is_windows(a[0], a[1]))
			return a[2] < 2 && a[3] == (MAP_PRIVATE | MAP_FIXED) && (uint32_t)a[4] == fd;
		return is_guest(a[0], a[1]) && a[2] < 8 &&
		       (flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) ||
			flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE) ||
			(flags == (MAP_PRIVATE | MAP_FIXED) && (uint32_t)a[4] == fd));
	default:
		return false;
	}
}

/* What is documented to pass from the shim's page: no more than this. */
static bool may_pass(int nr, const uint64_t *a, bool fsgsbase)
{
	switch (nr) {
	case SYS_rt_sigreturn:
	case SYS_exit:
	case SYS_sched_yield:
		return true;
	case SYS_arch_prctl:
		return !fsgsbase && ((uint32_t)a[0] == 0x1001 || (uint32_t)a[0] == 0x1002);
	case SYS_rseq:
		return a[0] < GUEST_CEILING && (uint32_t)a[1] <= 256 && ((uint32_t)a[2] == 0 || (uint32_t)a[2] == 1);
	case SYS_futex:
		return a[0] >= SYSTRAP_CHANNELS && a[0] < CHANNELS_END &&
		       ((uint32_t)a[1] == FUTEX_WAKE || ((uint32_t)a[1] == FUTEX_WAIT && a[3] == 0));
	case SYS_recvmsg:
		return (uint32_t)a[0] == SYSTRAP_SOCKET_FD && a[1] >= SYSTRAP_CHANNELS && a[1] < CHANNELS_END &&
		       (uint32_t)a[2] == (MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	case SYS_close:
		return (uint32_t)a[0] == SYSTRAP_FILE_FD;
	default:
		return changes_memory(nr, a, SYSTRAP_FILE_FD);
	}
}

/* The same for the leader's page: what is not of this kind is notified. */
static bool leader_may_pass(int nr, const uint64_t *a)
{
	if (nr == SYS_dup2)
		return (uint32_t)a[0] == SYSTRAP_NO_FD && (uint32_t)a[1] == SYSTRAP_FD;
	if (nr == SYS_close_range)
		return ((uint32_t)a[0] == SYSTRAP_SOCKET_FD || (uint32_t)a[0] == SYSTRAP_FILE_FD) && (uint32_t)a[1] == UINT32_MAX &&
		       (uint32_t)a[2] == 0;
	if (nr == SYS_munmap && a[0] == 0 && a[1] == GUEST_CEILING)
		return true;
	if (nr == SYS_madvise && (uint32_t)a[2] == MADV_DONTFORK)
		return a[0] >= SYSTRAP_CHANNELS && a[0] < CHANNELS_END && a[1] <= SYSTRAP_CHANNEL_SIZE;
	return changes_memory(nr, a, SYSTRAP_FD);
}

static const uint64_t values[] = {
	0,
	1,
	2,
	3,
	4,
	5,
	7,
	8,
	9,
	10,
	0x32,
	0x31,
	0x22,
	0x4032,
	0x8032,
	0x100022,
	0x1000,
	0x1001,
	0x1002,
	256,
	257,
	GUEST_MIN - 4096,
	GUEST_MIN - 1,
	GUEST_MIN,
	GUEST_MIN + 0x100000000ull,
	0xfffff000,
	0xffffffff,
	0x100000000,
	0x100001000,
	0x100000032,
	0x500000000,
	0x7fff00000000 - 4096,
	0x7ffeffff0000,
	GUEST_CEILING,
	GUEST_CEILING + 4096,
	BASE + SYSTRAP_REQUESTS_OFF,
	SYSTRAP_CHANNELS - 64,
	SYSTRAP_CHANNELS,
	SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE,
	CHANNELS_END - 4,
	CHANNELS_END,
	SYSTRAP_WINDOWS - 4096,
	SYSTRAP_WINDOWS,
	SYSTRAP_WINDOWS + SYSTRAP_WINDOW_SIZE,
	SYSTRAP_RECORDS,
	SYSTRAP_WINDOWS_END,
	SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS,
	SYSTRAP_WINDOW_SIZE,
	0xffffffff00000000,
	0x8000000000000000,
	~0ull - 4095,
	~0ull,
};

static uint64_t pick(unsigned *seed)
{
	uint64_t v = values[(unsigned)rand_r(seed) % ARRAY_SIZE(values)];

	return rand_r(seed) % 4 ? v : v + (uint64_t)(rand_r(seed) % 5 - 2) * 4096;
}

static struct seccomp_data call_from(int nr, uint64_t ip)
{
	return (struct seccomp_data){.nr = nr, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = ip};
}

/* Arguments as a sane caller gives them, so that what should pass is met with, too. */
static void aim(int nr, uint64_t *a, unsigned *seed)
{
	static const uint64_t map_flags[] = {0x32, 0x4032, 0x100022, 0x12, 0x4012, 0x22, 0x31, 0x8032};

	if (rand_r(seed) % 2)
		return;
	a[0] = GUEST_MIN + (uint64_t)rand_r(seed) * 4096;
	a[1] = (uint64_t)(rand_r(seed) % 1000) * 4096;
	a[2] = nr == SYS_mremap ? a[1] + 4096 : (uint64_t)rand_r(seed) % 9;
	a[3] = nr == SYS_mremap ? (uint64_t)rand_r(seed) % 4 : map_flags[(unsigned)rand_r(seed) % ARRAY_SIZE(map_flags)];
	a[4] = nr == SYS_mmap ? (uint64_t)rand_r(seed) % 6 : GUEST_MIN + (uint64_t)rand_r(seed) * 4096;
	if ((nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect) && rand_r(seed) % 2) {
		a[0] = SYSTRAP_WINDOWS + (uint64_t)rand_r(seed) % (SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS + 8192);
		a[1] = rand_r(seed) % 2 ? SYSTRAP_WINDOWS_END - a[0] + (uint64_t)(rand_r(seed) % 3 - 1) * 4096 : a[1];
		a[2] %= 3;
		a[3] = rand_r(seed) % 2 ? MAP_PRIVATE | MAP_FIXED : a[3];
	}
	if (nr == SYS_close || nr == SYS_recvmsg || nr == SYS_dup2 || nr == SYS_close_range)
		a[0] = (uint64_t)rand_r(seed) % 8;
	if (nr == SYS_dup2)
		a[1] = (uint64_t)rand_r(seed) % 4;
	if (nr == SYS_close_range)
		a[1] = rand_r(seed) % 4 ? UINT32_MAX : a[1];
	if (nr == SYS_close_range)
		a[2] = (uint64_t)rand_r(seed) % 4;
	if (nr == SYS_recvmsg)
		a[1] = SYSTRAP_CHANNELS + (uint64_t)rand_r(seed) % SYSTRAP_CHANNEL_SIZE;
	if (nr == SYS_recvmsg)
		a[2] = rand_r(seed) % 4 ? MSG_DONTWAIT | MSG_CMSG_CLOEXEC : a[2];
	if (nr == SYS_futex || rand_r(seed) % 8 == 0)
		a[rand_r(seed) % 5] = pick(seed);
}

enum page { SHIM, SHIM_WITHOUT_FSGSBASE, LEADER };

/* The verdict on a call from page, held against what is documented and against what the sentry believes. */
static uint32_t judge(enum page page, const struct seccomp_data *d)
{
	struct leader_call call = {.nr = (uint64_t)d->nr};
	uint64_t a[6];
	bool may, believed;
	uint32_t verdict = run(d);

	memcpy(a, d->args, sizeof(a));
	memcpy(call.args, a, sizeof(a));
	may = page == LEADER ? leader_may_pass(d->nr, a) : may_pass(d->nr, a, page == SHIM);
	believed = page == LEADER ? filter_lets_leader(&call) : filter_lets_shim(&call);
	if (verdict != ALLOW && verdict != (page == LEADER ? NOTIFY : TRAP))
		ck_abort_msg("call %d: %#x", d->nr, verdict);
	if ((verdict == ALLOW && !may) || (verdict != ALLOW && believed))
		ck_abort_msg("call %d: %s with %#lx %#lx %#lx %#lx %#lx", d->nr,
			     may ? "the sentry believes that it passes" : "passes", a[0], a[1], a[2], a[3], a[4]);
	return verdict;
}

START_TEST(from_a_page_of_ours)
{
	static const int often[] = {SYS_mmap,	     SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_recvmsg, SYS_close,
				    SYS_futex, SYS_rseq, SYS_arch_prctl, SYS_dup2, SYS_close_range};
	/* From the first up to the second. */
	static const unsigned of_page[][2] = {[SHIM] = {0, 9}, [SHIM_WITHOUT_FSGSBASE] = {0, 10}, [LEADER] = {10, 12}};
	const enum page page = (enum page)_i;
	const uint64_t at = page == LEADER ? BASE + SYSTRAP_LEADER_OFF : BASE;
	const unsigned size = page == LEADER ? SYSTRAP_TEXT_SIZE - SYSTRAP_LEADER_OFF : SYSTRAP_LEADER_OFF;
	unsigned seed = 1, passed[ARRAY_SIZE(often)] = {0};

	length = filter_build(filter, BASE, page == SHIM);
	for (int round = 0; round < 400000; round++) {
		unsigned which = (unsigned)round % (ARRAY_SIZE(often) + 1);
		int nr = which < ARRAY_SIZE(often) ? often[which] : rand_r(&seed) % 1000 + (rand_r(&seed) % 4 ? 0 : 0x40000000);
		struct seccomp_data d = call_from(nr, at + (unsigned)rand_r(&seed) % size);
		uint64_t a[6];

		for (int i = 0; i < 6; i++)
			a[i] = pick(&seed);
		aim(nr, a, &seed);
		memcpy(d.args, a, sizeof(a));
		if (judge(page, &d) == ALLOW && which < ARRAY_SIZE(often))
			passed[which]++;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(often); i++) {
		/* Memory calls may be made from everywhere. */
		bool some = i < 5 || (i >= of_page[page][0] && i < of_page[page][1]);

		ck_assert_msg((passed[i] > 10) == some, "call %d passed %u times", often[i], passed[i]);
	}
}
END_TEST

START_TEST(from_elsewhere)
{
	static const uint64_t places[] = {0,	0x400000, BASE - 1, BASE + SYSTRAP_TEXT_SIZE, BASE + SYSTRAP_REQUESTS_OFF,
					  BASE + SYSTRAP_TRAMPOLINES_OFF, BASE + SYSTRAP_VDSO_OFF, SYSTRAP_CHANNELS, SYSTRAP_WINDOWS, SYSTRAP_CELLS, ~0ull,
					  BASE & UINT32_MAX, (BASE & UINT32_MAX) + 0x100000000, 0xffffffffff600000};

	length = filter_build(filter, BASE, true);
	for (int nr = -2; nr <= 1000; nr++) {
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			struct seccomp_data d = call_from(nr, places[i]);

			expect(&d, TRAP);
			d.nr = (int)(0x40000000u | (unsigned)nr);
			expect(&d, TRAP);
		}
	}
}
END_TEST

START_TEST(of_another_architecture)
{
	length = filter_build(filter, BASE, true);
	for (int nr = 0; nr <= 1000; nr++) {
		for (uint64_t at = 0; at < SYSTRAP_TEXT_SIZE; at += 509) {
			struct seccomp_data d = call_from(nr, BASE + at);

			d.arch = AUDIT_ARCH_I386;
			expect(&d, TRAP);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("systrap_filter");
	TCase *c = tcase_create("filter");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, from_a_page_of_ours, 0, 3);
	tcase_add_test(c, from_elsewhere);
	tcase_add_test(c, of_another_architecture);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
