/*
 * The initial stack, from the top down as Linux lays it out:
 *
 *     top - 8      a zero word
 *                  execfn, then envp's strings, then argv's: the last one highest
 *                  a gap: jitter, and down to a multiple of 16
 *                  "x86_64"
 *                  16 random bytes
 *                  a gap, so that sp is a multiple of 16
 *                  auxv, envp and argv (NULL-terminated), argc
 *     sp
 */
#include "loader/loader.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "abi/auxvec.h"
#include "abi/errno.h"
#include "base/checked.h"

#define MAX_JITTER 8192
#define HZ_TO_USER 100 /* AT_CLKTCK */

static const char platform[] = "x86_64";

/* Addresses, all within [sp, top). */
struct layout {
	uint64_t execfn, platform, random;
};

static void aux(struct stack_image *img, uint64_t type, uint64_t value)
{
	img->auxv[img->auxv_words++] = type;
	img->auxv[img->auxv_words++] = value;
}

/* In the order in which Linux emits them. */
static void fill_auxv(const struct stack_inputs *in, const struct layout *at, struct stack_image *img)
{
	const struct stack_auxv *a = &in->aux;

	if (a->sysinfo_ehdr)
		aux(img, L_AT_SYSINFO_EHDR, a->sysinfo_ehdr);
	if (a->minsigstksz)
		aux(img, L_AT_MINSIGSTKSZ, a->minsigstksz);
	aux(img, L_AT_HWCAP, a->hwcap);
	aux(img, L_AT_PAGESZ, PAGE_SIZE);
	aux(img, L_AT_CLKTCK, HZ_TO_USER);
	aux(img, L_AT_PHDR, a->phdr);
	aux(img, L_AT_PHENT, sizeof(Elf64_Phdr));
	aux(img, L_AT_PHNUM, a->phnum);
	aux(img, L_AT_BASE, a->base);
	aux(img, L_AT_FLAGS, 0);
	aux(img, L_AT_ENTRY, a->entry);
	aux(img, L_AT_UID, a->uid);
	aux(img, L_AT_EUID, a->euid);
	aux(img, L_AT_GID, a->gid);
	aux(img, L_AT_EGID, a->egid);
	aux(img, L_AT_SECURE, a->secure);
	aux(img, L_AT_RANDOM, at->random);
	aux(img, L_AT_HWCAP2, a->hwcap2);
	aux(img, L_AT_EXECFN, at->execfn);
	aux(img, L_AT_PLATFORM, at->platform);
	if (a->rseq_feature_size) {
		aux(img, L_AT_RSEQ_FEATURE_SIZE, a->rseq_feature_size);
		aux(img, L_AT_RSEQ_ALIGN, a->rseq_align);
	}
	aux(img, L_AT_NULL, 0);
}

/* A cursor over the image: turns addresses into places in its bytes. */
static uint8_t *place_of(const struct stack_image *img, uint64_t addr)
{
	return img->bytes + (addr - img->sp);
}

static uint64_t put_word(const struct stack_image *img, uint64_t addr, uint64_t word)
{
	memcpy(place_of(img, addr), &word, sizeof(word));
	return addr + sizeof(word);
}

/* The pointers to the strings packed at strings_at, and the NULL behind them. */
static uint64_t put_pointers(const struct stack_image *img, uint64_t addr, const char *packed, size_t count,
			     uint64_t strings_at)
{
	for (size_t i = 0, off = 0; i < count; i++) {
		addr = put_word(img, addr, strings_at + off);
		off += strlen(packed + off) + 1;
	}
	return put_word(img, addr, 0);
}

/* What the guest gave must be within the limits whoever built the lists. */
static int check_limits(const struct stack_inputs *in, const struct strings *argv, size_t execfn_size)
{
	uint64_t limit = stack_args_limit(in->rlim_stack), pointers, strings;

	if (!checked_add(argv->count, in->envp->count, &pointers) ||
	    !checked_mul(pointers, sizeof(uint64_t), &pointers) || pointers >= limit)
		return -E2BIG;
	if (!checked_add(argv->size, in->envp->size, &strings) || !checked_add(strings, execfn_size, &strings) ||
	    strings > limit - pointers)
		return -E2BIG;
	return 0;
}

int stack_build(const struct stack_inputs *in, struct stack_image *out)
{
	static char empty[] = "";
	const struct strings no_args = {.bytes = empty, .size = 1, .count = 1};
	/* An empty argv has invited programs to walk into envp. */
	const struct strings *argv = in->argv->count ? in->argv : &no_args, *envp = in->envp;
	size_t execfn_size = strlen(in->execfn) + 1;
	struct stack_image img = {.argc = argv->count};
	struct layout at;
	uint64_t p, words, room;
	int r;

	r = check_limits(in, argv, execfn_size);
	if (r)
		return r;
	/* Room for all that is not counted above, so that no subtraction below can wrap. */
	room = stack_args_limit(in->rlim_stack) + MAX_JITTER + PAGE_SIZE;
	if ((in->top & ~PAGE_MASK) || in->top < room || in->jitter >= MAX_JITTER)
		return -EINVAL;

	at.execfn = in->top - sizeof(uint64_t) - execfn_size;
	img.env_end = at.execfn;
	img.env_start = img.arg_end = at.execfn - envp->size;
	img.arg_start = img.env_start - argv->size;
	p = (img.arg_start - in->jitter) & ~15ull;
	at.platform = p -= sizeof(platform);
	at.random = p -= sizeof(in->random);
	fill_auxv(in, &at, &img);
	words = 1 + argv->count + 1 + envp->count + 1 + img.auxv_words;
	img.sp = (p - words * sizeof(uint64_t)) & ~15ull;
	img.size = in->top - img.sp;
	img.bytes = calloc(1, img.size);
	if (!img.bytes)
		return -ENOMEM;

	memcpy(place_of(&img, at.execfn), in->execfn, execfn_size);
	if (envp->size)
		memcpy(place_of(&img, img.env_start), envp->bytes, envp->size);
	memcpy(place_of(&img, img.arg_start), argv->bytes, argv->size);
	memcpy(place_of(&img, at.platform), platform, sizeof(platform));
	memcpy(place_of(&img, at.random), in->random, sizeof(in->random));
	p = put_word(&img, img.sp, argv->count);
	p = put_pointers(&img, p, argv->bytes, argv->count, img.arg_start);
	p = put_pointers(&img, p, envp->bytes, envp->count, img.env_start);
	memcpy(place_of(&img, p), img.auxv, img.auxv_words * sizeof(uint64_t));
	*out = img;
	return 0;
}

void stack_image_free(struct stack_image *img)
{
	free(img->bytes);
	img->bytes = NULL;
}
