/*
 * The first line of a script.  Linux's rules (fs/binfmt_script.c): only the first 256 bytes count; blanks around the
 * interpreter's name are skipped; all behind it is one argument, without the blanks at its end.  A name that may have
 * been cut off by the 256 bytes is refused; an argument may be.
 */
#include "loader/loader.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The index of the first byte in [from, end) that is not a blank; end if there is none. */
static size_t skip_blanks(const char *s, size_t from, size_t end)
{
	while (from < end && blank(s[from]))
		from++;
	return from;
}

/* The index of the first blank or NUL in [from, end); end if there is none. */
static size_t skip_word(const char *s, size_t from, size_t end)
{
	while (from < end && s[from] && !blank(s[from]))
		from++;
	return from;
}

int script_plan(const void *head, size_t size, struct script_plan *plan)
{
	char line[L_BINPRM_BUF_SIZE] = {0};
	const char *newline;
	size_t end, name, name_end, arg;

	memcpy(line, head, min_of(size, sizeof(line)));
	if (line[0] != '#' || line[1] != '!')
		return -ENOEXEC;
	*plan = (struct script_plan){0};

	newline = memchr(line, '\n', strnlen(line, sizeof(line)));
	if (newline) {
		end = (size_t)(newline - line);
	} else {
		/* Nothing says that the line is whole; but a name with something behind it is. */
		end = sizeof(line) - 1;
		name = skip_blanks(line, 2, sizeof(line));
		if (name == sizeof(line) || skip_word(line, name, sizeof(line)) == sizeof(line))
			return -ENOEXEC;
	}
	while (end > 2 && blank(line[end - 1]))
		end--;
	name = skip_blanks(line, 2, end);
	name_end = skip_word(line, name, end);
	if (name_end == name)
		return name < end ? -EACCES : -ENOEXEC; /* the name "" leads to a directory */
	memcpy(plan->interp, line + name, name_end - name);
	if (name_end == end || !line[name_end])
		return 0;
	arg = skip_blanks(line, name_end, end);
	if (arg < end) {
		plan->has_arg = true;
		memcpy(plan->arg, line + arg, strnlen(line + arg, end - arg));
	}
	return 0;
}

int script_apply(const struct script_plan *plan, const char *script_path, struct strings *argv, uint64_t *budget)
{
	const char *parts[3] = {plan->interp, plan->has_arg ? plan->arg : script_path, script_path};
	size_t count = plan->has_arg ? 3 : 2, size = 0, len;
	char *packed;
	int r;

	for (size_t i = 0; i < count; i++)
		size += strlen(parts[i]) + 1;
	packed = malloc(size);
	if (!packed)
		return -ENOMEM;
	size = 0;
	for (size_t i = 0; i < count; i++, size += len) {
		len = strlen(parts[i]) + 1;
		memcpy(packed + size, parts[i], len);
	}
	r = strings_replace_head(argv, argv->count ? 1 : 0, packed, size, count, budget);
	free(packed);
	return r;
}
