/* Shared by signals.c and front.c. */
#ifndef BAILEY_HOST_SIGNALS_INTERNAL_H
#define BAILEY_HOST_SIGNALS_INTERNAL_H

#include <signal.h>

/* The signals that are meant for the guest: none that the caller ignores. */
void host_signals_guest_set(sigset_t *set);

#endif
