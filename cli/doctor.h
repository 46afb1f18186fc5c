/*
 * What a run would get here.  cmd_doctor.c finds it out: the steps of boot.c are made, up to where the guest would start,
 * and what came of each is noted; doctor_report.c says it.
 */
#ifndef BAILEY_CLI_DOCTOR_H
#define BAILEY_CLI_DOCTOR_H

#include <stdbool.h>

#include "base/compiler.h"
#include "cli/boot_platform.h"
#include "host/confine.h"
#include "host/facts.h"

enum doctor_step { DOCTOR_SPLIT, DOCTOR_ROOT, DOCTOR_DROP, DOCTOR_PLATFORMS, DOCTOR_FILTER, DOCTOR_DONE };

struct doctor_platform {
	int error; /* 0: it works; -errno; or CONFINE_PENDING: not tried */
	char why[WHY_SIZE];
	struct pf_features features;
};

struct doctor {
	struct host_facts facts;
	struct confine_report layers;
	struct doctor_platform platforms[ARRAY_SIZE(boot_platforms)];
	enum doctor_step step; /* the one that a run does not get past, or DOCTOR_DONE */
	int error;	       /* of that step: -errno, or the signal that ended the sentry */
};

/* The platform that auto picks: an index, or -1. */
int doctor_pick(const struct doctor *d);
/* True if all that is mandatory is there. */
bool doctor_is_safe(const struct doctor *d);

void doctor_print(const struct doctor *d);
void doctor_print_json(const struct doctor *d);

#endif
