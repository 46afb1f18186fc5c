/* The auxiliary vector's types, and the hardware-capability bits x86-64 puts in it. */
#ifndef BAILEY_ABI_AUXVEC_H
#define BAILEY_ABI_AUXVEC_H

#define L_AT_NULL 0
#define L_AT_IGNORE 1
#define L_AT_EXECFD 2
#define L_AT_PHDR 3
#define L_AT_PHENT 4
#define L_AT_PHNUM 5
#define L_AT_PAGESZ 6
#define L_AT_BASE 7
#define L_AT_FLAGS 8
#define L_AT_ENTRY 9
#define L_AT_NOTELF 10
#define L_AT_UID 11
#define L_AT_EUID 12
#define L_AT_GID 13
#define L_AT_EGID 14
#define L_AT_PLATFORM 15
#define L_AT_HWCAP 16
#define L_AT_CLKTCK 17
#define L_AT_SECURE 23
#define L_AT_BASE_PLATFORM 24
#define L_AT_RANDOM 25
#define L_AT_HWCAP2 26
#define L_AT_RSEQ_FEATURE_SIZE 27
#define L_AT_RSEQ_ALIGN 28
#define L_AT_HWCAP3 29
#define L_AT_HWCAP4 30
#define L_AT_EXECFN 31
#define L_AT_SYSINFO 32
#define L_AT_SYSINFO_EHDR 33
#define L_AT_MINSIGSTKSZ 51

#define L_HWCAP2_RING3MWAIT 1
#define L_HWCAP2_FSGSBASE 2

#endif
