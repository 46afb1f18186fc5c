/* System V IPC and POSIX message queues. */
#ifndef BAILEY_ABI_IPC_H
#define BAILEY_ABI_IPC_H

#include "abi/types.h"

#define L_IPC_CREAT 00001000
#define L_IPC_EXCL 00002000
#define L_IPC_NOWAIT 00004000
#define L_IPC_PRIVATE 0
#define L_IPC_RMID 0
#define L_IPC_SET 1
#define L_IPC_STAT 2
#define L_IPC_INFO 3
#define L_MSG_STAT 11
#define L_MSG_INFO 12
#define L_MSG_STAT_ANY 13
#define L_MSG_NOERROR 010000
#define L_MSG_EXCEPT 020000
#define L_MSG_COPY 040000
#define L_SHM_LOCK 11
#define L_SHM_UNLOCK 12
#define L_SHM_STAT 13
#define L_SHM_INFO 14
#define L_SHM_STAT_ANY 15
#define L_SHM_DEST 01000
#define L_SHM_LOCKED 02000
#define L_GETPID 11
#define L_GETVAL 12
#define L_GETALL 13
#define L_GETNCNT 14
#define L_GETZCNT 15
#define L_SETVAL 16
#define L_SETALL 17
#define L_SEM_STAT 18
#define L_SEM_INFO 19
#define L_SEM_STAT_ANY 20
#define L_SEM_UNDO 0x1000
#define L_SHM_RDONLY 010000
#define L_SHM_RND 020000
#define L_SHM_REMAP 040000
#define L_SHM_EXEC 0100000
#define L_SHM_HUGETLB 04000
#define L_SHM_NORESERVE 010000
#define L_IPCMNI 32768 /* ids a kind may have; the low part of an id is below it */

struct l_ipc64_perm {
	int32_t key;
	uint32_t uid, gid, cuid, cgid;
	uint32_t mode;
	uint16_t seq;
	uint16_t pad_[3];
	uint64_t unused_[2];
};
L_ASSERT_SIZE(struct l_ipc64_perm, 48);
L_ASSERT_OFFSET(struct l_ipc64_perm, seq, 24);

struct l_shmid64_ds {
	struct l_ipc64_perm shm_perm;
	uint64_t shm_segsz;
	int64_t shm_atime, shm_dtime, shm_ctime;
	int32_t shm_cpid, shm_lpid;
	uint64_t shm_nattch;
	uint64_t unused_[2];
};
L_ASSERT_SIZE(struct l_shmid64_ds, 112);

struct l_shminfo64 { /* IPC_INFO */
	uint64_t shmmax, shmmin, shmmni, shmseg, shmall;
	uint64_t unused_[4];
};
L_ASSERT_SIZE(struct l_shminfo64, 72);

struct l_shm_info { /* SHM_INFO; sizes in pages */
	int32_t used_ids;
	int32_t pad_;
	uint64_t shm_tot, shm_rss, shm_swp;
	uint64_t swap_attempts, swap_successes;
};
L_ASSERT_SIZE(struct l_shm_info, 48);

struct l_semid64_ds {
	struct l_ipc64_perm sem_perm;
	int64_t sem_otime;
	uint64_t unused1_;
	int64_t sem_ctime;
	uint64_t unused2_;
	uint64_t sem_nsems;
	uint64_t unused3_[2];
};
L_ASSERT_SIZE(struct l_semid64_ds, 104);

struct l_seminfo {
	int32_t semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};
L_ASSERT_SIZE(struct l_seminfo, 40);

struct l_msqid64_ds {
	struct l_ipc64_perm msg_perm;
	int64_t msg_stime, msg_rtime, msg_ctime;
	uint64_t msg_cbytes, msg_qnum, msg_qbytes;
	int32_t msg_lspid, msg_lrpid;
	uint64_t unused_[2];
};
L_ASSERT_SIZE(struct l_msqid64_ds, 120);

struct l_msginfo {
	int32_t msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql;
	uint16_t msgseg;
	uint16_t pad_;
};
L_ASSERT_SIZE(struct l_msginfo, 32);

struct l_sembuf {
	uint16_t sem_num;
	int16_t sem_op;
	int16_t sem_flg;
};
L_ASSERT_SIZE(struct l_sembuf, 6);

struct l_mq_attr {
	int64_t mq_flags, mq_maxmsg, mq_msgsize, mq_curmsgs;
	int64_t reserved_[4];
};
L_ASSERT_SIZE(struct l_mq_attr, 64);

#endif
