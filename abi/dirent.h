/* getdents64(2) and getdents(2). */
#ifndef BAILEY_ABI_DIRENT_H
#define BAILEY_ABI_DIRENT_H

#include "abi/types.h"

/* sizeof is 24: a record's size is L_DIRENT64_NAME_OFF, the name and its NUL, rounded up to 8 bytes. */
struct l_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[]; /* NUL-terminated */
};
L_ASSERT_OFFSET(struct l_dirent64, d_reclen, 16);
L_ASSERT_OFFSET(struct l_dirent64, d_type, 18);
L_ASSERT_OFFSET(struct l_dirent64, d_name, 19);
#define L_DIRENT64_NAME_OFF 19

/* getdents(2)'s record: the type is in its last byte, after the name's NUL. */
struct l_dirent {
	uint64_t d_ino;
	uint64_t d_off;
	uint16_t d_reclen;
	char d_name[];
};
L_ASSERT_OFFSET(struct l_dirent, d_name, 18);
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
