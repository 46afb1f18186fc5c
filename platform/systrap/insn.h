/* Instructions of x86-64 as they stand in text: where each ends, and whether it would do the same elsewhere. */
#ifndef BAILEY_PLATFORM_SYSTRAP_INSN_H
#define BAILEY_PLATFORM_SYSTRAP_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 15

struct insn {
	uint8_t len, opcode, modrm, rex;
	bool two_bytes;	   /* 0x0f comes before the opcode */
	bool narrow;	   /* operands of 16 bits */
	bool rip_relative; /* it has an operand that lies somewhere from where it is itself */
	bool movable;	   /* insn_move can do it */
};

/* The instruction at p, of which there are room bytes.  False if it is not known, or not all there. */
bool insn_decode(const uint8_t *p, size_t room, struct insn *i);

/* Writes what does the same as i, which is at p and executed at `from`, to `to`, to be executed anywhere; the length. */
size_t insn_move(const uint8_t *p, const struct insn *i, uint64_t from, uint8_t to[INSN_MAX]);

#endif
