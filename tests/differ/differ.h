/*
 * Random programs whose every step says what came of it, in lines that are the same wherever Linux's behaviour is: no
 * address, inode number, process id or time is in them.  tests/run-differ compares what they say natively and inside.
 *
 *     differ.c    the program: steps, numbers, what is said        files.c      files, directories, descriptors
 *     memory.c    mappings and faults                               processes.c  signals, children, waiting
 */
#ifndef BAILEY_TESTS_DIFFER_H
#define BAILEY_TESTS_DIFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- numbers ---- */

/* The next of the seed's numbers, below n. */
unsigned roll(unsigned n);
/* True once in n. */
bool once_in(unsigned n);
#define PICK(array) ((array)[roll(sizeof(array) / sizeof((array)[0]))])

/* ---- what is said ---- */

/* A step's line: printf's, without the line end, before the call is made. */
void step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the call gave: the number, or errno's name.  Returns it. */
long gave(long result);
/* More to the line. */
void more(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A digest of what a call wrote. */
void wrote(const void *data, size_t size);

/* ---- what steps share ---- */

#define FD_SLOTS 12
/* Descriptors of earlier steps, mostly; now and then one that is none. */
int some_fd(void);
/* Remembers a call's new descriptor; another is closed when there are many. */
void keep_fd(long fd);
void forget_fd(int fd);
/* The name of one of a few files in the working directory, which may be anything or not there. */
const char *some_path(void);

/*
 * Memory for a call to read from or write to, size bytes at most 16384: whole, or now and then ending at a page's end, with
 * a part beyond it, read-only, or nowhere.  Filled with the seed's next bytes if `filled`.
 */
void *some_memory(size_t size, bool filled);
/* The same, all of it there. */
void *whole_memory(size_t size);
/* A size for it. */
size_t some_size(void);
/* Text for a call: as it is, or in memory as above (then what is returned says how), at *where. */
const char *some_text(const char *text, const char **where);
/* How much of [p, p + size) can be read, so that wrote() may look at it. */
size_t readable(const void *p, size_t size);

/* One random step of each kind. */
void file_step(void);
void memory_step(void);
void process_step(void);

void files_start(void);
void memory_start(void);
void processes_start(void);
/* Says which signals' handlers ran since the last step. */
void say_handled(void);

#endif
