/*
 * Where things lie in a stub above GUEST_CEILING, and the words by which the shim and the sentry talk.  Read by C and
 * by shim.S, so it holds nothing but constants.
 *
 *     base + 0               shim text      (read, execute)   calls from here: the filter's short list
 *     base + 0x3000          leader text    (read, execute)   calls from here: notified to the sentry
 *     base + 0x4000          pieces         (read only)       which memory a call takes along: pieces.c; and a fresh vector state
 *     base + 0x10000         request slots  (read only)       written by the sentry, one slot a stub
 *     base + 0x810000        waiters        (read only)       behind the slots: how many wait for futexes, one table a stub
 *     base + 0x1000000       trampolines    (read, execute)   written by the sentry, one a patched site: patch.c
 *     base + 0x2000000       the vDSO and its data (read, execute)  lent by the host: arch/x86_64/vdso.h
 *     SYSTRAP_CHANNELS       channels       (read, write)     one a guest thread, at the same address in every stub
 *     SYSTRAP_WINDOWS        windows        (read only)       files that the guest reads by itself, and the records of them: windows.c
 *     SYSTRAP_CELLS          cells          (read only)       below GUEST_MIN: addresses of trampolines
 *
 * base is SYSTRAP_BASE, or SYSTRAP_BASE_2 if the sentry that the template is forked from has its stack there.
 */
#ifndef BAILEY_PLATFORM_SYSTRAP_LAYOUT_H
#define BAILEY_PLATFORM_SYSTRAP_LAYOUT_H

#define SYSTRAP_BASE 0x7fff00000000
#define SYSTRAP_BASE_2 0x7fff04000000
#define SYSTRAP_TEXT_SIZE 0x4000
#define SYSTRAP_LEADER_OFF 0x3000
#define SYSTRAP_PIECES_OFF 0x4000
#define SYSTRAP_PIECES_SIZE 0x5000
/* Behind the table of pieces: the vector state of a fresh thread, an XSAVE area.  Of its end the processor may look at any byte. */
#define SYSTRAP_FRESH_OFF 0x4d80
#define SYSTRAP_FRESH_SIZE 0x4000
#define SYSTRAP_REQUESTS_OFF 0x10000
#define SYSTRAP_TRAMPOLINES_OFF 0x1000000
#define SYSTRAP_VDSO_OFF 0x2000000

/*
 * Patched call sites.  A cell is an address, a trampoline SYSTRAP_TRAMPOLINE_SIZE bytes of code.  The cells lie where
 * they do so that the third byte of each cell's address is 0x06, which is no instruction: in "jmp *cell" over "mov $nr,
 * %eax; syscall" that is the byte where the syscall instruction was, and who jumps there traps.
 */
#define SYSTRAP_CELLS 0x60000
#define SYSTRAP_CELLS_SIZE 0x10000
#define SYSTRAP_SITE_MAX 8192
#define SYSTRAP_TRAMPOLINE_SIZE 128
#define SYSTRAP_TRAMPOLINES_SIZE 0x100000

/*
 * A request: a header {count, child_slot, seq} and up to SYSTRAP_REQUEST_MAX calls of {nr, six arguments, child_entry}.
 * The leader makes the calls one after the other up to the first that fails; where a call returns 0 and has a
 * child_entry it goes there.  A fork's child finds its own slot in child_slot.
 */
#define SYSTRAP_SLOT_COUNT 16384
#define SYSTRAP_SLOT_SIZE 512
/*
 * Behind the slots, in the same memory: tables of counts, 32 bits each, of those who wait for a futex (pas_waiter_slot says which
 * count is a word's).  The first is of words that processes share, then comes one a slot, of the words of that stub alone.
 */
#define SYSTRAP_WAITERS_OFF 0x810000
#define SYSTRAP_WAITERS_SIZE 256
#define SYSTRAP_SLOTS_SIZE (SYSTRAP_WAITERS_OFF - SYSTRAP_REQUESTS_OFF + (SYSTRAP_SLOT_COUNT + 16) * SYSTRAP_WAITERS_SIZE)
#define SYSTRAP_REQUEST_MAX 7
#define RQ_COUNT 0
#define RQ_CHILD_SLOT 8
#define RQ_SEQ 16
#define RQ_CALLS 64
#define RQ_CALL_SIZE 64
#define RQ_CHILD_ENTRY 56

/*
 * The leader's "what next?", always notified.  Its arguments: calls done, result of the last one, the leader's slot, the request's
 * seq.  It is told from other calls by where it is made, and must be one that filters around us (a container engine's) allow:
 * their EPERM would come before our notification.  pause(2), since nothing happens by it, whoever lets it through.
 */
#define SYSTRAP_NR_NEXT 34
/*
 * A stub's descriptors.  Those below SYSTRAP_SOCKET_FD are there from the template on, in every stub, and never free.  The limit on
 * descriptors is so low that no more than one file can be received at a time, and that always at SYSTRAP_FILE_FD.
 */
#define SYSTRAP_OWN_FD 0    /* the channels' memory, which the filter lets nobody map unasked */
#define SYSTRAP_FD 1	    /* the file that comes with a request; else, as the next, */
#define SYSTRAP_NO_FD 2	    /* something that cannot be mapped */
#define SYSTRAP_SOCKET_FD 3 /* where the stub's threads receive files, if they do (files.c), */
#define SYSTRAP_FILE_FD 4   /* and what was received last, until it is closed */
#define SYSTRAP_FD_LIMIT 5

/*
 * Pieces: the guest memory that a patched call takes along in its channel, two pieces at most.  The page holds a byte for
 * each number of a call, the index of a shape (0: takes nothing), and then the shapes, of two pieces each:
 *
 *     PC_KIND       a PIECE_ below; 0: there is none
 *     PC_ADDR       which argument is the address
 *     PC_LEN        which argument is the length, if PC_UNIT is not 0, in units of PC_UNIT bytes
 *     PC_SIZE       the length in bytes, if PC_UNIT is 0
 */
#define SYSTRAP_PIECES_CALLS 512
#define SYSTRAP_SHAPE_SIZE 16
#define SYSTRAP_SHAPE_MAX 64
#define PC_KIND 0
#define PC_ADDR 1
#define PC_LEN 2
#define PC_UNIT 3
#define PC_SIZE 4
#define PC_DESC_SIZE 8
#define PIECE_STR 1 /* up to its NUL, which may lie beyond */
#define PIECE_MEM 2 /* all or nothing */

/* Windows, and behind them their records (struct pas_window).  Each stub's are its own. */
#define SYSTRAP_WINDOWS 0x7fff90000000
#define SYSTRAP_WINDOW_COUNT 16
#define SYSTRAP_WINDOW_SIZE 0x4000000
#define SYSTRAP_RECORDS (SYSTRAP_WINDOWS + SYSTRAP_WINDOW_COUNT * SYSTRAP_WINDOW_SIZE)
#define SYSTRAP_RECORDS_SIZE 0x1000
#define SYSTRAP_WINDOWS_END (SYSTRAP_RECORDS + SYSTRAP_RECORDS_SIZE)
/* What is copied without asking for attention in between. */
#define WIN_READ_MAX 0x200000

/*
 * Channels.  The size is the distance between two of them; only the first pages are mapped (frame_layout.channel_size):
 *
 *     0                  the header page: words, the registers of a patched call, pieces, and that call's stack below its end
 *     CH_HEADER_SIZE     the alternate stack: signal frames, at a fixed place at its end
 *     after that         room for another frame: what rt_sigreturn takes when a patched call was not left by its return
 */
#define SYSTRAP_CHANNELS 0x7fff08000000
#define SYSTRAP_CHANNEL_SIZE 0x10000
#define SYSTRAP_CHANNEL_COUNT 32768
/* The first cache line goes to and fro with every call: the word, and of a patched call's registers (8 bytes each) what nearly every
 * call needs. */
#define CH_WORD 0	   /* the hand-over word, a futex */
#define CH_SENTRY_SLEEPS 4 /* the sentry thread sleeps, or is about to, and wants a wake-up */
#define CH_RAX 8
#define CH_RESULT CH_RAX
#define CH_RDI 16 /* the arguments that may name pieces follow each other */
#define CH_RSI 24
#define CH_RDX 32
#define CH_R10 40
#define CH_PIECE_ARGS 4
#define CH_RIP 48
#define CH_RSP 56
/* The second is looked at by both and hardly ever changes. */
#define CH_SELF 64	   /* the channel's own address in the stub: how a trampoline knows that %gs is ours */
#define CH_GUEST_SLEEPS 72 /* the same for the guest thread */
#define CH_SPIN 76	   /* how often the guest thread looks at the word before it sleeps */
#define CH_KICKED 80	   /* the host's kick came while the thread was in a patched call */
#define CH_SHORT_CUTS 84   /* calls below may be answered without the sentry */
#define CH_GS_BASE 88
#define CH_RINGS 100	   /* there are slots of rings */
#define CH_FRAME 104	   /* where the second frame begins */
#define CH_FPSTATE 112	   /* and its XSAVE area */
#define CH_XFEATURES 120
/* The other registers, which the sentry reads when it must. */
#define CH_R8 128
#define CH_R9 136
#define CH_RFLAGS 144
#define CH_RBX 152
#define CH_RBP 160
#define CH_R12 168
#define CH_R13 176
#define CH_R14 184
#define CH_R15 192
#define CH_FS_BASE 200
#define CH_ANSWERS 208	   /* words of 32 bits: */
#define CH_ANSWER_PID 0
#define CH_ANSWER_TID 1
#define CH_ANSWER_PPID 2
#define CH_ANSWER_UID 3
#define CH_ANSWER_GID 4
#define CH_ANSWER_EUID 5
#define CH_ANSWER_EGID 6
#define CH_ANSWER_PGRP 7
#define CH_POSITION 240	   /* struct pctx_position: the offset of an open file, */
#define CH_POSITION_FD 248 /* and its descriptor */
#define CH_RSEQ_AREA 256 /* WORD_RSEQ: the call's arguments, */
#define CH_RSEQ_SIG 264
#define CH_RSEQ_SIZE 268
#define CH_RSEQ_FLAGS 272
#define CH_RSEQ_THEN 276   /* what is to be done next, a hand-over word, */
#define CH_RSEQ_RESULT 280 /* and the result */
#define CH_RSEQ_ANSWER 288 /* the address where the result is to be as well: the frame's rax, or CH_RSEQ_RESULT again  \
			    */
#define CH_RSEQ_DONE 296   /* it was called */
#define CH_RSEQ_LEAVE 252  /* RSEQ_LEAVE: what CH_RSEQ_AREA and the like say is to be undone before an exit(2) is handed over */
#define RSEQ_STAY 0
#define RSEQ_LEAVE 1
#define RSEQ_LEFT 2	   /* it was tried */
#define CH_DO_NR 304	   /* WORD_DO: the call, */
#define CH_DO_ARGS 312	   /* its six arguments, */
#define CH_DO_RESULT 360   /* its result, */
#define CH_DO_DONE 368	   /* and whether it was made; */
#define CH_DO_FILE 372	   /* it wants a file, to be received by CH_DO_MSG before it and closed after it */
#define CH_WAITERS 376	   /* the address of the stub's table of waiters */
/* What WORD_GIVE is about.  The first struct give, their count and the first of what is given share a cache line; the other structs
 * stand before it, one below the other. */
#define CH_ROBUST 384	   /* struct pctx_robust */
#define CH_GIVE 448
#define CH_GIVE_SIZE 16
#define CH_GIVE_MAX 4
#define CH_GIVE_COUNT 464
#define CH_OUT 472	   /* all that is given */
#define CH_OUT_SIZE 1024
#define CH_DO_MSG CH_OUT   /* CH_DO_FILE, while nothing is given: struct msghdr, of 56 bytes, */
#define CH_DO_CONTROL (CH_DO_MSG + 56) /* and its control data, of one descriptor */
#define CH_DO_END (CH_DO_CONTROL + 24)
#define CH_SHORT_STACK (CH_OUT + CH_OUT_SIZE - 8) /* below it the stack of short cuts in C: before a call nothing is given */
#define CH_WINDOWS 1496	   /* where the records of windows are, or 0: not for this thread */
#define CH_READ_COUNT 1504 /* struct pctx_reads: reads that it has made by itself, */
#define CH_READ_BYTES 1512 /* and their bytes */
#define CH_TAKEN 1536	   /* how much of each piece was taken along, 32 bits each, */
#define CH_PIECES 1544	   /* and a place for each */
#define CH_PIECE_SIZE 1024
#define CH_ALTSTACK 3600   /* struct pctx_mask: the thread's alternate stack, */
#define CH_MASK 3624	   /* its signal mask, */
#define CH_MASK_OPEN 3632  /* and whether it may change it here */
#define CH_BACK 3648	   /* WORD_BACK: registers as in struct l_sigcontext, 8 bytes each, from r8 to eflags */
#define CH_BACK_RSP (CH_BACK + 15 * 8)
#define CH_BACK_RIP (CH_BACK + 16 * 8)
#define CH_BACK_EFLAGS (CH_BACK + 17 * 8)
#define CH_BACK_END (CH_BACK + 18 * 8)
/* Slots of rings, two for reading and then two for writing: the descriptor, and where the ring lies from SYSTRAP_CHANNELS on. */
#define CH_RING_SLOTS CH_BACK_END
#define CH_RING_ROLE_SLOTS 2
/* struct pctx_io: for reading, and from CH_RING_IO_SIZE on for writing, how often and how many bytes. */
#define CH_RING_IO (CH_RING_SLOTS + 32)
#define CH_RING_IO_SIZE 16
/* How often it began or ended a sleep in a ring, 64 bits: odd from when it begins until its read is done, here or in the
 * sentry. */
#define CH_NAPS (CH_RING_IO + 2 * CH_RING_IO_SIZE)
#define CH_NAP_RING (CH_NAPS + 8) /* where that ring lies, as in a slot, */
#define CH_NAP_HEAD (CH_NAPS + 12) /* and the reader's position when it began */
#define CH_RINGS_END (CH_NAPS + 16)
#define CH_HEADER_SIZE 4096
#define CH_STACK_TOP CH_HEADER_SIZE

/*
 * Rings (rings.c): the bytes of a pipe between two guest threads.  A block of them takes the place of a channel, in the stubs
 * of both. Positions count bytes modulo 0x10000, those of the reader (RG_HEAD) and of the writer (RG_TAIL); a position with
 * RING_CLOSED, or any other higher bit, is not to be changed any more.
 */
#define SYSTRAP_RING_COUNT 4
#define SYSTRAP_RING_SIZE 0x1080
#define SYSTRAP_RINGS_SIZE 0x5000
#define RG_HEAD 0
#define RG_WAITING 4 /* the reader sleeps on RG_TAIL, or is about to */
#define RG_TAIL 64
#define RG_DATA 128
#define RG_DATA_SIZE 4096
#define RING_CLOSED 0x80000000

/* The hand-over word.  The kernel stores 0 when the thread ends (CLONE_CHILD_CLEARTID). */
#define WORD_DEAD 0
#define WORD_SENTRY 1	   /* the thread is parked in the shim; its frame is the sentry's */
#define WORD_RUN 2	   /* resume from the frame */
#define WORD_RUN_INSN 3	   /* load fs_base and gs_base from the channel with wrfsbase and wrgsbase, then resume */
#define WORD_RUN_CALL 4	   /* the same with arch_prctl, where the kernel has no FSGSBASE */
#define WORD_EXIT 5	   /* end the thread */
#define WORD_CALL 6	   /* the thread is in a patched call, its registers are in the channel: answer */
#define WORD_RETURN 7	   /* the answer is in CH_RESULT */
#define WORD_GIVE 14	   /* likewise, and first what CH_GIVE says is to be copied */
#define WORD_SAVE 8	   /* store the vector state into the second frame */
#define WORD_SAVED 9	   /* it is done: the second frame is the sentry's, to be resumed as the first */
#define WORD_KICKED 10	   /* as WORD_CALL, but the call is done: the thread was kicked on its way out */
#define WORD_RSEQ 12	   /* call rseq with what the channel says, then do what CH_RSEQ_THEN says */
#define WORD_RUN_KICKED 11 /* kicked before the second frame was resumed: nothing has happened yet */
#define WORD_DO 13	   /* make the host call that the channel says, and hand over again as before */
#define WORD_BACK 15	   /* leave the patched call with the registers in CH_BACK */
#define WORD_BACK_KICKED 16 /* kicked before that: they are still there, and nothing has happened yet */
#define WORD_FRAME 17	   /* put a handler's frame, which is in CH_OUT, and the vector state where CH_DO_ARGS says */

/* The host signal that takes a guest thread out of guest code: SIGURG, because a standard signal is never queued twice
 * nor refused for want of queue space, and by default does nothing. */
#define SYSTRAP_KICK 23

#endif
