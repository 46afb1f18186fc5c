/* Pages of the sentry's own memory: aligned, each somebody's alone, zeroed if asked for, and given back. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "host/pages.h"

#define MANY 2000

static uint8_t *filled(uint8_t with)
{
	uint8_t *p = host_page_alloc_zeroed();

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq((uintptr_t)p % PAGE_SIZE, 0);
	for (size_t i = 0; i < PAGE_SIZE; i++)
		if (p[i])
			ck_abort_msg("byte %zu is %u", i, p[i]);
	memset(p, with, PAGE_SIZE);
	return p;
}

static size_t resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t size, resident;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%zu %zu", &size, &resident), 2);
	fclose(f);
	return resident;
}

START_TEST(each_its_own)
{
	static uint8_t *pages[MANY];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < MANY; i++)
			pages[i] = filled((uint8_t)(i * 7 + 1));
		for (size_t i = 0; i < MANY; i++)
			ck_assert(pages[i][0] == (uint8_t)(i * 7 + 1) && memcmp(pages[i], pages[i] + 1, PAGE_SIZE - 1) == 0);
		/* In another order each time. */
		for (size_t i = 0; i < MANY; i++)
			host_page_free(pages[(i * (round == 1 ? 997 : 1)) % MANY]);
	}
	host_page_free(NULL);
}
END_TEST

START_TEST(given_back)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return; /* which keep what is freed for a while, or have shadows of it */
#endif
	static uint8_t *pages[MANY * 4];
	size_t before = resident_pages(), most;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = filled(1);
	most = resident_pages();
	ck_assert_uint_ge(most, before + ARRAY_SIZE(pages));
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		host_page_free(pages[i]);
	ck_assert_uint_le(resident_pages(), before + 300);
}
END_TEST

static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	uint8_t *mine[64] = {NULL};

	for (int n = 0; n < 100000; n++) {
		uint8_t **p = &mine[rand_r(&seed) % 64];

		if (*p && (*p)[PAGE_SIZE - 1] != (uint8_t)(uintptr_t)arg)
			return "another's bytes";
		host_page_free(*p);
		*p = rand_r(&seed) % 3 ? host_page_alloc() : NULL;
		if (*p)
			(*p)[PAGE_SIZE - 1] = (uint8_t)(uintptr_t)arg;
	}
	for (size_t i = 0; i < 64; i++)
		host_page_free(mine[i]);
	return NULL;
}

START_TEST(many_threads)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *complaint;

		ck_assert_int_eq(pthread_join(threads[i], &complaint), 0);
		ck_assert_msg(!complaint, "%s", (const char *)complaint);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pages");
	TCase *c = tcase_create("pages");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, each_its_own);
	tcase_add_test(c, given_back);
	tcase_add_test(c, many_threads);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
