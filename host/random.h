/* The host's random numbers. */
#ifndef BAILEY_HOST_RANDOM_H
#define BAILEY_HOST_RANDOM_H

#include <stddef.h>

/* Fills buf from the kernel's generator.  Cannot fail: without randomness the sandbox does not go on. */
void host_random(void *buf, size_t size);

#endif
