/* Instructions around system calls (platform/systrap/insn.c): where they end, and what they become elsewhere. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "platform/systrap/insn.h"

struct known {
	const char *bytes;
	uint8_t len;
	bool movable;
};

#define INSN(text, movable) {text, sizeof(text) - 1, movable}

static const struct known all[] = {
	INSN("\x41\x89\xc0", true),			   /* mov %eax, %r8d */
	INSN("\x8b\x7c\x24\x08", true),			   /* mov 8(%rsp), %edi */
	INSN("\x31\xc0", true),				   /* xor %eax, %eax */
	INSN("\x48\x8d\x35\xdd\x78\x11\x00", true),	   /* lea 0x1178dd(%rip), %rsi */
	INSN("\x8d\x35\xdd\x78\x11\x00", false),	   /* lea 0x1178dd(%rip), %esi */
	INSN("\x48\x8d\xb3\xf0\x08\x00\x00", true),	   /* lea 0x8f0(%rbx), %rsi */
	INSN("\xb8\x0e\x00\x00\x00", true),		   /* mov $14, %eax */
	INSN("\x66\xb8\x0e\x00", true),			   /* mov $14, %ax */
	INSN("\x48\xb8\xff\xff\xff\xff\xfe\xff\xff\xff", true), /* mov $0xfffffffeffffffff, %rax */
	INSN("\x66\x90", true),				   /* a no-op */
	INSN("\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00", true), /* another */
	INSN("\xc6\x44\x24\x66\x00", true),		   /* movb $0, 0x66(%rsp) */
	INSN("\x64\x48\x89\x04\x25\x00\x03\x00\x00", true), /* mov %rax, %fs:0x300 */
	INSN("\x65\x48\x89\x04\x25\x00\x03\x00\x00", false), /* mov %rax, %gs:0x300 */
	INSN("\x80\x3d\x31\x33\x0e\x00\x00", false),	   /* cmpb $0, 0xe3331(%rip) */
	INSN("\x8b\x3d\x31\x33\x0e\x00", false),	   /* mov 0xe3331(%rip), %edi */
	INSN("\xf0\x0f\xb1\x17", false),		   /* lock cmpxchg %edx, (%rdi) */
	INSN("\xf3\xa4", false),			   /* rep movsb */
	INSN("\xf7\xc7\x01\x00\x00\x00", false),	   /* test $1, %edi */
	INSN("\xf7\xd8", false),			   /* neg %eax */
	INSN("\xc7\xf8\x10\x00\x00\x00", false),	   /* xbegin */
	INSN("\xc6\xf8\xff", false),			   /* xabort $0xff */
	INSN("\x74\x17", false),			   /* je */
	INSN("\x0f\x86\xd1\xfd\xff\xff", false),	   /* jbe */
	INSN("\xe8\x49\xd5\xf8\xff", false),		   /* call */
	INSN("\xff\x24\x25\x60\x00\x06\x00", false),	   /* jmp *0x60060 */
	INSN("\xff\xd0", false),			   /* call *%rax */
	INSN("\x0f\x05", false),			   /* syscall */
	INSN("\xc3", false),				   /* ret */
	INSN("\xf3\x0f\x1e\xfa", false),		   /* endbr64 */
};

START_TEST(lengths)
{
	for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
		uint8_t text[INSN_MAX + 1];
		struct insn i;

		memset(text, 0x90, sizeof(text));
		memcpy(text, all[k].bytes, all[k].len);
		ck_assert_msg(insn_decode(text, sizeof(text), &i), "%zu is not known", k);
		ck_assert_msg(i.len == all[k].len, "%zu: %u bytes", k, i.len);
		ck_assert_msg(i.movable == all[k].movable, "%zu: %d", k, i.movable);
		/* Not all there. */
		for (size_t room = 0; room < all[k].len; room++)
			ck_assert_msg(!insn_decode(text, room, &i), "%zu of %zu bytes", k, room);
	}
}
END_TEST

START_TEST(unknown)
{
	static const char *const none[] = {"\x06\x90", "\x60\x90", "\x0f\x0a", "\x62\xf1", "\xc5\xf8", "\xea\x90", "\x0f\xff"};
	struct insn i;

	for (size_t k = 0; k < sizeof(none) / sizeof(none[0]); k++) {
		uint8_t text[INSN_MAX + 1];

		memset(text, 0x90, sizeof(text));
		memcpy(text, none[k], 2);
		ck_assert_msg(!insn_decode(text, sizeof(text), &i), "%zu", k);
	}
}
END_TEST

START_TEST(moved)
{
	static const uint8_t lea[16] = {0x4c, 0x8d, 0x35, 0x10, 0xff, 0xff, 0xff}; /* lea -0xf0(%rip), %r14 */
	static const uint8_t mov[16] = {0x8b, 0x7c, 0x24, 0x08};
	uint8_t to[INSN_MAX];
	uint64_t target;
	struct insn i;

	ck_assert(insn_decode(lea, sizeof(lea), &i));
	ck_assert_uint_eq(insn_move(lea, &i, 0x7f0000001000, to), 10);
	memcpy(&target, to + 2, sizeof(target));
	ck_assert(to[0] == 0x49 && to[1] == 0xbe); /* mov $target, %r14 */
	ck_assert_uint_eq(target, 0x7f0000001007 - 0xf0);
	ck_assert(insn_decode(mov, sizeof(mov), &i));
	ck_assert_uint_eq(insn_move(mov, &i, 0x1000, to), 4);
	ck_assert_mem_eq(to, mov, 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("insn");
	TCase *c = tcase_create("insn");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(c, lengths);
	tcase_add_test(c, unknown);
	tcase_add_test(c, moved);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
