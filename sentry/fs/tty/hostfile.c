/*
 * Host descriptors that came in: stdin, stdout, stderr, be they a terminal, a pipe, a socket or a file.
 *
 * A sentry thread never sleeps in a host read or write, where a guest's signal could not reach it: it asks whether the
 * descriptor is ready, and if not sleeps on a waitqueue that the watcher (host/notify.h) wakes.  The descriptor's own
 * O_NONBLOCK is left as it is, for it is shared with the world outside.  Between the question and the read another
 * reader, outside, may take what was there; the thread then waits in the host until more comes.
 *
 * Regular files are read and written at the host's position, which is shared with whoever else has the description:
 * `bailey do a > log; ...` in one shell, or stdout and stderr being one file, need that.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "abi/time.h"
#include "base/checked.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/notify.h"
#include "host/signals.h"
#include "host/terminal.h"
#include "sentry/fs/common.h"
#include "sentry/fs/tty/hostfile.h"

/* What is written at once after the host said that it has room: a pipe has room for a page then. */
#define WRITE_CHUNK 4096ul
#define READ_CHUNK (64 * 1024ul)

static struct hostfile *host_of(const struct file *f)
{
	return f->priv;
}

/* ---- readiness ---- */

static void became_ready(void *arg, uint32_t events)
{
	struct hostfile *h = arg;

	waitqueue_wake(&h->wq, events);
}

/* The events of which are true now; the watcher will tell of the others. */
static uint32_t ready_events(struct hostfile *h, uint32_t of)
{
	uint32_t ready = 0;

	if (!h->watch || host_poll_now(h->fd, of, &ready) < 0)
		return of;
	if ((of & ~ready) && !(ready & (L_POLLERR | L_POLLHUP)))
		host_watch_arm(h->watch, of & ~ready);
	return ready;
}

static int wait_ready(struct file *f, uint32_t event, int64_t deadline_ns)
{
	struct hostfile *h = host_of(f);
	const uint32_t enough = event | L_POLLERR | L_POLLHUP;

	if (ready_events(h, event) & enough)
		return 0;
	if (file_nonblock(f))
		return -EAGAIN;
	return wait_event_deadline(&h->wq, deadline_ns, ready_events(h, event) & enough);
}

static uint32_t poll(struct file *f, struct wait_entry *e)
{
	struct hostfile *h = host_of(f);
	uint32_t events;

	if (e)
		waitqueue_add(&h->wq, e);
	events = ready_events(h, L_POLLIN | L_POLLOUT | L_POLLPRI | L_POLLRDHUP);
	if (!h->watch)
		events = L_POLLIN | L_POLLOUT;
	if (events & L_POLLIN)
		events |= L_POLLRDNORM;
	if (events & L_POLLOUT)
		events |= L_POLLWRNORM;
	return events;
}

/* ---- reading and writing ---- */

/* A line in non-canonical mode with VMIN 0 gives up when VTIME tenths of a second have passed: read(2) then says 0. */
static int read_deadline(struct hostfile *h, int64_t *deadline_ns)
{
	struct l_termios t;

	*deadline_ns = NO_DEADLINE;
	if (!h->is_tty || host_tty_ioctl(h->fd, L_TCGETS, &t) < 0 || (t.c_lflag & L_ICANON) || t.c_cc[L_VMIN])
		return 0;
	*deadline_ns = host_clock_ns(L_CLOCK_MONOTONIC) + t.c_cc[L_VTIME] * (L_NSEC_PER_SEC / 10);
	return t.c_cc[L_VTIME] ? 0 : -ETIMEDOUT;
}

/* Linux hangs a terminal up and tells its session's leader in one go, but the signal comes to us by way of the front.  Whoever
 * learns by reading or writing that the terminal has gone shall have had the signal before. */
static void let_hang_up_come(struct hostfile *h)
{
	uint32_t ready;

	if (host_poll_now(h->fd, 0, &ready) == 0 && (ready & L_POLLHUP))
		host_signals_catch_up();
}

static ssize_t read_once(struct file *f, uint8_t *buf, size_t size, int64_t pos)
{
	struct hostfile *h = host_of(f);
	int64_t deadline_ns;
	ssize_t n;
	int r;

	if (h->is_tty) {
		r = tty_check_job(h->tty, L_SIGTTIN);
		if (r < 0)
			return r;
	}
	r = read_deadline(h, &deadline_ns);
	if (r < 0 && !(ready_events(h, L_POLLIN) & (L_POLLIN | L_POLLERR | L_POLLHUP)))
		return 0;
	r = wait_ready(f, L_POLLIN, deadline_ns);
	if (r < 0)
		return r == -ETIMEDOUT ? 0 : r;
	/* While this slept, the caller may have sent the job to the background. */
	if (h->is_tty && h->tty->ops->is_away(h->tty)) {
		r = tty_check_job(h->tty, L_SIGTTIN);
		if (r < 0)
			return r;
	}
	n = pos >= 0 && h->regular ? host_pread(h->fd, buf, size, pos) : host_read(h->fd, buf, size);
	if (h->is_tty && (n == 0 || n == -EIO))
		let_hang_up_come(h);
	return n;
}

static ssize_t read(struct file *f, struct uio *u, int64_t pos)
{
	struct hostfile *h = host_of(f);
	size_t size = min_of(uio_left(u), READ_CHUNK);
	uint8_t *buf;
	ssize_t n;

	if (size == 0)
		return 0;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	do
		n = read_once(f, buf, size, pos);
	while (n == -EINTR || (n == -EAGAIN && !file_nonblock(f)));
	if (n > 0) {
		size_t got = (size_t)n;

		n = uio_put(u, buf, got);
		/* A short copy must not lose what was read; a file can be set back, a stream's rest is gone as on
		 * Linux. */
		if (h->regular && pos < 0 && n != (ssize_t)got) {
			int64_t back = host_lseek(h->fd, (n > 0 ? n : 0) - (int64_t)got, L_SEEK_CUR);

			if (back < 0)
				n = -EIO;
		}
	}
	free(buf);
	return n;
}

static ssize_t write_chunk(struct file *f, const uint8_t *buf, size_t len, int64_t pos)
{
	struct hostfile *h = host_of(f);
	ssize_t n;

	do {
		n = wait_ready(f, L_POLLOUT, NO_DEADLINE);
		if (n == 0)
			n = pos >= 0 && h->regular ? host_pwrite(h->fd, buf, len, pos) : host_write(h->fd, buf, len);
	} while (n == -EINTR || (n == -EAGAIN && !file_nonblock(f)));
	if (n == -EIO && h->is_tty)
		let_hang_up_come(h);
	return n;
}

/* "stty tostop": a background job may not even write. */
static int may_write(struct hostfile *h)
{
	struct l_termios t;

	if (!h->is_tty || host_tty_ioctl(h->fd, L_TCGETS, &t) < 0 || !(t.c_lflag & L_TOSTOP))
		return 0;
	return tty_check_job(h->tty, L_SIGTTOU);
}

static ssize_t write(struct file *f, struct uio *u, int64_t pos)
{
	uint8_t buf[WRITE_CHUNK];
	ssize_t total = 0, n = may_write(host_of(f));

	while (n == 0 && uio_left(u)) {
		size_t want = min_of(uio_left(u), sizeof(buf)), done = 0, got;

		n = uio_take(u, buf, want);
		if (n <= 0)
			break;
		got = (size_t)n;
		while (done < got) {
			n = write_chunk(f, buf + done, got - done, pos < 0 ? pos : pos + total);
			if (n <= 0)
				break;
			done += (size_t)n;
			total += n;
		}
		if (n <= 0 || got < want)
			break;
		n = 0;
	}
	if (n == -EPIPE && total == 0)
		n = fs_broken_pipe();
	return total ? total : n;
}

static int64_t lseek(struct file *f, int64_t off, int whence)
{
	return host_lseek(host_of(f)->fd, off, whence);
}

static int map(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off)
{
	struct hostfile *h = host_of(f);

	if (!h->regular)
		return -ENODEV;
	*host_fd = h->fd;
	*host_off = off;
	return 0;
}

static int sync(struct file *f, bool data_only)
{
	return host_fsync(host_of(f)->fd, data_only);
}

static void file_release(struct file *f)
{
	inode_put(host_of(f)->inode);
}

static const struct file_ops hostfile_ops = {
	.read = read,
	.write = write,
	.lseek = lseek,
	.poll = poll,
	.ioctl = hostfile_ioctl,
	.mmap = map,
	.fsync = sync,
	.release = file_release,
};

/* ---- the inode ---- */

static int getattr(struct inode *i, struct l_statx *st)
{
	struct hostfile *h = i->priv;
	struct host_stat now;
	int r = host_stat_fd(h->fd, &now);

	if (r < 0)
		return r;
	mutex_lock(&i->lock);
	i->uid = now.uid;
	i->gid = now.gid;
	i->nlink = now.nlink;
	i->size = now.size;
	i->blocks = now.blocks;
	i->atime = now.atime;
	i->mtime = now.mtime;
	i->ctime = now.ctime;
	i->btime = now.btime;
	mutex_unlock(&i->lock);
	inode_generic_stat(i, st);
	return 0;
}

static int setattr(struct inode *i, const struct iattr *a)
{
	struct hostfile *h = i->priv;

	if (!(a->valid & ATTR_SIZE) || !h->regular)
		return -EPERM; /* who may own what came in is for the outside to say */
	return host_ftruncate(h->fd, a->size);
}

static unsigned mode_bits(const struct hostfile *h, uint32_t flags)
{
	uint32_t access = flags & L_O_ACCMODE;
	unsigned bits = h->regular ? FILE_OWN_POS | FILE_PREAD : FILE_STREAM;

	if (access != L_O_WRONLY)
		bits |= FILE_READ;
	if (access != L_O_RDONLY)
		bits |= FILE_WRITE;
	return bits;
}

static int attach(struct tty *tty, struct file *f)
{
	struct hostfile *h = container_of(tty, struct hostfile, own_tty);

	inode_get(h->inode);
	f->priv = h;
	f->ops = &hostfile_ops;
	f->mode = (f->mode & ~FILE_PREAD) | FILE_STREAM;
	return 0;
}

/* Opened again through /proc/self/fd: the same description of the host's, with at most the access that came in. */
static int reopen(struct inode *i, struct file *f)
{
	struct hostfile *h = i->priv;
	unsigned allowed = mode_bits(h, h->host_flags);

	if ((f->mode & (FILE_READ | FILE_WRITE)) & ~allowed)
		return -EACCES;
	inode_get(i);
	f->priv = h;
	f->ops = &hostfile_ops;
	f->mode = (f->mode & ~FILE_PREAD) | (allowed & ~(FILE_READ | FILE_WRITE));
	return 0;
}

static void inode_release(struct inode *i)
{
	struct hostfile *h = i->priv;

	if (h->is_tty && h->tty != &h->own_tty)
		tty_put(h->tty);
	host_watch_remove(h->watch);
	host_close(h->fd);
	waitqueue_destroy(&h->wq);
	free(h);
}

static const struct inode_ops hostfile_inode_ops = {
	.getattr = getattr,
	.setattr = setattr,
	.open = reopen,
	.release = inode_release,
};

static bool is_away(struct tty *tty)
{
	return host_terminal_is_away(container_of(tty, struct hostfile, own_tty)->fd);
}

static const struct tty_ops host_tty_ops = {.is_away = is_away, .attach = attach};

static struct super_block *hostfile_super(void)
{
	static const struct super_ops ops = {.statfs = NULL};
	static struct mutex lock = MUTEX_INIT;
	static struct super_block *sb; /* never put; guarded by lock */
	struct super_block *found;

	mutex_lock(&lock);
	if (!sb)
		sb = super_new("hostfile", L_ANON_INODE_FS_MAGIC, &ops, NULL);
	found = sb;
	mutex_unlock(&lock);
	return found;
}

/* fd becomes the inode's on success. */
static int make_inode(int fd, const struct host_stat *st, struct inode **out)
{
	struct super_block *sb = hostfile_super();
	struct hostfile *h = calloc(1, sizeof(*h));
	struct inode *i;
	int r;

	if (!h || !sb) {
		free(h);
		return -ENOMEM;
	}
	waitqueue_init(&h->wq);
	h->regular = L_S_ISREG(st->mode);
	r = host_fd_flags(fd, &h->host_flags);
	if (r == 0 && !h->regular)
		r = host_watch_add(fd, became_ready, h, &h->watch);
	if (r == -EPERM) /* a device that is always ready, /dev/null say */
		r = 0;
	if (r < 0) {
		free(h);
		return r;
	}
	i = inode_new(sb, st->mode, &hostfile_inode_ops, &hostfile_ops);
	if (!i) {
		host_watch_remove(h->watch);
		free(h);
		return -ENOMEM;
	}
	h->fd = fd;
	h->inode = h->own_tty.inode = i;
	h->is_tty = hostfile_is_tty(fd);
	h->own_tty.ops = &host_tty_ops;
	h->tty = &h->own_tty;
	i->rdev = h->is_tty ? host_terminal_device(fd) : st->rdev; /* /dev/tty itself may have come in */
	i->size = st->size;
	i->uid = st->uid;
	i->gid = st->gid;
	i->priv = h;
	*out = i;
	return 0;
}

struct tty *hostfile_tty(struct file *f)
{
	struct hostfile *h = f->ops == &hostfile_ops ? host_of(f) : NULL;

	return h && h->is_tty ? h->tty : NULL;
}

void hostfile_share_tty(struct file *f, struct file *with)
{
	struct hostfile *h = host_of(f);

	if (host_of(with) != h && h->tty == &h->own_tty)
		h->tty = tty_get(host_of(with)->tty);
}

int hostfile_create(int fd, const struct cred *c, struct file **out)
{
	struct hostfile *h;
	struct host_stat st;
	struct inode *i = NULL;
	int r = host_stat_fd(fd, &st);

	if (r == 0 && L_S_ISDIR(st.mode))
		r = -EISDIR;
	if (r == 0)
		r = make_inode(fd, &st, &i);
	if (r < 0) {
		host_close(fd);
		return r;
	}
	h = i->priv;
	/* The file's priv is a reference to the inode; so is the caller's until the end of this function. */
	r = file_anonymous_on(h->is_tty ? "/dev/console" : "host:", i, &hostfile_ops, h,
			      h->host_flags & (L_O_ACCMODE | L_O_APPEND | L_O_NONBLOCK), mode_bits(h, h->host_flags), c,
			      out);
	if (r < 0)
		inode_put(i);
	return r;
}
