/*
 * See confine_help.h.  The front makes the network namespace at once; the sentry and the template (platform/systrap/boot.c), which is
 * forked meanwhile, do all they can do before it is there.  They find it by the front's pidfd, and hear of it by a word that all three have
 * mapped until then.  The old root the front sees where the sentry sees it, for they have one mount namespace and pivot_root(2) moves
 * every process; the sentry says by a message when it is there.
 */
#include "host/confine_help.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/confine.h"
#include "host/link.h"

#define LOOK_NS 50000000 /* so often who waits looks whether the front is still there */

/* What the front has to say of a thing: 0, not yet; DONE; or the error, added to it. */
#define DONE 1

static struct {
	_Atomic uint32_t network, old_root, dropped; /* futexes; the last: the front's capabilities */
} *said;		  /* set once before the fork, NULL if nothing is planned */
static int front_fd = -1; /* likewise */
static bool joined;	  /* the process, or the one that it was forked from, is where it should be; while there is one thread */
static bool asked;	  /* likewise: the front has been told about the old root */

bool help_plan(void)
{
	void *page;

	front_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (front_fd < 0)
		return false;
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		close(front_fd);
		return false;
	}
	said = page;
	return true;
}

static void forget(void)
{
	munmap(said, PAGE_SIZE);
	close(front_fd);
	said = NULL;
}

static void say(_Atomic uint32_t *word, int result)
{
	atomic_store(word, DONE + (uint32_t)-result);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void help_give(void)
{
	struct link_message m;

	if (!said)
		return;
	say(&said->network, unshare(CLONE_NEWNET) < 0 ? -errno : 0);
	if (link_receive(&m) && m.what == LINK_ROOT) {
		/* "/" with a mount upon it is what lies on top. */
		say(&said->old_root, m.signo && umount2("/", MNT_DETACH) < 0 ? -errno : 0);
		say(&said->dropped, confine_drop_caps());
	}
	forget();
}

bool help_wanted(bool old_root)
{
	if (!said || asked)
		return false;
	asked = true;
	link_send(LINK_ROOT, old_root);
	return old_root;
}

static bool front_is_gone(void)
{
	struct pollfd p = {.fd = link_fd()};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

/* 0: *result is what the front has said.  -ESRCH: it is gone. */
static int hear(_Atomic uint32_t *word, int *result)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	uint32_t heard;

	while ((heard = atomic_load(word)) == 0) {
		if (syscall(SYS_futex, word, FUTEX_WAIT, 0, &look, NULL, 0) < 0 && errno == ETIMEDOUT && front_is_gone())
			return -ESRCH;
	}
	*result = -(int)(heard - DONE);
	return 0;
}

int confine_join_network(int *refused)
{
	int r;

	if (!said || joined)
		return 0;
	r = hear(&said->network, refused);
	if (r < 0)
		return r;
	/* One of its own is as good: what counts is that there is nothing in it. */
	if (*refused == 0 && setns(front_fd, CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
		return -errno;
	joined = true;
	return 0;
}

int confine_settle(struct confine_report *rep)
{
	int old_root = 0, dropped = 0, r = 0;

	if (!said)
		return 0;
	if (asked)
		r = hear(&said->old_root, &old_root);
	if (asked && r == 0)
		r = hear(&said->dropped, &dropped);
	forget();
	if (old_root < 0)
		rep->state[CONFINE_EMPTY_ROOT] = old_root;
	return r < 0 ? r : dropped;
}
