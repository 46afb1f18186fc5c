/*
 * libFuzzer target for the loader: any bytes as a program, an interpreter and a script.  Beyond what the sanitizers see
 * it checks what exec relies on: that every range of a plan lies below the ceiling and is as aligned as promised.
 *
 *     CC=clang cmake -B build-clang && cmake --build build-clang --target fuzz_elf
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "loader/loader.h"

#define CEILING 0x7fff00000000ull
#define REQUIRE(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(uint64_t start, uint64_t end, bool pages, const struct elf_plan *plan)
{
	if (start == end)
		return;
	REQUIRE(start < end && end <= plan->ceiling);
	REQUIRE(start >= plan->span_start && end <= plan->span_start + plan->span_size);
	if (pages)
		REQUIRE(!(start & ~PAGE_MASK) && !(end & ~PAGE_MASK));
}

static void check_plan(const struct elf_plan *plan)
{
	REQUIRE(memchr(plan->interp, '\0', sizeof(plan->interp)));
	if (plan->fatal)
		return;
	REQUIRE(plan->align >= PAGE_SIZE && !(plan->align & (plan->align - 1)));
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];

		check_range(s->map_start, s->map_end, true, plan);
		check_range(s->clear_start, s->clear_end, false, plan);
		check_range(s->anon_start, s->anon_end, true, plan);
		REQUIRE(!(s->file_off & ~PAGE_MASK));
		REQUIRE(s->clear_end - s->clear_start < PAGE_SIZE);
	}
}

static void try_elf(const uint8_t *data, size_t size, enum elf_role role)
{
	static struct elf_plan plan;
	struct elf_bytes bytes = {data, size};
	struct elf_source src = elf_source_bytes(&bytes);

	if (elf_plan(&src, role, CEILING, &plan))
		return;
	check_plan(&plan);
	if (plan.relocatable && !plan.fatal) {
		uint64_t base = (0x555555554000 + plan.align - 1) & ~(plan.align - 1);

		if (!elf_place(&plan, base & PAGE_MASK))
			check_plan(&plan);
	}
	elf_plan_free(&plan);
}

/* The bytes again, as a script, and its line spliced into an argv on a stack. */
static void try_script(const uint8_t *data, size_t size)
{
	struct script_plan plan;
	struct strings argv = {0}, envp = {0};
	uint64_t rlim = size ? (uint64_t)data[size - 1] << 13 : 0, budget = stack_args_limit(rlim);
	struct stack_inputs in = {.top = 0x7ffe00000000, .jitter = size, .rlim_stack = rlim, .argv = &argv,
				  .envp = &envp, .execfn = "/tmp/script"};
	struct stack_image img;
	size_t off = 0;

	while (off < size) {
		size_t len = strnlen((const char *)data + off, size - off);

		if (strings_add((off & 1) ? &argv : &envp, (const char *)data + off, len, &budget))
			break;
		off += len + 1;
	}
	if (!script_plan(data, size, &plan)) {
		REQUIRE(plan.interp[0] && memchr(plan.interp, '\0', sizeof(plan.interp)));
		REQUIRE(memchr(plan.arg, '\0', sizeof(plan.arg)));
		(void)!script_apply(&plan, "/tmp/script", &argv, &budget);
	}
	if (!stack_build(&in, &img)) {
		REQUIRE(img.sp % 16 == 0 && img.sp < img.arg_start && img.arg_start <= img.arg_end);
		REQUIRE(img.arg_end == img.env_start && img.env_start <= img.env_end && img.env_end < in.top);
		REQUIRE(!memcmp(img.bytes, &img.argc, sizeof(img.argc)));
		stack_image_free(&img);
	}
	strings_free(&argv);
	strings_free(&envp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_elf(data, size, ELF_PROGRAM);
	try_elf(data, size, ELF_INTERPRETER);
	try_script(data, size);
	return 0;
}
