/*
 * Signals: numbers, actions, siginfo, and the frame that a handler finds on its stack (ucontext, sigcontext, the
 * XSAVE area with its software bytes).  Sources: signal(7), sigaction(2), the x86-64 kernel ABI.
 */
#ifndef BAILEY_ABI_SIGNAL_H
#define BAILEY_ABI_SIGNAL_H

#include "abi/types.h"

#define L_SIGHUP 1
#define L_SIGINT 2
#define L_SIGQUIT 3
#define L_SIGILL 4
#define L_SIGTRAP 5
#define L_SIGABRT 6
#define L_SIGIOT 6
#define L_SIGBUS 7
#define L_SIGFPE 8
#define L_SIGKILL 9
#define L_SIGUSR1 10
#define L_SIGSEGV 11
#define L_SIGUSR2 12
#define L_SIGPIPE 13
#define L_SIGALRM 14
#define L_SIGTERM 15
#define L_SIGSTKFLT 16
#define L_SIGCHLD 17
#define L_SIGCONT 18
#define L_SIGSTOP 19
#define L_SIGTSTP 20
#define L_SIGTTIN 21
#define L_SIGTTOU 22
#define L_SIGURG 23
#define L_SIGXCPU 24
#define L_SIGXFSZ 25
#define L_SIGVTALRM 26
#define L_SIGPROF 27
#define L_SIGWINCH 28
#define L_SIGIO 29
#define L_SIGPOLL 29
#define L_SIGPWR 30
#define L_SIGSYS 31
#define L_SIGRTMIN 32 /* the kernel's, not libc's */
#define L_SIGRTMAX 64
#define L_NSIG 64
#define L_SIGSET_SIZE 8 /* bytes: what sigsetsize arguments must be */

#define L_SIG_DFL 0ull
#define L_SIG_IGN 1ull
#define L_SIG_ERR (~0ull)

#define L_SIG_BLOCK 0
#define L_SIG_UNBLOCK 1
#define L_SIG_SETMASK 2

#define L_SA_NOCLDSTOP 0x00000001u
#define L_SA_NOCLDWAIT 0x00000002u
#define L_SA_SIGINFO 0x00000004u
#define L_SA_UNSUPPORTED 0x00000400u
#define L_SA_EXPOSE_TAGBITS 0x00000800u
#define L_SA_RESTORER 0x04000000u
#define L_SA_ONSTACK 0x08000000u
#define L_SA_RESTART 0x10000000u
#define L_SA_NODEFER 0x40000000u
#define L_SA_RESETHAND 0x80000000u
#define L_SA_NOMASK L_SA_NODEFER
#define L_SA_ONESHOT L_SA_RESETHAND
/* What the kernel keeps of sa_flags. */
#define L_SA_UAPI_FLAGS                                                                                                \
	(L_SA_NOCLDSTOP | L_SA_NOCLDWAIT | L_SA_SIGINFO | L_SA_EXPOSE_TAGBITS | L_SA_RESTORER | L_SA_ONSTACK |         \
	 L_SA_RESTART | L_SA_NODEFER | L_SA_RESETHAND)

/* The kernel's layout, not libc's.  No sa_ prefix: libc makes a macro of sa_handler. */
struct l_sigaction {
	uint64_t handler; /* gva, L_SIG_DFL or L_SIG_IGN */
	uint64_t flags;	  /* L_SA_* */
	uint64_t restorer; /* gva */
	uint64_t mask;
};
L_ASSERT_SIZE(struct l_sigaction, 32);
L_ASSERT_OFFSET(struct l_sigaction, mask, 24);

struct l_stack {
	uint64_t ss_sp; /* gva */
	int32_t ss_flags;
	int32_t pad_;
	uint64_t ss_size; /* bytes */
};
L_ASSERT_SIZE(struct l_stack, 24);
#define L_SS_ONSTACK 1
#define L_SS_DISABLE 2
#define L_SS_AUTODISARM 0x80000000u
#define L_MINSIGSTKSZ 2048
#define L_SIGSTKSZ 8192

/* ---- siginfo ---- */

union l_sigval {
	int32_t sival_int;
	uint64_t sival_ptr;
};
L_ASSERT_SIZE(union l_sigval, 8);

/*
 * The union's members are named after what they are for, not si_pid and so on: libc's <signal.h> makes macros of those.
 * In the kernel's terms: kill.pid is si_pid, rt.value si_value, chld.status si_status, fault.addr si_addr, sys.nr
 * si_syscall.
 */
struct l_siginfo {
	int32_t si_signo;
	int32_t si_errno;
	int32_t si_code;
	int32_t pad0_;
	union {
		struct { /* kill, tkill, and the kernel's own */
			int32_t pid;
			uint32_t uid;
		} kill;
		struct { /* POSIX timers */
			int32_t tid;
			int32_t overrun;
			union l_sigval value;
			int32_t sys_private;
		} timer;
		struct { /* sigqueue, mq_notify */
			int32_t pid;
			uint32_t uid;
			union l_sigval value;
		} rt;
		struct { /* SIGCHLD */
			int32_t pid;
			uint32_t uid;
			int32_t status;
			int32_t pad_;
			int64_t utime, stime; /* in units of 1 / L_USER_HZ s */
		} chld;
		struct { /* SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP */
			uint64_t addr;
			union {
				int16_t addr_lsb; /* BUS_MCEERR_* */
				struct {
					uint64_t pad_;
					uint64_t lower, upper;
				} bnd;
				struct {
					uint64_t pad_;
					uint32_t key;
				} pkey;
				struct {
					uint64_t data;
					uint32_t type, flags;
				} perf;
			};
		} fault;
		struct { /* SIGPOLL */
			int64_t band;
			int32_t fd;
		} poll;
		struct { /* SIGSYS */
			uint64_t call_addr;
			int32_t nr;
			uint32_t arch;
		} sys;
		uint8_t pad1_[112];
	};
};
L_ASSERT_SIZE(struct l_siginfo, 128);
L_ASSERT_OFFSET(struct l_siginfo, kill.pid, 16);
L_ASSERT_OFFSET(struct l_siginfo, timer.value, 24);
L_ASSERT_OFFSET(struct l_siginfo, rt.value, 24);
L_ASSERT_OFFSET(struct l_siginfo, chld.status, 24);
L_ASSERT_OFFSET(struct l_siginfo, chld.utime, 32);
L_ASSERT_OFFSET(struct l_siginfo, fault.addr, 16);
L_ASSERT_OFFSET(struct l_siginfo, fault.addr_lsb, 24);
L_ASSERT_OFFSET(struct l_siginfo, fault.bnd.lower, 32);
L_ASSERT_OFFSET(struct l_siginfo, fault.pkey.key, 32);
L_ASSERT_OFFSET(struct l_siginfo, poll.fd, 24);
L_ASSERT_OFFSET(struct l_siginfo, sys.nr, 24);

#define L_SI_USER 0
#define L_SI_KERNEL 0x80
#define L_SI_QUEUE (-1)
#define L_SI_TIMER (-2)
#define L_SI_MESGQ (-3)
#define L_SI_ASYNCIO (-4)
#define L_SI_SIGIO (-5)
#define L_SI_TKILL (-6)
#define L_SI_DETHREAD (-7)
#define L_SI_ASYNCNL (-60)
#define L_ILL_ILLOPC 1
#define L_ILL_ILLOPN 2
#define L_ILL_ILLADR 3
#define L_ILL_ILLTRP 4
#define L_ILL_PRVOPC 5
#define L_ILL_PRVREG 6
#define L_ILL_COPROC 7
#define L_ILL_BADSTK 8
#define L_FPE_INTDIV 1
#define L_FPE_INTOVF 2
#define L_FPE_FLTDIV 3
#define L_FPE_FLTOVF 4
#define L_FPE_FLTUND 5
#define L_FPE_FLTRES 6
#define L_FPE_FLTINV 7
#define L_FPE_FLTSUB 8
#define L_SEGV_MAPERR 1
#define L_SEGV_ACCERR 2
#define L_SEGV_BNDERR 3
#define L_SEGV_PKUERR 4
#define L_SEGV_CPERR 10
#define L_BUS_ADRALN 1
#define L_BUS_ADRERR 2
#define L_BUS_OBJERR 3
#define L_BUS_MCEERR_AR 4
#define L_BUS_MCEERR_AO 5
#define L_TRAP_BRKPT 1
#define L_TRAP_TRACE 2
#define L_TRAP_BRANCH 3
#define L_TRAP_HWBKPT 4
#define L_TRAP_UNK 5
#define L_CLD_EXITED 1
#define L_CLD_KILLED 2
#define L_CLD_DUMPED 3
#define L_CLD_TRAPPED 4
#define L_CLD_STOPPED 5
#define L_CLD_CONTINUED 6
#define L_POLL_IN 1
#define L_POLL_OUT 2
#define L_POLL_MSG 3
#define L_POLL_ERR 4
#define L_POLL_PRI 5
#define L_POLL_HUP 6
#define L_SYS_SECCOMP 1
#define L_SYS_USER_DISPATCH 2

/* ---- sigevent: timer_create, mq_notify ---- */

struct l_sigevent {
	union l_sigval sigev_value;
	int32_t sigev_signo;
	int32_t sigev_notify;
	union {
		int32_t sigev_tid;
		uint8_t pad_[48];
	};
};
L_ASSERT_SIZE(struct l_sigevent, 64);
L_ASSERT_OFFSET(struct l_sigevent, sigev_tid, 16);
#define L_SIGEV_SIGNAL 0
#define L_SIGEV_NONE 1
#define L_SIGEV_THREAD 2
#define L_SIGEV_THREAD_ID 4

/* ---- signalfd(2) ---- */

struct l_signalfd_siginfo {
	uint32_t ssi_signo;
	int32_t ssi_errno;
	int32_t ssi_code;
	uint32_t ssi_pid;
	uint32_t ssi_uid;
	int32_t ssi_fd;
	uint32_t ssi_tid;
	uint32_t ssi_band;
	uint32_t ssi_overrun;
	uint32_t ssi_trapno;
	int32_t ssi_status;
	int32_t ssi_int;
	uint64_t ssi_ptr;
	uint64_t ssi_utime;
	uint64_t ssi_stime;
	uint64_t ssi_addr;
	uint16_t ssi_addr_lsb;
	uint16_t pad0_;
	int32_t ssi_syscall;
	uint64_t ssi_call_addr;
	uint32_t ssi_arch;
	uint8_t pad1_[28];
};
L_ASSERT_SIZE(struct l_signalfd_siginfo, 128);
L_ASSERT_OFFSET(struct l_signalfd_siginfo, ssi_addr_lsb, 80);
#define L_SFD_CLOEXEC 02000000
#define L_SFD_NONBLOCK 04000

/* ---- the handler's frame ---- */

#define L_FP_XSTATE_MAGIC1 0x46505853u
#define L_FP_XSTATE_MAGIC2 0x46505845u
#define L_FP_XSTATE_MAGIC2_SIZE 4

/* The last bytes of the legacy area: say that an extended area follows, ended by MAGIC2. */
struct l_fpx_sw_bytes {
	uint32_t magic1;
	uint32_t extended_size; /* bytes, MAGIC2 included */
	uint64_t xfeatures;
	uint32_t xstate_size; /* bytes, MAGIC2 not included */
	uint32_t padding[7];
};
L_ASSERT_SIZE(struct l_fpx_sw_bytes, 48);

/* The FXSAVE area. */
struct l_fpstate {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_space[32];
	uint32_t xmm_space[64];
	uint32_t reserved2[12];
	struct l_fpx_sw_bytes sw_reserved;
};
L_ASSERT_SIZE(struct l_fpstate, 512);
L_ASSERT_OFFSET(struct l_fpstate, mxcsr, 24);
L_ASSERT_OFFSET(struct l_fpstate, xmm_space, 160);
L_ASSERT_OFFSET(struct l_fpstate, sw_reserved, 464);

struct l_xstate_header {
	uint64_t xfeatures;
	uint64_t xcomp_bv;
	uint64_t reserved[6];
};
L_ASSERT_SIZE(struct l_xstate_header, 64);
#define L_XSTATE_HEADER_OFF 512
#define L_XFEATURE_X87 1ull
#define L_XFEATURE_SSE 2ull
#define L_XFEATURE_XTILECFG (1ull << 17)
#define L_XFEATURE_XTILEDATA (1ull << 18)

struct l_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
	uint64_t eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate; /* gva of struct l_fpstate, or 0 */
	uint64_t reserved1[8];
};
L_ASSERT_SIZE(struct l_sigcontext, 256);
L_ASSERT_OFFSET(struct l_sigcontext, rip, 128);
L_ASSERT_OFFSET(struct l_sigcontext, eflags, 136);
L_ASSERT_OFFSET(struct l_sigcontext, err, 152);
L_ASSERT_OFFSET(struct l_sigcontext, fpstate, 184);

struct l_ucontext {
	uint64_t uc_flags;
	uint64_t uc_link;
	struct l_stack uc_stack;
	struct l_sigcontext uc_mcontext;
	uint64_t uc_sigmask;
};
L_ASSERT_SIZE(struct l_ucontext, 304);
L_ASSERT_OFFSET(struct l_ucontext, uc_mcontext, 40);
L_ASSERT_OFFSET(struct l_ucontext, uc_sigmask, 296);
#define L_UC_FP_XSTATE 1
#define L_UC_SIGCONTEXT_SS 2
#define L_UC_STRICT_RESTORE_SS 4

/* What lies at rsp when a handler is entered. */
struct l_rt_sigframe {
	uint64_t pretcode; /* the return address: sa_restorer */
	struct l_ucontext uc;
	struct l_siginfo info;
	/* the floating-point state is above, at uc_mcontext.fpstate */
};
L_ASSERT_SIZE(struct l_rt_sigframe, 440);
L_ASSERT_OFFSET(struct l_rt_sigframe, info, 312);

#define L_USER_CS 0x33
#define L_USER_CS_32 0x23
#define L_USER_DS 0x2b
#define L_USER_RPL 3 /* in a selector: a user's privilege */
#define L_EFLAGS_CF 0x00000001
#define L_EFLAGS_FIXED 0x00000002
#define L_EFLAGS_TF 0x00000100
#define L_EFLAGS_IF 0x00000200
#define L_EFLAGS_DF 0x00000400
#define L_EFLAGS_RF 0x00010000
#define L_EFLAGS_AC 0x00040000
/* What rt_sigreturn takes over from the frame. */
#define L_EFLAGS_RESTORABLE 0x00050dd5

#define L_X86_TRAP_DE 0
#define L_X86_TRAP_DB 1
#define L_X86_TRAP_BP 3
#define L_X86_TRAP_OF 4
#define L_X86_TRAP_BR 5
#define L_X86_TRAP_UD 6
#define L_X86_TRAP_SS 12
#define L_X86_TRAP_GP 13
#define L_X86_TRAP_PF 14
#define L_X86_TRAP_MF 16
#define L_X86_TRAP_AC 17
#define L_X86_TRAP_XF 19
#define L_X86_PF_PROT 1
#define L_X86_PF_WRITE 2
#define L_X86_PF_USER 4
#define L_X86_PF_INSTR 16

#endif
