/* The environment that a command starts with: by default where programs are and how to talk to the person, not what they
 * hold.  Entries are borrowed or live for good. */
#ifndef BAILEY_CLI_ENV_H
#define BAILEY_CLI_ENV_H

#include <stddef.h>

struct env {
	char **v; /* NULL-terminated */
	size_t count;
};

void env_init(struct env *env); /* empty */
/* Adds "K=V" in the place of an earlier K. */
void env_put(struct env *env, char *entry);
/* Adds the caller's own K, if there is one. */
void env_pass(struct env *env, const char *name);
/* Adds what is passed unless the caller says otherwise. */
void env_pass_usual(struct env *env);

/* realloc for arrays that ends the program, with one line, when there is no memory. */
void *grown(void *array, size_t count, size_t size);

#endif
