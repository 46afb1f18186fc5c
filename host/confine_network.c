/*
 * See confine_network.h.  The front makes the namespace while the sentry and the template (platform/systrap/boot.c), which is forked
 * meanwhile, do all they can do before it is there.  They find it by the front's pidfd, and hear of it by a word that all three have
 * mapped until then.
 */
#include "host/confine_network.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/confine.h"
#include "host/link.h"

#define READY 1
#define REFUSED 2 /* and the error added to it */
#define LOOK_NS 50000000 /* so often who waits looks whether the front is still there */

static _Atomic uint32_t *word; /* a futex; set once before the fork, NULL if nothing is planned */
static int front_fd = -1;      /* likewise */
static bool joined;	       /* the process, or the one that it was forked from, is where it should be; while there is one thread */

bool network_plan(void)
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
	word = page;
	return true;
}

void network_forget(void)
{
	if (!word)
		return;
	munmap((void *)word, PAGE_SIZE);
	close(front_fd);
	word = NULL;
}

void network_make(void)
{
	uint32_t said = READY;

	if (!word)
		return;
	if (unshare(CLONE_NEWNET) < 0)
		said = REFUSED + (uint32_t)errno;
	atomic_store(word, said);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	network_forget();
}

static bool front_is_gone(void)
{
	struct pollfd p = {.fd = link_fd()};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

int confine_join_network(int *refused)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	uint32_t said;

	if (!word || joined)
		return 0;
	while ((said = atomic_load(word)) == 0) {
		if (syscall(SYS_futex, word, FUTEX_WAIT, 0, &look, NULL, 0) < 0 && errno == ETIMEDOUT && front_is_gone())
			return -ESRCH;
	}
	*refused = said == READY ? 0 : -(int)(said - REFUSED);
	/* One of its own is as good: what counts is that there is nothing in it. */
	if (said == READY && setns(front_fd, CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
		return -errno;
	joined = true;
	return 0;
}
