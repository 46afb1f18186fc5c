/* See uts.h. */
#include "sentry/core/uts.h"

#include <string.h>

#include "base/lock.h"

static struct mutex lock = MUTEX_INIT;
static struct l_utsname uts = { /* nodename and domainname guarded by lock */
	BAILEY_UTS_SYSNAME, "bailey", BAILEY_UTS_RELEASE, BAILEY_UTS_VERSION, BAILEY_UTS_MACHINE, "(none)",
};

void uts_get(struct l_utsname *out)
{
	mutex_lock(&lock);
	*out = uts;
	mutex_unlock(&lock);
}

static void set(char field[L_UTS_LEN + 1], const char *name, size_t len)
{
	mutex_lock(&lock);
	memset(field, 0, L_UTS_LEN + 1);
	memcpy(field, name, len);
	mutex_unlock(&lock);
}

void uts_set_nodename(const char *name, size_t len)
{
	set(uts.nodename, name, len);
}

void uts_set_domainname(const char *name, size_t len)
{
	set(uts.domainname, name, len);
}
