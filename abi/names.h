/*
 * Names of flags and of enumerated values, for strace output and messages.  The sets are in names.def.
 */
#ifndef BAILEY_ABI_NAMES_H
#define BAILEY_ABI_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Stands for value if (v & mask) == value: a flag has mask == value, one of an enumeration a mask of several bits. */
struct abi_name {
	uint64_t mask, value;
	const char *name;
};

struct abi_names {
	const struct abi_name *v; /* several-bit flags before their parts */
	size_t count;
};

#define NAMES(set) extern const struct abi_names abi_names_##set;
#define F(name)
#define F64(name)
#define E(mask, name)
#define X(name)
#define NAMES_END
#include "abi/names.def"

/* Writes "O_RDWR|O_CREAT|0x40000000" into buf, NUL-terminated and cut off at size; returns its length there.  A zero value with
 * no name is "0". */
size_t abi_names_format(const struct abi_names *set, uint64_t value, char *buf, size_t size);

/* "SIGINT", "SIGRT_2"; NULL for what is no signal. */
const char *abi_signal_name(int signo);

#endif
