/* capabilities(7), capget(2), securebits. */
#ifndef BAILEY_ABI_CAPABILITY_H
#define BAILEY_ABI_CAPABILITY_H

#include "abi/types.h"

#define L_CAP_CHOWN 0
#define L_CAP_DAC_OVERRIDE 1
#define L_CAP_DAC_READ_SEARCH 2
#define L_CAP_FOWNER 3
#define L_CAP_FSETID 4
#define L_CAP_KILL 5
#define L_CAP_SETGID 6
#define L_CAP_SETUID 7
#define L_CAP_SETPCAP 8
#define L_CAP_LINUX_IMMUTABLE 9
#define L_CAP_NET_BIND_SERVICE 10
#define L_CAP_NET_BROADCAST 11
#define L_CAP_NET_ADMIN 12
#define L_CAP_NET_RAW 13
#define L_CAP_IPC_LOCK 14
#define L_CAP_IPC_OWNER 15
#define L_CAP_SYS_MODULE 16
#define L_CAP_SYS_RAWIO 17
#define L_CAP_SYS_CHROOT 18
#define L_CAP_SYS_PTRACE 19
#define L_CAP_SYS_PACCT 20
#define L_CAP_SYS_ADMIN 21
#define L_CAP_SYS_BOOT 22
#define L_CAP_SYS_NICE 23
#define L_CAP_SYS_RESOURCE 24
#define L_CAP_SYS_TIME 25
#define L_CAP_SYS_TTY_CONFIG 26
#define L_CAP_MKNOD 27
#define L_CAP_LEASE 28
#define L_CAP_AUDIT_WRITE 29
#define L_CAP_AUDIT_CONTROL 30
#define L_CAP_SETFCAP 31
#define L_CAP_MAC_OVERRIDE 32
#define L_CAP_MAC_ADMIN 33
#define L_CAP_SYSLOG 34
#define L_CAP_WAKE_ALARM 35
#define L_CAP_BLOCK_SUSPEND 36
#define L_CAP_AUDIT_READ 37
#define L_CAP_PERFMON 38
#define L_CAP_BPF 39
#define L_CAP_CHECKPOINT_RESTORE 40
#define L_CAP_LAST_CAP 40
/* What setfsuid(2) drops and raises. */
#define L_CAP_FS_SET                                                                                                   \
	(1ull << L_CAP_CHOWN | 1ull << L_CAP_DAC_OVERRIDE | 1ull << L_CAP_DAC_READ_SEARCH | 1ull << L_CAP_FOWNER |     \
	 1ull << L_CAP_FSETID | 1ull << L_CAP_LINUX_IMMUTABLE | 1ull << L_CAP_MKNOD | 1ull << L_CAP_MAC_OVERRIDE)
#define L_CAP_FULL_SET ((1ull << (L_CAP_LAST_CAP + 1)) - 1)

#define L__LINUX_CAPABILITY_VERSION_1 0x19980330
#define L__LINUX_CAPABILITY_VERSION_2 0x20071026
#define L__LINUX_CAPABILITY_VERSION_3 0x20080522

struct l_user_cap_header {
	uint32_t version;
	int32_t pid;
};
L_ASSERT_SIZE(struct l_user_cap_header, 8);

struct l_user_cap_data { /* one for version 1, two (low word first) for 2 and 3 */
	uint32_t effective;
	uint32_t permitted;
	uint32_t inheritable;
};
L_ASSERT_SIZE(struct l_user_cap_data, 12);

#define L_SECBIT_NOROOT (1 << 0)
#define L_SECBIT_NOROOT_LOCKED (1 << 1)
#define L_SECBIT_NO_SETUID_FIXUP (1 << 2)
#define L_SECBIT_NO_SETUID_FIXUP_LOCKED (1 << 3)
#define L_SECBIT_KEEP_CAPS (1 << 4)
#define L_SECBIT_KEEP_CAPS_LOCKED (1 << 5)
#define L_SECBIT_NO_CAP_AMBIENT_RAISE (1 << 6)
#define L_SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED (1 << 7)
#define L_SECBIT_EXEC_RESTRICT_FILE (1 << 8)
#define L_SECBIT_EXEC_RESTRICT_FILE_LOCKED (1 << 9)
#define L_SECBIT_EXEC_DENY_INTERACTIVE (1 << 10)
#define L_SECBIT_EXEC_DENY_INTERACTIVE_LOCKED (1 << 11)
#define L_SECBIT_ALL 0xfffu
#define L_SECBIT_LOCKS 0xaaau /* each locks the bit below it */
#define L_SECBIT_UNPRIVILEGED 0xf00u

/* security.capability */
#define L_VFS_CAP_REVISION_MASK 0xff000000
#define L_VFS_CAP_REVISION_1 0x01000000
#define L_VFS_CAP_REVISION_2 0x02000000
#define L_VFS_CAP_REVISION_3 0x03000000
#define L_VFS_CAP_FLAGS_EFFECTIVE 1

#endif
