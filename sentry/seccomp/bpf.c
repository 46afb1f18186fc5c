/* See bpf.h.  Rules: the kernel's Documentation/networking/filter.rst, and seccomp(2). */
#include "sentry/seccomp/bpf.h"

#include <string.h>

#include "abi/bpf.h"
#include "base/checked.h"

#define DATA_SIZE sizeof(struct l_seccomp_data)

/* ---- checking ---- */

static bool jump_ok(const struct l_sock_filter *i, size_t left)
{
	if (i->code == (L_BPF_JMP | L_BPF_JA))
		return i->k < left;
	return i->jt < left && i->jf < left;
}

/* One instruction, with `left` behind it. */
static bool instruction_ok(const struct l_sock_filter *i, size_t left)
{
	switch (i->code) {
	case L_BPF_LD | L_BPF_W | L_BPF_ABS:
		return i->k < DATA_SIZE && i->k % sizeof(uint32_t) == 0;
	case L_BPF_LD | L_BPF_MEM:
	case L_BPF_LDX | L_BPF_MEM:
	case L_BPF_ST:
	case L_BPF_STX:
		return i->k < L_BPF_MEMWORDS;
	case L_BPF_ALU | L_BPF_DIV | L_BPF_K:
		return i->k != 0;
	case L_BPF_ALU | L_BPF_LSH | L_BPF_K:
	case L_BPF_ALU | L_BPF_RSH | L_BPF_K:
		return i->k < 32;
	case L_BPF_JMP | L_BPF_JA:
	case L_BPF_JMP | L_BPF_JEQ | L_BPF_K:
	case L_BPF_JMP | L_BPF_JEQ | L_BPF_X:
	case L_BPF_JMP | L_BPF_JGE | L_BPF_K:
	case L_BPF_JMP | L_BPF_JGE | L_BPF_X:
	case L_BPF_JMP | L_BPF_JGT | L_BPF_K:
	case L_BPF_JMP | L_BPF_JGT | L_BPF_X:
	case L_BPF_JMP | L_BPF_JSET | L_BPF_K:
	case L_BPF_JMP | L_BPF_JSET | L_BPF_X:
		return jump_ok(i, left);
	case L_BPF_LD | L_BPF_W | L_BPF_LEN:
	case L_BPF_LDX | L_BPF_W | L_BPF_LEN:
	case L_BPF_LD | L_BPF_IMM:
	case L_BPF_LDX | L_BPF_IMM:
	case L_BPF_MISC | L_BPF_TAX:
	case L_BPF_MISC | L_BPF_TXA:
	case L_BPF_RET | L_BPF_K:
	case L_BPF_RET | L_BPF_A:
	/* ADD and K are both 0.  NOLINTNEXTLINE(misc-redundant-expression) */
	case L_BPF_ALU | L_BPF_ADD | L_BPF_K:
	case L_BPF_ALU | L_BPF_ADD | L_BPF_X:
	case L_BPF_ALU | L_BPF_SUB | L_BPF_K:
	case L_BPF_ALU | L_BPF_SUB | L_BPF_X:
	case L_BPF_ALU | L_BPF_MUL | L_BPF_K:
	case L_BPF_ALU | L_BPF_MUL | L_BPF_X:
	case L_BPF_ALU | L_BPF_DIV | L_BPF_X:
	case L_BPF_ALU | L_BPF_AND | L_BPF_K:
	case L_BPF_ALU | L_BPF_AND | L_BPF_X:
	case L_BPF_ALU | L_BPF_OR | L_BPF_K:
	case L_BPF_ALU | L_BPF_OR | L_BPF_X:
	case L_BPF_ALU | L_BPF_XOR | L_BPF_K:
	case L_BPF_ALU | L_BPF_XOR | L_BPF_X:
	case L_BPF_ALU | L_BPF_LSH | L_BPF_X:
	case L_BPF_ALU | L_BPF_RSH | L_BPF_X:
	case L_BPF_ALU | L_BPF_NEG:
		return true;
	default:
		return false;
	}
}

/* What is written on every way to an instruction: a bit a word of memory. */
struct written {
	uint16_t at[L_BPF_MAXINSNS];
};

static void meet(struct written *w, size_t at, uint16_t now)
{
	w->at[at] &= now;
}

/* Jumps lead forward, so one pass sees every way before the place where it leads. */
static bool memory_ok(const struct l_sock_filter *f, size_t count, struct written *w)
{
	uint16_t now = 0;

	memset(w->at, 0xff, count * sizeof(w->at[0]));
	for (size_t pc = 0; pc < count; pc++) {
		const struct l_sock_filter *i = &f[pc];

		now &= w->at[pc];
		switch (i->code) {
		case L_BPF_ST:
		case L_BPF_STX:
			now |= (uint16_t)(1u << i->k);
			break;
		case L_BPF_LD | L_BPF_MEM:
		case L_BPF_LDX | L_BPF_MEM:
			if (!(now & 1u << i->k))
				return false;
			break;
		case L_BPF_JMP | L_BPF_JA:
			meet(w, pc + 1 + i->k, now);
			now = UINT16_MAX;
			break;
		default:
			if ((i->code & L_BPF_CLASS_MASK) != L_BPF_JMP)
				break;
			meet(w, pc + 1 + i->jt, now);
			meet(w, pc + 1 + i->jf, now);
			now = UINT16_MAX;
			break;
		}
	}
	return true;
}

bool bpf_check(const struct l_sock_filter *f, size_t count)
{
	struct written w;

	if (count == 0 || count > L_BPF_MAXINSNS)
		return false;
	for (size_t pc = 0; pc < count; pc++)
		if (!instruction_ok(&f[pc], count - pc - 1))
			return false;
	if ((f[count - 1].code & L_BPF_CLASS_MASK) != L_BPF_RET)
		return false;
	return memory_ok(f, count, &w);
}

/* ---- running ---- */

struct machine {
	uint32_t a, x;
	uint32_t mem[L_BPF_MEMWORDS];
};

/* False: a division by zero, which ends the program with 0. */
static bool alu(struct machine *m, const struct l_sock_filter *i)
{
	uint32_t v = i->code & L_BPF_X ? m->x : i->k;

	switch (i->code & L_BPF_OP_MASK) {
	case L_BPF_ADD:
		m->a += v;
		break;
	case L_BPF_SUB:
		m->a -= v;
		break;
	case L_BPF_MUL:
		m->a *= v;
		break;
	case L_BPF_DIV:
		if (!v)
			return false;
		m->a /= v;
		break;
	case L_BPF_AND:
		m->a &= v;
		break;
	case L_BPF_OR:
		m->a |= v;
		break;
	case L_BPF_XOR:
		m->a ^= v;
		break;
	case L_BPF_LSH:
		m->a <<= v & 31;
		break;
	case L_BPF_RSH:
		m->a >>= v & 31;
		break;
	default: /* NEG */
		m->a = -m->a;
		break;
	}
	return true;
}

/* How many instructions to skip. */
static uint32_t jump(const struct machine *m, const struct l_sock_filter *i)
{
	uint32_t v = i->code & L_BPF_X ? m->x : i->k;
	bool taken;

	switch (i->code & L_BPF_OP_MASK) {
	case L_BPF_JA:
		return i->k;
	case L_BPF_JEQ:
		taken = m->a == v;
		break;
	case L_BPF_JGT:
		taken = m->a > v;
		break;
	case L_BPF_JGE:
		taken = m->a >= v;
		break;
	default: /* JSET */
		taken = (m->a & v) != 0;
		break;
	}
	return taken ? i->jt : i->jf;
}

static uint32_t load(const struct machine *m, const struct l_sock_filter *i, const struct l_seccomp_data *data)
{
	uint32_t word;

	switch (i->code & L_BPF_MODE_MASK) {
	case L_BPF_ABS:
		memcpy(&word, (const uint8_t *)data + i->k, sizeof(word));
		return word;
	case L_BPF_MEM:
		return m->mem[i->k];
	case L_BPF_LEN:
		return DATA_SIZE;
	default:
		return i->k;
	}
}

uint32_t bpf_run(const struct l_sock_filter *f, const struct l_seccomp_data *data)
{
	struct machine m = {0};

	for (const struct l_sock_filter *i = f;; i++) {
		switch (i->code & L_BPF_CLASS_MASK) {
		case L_BPF_LD:
			m.a = load(&m, i, data);
			break;
		case L_BPF_LDX:
			m.x = load(&m, i, data);
			break;
		case L_BPF_ST:
			m.mem[i->k] = m.a;
			break;
		case L_BPF_STX:
			m.mem[i->k] = m.x;
			break;
		case L_BPF_ALU:
			if (!alu(&m, i))
				return 0;
			break;
		case L_BPF_JMP:
			i += jump(&m, i);
			break;
		case L_BPF_RET:
			return i->code & L_BPF_A ? m.a : i->k;
		default: /* MISC */
			if (i->code & L_BPF_TXA)
				m.a = m.x;
			else
				m.x = m.a;
			break;
		}
	}
}
