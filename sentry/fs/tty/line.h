/*
 * The line discipline: what lies between the two ends of a pseudo-terminal (termios(3), Linux's N_TTY).
 *
 * A line is plain state: bytes that the keyboard sent go in by line_input, bytes that programs print by line_output; what the
 * screen gets, echo included, comes out in `out`, and what programs read, by line_read.  It neither locks nor sleeps nor
 * sends: a key that means a signal leaves it in `signals`, and the owner (pty.c) sees to it.
 *
 *   line.c      modes, output and reading            line_input.c   input: editing, echo, flow control, signals
 */
#ifndef BAILEY_SENTRY_FS_TTY_LINE_H
#define BAILEY_SENTRY_FS_TTY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ioctl.h"
#include "sentry/fs/tty/ring.h"

#define LINE_SIZE 4096u	    /* of input: the longest line, with its end; a power of two */
#define LINE_ECHO_SIZE 4096u
#define LINE_OUT_SIZE 16384u
#define LINE_TAB 8u

enum line_mark { MARK_NONE, MARK_END, MARK_EOF }; /* MARK_EOF's own byte is not read */

struct line { /* guarded by its owner */
	struct l_termios2 t;
	/* Input: [tail, canon_head) is whole lines, [canon_head, head) the line being edited; without ICANON all of it can be
	 * read.  The counters count on without end. */
	uint32_t head, canon_head, tail;
	uint8_t data[LINE_SIZE];
	uint8_t mark[LINE_SIZE]; /* enum line_mark */

	bool literal; /* the next byte is taken as it is (VLNEXT) */
	bool erasing; /* between the \ and the / of ECHOPRT */
	bool stopped; /* output is, by VSTOP */
	bool held;    /* output is, by tcflow(3): VSTART does not help */
	uint32_t column, canon_column; /* of the cursor; where the line being edited begins */

	struct ring echo; /* on its way to out: waits while output is stopped, and is dropped if it gets too much */
	struct ring out;  /* for the screen */
	uint8_t echo_data[LINE_ECHO_SIZE], out_data[LINE_OUT_SIZE];

	uint64_t signals; /* bit n-1: signal n is to go to the foreground; the owner takes them */
	uint8_t events;	  /* L_TIOCPKT_*, for packet mode; the owner takes them */
};

static inline bool line_has(uint32_t flags, uint32_t flag)
{
	return (flags & flag) != 0;
}
static inline bool line_is_canonical(const struct line *l)
{
	return (l->t.c_lflag & (L_ICANON | L_EXTPROC)) == L_ICANON;
}
/* The other end makes lines of what is typed (EXTPROC): here it is read as it comes. */
static inline bool line_is_external(const struct line *l)
{
	return (l->t.c_lflag & (L_ICANON | L_EXTPROC)) == (L_ICANON | L_EXTPROC);
}
/* c is what control key n does; 0 in c_cc means none. */
static inline bool line_key(const struct line *l, unsigned n, uint8_t c)
{
	return l->t.c_cc[n] == c && c != 0;
}
static inline bool line_continues(const struct line *l, uint8_t c) /* a byte of a character that began earlier */
{
	return line_has(l->t.c_iflag, L_IUTF8) && (c & 0xc0) == 0x80;
}
static inline bool line_is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

void line_init(struct line *l);
/* Back to the modes of a new terminal; input and output are dropped. */
void line_reset(struct line *l);

/* Takes new modes: also what pending input means now, and restarts output that VSTOP stopped if IXON goes. */
void line_set_modes(struct line *l, const struct l_termios2 *t);
void line_flush_input(struct line *l);
void line_flush_output(struct line *l);
/* Stop and restart output: by a key, or (hold) by tcflow(3). */
void line_stop(struct line *l, bool hold);
void line_start(struct line *l, bool hold);

/* Whether line_input may be called: an overlong line is cut, but whole lines that nobody has read are kept. */
bool line_accepts(const struct line *l);
void line_input(struct line *l, uint8_t c);
/* Moves echo to out, as far as that has room. */
void line_flush_echo(struct line *l);

/* Whether line_output would take something. */
bool line_writable(const struct line *l);
/* Processes output; how many of buf's bytes were taken. */
size_t line_output(struct line *l, const uint8_t *buf, size_t len);
/* What c is on the screen, as the output modes say (at most LINE_TAB bytes), moving the cursor. */
unsigned line_post(struct line *l, uint8_t c, uint8_t out[LINE_TAB]);

/* Bytes that can be read now: whole lines (without the marks of VEOF), or everything. */
uint32_t line_readable(const struct line *l);
/* Whether a read finds something: a line, be it empty, or at least min bytes. */
bool line_ready(const struct line *l, uint32_t min);
/* Reads: at most one line, of which *ended tells whether one was there; without lines, whether a lone VEOF was. */
size_t line_read(struct line *l, uint8_t *buf, size_t size, bool *ended);

#endif
