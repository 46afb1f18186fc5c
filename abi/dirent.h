/* getdents64(2) and getdents(2). */
#ifndef BAILEY_ABI_DIRENT_H
#define BAILEY_ABI_DIRENT_H

#include "abi/types.h"

/* The NUL-terminated name follows at L_DIRENT64_NAME_OFF; records are padded to 8 bytes. */
struct l_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	uint8_t d_name_[]; /* the name begins inside the padding: use L_DIRENT64_NAME_OFF */
};
L_ASSERT_OFFSET(struct l_dirent64, d_reclen, 16);
L_ASSERT_OFFSET(struct l_dirent64, d_type, 18);
L_ASSERT_OFFSET(struct l_dirent64, d_name_, 19);
#define L_DIRENT64_NAME_OFF 19

/* getdents(2)'s record: the type is in its last byte, after the name's NUL. */
struct l_dirent {
	uint64_t d_ino;
	uint64_t d_off;
	uint16_t d_reclen;
	uint8_t d_name_[];
};
L_ASSERT_OFFSET(struct l_dirent, d_name_, 18);
#define L_DIRENT_NAME_OFF 18

#define L_DT_UNKNOWN 0
#define L_DT_FIFO 1
#define L_DT_CHR 2
#define L_DT_DIR 4
#define L_DT_BLK 6
#define L_DT_REG 8
#define L_DT_LNK 10
#define L_DT_SOCK 12
#define L_DT_WHT 14

#endif
