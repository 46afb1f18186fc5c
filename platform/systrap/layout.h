/*
 * Where things lie in a stub above GUEST_CEILING, and the words by which the shim and the sentry talk.  Read by C and
 * by shim.S, so it holds nothing but constants.
 *
 *     base + 0               shim text      (read, execute)   calls from here: the filter's short list
 *     base + 0x1000          leader text    (read, execute)   calls from here: notified to the sentry
 *     base + 0x10000         request slots  (read only)       written by the sentry, one slot a stub
 *     base + 0x2000000       the vDSO and its data (read, execute)  lent by the host: arch/x86_64/vdso.h
 *     SYSTRAP_CHANNELS       channels       (read, write)     one a guest thread, at the same address in every stub
 *
 * base is SYSTRAP_BASE, or SYSTRAP_BASE_2 if the sentry that the template is forked from has its stack there.
 */
#ifndef BAILEY_PLATFORM_SYSTRAP_LAYOUT_H
#define BAILEY_PLATFORM_SYSTRAP_LAYOUT_H

#define SYSTRAP_BASE 0x7fff00000000
#define SYSTRAP_BASE_2 0x7fff04000000
#define SYSTRAP_TEXT_SIZE 0x2000
#define SYSTRAP_LEADER_OFF 0x1000
#define SYSTRAP_REQUESTS_OFF 0x10000
#define SYSTRAP_VDSO_OFF 0x2000000

/*
 * A request: a header {count, child_slot, seq} and up to SYSTRAP_REQUEST_MAX calls of {nr, six arguments, child_entry}.
 * The leader makes the calls one after the other up to the first that fails; where a call returns 0 and has a
 * child_entry it goes there.  A fork's child finds its own slot in child_slot.
 */
#define SYSTRAP_SLOT_COUNT 16384
#define SYSTRAP_SLOT_SIZE 512
#define SYSTRAP_REQUEST_MAX 7
#define RQ_COUNT 0
#define RQ_CHILD_SLOT 8
#define RQ_SEQ 16
#define RQ_CALLS 64
#define RQ_CALL_SIZE 64
#define RQ_CHILD_ENTRY 56

/* The leader's "what next?": a number that Linux does not use, always notified.  Its arguments: calls done, result of
 * the last one, the leader's slot, the request's seq. */
#define SYSTRAP_NR_NEXT 0x3ffffff0
/* The descriptor at which a file passed along with a request appears. */
#define SYSTRAP_FD 3

/* Channels.  The size is the distance between two of them; only the first pages are mapped (pool->channel_size). */
#define SYSTRAP_CHANNELS 0x7fff08000000
#define SYSTRAP_CHANNEL_SIZE 0x10000
#define SYSTRAP_CHANNEL_COUNT 32768
#define CH_WORD 0
#define CH_FS_BASE 8
#define CH_GS_BASE 16
#define CH_RSEQ_AREA 24	 /* WORD_RSEQ: the call's arguments, */
#define CH_RSEQ_SIG 32
#define CH_RSEQ_SIZE 36
#define CH_RSEQ_FLAGS 40
#define CH_RSEQ_THEN 44	  /* what is to be done next, a hand-over word, */
#define CH_RSEQ_RESULT 48 /* and the result */
#define CH_RSEQ_ANSWER 56 /* the address where the result is to be as well: the frame's rax, or CH_RSEQ_RESULT again */
#define CH_HEADER_SIZE 64

/* The hand-over word.  The kernel stores 0 when the thread ends (CLONE_CHILD_CLEARTID). */
#define WORD_DEAD 0
#define WORD_SENTRY 1	 /* the thread is parked in the shim; the frame is the sentry's */
#define WORD_RUN 2	 /* resume from the frame */
#define WORD_RUN_INSN 3	 /* load fs_base and gs_base from the channel with wrfsbase and wrgsbase, then resume */
#define WORD_RUN_CALL 4	 /* the same with arch_prctl, where the kernel has no FSGSBASE */
#define WORD_EXIT 5	 /* end the thread */
#define WORD_RSEQ 6	 /* call rseq with what the channel says, then do what CH_RSEQ_THEN says */

/* The host signal that takes a guest thread out of guest code: SIGURG, because a standard signal is never queued twice
 * nor refused for want of queue space, and by default does nothing. */
#define SYSTRAP_KICK 23

#endif
