/* uaccess on the fake platform: strings, iovecs, partial faults, the ceiling; and that the fake itself is a platform. */
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "platform/fake/fake.h"
#include "platform/uaccess.h"

#define DATA 0x500000ull /* two pages, then nothing */
#define END (DATA + 2 * PAGE_SIZE)
#define READONLY 0x600000ull
#define RW (L_PROT_READ | L_PROT_WRITE)
#define ANON (L_MAP_PRIVATE | L_MAP_ANONYMOUS)

static struct platform *pf;
static struct pas *as;
static struct pctx *ctx;

static void setup(void)
{
	char why[100];

	ck_assert_int_eq(platform_start(&fake_platform, &pf, why, sizeof(why)), 0);
	ck_assert_int_eq(pas_create(pf, &as), 0);
	ck_assert_int_eq(pas_map(as, NULL, DATA, 2 * PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(as, NULL, READONLY, PAGE_SIZE, L_PROT_READ, ANON, -1, 0), 0);
	ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
	ck_assert_int_eq(pctx_attach(ctx), 0);
}

static void teardown(void)
{
	pctx_destroy(ctx);
	pas_put(as);
	platform_stop(pf);
}

static void put(gva_t at, const void *bytes, size_t len)
{
	ck_assert_int_eq(copy_out(ctx, at, bytes, len), 0);
}

START_TEST(copies)
{
	char buf[PAGE_SIZE];

	put(DATA + PAGE_SIZE - 2, "abcd", 4);
	ck_assert_int_eq(copy_in(ctx, buf, DATA + PAGE_SIZE - 2, 4), 0);
	ck_assert_mem_eq(buf, "abcd", 4);
	ck_assert_int_eq(copy_in(ctx, buf, END - 4, 8), -EFAULT);
	ck_assert_int_eq(copy_in_some(ctx, buf, END - 4, 8), 4);
	ck_assert_int_eq(copy_in_some(ctx, buf, END, 8), -EFAULT);
	ck_assert_int_eq(copy_out(ctx, END - 4, buf, 8), -EFAULT);
	ck_assert_int_eq(copy_out_some(ctx, END - 4, buf, 8), 4);
	ck_assert_int_eq(copy_out(ctx, READONLY, buf, 1), -EFAULT);
	ck_assert_int_eq(copy_in(ctx, buf, READONLY, 1), 0);
	ck_assert_int_eq(copy_in(ctx, buf, 0, 0), 0);
	ck_assert_int_eq(copy_in(ctx, buf, UINT64_MAX - 3, 8), -EFAULT);
	ck_assert_int_eq(copy_in(ctx, buf, GUEST_CEILING - 1, 2), -EFAULT);
	ck_assert_int_eq(copy_in(ctx, buf, GUEST_CEILING, 1), -EFAULT);
	ck_assert_int_eq(clear_out(ctx, DATA, 2 * PAGE_SIZE), 0);
	ck_assert_int_eq(clear_out(ctx, DATA, 2 * PAGE_SIZE + 1), -EFAULT);
	ck_assert_int_eq(copy_in(ctx, buf, DATA + PAGE_SIZE - 2, 4), 0);
	ck_assert_mem_eq(buf, "\0\0\0\0", 4);
}
END_TEST

START_TEST(strings)
{
	char buf[2 * PAGE_SIZE + 10], *path;

	put(DATA, "hello", 6);
	ck_assert_int_eq(copy_in_str(ctx, buf, DATA, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "hello");
	ck_assert_int_eq(copy_in_str(ctx, buf, DATA, 6), 5);
	ck_assert_int_eq(copy_in_str(ctx, buf, DATA, 5), -ENAMETOOLONG);
	ck_assert_int_eq(copy_in_str(ctx, buf, DATA, 0), -ENAMETOOLONG);
	/* Across a page, up to the last byte that is mapped, and past it. */
	put(DATA + PAGE_SIZE - 3, "across", 7);
	ck_assert_int_eq(copy_in_str(ctx, buf, DATA + PAGE_SIZE - 3, sizeof(buf)), 6);
	put(END - 4, "end", 4);
	ck_assert_int_eq(copy_in_str(ctx, buf, END - 4, sizeof(buf)), 3);
	put(END - 4, "ends", 4);
	ck_assert_int_eq(copy_in_str(ctx, buf, END - 4, sizeof(buf)), -EFAULT);
	ck_assert_int_eq(copy_in_str(ctx, buf, END - 4, 4), -ENAMETOOLONG);
	ck_assert_int_eq(copy_in_str(ctx, buf, END, 4), -EFAULT);
	ck_assert_int_eq(copy_in_str(ctx, buf, GUEST_CEILING, 4), -EFAULT);

	ck_assert_int_eq(copy_in_path(ctx, DATA, &path), 0);
	ck_assert_str_eq(path, "hello");
	free(path);
	memset(buf, 'x', L_PATH_MAX);
	put(DATA, buf, L_PATH_MAX);
	ck_assert_int_eq(copy_in_path(ctx, DATA, &path), -ENAMETOOLONG);
	put(DATA + L_PATH_MAX - 1, "", 1);
	ck_assert_int_eq(copy_in_path(ctx, DATA, &path), 0);
	ck_assert_uint_eq(strlen(path), L_PATH_MAX - 1);
	free(path);
}
END_TEST

START_TEST(iovecs)
{
	struct l_iovec v[12] = {{DATA, 3}, {DATA + 100, 0}, {DATA + 200, 5}};
	struct ua_iov iov;
	char buf[100];

	put(DATA + PAGE_SIZE, v, sizeof(v));
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, 3, &iov), 0);
	ck_assert_uint_eq(iov.total, 8);
	ck_assert_int_eq(ua_iov_write(ctx, &iov, 0, "abcdefgh", 8), 8);
	ck_assert_int_eq(copy_in(ctx, buf, DATA + 200, 5), 0);
	ck_assert_mem_eq(buf, "defgh", 5);
	ck_assert_int_eq(ua_iov_read(ctx, &iov, 2, buf, 4), 4);
	ck_assert_mem_eq(buf, "cdef", 4);
	ck_assert_int_eq(ua_iov_read(ctx, &iov, 6, buf, sizeof(buf)), 2);
	ck_assert_int_eq(ua_iov_read(ctx, &iov, 8, buf, sizeof(buf)), 0);
	ua_iov_free(&iov);

	/* A fault in the middle. */
	v[1] = (struct l_iovec){END - 2, 4};
	put(DATA + PAGE_SIZE, v, sizeof(v));
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, 12, &iov), 0);
	ck_assert_int_eq(ua_iov_write(ctx, &iov, 0, "0123456789", 10), 5);
	ck_assert_int_eq(ua_iov_write(ctx, &iov, 5, "0123456789", 5), -EFAULT);
	ua_iov_free(&iov);

	/* What Linux refuses. */
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, L_UIO_MAXIOV + 1, &iov), -EINVAL);
	ck_assert_int_eq(ua_iov_import(ctx, END, 1, &iov), -EFAULT);
	ck_assert_int_eq(ua_iov_import(ctx, 0, 0, &iov), 0);
	ck_assert_uint_eq(iov.total, 0);
	ua_iov_free(&iov);
	v[1] = (struct l_iovec){DATA, UINT64_MAX};
	put(DATA + PAGE_SIZE, v, sizeof(v));
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, 2, &iov), -EINVAL);
	v[1] = (struct l_iovec){L_TASK_SIZE - 4, 8};
	put(DATA + PAGE_SIZE, v, sizeof(v));
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, 2, &iov), -EFAULT);
	/* The sum is capped. */
	v[0] = v[1] = (struct l_iovec){DATA, 0x60000000};
	put(DATA + PAGE_SIZE, v, sizeof(v));
	ck_assert_int_eq(ua_iov_import(ctx, DATA + PAGE_SIZE, 2, &iov), 0);
	ck_assert_uint_eq(iov.total, L_MAX_RW_COUNT);
	ua_iov_free(&iov);

	ck_assert_int_eq(ua_iov_single(DATA, 5, &iov), 0);
	ck_assert_uint_eq(iov.total, 5);
	ck_assert_int_eq(ua_iov_single(L_TASK_SIZE - 4, 5, &iov), -EFAULT);
	ck_assert_int_eq(ua_iov_single(DATA, UINT64_MAX, &iov), -EFAULT);
	ck_assert_int_eq(ua_iov_single(DATA, L_MAX_RW_COUNT + 4096ull, &iov), 0);
	ck_assert_uint_eq(iov.total, L_MAX_RW_COUNT);
}
END_TEST

GUEST_PTR(gptr_u32, uint32_t);

START_TEST(typed_and_atomic)
{
	gptr_u32 p = {.a = DATA + 8};
	uint32_t v = 17, w = 0;

	ck_assert_uint_eq(sizeof(p), 8);
	ck_assert_int_eq(put_user(ctx, p, &v), 0);
	ck_assert_int_eq(get_user(ctx, &w, p), 0);
	ck_assert_uint_eq(w, 17);
	ck_assert_int_eq(ua_cmpxchg32(ctx, p.a, 17, 18, &w), 0);
	ck_assert_uint_eq(w, 17);
	ck_assert_int_eq(ua_cmpxchg32(ctx, p.a, 17, 19, &w), 0);
	ck_assert_uint_eq(w, 18);
	ck_assert_int_eq(ua_cmpxchg32(ctx, p.a + 1, 17, 19, &w), -EINVAL);
	ck_assert_int_eq(ua_cmpxchg32(ctx, READONLY, 0, 0, &w), -EFAULT);
	ck_assert_int_eq(ua_cmpxchg32(ctx, GUEST_CEILING, 0, 0, &w), -EFAULT);
}
END_TEST

/* ---- the fake ---- */

START_TEST(scripted_events)
{
	struct pf_event ev;
	struct abi_regs regs;

	fake_push_syscall(ctx, 39, 1, 2, 3, 4, 5, 6);
	fake_push_fault(ctx, SIGSEGV, SEGV_MAPERR, 0x1234);
	fake_push_syscall(ctx, 60, 7, 0, 0, 0, 0, 0);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_SYSCALL);
	ck_assert_uint_eq(ev.arch, AUDIT_ARCH_X86_64);
	ck_assert_uint_eq(ev.nr, 39);
	ck_assert_uint_eq(ev.args[5], 6);
	ck_assert_int_eq(pctx_get_regs(ctx, &regs), 0);
	ck_assert_uint_eq(regs.orig_rax, 39);
	ck_assert_uint_eq(fake_answered(ctx), 0);
	pctx_set_result(ctx, -EPERM);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_FAULT);
	ck_assert_uint_eq(ev.fault.cr2, 0x1234);
	ck_assert_uint_eq(fake_answered(ctx), 1);
	ck_assert_int_eq(fake_result(ctx, 0), -EPERM);
	pctx_interrupt(ctx);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	platform_switch(ctx, &ev);
	ck_assert_uint_eq(ev.nr, 60);
	pas_kill(as);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	ck_assert_int_eq(fake_result(ctx, 7), 0);
	ck_assert_int_eq(copy_in(ctx, &ev, DATA, 1), -EFAULT);
}
END_TEST

static sem_t interrupted;

static void *push_later(void *p)
{
	fake_await_computing(p);
	fake_push_syscall(p, 1, 0, 0, 0, 0, 0, 0);
	fake_result(p, 0);
	fake_await_computing(p);
	pctx_interrupt(p);
	sem_wait(&interrupted);
	fake_await_computing(p);
	pas_kill(pctx_as(p));
	return NULL;
}

START_TEST(script_that_waits)
{
	struct pf_event ev;
	pthread_t thread;

	sem_init(&interrupted, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, push_later, ctx), 0);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_SYSCALL);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	sem_post(&interrupted);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(fake_memory)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct pas *child;
	struct pctx *child_ctx;
	uint64_t v = 1, w = 0;

	ck_assert_int_eq(ftruncate(fd, 2 * PAGE_SIZE), 0);
	ck_assert_int_eq(pas_map(as, ctx, 0x700000, 2 * PAGE_SIZE, RW, L_MAP_SHARED, fd, 0), 0);
	put(DATA, &v, sizeof(v));
	put(0x700000 + PAGE_SIZE, &v, sizeof(v));
	ck_assert_int_eq(pread(fd, &w, sizeof(w), PAGE_SIZE), sizeof(w));
	ck_assert_uint_eq(w, 1);
	/* fork: private memory is copied, shared memory is shared. */
	ck_assert_int_eq(pas_fork(ctx, &child, &child_ctx), 0);
	v = 2;
	put(DATA, &v, sizeof(v));
	put(0x700000 + PAGE_SIZE, &v, sizeof(v));
	ck_assert_int_eq(pas_read(child, DATA, &w, sizeof(w)), sizeof(w));
	ck_assert_uint_eq(w, 1);
	ck_assert_int_eq(pas_read(child, 0x700000 + PAGE_SIZE, &w, sizeof(w)), sizeof(w));
	ck_assert_uint_eq(w, 2);
	pctx_destroy(child_ctx);
	pas_put(child);
	/* Moved, grown, cut, forgotten, taken away. */
	ck_assert_int_eq(pas_remap(as, ctx, DATA, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 0x900000, 0), 0);
	ck_assert_int_eq(copy_in(ctx, &w, DATA, 1), -EFAULT);
	ck_assert_int_eq(copy_in(ctx, &w, 0x900000, sizeof(w)), 0);
	ck_assert_uint_eq(w, 2);
	ck_assert_int_eq(copy_in(ctx, &w, 0x900000 + 2 * PAGE_SIZE, sizeof(w)), 0);
	ck_assert_uint_eq(w, 0);
	ck_assert_int_eq(pas_advise(as, ctx, PAS_MADVISE, 0x900000, PAGE_SIZE, L_MADV_DONTNEED), 0);
	ck_assert_int_eq(copy_in(ctx, &w, 0x900000, sizeof(w)), 0);
	ck_assert_uint_eq(w, 0);
	ck_assert_int_eq(pas_protect(as, ctx, 0x900000, PAGE_SIZE, L_PROT_NONE), 0);
	ck_assert_int_eq(copy_in(ctx, &w, 0x900000, 1), -EFAULT);
	ck_assert_int_eq(pas_protect(as, ctx, 0x900000, 4 * PAGE_SIZE, RW), -ENOMEM);
	ck_assert_int_eq(pas_unmap(as, ctx, 0x900000 + PAGE_SIZE, PAGE_SIZE), 0);
	ck_assert_int_eq(copy_in(ctx, &w, 0x900000 + PAGE_SIZE, 1), -EFAULT);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uaccess");
	TCase *tc = tcase_create("fake");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, iovecs);
	tcase_add_test(tc, typed_and_atomic);
	tcase_add_test(tc, scripted_events);
	tcase_add_test(tc, script_that_waits);
	tcase_add_test(tc, fake_memory);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
