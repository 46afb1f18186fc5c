/*
 * The code that runs in a stub beside the guest: the shim (a guest thread's signal handler and parking place; its short cuts in C
 * are in short_cuts.c) and the leader's loop.  Both are copied to their fixed pages by the template's boot and are
 * position-independent: all of the shim is in one section, and the leader, in another, is reached by its place.
 *
 * Neither keeps a secret; the shim's stack is the channel's, the leader has none.  The guest can jump to any byte of either
 * page with any registers; what it gains by that is exactly what the filter (filter.c) allows from these pages.  In the
 * shim's signal handler every signal is blocked, so that a fault here, caused by a scribbled channel, ends the stub; in a
 * patched call they are open, and such a fault is the guest's own.
 */
#include "platform/systrap/layout.h"

#define NR_write 1
#define NR_close 3
#define NR_lseek 8
#define NR_rt_sigprocmask 14
#define NR_rt_sigreturn 15
#define NR_pread64 17
#define NR_sched_yield 24
#define NR_getpid 39
#define NR_recvmsg 47
#define NR_clone 56
#define NR_vfork 58
#define NR_exit 60
#define NR_getuid 102
#define NR_getgid 104
#define NR_geteuid 107
#define NR_getegid 108
#define NR_getppid 110
#define NR_getpgrp 111
#define NR_arch_prctl 158
#define NR_gettid 186
#define NR_futex 202
#define NR_set_robust_list 273
#define NR_rseq 334
#define NR_clone3 435
#define RSEQ_FLAG_UNREGISTER 1
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define MSG_DONTWAIT 0x40
#define MSG_CMSG_CLOEXEC 0x40000000
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002

/* Where things lie from a handler's first %rsp on: struct l_rt_sigframe; and in struct l_siginfo. */
#define FRAME_R11 72
#define FRAME_RBX 136
#define FRAME_RSP 168
#define FRAME_RIP 176
#define INFO_CODE 8
/* In struct l_ucontext, which is at the guest's %rsp in its rt_sigreturn; and in an XSAVE area. */
#define UC_STACK 16
#define UC_REGS 40
#define UC_SEGMENTS 184
#define UC_FPSTATE 224
#define UC_SIGMASK 296
#define SIGFRAME_SIZE 440
#define XSTATE_SOFTWARE 464
#define XSTATE_XCOMP 520
#define XSTATE_SIZE_OFF 16
#define XSTATE_MAGIC2 0x46505845
#define USER_SEGMENTS 0x002b000000000033
#define USER_CS 0x33
#define USER_DS 0x2b
#define EFLAGS_PLAIN 0x202
#define EFLAGS_RESTORABLE 0x00050dd5
/* What no frame reaches across. */
#define GUEST_END (SYSTRAP_BASE - 0x4000)

#define SIGBUS 7
#define SIGSEGV 11
#define EFAULT 14
#define SIGSET_SIZE 8
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2
#define NOT_KILL_NOR_STOP ~((1 << 8) | (1 << 18))

	.section systrap_shim, "ax", @progbits
	.balign 4096
	.globl systrap_text, systrap_shim_signal, systrap_shim_signal_fsgs, systrap_shim_restorer, systrap_shim_thread
	.globl systrap_shim_call
	.hidden systrap_shim_call, shim_copy, shim_load32, shim_touch
	.globl shim_copy, shim_load32, shim_touch
	.globl systrap_shim_strip, systrap_shim_cmpxchg, systrap_shim_cmpxchg_insn, systrap_shim_cmpxchg_end
	.globl systrap_leader, systrap_leader_child, systrap_leader_next_ip, systrap_leader_call_ip, systrap_leader_text, systrap_leader_text_end
	.hidden systrap_text, systrap_shim_signal, systrap_shim_signal_fsgs, systrap_shim_restorer, systrap_shim_thread
	.hidden systrap_shim_strip, systrap_shim_cmpxchg, systrap_shim_cmpxchg_insn, systrap_shim_cmpxchg_end
	.hidden systrap_leader, systrap_leader_child, systrap_leader_next_ip, systrap_leader_call_ip, systrap_leader_text, systrap_leader_text_end
systrap_text:

	/* A fault at %rax between from and to. */
	.macro resume_at there, from, to
	lea	\from(%rip), %rcx
	mov	%rax, %rdx
	sub	%rcx, %rdx
	lea	\there(%rip), %rcx
	cmp	$\to - \from, %rdx
	jb	.Lresume_there
	.endm

/*
 * Every host signal of a guest thread arrives here, on the alternate stack in its channel.  The kernel has put the
 * whole state into the frame at %rsp; what it leaves out are the two segment bases.
 *
 * %rbx is the channel throughout the shim.
 */
systrap_shim_signal_fsgs:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx
	mov	FRAME_RIP(%rsp), %rax
	lea	.Lpatched_begin(%rip), %rcx	/* from there to the leader's page, short cuts in C included */
	mov	%rax, %rdx
	sub	%rcx, %rdx
	cmp	$SYSTRAP_LEADER_OFF - (.Lpatched_begin - systrap_text), %rdx
	jb	.Lin_patched_call
	lea	systrap_text + SYSTRAP_TRAMPOLINES_OFF(%rip), %rcx
	mov	%rax, %rdx
	sub	%rcx, %rdx
	cmp	$SYSTRAP_TRAMPOLINES_SIZE, %rdx
	jb	.Lin_patched_call
.Lsave_bases:
	rdfsbase %rax
	mov	%rax, CH_FS_BASE(%rbx)
	rdgsbase %rax
	mov	%rax, CH_GS_BASE(%rbx)
	jmp	.Lhand_over

/*
 * A signal struck between a patched call site and its return.  A fault is the sentry's to explain, unless it came of
 * a look at guest memory, after which the code there goes on elsewhere.  A kick must not hand over what are not the guest's
 * registers; nor need it, for the thread is about to hand over anyway, or to find CH_KICKED on its way out.  If it is past that
 * look, it is made to look again.
 */
.Lin_patched_call:
	cmp	$SYSTRAP_KICK, %edi
	je	.Ldefer
	cmpl	$0, INFO_CODE(%rsi)
	jle	.Ldefer
	cmp	$SIGSEGV, %edi
	je	1f
	cmp	$SIGBUS, %edi
	jne	.Lsave_bases
1:	resume_at .Lmask_failed, .Lmask_look, .Lmask_look_end
	resume_at .Lmask_untold, .Lmask_tell, .Lmask_tell_end
	resume_at .Ltake_nothing, .Ltake_copy, .Ltake_copy_end
	resume_at .Lgive_failed, .Lgive_copy, .Lgive_copy_end
	resume_at .Lcopy_failed, .Lcopy, .Lcopy_end
	resume_at .Lload32_failed, .Lload32, .Lload32_end
	resume_at .Lload32_failed, .Ltouch, .Ltouch_end
	resume_at .Lsigreturn_asked, .Lsigreturn_look, .Lsigreturn_look_end
	resume_at .Lframe_failed, .Lframe_copy, .Lframe_copy_end
	resume_at .Lring_asked, .Lring_in, .Lring_in_end
	resume_at .Lring_asked, .Lring_out, .Lring_out_end
	jmp	.Lsave_bases
.Lresume_there:
	mov	%rcx, FRAME_RIP(%rsp)
	jmp	.Lresume
.Ldefer:
	movl	$1, CH_KICKED(%rbx)
	resume_at .Lring_awake, .Lring_sleep, .Lring_awake
	lea	.Lleave(%rip), %rcx
	mov	%rax, %rdx
	sub	%rcx, %rdx
	cmp	$.Lleave_end - .Lleave, %rdx
	jae	1f
	mov	%rcx, FRAME_RIP(%rsp)
	mov	%rbx, FRAME_R11(%rsp)
	lea	CH_STACK_TOP(%rbx), %rcx
	mov	%rcx, FRAME_RSP(%rsp)
	jmp	.Lresume
1:	lea	.Lback(%rip), %rcx
	mov	%rax, %rdx
	sub	%rcx, %rdx
	cmp	$.Lback_end - .Lback, %rdx
	jb	2f
	lea	.Lrun_saved(%rip), %rcx
	mov	%rax, %rdx
	sub	%rcx, %rdx
	cmp	$.Lrun_saved_end - .Lrun_saved, %rdx
	jae	.Lresume
2:	mov	%rcx, FRAME_RIP(%rsp)
	mov	%rbx, FRAME_RBX(%rsp)
	jmp	.Lresume

/* Without FSGSBASE the guest cannot change its bases unseen (but for a selector load), and the sentry knows them.  No call
 * site is patched then. */
systrap_shim_signal:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx

.Lhand_over:
	mov	$WORD_SENTRY, %r8d
	call	.Lpost
	jmp	.Lgo

/* A new guest thread starts here with %rsp at the frame that the sentry wrote. */
systrap_shim_thread:
	mov	%rsp, %rbx
	and	$-SYSTRAP_CHANNEL_SIZE, %rbx
	mov	$WORD_SENTRY, %r8d
	call	.Lawait

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
	cmp	$WORD_DO, %eax
	je	.Ldo
	hlt			/* a scribbled word: a fault, see above */

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

.Lrseq:
	call	.Lcall_rseq
	mov	CH_RSEQ_THEN(%rbx), %eax
	cmp	$WORD_SENTRY, %eax
	je	.Lhand_over
	jmp	.Lgo

.Ldo:
	call	.Lcall_do
	jmp	.Lhand_over

.Lexit:
	xor	%edi, %edi
	mov	$NR_exit, %eax
	syscall
	hlt

/*
 * The template's boot, from where no memory is needed but this and the slot (%r15): makes the calls in the slot, of which the last puts
 * the filter on, tells the sentry the listener's number by the futex word at %r14, which only a call from this page still can, and
 * becomes the leader of the slot.
 */
systrap_shim_strip:
	mov	RQ_COUNT(%r15), %r13
	lea	RQ_CALLS(%r15), %r12
1:	mov	(%r12), %rax
	mov	8(%r12), %rdi
	mov	16(%r12), %rsi
	mov	24(%r12), %rdx
	mov	32(%r12), %r10
	mov	40(%r12), %r8
	mov	48(%r12), %r9
	syscall
	cmp	$-4095, %rax
	jae	2f
	add	$RQ_CALL_SIZE, %r12
	dec	%r13
	jnz	1b
	lea	1(%rax), %ebx
	jmp	3f
2:	neg	%eax
	mov	%eax, 4(%r14)
	mov	$-1, %ebx
3:	mov	%r14, %rdi
	mov	%ebx, (%rdi)
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
	cmp	$-1, %ebx
	je	.Lexit
	lea	systrap_text + SYSTRAP_LEADER_OFF + (systrap_leader - systrap_leader_text)(%rip), %rcx
	jmp	*%rcx

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

/*
 * .Lpost writes %r8d into the hand-over word, wakes the sentry thread if it sleeps, and then, as .Lawait, waits until the
 * word is another: %eax.  Who sleeps says so first and looks at the word afterwards, and who writes the word looks for
 * sleepers afterwards, so that no wake-up is lost.  Clobbers %rcx, %rdx, %rsi, %rdi, %r10 and %r11.
 */
.Lpatched_begin:
.Lpost:
	mov	%r8d, %eax
	xchg	%eax, CH_WORD(%rbx)
	cmpl	$0, CH_SENTRY_SLEEPS(%rbx)
	je	.Lawait_spinning
	lea	CH_WORD(%rbx), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
.Lawait_spinning:
	mov	CH_SPIN(%rbx), %edx
1:	mov	CH_WORD(%rbx), %eax
	cmp	%r8d, %eax
	jne	2f
	sub	$1, %edx
	jb	.Lawait
	pause
	jmp	1b
.Lawait:
	mov	$1, %eax
	xchg	%eax, CH_GUEST_SLEEPS(%rbx)
	mov	CH_WORD(%rbx), %eax
	cmp	%r8d, %eax
	jne	3f
	lea	CH_WORD(%rbx), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r8d, %edx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
	jmp	.Lawait
3:	movl	$0, CH_GUEST_SLEEPS(%rbx)
2:	ret

/* The guest thread's own rseq(2), or its undoing: cpu_id and preempted sections are then the host's business. */
.Lcall_rseq:
	mov	CH_RSEQ_AREA(%rbx), %rdi
	mov	CH_RSEQ_SIZE(%rbx), %esi
	mov	CH_RSEQ_FLAGS(%rbx), %edx
	mov	CH_RSEQ_SIG(%rbx), %r10d
	mov	$NR_rseq, %eax
	syscall
	mov	%rax, CH_RSEQ_RESULT(%rbx)
	mov	CH_RSEQ_ANSWER(%rbx), %rcx
	mov	%rax, (%rcx)
	movl	$1, CH_RSEQ_DONE(%rbx)
	ret

/* A host call that the sentry wants made in this address space. */
.Lcall_do:
	cmpl	$0, CH_DO_FILE(%rbx)
	jne	.Lcall_do_file
.Lcall_do_now:
	mov	CH_DO_NR(%rbx), %eax
	mov	CH_DO_ARGS(%rbx), %rdi
	mov	CH_DO_ARGS + 8(%rbx), %rsi
	mov	CH_DO_ARGS + 16(%rbx), %rdx
	mov	CH_DO_ARGS + 24(%rbx), %r10
	mov	CH_DO_ARGS + 32(%rbx), %r8
	mov	CH_DO_ARGS + 40(%rbx), %r9
	syscall
	mov	%rax, CH_DO_RESULT(%rbx)
	movl	$1, CH_DO_DONE(%rbx)
	ret

/* An mmap of a file that the sentry has sent.  If none has come there is none to map, and the call says so. */
.Lcall_do_file:
	mov	$SYSTRAP_SOCKET_FD, %edi
	lea	CH_DO_MSG(%rbx), %rsi
	mov	$MSG_DONTWAIT | MSG_CMSG_CLOEXEC, %edx
	mov	$NR_recvmsg, %eax
	syscall
	call	.Lcall_do_now
	mov	$SYSTRAP_FILE_FD, %edi
	mov	$NR_close, %eax
	syscall
	ret

/* A call whose answer is a word of the channel. */
	.macro answer nr, index
	cmp	$\nr, %eax
	jne	1f
	mov	CH_ANSWERS + 4 * \index(%r11), %eax
	jmp	.Lleave
1:
	.endm

/*
 * A patched call site's trampoline comes here, with the guest's registers but for
 *
 *     %rcx   the address to return to          %r11   the channel
 *     %rsp   the top of the call's stack       its own value is in CH_RSP
 *
 * The first three are what a system call leaves there anyway (%r11: the flags), so nothing else may be lost.
 */
systrap_shim_call:
	pushfq
	popq	CH_RFLAGS(%r11)
	mov	%rcx, CH_RIP(%r11)
	cmpl	$0, CH_SHORT_CUTS(%r11)
	je	.Lcall_sentry
	cmp	$NR_write, %eax
	jbe	.Lring
	answer	NR_getpid, CH_ANSWER_PID
	answer	NR_gettid, CH_ANSWER_TID
	answer	NR_getppid, CH_ANSWER_PPID
	answer	NR_getuid, CH_ANSWER_UID
	answer	NR_getgid, CH_ANSWER_GID
	answer	NR_geteuid, CH_ANSWER_EUID
	answer	NR_getegid, CH_ANSWER_EGID
	answer	NR_getpgrp, CH_ANSWER_PGRP
	cmp	$NR_sched_yield, %eax
	je	.Lyield
	cmp	$NR_rt_sigprocmask, %eax
	je	.Lmask
	cmp	$NR_futex, %eax
	je	.Lshort_cut
	cmp	$NR_lseek, %eax
	je	.Lshort_cut
	cmp	$NR_pread64, %eax
	je	.Lread
	cmp	$NR_set_robust_list, %eax
	je	.Lshort_cut
	cmp	$NR_exit, %eax
	je	.Lcall_exit

.Lcall_sentry:
	call	.Lstore
	cld
	mov	CH_RAX(%rbx), %eax
	cmp	$NR_rt_sigreturn, %eax
	je	.Lsigreturn
.Ltake_along:
	cmp	$NR_clone3, %eax
	je	.Lcall_clone
	lea	-NR_clone(%rax), %ecx	/* clone, fork, vfork */
	cmp	$NR_vfork - NR_clone, %ecx
	jbe	.Lcall_clone
.Ltake_pieces:
	cmp	$SYSTRAP_PIECES_CALLS, %eax
	jae	1f
	lea	systrap_text + SYSTRAP_PIECES_OFF(%rip), %r8
	movzbl	(%r8, %rax), %eax
	test	%eax, %eax
	jz	1f
	shl	$4, %eax
	lea	SYSTRAP_PIECES_CALLS(%r8, %rax), %r8
	xor	%r10d, %r10d
	call	.Ltake
	add	$PC_DESC_SIZE, %r8
	inc	%r10d
	call	.Ltake
1:	mov	$WORD_CALL, %r8d
.Lcall_post:
	cld
	call	.Lpost
	cmp	$WORD_GIVE, %eax
	je	.Lgive_all
	cmp	$WORD_RETURN, %eax
	jne	.Lcall_other
.Lcall_return:
	mov	CH_RBX(%rbx), %rcx
	mov	%rbx, %r11
	mov	%rcx, %rbx
	mov	CH_RDI(%r11), %rdi
	mov	CH_RSI(%r11), %rsi
	mov	CH_RDX(%r11), %rdx
	mov	CH_R10(%r11), %r10
	mov	CH_R8(%r11), %r8
	mov	CH_R9(%r11), %r9
	mov	CH_RESULT(%r11), %rax

/* Back to the guest: %r11 is the channel, %rsp the call's stack, the rest is the guest's. */
.Lleave:
	cmpl	$0, CH_KICKED(%r11)
	jne	.Lkicked
	pushq	CH_RFLAGS(%r11)
	popfq
	mov	CH_RIP(%r11), %rcx
	mov	CH_RSP(%r11), %rsp
	mov	CH_RFLAGS(%r11), %r11
	jmp	*%rcx
.Lleave_end:

/*
 * rt_sigreturn while the mask is ours to change, from a frame that changes nothing else of the sentry's and has all that we would have
 * put there.  The vector state is loaded from where it lies, as Linux does.  Whatever is against it, the sentry is called,
 * and begins anew: the mask comes last.
 */
.Lsigreturn:
	cmpl	$0, CH_MASK_OPEN(%rbx)
	je	.Lsigreturn_asked
	mov	CH_RSP(%rbx), %r9
	mov	$GUEST_END, %r10
	cmp	%r10, %r9
	jae	.Lsigreturn_asked
.Lsigreturn_look:
	mov	UC_STACK(%r9), %rax
	cmp	CH_ALTSTACK(%rbx), %rax
	jne	.Lsigreturn_asked
	mov	UC_STACK + 8(%r9), %eax
	cmp	CH_ALTSTACK + 8(%rbx), %eax
	jne	.Lsigreturn_asked
	mov	UC_STACK + 16(%r9), %rax
	cmp	CH_ALTSTACK + 16(%rbx), %rax
	jne	.Lsigreturn_asked
	mov	$USER_SEGMENTS, %rax
	cmp	UC_SEGMENTS(%r9), %rax
	jne	.Lsigreturn_asked
	lea	UC_REGS(%r9), %rsi
	lea	CH_BACK(%rbx), %rdi
	mov	$(CH_BACK_END - CH_BACK) / 8, %ecx
	rep movsq
	cmp	%r10, CH_BACK_RIP(%rbx)
	jae	.Lsigreturn_asked
	mov	CH_BACK_EFLAGS(%rbx), %eax
	mov	CH_RFLAGS(%rbx), %ecx
	and	$EFLAGS_RESTORABLE, %eax
	and	$~EFLAGS_RESTORABLE, %ecx
	or	%ecx, %eax
	mov	%rax, CH_BACK_EFLAGS(%rbx)
	mov	UC_SIGMASK(%r9), %r8
	mov	UC_FPSTATE(%r9), %rsi
	cmp	%r10, %rsi
	jae	.Lsigreturn_asked
	test	$63, %sil
	jnz	.Lsigreturn_asked
	mov	CH_FPSTATE(%rbx), %rdi
	mov	XSTATE_SOFTWARE(%rsi), %rax
	cmp	XSTATE_SOFTWARE(%rdi), %rax
	jne	.Lsigreturn_asked
	mov	XSTATE_SOFTWARE + 8(%rsi), %rax
	cmp	XSTATE_SOFTWARE + 8(%rdi), %rax
	jne	.Lsigreturn_asked
	mov	XSTATE_SOFTWARE + XSTATE_SIZE_OFF(%rsi), %eax
	cmp	XSTATE_SOFTWARE + XSTATE_SIZE_OFF(%rdi), %eax
	jne	.Lsigreturn_asked
	cmpl	$XSTATE_MAGIC2, (%rsi, %rax)
	jne	.Lsigreturn_asked
	cmpq	$0, XSTATE_XCOMP(%rsi)	/* the sentry takes no compacted state */
	jne	.Lsigreturn_asked
	mov	CH_XFEATURES(%rbx), %eax
	mov	CH_XFEATURES + 4(%rbx), %edx
	xrstor64 (%rsi)
.Lsigreturn_look_end:
	and	$NOT_KILL_NOR_STOP, %r8
	xchg	%r8, CH_MASK(%rbx)
	cmpl	$0, CH_MASK_OPEN(%rbx)
	jne	.Lback
	mov	%r8, CH_MASK(%rbx)
.Lsigreturn_asked:
	mov	$NR_rt_sigreturn, %eax
	jmp	.Ltake_along

/* To the guest with all registers from CH_BACK, unless the thread was kicked.  Where a kick strikes in between, it begins anew. */
.Lback:
	lea	CH_STACK_TOP(%rbx), %rsp
	cmpl	$0, CH_KICKED(%rbx)
	jne	.Lback_kicked
	pushq	$EFLAGS_PLAIN	/* with NT set iretq would fault */
	popfq
	pushq	$USER_DS
	pushq	CH_BACK_RSP(%rbx)
	pushq	CH_BACK_EFLAGS(%rbx)
	pushq	$USER_CS
	pushq	CH_BACK_RIP(%rbx)
	mov	CH_BACK + 0 * 8(%rbx), %r8
	mov	CH_BACK + 1 * 8(%rbx), %r9
	mov	CH_BACK + 2 * 8(%rbx), %r10
	mov	CH_BACK + 3 * 8(%rbx), %r11
	mov	CH_BACK + 4 * 8(%rbx), %r12
	mov	CH_BACK + 5 * 8(%rbx), %r13
	mov	CH_BACK + 6 * 8(%rbx), %r14
	mov	CH_BACK + 7 * 8(%rbx), %r15
	mov	CH_BACK + 8 * 8(%rbx), %rdi
	mov	CH_BACK + 9 * 8(%rbx), %rsi
	mov	CH_BACK + 10 * 8(%rbx), %rbp
	mov	CH_BACK + 12 * 8(%rbx), %rdx
	mov	CH_BACK + 13 * 8(%rbx), %rax
	mov	CH_BACK + 14 * 8(%rbx), %rcx
	mov	CH_BACK + 11 * 8(%rbx), %rbx
	iretq
.Lback_end:
.Lback_kicked:
	movl	$0, CH_KICKED(%rbx)
	mov	$WORD_BACK_KICKED, %r8d
	jmp	.Lcall_post

/*
 * A handler's frame: the sentry has made it but for the vector state, which goes straight to where it is to be.  Then the thread
 * gets a fresh one.
 */
.Lput_frame:
	mov	CH_DO_ARGS(%rbx), %rdi
	lea	CH_OUT(%rbx), %rsi
	mov	$SIGFRAME_SIZE / 8, %ecx
.Lframe_copy:
	rep movsq
	mov	CH_DO_ARGS + 8(%rbx), %r8
	mov	CH_FPSTATE(%rbx), %rsi
	lea	XSTATE_SOFTWARE(%r8), %rdi
	add	$XSTATE_SOFTWARE, %rsi
	mov	XSTATE_SIZE_OFF(%rsi), %eax
	movl	$XSTATE_MAGIC2, (%r8, %rax)
	mov	$6, %ecx
	rep movsq
	xor	%eax, %eax	/* the header, of which xsave writes a part only */
	mov	$8, %ecx
	rep stosq
	mov	CH_XFEATURES(%rbx), %eax
	mov	CH_XFEATURES + 4(%rbx), %edx
	xsave64	(%r8)
.Lframe_copy_end:
	xrstor64 systrap_text + SYSTRAP_FRESH_OFF(%rip)
	movq	$0, CH_DO_RESULT(%rbx)
	ret
.Lframe_failed:
	movq	$-EFAULT, CH_DO_RESULT(%rbx)
	ret

.Lyield:
	mov	%rbx, CH_RBX(%r11)
	mov	%r11, %rbx
	syscall
	mov	%rbx, %r11
	mov	CH_RBX(%r11), %rbx
	jmp	.Lleave

/*
 * Those in C (short_cuts.c), which find the arguments in the channel, and may use any of the registers that a call in C may.
 * Where a kick strikes, they go on; what the guest gets back is loaded anew in any case.
 */
.Lread:
	cmpq	$0, CH_WINDOWS(%r11)
	je	.Lcall_sentry
.Lshort_cut:
	mov	%rax, CH_RAX(%r11)
	mov	%rdi, CH_RDI(%r11)
	mov	%rsi, CH_RSI(%r11)
	mov	%rdx, CH_RDX(%r11)
	mov	%r10, CH_R10(%r11)
	mov	%r8, CH_R8(%r11)
	mov	%r9, CH_R9(%r11)
	lea	CH_SHORT_STACK(%r11), %rsp
	mov	%r11, %rdi
	push	%r11
	cld
	call	shim_short_cut
	pop	%r11
	lea	CH_STACK_TOP(%r11), %rsp
	mov	%edx, %ecx
	mov	CH_RDI(%r11), %rdi
	mov	CH_RSI(%r11), %rsi
	mov	CH_RDX(%r11), %rdx
	mov	CH_R10(%r11), %r10
	mov	CH_R8(%r11), %r8
	mov	CH_R9(%r11), %r9
	test	%ecx, %ecx
	jnz	.Lleave
	mov	CH_RAX(%r11), %rax
	jmp	.Lcall_sentry

/* Both positions of a ring, %r9d and %r10d, are such as can be. */
	.macro ring_positions
	mov	%r10d, %ecx
	or	%r9d, %ecx
	test	$0xffff0000, %ecx
	jnz	.Lring_asked
	.endm

/*
 * Moves %edx bytes between guest memory and a ring, from our position on (its place in the ring is in the register that ends in
 * side, which rep movsb takes) and then from the ring's beginning, and our position along: label is where a fault may strike.
 */
	.macro ring_move side, label, position
	mov	$RG_DATA_SIZE, %ecx
	sub	%e\side, %ecx
	cmp	%edx, %ecx
	cmova	%edx, %ecx
	mov	%edx, %r10d
	sub	%ecx, %r10d
	lea	RG_DATA(%r8, %r\side), %r\side
\label:
	rep movsb
	mov	%r10d, %ecx
	lea	RG_DATA(%r8), %r\side
	rep movsb
\label\()_end:
	mov	%r9d, %eax
	lea	(%r9, %rdx), %ecx
	movzwl	%cx, %ecx
	lock cmpxchg %ecx, \position(%r8)
	jne	.Lring_asked
	.endm

/*
 * read and write (%eax is 0 or 1) of a pipe whose bytes are in a ring that this thread has a slot for.  All that happens is one
 * exchange of the reader's position, or the writer's, when the bytes have been copied; if that fails because the ring was
 * closed, or whatever else is against it, the sentry is called.  What the other side may write is bounded where it is used.
 *
 * %rbx is the channel, %r8 the ring, %r9 our position, %r10 the other one.
 */
.Lring:
	cmpl	$0, CH_RINGS(%r11)
	je	.Lno_ring
	mov	%rbx, CH_RBX(%r11)
	mov	%eax, %ecx
	shl	$4, %ecx
	lea	CH_RING_SLOTS(%r11, %rcx), %rcx
	mov	(%rcx), %rbx
	cmp	%edi, %ebx
	je	1f
	mov	8(%rcx), %rbx
	cmp	%edi, %ebx
	jne	2f
1:	shr	$32, %rbx
	jnz	3f
2:	mov	CH_RBX(%r11), %rbx
.Lno_ring:
	test	%eax, %eax
	jz	.Lread
	jmp	.Lcall_sentry
3:	mov	%rax, CH_RAX(%r11)
	mov	%rdi, CH_RDI(%r11)
	mov	%rsi, CH_RSI(%r11)
	mov	%rdx, CH_RDX(%r11)
	mov	%r8, CH_R8(%r11)
	mov	%r9, CH_R9(%r11)
	mov	%r10, CH_R10(%r11)
	mov	$SYSTRAP_CHANNELS, %rcx
	lea	(%rbx, %rcx), %r8
	mov	%r11, %rbx
	cld
	mov	%rdx, %rcx
	shr	$31, %rcx
	jnz	.Lring_asked
	test	%edx, %edx
	jz	.Lring_asked
	mov	$GUEST_END, %rcx
	sub	%rdx, %rcx
	cmp	%rcx, %rsi
	ja	.Lring_asked
	test	%eax, %eax
	jnz	.Lring_write

.Lring_read:
	mov	RG_TAIL(%r8), %r10d
	mov	RG_HEAD(%r8), %r9d
	ring_positions
	mov	%r10d, %ecx
	sub	%r9d, %ecx
	movzwl	%cx, %ecx
	test	%ecx, %ecx
	jz	.Lring_wait
	cmp	$RG_DATA_SIZE, %ecx
	ja	.Lring_asked
	cmp	%ecx, %edx
	cmova	%ecx, %edx
	mov	CH_RSI(%rbx), %rdi
	mov	%r9d, %esi
	and	$RG_DATA_SIZE - 1, %esi
	ring_move si, .Lring_out, RG_HEAD
	testl	$1, CH_NAPS(%rbx)
	jnz	.Lring_slept
.Lring_read_done:
	incq	CH_RING_IO(%rbx)
	add	%rdx, CH_RING_IO + 8(%rbx)
.Lring_done:
	mov	%edx, %eax
	mov	CH_RDX(%rbx), %rdx
	call	.Lring_load
	jmp	.Lleave

.Lring_slept:
	incq	CH_NAPS(%rbx)
	jmp	.Lring_read_done

/* Something is against it: the call is the sentry's.  If it has slept here, CH_NAPS stays odd, which tells the sentry so. */
.Lring_asked:
	mov	CH_RAX(%rbx), %rax
	mov	CH_RDX(%rbx), %rdx
	call	.Lring_load
	jmp	.Lcall_sentry

.Lring_load:
	mov	CH_RDI(%rbx), %rdi
	mov	CH_RSI(%rbx), %rsi
	mov	CH_R8(%rbx), %r8
	mov	CH_R9(%rbx), %r9
	mov	CH_R10(%rbx), %r10
	mov	%rbx, %r11
	mov	CH_RBX(%r11), %rbx
	ret

/*
 * Nothing is there.  Who waits says so, and looks once more; the writer looks for somebody who waits when it has moved its
 * position.  A kick that strikes before the call has begun is found as one that ends it (.Ldefer).  Then the sentry has the
 * call, unchanged.  Who wakes looks at its slot again, as its ring may be closed, and another one's by now.
 */
.Lring_wait:
	testl	$1, CH_NAPS(%rbx)
	jnz	1f
	mov	%r8d, %ecx
	sub	$SYSTRAP_CHANNELS & 0xffffffff, %ecx
	mov	%ecx, CH_NAP_RING(%rbx)
	mov	%r9d, CH_NAP_HEAD(%rbx)
	incq	CH_NAPS(%rbx)
1:	mov	$1, %ecx
	xchg	%ecx, RG_WAITING(%r8)
.Lring_sleep:
	cmpl	$0, CH_KICKED(%rbx)
	jne	.Lring_awake
	lea	RG_TAIL(%r8), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r9d, %edx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
.Lring_awake:
	cmpl	$0, CH_KICKED(%rbx)
	jne	.Lring_asked
	mov	CH_RAX(%rbx), %rax
	mov	CH_RDX(%rbx), %rdx
	call	.Lring_load
	jmp	.Lring

.Lring_write:
	mov	RG_HEAD(%r8), %r10d
	mov	RG_TAIL(%r8), %r9d
	ring_positions
	cmp	$RG_DATA_SIZE, %edx
	ja	.Lring_asked
	mov	%r9d, %ecx
	sub	%r10d, %ecx
	movzwl	%cx, %ecx
	add	%edx, %ecx
	cmp	$RG_DATA_SIZE, %ecx
	ja	.Lring_asked
	mov	%r9d, %edi
	and	$RG_DATA_SIZE - 1, %edi
	ring_move di, .Lring_in, RG_TAIL
	incq	CH_RING_IO + CH_RING_IO_SIZE(%rbx)
	add	%rdx, CH_RING_IO + CH_RING_IO_SIZE + 8(%rbx)
	cmpl	$0, RG_WAITING(%r8)
	je	.Lring_done
	movl	$0, RG_WAITING(%r8)
	lea	RG_TAIL(%r8), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
	mov	CH_RDX(%rbx), %edx
	jmp	.Lring_done

/*
 * rt_sigprocmask while the mask is ours to change (struct pctx_mask), with valid arguments.  %rax is the old mask, %rcx the new
 * one.  If a look at guest memory faults, or the mask was taken away meanwhile, nothing has happened yet, and the sentry is
 * called.  The old mask is written last: it may lie where the new one does.
 */
.Lmask:
	cmpl	$0, CH_MASK_OPEN(%r11)
	je	.Lcall_sentry
	cmp	$SIGSET_SIZE, %r10
	jne	.Lcall_sentry
	mov	%rbx, CH_RBX(%r11)
	mov	$SYSTRAP_BASE, %rbx	/* the guest's memory ends there */
	cmp	%rbx, %rsi
	jae	.Lmask_failed
	cmp	%rbx, %rdx
	jae	.Lmask_failed
	mov	CH_MASK(%r11), %rax
	mov	%rax, %rcx
	test	%rsi, %rsi
	jz	3f
	cmp	$SIG_SETMASK, %edi
	ja	.Lmask_failed
.Lmask_look:
	mov	(%rsi), %rcx
	je	3f
	cmp	$SIG_UNBLOCK, %edi
	je	1f
	or	%rax, %rcx
	jmp	3f
1:	not	%rcx
	and	%rax, %rcx
3:	test	%rdx, %rdx
	jz	4f
	mov	(%rdx), %rbx
.Lmask_look_end:
4:	and	$NOT_KILL_NOR_STOP, %rcx
	xchg	%rcx, CH_MASK(%r11)
	cmpl	$0, CH_MASK_OPEN(%r11)
	je	6f
	test	%rdx, %rdx
	jz	5f
.Lmask_tell:
	mov	%rax, (%rdx)
.Lmask_tell_end:
5:	xor	%eax, %eax
	mov	CH_RBX(%r11), %rbx
	jmp	.Lleave
.Lmask_untold:
	mov	$-EFAULT, %rax
	mov	CH_RBX(%r11), %rbx
	jmp	.Lleave
6:	mov	%rax, CH_MASK(%r11)
.Lmask_failed:
	mov	CH_RBX(%r11), %rbx
	mov	$NR_rt_sigprocmask, %eax
	jmp	.Lcall_sentry

/*
 * Takes piece %r10, described at %r8, along to its place in the channel.  Uses registers that are loaded again on the way back:
 * %rax, %rcx, %rdx, %rsi, %rdi and %r9.  The sentry reckons likewise how long it is (pieces_find), from its own copies of the
 * registers and the table.
 */
.Ltake:
	movl	$0, CH_TAKEN(%rbx, %r10, 4)
	movzbl	PC_KIND(%r8), %eax
	test	%eax, %eax
	jz	.Ltake_nothing
	movzbl	PC_ADDR(%r8), %ecx
	mov	CH_RDI(%rbx, %rcx, 8), %rsi
	test	%rsi, %rsi
	jz	.Ltake_nothing
	imul	$CH_PIECE_SIZE, %r10d, %edi
	lea	CH_PIECES(%rbx, %rdi), %rdi
	cmp	$PIECE_STR, %eax
	je	.Ltake_string
	movzwl	PC_SIZE(%r8), %edx
	movzbl	PC_UNIT(%r8), %ecx
	test	%ecx, %ecx
	jz	1f
	movzbl	PC_LEN(%r8), %eax
	mov	CH_RDI(%rbx, %rax, 8), %rdx
	cmp	$CH_PIECE_SIZE, %rdx
	ja	.Ltake_nothing
	imul	%ecx, %edx
1:	cmp	$CH_PIECE_SIZE, %edx
	ja	.Ltake_nothing
	mov	%edx, %ecx
	jmp	.Ltake_bytes
.Ltake_string:
	mov	%rdi, %r9
	mov	$CH_PIECE_SIZE, %edx
.Ltake_copy: /* faults from here on mean that nothing is taken along */
2:	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	test	%eax, %eax
	jz	3f
	dec	%edx
	jnz	2b
	ret
3:	sub	%r9, %rdi
	mov	%edi, %edx
	jmp	.Ltaken
.Ltake_bytes:
	rep movsb
.Ltake_copy_end:
.Ltaken:
	mov	%edx, CH_TAKEN(%rbx, %r10, 4)
.Ltake_nothing:
	ret

/* The other way, what the sentry says. */
.Lgive_all:
	xor	%r10d, %r10d
.Lgive:
	imul	$-CH_GIVE_SIZE, %r10, %rax
	mov	CH_GIVE(%rbx, %rax), %rdi
	mov	CH_GIVE + 8(%rbx, %rax), %ecx
	mov	CH_GIVE + 12(%rbx, %rax), %esi
	add	%rbx, %rsi
.Lgive_copy:
	rep movsb
.Lgive_copy_end:
	inc	%r10d
	cmp	CH_GIVE_COUNT(%rbx), %r10d
	jb	.Lgive
	jmp	.Lcall_return
.Lgive_failed:
	movq	$-EFAULT, CH_RESULT(%rbx)
	jmp	.Lcall_return

.Lkicked:
	movl	$0, CH_KICKED(%r11)
	call	.Lstore
	mov	$WORD_KICKED, %r8d
	jmp	.Lcall_post

/* Stores what registers there are; then %rbx is the channel. */
.Lstore:
	mov	%rax, CH_RAX(%r11)
	mov	%rbx, CH_RBX(%r11)
	mov	%rbp, CH_RBP(%r11)
	mov	%r12, CH_R12(%r11)
	mov	%r13, CH_R13(%r11)
	mov	%r14, CH_R14(%r11)
	mov	%r15, CH_R15(%r11)
	mov	%rdi, CH_RDI(%r11)
	mov	%rsi, CH_RSI(%r11)
	mov	%rdx, CH_RDX(%r11)
	mov	%r10, CH_R10(%r11)
	mov	%r8, CH_R8(%r11)
	mov	%r9, CH_R9(%r11)
	mov	%r11, %rbx
	rdfsbase %rcx
	mov	%rcx, CH_FS_BASE(%rbx)
	ret

/* The host's registration goes before anybody can hear of the thread's end.  (Where calls are seen, the sentry sees to it.) */
.Lcall_exit:
	call	.Lstore
	cld
	cmpl	$RSEQ_LEAVE, CH_RSEQ_LEAVE(%rbx)
	jne	1f
	movl	$RSEQ_FLAG_UNREGISTER, CH_RSEQ_FLAGS(%rbx)
	lea	CH_RSEQ_RESULT(%rbx), %rcx
	mov	%rcx, CH_RSEQ_ANSWER(%rbx)
	call	.Lcall_rseq
	movl	$RSEQ_LEFT, CH_RSEQ_LEAVE(%rbx)
1:	mov	CH_RAX(%rbx), %eax
	jmp	.Ltake_along

/* A child inherits the vector state: the sentry will want it, and need not ask. */
.Lcall_clone:
	mov	CH_FPSTATE(%rbx), %rdi
	mov	CH_XFEATURES(%rbx), %eax
	mov	CH_XFEATURES + 4(%rbx), %edx
	xsave64	(%rdi)
	mov	CH_RAX(%rbx), %eax
	jmp	.Ltake_pieces

.Lcall_other:
	cmp	$WORD_RSEQ, %eax
	jne	1f
	cmpl	$WORD_RETURN, CH_RSEQ_THEN(%rbx)
	jne	.Lrun_saved
	call	.Lcall_rseq
	jmp	.Lcall_return
1:	cmp	$WORD_DO, %eax
	jne	1f
	call	.Lcall_do
	mov	$WORD_CALL, %r8d
	jmp	.Lcall_post
1:	cmp	$WORD_BACK, %eax
	je	.Lback
	cmp	$WORD_FRAME, %eax
	jne	1f
	call	.Lput_frame
	mov	$WORD_CALL, %r8d
	jmp	.Lcall_post
1:	cmp	$WORD_SAVE, %eax
	jne	.Lrun_saved
	mov	CH_FPSTATE(%rbx), %rdi
	mov	CH_XFEATURES(%rbx), %eax
	mov	CH_XFEATURES + 4(%rbx), %edx
	xsave64	(%rdi)
.Lsaved:
	mov	$WORD_SAVED, %r8d
	call	.Lpost

/* The second frame is to be resumed, unless the thread was kicked. */
.Lrun_saved:
	lea	CH_STACK_TOP(%rbx), %rsp
	mov	CH_WORD(%rbx), %eax
	cmp	$WORD_DO, %eax
	jne	1f
	cmpl	$0, CH_DO_DONE(%rbx)
	jne	.Lsaved
	call	.Lcall_do
	jmp	.Lsaved
1:	cmp	$WORD_RSEQ, %eax
	jne	3f
	cmpl	$0, CH_RSEQ_DONE(%rbx)
	jne	2f
	call	.Lcall_rseq
2:	mov	CH_RSEQ_THEN(%rbx), %eax
	cmp	$WORD_SAVED, %eax
	je	.Lsaved
3:	cmp	$WORD_EXIT, %eax
	je	.Lexit_saved
	mov	CH_FRAME(%rbx), %rsp
	cmpl	$0, CH_KICKED(%rbx)
	jne	.Lrun_kicked
	cmp	$WORD_RUN, %eax
	je	1f
	cmp	$WORD_RUN_INSN, %eax
	jne	.Lgo
	mov	CH_FS_BASE(%rbx), %rax
	wrfsbase %rax
	mov	CH_GS_BASE(%rbx), %rax
	wrgsbase %rax
1:	add	$8, %rsp
	mov	$NR_rt_sigreturn, %eax
	syscall
.Lrun_saved_end:
	hlt

/* As .Lexit, but signals are open here. */
.Lexit_saved:
	xor	%edi, %edi
	mov	$NR_exit, %eax
	syscall
	hlt

.Lrun_kicked:
	movl	$0, CH_KICKED(%rbx)
	lea	CH_STACK_TOP(%rbx), %rsp
	mov	$WORD_RUN_KICKED, %r8d
	call	.Lpost
	jmp	.Lrun_saved
/* ---- for short_cuts.c: looks at guest memory ---- */

/* size_t shim_copy(void *to, const void *from, size_t n): how many of the n bytes could not be copied. */
shim_copy:
	mov	%rdx, %rcx
.Lcopy:
	rep movsb
.Lcopy_end:
.Lcopy_failed:
	mov	%rcx, %rax
	ret

/* bool shim_load32(const uint32_t *from, uint32_t *to): false if it cannot be read. */
shim_load32:
.Lload32:
	mov	(%rdi), %eax
.Lload32_end:
	mov	%eax, (%rsi)
	mov	$1, %eax
	ret
.Lload32_failed:
	xor	%eax, %eax
	ret

/* bool shim_touch(uint32_t *word): whether it can be written; it keeps its value.  A fence. */
shim_touch:
.Ltouch:
	lock orl $0, (%rdi)
.Ltouch_end:
	mov	$1, %eax
	ret

/* ---- the leader ---- */

	.section systrap_leader_code, "ax", @progbits
	.balign 4096
systrap_leader_text:
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
	/* Before the call: a child may begin when the slot holds the next request. */
	mov	RQ_CHILD_ENTRY(%r12), %rbx
	syscall
systrap_leader_call_ip:
	test	%rax, %rax
	jnz	.Lresult
	test	%rbx, %rbx
	jz	.Ldone
	jmp	*%rbx
.Lresult:
	mov	%rax, %rbx
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

systrap_leader_text_end:

	.section .note.GNU-stack, "", @progbits
