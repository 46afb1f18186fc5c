/* Limits and usage: getrlimit(2), getrusage(2), priorities. */
#ifndef BAILEY_ABI_RESOURCE_H
#define BAILEY_ABI_RESOURCE_H

#include "abi/time.h"
#include "abi/types.h"

#define L_RLIMIT_CPU 0
#define L_RLIMIT_FSIZE 1
#define L_RLIMIT_DATA 2
#define L_RLIMIT_STACK 3
#define L_RLIMIT_CORE 4
#define L_RLIMIT_RSS 5
#define L_RLIMIT_NPROC 6
#define L_RLIMIT_NOFILE 7
#define L_RLIMIT_MEMLOCK 8
#define L_RLIMIT_AS 9
#define L_RLIMIT_LOCKS 10
#define L_RLIMIT_SIGPENDING 11
#define L_RLIMIT_MSGQUEUE 12
#define L_RLIMIT_NICE 13
#define L_RLIMIT_RTPRIO 14
#define L_RLIMIT_RTTIME 15
#define L_RLIM_NLIMITS 16
#define L_RLIM_INFINITY (~0ull)

struct l_rlimit64 {
	uint64_t rlim_cur;
	uint64_t rlim_max;
};
L_ASSERT_SIZE(struct l_rlimit64, 16);

#define L_RUSAGE_SELF 0
#define L_RUSAGE_CHILDREN (-1)
#define L_RUSAGE_THREAD 1

struct l_rusage {
	struct l_timeval ru_utime;
	struct l_timeval ru_stime;
	int64_t ru_maxrss; /* KiB */
	int64_t ru_ixrss, ru_idrss, ru_isrss;
	int64_t ru_minflt, ru_majflt;
	int64_t ru_nswap;
	int64_t ru_inblock, ru_oublock;
	int64_t ru_msgsnd, ru_msgrcv;
	int64_t ru_nsignals;
	int64_t ru_nvcsw, ru_nivcsw;
};
L_ASSERT_SIZE(struct l_rusage, 144);

#define L_PRIO_MIN (-20)
#define L_PRIO_MAX 20
#define L_PRIO_PROCESS 0
#define L_PRIO_PGRP 1
#define L_PRIO_USER 2

#define L_NR_OPEN 1048576 /* fs.nr_open: the most RLIMIT_NOFILE can be */

#endif
