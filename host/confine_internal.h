/* Shared by the files of confine.h and by front.c. */
#ifndef BAILEY_HOST_CONFINE_INTERNAL_H
#define BAILEY_HOST_CONFINE_INTERNAL_H

#include "base/compiler.h"

/* Empties all capability sets of the calling thread, the bounding set as far as it may, and sets no_new_privs. */
int confine_drop_caps(void);

#endif
