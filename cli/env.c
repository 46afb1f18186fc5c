/* See env.h. */
#include "cli/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "host/front.h"

static const char *const usual[] = {"PATH", "HOME", "USER",     "LOGNAME",	"SHELL",
				    "TERM", "LANG", "LANGUAGE", "COLORTERM", "TZ"};

static NORETURN void die_out_of_memory(void)
{
	log_error("out of memory while reading the command line; free some, or make it shorter");
	exit(EXIT_BAILEY);
}

void *grown(void *array, size_t count, size_t size)
{
	void *p = reallocarray(array, count, size);

	if (!p)
		die_out_of_memory();
	return p;
}

void env_init(struct env *env)
{
	*env = (struct env){.v = grown(NULL, 1, sizeof(*env->v))};
	env->v[0] = NULL;
}

void env_put(struct env *env, char *entry)
{
	size_t name_len = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->v[i], entry, name_len) == 0) {
			env->v[i] = entry;
			return;
		}
	}
	env->v = grown(env->v, env->count + 2, sizeof(*env->v));
	env->v[env->count++] = entry;
	env->v[env->count] = NULL;
}

void env_pass(struct env *env, const char *name)
{
	const char *value = getenv(name);
	char *entry;

	if (!value)
		return;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		die_out_of_memory();
	env_put(env, entry);
}

void env_pass_usual(struct env *env)
{
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		env_pass(env, usual[i]);
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "LC_", 3) == 0)
			env_put(env, *e);
}
