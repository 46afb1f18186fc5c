/*
 * Every system call with bad arguments: cases made from the table of calls (abi/syscalls.def), each in a process of its
 * own, and a line for what came of it.  The lines of a run natively and of one inside must be the same; tests/run-calls
 * compares them.
 *
 *   world.c    what a case finds: memory, files and descriptors, the same each time
 *   values.c   what an argument of each kind may be, good and bad
 *   calls.c    the cases, and who runs them
 */
#ifndef BAILEY_TESTS_CALLS_H
#define BAILEY_TESTS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/syscalls.h"

#define REQUIRE(x) ((x) ? (void)0 : die(#x, __LINE__))
void die(const char *what, int line);

/* One thing that an argument may be.  Those that only the case's own process knows are named by what. */
struct value {
	char label[48];
	uint64_t v;
	enum { VALUE_PLAIN, VALUE_SELF, VALUE_SHM, VALUE_SEM, VALUE_MSG } what;
};

#define POOL_MAX 160

struct pool {
	struct value v[POOL_MAX]; /* the first is the good one */
	unsigned count;
};

/* What argument number arg of a call may be. */
void pool_make(struct pool *p, const struct abi_syscall *call, unsigned arg);

/* ---- world.c ---- */

/* Where the memory of a case lies: the same natively and inside.  Each is followed by a gap. */
#define WORLD_DATA 0x10000000ul /* WORLD_DATA_SIZE bytes to read and write; structures stand in its second half */
#define WORLD_DATA_SIZE 0x20000ul
#define WORLD_ITEMS (WORLD_DATA + WORLD_DATA_SIZE / 2)
#define WORLD_RO 0x10100000ul	/* a page of zeros, to be read alone */
#define WORLD_NONE 0x10200000ul /* a page that cannot be touched */
#define WORLD_EDGE 0x10301000ul /* the end of a page, and nothing behind it */
#define WORLD_HOLE 0x10400000ul /* nothing */

/* The descriptors of a case. */
#define WORLD_FDS(F)                                                                                                   \
	F(file)                                                                                                        \
	F(file_ro) F(file_wo) F(file_append) F(dir) F(path) F(path_dir) F(pipe_r) F(pipe_w) F(fifo) F(sock) F(epoll)   \
		F(eventfd) F(timerfd) F(signalfd) F(inotify) F(pidfd) F(memfd) F(null) F(zero) F(mqueue) F(proc)
enum world_fd {
	WORLD_FD_BASE = 9,
#define F(name) WORLD_FD_##name,
	WORLD_FDS(F)
#undef F
		WORLD_FD_END,
};

void world_memory(void);	   /* once */
void world_files(unsigned number); /* in each case: a directory of that number, which it goes to, and descriptors */
void world_clean(unsigned number); /* removes that directory */

/* Puts bytes into the memory of all cases to come and gives their address; aligned to 64. */
uint64_t world_item(const void *bytes, size_t size);
void world_items_begin(void); /* forgets all of them */

#endif
