/* The line discipline's input: what a key does.  See line.h. */
#include "abi/signal.h"
#include "sentry/fs/tty/line.h"

#define UNSET 0 /* what stands in the buffer for VEOF; it is never read */
#define BELL 7

/* ---- echo ---- */

static bool echoes(const struct line *l)
{
	return line_has(l->t.c_lflag, L_ECHO);
}

static void echo_byte(struct line *l, uint8_t c)
{
	(void)ring_put(&l->echo, c); /* too much: it is dropped */
}

/* As a program's output of c would look. */
static void echo_plain(struct line *l, uint8_t c)
{
	uint8_t post[LINE_TAB];
	unsigned n = line_post(l, c, post);

	for (unsigned k = 0; k < n; k++)
		echo_byte(l, post[k]);
}

/* Control characters as ^X, if ECHOCTL. */
static void echo_shown(struct line *l, uint8_t c)
{
	if (!line_has(l->t.c_lflag, L_ECHOCTL) || !line_is_control(c) || c == '\t') {
		echo_plain(l, c);
		return;
	}
	echo_byte(l, '^');
	echo_byte(l, c ^ 0100);
	l->column += 2;
}

static void finish_erasing(struct line *l)
{
	if (l->erasing)
		echo_plain(l, '/');
	l->erasing = false;
}

static void rub_out(struct line *l)
{
	echo_byte(l, '\b');
	echo_byte(l, ' ');
	echo_byte(l, '\b');
	l->column -= l->column > 0;
}

/* ---- the buffer ---- */

static uint8_t byte_at(const struct line *l, uint32_t n)
{
	return l->data[n % LINE_SIZE];
}

static void store(struct line *l, uint8_t c, enum line_mark mark)
{
	l->data[l->head % LINE_SIZE] = c;
	l->mark[l->head % LINE_SIZE] = (uint8_t)mark;
	l->head++;
}

/* With PARMRK a byte 0377 is told from the mark of an error, which a pseudo-terminal never has, by being there twice. */
static bool is_doubled(const struct line *l, uint8_t c)
{
	return c == 0xff && line_has(l->t.c_iflag, L_PARMRK);
}

bool line_accepts(const struct line *l)
{
	if (line_is_canonical(l) && l->canon_head == l->tail)
		return true;
	return LINE_SIZE - (l->head - l->tail) >= 3; /* a doubled byte, and a line's end */
}

/* False if the line is as long as it may be: its end still has a place. */
static bool has_room(struct line *l, uint8_t c)
{
	if (LINE_SIZE - (l->head - l->tail) > (is_doubled(l, c) ? 2u : 1u))
		return true;
	if (line_has(l->t.c_iflag, L_IMAXBEL))
		echo_byte(l, BELL);
	return false;
}

/* An ordinary byte. */
static void type(struct line *l, uint8_t c)
{
	if (!line_is_canonical(l) ? l->head - l->tail >= LINE_SIZE - 1 : !has_room(l, c))
		return;
	if (echoes(l) && !line_has(l->t.c_lflag, L_EXTPROC)) {
		finish_erasing(l);
		if (c == '\n') {
			echo_plain(l, c);
		} else {
			if (l->canon_head == l->head)
				l->canon_column = l->column;
			echo_shown(l, c);
		}
	}
	if (is_doubled(l, c))
		store(l, c, MARK_NONE);
	store(l, c, MARK_NONE);
}

static void end_line(struct line *l, uint8_t c, enum line_mark mark)
{
	if (LINE_SIZE - (l->head - l->tail) == 0)
		return;
	if (is_doubled(l, c) && LINE_SIZE - (l->head - l->tail) > 1)
		store(l, c, MARK_NONE);
	store(l, c, mark);
	l->canon_head = l->head;
	l->canon_column = l->column;
}

/* ---- erasing ---- */

/* How far the tab that was just taken off the line had moved the cursor. */
static unsigned tab_width(const struct line *l)
{
	unsigned width = 0;
	bool after_tab = false;

	for (uint32_t n = l->head; n != l->canon_head && !after_tab;) {
		uint8_t c = byte_at(l, --n);

		if (c == '\t')
			after_tab = true;
		else if (line_is_control(c))
			width += line_has(l->t.c_lflag, L_ECHOCTL) ? 2 : 0;
		else
			width += !line_continues(l, c);
	}
	if (!after_tab)
		width += l->canon_column;
	return LINE_TAB - width % LINE_TAB;
}

/* Shows that the character in [first, first + len), no longer part of the line, is gone.  one: by VERASE. */
static void show_erased(struct line *l, uint32_t first, unsigned len, bool one)
{
	uint8_t c = byte_at(l, first);
	bool shown_double = line_is_control(c) && line_has(l->t.c_lflag, L_ECHOCTL);

	if (line_has(l->t.c_lflag, L_ECHOPRT)) {
		if (!l->erasing)
			echo_plain(l, '\\');
		l->erasing = true;
		echo_shown(l, c);
		for (unsigned n = 1; n < len; n++)
			echo_byte(l, byte_at(l, first + n));
	} else if (one && !line_has(l->t.c_lflag, L_ECHOE)) {
		echo_shown(l, l->t.c_cc[L_VERASE]);
	} else if (c == '\t') {
		for (unsigned back = tab_width(l); back > 0; back--) {
			echo_byte(l, '\b');
			l->column -= l->column > 0;
		}
	} else {
		if (shown_double)
			rub_out(l);
		if (shown_double || !line_is_control(c))
			rub_out(l);
	}
}

/* Where the last character of the line begins; the line's end if that is but the rest of a character. */
static uint32_t last_character(const struct line *l)
{
	uint32_t n = l->head;

	do
		n--;
	while (line_continues(l, byte_at(l, n)) && n != l->canon_head);
	return line_continues(l, byte_at(l, n)) ? l->head : n;
}

static bool erase_one(struct line *l, bool one)
{
	uint32_t from = last_character(l);
	unsigned len = l->head - from;

	if (len == 0)
		return false;
	l->head = from;
	if (echoes(l))
		show_erased(l, from, len, one);
	return true;
}

static bool in_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0xc0;
}

static void erase_word(struct line *l)
{
	bool seen = false;

	while (l->head != l->canon_head) {
		bool word = in_word(byte_at(l, last_character(l)));

		if ((seen && !word) || !erase_one(l, false))
			break;
		seen |= word;
	}
}

static void erase_line(struct line *l)
{
	const uint32_t rubs_out = L_ECHOK | L_ECHOKE | L_ECHOE;

	if (!echoes(l)) {
		l->head = l->canon_head;
		return;
	}
	if ((l->t.c_lflag & rubs_out) != rubs_out) {
		l->head = l->canon_head;
		finish_erasing(l);
		echo_shown(l, l->t.c_cc[L_VKILL]);
		if (line_has(l->t.c_lflag, L_ECHOK))
			echo_plain(l, '\n');
		return;
	}
	while (l->head != l->canon_head && erase_one(l, false))
		;
}

static void erase(struct line *l, unsigned key)
{
	if (l->head == l->canon_head)
		return;
	if (key == L_VKILL)
		erase_line(l);
	else if (key == L_VWERASE)
		erase_word(l);
	else
		(void)erase_one(l, true);
	if (l->head == l->canon_head && echoes(l))
		finish_erasing(l);
}

static void reprint(struct line *l, uint8_t c)
{
	finish_erasing(l);
	echo_shown(l, c);
	echo_plain(l, '\n');
	for (uint32_t n = l->canon_head; n != l->head; n++)
		echo_shown(l, byte_at(l, n));
}

/* ---- keys ---- */

/* VSTART, VSTOP. */
static bool flow_key(struct line *l, uint8_t c)
{
	if (!line_has(l->t.c_iflag, L_IXON))
		return false;
	if (line_key(l, L_VSTART, c)) {
		line_start(l, false);
		return true;
	}
	if (line_key(l, L_VSTOP, c)) {
		line_stop(l, false);
		return true;
	}
	return false;
}

static bool signal_key(struct line *l, uint8_t c)
{
	static const struct {
		unsigned key;
		int sig;
	} keys[] = {{L_VINTR, L_SIGINT}, {L_VQUIT, L_SIGQUIT}, {L_VSUSP, L_SIGTSTP}};

	if (!line_has(l->t.c_lflag, L_ISIG))
		return false;
	for (unsigned n = 0; n < 3; n++) {
		if (!line_key(l, keys[n].key, c))
			continue;
		l->signals |= 1ull << (keys[n].sig - 1);
		if (!line_has(l->t.c_lflag, L_NOFLSH)) {
			line_flush_output(l);
			line_flush_input(l);
		}
		if (line_has(l->t.c_iflag, L_IXON))
			line_start(l, false);
		if (echoes(l))
			echo_shown(l, c);
		return true;
	}
	return false;
}

/* False: c is no more than itself. */
static bool editing_key(struct line *l, uint8_t c)
{
	bool extended = line_has(l->t.c_lflag, L_IEXTEN);

	if (line_key(l, L_VERASE, c))
		erase(l, L_VERASE);
	else if (line_key(l, L_VKILL, c))
		erase(l, L_VKILL);
	else if (extended && line_key(l, L_VWERASE, c))
		erase(l, L_VWERASE);
	else if (extended && line_key(l, L_VREPRINT, c) && echoes(l))
		reprint(l, c);
	else
		return false;
	return true;
}

/* VLNEXT. */
static bool literal_key(struct line *l, uint8_t c)
{
	if (!line_has(l->t.c_lflag, L_IEXTEN) || !line_key(l, L_VLNEXT, c))
		return false;
	l->literal = true;
	if (echoes(l)) {
		finish_erasing(l);
		if (line_has(l->t.c_lflag, L_ECHOCTL)) {
			echo_byte(l, '^');
			echo_byte(l, '\b');
		}
	}
	return true;
}

static bool ending_key(struct line *l, uint8_t c)
{
	if (c == '\n') {
		if (echoes(l))
			finish_erasing(l);
		if (line_has(l->t.c_lflag, L_ECHO | L_ECHONL))
			echo_plain(l, '\n');
		end_line(l, c, MARK_END);
	} else if (line_key(l, L_VEOF, c)) {
		end_line(l, UNSET, MARK_EOF);
	} else if (line_key(l, L_VEOL, c) || (line_has(l->t.c_lflag, L_IEXTEN) && line_key(l, L_VEOL2, c))) {
		if (echoes(l)) {
			if (l->canon_head == l->head)
				l->canon_column = l->column;
			echo_shown(l, c);
		}
		end_line(l, c, MARK_END);
	} else {
		return false;
	}
	return true;
}

/* IGNCR, ICRNL, INLCR.  False: c is not to be seen at all. */
static bool map_newline(const struct line *l, uint8_t *c)
{
	if (*c == '\r') {
		if (line_has(l->t.c_iflag, L_IGNCR))
			return false;
		if (line_has(l->t.c_iflag, L_ICRNL))
			*c = '\n';
	} else if (*c == '\n' && line_has(l->t.c_iflag, L_INLCR)) {
		*c = '\r';
	}
	return true;
}

void line_input(struct line *l, uint8_t c)
{
	if (line_has(l->t.c_iflag, L_ISTRIP))
		c &= 0x7f;
	if (line_has(l->t.c_iflag, L_IUCLC) && line_has(l->t.c_lflag, L_IEXTEN) && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	if (line_has(l->t.c_lflag, L_EXTPROC) || l->literal) { /* EXTPROC: the other end edits */
		l->literal = false;
		type(l, c);
		return;
	}
	if (flow_key(l, c))
		return;
	if (l->stopped && !l->held && line_has(l->t.c_iflag, L_IXON) && line_has(l->t.c_iflag, L_IXANY))
		line_start(l, false);
	if (signal_key(l, c) || !map_newline(l, &c))
		return;
	if (line_is_canonical(l) && (editing_key(l, c) || literal_key(l, c) || ending_key(l, c)))
		return;
	type(l, c);
}
