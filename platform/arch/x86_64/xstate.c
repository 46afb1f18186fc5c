/* See xstate.h. */
#include "platform/arch/x86_64/xstate.h"

#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

_Static_assert(sizeof(struct xstate_software_bytes) == 48, "struct _fpx_sw_bytes");

#define FCW_OFF 0
#define MXCSR_OFF 24
#define MXCSR_MASK_OFF 28
#define FCW_FRESH 0x37f
#define MXCSR_FRESH 0x1f80
#define MXCSR_MASK_OLD 0xffbf /* of a processor that does not say */
#define FEATURES_FP_SSE 3u

/* The first word of the XSAVE header: which components are not in their initial state. */
static void set_features(uint8_t *state, uint64_t features)
{
	memcpy(state + XSTATE_LEGACY_SIZE, &features, sizeof(features));
}

void xstate_mark(void *state, size_t size, uint64_t xfeatures)
{
	struct xstate_software_bytes sw = {0};

	if (size >= XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE) {
		sw.magic1 = XSTATE_MAGIC1;
		sw.extended_size = (uint32_t)size + (uint32_t)sizeof(uint32_t);
		sw.xfeatures = xfeatures;
		sw.xstate_size = (uint32_t)size;
	}
	memcpy((uint8_t *)state + XSTATE_SOFTWARE_OFF, &sw, sizeof(sw));
}

void xstate_fresh(void *state, size_t size)
{
	const uint16_t fcw = FCW_FRESH;
	const uint32_t mxcsr = MXCSR_FRESH;
	uint8_t *s = state;

	memset(s, 0, size);
	memcpy(s + FCW_OFF, &fcw, sizeof(fcw));
	memcpy(s + MXCSR_OFF, &mxcsr, sizeof(mxcsr));
	if (size >= XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE)
		set_features(s, FEATURES_FP_SSE);
}

/*
 * What the software bytes do not name is initial.  The processor wants the header's bytes 8 to 23 to be zero, and does not
 * look at the rest, which PTRACE_SETREGSET refuses.
 */
static void clean_header(uint8_t *state, uint64_t known, uint64_t named)
{
	uint64_t features;

	memcpy(&features, state + XSTATE_LEGACY_SIZE, sizeof(features));
	/* A component that no processor has is for whoever loads the state to refuse. */
	set_features(state, features & (named | ~known));
	memset(state + XSTATE_LEGACY_SIZE + 24, 0, XSTATE_HEADER_SIZE - 24);
}

int xstate_from_frame(void *state, size_t full_size, uint64_t known, const void *frame, size_t size)
{
	const uint8_t *f = frame;
	struct xstate_software_bytes sw;

	if (size < XSTATE_LEGACY_SIZE || full_size < XSTATE_LEGACY_SIZE)
		return -EINVAL;
	memcpy(&sw, f + XSTATE_SOFTWARE_OFF, sizeof(sw));
	xstate_fresh(state, full_size);
	if (full_size == XSTATE_LEGACY_SIZE || sw.magic1 != XSTATE_MAGIC1 || sw.xstate_size > size ||
	    sw.xstate_size < XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE || sw.xstate_size > full_size) {
		memcpy(state, f, XSTATE_LEGACY_SIZE);
		return 0;
	}
	memcpy(state, f, sw.xstate_size);
	clean_header(state, known, sw.xfeatures);
	return 0;
}

uint32_t xstate_mxcsr_mask(void)
{
	struct {
		uint8_t area[XSTATE_LEGACY_SIZE];
	} ALIGNED(16) fx;
	uint32_t mask;

	__asm__ volatile("fxsave64 %0" : "=m"(fx));
	memcpy(&mask, fx.area + MXCSR_MASK_OFF, sizeof(mask));
	return mask ? mask : MXCSR_MASK_OLD;
}

bool xstate_loadable(const void *state, size_t size, uint64_t known)
{
	const uint8_t *s = state;
	uint64_t header[XSTATE_HEADER_SIZE / sizeof(uint64_t)]; /* the components, whether it is compacted, and zeroes */
	uint32_t mxcsr;

	memcpy(&mxcsr, s + MXCSR_OFF, sizeof(mxcsr));
	if (mxcsr & ~xstate_mxcsr_mask())
		return false;
	if (size < XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE)
		return true;
	memcpy(header, s + XSTATE_LEGACY_SIZE, sizeof(header));
	for (size_t i = 1; i < ARRAY_SIZE(header); i++) {
		if (header[i])
			return false;
	}
	return !(header[0] & ~known);
}
