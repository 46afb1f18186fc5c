/* See link.h. */
#include "host/link.h"

#include <sys/socket.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/log.h"

static int ends[2] = {-1, -1}; /* the front's, the sentry's; both only until the fork */
static int own = -1;	       /* immutable once there are threads */

int link_make(void)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

static void keep(int mine)
{
	own = ends[mine];
	close(ends[!mine]);
	ends[!mine] = -1;
}

void link_keep_front(void)
{
	keep(0);
}

void link_keep_sentry(void)
{
	keep(1);
}

int link_fd(void)
{
	return own;
}

/* Not send(2), which the sentry's filter does not let through; both ignore SIGPIPE. */
void link_send(enum link_what what, int signo)
{
	struct link_message m = {(uint8_t)what, (uint8_t)signo};

	if (own >= 0 && write(own, &m, sizeof(m)) < 0)
		log_debug("a message between front and sentry is lost: %s", abi_errno_name(errno));
}

bool link_receive(struct link_message *m)
{
	ssize_t n;

	do
		n = read(own, m, sizeof(*m));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*m);
}
