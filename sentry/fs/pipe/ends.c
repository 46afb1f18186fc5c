/* Making pipes and opening FIFOs.  The pipe belongs to the inode (i->fifo) and goes with it. */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/fs/pipe/pipe.h"

void fifo_release(struct inode *i)
{
	pipe_free(i->fifo);
	i->fifo = NULL;
}

int pipe_create(uint32_t flags, const struct cred *c, struct file **rd, struct file **wr)
{
	struct pipe *p = pipe_new();
	struct file *r_end, *w_end;
	int r;

	if (!p)
		return -ENOMEM;
	p->anonymous = true;
	p->readers = p->writers = 1;
	p->reader_opens = p->writer_opens = 1;
	r = file_anonymous("pipe:", &pipe_ops, p, L_O_RDONLY | (flags & L_O_NONBLOCK), FILE_READ | FILE_STREAM, c,
			   &r_end);
	if (r < 0) {
		pipe_free(p);
		return r;
	}
	r_end->inode->fifo = p;
	r = file_anonymous_twin(r_end, &pipe_ops, p, L_O_WRONLY | (flags & (L_O_NONBLOCK | L_O_DIRECT)),
				FILE_WRITE | FILE_STREAM, c, &w_end);
	if (r < 0) {
		p->writers = 0;
		file_put(r_end);
		return r;
	}
	*rd = r_end;
	*wr = w_end;
	return 0;
}

/* ---- FIFOs ---- */

/* True once the other side has been opened since seen, though it may be closed again. */
static bool opened_since(struct pipe *p, const uint64_t *opens, uint64_t seen)
{
	bool r;

	pipe_lock(p);
	r = *opens != seen;
	mutex_unlock(&p->lock);
	return r;
}

static int inode_pipe(struct inode *i, struct pipe **out)
{
	mutex_lock(&i->lock);
	if (!i->fifo)
		i->fifo = pipe_new();
	*out = i->fifo;
	mutex_unlock(&i->lock);
	return *out ? 0 : -ENOMEM;
}

static void undo_open(struct pipe *p, bool rd, bool wr)
{
	pipe_lock(p);
	p->readers -= rd;
	p->writers -= wr;
	mutex_unlock(&p->lock);
	waitqueue_wake(&p->wq, L_POLLHUP | L_POLLERR);
}

int fifo_open(struct inode *i, struct file *f)
{
	bool rd = f->mode & FILE_READ, wr = f->mode & FILE_WRITE, wait;
	uint64_t *other, seen;
	struct pipe *p;
	int r = inode_pipe(i, &p);

	if (r < 0)
		return r;
	pipe_lock(p);
	if (wr && !rd && file_nonblock(f) && p->readers == 0 && !p->anonymous) {
		mutex_unlock(&p->lock);
		return -ENXIO;
	}
	p->readers += rd;
	p->writers += wr;
	p->reader_opens += rd;
	p->writer_opens += wr;
	other = rd ? &p->writer_opens : &p->reader_opens;
	seen = *other;
	wait = !p->anonymous && !(rd && wr) && !file_nonblock(f) && (rd ? p->writers : p->readers) == 0;
	/* For poll: no hang-up before the first writer. */
	f->version = rd && !wr && p->writers == 0 && !p->anonymous ? (int64_t)p->writer_opens : -1;
	mutex_unlock(&p->lock);
	waitqueue_wake(&p->wq, L_POLLIN | L_POLLOUT);
	if (wait) {
		r = wait_event(&p->wq, opened_since(p, other, seen));
		if (r < 0) {
			undo_open(p, rd, wr);
			return r;
		}
	}
	f->ops = &pipe_ops;
	f->priv = p;
	f->mode = (f->mode & ~FILE_PREAD) | FILE_STREAM;
	return 0;
}
