/*
 * A stub's memory: what its leader is asked to map, and copies in and out by process_vm_readv and _writev.
 *
 * After an error the address space has to be as it was.  Where the host may have done half of the work, the stub is
 * killed.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "platform/systrap/systrap.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* An error after which nobody knows what is mapped. */
static int half_done(struct stub *s, const char *why)
{
	stub_kill(s, why);
	return -ESRCH;
}

/* A call in the stub, by the thread of via if that can do it: its result, or -ESRCH. */
static long call(struct stub *s, struct pctx *via, const struct leader_call *c)
{
	long result;

	return context_host_call(via, &s->as, c, &result) ? result : leader_call(s, c);
}

/* The same for a call that gives 0 or an error. */
static int simple_call(struct stub *s, struct pctx *via, struct leader_call c)
{
	long r = call(s, via, &c);

	return r <= 0 && r >= -4095 ? (int)r : half_done(s, "a call gave what it cannot give");
}

static struct leader_call mmap_call(gva_t addr, uint64_t len, int prot, int flags, int host_fd, uint64_t off)
{
	return (struct leader_call){.nr = SYS_mmap,
				    .args = {addr, len, (uint64_t)prot, (uint64_t)flags,
					     host_fd >= 0 ? SYSTRAP_FD : (uint64_t)-1, off}};
}

/* Has the leader make the call with its file.  0 or -errno. */
static int map_by_leader(struct stub *s, const struct leader_call *map, int host_fd)
{
	const struct leader_call calls[] = {*map, no_file_call()};
	long result = 0, dropped = 0;
	int done = leader_request(s, calls, ARRAY_SIZE(calls), host_fd, &result);

	if (done < 0)
		return done;
	if (done == 0 && leader_request(s, &calls[1], 1, -1, &dropped) == 1)
		return (int)result;
	return done == ARRAY_SIZE(calls) ? 0 : half_done(s, "a descriptor could not be taken back");
}

/* An mmap in the stub, with its file if it has one.  0 or -errno. */
static int map_once(struct stub *s, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd, uint64_t off)
{
	struct leader_call c = mmap_call(addr, len, prot, flags, host_fd, off);
	long result;

	if (host_fd < 0)
		result = call(s, via, &c);
	else if (!context_map_file(via, &s->as, &c, host_fd, &result))
		return map_by_leader(s, &c, host_fd);
	if (result < 0)
		return (int)result;
	/* Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint; those we need do not. */
	return (uint64_t)result == addr ? 0 : half_done(s, "memory was mapped elsewhere than asked for");
}

/* ---- mappings that are put off ---- */

static int carry_out_deferred(struct stub *s)
{
	struct deferred *d = &s->deferred;
	long result = 0;
	int done;

	if (!d->count || d->error)
		return d->error;
	if (d->fd >= 0)
		d->calls[d->count++] = no_file_call();
	done = leader_request(s, d->calls, d->count, d->fd, &result);
	if (done != (int)d->count) {
		d->error = done < 0 ? done : (int)result;
		stub_kill(s, NULL);
	}
	d->count = 0;
	d->fd = -1;
	return d->error;
}

/* A request passes one descriptor, at the number that its first call names. */
static int put_off(struct stub *s, const struct leader_call *map, int fd)
{
	struct deferred *d = &s->deferred;
	bool other_file = fd >= 0 && d->count && d->fd != fd;

	if (d->count == SYSTRAP_REQUEST_MAX - 1 || other_file)
		if (carry_out_deferred(s) < 0)
			return d->error;
	if (!d->count)
		d->fd = fd;
	d->calls[d->count++] = *map;
	return d->error;
}

void systrap_defer(struct pas *as)
{
	struct stub *s = stub_of(as);

	/* Elsewhere a mapping is tried without replacing anything first. */
	s->deferred = (struct deferred){.on = systrap_of(as)->mmap_is_atomic, .fd = -1};
}

int systrap_settle(struct pas *as)
{
	struct stub *s = stub_of(as);
	int r = s->deferred.on ? carry_out_deferred(s) : 0;

	s->deferred.on = false;
	return r;
}

/* ---- changes ---- */

int systrap_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
		uint64_t off)
{
	struct stub *s = stub_of(as);
	int r;

	flags |= MAP_FIXED;
	if (s->deferred.on) {
		const struct leader_call map = mmap_call(addr, len, prot, flags, host_fd, off);

		return put_off(s, &map, host_fd);
	}
	if (!systrap_of(as)->mmap_is_atomic) {
		/* Try without replacing first: then a failure cannot have unmapped anything. */
		r = map_once(s, via, addr, len, prot, (flags & ~MAP_FIXED) | MAP_FIXED_NOREPLACE, host_fd, off);
		if (r != -EEXIST)
			return r;
	}
	r = map_once(s, via, addr, len, prot, flags, host_fd, off);
	if (r == -ENOMEM && !systrap_of(as)->mmap_is_atomic)
		return half_done(s, "out of memory while memory was being replaced");
	return r;
}

int systrap_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len)
{
	return simple_call(stub_of(as), via, (struct leader_call){.nr = SYS_munmap, .args = {addr, len}});
}

int systrap_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot)
{
	struct stub *s = stub_of(as);
	int r = simple_call(s, via, (struct leader_call){.nr = SYS_mprotect, .args = {addr, len, (uint64_t)prot}});

	/* The host goes from mapping to mapping: it may have come as far as one with a hole behind it. */
	if (r == -ENOMEM)
		return half_done(s, "out of memory while protection was being changed");
	return r;
}

int systrap_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
		  int extra_flags)
{
	struct stub *s = stub_of(as);
	bool moves = new_addr != addr;
	struct leader_call c = {
		.nr = SYS_mremap,
		.args = {addr, old_len, new_len, (uint64_t)extra_flags, new_addr},
	};
	long result;

	if (moves)
		patch_take_back(s, addr, addr + old_len);
	if (moves)
		c.args[3] |= MREMAP_MAYMOVE | MREMAP_FIXED;
	result = call(s, via, &c);
	if ((uint64_t)result == new_addr)
		return 0;
	if (result >= 0)
		return half_done(s, "memory was moved elsewhere than asked for");
	/* What was at new_addr is unmapped before anything that wants memory is tried. */
	if (moves && (result == -ENOMEM || result == -EAGAIN || result == -EFAULT))
		return half_done(s, "memory could not be moved");
	return (int)result;
}

int systrap_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg)
{
	static const uint64_t nr[] = {
		[PAS_MADVISE] = SYS_madvise,
		[PAS_MSYNC] = SYS_msync,
		[PAS_MLOCK2] = SYS_mlock2,
		[PAS_MUNLOCK] = SYS_munlock,
	};
	struct leader_call c = {.nr = nr[op], .args = {addr, len, (uint64_t)arg}};

	if (op == PAS_MUNLOCK)
		c.args[2] = 0;
	return simple_call(stub_of(as), via, c);
}

int systrap_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec)
{
	return simple_call(stub_of(as), via, (struct leader_call){.nr = SYS_mincore, .args = {addr, len, vec}});
}

/* ---- copies ---- */

/*
 * The host copies page by page and says how far it came, within one iovec too (mm/process_vm_access.c; the man page
 * promises less), so that one call gives the short counts that platform.h asks for.
 */
static ssize_t copy_all(struct pas *as, gva_t addr, const struct iovec *local, unsigned count, size_t len, bool write)
{
	struct stub *s = stub_of(as);
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = len}; /* an address for the host to use */
	ssize_t n;

	if (!stub_pid_hold(s))
		return -ESRCH;
	if (write)
		n = process_vm_writev(as->host_pid, local, count, &remote, 1, 0);
	else
		n = process_vm_readv(as->host_pid, local, count, &remote, 1, 0);
	if (n < 0)
		n = -errno;
	stub_pid_drop(s);
	return n;
}

static ssize_t copy(struct pas *as, gva_t addr, void *buf, size_t len, bool write)
{
	struct iovec local = {.iov_base = buf, .iov_len = len};

	return copy_all(as, addr, &local, 1, len, write);
}

ssize_t systrap_move_parts(struct pas *as, gva_t addr, const struct pctx_part *parts, unsigned count, bool write)
{
	struct iovec local[PCTX_PARTS_MAX] NOT_ZEROED;
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		local[i] = (struct iovec){.iov_base = parts[i].at, .iov_len = parts[i].len};
		len += parts[i].len;
	}
	return copy_all(as, addr, local, count, len, write);
}

ssize_t systrap_read(struct pas *as, gva_t addr, void *buf, size_t len)
{
	return copy(as, addr, buf, len, false);
}

ssize_t systrap_write(struct pas *as, gva_t addr, const void *buf, size_t len)
{
	return copy(as, addr, (void *)(uintptr_t)buf, len, true);
}
