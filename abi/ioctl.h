/* ioctl(2) requests: the number encoding, terminals, generic file requests, block and network ones that programs probe. */
#ifndef BAILEY_ABI_IOCTL_H
#define BAILEY_ABI_IOCTL_H

#include "abi/types.h"

#define L_IOC_NONE 0u
#define L_IOC_WRITE 1u
#define L_IOC_READ 2u
#define L_IOC(dir, type, nr, size)                                                                                     \
	(((uint32_t)(dir) << 30) | ((uint32_t)(size) << 16) | ((uint32_t)(type) << 8) | (uint32_t)(nr))
#define L_IOC_DIR(req) (((req) >> 30) & 3)
#define L_IOC_SIZE(req) (((req) >> 16) & 0x3fff)
#define L_IOC_TYPE(req) (((req) >> 8) & 0xff)
#define L_IOC_NR(req) ((req)&0xff)

#define L_TCGETS 0x5401
#define L_TCSETS 0x5402
#define L_TCSETSW 0x5403
#define L_TCSETSF 0x5404
#define L_TCGETA 0x5405
#define L_TCSETA 0x5406
#define L_TCSETAW 0x5407
#define L_TCSETAF 0x5408
#define L_TCSBRK 0x5409
#define L_TCXONC 0x540a
#define L_TCFLSH 0x540b
#define L_TIOCEXCL 0x540c
#define L_TIOCNXCL 0x540d
#define L_TIOCSCTTY 0x540e
#define L_TIOCGPGRP 0x540f
#define L_TIOCSPGRP 0x5410
#define L_TIOCOUTQ 0x5411
#define L_TIOCSTI 0x5412
#define L_TIOCGWINSZ 0x5413
#define L_TIOCSWINSZ 0x5414
#define L_TIOCMGET 0x5415
#define L_TIOCMBIS 0x5416
#define L_TIOCMBIC 0x5417
#define L_TIOCMSET 0x5418
#define L_TIOCGSOFTCAR 0x5419
#define L_TIOCSSOFTCAR 0x541a
#define L_FIONREAD 0x541b
#define L_TIOCINQ L_FIONREAD
#define L_TIOCLINUX 0x541c
#define L_TIOCCONS 0x541d
#define L_TIOCGSERIAL 0x541e
#define L_TIOCSSERIAL 0x541f
#define L_TIOCPKT 0x5420
#define L_FIONBIO 0x5421
#define L_TIOCNOTTY 0x5422
#define L_TIOCSETD 0x5423
#define L_TIOCGETD 0x5424
#define L_TCSBRKP 0x5425
#define L_TIOCSBRK 0x5427
#define L_TIOCCBRK 0x5428
#define L_TIOCGSID 0x5429
#define L_TCGETS2 0x802c542a
#define L_TCSETS2 0x402c542b
#define L_TCSETSW2 0x402c542c
#define L_TCSETSF2 0x402c542d
#define L_TIOCGPTN 0x80045430
#define L_TIOCSPTLCK 0x40045431
#define L_TIOCGDEV 0x80045432
#define L_TIOCSIG 0x40045436
#define L_TIOCVHANGUP 0x5437
#define L_TIOCGPKT 0x80045438
#define L_TIOCGPTLCK 0x80045439
#define L_TIOCGEXCL 0x80045440
#define L_TIOCGPTPEER 0x5441
#define L_FIONCLEX 0x5450
#define L_FIOCLEX 0x5451
#define L_FIOASYNC 0x5452
#define L_FIOQSIZE 0x5460
#define L_TIOCPKT_DATA 0
#define L_TIOCPKT_FLUSHREAD 1
#define L_TIOCPKT_FLUSHWRITE 2
#define L_TIOCPKT_STOP 4
#define L_TIOCPKT_START 8
#define L_TIOCPKT_NOSTOP 16
#define L_TIOCPKT_DOSTOP 32
#define L_TIOCPKT_IOCTL 64

#define L_FIBMAP 1
#define L_FIGETBSZ 2
#define L_FIFREEZE 0xc0045877
#define L_FITHAW 0xc0045878
#define L_FICLONE 0x40049409
#define L_FICLONERANGE 0x4020940d
struct l_file_clone_range {
	int64_t src_fd;
	uint64_t src_offset, src_length, dest_offset;
};
L_ASSERT_SIZE(struct l_file_clone_range, 32);
#define L_FIDEDUPERANGE 0xc0189436
struct l_file_dedupe_range_info {
	int64_t dest_fd;
	uint64_t dest_offset, bytes_deduped;
	int32_t status;
	uint32_t reserved;
};
struct l_file_dedupe_range { /* dest_count infos follow */
	uint64_t src_offset, src_length;
	uint16_t dest_count, reserved1;
	uint32_t reserved2;
};
#define L_FS_IOC_GETFLAGS 0x80086601
#define L_FS_IOC_SETFLAGS 0x40086602
#define L_FS_IOC_GETVERSION 0x80087601
#define L_FS_IOC_FIEMAP 0xc020660b
#define L_FS_IOC_FSGETXATTR 0x801c581f
#define L_FS_IOC_FSSETXATTR 0x401c5820

/* Flags of an inode, chattr(1): FS_IOC_SETFLAGS. */
#define L_FS_IMMUTABLE_FL 0x10
#define L_FS_APPEND_FL 0x20
#define L_FS_NODUMP_FL 0x40
#define L_FS_NOATIME_FL 0x80
/* The same and more, for FS_IOC_FSSETXATTR and file_setattr(2). */
#define L_FS_XFLAG_REALTIME 0x1
#define L_FS_XFLAG_PREALLOC 0x2
#define L_FS_XFLAG_IMMUTABLE 0x8
#define L_FS_XFLAG_APPEND 0x10
#define L_FS_XFLAG_NOATIME 0x40
#define L_FS_XFLAG_NODUMP 0x80
#define L_FS_XFLAG_EXTSIZE 0x800
#define L_FS_XFLAG_EXTSZINHERIT 0x1000
#define L_FS_XFLAG_COWEXTSIZE 0x10000
#define L_FS_XFLAG_HASATTR 0x80000000
#define L_FS_XFLAGS_ALL 0x8001fffbull /* those that have a meaning */

struct l_fsxattr {
	uint32_t fsx_xflags, fsx_extsize, fsx_nextents, fsx_projid, fsx_cowextsize;
	uint8_t fsx_pad[8];
};
L_ASSERT_SIZE(struct l_fsxattr, 28);

struct l_file_attr { /* file_getattr(2) */
	uint64_t fa_xflags;
	uint32_t fa_extsize, fa_nextents, fa_projid, fa_cowextsize;
};
L_ASSERT_SIZE(struct l_file_attr, 24);
#define L_FILE_ATTR_SIZE_VER0 24

#define L_BLKGETSIZE64 0x80081272
#define L_RNDGETENTCNT 0x80045200

#define L_FIOSETOWN 0x8901
#define L_SIOCSPGRP 0x8902
#define L_FIOGETOWN 0x8903
#define L_SIOCGPGRP 0x8904
#define L_SIOCATMARK 0x8905
#define L_SIOCUNIXFILE 0x89e0
#define L_SIOCGIFNAME 0x8910
#define L_SIOCGIFCONF 0x8912
#define L_SIOCGIFFLAGS 0x8913
#define L_SIOCSIFFLAGS 0x8914
#define L_SIOCGIFADDR 0x8915
#define L_SIOCSIFADDR 0x8916
#define L_SIOCGIFDSTADDR 0x8917
#define L_SIOCGIFBRDADDR 0x8919
#define L_SIOCGIFNETMASK 0x891b
#define L_SIOCSIFNETMASK 0x891c
#define L_SIOCGIFMETRIC 0x891d
#define L_SIOCGIFMTU 0x8921
#define L_SIOCSIFMTU 0x8922
#define L_SIOCSIFNAME 0x8923
#define L_SIOCGIFHWADDR 0x8927
#define L_SIOCGIFINDEX 0x8933
#define L_SIOCGIFTXQLEN 0x8942
#define L_SIOCGIFMAP 0x8970

/* ---- terminals ---- */

#define L_NCCS 19
struct l_termios {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line;
	uint8_t c_cc[L_NCCS];
};
L_ASSERT_SIZE(struct l_termios, 36);
L_ASSERT_OFFSET(struct l_termios, c_cc, 17);

struct l_termios2 {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line;
	uint8_t c_cc[L_NCCS];
	uint32_t c_ispeed, c_ospeed;
};
L_ASSERT_SIZE(struct l_termios2, 44);

struct l_termio {
	uint16_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line;
	uint8_t c_cc[8];
	uint8_t pad_;
};
L_ASSERT_SIZE(struct l_termio, 18);

struct l_winsize {
	uint16_t ws_row, ws_col, ws_xpixel, ws_ypixel;
};
L_ASSERT_SIZE(struct l_winsize, 8);

#define L_VINTR 0
#define L_VQUIT 1
#define L_VERASE 2
#define L_VKILL 3
#define L_VEOF 4
#define L_VTIME 5
#define L_VMIN 6
#define L_VSWTC 7
#define L_VSTART 8
#define L_VSTOP 9
#define L_VSUSP 10
#define L_VEOL 11
#define L_VREPRINT 12
#define L_VDISCARD 13
#define L_VWERASE 14
#define L_VLNEXT 15
#define L_VEOL2 16

#define L_IGNBRK 0000001
#define L_BRKINT 0000002
#define L_IGNPAR 0000004
#define L_PARMRK 0000010
#define L_INPCK 0000020
#define L_ISTRIP 0000040
#define L_INLCR 0000100
#define L_IGNCR 0000200
#define L_ICRNL 0000400
#define L_IUCLC 0001000
#define L_IXON 0002000
#define L_IXANY 0004000
#define L_IXOFF 0010000
#define L_IMAXBEL 0020000
#define L_IUTF8 0040000

#define L_OPOST 0000001
#define L_OLCUC 0000002
#define L_ONLCR 0000004
#define L_OCRNL 0000010
#define L_ONOCR 0000020
#define L_ONLRET 0000040
#define L_OFILL 0000100
#define L_OFDEL 0000200
#define L_TABDLY 0014000
#define L_XTABS 0014000

#define L_CBAUD 0010017
#define L_B0 0000000
#define L_B9600 0000015
#define L_B38400 0000017
#define L_B115200 0010002
#define L_CSIZE 0000060
#define L_CS5 0000000
#define L_CS6 0000020
#define L_CS7 0000040
#define L_CS8 0000060
#define L_CSTOPB 0000100
#define L_CREAD 0000200
#define L_PARENB 0000400
#define L_PARODD 0001000
#define L_HUPCL 0002000
#define L_CLOCAL 0004000

#define L_ISIG 0000001
#define L_ICANON 0000002
#define L_XCASE 0000004
#define L_ECHO 0000010
#define L_ECHOE 0000020
#define L_ECHOK 0000040
#define L_ECHONL 0000100
#define L_NOFLSH 0000200
#define L_TOSTOP 0000400
#define L_ECHOCTL 0001000
#define L_ECHOPRT 0002000
#define L_ECHOKE 0004000
#define L_FLUSHO 0010000
#define L_PENDIN 0040000
#define L_IEXTEN 0100000
#define L_EXTPROC 0200000

#define L_TCOOFF 0
#define L_TCOON 1
#define L_TCIOFF 2
#define L_TCION 3
#define L_TCIFLUSH 0
#define L_TCOFLUSH 1
#define L_TCIOFLUSH 2
#define L_N_TTY 0

/* Namespaces: ioctl_ns(2). */
#define L_NS_GET_USERNS 0xb701
#define L_NS_GET_PARENT 0xb702
#define L_NS_GET_NSTYPE 0xb703
#define L_NS_GET_OWNER_UID 0xb704
#define L_NS_GET_MNTNS_ID 0x8008b705
#define L_NS_GET_PID_FROM_PIDNS 0x8004b706
#define L_NS_GET_TGID_FROM_PIDNS 0x8004b707
#define L_NS_GET_PID_IN_PIDNS 0x8004b708
#define L_NS_GET_TGID_IN_PIDNS 0x8004b709
#define L_NS_MNT_GET_INFO 0x8010b70a
#define L_NS_GET_ID 0x8008b70d
struct l_mnt_ns_info {
	uint32_t size, nr_mounts;
	uint64_t mnt_ns_id;
};

#endif
