/*
 * loader: what execve(2) has to know before it changes anything.  Pure: bytes in, plans out.  It makes no host call
 * and touches no guest memory; sentry/task/exec.c reads the files, carries the plans out and chooses addresses.
 *
 *     elf_plan      an ELF file         -> its segments, entry, interpreter, how much room it wants
 *     elf_place     a plan, an address  -> the same plan at its final addresses
 *     script_plan   "#! ..."            -> interpreter and argument
 *     stack_build   argv, envp, auxv    -> the bytes of the initial stack
 *
 * Follows fs/binfmt_elf.c, fs/binfmt_script.c and fs/exec.c of Linux 6.18 in behaviour, refusals included.
 */
#ifndef BAILEY_LOADER_LOADER_H
#define BAILEY_LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/types.h"
#include "base/compiler.h"

/* ---- ELF ---- */

/*
 * The file to plan for.  read puts up to len bytes at offset off into buf and returns the count (short only at the
 * file's end) or -errno; elf_plan hands errors on.  Headers and the interpreter's name may lie anywhere in the file.
 */
struct elf_source {
	ssize_t (*read)(void *arg, void *buf, size_t len, uint64_t off);
	void *arg;
	uint64_t size; /* of the file, bytes */
};
/* A source over bytes in memory (borrowed), which are the whole file. */
struct elf_bytes {
	const void *data;
	size_t size;
};
struct elf_source elf_source_bytes(const struct elf_bytes *b);

enum elf_role { ELF_PROGRAM, ELF_INTERPRETER };

/* Linux takes no more than 64 KiB of program headers. */
#define ELF_MAX_PHDRS (65536 / 56)

/*
 * One PT_LOAD, to be carried out in this order; each range is half-open and may be empty, map_ and anon_ are
 * page-aligned:
 *   1. map [map_start, map_end) private from file_off with prot (L_PROT_*);
 *   2. zero [clear_start, clear_end), the bytes behind the file's part of its last page;
 *   3. map [anon_start, anon_end) private anonymous with anon_prot.
 * A later segment replaces what it overlaps of an earlier one.
 */
struct elf_segment {
	uint64_t map_start, map_end, file_off;
	uint64_t clear_start, clear_end;
	uint64_t anon_start, anon_end;
	int prot, anon_prot;
};

struct elf_plan {
	enum elf_role role;
	bool relocatable; /* ET_DYN: place it with elf_place; ET_EXEC lies where it must */
	bool stack_exec;  /* PT_GNU_STACK asks for an executable stack */
	/*
	 * 0, or the -errno of what Linux would find wrong only past the point of no return: the file is accepted, the old
	 * image is given up, and the process then dies by SIGSEGV.
	 */
	int fatal;
	uint64_t ceiling;		  /* as given to elf_plan */
	uint64_t span_start, span_size;   /* page-aligned range that covers all segments */
	uint64_t align;			  /* place span_start on a multiple of this; >= a page */
	uint64_t bias;			  /* what elf_place added to every address; AT_BASE for an interpreter */
	uint64_t entry;			  /* AT_ENTRY for a program */
	uint64_t phdr;			  /* AT_PHDR */
	uint32_t phnum, phentsize;	  /* AT_PHNUM, AT_PHENT */
	uint64_t brk_start;		  /* page-aligned end of the highest segment */
	uint64_t start_code, end_code, start_data, end_data; /* as in /proc/PID/stat */
	size_t segment_count;
	struct elf_segment *segments; /* owned */
	char interp[L_PATH_MAX]; /* the interpreter's path, NUL-terminated; "" if there is none */
};

/*
 * Plans for the file behind src.  ceiling is the first address that the guest may not use.  0, or:
 *   -ENOEXEC   not an x86-64 ELF that Linux takes (as ELF_PROGRAM)
 *   -ELIBBAD   the same as ELF_INTERPRETER
 *   -EIO       a header or the interpreter's path lies past the file's end
 *   -EACCES    the interpreter's path is empty
 *   -ENOMEM, and whatever src->read returned
 * What is wrong in the segments themselves is told by plan->fatal.  On success the caller ends the plan with
 * elf_plan_free; on failure there is nothing to free.
 */
int elf_plan(const struct elf_source *src, enum elf_role role, uint64_t ceiling, struct elf_plan *plan) MUST_CHECK;
/* Harmless on NULL, on a zeroed plan, or twice.  plan itself stays the caller's. */
void elf_plan_free(struct elf_plan *plan);

/* Moves a relocatable plan so that span_start becomes base (page-aligned).  Call once; -ENOMEM if it does not fit. */
int elf_place(struct elf_plan *plan, uint64_t base) MUST_CHECK;

/* ---- scripts ---- */

#define SCRIPT_HEAD_SIZE L_BINPRM_BUF_SIZE /* as much of a file as decides what it is */

struct script_plan {
	char interp[L_BINPRM_BUF_SIZE]; /* the interpreter's path */
	char arg[L_BINPRM_BUF_SIZE];
	bool has_arg;
};

/*
 * Parses the first size bytes (the whole file, or at least SCRIPT_HEAD_SIZE) as a script's first line.  -ENOEXEC if it
 * is none, names no interpreter or the name may be cut off; -EACCES if the name is "".  argv becomes: interp, arg if any, the script's path, and
 * the old argv[1...].
 */
int script_plan(const void *head, size_t size, struct script_plan *plan) MUST_CHECK;

/* ---- argument strings ---- */

/* count strings, each with its NUL, one after the other. */
struct strings {
	char *bytes; /* owned */
	size_t size, cap;
	size_t count;
};

/* Bytes that all strings, their pointers and the program's path may take together when RLIMIT_STACK's soft limit is
 * this. */
uint64_t stack_args_limit(uint64_t rlim_stack);

/*
 * Appends s (len bytes without the NUL; copied).  *budget (from stack_args_limit, shared by argv and envp) falls by
 * what the string and its pointer take.  -E2BIG, -ENOMEM.
 */
int strings_add(struct strings *v, const char *s, size_t len, uint64_t *budget) MUST_CHECK;
/* Puts count strings of packed bytes first, in place of the first `drop` ones: what a script does to argv. */
int strings_replace_head(struct strings *v, size_t drop, const char *packed, size_t size, size_t count,
			 uint64_t *budget) MUST_CHECK;
void strings_free(struct strings *v);

/* script_plan's splice: argv[0] gives way to interp, arg and script_path. */
int script_apply(const struct script_plan *plan, const char *script_path, struct strings *argv,
		 uint64_t *budget) MUST_CHECK;

/* ---- the initial stack ---- */

/* The auxiliary vector's inputs.  Addresses are final. */
struct stack_auxv {
	uint64_t phdr, phnum, entry; /* the program's */
	uint64_t base;		     /* the interpreter's load bias; 0 without one */
	uint64_t sysinfo_ehdr;	     /* the vDSO; 0: none, and no entry */
	uint64_t hwcap;		     /* CPUID 1's edx; not getauxval's, where glibc puts a value of its own */
	uint64_t hwcap2;
	uint64_t minsigstksz;	     /* 0: no entry */
	uint64_t rseq_feature_size, rseq_align; /* 0: no entries */
	uint32_t uid, euid, gid, egid;
	bool secure;
};

struct stack_inputs {
	uint64_t top;		/* end of the stack's mapping, page-aligned */
	uint64_t jitter;	/* random, < 8192: how far the tables move down from the strings */
	uint64_t rlim_stack;	/* RLIMIT_STACK's soft limit, bytes */
	const struct strings *argv, *envp; /* borrowed; empty argv becomes {""} */
	const char *execfn;	/* the path as given to execve (a script's own) */
	uint8_t random[16];
	struct stack_auxv aux;
};

#define STACK_AUXV_MAX 56 /* words, AT_NULL included */

struct stack_image {
	uint8_t *bytes; /* owned: what lies at [sp, top) */
	uint64_t size;
	uint64_t sp; /* rsp at entry; 16-byte aligned; holds argc */
	uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t auxv[STACK_AUXV_MAX]; /* as on the stack, zeros behind it */
	size_t auxv_words;
	size_t argc;
};

/* Builds the image.  -E2BIG when argv and envp pass the limits, -EINVAL if top or jitter is nonsense, -ENOMEM. */
int stack_build(const struct stack_inputs *in, struct stack_image *out) MUST_CHECK;
void stack_image_free(struct stack_image *img);

#endif
