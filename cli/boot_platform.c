/* See boot_platform.h. */
#include "cli/boot_platform.h"

#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "base/log.h"

const struct platform_ops *const boot_platforms[2] = {&systrap_platform, &ptrace_platform};

static const struct platform_ops *named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(boot_platforms); i++)
		if (strcmp(name, platform_name(boot_platforms[i])) == 0)
			return boot_platforms[i];
	return NULL;
}

/* A start that fails leaves nothing behind, so it needs no probe before it: that would cost every run a process.  begun: NULL, or that
 * is what to go on with. */
static int try(const struct platform_ops *ops, struct platform *begun, struct platform **out, char *why)
{
	char probed[WHY_SIZE] = "";
	int r;

	why[0] = '\0';
	if (!begun) {
		r = platform_start(ops, out, why, WHY_SIZE);
	} else {
		r = platform_finish(begun, why, WHY_SIZE);
		if (r == 0)
			*out = begun;
	}
	if (r == 0)
		log_info("platform %s", platform_name(ops));
	else if (platform_probe(ops, probed, sizeof(probed)) < 0 && probed[0])
		snprintf(why, WHY_SIZE, "%s", probed); /* the probe knows causes and cures */
	else if (!why[0])
		snprintf(why, WHY_SIZE, "%s", abi_errno_name(-r));
	return r;
}

int boot_platform_try(const struct platform_ops *ops, struct platform **out, char *why)
{
	return try(ops, NULL, out, why);
}

struct platform *boot_platform_begin(const char *wanted)
{
	const struct platform_ops *ops = strcmp(wanted, "auto") == 0 ? boot_platforms[0] : named(wanted);
	struct platform *pf;
	char why[WHY_SIZE];

	return ops && platform_begin(ops, &pf, why, sizeof(why)) == 0 ? pf : NULL;
}

static int start_named(const char *name, struct platform *begun, struct platform **out)
{
	const struct platform_ops *ops = named(name);
	char why[WHY_SIZE];

	if (ops && try(ops, begun, out, why) == 0)
		return 0;
	if (ops)
		log_error("do: the %s platform does not work here: %s; \"bailey doctor\" says what does", name, why);
	return -ENOSYS;
}

int boot_platform_start(const char *wanted, struct platform *begun, struct platform **out)
{
	char why[WHY_SIZE], why_ptrace[WHY_SIZE];

	if (strcmp(wanted, "auto") != 0)
		return start_named(wanted, begun, out);
	if (try(&systrap_platform, begun, out, why) == 0)
		return 0;
	log_info("the systrap platform does not work here (%s); trying ptrace", why);
	if (try(&ptrace_platform, NULL, out, why_ptrace) == 0)
		return 0;
	log_error("do: no platform works here: systrap: %s; ptrace: %s; \"bailey doctor\" says what is missing", why, why_ptrace);
	return -ENOSYS;
}
