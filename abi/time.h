/* Clocks, timers and the structures that carry time. */
#ifndef BAILEY_ABI_TIME_H
#define BAILEY_ABI_TIME_H

#include "abi/types.h"

struct l_timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};
L_ASSERT_SIZE(struct l_timespec, 16);

struct l_timeval {
	int64_t tv_sec;
	int64_t tv_usec;
};
L_ASSERT_SIZE(struct l_timeval, 16);

struct l_timezone {
	int32_t tz_minuteswest;
	int32_t tz_dsttime;
};
L_ASSERT_SIZE(struct l_timezone, 8);

struct l_itimerspec {
	struct l_timespec it_interval;
	struct l_timespec it_value;
};
L_ASSERT_SIZE(struct l_itimerspec, 32);

struct l_itimerval {
	struct l_timeval it_interval;
	struct l_timeval it_value;
};
L_ASSERT_SIZE(struct l_itimerval, 32);

struct l_utimbuf {
	int64_t actime;
	int64_t modtime;
};
L_ASSERT_SIZE(struct l_utimbuf, 16);

struct l_tms {
	int64_t tms_utime, tms_stime, tms_cutime, tms_cstime; /* in units of 1 / L_USER_HZ s */
};
L_ASSERT_SIZE(struct l_tms, 32);

/* adjtimex(2) and clock_adjtime(2) */
struct l_timex {
	uint32_t modes;
	uint32_t pad0_;
	int64_t offset;
	int64_t freq;
	int64_t maxerror;
	int64_t esterror;
	int32_t status;
	int32_t pad1_;
	int64_t constant;
	int64_t precision;
	int64_t tolerance;
	struct l_timeval time;
	int64_t tick;
	int64_t ppsfreq;
	int64_t jitter;
	int32_t shift;
	int32_t pad2_;
	int64_t stabil;
	int64_t jitcnt;
	int64_t calcnt;
	int64_t errcnt;
	int64_t stbcnt;
	int32_t tai;
	int32_t pad3_[11];
};
L_ASSERT_SIZE(struct l_timex, 208);
L_ASSERT_OFFSET(struct l_timex, time, 72);
L_ASSERT_OFFSET(struct l_timex, tai, 160);

#define L_USER_HZ 100
#define L_NSEC_PER_SEC 1000000000ll
#define L_NSEC_PER_USEC 1000ll
#define L_USEC_PER_SEC 1000000ll

#define L_CLOCK_REALTIME 0
#define L_CLOCK_MONOTONIC 1
#define L_CLOCK_PROCESS_CPUTIME_ID 2
#define L_CLOCK_THREAD_CPUTIME_ID 3
#define L_CLOCK_MONOTONIC_RAW 4
#define L_CLOCK_REALTIME_COARSE 5
#define L_CLOCK_MONOTONIC_COARSE 6
#define L_CLOCK_BOOTTIME 7
#define L_CLOCK_REALTIME_ALARM 8
#define L_CLOCK_BOOTTIME_ALARM 9
#define L_CLOCK_TAI 11
#define L_MAX_CLOCKS 16
/* A negative clock id: ~pid << 3, bit 2 for a thread, bits 0-1 the kind; kind 3 is a descriptor. */
#define L_CPUCLOCK_PERTHREAD_MASK 4
#define L_CPUCLOCK_CLOCK_MASK 3
#define L_CPUCLOCK_PROF 0
#define L_CPUCLOCK_VIRT 1
#define L_CPUCLOCK_SCHED 2
#define L_CLOCKFD 3

#define L_TIMER_ABSTIME 1

#define L_ITIMER_REAL 0
#define L_ITIMER_VIRTUAL 1
#define L_ITIMER_PROF 2

#define L_TFD_CLOEXEC 02000000
#define L_TFD_NONBLOCK 04000
#define L_TFD_TIMER_ABSTIME 1
#define L_TFD_TIMER_CANCEL_ON_SET 2
#define L_TFD_IOC_SET_TICKS 0x40085400

#define L_UTIME_NOW 0x3fffffff
#define L_UTIME_OMIT 0x3ffffffe

#define L_ADJ_OFFSET 0x0001
#define L_ADJ_FREQUENCY 0x0002
#define L_ADJ_MAXERROR 0x0004
#define L_ADJ_ESTERROR 0x0008
#define L_ADJ_STATUS 0x0010
#define L_ADJ_TIMECONST 0x0020
#define L_ADJ_TAI 0x0080
#define L_ADJ_SETOFFSET 0x0100
#define L_ADJ_MICRO 0x1000
#define L_ADJ_NANO 0x2000
#define L_ADJ_TICK 0x4000
#define L_ADJ_ADJTIME 0x8000
#define L_ADJ_OFFSET_SINGLESHOT 0x8001
#define L_ADJ_OFFSET_SS_READ 0xa001
#define L_STA_PLL 0x0001
#define L_STA_UNSYNC 0x0040
#define L_STA_NANO 0x2000
#define L_TIME_OK 0
#define L_TIME_ERROR 5

#endif
