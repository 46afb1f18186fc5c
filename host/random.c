/* See random.h. */
#include "host/random.h"

#include <stdint.h>
#include <sys/random.h>

#include "abi/errno.h"
#include "base/log.h"

void host_random(void *buf, size_t size)
{
	uint8_t *p = buf;

	while (size > 0) {
		ssize_t n = getrandom(p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			panic("getrandom: %s", abi_errno_name(errno));
		p += n;
		size -= (size_t)n;
	}
}
