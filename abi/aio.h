/* Linux AIO: io_setup(2) and its kin. */
#ifndef BAILEY_ABI_AIO_H
#define BAILEY_ABI_AIO_H

#include "abi/types.h"

#define L_IOCB_CMD_PREAD 0
#define L_IOCB_CMD_PWRITE 1
#define L_IOCB_CMD_FSYNC 2
#define L_IOCB_CMD_FDSYNC 3
#define L_IOCB_CMD_POLL 5
#define L_IOCB_CMD_NOOP 6
#define L_IOCB_CMD_PREADV 7
#define L_IOCB_CMD_PWRITEV 8

#define L_IOCB_FLAG_RESFD 1
#define L_IOCB_FLAG_IOPRIO 2

#define L_KIOCB_KEY 0 /* what the kernel puts into iocb.key */

struct l_iocb {
	uint64_t data;
	uint32_t key;
	uint32_t rw_flags; /* L_RWF_* */
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fildes;
	uint64_t buf;
	uint64_t nbytes;
	int64_t offset;
	uint64_t reserved2;
	uint32_t flags;
	uint32_t resfd;
};
L_ASSERT_SIZE(struct l_iocb, 64);
#define L_IOCB_KEY_OFF 8 /* of key */

struct l_io_event {
	uint64_t data;
	uint64_t obj; /* gva of the iocb */
	int64_t res, res2;
};
L_ASSERT_SIZE(struct l_io_event, 32);

#define L_AIO_RING_SIZE 32		    /* before its events */
#define L_AIO_EVENTS_MAX (0x10000000u / 32) /* a context for more is refused */

#endif
