/* sentry/task/tidmap: the set of ids in use. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/task/tidmap.h"

static struct tidmap map;

static void empty_map(void)
{
	memset(&map, 0, sizeof(map));
}

START_TEST(of_nothing)
{
	ck_assert_int_eq(tidmap_next(&map, 0), -1);
	ck_assert_int_eq(tidmap_next(&map, TIDMAP_SIZE - 1), -1);
	ck_assert_int_eq(tidmap_next(&map, TIDMAP_SIZE), -1);
	tidmap_remove(&map, 5);
	ck_assert_int_eq(tidmap_next(&map, 0), -1);
}
END_TEST

/* Each alone, at the edges of the levels' words. */
START_TEST(one_at_a_time)
{
	static const int ids[] = {0, 1, 63, 64, 65, 4095, 4096, 262143, 262144, TIDMAP_SIZE / 2, TIDMAP_SIZE - 1};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		tidmap_add(&map, ids[i]);
		tidmap_add(&map, ids[i]);
		ck_assert_int_eq(tidmap_next(&map, 0), ids[i]);
		ck_assert_int_eq(tidmap_next(&map, ids[i]), ids[i]);
		ck_assert_int_eq(tidmap_next(&map, ids[i] + 1), -1);
		tidmap_remove(&map, ids[i]);
		ck_assert_int_eq(tidmap_next(&map, 0), -1);
	}
}
END_TEST

/* Against an array of flags. */
START_TEST(as_an_array)
{
	enum { SPAN = 1 << 19, STEPS = 3000 };
	static bool in[SPAN];
	unsigned seed = 7;

	for (int step = 0; step < STEPS; step++) {
		int id;

		seed = seed * 1103515245 + 12345;
		/* Near to one another and far apart. */
		id = (int)(seed >> 8 & (step & 1 ? 255 : SPAN - 1));
		in[id] = (seed >> 4 & 3) != 0;
		if (in[id])
			tidmap_add(&map, id);
		else
			tidmap_remove(&map, id);
	}
	for (int next = -1, id = SPAN - 1; id >= 0; id--) {
		if (in[id])
			next = id;
		if (tidmap_next(&map, id) != next) /* an assertion costs too much to make half a million of */
			ck_abort_msg("from %d: %d, not %d", id, tidmap_next(&map, id), next);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tidmap");
	TCase *c = tcase_create("tidmap");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, empty_map, NULL);
	tcase_add_test(c, of_nothing);
	tcase_add_test(c, one_at_a_time);
	tcase_add_test(c, as_an_array);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
