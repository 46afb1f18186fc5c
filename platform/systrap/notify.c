/*
 * The listener.  All stubs share it, so whichever sentry thread waits for its leader's notification may be given
 * another leader's: at any time at most one thread, the *receiver*, reads the listener, hands each notification to the
 * stub it belongs to, and passes the part on once its own has come.  A stub's death is told to the receiver by an
 * eventfd.
 *
 * Notifications are known by the thread that made them, which nobody can forge.  One from a guest thread (it jumped
 * into the leader's text) is the end of its stub.  One from a thread that is not known is a *stray*: a child or thread
 * of which the sentry has not been told yet; once no birth is under way, strays are up to no good and are killed too.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/process.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

/* While there is no reaper yet (the boot) the receiver looks after the template itself, so often. */
#define BOOT_POLL_MS 50

/* So often, else, whoever waits for a leader looks whether its stub does anything; and so often it may find that it does not,
 * before the stub is killed.  Many, because the machine may be busy, and a call may wait for a slow disk. */
#define LOOK_MS 1000
#define LOOKS_TO_ANSWER 10

struct stray {
	struct list_head node;
	pid_t pid;
	bool died; /* else: it notified */
	struct note note;
};

/* The kernel may use more bytes than our headers say; systrap_probe refuses what does not fit. */
union notif_buffer {
	struct seccomp_notif n;
	uint8_t room[NOTIF_ROOM];
};

int listener_open(struct systrap *st)
{
	st->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (st->wake_fd < 0)
		return -errno;
	/* Linux 6.6; without it the answer is the same, later. */
	st->sync_wakeup = ioctl(st->listener_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
	return 0;
}

struct stub *find_stub(struct systrap *st, pid_t pid)
{
	struct stub *s;

	list_for_each_entry (s, &st->stubs[(unsigned)pid % PID_BUCKETS], node) {
		if (s->as.host_pid == pid)
			return s;
	}
	return NULL;
}

static bool has_thread(const struct stub *s, pid_t tid)
{
	const struct context *c;

	list_for_each_entry (c, &s->contexts, node) {
		if (c->tid == tid)
			return true;
	}
	for (unsigned i = 0; i < s->idle_count; i++) {
		if (s->idle[i].tid == tid)
			return true;
	}
	return false;
}

/* A walk over all stubs: only an attack gets here. */
static struct stub *find_stub_of_thread(struct systrap *st, pid_t tid) REQUIRES(st->lock)
{
	struct stub *s;

	for (unsigned i = 0; i < PID_BUCKETS; i++) {
		list_for_each_entry (s, &st->stubs[i], node) {
			if (has_thread(s, tid))
				return s;
		}
	}
	return NULL;
}

/* Kills a process of which only a pending notification is known. */
static void kill_stray(struct systrap *st, pid_t pid, const struct note *n)
{
	uint64_t id = n->id;

	/* While the notification is valid its thread is alive, and so the number is its own. */
	if (ioctl(st->listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0) {
		log_warn("a guest thread unknown to the sentry (host id %d) called the leader's code: killed", pid);
		kill(pid, SIGKILL);
	}
}

static void add_stray(struct systrap *st, pid_t pid, bool died, const struct note *n) REQUIRES(st->lock)
{
	struct stray *y = malloc(sizeof(*y));

	if (!y) {
		/* It will never be asked for again, so it must not live. */
		if (!died)
			kill_stray(st, pid, n);
		return;
	}
	*y = (struct stray){.pid = pid, .died = died};
	if (n)
		y->note = *n;
	list_add_tail(&y->node, &st->strays);
}

void note_stray_death(struct systrap *st, pid_t pid)
{
	if (st->births > 0)
		add_stray(st, pid, true, NULL);
}

void birth_begin(struct systrap *st)
{
	mutex_lock(&st->lock);
	st->births++;
	mutex_unlock(&st->lock);
}

void birth_end(struct systrap *st)
{
	struct stray *y, *tmp;

	mutex_lock(&st->lock);
	if (--st->births == 0) {
		list_for_each_entry_safe (y, tmp, &st->strays, node) {
			if (!y->died)
				kill_stray(st, y->pid, &y->note);
			list_del_init(&y->node);
			free(y);
		}
	}
	mutex_unlock(&st->lock);
}

static void dispatch(struct systrap *st, pid_t pid, const struct note *n) REQUIRES(st->lock)
{
	struct stub *s = find_stub(st, pid);

	if (s) {
		/* A leader that was stopped and continued makes its notification again: the latest is the one to answer. */
		s->note = *n;
		s->note_ready = true;
		pthread_cond_signal(&s->note_cond);
		return;
	}
	s = find_stub_of_thread(st, pid);
	if (s)
		stub_kill(s, "a guest thread called the leader's code");
	else if (st->births > 0)
		add_stray(st, pid, false, n);
	else
		kill_stray(st, pid, n);
}

/* Before there is a reaper: is the template still there? */
static void check_template(struct systrap *st)
{
	siginfo_t si = {0};

	if (waitid(P_PID, (id_t)st->template->as.host_pid, &si, WEXITED | WNOWAIT | WNOHANG) < 0 || si.si_pid != 0)
		atomic_store(&st->template->as.dead, true);
}

/* Takes one notification off the listener, which poll says has one.  st->lock need not be held. */
static bool receive(struct systrap *st, struct note *n, pid_t *pid)
{
	union notif_buffer buf;

	memset(&buf, 0, sizeof(buf));
	/* ENOENT: the thread died, or was interrupted, in between. */
	if (ioctl(st->listener_fd, SECCOMP_IOCTL_NOTIF_RECV, &buf) < 0)
		return false;
	*n = (struct note){.id = buf.n.id, .ip = buf.n.data.instruction_pointer, .nr = buf.n.data.nr};
	for (unsigned i = 0; i < 6; i++)
		n->args[i] = buf.n.data.args[i];
	*pid = (pid_t)buf.n.pid;
	return true;
}

/* The receiver's part, once: waits for one notification or one death.  Drops st->lock while it waits. */
static void receive_one(struct systrap *st, struct stub *s) REQUIRES(st->lock)
{
	struct pollfd p[2] = {{.fd = st->listener_fd, .events = POLLIN}, {.fd = st->wake_fd, .events = POLLIN}};
	bool boot = !st->reaper_started, got = false;
	struct note n;
	uint64_t count;
	pid_t pid;
	int r;

	st->receiving = true;
	mutex_unlock(&st->lock);
	r = poll(p, 2, boot ? BOOT_POLL_MS : LOOK_MS);
	if (r > 0 && (p[1].revents & POLLIN) && read(st->wake_fd, &count, sizeof(count)) < 0)
		log_debug("systrap: eventfd: %s", strerror(errno));
	if (r > 0 && (p[0].revents & POLLIN))
		got = receive(st, &n, &pid);
	else if (r > 0 && (p[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
		atomic_store(&s->as.dead, true); /* every stub is gone, ours with them */
	else if (r == 0 && boot)
		check_template(st);
	mutex_lock(&st->lock);
	st->receiving = false;
	if (got)
		dispatch(st, pid, &n);
}

static void pass_on_receiving(struct systrap *st) REQUIRES(st->lock)
{
	if (!st->receiving && !list_empty(&st->waiters))
		pthread_cond_signal(&list_first_entry(&st->waiters, struct stub, wait_node)->note_cond);
}

void listener_look(struct systrap *st)
{
	struct pollfd p = {.fd = st->listener_fd, .events = POLLIN};
	struct note n;
	pid_t pid;

	mutex_lock(&st->lock);
	/* Nobody else receives meanwhile, so that receiving what poll has seen cannot block. */
	while (!st->receiving && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && receive(st, &n, &pid))
		dispatch(st, pid, &n);
	mutex_unlock(&st->lock);
}

/* Sleeps until the receiver has something for s, or it is time to look whether there will ever be. */
static void wait_for_receiver(struct systrap *st, struct stub *s) REQUIRES(st->lock)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_MS / 1000;
	list_add_tail(&s->wait_node, &st->waiters);
	pthread_cond_clockwait(&s->note_cond, &st->lock.m, CLOCK_MONOTONIC, &until);
	list_del_init(&s->wait_node);
}

/* How long a leader has been waited for. */
struct patience {
	int64_t look_ns, cpu_ns; /* at the last look */
	unsigned looks;		 /* in a row at which nothing had happened */
};

/* Once in LOOK_MS: a stub that neither answers nor works, nor even waits for a processor, is killed, and taken for dead if it does not
 * die. */
static void lose_patience(struct systrap *st, struct stub *s, struct patience *p) REQUIRES(st->lock)
{
	int64_t now = monotonic_ns(), cpu;

	if (stub_overdue(s))
		stub_mark_dead_locked(st, s);
	if (p->look_ns == 0)
		p->look_ns = now;
	if (now - p->look_ns < LOOK_MS * 1000000ll)
		return;
	p->look_ns = now;
	cpu = stub_cpu_ns(s->as.host_pid);
	p->looks = cpu == p->cpu_ns && !host_stub_thread_runnable(s->as.host_pid, s->as.host_pid) ? p->looks + 1 : 0;
	p->cpu_ns = cpu;
	if (p->looks == LOOKS_TO_ANSWER)
		stub_kill(s, "its leader does not answer");
}

int leader_wait(struct stub *s, struct note *out)
{
	struct systrap *st = systrap_of(&s->as);
	struct patience p = {0};
	bool first = true;
	int r = 0;

	mutex_lock(&st->lock);
	while (!s->note_ready) {
		if (!first)
			lose_patience(st, s, &p);
		first = false;
		if (atomic_load(&s->as.dead)) {
			r = -ESRCH;
			break;
		}
		if (!st->receiving)
			receive_one(st, s);
		else
			wait_for_receiver(st, s);
	}
	if (s->note_ready) {
		*out = s->note;
		s->note_ready = false;
	}
	pass_on_receiving(st);
	mutex_unlock(&st->lock);
	return r;
}

bool leader_note_pending(struct stub *s, struct note *out)
{
	struct systrap *st = systrap_of(&s->as);
	bool ready;

	mutex_lock(&st->lock);
	ready = s->note_ready;
	if (ready)
		*out = s->note;
	s->note_ready = false;
	mutex_unlock(&st->lock);
	return ready;
}

int leader_reply(struct systrap *st, const struct note *n, long value, uint32_t flags)
{
	struct seccomp_notif_resp resp = {.id = n->id, .val = value, .flags = flags};

	while (ioctl(st->listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int leader_reply_fd(struct systrap *st, const struct note *n, int fd, uint32_t as)
{
	struct seccomp_notif_addfd add = {
		.id = n->id,
		.flags = SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd = as,
	};

	if (ioctl(st->listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0)
		return 0;
	/* ESRCH: the leader left the wait (it was stopped, or it is dead) before it took the descriptor. */
	return errno == ESRCH ? -ENOENT : -errno;
}

void register_stub(struct systrap *st, struct stub *s)
{
	struct stray *y, *tmp;

	mutex_lock(&st->lock);
	list_for_each_entry_safe (y, tmp, &st->strays, node) {
		if (y->pid != s->as.host_pid)
			continue;
		if (y->died) {
			atomic_store(&s->as.dead, true);
			atomic_fetch_or(&s->pid_users, STUB_REAPED);
			s->reaped = true;
		} else {
			s->note = y->note;
			s->note_ready = true;
		}
		list_del_init(&y->node);
		free(y);
	}
	if (!s->reaped)
		list_add(&s->node, &st->stubs[(unsigned)s->as.host_pid % PID_BUCKETS]);
	mutex_unlock(&st->lock);
}

void register_context(struct systrap *st, struct context *c)
{
	struct stub *s = stub_of(c->ctx.as);
	struct stray *y, *tmp;

	mutex_lock(&st->lock);
	list_add(&c->node, &s->contexts);
	list_for_each_entry_safe (y, tmp, &st->strays, node) {
		if (y->pid != c->tid)
			continue;
		if (!y->died)
			stub_kill(s, "a guest thread called the leader's code");
		list_del_init(&y->node);
		free(y);
	}
	mutex_unlock(&st->lock);
}

void stub_mark_dead_locked(struct systrap *st, struct stub *s)
{
	struct context *c;

	atomic_store(&s->as.dead, true);
	if (!s->released)
		platform_note_death();
	list_for_each_entry (c, &s->contexts, node) {
		atomic_store(channel_word(c), WORD_DEAD);
		futex_wake_shared(channel_word(c));
	}
	pthread_cond_signal(&s->note_cond);
	if (st->receiving) {
		uint64_t one = 1;

		if (write(st->wake_fd, &one, sizeof(one)) < 0)
			log_debug("systrap: eventfd: %s", strerror(errno)); /* full: it is readable already */
	}
}

void stub_mark_dead(struct systrap *st, struct stub *s)
{
	mutex_lock(&st->lock);
	stub_mark_dead_locked(st, s);
	mutex_unlock(&st->lock);
}
