/*
 * The code that runs in a stub beside the guest: the shim (a guest thread's signal handler and parking place) and the
 * leader's loop.  Both are copied to their fixed pages by the template's boot and are position-independent.
 *
 * Neither uses a stack or keeps a secret.  The guest can jump to any byte of either page with any registers; what it
 * gains by that is exactly what the filter (filter.c) allows from these pages.  Inside the shim every signal is
 * blocked, so that a fault here, caused by a scribbled channel, ends the stub.
 */
#include "platform/systrap/layout.h"

#define NR_rt_sigreturn 15
#define NR_exit 60
#define NR_arch_prctl 158
#define NR_futex 202
#define NR_rseq 334
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002

	.section .rodata.systrap_text, "a", @progbits
	.balign 4096
	.globl systrap_text, systrap_shim_signal, systrap_shim_signal_fsgs, systrap_shim_restorer, systrap_shim_thread
	.globl systrap_shim_announce, systrap_shim_cmpxchg, systrap_shim_cmpxchg_insn, systrap_shim_cmpxchg_end
	.globl systrap_leader, systrap_leader_child, systrap_leader_next_ip, systrap_leader_call_ip, systrap_text_end
	.hidden systrap_text, systrap_shim_signal, systrap_shim_signal_fsgs, systrap_shim_restorer, systrap_shim_thread
	.hidden systrap_shim_announce, systrap_shim_cmpxchg, systrap_shim_cmpxchg_insn, systrap_shim_cmpxchg_end
	.hidden systrap_leader, systrap_leader_child, systrap_leader_next_ip, systrap_leader_call_ip, systrap_text_end
systrap_text:

/*
 * Every host signal of a guest thread arrives here, on the alternate stack in its channel.  The kernel has put the
 * whole state into the frame at %rsp; what it leaves out are the two segment bases.
 */
systrap_shim_signal_fsgs:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx
	rdfsbase %rax
	mov	%rax, CH_FS_BASE(%rbx)
	rdgsbase %rax
	mov	%rax, CH_GS_BASE(%rbx)
	jmp	.Lhand_over

/* Without FSGSBASE the guest cannot change its bases unseen (but for a selector load), and the sentry knows them. */
systrap_shim_signal:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx

.Lhand_over:
	movl	$WORD_SENTRY, CH_WORD(%rbx)
	lea	CH_WORD(%rbx), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
	jmp	.Lpark

/* A new guest thread starts here with %rsp at the frame that the sentry wrote. */
systrap_shim_thread:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx

.Lpark:
	mov	CH_WORD(%rbx), %eax
	cmp	$WORD_SENTRY, %eax
	jne	.Lgo
	lea	CH_WORD(%rbx), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	$WORD_SENTRY, %edx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
	jmp	.Lpark

.Lgo:
	cmp	$WORD_RUN, %eax
	je	.Lresume
	cmp	$WORD_RUN_INSN, %eax
	je	.Lrun_insn
	cmp	$WORD_RUN_CALL, %eax
	je	.Lrun_call
	cmp	$WORD_EXIT, %eax
	je	.Lexit
	cmp	$WORD_RSEQ, %eax
	je	.Lrseq
	hlt			/* a scribbled word: this stub is done for */

.Lrun_insn:
	mov	CH_FS_BASE(%rbx), %rax
	wrfsbase %rax
	mov	CH_GS_BASE(%rbx), %rax
	wrgsbase %rax
	jmp	.Lresume

.Lrun_call:
	mov	$ARCH_SET_FS, %edi
	mov	CH_FS_BASE(%rbx), %rsi
	mov	$NR_arch_prctl, %eax
	syscall
	mov	$ARCH_SET_GS, %edi
	mov	CH_GS_BASE(%rbx), %rsi
	mov	$NR_arch_prctl, %eax
	syscall

.Lresume:
	add	$8, %rsp	/* rt_sigreturn expects the return address popped */
systrap_shim_restorer:
	mov	$NR_rt_sigreturn, %eax
	syscall
	hlt

/* The guest thread's own rseq(2), or its undoing: cpu_id and preempted sections are then the host's business. */
.Lrseq:
	mov	CH_RSEQ_AREA(%rbx), %rdi
	mov	CH_RSEQ_SIZE(%rbx), %esi
	mov	CH_RSEQ_FLAGS(%rbx), %edx
	mov	CH_RSEQ_SIG(%rbx), %r10d
	mov	$NR_rseq, %eax
	syscall
	mov	%rax, CH_RSEQ_RESULT(%rbx)
	mov	CH_RSEQ_ANSWER(%rbx), %rcx
	mov	%rax, (%rcx)
	mov	CH_RSEQ_THEN(%rbx), %eax
	cmp	$WORD_SENTRY, %eax
	je	.Lhand_over
	jmp	.Lgo

.Lexit:
	xor	%edi, %edi
	mov	$NR_exit, %eax
	syscall
	hlt

/* The template's boot, once the filter is on: tells the sentry the listener's number (%esi) by the futex word at %rdi,
 * which only a call from this page still can, and becomes the leader of slot %rdx. */
systrap_shim_announce:
	mov	%rdx, %r15
	mov	%esi, (%rdi)
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
	jmp	systrap_leader

/*
 * Compare and exchange for the sentry, run as guest code: %eax is exchanged with %edx at (%rdi), then a trap reports.
 * As guest code, because a fault must then be an event like any other, while in the shim it would be the end of the
 * stub.
 */
systrap_shim_cmpxchg:
systrap_shim_cmpxchg_insn:
	lock cmpxchg %edx, (%rdi)
systrap_shim_cmpxchg_end:
	ud2

/* ---- the leader ---- */

	.balign 4096
/* A fork's child: its slot is named in the parent's request, which stays as it is until the sentry has heard of us. */
systrap_leader_child:
	mov	RQ_CHILD_SLOT(%r15), %r15

/* %r15: the slot, from birth to death.  %r14: calls done, %rbx: last result, %rbp: the request's number. */
systrap_leader:
	xor	%r14d, %r14d
	xor	%ebx, %ebx
	xor	%ebp, %ebp

.Lnext:
	mov	$SYSTRAP_NR_NEXT, %eax
	mov	%r14, %rdi
	mov	%rbx, %rsi
	mov	%r15, %rdx
	mov	%rbp, %r10
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	syscall
systrap_leader_next_ip:
	test	%rax, %rax
	js	.Lgone
	mov	RQ_COUNT(%r15), %r13
	mov	RQ_SEQ(%r15), %rbp
	lea	RQ_CALLS(%r15), %r12
	xor	%r14d, %r14d
	xor	%ebx, %ebx

.Lcall:
	test	%r13, %r13
	jz	.Lnext
	mov	(%r12), %rax
	mov	8(%r12), %rdi
	mov	16(%r12), %rsi
	mov	24(%r12), %rdx
	mov	32(%r12), %r10
	mov	40(%r12), %r8
	mov	48(%r12), %r9
	syscall
systrap_leader_call_ip:
	mov	%rax, %rbx
	test	%rax, %rax
	jnz	.Lresult
	mov	RQ_CHILD_ENTRY(%r12), %rcx
	test	%rcx, %rcx
	jz	.Ldone
	jmp	*%rcx
.Lresult:
	cmp	$-4095, %rax
	jae	.Lnext
.Ldone:
	inc	%r14
	add	$RQ_CALL_SIZE, %r12
	dec	%r13
	jmp	.Lcall

/* No listener: the sentry is dead.  All signals are blocked, so the fault ends the stub, every thread of it. */
.Lgone:
	hlt
	jmp	.Lgone

	.balign 4096
systrap_text_end:

	.section .note.GNU-stack, "", @progbits
