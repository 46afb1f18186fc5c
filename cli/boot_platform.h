/* Which platform runs here: tried by starting it.  Single-threaded; all but boot_platform_begin after privileges were dropped. */
#ifndef BAILEY_CLI_BOOT_PLATFORM_H
#define BAILEY_CLI_BOOT_PLATFORM_H

#include "base/compiler.h"
#include "platform/platform.h"

#define WHY_SIZE 256

/* In the order in which auto tries them. */
extern const struct platform_ops *const boot_platforms[2];

/* Starts one.  0; or -errno, and why (of WHY_SIZE) has one line about the cause and, where it is known, the cure. */
int boot_platform_try(const struct platform_ops *ops, struct platform **out, char *why) MUST_CHECK;

/* Begins to start what is tried first of what is wanted ("auto", or a name); before privileges are dropped.  NULL if that cannot be
 * started in two steps, or fails: boot_platform_start will say so. */
struct platform *boot_platform_begin(const char *wanted);
/* Starts the one that is wanted; begun: what boot_platform_begin gave.  -errno after an error that has been told. */
int boot_platform_start(const char *wanted, struct platform *begun, struct platform **out) MUST_CHECK;

#endif
