/*
 * Single pages of the sentry's own memory, for files in memory and pipes.  They come from pieces of the host's memory that are big
 * enough to be cheap to get, and go back to the host piece by piece; malloc would grow its heap by one page a call.
 */
#ifndef BAILEY_HOST_PAGES_H
#define BAILEY_HOST_PAGES_H

#include <stdint.h>

#include "base/compiler.h"

/* A page, aligned, its content whatever it may be, or all zeros; NULL: no memory.  Any thread. */
uint8_t *host_page_alloc(void) MUST_CHECK;
uint8_t *host_page_alloc_zeroed(void) MUST_CHECK;
/* NULL is allowed. */
void host_page_free(uint8_t *page);

#endif
