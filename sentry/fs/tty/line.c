/* The line discipline's modes, output and reading.  See line.h. */
#include "sentry/fs/tty/line.h"

#include <string.h>

#define SPEED 38400

static const struct l_termios2 new_modes = {
	.c_iflag = L_ICRNL | L_IXON,
	.c_oflag = L_OPOST | L_ONLCR,
	.c_cflag = L_B38400 | L_CS8 | L_CREAD,
	.c_lflag = L_ISIG | L_ICANON | L_ECHO | L_ECHOE | L_ECHOK | L_ECHOCTL | L_ECHOKE | L_IEXTEN,
	.c_cc = {[L_VINTR] = 3,
		 [L_VQUIT] = 28,
		 [L_VERASE] = 127,
		 [L_VKILL] = 21,
		 [L_VEOF] = 4,
		 [L_VMIN] = 1,
		 [L_VSTART] = 17,
		 [L_VSTOP] = 19,
		 [L_VSUSP] = 26,
		 [L_VREPRINT] = 18,
		 [L_VDISCARD] = 15,
		 [L_VWERASE] = 23,
		 [L_VLNEXT] = 22},
	.c_ispeed = SPEED,
	.c_ospeed = SPEED,
};

void line_init(struct line *l)
{
	memset(l, 0, sizeof(*l));
	l->t = new_modes;
	l->echo = (struct ring){l->echo_data, LINE_ECHO_SIZE, 0, 0};
	l->out = (struct ring){l->out_data, LINE_OUT_SIZE, 0, 0};
}

void line_reset(struct line *l)
{
	line_flush_input(l);
	ring_clear(&l->echo);
	l->t = new_modes;
	l->stopped = l->held = false;
}

/* ---- modes ---- */

/* What was typed in one mode is read in the other: a half line counts as a whole one, or nothing is a line any more. */
static void change_canonical(struct line *l)
{
	for (uint32_t n = l->tail; n != l->head; n++)
		l->mark[n % LINE_SIZE] = MARK_NONE;
	l->canon_head = l->tail;
	if (line_is_canonical(l) && l->head != l->tail) {
		l->mark[(l->head - 1) % LINE_SIZE] = MARK_END;
		l->canon_head = l->head;
	}
	l->erasing = l->literal = false;
}

/* Whether a remote side may handle ^S and ^Q itself: what packet mode tells by DOSTOP and NOSTOP. */
static bool usual_flow_control(const struct l_termios2 *t)
{
	return (t->c_iflag & L_IXON) && t->c_cc[L_VSTOP] == ('S' & 0x1f) && t->c_cc[L_VSTART] == ('Q' & 0x1f);
}

void line_set_modes(struct line *l, const struct l_termios2 *t)
{
	struct l_termios2 old = l->t;
	bool extproc = line_has(old.c_lflag | t->c_lflag, L_EXTPROC);

	l->t = *t;
	/* No pseudo-terminal has other characters than these. */
	l->t.c_cflag = (l->t.c_cflag & ~(L_CSIZE | L_PARENB)) | L_CS8 | L_CREAD;
	if ((old.c_lflag ^ l->t.c_lflag) & (L_ICANON | L_EXTPROC))
		change_canonical(l);
	if (line_has(old.c_iflag, L_IXON) && !line_has(l->t.c_iflag, L_IXON))
		line_start(l, false);
	if (usual_flow_control(&old) != usual_flow_control(&l->t) || extproc) {
		l->events &= (uint8_t)~(L_TIOCPKT_DOSTOP | L_TIOCPKT_NOSTOP);
		l->events |= usual_flow_control(&l->t) ? L_TIOCPKT_DOSTOP : L_TIOCPKT_NOSTOP;
		if (extproc)
			l->events |= L_TIOCPKT_IOCTL;
	}
}

void line_flush_input(struct line *l)
{
	l->tail = l->canon_head = l->head;
	l->literal = l->erasing = false;
	l->events |= L_TIOCPKT_FLUSHREAD;
}

/* As on Linux, what would fit the reader's own buffer has reached it already, and stays. */
void line_flush_output(struct line *l)
{
	ring_clear(&l->echo);
	if (ring_used(&l->out) > LINE_SIZE)
		l->out.head = l->out.tail + LINE_SIZE;
	l->events |= L_TIOCPKT_FLUSHWRITE;
}

void line_stop(struct line *l, bool hold)
{
	if (!l->stopped && !l->held) {
		l->events &= (uint8_t)~L_TIOCPKT_START;
		l->events |= L_TIOCPKT_STOP;
	}
	if (hold)
		l->held = true;
	else
		l->stopped = true;
}

void line_start(struct line *l, bool hold)
{
	bool was = l->stopped || l->held;

	if (hold)
		l->held = false;
	if (l->held)
		return;
	l->stopped = false;
	if (was) {
		l->events &= (uint8_t)~L_TIOCPKT_STOP;
		l->events |= L_TIOCPKT_START;
		line_flush_echo(l);
	}
}

/* ---- output ---- */

static unsigned post_newline(struct line *l, uint8_t out[LINE_TAB])
{
	if (line_has(l->t.c_oflag, L_ONLRET))
		l->column = 0;
	if (line_has(l->t.c_oflag, L_ONLCR)) {
		l->column = l->canon_column = 0;
		out[0] = '\r';
		out[1] = '\n';
		return 2;
	}
	l->canon_column = l->column;
	out[0] = '\n';
	return 1;
}

static unsigned post_return(struct line *l, uint8_t out[LINE_TAB])
{
	if (line_has(l->t.c_oflag, L_ONOCR) && l->column == 0)
		return 0;
	out[0] = '\r';
	if (line_has(l->t.c_oflag, L_OCRNL)) {
		out[0] = '\n';
		if (line_has(l->t.c_oflag, L_ONLRET))
			l->column = l->canon_column = 0;
		return 1;
	}
	l->column = l->canon_column = 0;
	return 1;
}

static unsigned post_tab(struct line *l, uint8_t out[LINE_TAB])
{
	unsigned spaces = LINE_TAB - l->column % LINE_TAB;

	l->column += spaces;
	out[0] = '\t';
	if ((l->t.c_oflag & L_TABDLY) != L_XTABS)
		return 1;
	memset(out, ' ', spaces);
	return spaces;
}

unsigned line_post(struct line *l, uint8_t c, uint8_t out[LINE_TAB])
{
	out[0] = c;
	if (!line_has(l->t.c_oflag, L_OPOST))
		return 1;
	switch (c) {
	case '\n':
		return post_newline(l, out);
	case '\r':
		return post_return(l, out);
	case '\t':
		return post_tab(l, out);
	case '\b':
		l->column -= l->column > 0;
		return 1;
	default:
		if (line_has(l->t.c_oflag, L_OLCUC) && c >= 'a' && c <= 'z')
			out[0] = (uint8_t)(c - 'a' + 'A');
		if (!line_is_control(c) && !line_continues(l, c))
			l->column++;
		return 1;
	}
}

void line_flush_echo(struct line *l)
{
	while (!l->stopped && !l->held && ring_used(&l->echo) && ring_room(&l->out))
		(void)!ring_put(&l->out, ring_get(&l->echo));
}

bool line_writable(const struct line *l)
{
	return !l->stopped && !l->held && ring_used(&l->echo) == 0 && ring_room(&l->out) >= LINE_TAB;
}

size_t line_output(struct line *l, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	line_flush_echo(l);
	while (done < len && line_writable(l)) {
		uint8_t post[LINE_TAB];
		unsigned n = line_post(l, buf[done++], post);

		for (unsigned k = 0; k < n; k++)
			(void)!ring_put(&l->out, post[k]); /* line_writable: there is room */
	}
	return done;
}

/* ---- reading ---- */

uint32_t line_readable(const struct line *l)
{
	uint32_t count;

	if (!line_is_canonical(l))
		return l->head - l->tail;
	count = l->canon_head - l->tail;
	for (uint32_t n = l->tail; n != l->canon_head; n++)
		count -= l->mark[n % LINE_SIZE] == MARK_EOF;
	return count;
}

bool line_ready(const struct line *l, uint32_t min)
{
	return line_is_canonical(l) ? l->canon_head != l->tail : l->head - l->tail >= min;
}

/* A line's end is part of it, but for VEOF, which is swallowed even if it comes right after the last byte asked for. */
static size_t read_line(struct line *l, uint8_t *buf, size_t size)
{
	size_t n = 0;

	while (l->tail != l->canon_head) {
		uint8_t mark = l->mark[l->tail % LINE_SIZE];

		if (mark == MARK_EOF) {
			l->tail++;
			break;
		}
		if (n == size)
			break;
		buf[n++] = l->data[l->tail++ % LINE_SIZE];
		if (mark == MARK_END)
			break;
	}
	return n;
}

size_t line_read(struct line *l, uint8_t *buf, size_t size, bool *ended)
{
	size_t n = 0;

	*ended = false;
	if (line_is_canonical(l)) {
		*ended = l->canon_head != l->tail;
		return read_line(l, buf, size);
	}
	while (n < size && l->tail != l->head)
		buf[n++] = l->data[l->tail++ % LINE_SIZE];
	l->canon_head = l->tail;
	*ended = line_is_external(l) && n == 1 && l->tail == l->head && line_key(l, L_VEOF, buf[0]);
	return *ended ? 0 : n;
}
