/*
 * How long instructions are, and which of them could as well be executed elsewhere: as much of x86-64 as compilers put around
 * a system call.  What is not known here is said to be, and nothing is guessed: Intel's manual, volume 2, chapter 2 and appendix A.
 */
#include "platform/systrap/insn.h"

#include <string.h>

#define LEA 0x8d

/* What follows an opcode of one byte, and of two. */
enum { X, N, M, I8, I32, MI8, MI32, F8, F32 };

/* X: not known; N: nothing; M: a ModRM byte and what comes of it; I8, I32: an immediate, in 16-bit form of two bytes; MI: both; F:
 * the same as I, where control goes elsewhere. */
static const uint8_t one_byte[256] = {
	/* 0x00 */ M, M, M, M, I8, I32, X, X, M, M, M, M, I8, I32, X, X,
	/* 0x10 */ M, M, M, M, I8, I32, X, X, M, M, M, M, I8, I32, X, X,
	/* 0x20 */ M, M, M, M, I8, I32, X, X, M, M, M, M, I8, I32, X, X,
	/* 0x30 */ M, M, M, M, I8, I32, X, X, M, M, M, M, I8, I32, X, X,
	/* 0x40 */ X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	/* 0x50 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 0x60 */ X, X, X, M, X, X, X, X, I32, MI32, I8, MI8, X, X, X, X,
	/* 0x70 */ F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8, F8,
	/* 0x80 */ MI8, MI32, X, MI8, M, M, M, M, M, M, M, M, X, M, X, X,
	/* 0x90 */ N, N, N, N, N, N, N, N, N, N, X, X, N, N, N, N,
	/* 0xa0 */ X, X, X, X, N, N, N, N, I8, I32, N, N, N, N, N, N,
	/* 0xb0 */ I8, I8, I8, I8, I8, I8, I8, I8, I32, I32, I32, I32, I32, I32, I32, I32,
	/* 0xc0 */ MI8, MI8, X, N, X, X, MI8, MI32, X, N, X, X, N, X, X, X,
	/* 0xd0 */ M, M, M, M, X, X, X, X, M, M, M, M, M, M, M, M,
	/* 0xe0 */ X, X, X, X, X, X, X, X, F32, F32, X, F8, X, X, X, X,
	/* 0xf0 */ X, X, X, X, N, X, M, M, N, N, X, X, N, N, M, M,
};

static const uint8_t two_bytes[256] = {
	/* 0x00 */ X, X, X, X, X, N, X, X, X, X, X, N, X, M, X, X,
	/* 0x10 */ M, M, M, M, M, M, M, M, M, X, X, X, X, X, M, M,
	/* 0x20 */ X, X, X, X, X, X, X, X, M, M, M, M, M, M, M, M,
	/* 0x30 */ X, N, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	/* 0x40 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0x50 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0x60 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0x70 */ MI8, MI8, MI8, MI8, M, M, M, N, X, X, X, X, X, X, M, M,
	/* 0x80 */ F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32, F32,
	/* 0x90 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0xa0 */ X, X, N, M, MI8, M, X, X, X, X, X, M, MI8, M, M, M,
	/* 0xb0 */ M, M, X, M, X, X, M, M, X, X, MI8, M, M, M, M, M,
	/* 0xc0 */ M, M, MI8, M, MI8, MI8, MI8, M, N, N, N, N, N, N, N, N,
	/* 0xd0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0xe0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 0xf0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, X,
};

/* Moves, address and other arithmetic between registers, memory and constants.  (Not all that would do.) */
static bool computes(const struct insn *i)
{
	if (i->two_bytes)
		return i->opcode == 0x1f || i->opcode == 0xb6 || i->opcode == 0xb7; /* no-op, movzx */
	switch (i->opcode) {
	case 0x01: /* add */
	case 0x03:
	case 0x09: /* or */
	case 0x0b:
	case 0x21: /* and */
	case 0x23:
	case 0x29: /* sub */
	case 0x2b:
	case 0x31: /* xor */
	case 0x33:
	case 0x39: /* cmp */
	case 0x3b:
	case 0x63: /* movslq */
	case 0x83: /* any of these with a constant */
	case 0x85: /* test */
	case 0x88: /* mov */
	case 0x89:
	case 0x8a:
	case 0x8b:
	case LEA:
	case 0x90: /* no-op */
		return true;
	case 0xc6: /* mov of a constant; others of theirs begin and end transactions */
	case 0xc7:
		return (i->modrm >> 3 & 7) == 0;
	default:
		return i->opcode >= 0xb8 && i->opcode <= 0xbf;
	}
}

/* The bytes of a ModRM byte and what belongs to it, at p; 0: not all there. */
static size_t modrm_length(const uint8_t *p, size_t room, bool *rip_relative)
{
	uint8_t mod, rm;
	size_t n = 1;

	if (room < 2)
		return 0;
	mod = p[0] >> 6;
	rm = p[0] & 7;
	*rip_relative = mod == 0 && rm == 5;
	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			n += 4;
	}
	if (mod == 1)
		n += 1;
	else if (mod == 2 || *rip_relative)
		n += 4;
	return n;
}

/* True if there is one more prefix at *at, which is noted. */
static bool take_prefix(struct insn *i, const uint8_t *p, size_t at, bool *plain)
{
	switch (p[at]) {
	case 0x66:
		i->narrow = true;
		return true;
	case 0x64: /* %fs */
	case 0x2e: /* none any more */
	case 0x3e:
		return true;
	case 0x65: /* %gs is not the guest's in a trampoline */
	case 0xf0:
	case 0xf2:
	case 0xf3:
		*plain = false;
		return true;
	default:
		return false;
	}
}

bool insn_decode(const uint8_t *p, size_t room, struct insn *i)
{
	bool plain = true, far = false;
	size_t n = 0, m;
	uint8_t form;

	memset(i, 0, sizeof(*i));
	while (n < room && n < 14 && take_prefix(i, p, n, &plain))
		n++;
	if (n < room && (p[n] & 0xf0) == 0x40)
		i->rex = p[n++];
	if (n + 1 >= room)
		return false;
	i->two_bytes = p[n] == 0x0f;
	if (i->two_bytes)
		n++;
	i->opcode = p[n++];
	form = i->two_bytes ? two_bytes[i->opcode] : one_byte[i->opcode];
	if (form == X || n >= room + (form == N))
		return false;
	if (form == M || form == MI8 || form == MI32) {
		i->modrm = p[n];
		m = modrm_length(p + n, room - n, &i->rip_relative);
		if (m == 0)
			return false;
		n += m;
	}
	if (!i->two_bytes && (i->opcode == 0xf6 || i->opcode == 0xf7) && (i->modrm >> 3 & 7) < 2)
		form = i->opcode == 0xf6 ? MI8 : MI32; /* test; the others have no constant */
	if (!i->two_bytes && i->opcode == 0xff && (i->modrm >> 3 & 7) >= 2 && (i->modrm >> 3 & 7) <= 5)
		far = true;
	switch (form) {
	case I8:
	case MI8:
	case F8:
		n += 1;
		break;
	case F32:
		n += 4;
		break;
	case I32:
	case MI32:
		if ((i->rex & 8) && !i->two_bytes && i->opcode >= 0xb8 && i->opcode <= 0xbf)
			n += 8;
		else
			n += i->narrow && !(i->rex & 8) ? 2 : 4;
		break;
	default:
		break;
	}
	if (n > room || n > INSN_MAX)
		return false;
	i->len = (uint8_t)n;
	i->movable = plain && form != F8 && form != F32 && !far && computes(i) &&
		     (!i->rip_relative || (i->opcode == LEA && !i->two_bytes && (i->rex & 8)));
	return true;
}

size_t insn_move(const uint8_t *p, const struct insn *i, uint64_t from, uint8_t to[INSN_MAX])
{
	uint64_t target;
	int32_t distance;

	if (!i->rip_relative) {
		memcpy(to, p, i->len);
		return i->len;
	}
	/* lea distance(%rip), %reg becomes mov $target, %reg */
	memcpy(&distance, p + i->len - sizeof(distance), sizeof(distance));
	target = from + i->len + (uint64_t)(int64_t)distance;
	to[0] = (uint8_t)(0x48 | (i->rex >> 2 & 1));
	to[1] = (uint8_t)(0xb8 | (i->modrm >> 3 & 7));
	memcpy(to + 2, &target, sizeof(target));
	return 2 + sizeof(target);
}
