/* uname(2), sysinfo(2). */
#ifndef BAILEY_ABI_UTSNAME_H
#define BAILEY_ABI_UTSNAME_H

#include "abi/types.h"

#define L_UTS_LEN 64
struct l_utsname {
	char sysname[L_UTS_LEN + 1];
	char nodename[L_UTS_LEN + 1];
	char release[L_UTS_LEN + 1];
	char version[L_UTS_LEN + 1];
	char machine[L_UTS_LEN + 1];
	char domainname[L_UTS_LEN + 1];
};
L_ASSERT_SIZE(struct l_utsname, 390);

/* The kernel that Bailey is to its guests: what uname(2) and /proc/version say. */
#define BAILEY_UTS_SYSNAME "Linux"
#define BAILEY_UTS_RELEASE "6.18.0-bailey"
#define BAILEY_UTS_VERSION "#1 SMP PREEMPT_DYNAMIC Bailey 0.1.0"
#define BAILEY_UTS_MACHINE "x86_64"

struct l_sysinfo {
	int64_t uptime; /* s */
	uint64_t loads[3]; /* 1 << L_SI_LOAD_SHIFT is 1.0 */
	uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap; /* in mem_unit */
	uint16_t procs;
	uint16_t pad0_;
	uint32_t pad1_;
	uint64_t totalhigh, freehigh;
	uint32_t mem_unit; /* bytes */
	uint32_t pad2_;
};
L_ASSERT_SIZE(struct l_sysinfo, 112);
L_ASSERT_OFFSET(struct l_sysinfo, procs, 80);
L_ASSERT_OFFSET(struct l_sysinfo, mem_unit, 104);
#define L_SI_LOAD_SHIFT 16

#endif
