/* Classic BPF: the parts of an instruction's code. */
#ifndef BAILEY_ABI_BPF_H
#define BAILEY_ABI_BPF_H

#define L_BPF_CLASS_MASK 0x07
#define L_BPF_LD 0x00
#define L_BPF_LDX 0x01
#define L_BPF_ST 0x02
#define L_BPF_STX 0x03
#define L_BPF_ALU 0x04
#define L_BPF_JMP 0x05
#define L_BPF_RET 0x06
#define L_BPF_MISC 0x07

#define L_BPF_W 0x00
#define L_BPF_MODE_MASK 0xe0
#define L_BPF_IMM 0x00
#define L_BPF_ABS 0x20
#define L_BPF_MEM 0x60
#define L_BPF_LEN 0x80

#define L_BPF_OP_MASK 0xf0
#define L_BPF_ADD 0x00
#define L_BPF_SUB 0x10
#define L_BPF_MUL 0x20
#define L_BPF_DIV 0x30
#define L_BPF_OR 0x40
#define L_BPF_AND 0x50
#define L_BPF_LSH 0x60
#define L_BPF_RSH 0x70
#define L_BPF_NEG 0x80
#define L_BPF_XOR 0xa0
#define L_BPF_JA 0x00
#define L_BPF_JEQ 0x10
#define L_BPF_JGT 0x20
#define L_BPF_JGE 0x30
#define L_BPF_JSET 0x40

#define L_BPF_K 0x00
#define L_BPF_X 0x08
#define L_BPF_A 0x10
#define L_BPF_TAX 0x00
#define L_BPF_TXA 0x80

#define L_BPF_MEMWORDS 16

#endif
