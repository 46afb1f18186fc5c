/* bailey doctor [--json]: tries what a run does, and says what came of it.  See doctor.h. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/doctor.h"
#include "cli/options.h"
#include "host/caller.h"
#include "host/front.h"
#include "host/system.h"

static int set_json(void *ctx, char *value, char *second)
{
	bool *json = ctx;

	(void)value, (void)second;
	*json = true;
	return 0;
}

static const struct option options[] = {
	{"json", TAKES_NOTHING, NULL, "say it as JSON; docs/SECURITY.md has the keys", set_json},
};

static const struct command_line command_line = {
	.command = "doctor",
	.usage = "usage: bailey doctor [OPTIONS]\n"
		 "\n"
		 "Says which platform and which layers of confinement \"bailey do\" would have here, what is missing and how to\n"
		 "get it.  Nothing is guessed: it makes the steps of a run, up to where the command would start.\n",
	.closing = "Exit status: 0 if it is safe to run commands inside, that is, if a platform works and all layers are there\n"
		   "that are mandatory; 1 if not; 125 if Bailey itself failed.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* ---- the steps of a run ---- */

static void try_platforms(struct doctor *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(boot_platforms); i++) {
		struct doctor_platform *p = &d->platforms[i];
		struct platform *pf;

		p->error = boot_platform_try(boot_platforms[i], &pf, p->why);
		if (p->error < 0)
			continue;
		platform_features(pf, &p->features);
		platform_stop(pf);
	}
}

/* In the sentry's process.  d is shared with the front's, so that a step which ends us can be named. */
static void make_steps(struct doctor *d)
{
	struct confine_bind root = {.source = "/", .read_only = true, .dir_fd = -1};

	host_system_init();
	host_raise_fd_limit();
	d->step = DOCTOR_ROOT;
	d->error = confine_root(&d->layers, &root, NULL, 0);
	if (d->error < 0)
		return;
	d->step = DOCTOR_DROP;
	d->error = confine_drop(&d->layers);
	if (d->error < 0)
		return;
	d->error = confine_settle(&d->layers);
	if (d->error < 0)
		return;
	d->step = DOCTOR_PLATFORMS;
	try_platforms(d);
	if (doctor_pick(d) < 0) {
		d->error = -ENOSYS;
		return;
	}
	d->step = DOCTOR_FILTER;
	d->error = confine_filter(&d->layers, platform_name(boot_platforms[doctor_pick(d)]));
	if (d->error == 0)
		d->step = DOCTOR_DONE;
}

/* The caller's process becomes the front, as in a run; it has no further use for what it loses. */
static void examine(struct doctor *d)
{
	pid_t sentry;
	int status;

	host_facts(&d->facts);
	platform_note_host();
	confine_report_init(&d->layers);
	for (size_t i = 0; i < ARRAY_SIZE(d->platforms); i++)
		d->platforms[i].error = CONFINE_PENDING;
	d->step = DOCTOR_SPLIT;
	sentry = confine_split(&d->layers);
	if (sentry < 0) {
		d->error = sentry;
		return;
	}
	if (sentry == 0) {
		make_steps(d);
		host_exit(0);
	}
	while (waitpid(sentry, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status)) {
		d->error = WTERMSIG(status);
		if (d->step == DOCTOR_DONE)
			d->step = DOCTOR_FILTER;
	}
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor *d;
	bool json = false;
	int rest, status = options_parse(&command_line, &json, argc, argv, &rest);

	if (status)
		return status == OPTIONS_DONE ? 0 : status;
	if (rest < argc)
		return usage_error(&command_line, "there is nothing to do with %s", quoted(argv[rest]));
	d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d == MAP_FAILED) {
		log_error("doctor: no memory: %s; free some", strerror(errno));
		return EXIT_BAILEY;
	}
	examine(d);
	if (json)
		doctor_print_json(d);
	else
		doctor_print(d);
	if (fflush(stdout) != 0) {
		log_error("doctor: cannot write what was found: %s; give it an output that can be written", strerror(errno));
		return EXIT_BAILEY;
	}
	return doctor_is_safe(d) ? 0 : 1;
}
