/*
 * The ptrace platform's shim: position-independent code that is copied into one page of every stub, above the
 * guest's ceiling.  The tracer sets the registers, points rip at one of the entries and continues the thread; each
 * entry ends in an int3, which stops the thread again.  Guests can jump here: under PTRACE_SYSEMU none of their
 * calls reaches the host, wherever it is made.
 *
 * The filter that stub.c installs allows calls from this page only, and only those made here.
 */
#include <asm/unistd.h>

	.section .rodata, "a", @progbits
	.global ptrace_shim, ptrace_shim_end
	.hidden ptrace_shim, ptrace_shim_end

	.macro entry name
	.global \name
	.hidden \name
\name:
	.endm

	.balign 64
entry ptrace_shim

/* One host call: number and arguments are in the registers as ever. */
entry ptrace_shim_syscall
	syscall
	int3

/* clone of a thread: as above, and the new thread parks. */
entry ptrace_shim_clone
	syscall
	test	%rax, %rax
	jz	ptrace_shim_park
	int3

/*
 * clone of a process (r12: the sentry's process id as a child sees it).  The child dies with the sentry, dies now if the
 * sentry is dead already, drops the file descriptor that a sibling of the parent may be mapping, and parks.
 */
entry ptrace_shim_fork
	syscall
	test	%rax, %rax
	jz	1f
	int3
1:	mov	$__NR_prctl, %eax
	mov	$1, %edi			/* PR_SET_PDEATHSIG */
	mov	$9, %esi			/* SIGKILL */
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	syscall
	mov	$__NR_getppid, %eax
	syscall
	cmp	%eax, %r12d
	jne	2f
	mov	$__NR_close_range, %eax
	mov	$1, %edi
	mov	$0xffffffff, %esi
	xor	%edx, %edx
	syscall
entry ptrace_shim_forked
	jmp	ptrace_shim_park
2:	ud2

/* The template's first steps: all that is left of the sentry's image goes (rbx: this page, rbp: the end of the scratch
 * page, r12: the end of user space). */
entry ptrace_shim_birth
	mov	$__NR_munmap, %eax
	xor	%edi, %edi
	mov	%rbx, %rsi
	syscall
	test	%rax, %rax
	jnz	2b
	mov	$__NR_munmap, %eax
	mov	%rbp, %rdi
	mov	%r12, %rsi
	sub	%rbp, %rsi
	syscall
	test	%rax, %rax
	jnz	2b
	mov	$__NR_close, %eax
	mov	$1, %edi			/* the pipe whose end the sentry awaits */
	syscall
	/* falls through */

/* Asleep, without a tracer, until one comes. */
entry ptrace_shim_park
	mov	$__NR_pause, %eax
	syscall
entry ptrace_shim_parked
	jmp	ptrace_shim_park

/* The end of a thread that is no longer traced. */
entry ptrace_shim_exit
	mov	$__NR_exit, %eax
	xor	%edi, %edi
	syscall
	ud2

/*
 * mmap of a file that the sentry has sent to descriptor 0: takes the descriptor, maps it, closes it.  The arguments
 * are mmap's but for the descriptor: that is 1, the lowest free one, as nothing else is open here.
 * r13 is the scratch page; what is written there any other thread of the stub can change, which can make this fail
 * but cannot make it map anything that the sentry did not send.
 * Results: r15 recvmsg's (1 is right), rax mmap's, r14 close's.
 */
entry ptrace_shim_map_file
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	mov	%rdx, %r12
	movq	$0, 0(%r13)			/* struct msghdr: msg_name */
	movq	$0, 8(%r13)			/* msg_namelen */
	lea	64(%r13), %rax
	mov	%rax, 16(%r13)			/* msg_iov */
	movq	$1, 24(%r13)			/* msg_iovlen */
	lea	96(%r13), %rax
	mov	%rax, 32(%r13)			/* msg_control */
	movq	$24, 40(%r13)			/* msg_controllen: room for one descriptor */
	movq	$0, 48(%r13)			/* msg_flags */
	lea	88(%r13), %rax
	mov	%rax, 64(%r13)			/* struct iovec: one byte */
	movq	$1, 72(%r13)
	xor	%edi, %edi
	mov	%r13, %rsi
	mov	$0x40000040, %edx		/* MSG_DONTWAIT | MSG_CMSG_CLOEXEC */
	mov	$__NR_recvmsg, %eax
	syscall
	mov	%rax, %r15
	cmp	$1, %rax
	jne	1f
	mov	%rbx, %rdi
	mov	%rbp, %rsi
	mov	%r12, %rdx
	mov	$1, %r8d
	mov	$__NR_mmap, %eax
	syscall
	mov	%rax, %rbx
	mov	$1, %edi
	mov	$__NR_close, %eax
	syscall
	mov	%rax, %r14
	mov	%rbx, %rax
1:	int3

/* Compare and exchange: rdi the address, eax what is expected, edx what is desired; eax: what was there. */
entry ptrace_shim_cmpxchg
	lock cmpxchg %edx, (%rdi)
	int3

/* The stubs' handler of SIGSEGV, which runs only when the tracer wants to see the frame that the host makes for it. */
entry ptrace_shim_handler
	int3

ptrace_shim_end:

	.section .note.GNU-stack, "", @progbits
