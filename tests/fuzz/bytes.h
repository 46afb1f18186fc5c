/* Takes a fuzzer's input apart: numbers from its front, zeros when it has run out. */
#ifndef BAILEY_TESTS_FUZZ_BYTES_H
#define BAILEY_TESTS_FUZZ_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(x) ((x) ? (void)0 : abort())

struct bytes {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t take(struct bytes *b, size_t size)
{
	uint64_t v = 0;
	size_t n = size < b->left ? size : b->left;

	memcpy(&v, b->at, n);
	b->at += n;
	b->left -= n;
	return v;
}

/* One of 0 to n - 1; n up to 256. */
static inline unsigned choose(struct bytes *b, unsigned n)
{
	return (unsigned)take(b, 1) % n;
}

#endif
