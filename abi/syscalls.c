/* The table of system calls as data: syscalls.def expanded, and looked up by number and by name. */
#include "abi/syscalls.h"

#include <string.h>

#include "abi/errno.h"
#include "base/compiler.h"

enum type_size {
#define T(name, size) SIZE_OF_##name = (size),
	ABI_TYPES(T)
#undef T
};

#define SCALAR(x, k) { .name = #x, .kind = ABI_ARG_##k }
#define TYPED(x, k, d, t, ...)                                                                                         \
	{                                                                                                              \
		.name = #x, .kind = ABI_ARG_##k, .dir = (d), .type = ABI_TYPE_##t, .size = SIZE_OF_##t, ##__VA_ARGS__  \
	}
#define BYTES(x, k, d, rule, n) { .name = #x, .kind = ABI_ARG_##k, .dir = (d), .len = ABI_LEN_##rule, .len_arg = (n) }
#define LEN(rule, n) .len = ABI_LEN_##rule, .len_arg = (n)
#define DIR_INOUT (ABI_DIR_IN | ABI_DIR_OUT)

#define INT(x) SCALAR(x, INT)
#define UINT(x) SCALAR(x, UINT)
#define LONG(x) SCALAR(x, LONG)
#define HEX(x) SCALAR(x, HEX)
#define SIZE(x) SCALAR(x, SIZE)
#define OFF(x) SCALAR(x, OFF)
#define PTR(x) SCALAR(x, PTR)
#define FD(x) SCALAR(x, FD)
#define DIRFD(x) SCALAR(x, DIRFD)
#define PID(x) SCALAR(x, PID)
#define UID(x) SCALAR(x, UID)
#define GID(x) SCALAR(x, GID)
#define SIG(x) SCALAR(x, SIG)
#define MODE(x) SCALAR(x, MODE)
#define DEV(x) SCALAR(x, DEV)
#define FLAGS(x, s) { .name = #x, .kind = ABI_ARG_FLAGS, .names = &abi_names_##s }
#define ENUM(x, s) { .name = #x, .kind = ABI_ARG_ENUM, .names = &abi_names_##s }
#define PATH(x) { .name = #x, .kind = ABI_ARG_PATH, .dir = ABI_DIR_IN }
#define STR(x) { .name = #x, .kind = ABI_ARG_STR, .dir = ABI_DIR_IN }
#define STRV(x) { .name = #x, .kind = ABI_ARG_STRV, .dir = ABI_DIR_IN }
#define IN(x, k) BYTES(x, BUF, ABI_DIR_IN, ARG, k)
#define OUT(x, k) BYTES(x, BUF, ABI_DIR_OUT, RESULT, k)
#define IOV_IN(x, k) BYTES(x, IOV, ABI_DIR_IN, ARG, k)
#define IOV_OUT(x, k) BYTES(x, IOV, ABI_DIR_OUT, RESULT, k)
#define IN_T(x, t) TYPED(x, STRUCT, ABI_DIR_IN, t)
#define OUT_T(x, t) TYPED(x, STRUCT, ABI_DIR_OUT, t)
#define INOUT_T(x, t) TYPED(x, STRUCT, DIR_INOUT, t)
#define IN_N(x, t, k) TYPED(x, ARRAY, ABI_DIR_IN, t, LEN(ARG, k))
#define OUT_N(x, t, k) TYPED(x, ARRAY, ABI_DIR_OUT, t, LEN(ARG, k))
#define INOUT_N(x, t, k) TYPED(x, ARRAY, DIR_INOUT, t, LEN(ARG, k))
#define OUT_RN(x, t, k) TYPED(x, ARRAY, ABI_DIR_OUT, t, LEN(RESULT, k))
#define IN_V(x, t, k) TYPED(x, VAR, ABI_DIR_IN, t, LEN(ARG, k))
#define OUT_V(x, t, k) TYPED(x, VAR, ABI_DIR_OUT, t, LEN(ARG, k))
#define OUT_VP(x, t, k) TYPED(x, VAR, ABI_DIR_OUT, t, LEN(DEREF, k))

#define ROW(nr_, name_, status_, refusal_, result_, note_, ...)                                                        \
	{                                                                                                              \
		.nr = (nr_), .name = name_, .status = ABI_##status_, .result = ABI_RET_##result_,                      \
		.refusal = (refusal_), .note = (note_), .args = { __VA_ARGS__ },                                       \
	},
#define SYSCALL(nr, name, status, result, note, ...) ROW(nr, #name, status, ENOSYS, result, note, __VA_ARGS__)
#define SYSCALL_REFUSED(nr, name, err, result, note, ...) ROW(nr, #name, ABSENT, err, result, note, __VA_ARGS__)

const struct abi_syscall abi_syscalls[] = {
#include "abi/syscalls.def"
};
const size_t abi_syscall_count = ARRAY_SIZE(abi_syscalls);

const struct abi_syscall *abi_syscall_by_nr(uint64_t nr)
{
	size_t lo = 0, hi = abi_syscall_count;

	/* The first numbers have no gap. */
	if (nr < hi && abi_syscalls[nr].nr == nr)
		return &abi_syscalls[nr];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (abi_syscalls[mid].nr == nr)
			return &abi_syscalls[mid];
		if (abi_syscalls[mid].nr < nr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct abi_syscall *abi_syscall_by_name(const char *name)
{
	for (size_t i = 0; i < abi_syscall_count; i++)
		if (!strcmp(abi_syscalls[i].name, name))
			return &abi_syscalls[i];
	return NULL;
}

const char *abi_status_name(enum abi_status s)
{
	return s == ABI_FULL ? "full" : s == ABI_PARTIAL ? "partial" : "absent";
}
