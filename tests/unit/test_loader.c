/*
 * The loader's plans.  Hand-made ELF files are tried for what Linux 6.18 answered when they were executed on it; real
 * ones for what readelf says; and the stack builder has to build the very stack the kernel gave to this process.
 */
#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "loader/loader.h"

#define CEILING 0x7fff00000000ull

/* ---- hand-made files ---- */

struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[4];
	char rest[0x3000];
};

/* One PT_LOAD that covers the file, the other headers PT_NULL. */
static struct image sample(uint16_t type)
{
	struct image im = {
		.eh = {.e_ident = ELFMAG "\2\1\1", .e_type = type, .e_machine = EM_X86_64, .e_version = 1,
		       .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 4},
	};

	im.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1234, .p_memsz = 0x1234,
				.p_vaddr = type == ET_EXEC ? 0x400000 : 0, .p_align = 0x1000};
	im.eh.e_entry = im.ph[0].p_vaddr + 0x400;
	return im;
}

static int plan_sized(const struct image *im, size_t size, enum elf_role role, struct elf_plan *plan)
{
	struct elf_bytes bytes = {im, size};
	struct elf_source src = elf_source_bytes(&bytes);

	return elf_plan(&src, role, CEILING, plan);
}

static int plan_image(const struct image *im, struct elf_plan *plan)
{
	return plan_sized(im, sizeof(*im), ELF_PROGRAM, plan);
}

/* The refusal, or what is fatal, or 0. */
static int verdict(const struct image *im, bool *fatal)
{
	struct elf_plan plan;
	int r = plan_image(im, &plan);

	*fatal = false;
	if (r)
		return r;
	*fatal = plan.fatal != 0;
	r = plan.fatal;
	elf_plan_free(&plan);
	return r;
}

#define ASSERT_REFUSED(im, err)                                                                                        \
	do {                                                                                                           \
		bool fatal_;                                                                                           \
		ck_assert_int_eq(verdict((im), &fatal_), (err));                                                       \
		ck_assert(!fatal_);                                                                                    \
	} while (0)
#define ASSERT_FATAL(im, err)                                                                                          \
	do {                                                                                                           \
		bool fatal_;                                                                                           \
		ck_assert_int_eq(verdict((im), &fatal_), (err));                                                       \
		ck_assert(fatal_);                                                                                     \
	} while (0)

START_TEST(header_refusals)
{
	struct image im = sample(ET_EXEC);

	ASSERT_REFUSED(&im, 0);
	im.eh.e_ident[EI_CLASS] = 77; /* nobody looks */
	ASSERT_REFUSED(&im, 0);

	im = sample(ET_EXEC);
	im.eh.e_ident[0] = 0;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_REL);
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_EXEC);
	im.eh.e_machine = EM_386;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_EXEC);
	im.eh.e_phentsize = 32;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_EXEC);
	im.eh.e_phnum = 0;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_EXEC);
	im.eh.e_phnum = 1171;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im = sample(ET_EXEC);
	im.eh.e_phoff = sizeof(im) - 1;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im.eh.e_phoff = UINT64_MAX - 10;
	ASSERT_REFUSED(&im, -ENOEXEC);
}
END_TEST

START_TEST(short_files)
{
	struct image im = sample(ET_EXEC);
	struct elf_plan plan;

	ck_assert_int_eq(plan_sized(&im, 0, ELF_PROGRAM, &plan), -ENOEXEC);
	ck_assert_int_eq(plan_sized(&im, 4, ELF_PROGRAM, &plan), -ENOEXEC);
	ck_assert_int_eq(plan_sized(&im, sizeof(im.eh), ELF_PROGRAM, &plan), -ENOEXEC);
	ck_assert_int_eq(plan_sized(&im, 4, ELF_INTERPRETER, &plan), -EIO);
	ck_assert_int_eq(plan_sized(&im, sizeof(im.eh), ELF_INTERPRETER, &plan), -ELIBBAD);
}
END_TEST

START_TEST(interpreter_path)
{
	struct image im = sample(ET_EXEC);
	struct elf_plan plan;

	strcpy(im.rest, "/lib/ld.so");
	im.ph[1] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = offsetof(struct image, rest), .p_filesz = 11};
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	ck_assert_str_eq(plan.interp, "/lib/ld.so");
	elf_plan_free(&plan);

	im.ph[1].p_filesz = 10; /* without the NUL */
	ASSERT_REFUSED(&im, -ENOEXEC);
	im.ph[1].p_filesz = 1;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im.ph[1].p_filesz = L_PATH_MAX + 1;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im.ph[1].p_filesz = UINT64_MAX;
	ASSERT_REFUSED(&im, -ENOEXEC);
	im.ph[1].p_filesz = 20;
	im.ph[1].p_offset = sizeof(im);
	ASSERT_REFUSED(&im, -EIO);
	im.ph[1].p_offset = UINT64_MAX - 15;
	ASSERT_REFUSED(&im, -EINVAL);
	im.ph[1].p_offset = offsetof(struct image, rest) + 100; /* all zeros */
	ASSERT_REFUSED(&im, -EACCES);
}
END_TEST

START_TEST(segments_beyond_the_point_of_no_return)
{
	struct image im = sample(ET_EXEC);

	im.ph[0].p_memsz = 0x10; /* less than the file's part */
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_EXEC);
	im.ph[0].p_offset = 0x10; /* not congruent */
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_EXEC);
	im.ph[0].p_memsz = UINT64_MAX;
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_EXEC);
	im.ph[0].p_vaddr = UINT64_MAX & PAGE_MASK;
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_EXEC);
	im.ph[0].p_offset = UINT64_MAX & PAGE_MASK;
	ASSERT_FATAL(&im, -EOVERFLOW);
	im = sample(ET_EXEC);
	im.eh.e_entry = CEILING;
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_DYN);
	im.ph[0].p_type = PT_NULL; /* nothing to place */
	ASSERT_FATAL(&im, -EINVAL);
	im = sample(ET_EXEC);
	im.ph[0].p_flags = PF_R | PF_W;
	im.ph[0].p_filesz = 0x9001; /* the page to be cleared lies behind the end */
	im.ph[0].p_memsz = 0xa000;
	ASSERT_FATAL(&im, -EFAULT);

	im = sample(ET_EXEC);
	im.ph[0].p_type = PT_NULL; /* starts, and faults at once */
	ASSERT_REFUSED(&im, 0);
}
END_TEST

START_TEST(bss)
{
	struct image im = sample(ET_EXEC);
	struct elf_segment *s;
	struct elf_plan plan;

	im.ph[0].p_flags = PF_R | PF_W;
	im.ph[0].p_memsz = 0x5678;
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	ck_assert_int_eq(plan.fatal, 0);
	s = plan.segments;
	ck_assert_uint_eq(s->map_start, 0x400000);
	ck_assert_uint_eq(s->map_end, 0x402000);
	ck_assert_uint_eq(s->clear_start, 0x401234);
	ck_assert_uint_eq(s->clear_end, 0x402000);
	ck_assert_uint_eq(s->anon_start, 0x402000);
	ck_assert_uint_eq(s->anon_end, 0x406000);
	ck_assert_int_eq(s->anon_prot, L_PROT_READ | L_PROT_WRITE);
	ck_assert_uint_eq(plan.brk_start, 0x406000);
	ck_assert_uint_eq(plan.phdr, 0x400040);
	elf_plan_free(&plan);

	im.ph[0].p_flags = PF_R; /* cannot be cleared; the rest is writable all the same */
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	s = plan.segments;
	ck_assert_uint_eq(s->clear_start, s->clear_end);
	ck_assert_int_eq(s->anon_prot, L_PROT_READ | L_PROT_WRITE);
	elf_plan_free(&plan);

	im.ph[0].p_filesz = 0; /* nothing of the file */
	im.ph[0].p_vaddr = 0x400800;
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	s = plan.segments;
	ck_assert_uint_eq(s->map_start, s->map_end);
	ck_assert_uint_eq(s->anon_start, 0x400000);
	ck_assert_uint_eq(s->anon_end, 0x406000);
	elf_plan_free(&plan);
}
END_TEST

START_TEST(placing)
{
	struct image im = sample(ET_DYN);
	struct elf_plan plan;

	im.ph[0].p_align = 0x200000;
	im.ph[0].p_vaddr = 0x10000;
	im.ph[1] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W | PF_X};
	im.eh.e_entry = 0x10400;
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	ck_assert(plan.relocatable && plan.stack_exec);
	ck_assert_uint_eq(plan.align, 0x200000);
	ck_assert_uint_eq(plan.span_start, 0x10000);
	ck_assert_uint_eq(plan.span_size, 0x2000);
	ck_assert_int_eq(elf_place(&plan, 0x1001), -EINVAL);
	ck_assert_int_eq(elf_place(&plan, UINT64_MAX & PAGE_MASK), -ENOMEM);
	ck_assert_int_eq(elf_place(&plan, CEILING - 0x1000), -ENOMEM);
	ck_assert_int_eq(elf_place(&plan, 0x555500000000), 0);
	ck_assert_uint_eq(plan.segments[0].map_start, 0x555500000000);
	ck_assert_uint_eq(plan.bias, 0x5554ffff0000);
	ck_assert_uint_eq(plan.entry, 0x555500000400);
	ck_assert_uint_eq(plan.phdr, 0x555500000040);
	ck_assert_uint_eq(plan.brk_start, 0x555500002000);
	elf_plan_free(&plan);

	im = sample(ET_EXEC);
	ck_assert_int_eq(plan_image(&im, &plan), 0);
	ck_assert_int_eq(elf_place(&plan, 0x555500000000), -EINVAL);
	elf_plan_free(&plan);
}
END_TEST

/* ---- real files ---- */

static ssize_t read_stdio(void *arg, void *buf, size_t len, uint64_t off)
{
	if (fseek(arg, (long)off, SEEK_SET))
		return -EIO;
	return (ssize_t)fread(buf, 1, len, arg);
}

/* False if there is no such file here. */
static bool plan_file(const char *path, enum elf_role role, struct elf_plan *plan)
{
	FILE *f = fopen(path, "rb");
	struct elf_source src = {.read = read_stdio, .arg = f};

	if (!f)
		return false;
	fseek(f, 0, SEEK_END);
	src.size = (uint64_t)ftell(f);
	ck_assert_int_eq(elf_plan(&src, role, CEILING, plan), 0);
	ck_assert_int_eq(plan->fatal, 0);
	fclose(f);
	return true;
}

START_TEST(real_dynamic)
{
	struct elf_plan prog, interp;

	if (!plan_file("/bin/true", ELF_PROGRAM, &prog))
		return;
	ck_assert(prog.interp[0] == '/');
	ck_assert(prog.relocatable && !prog.stack_exec);
	ck_assert_uint_ge(prog.segment_count, 2);
	ck_assert(plan_file(prog.interp, ELF_INTERPRETER, &interp));
	ck_assert(interp.relocatable);
	ck_assert_str_eq(interp.interp, "");
	ck_assert_int_eq(elf_place(&interp, 0x7f0000000000), 0);
	ck_assert_uint_eq(interp.bias, 0x7f0000000000);
	elf_plan_free(&prog);
	elf_plan_free(&interp);
}
END_TEST

START_TEST(real_static)
{
	struct elf_plan plan;

	if (!plan_file("/bin/busybox", ELF_PROGRAM, &plan))
		return;
	ck_assert(!plan.relocatable || plan.interp[0]);
	ck_assert_uint_gt(plan.phdr, plan.span_start);
	ck_assert_uint_eq(plan.brk_start, plan.span_start + plan.span_size);
	elf_plan_free(&plan);
}
END_TEST

/* ---- scripts ---- */

static int parse(const char *text, size_t size, struct script_plan *p)
{
	memset(p, 0x55, sizeof(*p));
	return script_plan(text, size, p);
}
#define PARSE(text, p) parse((text), sizeof(text) - 1, (p))

START_TEST(scripts)
{
	struct script_plan p;

	ck_assert_int_eq(PARSE("#!/bin/sh\n", &p), 0);
	ck_assert_str_eq(p.interp, "/bin/sh");
	ck_assert(!p.has_arg);
	ck_assert_int_eq(PARSE("#! \t/bin/sh \t -e  -x \t\necho\n", &p), 0);
	ck_assert_str_eq(p.interp, "/bin/sh");
	ck_assert(p.has_arg);
	ck_assert_str_eq(p.arg, "-e  -x");
	ck_assert_int_eq(PARSE("#!/bin/sh", &p), 0); /* ends with the file */
	ck_assert_str_eq(p.interp, "/bin/sh");
	ck_assert_int_eq(PARSE("#!/bin/sh -e", &p), 0);
	ck_assert_str_eq(p.arg, "-e");

	ck_assert_int_eq(PARSE("", &p), -ENOEXEC);
	ck_assert_int_eq(PARSE("#", &p), -ENOEXEC);
	ck_assert_int_eq(PARSE("echo", &p), -ENOEXEC);
	ck_assert_int_eq(PARSE("#!\n", &p), -ENOEXEC);
	ck_assert_int_eq(PARSE("#!  \t \n", &p), -ENOEXEC);
	ck_assert_int_eq(PARSE("#!", &p), -EACCES);
	ck_assert_int_eq(PARSE("#!\0x\n", &p), -EACCES);
	ck_assert_int_eq(PARSE("#!  \0x\n", &p), -EACCES);
}
END_TEST

START_TEST(long_script_lines)
{
	struct script_plan p;
	char line[400];

	memset(line, 'a', sizeof(line));
	memcpy(line, "#!/", 3);
	ck_assert_int_eq(parse(line, sizeof(line), &p), -ENOEXEC); /* the name may be cut off */
	line[200] = ' ';
	ck_assert_int_eq(parse(line, sizeof(line), &p), 0); /* the argument may */
	ck_assert_uint_eq(strlen(p.interp), 198);
	ck_assert_uint_eq(strlen(p.arg), 255 - 201);
	memset(line + 2, ' ', sizeof(line) - 2);
	ck_assert_int_eq(parse(line, sizeof(line), &p), -ENOEXEC);
	memset(line, 'a', sizeof(line));
	memcpy(line, "#!/", 3);
	line[255] = '\n';
	ck_assert_int_eq(parse(line, sizeof(line), &p), 0);
	ck_assert_uint_eq(strlen(p.interp), 253);
	line[255] = 'a';
	line[256] = '\n';
	ck_assert_int_eq(parse(line, sizeof(line), &p), -ENOEXEC);
}
END_TEST

START_TEST(script_argv)
{
	uint64_t budget = stack_args_limit(8 << 20);
	struct script_plan p;
	struct strings argv = {0};

	ck_assert_int_eq(strings_add(&argv, "./x", 3, &budget), 0);
	ck_assert_int_eq(strings_add(&argv, "one", 3, &budget), 0);
	ck_assert_int_eq(PARSE("#!/bin/sh -e\n", &p), 0);
	ck_assert_int_eq(script_apply(&p, "dir/x", &argv, &budget), 0);
	ck_assert_uint_eq(argv.count, 4);
	ck_assert_uint_eq(argv.size, 21);
	ck_assert_mem_eq(argv.bytes, "/bin/sh\0-e\0dir/x\0one", 21);
	strings_free(&argv);

	ck_assert_int_eq(PARSE("#!/bin/sh\n", &p), 0);
	ck_assert_int_eq(script_apply(&p, "x", &argv, &budget), 0); /* of an empty argv */
	ck_assert_uint_eq(argv.count, 2);
	strings_free(&argv);
	budget = 10;
	ck_assert_int_eq(script_apply(&p, "x", &argv, &budget), -E2BIG);
	strings_free(&argv);
}
END_TEST

/* ---- the stack ---- */

START_TEST(argument_limits)
{
	uint64_t budget = stack_args_limit(UINT64_MAX);
	struct strings argv = {0}, none = {0};
	char *big = calloc(1, 6 << 20);
	struct stack_inputs in = {.top = 0x7ffe00000000, .argv = &argv, .envp = &none, .execfn = "x",
				  .rlim_stack = UINT64_MAX};
	struct stack_image img;

	ck_assert_uint_eq(budget, 6 << 20);
	ck_assert_uint_eq(stack_args_limit(8 << 20), 2 << 20);
	ck_assert_uint_eq(stack_args_limit(0), 128 << 10);

	ck_assert_int_eq(strings_add(&argv, big, L_MAX_ARG_STRLEN, &budget), -E2BIG);
	ck_assert_int_eq(strings_add(&argv, big, L_MAX_ARG_STRLEN - 1, &budget), 0);
	strings_free(&argv);
	budget = 12;
	ck_assert_int_eq(strings_add(&argv, "1234", 4, &budget), -E2BIG);
	ck_assert_int_eq(strings_add(&argv, "123", 3, &budget), 0);
	strings_free(&argv);

	/* Whoever packed them, the builder checks again. */
	argv = (struct strings){.bytes = big, .size = 6 << 20, .count = 1};
	ck_assert_int_eq(stack_build(&in, &img), -E2BIG);
	argv = (struct strings){.bytes = big, .size = 1, .count = SIZE_MAX};
	ck_assert_int_eq(stack_build(&in, &img), -E2BIG);
	argv = (struct strings){.bytes = big, .size = 1, .count = 1};
	in.top = 0x100000;
	ck_assert_int_eq(stack_build(&in, &img), -EINVAL);
	in.top = 0x7ffe00000001;
	ck_assert_int_eq(stack_build(&in, &img), -EINVAL);
	free(big);
}
END_TEST

START_TEST(empty_argv)
{
	struct strings none = {0};
	struct stack_inputs in = {.top = 0x7ffe00000000, .argv = &none, .envp = &none, .execfn = "/x",
				  .rlim_stack = 8 << 20};
	struct stack_image img;
	uint64_t *words;

	ck_assert_int_eq(stack_build(&in, &img), 0);
	words = (uint64_t *)img.bytes;
	ck_assert_uint_eq(img.sp % 16, 0);
	ck_assert_uint_eq(words[0], 1);
	ck_assert_uint_eq(words[1], img.arg_start);
	ck_assert_uint_eq(img.arg_end - img.arg_start, 1);
	ck_assert_uint_eq(words[2], 0); /* argv's end */
	ck_assert_uint_eq(words[3], 0); /* envp's end */
	stack_image_free(&img);
}
END_TEST

/* This process's own stack, as it was before main. */
static struct {
	char **argv, **envp;
	uint8_t *bytes;
	uint64_t sp, top;
} own;

__attribute__((constructor)) static void save_own_stack(int argc, char **argv, char **envp)
{
	unsigned long start, end;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	own.argv = argv;
	own.envp = envp;
	own.sp = (uint64_t)(uintptr_t)argv - sizeof(uint64_t);
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			own.top = end;
	if (f)
		fclose(f);
	if (own.top > own.sp) {
		own.bytes = malloc(own.top - own.sp);
		memcpy(own.bytes, (void *)(uintptr_t)own.sp, own.top - own.sp);
	}
}

static const Elf64_auxv_t *own_auxv(void)
{
	char **p = own.envp;

	while (*p)
		p++;
	return (const Elf64_auxv_t *)(p + 1);
}

/* glibc's getauxval(AT_HWCAP) gives a value of glibc's own. */
static uint64_t own_hwcap(void)
{
	const Elf64_auxv_t *av = own_auxv();

	while (av->a_type != AT_HWCAP)
		av++;
	return av->a_un.a_val;
}

static bool known_auxv_only(void)
{
	static const unsigned known[] = {AT_SYSINFO_EHDR, AT_MINSIGSTKSZ, AT_HWCAP, AT_PAGESZ, AT_CLKTCK, AT_PHDR,
					 AT_PHENT, AT_PHNUM, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID, AT_EUID, AT_GID,
					 AT_EGID, AT_SECURE, AT_RANDOM, AT_HWCAP2, AT_EXECFN, AT_PLATFORM, 27, 28};

	for (const Elf64_auxv_t *av = own_auxv(); av->a_type != AT_NULL; av++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			found |= known[i] == av->a_type;
		if (!found)
			return false;
	}
	return true;
}

static void pack(struct strings *v, char **list)
{
	uint64_t budget = stack_args_limit(UINT64_MAX);

	for (; *list; list++)
		ck_assert_int_eq(strings_add(v, *list, strlen(*list), &budget), 0);
}

START_TEST(own_stack)
{
	struct strings argv = {0}, envp = {0};
	struct stack_inputs in = {.argv = &argv, .envp = &envp, .top = own.top, .rlim_stack = UINT64_MAX};
	struct stack_image img;
	uint64_t gap;

	if (!own.bytes || !known_auxv_only())
		return; /* another kernel's auxv */
	pack(&argv, own.argv);
	pack(&envp, own.envp);
	in.execfn = (const char *)getauxval(AT_EXECFN);
	memcpy(in.random, (const void *)getauxval(AT_RANDOM), sizeof(in.random));
	in.aux = (struct stack_auxv){
		.phdr = getauxval(AT_PHDR), .phnum = getauxval(AT_PHNUM), .entry = getauxval(AT_ENTRY),
		.base = getauxval(AT_BASE), .sysinfo_ehdr = getauxval(AT_SYSINFO_EHDR),
		.hwcap = own_hwcap(), .hwcap2 = getauxval(AT_HWCAP2),
		.minsigstksz = getauxval(AT_MINSIGSTKSZ), .rseq_feature_size = getauxval(27),
		.rseq_align = getauxval(28), .uid = (uint32_t)getauxval(AT_UID), .euid = (uint32_t)getauxval(AT_EUID),
		.gid = (uint32_t)getauxval(AT_GID), .egid = (uint32_t)getauxval(AT_EGID),
		.secure = getauxval(AT_SECURE),
	};
	gap = (uint64_t)(uintptr_t)own.argv[0] - (getauxval(AT_PLATFORM) + sizeof("x86_64"));
	in.jitter = min_of(gap, 8191ull);

	ck_assert_int_eq(stack_build(&in, &img), 0);
	ck_assert_uint_eq(img.sp, own.sp);
	ck_assert_uint_eq(img.size, own.top - own.sp);
	ck_assert_mem_eq(img.bytes, own.bytes, img.size);
	ck_assert_uint_eq(img.arg_start, (uint64_t)(uintptr_t)own.argv[0]);
	stack_image_free(&img);
	strings_free(&argv);
	strings_free(&envp);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loader");
	TCase *elf = tcase_create("elf"), *script = tcase_create("script"), *stack = tcase_create("stack");
	SRunner *sr;
	int failed;

	tcase_add_test(elf, header_refusals);
	tcase_add_test(elf, short_files);
	tcase_add_test(elf, interpreter_path);
	tcase_add_test(elf, segments_beyond_the_point_of_no_return);
	tcase_add_test(elf, bss);
	tcase_add_test(elf, placing);
	tcase_add_test(elf, real_dynamic);
	tcase_add_test(elf, real_static);
	tcase_add_test(script, scripts);
	tcase_add_test(script, long_script_lines);
	tcase_add_test(script, script_argv);
	tcase_add_test(stack, argument_limits);
	tcase_add_test(stack, empty_argv);
	tcase_add_test(stack, own_stack);
	suite_add_tcase(s, elf);
	suite_add_tcase(s, script);
	suite_add_tcase(s, stack);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
