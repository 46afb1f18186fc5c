/*
 * The table of system calls is what it says: sorted, without gaps where Linux has none, named as the host's headers name
 * the numbers, and with argument descriptors that refer to arguments that exist.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/futex.h"
#include "abi/mman.h"
#include "abi/syscalls.h"

static size_t arg_count(const struct abi_syscall *s)
{
	size_t n = 0;

	while (n < ABI_MAX_ARGS && s->args[n].kind != ABI_ARG_END)
		n++;
	return n;
}

START_TEST(table_is_sorted_and_complete)
{
	for (size_t i = 0; i < abi_syscall_count; i++) {
		uint32_t want = i <= 336 ? (uint32_t)i : (uint32_t)(i - 337 + 424);

		ck_assert_msg(abi_syscalls[i].nr == want, "row %zu (%s) has number %u, not %u", i, abi_syscalls[i].name,
			      abi_syscalls[i].nr, want);
	}
	ck_assert_uint_eq(abi_syscalls[abi_syscall_count - 1].nr, ABI_SYSCALL_MAX - 1);
}
END_TEST

START_TEST(names_are_unique)
{
	for (size_t i = 0; i < abi_syscall_count; i++)
		ck_assert_msg(abi_syscall_by_name(abi_syscalls[i].name) == &abi_syscalls[i], "%s occurs twice",
			      abi_syscalls[i].name);
}
END_TEST

START_TEST(lookup_by_number)
{
	for (uint64_t nr = 0; nr < ABI_SYSCALL_MAX + 100; nr++) {
		const struct abi_syscall *s = abi_syscall_by_nr(nr);

		if (nr <= 336 || (nr >= 424 && nr < ABI_SYSCALL_MAX))
			ck_assert(s && s->nr == nr);
		else
			ck_assert(!s);
	}
	ck_assert(!abi_syscall_by_nr(1ull << 32));
	ck_assert(!abi_syscall_by_nr(~0ull));
	ck_assert(!abi_syscall_by_name("no_such_call"));
}
END_TEST

/* What is not full says why, and what is absent is refused by an errno. */
START_TEST(rows_are_honest)
{
	for (size_t i = 0; i < abi_syscall_count; i++) {
		const struct abi_syscall *s = &abi_syscalls[i];

		ck_assert_msg(s->status == ABI_FULL || s->note[0], "%s has no note", s->name);
		ck_assert_msg(s->refusal > 0 && s->refusal < 134, "%s: refusal %d", s->name, s->refusal);
	}
}
END_TEST

START_TEST(arguments_are_consistent)
{
	for (size_t i = 0; i < abi_syscall_count; i++) {
		const struct abi_syscall *s = &abi_syscalls[i];
		size_t n = arg_count(s);

		for (size_t k = 0; k < n; k++) {
			const struct abi_arg *a = &s->args[k];

			ck_assert_msg(a->name && a->name[0], "%s: argument %zu has no name", s->name, k);
			if (a->len != ABI_LEN_NONE)
				ck_assert_msg(a->len_arg < n && a->len_arg != k, "%s: %s is sized by argument %u", s->name,
					      a->name, a->len_arg);
			if (a->kind == ABI_ARG_STRUCT || a->kind == ABI_ARG_ARRAY)
				ck_assert_msg(a->size > 0, "%s: %s has no size", s->name, a->name);
			if (a->kind == ABI_ARG_FLAGS || a->kind == ABI_ARG_ENUM)
				ck_assert_msg(a->names != NULL, "%s: %s has no names", s->name, a->name);
			if (a->kind >= ABI_ARG_PATH)
				ck_assert_msg(a->dir != 0, "%s: %s has no direction", s->name, a->name);
		}
	}
}
END_TEST

/* Every name of ours that the host's headers know has the number they give it. */
START_TEST(numbers_match_the_host)
{
/* Turns into the number where the host defines SYS_name, and into the words "SYS_name" where it does not. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define SYSCALL(nr, name, ...) { nr, TEXT(SYS_##name) },
#define SYSCALL_REFUSED(nr, name, ...) { nr, TEXT(SYS_##name) },
	static const struct {
		long nr;
		const char *host;
	} rows[] = {
#include "abi/syscalls.def"
	};
	size_t compared = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!strncmp(rows[i].host, "SYS_", 4))
			continue;
		ck_assert_msg(strtol(rows[i].host, NULL, 10) == rows[i].nr, "row %ld: the host says %s", rows[i].nr,
			      rows[i].host);
		compared++;
	}
	ck_assert_uint_gt(compared, 350);
}
END_TEST

static const char *names(const struct abi_names *set, uint64_t v)
{
	static char buf[256];

	ck_assert_uint_eq(abi_names_format(set, v, buf, sizeof(buf)), strlen(buf));
	return buf;
}

START_TEST(flags_are_named)
{
	ck_assert_str_eq(names(&abi_names_open, 0), "O_RDONLY");
	ck_assert_str_eq(names(&abi_names_open, L_O_RDWR | L_O_CREAT | L_O_CLOEXEC), "O_RDWR|O_CREAT|O_CLOEXEC");
	ck_assert_str_eq(names(&abi_names_open, L_O_TMPFILE | L_O_WRONLY), "O_WRONLY|O_TMPFILE");
	ck_assert_str_eq(names(&abi_names_open, L_O_SYNC), "O_RDONLY|O_SYNC");
	ck_assert_str_eq(names(&abi_names_open, L_O_DSYNC | 0x80000000u), "O_RDONLY|O_DSYNC|0x80000000");
	ck_assert_str_eq(names(&abi_names_prot, 0), "PROT_NONE");
	ck_assert_str_eq(names(&abi_names_prot, 3), "PROT_READ|PROT_WRITE");
	ck_assert_str_eq(names(&abi_names_at, 0), "0");
	ck_assert_str_eq(names(&abi_names_map, L_MAP_PRIVATE | L_MAP_ANONYMOUS), "MAP_PRIVATE|MAP_ANONYMOUS");
	ck_assert_str_eq(names(&abi_names_futex, L_FUTEX_WAIT | L_FUTEX_PRIVATE_FLAG), "FUTEX_WAIT|FUTEX_PRIVATE_FLAG");
	ck_assert_str_eq(names(&abi_names_access, L_R_OK | L_X_OK), "R_OK|X_OK");
	ck_assert_str_eq(names(&abi_names_whence, 77), "0x4d");
	ck_assert_str_eq(names(&abi_names_rusage_who, (uint32_t)-1), "RUSAGE_CHILDREN");
}
END_TEST

START_TEST(a_short_buffer_cuts_names_off)
{
	char buf[8];

	ck_assert_uint_eq(abi_names_format(&abi_names_open, L_O_RDWR | L_O_CREAT, buf, sizeof(buf)), 7);
	ck_assert_str_eq(buf, "O_RDWR|");
	ck_assert_uint_eq(abi_names_format(&abi_names_open, 0, buf, 0), 0);
}
END_TEST

START_TEST(errnos_and_signals_are_named)
{
	ck_assert_str_eq(abi_errno_name(EINVAL), "EINVAL");
	ck_assert_str_eq(abi_errno_name(EHWPOISON), "EHWPOISON");
	ck_assert_str_eq(abi_errno_name(ERESTART_RESTARTBLOCK), "ERESTART_RESTARTBLOCK");
	ck_assert_str_eq(abi_errno_name(0), "E?");
	ck_assert_str_eq(abi_errno_name(-1), "E?");
	ck_assert_str_eq(abi_errno_name(41), "E?");
	ck_assert_str_eq(abi_errno_name(4096), "E?");
	for (int e = 1; e < 134; e++)
		if (e != 41 && e != 58)
			ck_assert_str_ne(abi_errno_name(e), "E?");
	ck_assert_str_eq(abi_signal_name(1), "SIGHUP");
	ck_assert_str_eq(abi_signal_name(31), "SIGSYS");
	ck_assert_str_eq(abi_signal_name(32), "SIGRTMIN");
	ck_assert_str_eq(abi_signal_name(33), "SIGRT_1");
	ck_assert_str_eq(abi_signal_name(64), "SIGRT_32");
	ck_assert_ptr_null(abi_signal_name(0));
	ck_assert_ptr_null(abi_signal_name(65));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("abi");
	TCase *tc = tcase_create("table");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, table_is_sorted_and_complete);
	tcase_add_test(tc, names_are_unique);
	tcase_add_test(tc, lookup_by_number);
	tcase_add_test(tc, rows_are_honest);
	tcase_add_test(tc, arguments_are_consistent);
	tcase_add_test(tc, numbers_match_the_host);
	suite_add_tcase(s, tc);
	tc = tcase_create("names");
	tcase_add_test(tc, flags_are_named);
	tcase_add_test(tc, a_short_buffer_cuts_names_off);
	tcase_add_test(tc, errnos_and_signals_are_named);
	suite_add_tcase(s, tc);

	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
