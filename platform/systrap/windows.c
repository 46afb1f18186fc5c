/*
 * Windows (platform.h): where a stub's threads find files that they read by themselves.  Above all guest memory each stub has room for
 * PAS_WINDOWS of them and for a page of records.  The thread whose call it is maps and unmaps them, as it does files of the guest's own
 * (files.c): privately, for reading only.  The records are a file of one page, written by the sentry.
 *
 * What a guest can do that comes to these calls by itself: unmap its own windows, or map the file there that it has at SYSTRAP_FILE_FD.
 * Reads that it makes by itself then fault, or give what it has put there; nobody else looks at them.
 *
 * A fork's child has none: it loses what it got from its parent before its first thread begins.  A stub that is used again has none.
 * Both are unmapped whether or not the sentry has mapped anything, since a guest may have.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/types.h"
#include "platform/systrap/systrap.h"

_Static_assert(SYSTRAP_WINDOW_COUNT == PAS_WINDOWS && SYSTRAP_WINDOW_SIZE == PAS_WINDOW_SIZE, "layout.h");
_Static_assert(SYSTRAP_CHANNELS + (uint64_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE <= SYSTRAP_WINDOWS &&
		       SYSTRAP_WINDOWS >> 32 == SYSTRAP_WINDOWS_END >> 32 && SYSTRAP_WINDOWS >= GUEST_CEILING,
	       "layout.h");

static uint64_t window_addr(unsigned i)
{
	return SYSTRAP_WINDOWS + (uint64_t)i * SYSTRAP_WINDOW_SIZE;
}

/* Has via's thread map fd there.  0 or -errno. */
static int map_by(struct pctx *via, uint64_t addr, uint64_t len, int fd, uint64_t off)
{
	const struct leader_call map = {
		.nr = SYS_mmap, .args = {addr, len, PROT_READ, MAP_PRIVATE | MAP_FIXED, SYSTRAP_FILE_FD, off}};
	long result;

	if (!context_map_file(via, via->as, &map, fd, &result))
		return -ENOSYS;
	if (result < 0)
		return (int)result;
	return (uint64_t)result == addr ? 0 : -EINVAL; /* a lie, as there was MAP_FIXED; whose, is the guest's affair */
}

int systrap_windows_new(struct pctx *via, struct pas_window **out)
{
	struct pas_window *windows;
	void *map;
	int fd, r = memory_file("bailey-windows", SYSTRAP_RECORDS_SIZE, &fd, &map);

	if (r < 0)
		return r;
	windows = map;
	for (unsigned i = 0; i < PAS_WINDOWS; i++)
		windows[i].at = window_addr(i);
	/* From here on it can be mapped for reading alone. */
	r = fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ? -errno : 0;
	if (r == 0)
		r = map_by(via, SYSTRAP_RECORDS, SYSTRAP_RECORDS_SIZE, fd, 0);
	close(fd);
	if (r < 0)
		munmap(windows, SYSTRAP_RECORDS_SIZE);
	else
		*out = windows;
	return r;
}

int systrap_window_map(struct pctx *via, unsigned i, int host_fd, uint64_t off)
{
	return map_by(via, window_addr(i), SYSTRAP_WINDOW_SIZE, host_fd, off);
}

int systrap_window_unmap(struct pas *as, struct pctx *via, unsigned i)
{
	const struct leader_call one = unmap_call(window_addr(i), SYSTRAP_WINDOW_SIZE), all = unmap_windows_call();
	const struct leader_call *call = i < PAS_WINDOWS ? &one : &all;
	long result;

	if (!context_host_call(via, as, call, &result))
		result = leader_call(stub_of(as), call);
	return (int)result;
}

/* Only from a patched call can it look at them. */
bool systrap_show_windows(struct pctx *ctx, bool show)
{
	struct context *c = context_of(ctx);
	const uint64_t at = show ? SYSTRAP_RECORDS : 0;

	if (show && !c->in_call)
		return false;
	memcpy(c->ch + CH_WINDOWS, &at, sizeof(at));
	return c->in_call;
}
