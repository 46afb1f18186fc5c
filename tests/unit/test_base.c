/* base: lists, reference counts, checked arithmetic, the log. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/htable.h"
#include "base/json.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/refcount.h"

struct item {
	int value;
	struct list_head node;
};

/* The list's values as one decimal number, read forwards; -1 if the links do not agree both ways. */
static int digits(const struct list_head *h)
{
	struct item *i;
	int n = 0;

	list_for_each_entry(i, h, node) {
		if (i->node.next->prev != &i->node || i->node.prev->next != &i->node)
			return -1;
		n = n * 10 + i->value;
	}
	return n;
}

START_TEST(list_order)
{
	struct list_head h = LIST_HEAD_INIT(h);
	struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

	ck_assert(list_empty(&h));
	list_add_tail(&b.node, &h);
	list_add_tail(&c.node, &h);
	list_add(&a.node, &h);
	ck_assert_int_eq(digits(&h), 123);
	ck_assert_ptr_eq(list_first_entry(&h, struct item, node), &a);
	ck_assert_ptr_eq(list_last_entry(&h, struct item, node), &c);
	list_del_init(&b.node);
	ck_assert_int_eq(digits(&h), 13);
	ck_assert(list_empty(&b.node));
	list_del_init(&b.node);
	ck_assert_int_eq(digits(&h), 13);
}
END_TEST

START_TEST(list_splice)
{
	struct list_head to = LIST_HEAD_INIT(to), from = LIST_HEAD_INIT(from);
	struct item i[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};

	list_splice_tail_init(&from, &to);
	ck_assert(list_empty(&to));
	list_add_tail(&i[0].node, &to);
	list_add_tail(&i[1].node, &from);
	list_add_tail(&i[2].node, &from);
	list_splice_tail_init(&from, &to);
	ck_assert_int_eq(digits(&to), 123);
	ck_assert(list_empty(&from));
	list_add(&i[3].node, &from);
	ck_assert_int_eq(digits(&from), 4);
}
END_TEST

/* How often e is found by its hash. */
static int found(const struct htable *t, const struct hentry *e)
{
	int n = 0;

	for (const struct hentry *at = htable_list(t, e->hash); at; at = at->next)
		n += at == e;
	return n;
}

START_TEST(htable_growth)
{
	enum { COUNT = 5000 };
	int wrong = 0;
	struct htable t = {.count = 0};
	struct hentry *e = calloc(COUNT, sizeof(*e));

	htable_init(&t);
	for (uint64_t i = 0; i < COUNT; i++)
		htable_add(&t, &e[i], i / 2 * 0x9e3779b97f4a7c15ull); /* each hash twice */
	ck_assert_uint_eq(t.count, COUNT);
	ck_assert_uint_gt(t.mask, COUNT / HTABLE_STEP);
	for (int i = 0; i < COUNT; i++)
		wrong += found(&t, &e[i]) != 1;
	for (int i = 0; i < COUNT; i += 3)
		htable_remove(&t, &e[i]);
	for (int i = 0; i < COUNT; i++)
		wrong += found(&t, &e[i]) != (i % 3 != 0);
	for (int i = 0; i < COUNT; i++)
		if (i % 3)
			htable_remove(&t, &e[i]);
	ck_assert_uint_eq(t.count, 0);
	for (size_t b = 0; b <= t.mask; b++)
		wrong += t.buckets[b] != NULL;
	ck_assert_int_eq(wrong, 0);
	htable_destroy(&t);
	free(e);
}
END_TEST

START_TEST(list_removal_while_walking)
{
	struct list_head h = LIST_HEAD_INIT(h);
	struct item items[9], *i, *tmp;

	for (int n = 0; n < 9; n++) {
		items[n].value = n + 1;
		list_add_tail(&items[n].node, &h);
	}
	list_for_each_entry_safe(i, tmp, &h, node)
		if (i->value % 2)
			list_del_init(&i->node);
	ck_assert_int_eq(digits(&h), 2468);
}
END_TEST

START_TEST(refcount_life)
{
	struct refcount r;

	refcount_init(&r, 1);
	refcount_inc(&r);
	ck_assert_uint_eq(refcount_read(&r), 2);
	ck_assert(refcount_inc_not_zero(&r));
	ck_assert(!refcount_dec(&r));
	ck_assert(!refcount_dec(&r));
	ck_assert(refcount_dec(&r));
	ck_assert(!refcount_inc_not_zero(&r));
	ck_assert_uint_eq(refcount_read(&r), 0);
}
END_TEST

START_TEST(refcount_saturates)
{
	struct refcount r;

	refcount_init(&r, REFCOUNT_SATURATED - 1);
	for (int i = 0; i < 5; i++)
		refcount_inc(&r);
	for (int i = 0; i < 20; i++)
		ck_assert(!refcount_dec(&r));
	ck_assert_uint_ge(refcount_read(&r), REFCOUNT_SATURATED);
	ck_assert(refcount_inc_not_zero(&r));
	ck_assert(!refcount_dec(&r));
}
END_TEST

static void *count_up_and_down(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		refcount_inc(arg);
		if (refcount_dec(arg))
			return (void *)1;
	}
	return NULL;
}

START_TEST(refcount_between_threads)
{
	pthread_t t[4];
	struct refcount r;

	refcount_init(&r, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, count_up_and_down, &r), 0);
	for (int i = 0; i < 4; i++) {
		void *freed;

		pthread_join(t[i], &freed);
		ck_assert_ptr_null(freed);
	}
	ck_assert(refcount_dec(&r));
}
END_TEST

START_TEST(refcount_of_the_dead)
{
	struct refcount r;

	refcount_init(&r, 0);
	log_set_fd(-1);
	refcount_inc(&r); /* the assertion ends the process */
}
END_TEST

START_TEST(checked_sums)
{
	uint64_t sum;

	ck_assert(checked_add(1, 2, &sum) && sum == 3);
	ck_assert(checked_add(UINT64_MAX - 1, 1, &sum) && sum == UINT64_MAX);
	ck_assert(!checked_add(UINT64_MAX, 1, &sum));
	ck_assert(checked_mul(1ull << 32, (1ull << 32) - 1, &sum));
	ck_assert(!checked_mul(1ull << 32, 1ull << 32, &sum));
}
END_TEST

START_TEST(pages)
{
	uint64_t up;

	ck_assert_uint_eq(page_down(4095), 0);
	ck_assert_uint_eq(page_down(4096), 4096);
	ck_assert(page_up(0, &up) && up == 0);
	ck_assert(page_up(1, &up) && up == 4096);
	ck_assert(page_up(4096, &up) && up == 4096);
	ck_assert(page_up(UINT64_MAX - 4095, &up) && up == UINT64_MAX - 4095);
	ck_assert(!page_up(UINT64_MAX - 4094, &up));
	ck_assert(!page_up(UINT64_MAX, &up));
}
END_TEST

/* What log_line writes at a threshold. */
static size_t logged(enum log_level threshold, enum log_level level, char *buf, size_t cap)
{
	int p[2];
	ssize_t n;

	ck_assert_int_eq(pipe(p), 0);
	log_threshold = threshold;
	log_set_fd(p[1]);
	log_line(level, "value %d", 42);
	log_set_fd(2);
	close(p[1]);
	n = read(p[0], buf, cap - 1);
	close(p[0]);
	ck_assert_int_ge(n, 0);
	buf[n] = 0;
	return (size_t)n;
}

START_TEST(log_levels)
{
	char buf[256];

	ck_assert_uint_gt(logged(LOG_WARN, LOG_ERROR, buf, sizeof(buf)), 0);
	ck_assert_ptr_nonnull(strstr(buf, "value 42"));
	ck_assert_int_eq(buf[strlen(buf) - 1], '\n');
	ck_assert_uint_eq(logged(LOG_WARN, LOG_INFO, buf, sizeof(buf)), 0);
	ck_assert_uint_gt(logged(LOG_DEBUG, LOG_DEBUG, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(log_of_a_long_line)
{
	char buf[65536], *text = malloc(20000);
	int p[2];
	ssize_t n;

	memset(text, 'x', 19999);
	text[19999] = 0;
	ck_assert_int_eq(pipe(p), 0);
	log_set_fd(p[1]);
	log_line(LOG_ERROR, "%s", text);
	log_set_fd(2);
	close(p[1]);
	n = read(p[0], buf, sizeof(buf));
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(buf[n - 1], '\n'); /* cut short or whole, it is one line */
	ck_assert_ptr_eq(memchr(buf, '\n', (size_t)n), buf + n - 1);
	close(p[0]);
	free(text);
}
END_TEST

static struct mutex lock = MUTEX_INIT;
static int guarded;

static void *add_under_lock(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		mutex_lock(&lock);
		guarded++;
		mutex_unlock(&lock);
	}
	return NULL;
}

START_TEST(mutexes)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, add_under_lock, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(guarded, 40000);
}
END_TEST

START_TEST(json_strings)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{"", "\"\""},
		{"a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""},
		{"\x01\n\t\x7f", "\"\\u0001\\u000a\\u0009\x7f\""},
		{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
		{"\xff" "a", "\"\\ufffda\""},
		{"\xc0\xaf", "\"\\ufffd\\ufffd\""},			/* longer than needed */
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},	/* a surrogate */
		{"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* past the last character */
		{"\xe2\x82", "\"\\ufffd\\ufffd\""},			/* cut off */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *out;
		size_t size;
		FILE *f = open_memstream(&out, &size);

		json_string(f, cases[i].text);
		fclose(f);
		ck_assert_str_eq(out, cases[i].json);
		free(out);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("base");
	SRunner *r;
	int failed;

	tcase_add_test(t, list_order);
	tcase_add_test(t, list_splice);
	tcase_add_test(t, htable_growth);
	tcase_add_test(t, list_removal_while_walking);
	tcase_add_test(t, refcount_life);
	tcase_add_test(t, refcount_saturates);
	tcase_add_test(t, refcount_between_threads);
	tcase_add_test_raise_signal(t, refcount_of_the_dead, SIGABRT);
	tcase_add_test(t, checked_sums);
	tcase_add_test(t, pages);
	tcase_add_test(t, log_levels);
	tcase_add_test(t, log_of_a_long_line);
	tcase_add_test(t, mutexes);
	tcase_add_test(t, json_strings);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
