/* Doctor's findings as text and as JSON.  See doctor.h. */
#include "cli/doctor.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "base/json.h"

/* ---- judging ---- */

int doctor_pick(const struct doctor *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->platforms); i++)
		if (d->platforms[i].error == 0)
			return (int)i;
	return -1;
}

bool doctor_is_safe(const struct doctor *d)
{
	if (d->step != DOCTOR_DONE || doctor_pick(d) < 0)
		return false;
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++)
		if (confine_is_mandatory((enum confine_layer)i) && d->layers.state[i] != 0)
			return false;
	return true;
}

/* Why a run would not start, or NULL. */
static const char *obstacle(const struct doctor *d)
{
	static const char *const steps[] = {
		[DOCTOR_SPLIT] = "the sentry's process cannot be made; is the number of processes limited?",
		[DOCTOR_ROOT] = "the host's root directory cannot be opened",
		[DOCTOR_DROP] = "privileges cannot be dropped",
		[DOCTOR_PLATFORMS] = "no platform works",
		[DOCTOR_FILTER] = "the filter of host calls cannot be installed",
	};

	if (d->step != DOCTOR_DONE)
		return steps[d->step];
	return doctor_is_safe(d) ? NULL : "a mandatory layer of confinement is missing";
}

static const char *state_name(int state)
{
	if (state == CONFINE_UNNEEDED)
		return "unneeded";
	return state == 0 ? "yes" : state < 0 ? "no" : "untried";
}

static const char *layer_note(const struct doctor *d, enum confine_layer layer)
{
	int state = d->layers.state[layer];

	if (state == CONFINE_UNNEEDED)
		return "the caller may make the other namespaces without it";
	return state < 0 ? host_cure(&d->facts, layer, state) : "";
}

/* ---- the host's facts, once for both forms ---- */

struct fact {
	const char *key, *text; /* text NULL: a number */
	long long number;
	bool known;
	bool yes_or_no; /* the number is */
};
#define FACTS_MAX 24

static struct fact number_fact(const char *key, long n)
{
	return (struct fact){.key = key, .number = n, .known = n >= 0};
}

static struct fact bytes_fact(const char *key, uint64_t n)
{
	return (struct fact){.key = key, .number = (long long)n, .known = n > 0};
}

static struct fact text_fact(const char *key, const char *text)
{
	return (struct fact){.key = key, .text = text, .known = true};
}

static struct fact yes_fact(const char *key, bool yes)
{
	return (struct fact){.key = key, .number = yes, .known = true, .yes_or_no = true};
}

static size_t list_facts(const struct host_facts *f, struct fact *out)
{
	const struct fact facts[] = {
		text_fact("kernel", f->kernel),
		number_fact("uid", (long)f->uid),
		yes_fact("cap_sys_admin", f->admin),
		number_fact("no_new_privs", f->no_new_privs),
		number_fact("seccomp_filters", f->seccomp_filters),
		number_fact("yama_ptrace_scope", f->ptrace_scope),
		number_fact("max_user_namespaces", f->max_user_namespaces),
		number_fact("unprivileged_userns_clone", f->userns_clone),
		number_fact("apparmor_restrict_unprivileged_userns", f->apparmor_userns),
		number_fact("landlock_abi", f->landlock),
		bytes_fact("memory_total", f->memory_total),
		bytes_fact("memory_available", f->memory_available),
		number_fact("cgroup_version", f->cgroup.version ? f->cgroup.version : FACT_UNKNOWN),
		text_fact("cgroup_path", f->cgroup.path),
		text_fact("cgroup_controllers", f->cgroup.controllers),
		yes_fact("cgroup_writable", f->cgroup.writable),
	};

	_Static_assert(ARRAY_SIZE(facts) <= FACTS_MAX, "more facts than there is room for");
	memcpy(out, facts, sizeof(facts));
	return ARRAY_SIZE(facts);
}

static const struct {
	const char *key, *text;
	size_t offset;
} features[] = {
	{"sync_wakeup", "synchronous wake-up", offsetof(struct pf_features, sync_wakeup)},
	{"atomic_mmap", "atomic mmap", offsetof(struct pf_features, atomic_mmap)},
	{"fsgsbase", "FSGSBASE", offsetof(struct pf_features, fsgsbase)},
	{"patching", "patched call sites", offsetof(struct pf_features, patching)},
};

static bool has_feature(const struct pf_features *f, size_t i)
{
	return *(const bool *)((const char *)f + features[i].offset);
}

/* ---- text ---- */

static void print_platform(const struct doctor *d, size_t i)
{
	const struct doctor_platform *p = &d->platforms[i];
	const char *separator = ": with ";

	printf("  %-14s %s", platform_name(boot_platforms[i]), p->error == 0 ? "works" : p->error < 0 ? "does not work: " : "untried");
	if (p->error < 0)
		printf("%s", p->why);
	for (size_t k = 0; p->error == 0 && k < ARRAY_SIZE(features); k++) {
		if (has_feature(&p->features, k)) {
			printf("%s%s", separator, features[k].text);
			separator = ", ";
		}
	}
	printf("\n");
}

static void print_layer(const struct doctor *d, enum confine_layer layer)
{
	const char *note = layer_note(d, layer);
	int state = d->layers.state[layer];

	printf("  %-14s %s", confine_layer_key(layer), state_name(state));
	if (state < 0)
		printf(" (%s)", abi_errno_name(-state));
	if (note[0])
		printf(": %s", note);
	printf("\n");
}

static void print_facts(const struct host_facts *f)
{
	struct fact facts[FACTS_MAX];
	size_t n = list_facts(f, facts);

	for (size_t i = 0; i < n; i++) {
		if (!facts[i].known)
			continue;
		printf("  %s ", facts[i].key);
		if (facts[i].text)
			printf("%s\n", facts[i].text[0] ? facts[i].text : "-");
		else if (facts[i].yes_or_no)
			printf("%s\n", facts[i].number ? "yes" : "no");
		else
			printf("%lld\n", facts[i].number);
	}
}

void doctor_print(const struct doctor *d)
{
	const char *why_not = obstacle(d);
	int pick = doctor_pick(d);

	if (!why_not)
		printf("safe to run: yes, on the %s platform\n", platform_name(boot_platforms[pick]));
	else if (d->error < 0)
		printf("safe to run: NO: %s (%s)\n", why_not, abi_errno_name(-d->error));
	else if (d->error > 0)
		printf("safe to run: NO: %s (signal %d)\n", why_not, d->error);
	else
		printf("safe to run: NO: %s\n", why_not);
	printf("\nplatforms, the first that works is taken:\n");
	for (size_t i = 0; i < ARRAY_SIZE(boot_platforms); i++)
		print_platform(d, i);
	printf("\nconfinement of the sentry, where the host allows:\n");
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++) {
		if (confine_is_mandatory((enum confine_layer)i) && !confine_is_mandatory((enum confine_layer)(i - 1)))
			printf("mandatory:\n");
		print_layer(d, (enum confine_layer)i);
	}
	printf("\nhost:\n");
	print_facts(&d->facts);
}

/* ---- JSON ---- */

static void json_member(const char *before, const char *key, const char *text)
{
	printf("%s\"%s\": ", before, key);
	if (text)
		json_string(stdout, text);
	else
		printf("null");
}

static void json_platform(const struct doctor *d, size_t i)
{
	const struct doctor_platform *p = &d->platforms[i];

	json_member(i ? ",\n  {" : "\n  {", "name", platform_name(boot_platforms[i]));
	json_member(", ", "state", state_name(p->error));
	json_member(", ", "error", p->error < 0 ? abi_errno_name(-p->error) : NULL);
	json_member(", ", "why", p->error < 0 ? p->why : NULL);
	printf(", \"features\": [");
	for (size_t k = 0, n = 0; k < ARRAY_SIZE(features); k++)
		if (p->error == 0 && has_feature(&p->features, k))
			printf("%s\"%s\"", n++ ? ", " : "", features[k].key);
	printf("]}");
}

static void json_layer(const struct doctor *d, enum confine_layer layer)
{
	int state = d->layers.state[layer];

	json_member(layer ? ",\n  {" : "\n  {", "name", confine_layer_key(layer));
	printf(", \"mandatory\": %s", confine_is_mandatory(layer) ? "true" : "false");
	json_member(", ", "state", state_name(state));
	json_member(", ", "error", state < 0 ? abi_errno_name(-state) : NULL);
	json_member(", ", "cure", state < 0 ? layer_note(d, layer) : NULL);
	printf("}");
}

static void json_facts(const struct host_facts *f)
{
	struct fact facts[FACTS_MAX];
	size_t n = list_facts(f, facts);

	for (size_t i = 0; i < n; i++) {
		if (facts[i].text)
			json_member(i ? ",\n  " : "\n  ", facts[i].key, facts[i].text);
		else if (facts[i].yes_or_no)
			printf(",\n  \"%s\": %s", facts[i].key, facts[i].number ? "true" : "false");
		else if (facts[i].known)
			printf(",\n  \"%s\": %lld", facts[i].key, facts[i].number);
		else
			json_member(",\n  ", facts[i].key, NULL);
	}
}

void doctor_print_json(const struct doctor *d)
{
	int pick = doctor_pick(d);

	printf("{\"safe\": %s", doctor_is_safe(d) ? "true" : "false");
	json_member(",\n ", "obstacle", obstacle(d));
	json_member(",\n ", "platform", pick < 0 ? NULL : platform_name(boot_platforms[pick]));
	printf(",\n \"platforms\": [");
	for (size_t i = 0; i < ARRAY_SIZE(boot_platforms); i++)
		json_platform(d, i);
	printf("],\n \"layers\": [");
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++)
		json_layer(d, (enum confine_layer)i);
	printf("],\n \"host\": {");
	json_facts(&d->facts);
	printf("}}\n");
}
