/*
 * Guest memory: host calls made in a guest thread that the caller traces, reads and writes through process_vm, and the
 * atomic that runs in the shim.
 *
 * munmap and a remap in place fail whole.  A failed mmap over an old mapping, mprotect across several mappings or mremap
 * onto another mapping may have lost part of what the call named, as on Linux, and only there: what the caller knows of
 * other addresses stays true.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "platform/ptrace/internal.h"
#include "platform/ptrace/shim.h"

/* A call whose result is 0 (or, with expect, that address).  -errno; -ESRCH if the stub is lost. */
static int call_in(struct ptrace_as *as, struct pctx *via, uint64_t expect, long nr, const uint64_t a[6])
{
	struct ptrace_ctx *ctx = ctx_for_calls(as, via);
	int64_t r;

	if (!ctx)
		return -EINVAL;
	r = tracee_syscall(&ctx->tracee, nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r == -ESRCH || (r >= 0 && (uint64_t)r != expect))
		return as_lost(as);
	return r < 0 ? (int)r : 0;
}

/* ---- files ---- */

static int send_fd(int sock, int fd)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

/* Takes back what a stub that died, or spoilt its scratch page, has left: the next one must not map it. */
static void take_back_fd(int sock)
{
	char byte;

	/* Received without room for control data, the descriptor is closed by the host. */
	while (recv(sock, &byte, 1, MSG_DONTWAIT) >= 0)
		;
}

static int map_file(struct ptrace_as *as, struct ptrace_ctx *ctx, const uint64_t a[6], int fd)
{
	struct ptrace_platform *pf = platform_of(as);
	struct abi_regs io = {
		.rdi = a[0], .rsi = a[1], .rdx = a[2], .r10 = a[3], .r9 = a[5],
		.r13 = pf->shim_base + SHIM_SCRATCH_OFF,
	};
	bool taken;
	int r;

	mutex_lock(&pf->fd_lock);
	r = send_fd(pf->sentry_sock, fd);
	if (r < 0) {
		mutex_unlock(&pf->fd_lock);
		return r;
	}
	r = tracee_run_shim(&ctx->tracee, SHIM_AT(pf->shim_base, map_file), &io);
	taken = r == 0 && io.r15 == 1;
	if (!taken)
		take_back_fd(pf->stub_sock);
	mutex_unlock(&pf->fd_lock);
	/* -EBADF: the guest has made recvmsg drop the descriptor, or an older one was left open. */
	if (!taken || (int64_t)io.rax == -EBADF || (int64_t)io.r14 == -EBADF)
		return as_lost(as);
	if ((int64_t)io.rax < 0 && (int64_t)io.rax >= -4095)
		return (int)io.rax;
	return io.rax == a[0] ? 0 : as_lost(as);
}

int ptrace_map(struct pas *base, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
	       uint64_t off)
{
	struct ptrace_as *as = to_as(base);
	struct ptrace_ctx *ctx = ctx_for_calls(as, via);
	const uint64_t a[6] = {addr, len, (uint64_t)prot, (uint64_t)flags, UINT64_MAX, off};

	if (!ctx)
		return -EINVAL;
	if (flags & L_MAP_ANONYMOUS)
		return call_in(as, via, addr, SYS_mmap, a);
	return map_file(as, ctx, a, host_fd);
}

int ptrace_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len)
{
	return call_in(to_as(as), via, 0, SYS_munmap, (const uint64_t[6]){addr, len});
}

int ptrace_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot)
{
	return call_in(to_as(as), via, 0, SYS_mprotect, (const uint64_t[6]){addr, len, (uint64_t)prot});
}

int ptrace_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
		 int extra_flags)
{
	uint64_t flags = (uint64_t)extra_flags;

	if (new_addr != addr)
		flags |= L_MREMAP_MAYMOVE | L_MREMAP_FIXED;
	return call_in(to_as(as), via, new_addr, SYS_mremap, (const uint64_t[6]){addr, old_len, new_len, flags, new_addr});
}

int ptrace_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg)
{
	static const long calls[] = {
		[PAS_MADVISE] = SYS_madvise,
		[PAS_MSYNC] = SYS_msync,
		[PAS_MLOCK2] = SYS_mlock2,
		[PAS_MUNLOCK] = SYS_munlock,
	};

	return call_in(to_as(as), via, 0, calls[op], (const uint64_t[6]){addr, len, (uint64_t)arg});
}

int ptrace_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec)
{
	return call_in(to_as(as), via, 0, SYS_mincore, (const uint64_t[6]){addr, len, vec});
}

/* ---- reading and writing ---- */

static ssize_t transfer(pid_t tid, gva_t addr, void *buf, size_t len, bool write)
{
	struct iovec local = {buf, len}, remote = {(void *)addr, len};
	ssize_t n = write ? process_vm_writev(tid, &local, 1, &remote, 1, 0) :
			    process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return n < 0 ? -errno : n;
}

/* By a live thread's id: the leader may have exited, and then its process id finds no memory. */
static ssize_t move(struct pas *base, gva_t addr, void *buf, size_t len, bool write)
{
	struct ptrace_as *as = to_as(base);
	struct ptrace_ctx *mine = ctx_mine(as);
	pid_t tid = base->host_pid;
	ssize_t n;

	if (atomic_load_explicit(&base->dead, memory_order_relaxed))
		return -ESRCH;
	if (mine)
		return transfer(mine->tracee.tid, addr, buf, len, write);
	/* The lock keeps the thread in the list, and so from ending. */
	mutex_lock(&as->lock);
	if (!list_empty(&as->contexts))
		tid = list_first_entry(&as->contexts, struct ptrace_ctx, node)->tracee.tid;
	n = transfer(tid, addr, buf, len, write);
	mutex_unlock(&as->lock);
	return n;
}

ssize_t ptrace_read(struct pas *as, gva_t addr, void *buf, size_t len)
{
	return move(as, addr, buf, len, false);
}

ssize_t ptrace_write(struct pas *as, gva_t addr, const void *buf, size_t len)
{
	return move(as, addr, (void *)(uintptr_t)buf, len, true);
}

int ptrace_cmpxchg32(struct pctx *base, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	struct abi_regs io = {.rax = expected, .rdx = desired, .rdi = addr};
	int r = tracee_run_shim(&ctx->tracee, SHIM_AT(ctx->tracee.shim_base, cmpxchg), &io);

	if (r == -ESRCH)
		return as_lost(to_as(base->as));
	if (r < 0)
		return r;
	*seen = (uint32_t)io.rax;
	return 0;
}
