/* One argument of a system call as text, by its descriptor in the table. */
#include <stdio.h>
#include <string.h>

#include "abi/fcntl.h"
#include "abi/signal.h"
#include "abi/stat.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/entry/strace_internal.h"

void text_names(struct text *o, const struct abi_names *set, uint64_t value)
{
	char names[512];

	abi_names_format(set, value, names, sizeof(names));
	text_add(o, "%s", names);
}

void text_quoted(struct text *o, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	text_add(o, "\"");
	for (size_t i = 0; i < len; i++) {
		static const char escapes[] = "\a\b\t\n\v\f\r", letters[] = "abtnvfr";
		const char *e = b[i] ? strchr(escapes, b[i]) : NULL;

		if (e)
			text_add(o, "\\%c", letters[e - escapes]);
		else if (b[i] == '"' || b[i] == '\\')
			text_add(o, "\\%c", b[i]);
		else if (b[i] >= 0x20 && b[i] < 0x7f)
			text_add(o, "%c", b[i]);
		else if (i + 1 < len && b[i + 1] >= '0' && b[i + 1] <= '9')
			text_add(o, "\\%03o", b[i]);
		else
			text_add(o, "\\%o", b[i]);
	}
	text_add(o, "\"");
}

static void add_address(struct text *o, gva_t addr)
{
	if (addr)
		text_add(o, "%#llx", (unsigned long long)addr);
	else
		text_add(o, "NULL");
}

/* len bytes of guest memory, shown as far as STRACE_STRING_MAX. */
static void add_bytes(struct text *o, struct pctx *ctx, gva_t addr, uint64_t len)
{
	uint8_t buf[STRACE_STRING_MAX] = {0};
	size_t n = min_of(len, sizeof(buf));

	if (!addr || (n && copy_in(ctx, buf, addr, n))) {
		add_address(o, addr);
		return;
	}
	text_quoted(o, buf, n);
	if (len > n)
		text_add(o, "...");
}

/* A string, shown as far as max bytes, which is at most L_PATH_MAX. */
static void add_string(struct text *o, struct pctx *ctx, gva_t addr, size_t max)
{
	char buf[L_PATH_MAX];
	size_t len = 0, end = 0;

	if (!addr) {
		text_add(o, "NULL");
		return;
	}
	/* As much as there is, for the string may end just before an unmapped page. */
	while (end == len && len < max) {
		ssize_t n = copy_in_some(ctx, buf + len, addr + len, min_of(max - len, (size_t)256));

		if (n <= 0) {
			add_address(o, addr);
			return;
		}
		len += (size_t)n;
		end += strnlen(buf + end, len - end);
	}
	text_quoted(o, buf, end);
	if (end == len)
		text_add(o, "...");
}

static void add_string_array(struct text *o, struct pctx *ctx, gva_t addr, bool only_count)
{
	uint64_t ptr;
	unsigned n = 0;

	if (!addr || copy_in(ctx, &ptr, addr, sizeof(ptr))) {
		add_address(o, addr);
		return;
	}
	if (!only_count)
		text_add(o, "[");
	for (; n < (only_count ? 4096 : STRACE_ARRAY_MAX) && !copy_in(ctx, &ptr, addr + 8ull * n, sizeof(ptr)) && ptr; n++) {
		if (only_count)
			continue;
		text_add(o, n ? ", " : "");
		add_string(o, ctx, ptr, STRACE_ARG_MAX);
	}
	if (only_count)
		text_add(o, "%#llx /* %u vars */", (unsigned long long)addr, n);
	else
		text_add(o, n == STRACE_ARRAY_MAX ? ", ...]" : "]");
}

/* One element, of which `size` bytes are there. */
static void add_struct(struct text *o, struct pctx *ctx, gva_t addr, enum abi_type type, uint64_t size, bool out)
{
	uint8_t data[STRACE_TYPE_MAX] ALIGNED(8);
	size_t n = min_of(size, sizeof(data));

	memset(data, 0, sizeof(data));
	if (!addr || copy_in(ctx, data, addr, n))
		add_address(o, addr);
	else
		strace_type(o, type, data, n, out);
}

static void add_array(struct text *o, struct pctx *ctx, gva_t addr, const struct abi_arg *arg, uint64_t count, bool out)
{
	if (!addr) {
		text_add(o, "NULL");
		return;
	}
	text_add(o, "[");
	for (uint64_t i = 0; i < count; i++) {
		text_add(o, i ? ", " : "");
		if (i == STRACE_ARRAY_MAX) {
			text_add(o, "...");
			break;
		}
		add_struct(o, ctx, addr + i * arg->size, arg->type, arg->size, out);
	}
	text_add(o, "]");
}

/* limit: how many bytes there are in all. */
static void add_iovecs(struct text *o, struct pctx *ctx, gva_t addr, uint64_t count, uint64_t limit)
{
	struct l_iovec v;

	if (!addr) {
		text_add(o, "NULL");
		return;
	}
	text_add(o, "[");
	for (uint64_t i = 0; i < count; i++) {
		text_add(o, i ? ", " : "");
		if (i == STRACE_ARRAY_MAX || copy_in(ctx, &v, addr + i * sizeof(v), sizeof(v))) {
			text_add(o, "...");
			break;
		}
		text_add(o, "{iov_base=");
		add_bytes(o, ctx, v.iov_base, min_of(v.iov_len, limit));
		limit -= min_of(v.iov_len, limit);
		text_add(o, ", iov_len=%llu}", (unsigned long long)v.iov_len);
	}
	text_add(o, "]");
}

/* How many bytes or elements arg has; true for a count that is known at this time. */
static bool arg_length(struct pctx *ctx, const struct abi_arg *arg, const uint64_t a[6], const long *result, uint64_t *len)
{
	uint64_t bound = a[arg->len_arg];
	uint32_t word;

	switch (arg->len) {
	case ABI_LEN_ARG:
		*len = bound;
		return true;
	case ABI_LEN_RESULT:
		if (!result)
			return false;
		*len = min_of((uint64_t)*result, bound);
		return true;
	case ABI_LEN_DEREF:
		if (!result || !bound || copy_in(ctx, &word, bound, sizeof(word)))
			return false;
		*len = word;
		return true;
	default:
		*len = 0;
		return true;
	}
}

/* Memory that the call reads, or has filled. */
static void add_memory(struct text *o, struct pctx *ctx, const struct abi_arg *arg, const uint64_t a[6], gva_t addr,
		       const long *result)
{
	bool out = result != NULL;
	uint64_t len;

	if (!arg_length(ctx, arg, a, result, &len)) {
		add_address(o, addr);
		return;
	}
	switch (arg->kind) {
	case ABI_ARG_PATH:
		add_string(o, ctx, addr, L_PATH_MAX);
		break;
	case ABI_ARG_STR:
		add_string(o, ctx, addr, STRACE_STRING_MAX * 4);
		break;
	case ABI_ARG_STRV:
		add_string_array(o, ctx, addr, !strcmp(arg->name, "envp"));
		break;
	case ABI_ARG_BUF:
		add_bytes(o, ctx, addr, len);
		break;
	case ABI_ARG_STRUCT:
		add_struct(o, ctx, addr, arg->type, arg->size, out);
		break;
	case ABI_ARG_ARRAY:
		add_array(o, ctx, addr, arg, len, out);
		break;
	case ABI_ARG_VAR:
		add_struct(o, ctx, addr, arg->type, len, out);
		break;
	case ABI_ARG_IOV:
		/* a[len_arg] is the number of iovecs; the result of a read says how many bytes are there. */
		add_iovecs(o, ctx, addr, a[arg->len_arg], out ? (uint64_t)*result : UINT64_MAX);
		break;
	default:
		add_address(o, addr);
	}
}

static void add_scalar(struct text *o, const struct abi_arg *arg, uint64_t v)
{
	const char *signal;

	switch (arg->kind) {
	case ABI_ARG_UINT:
	case ABI_ARG_UID:
	case ABI_ARG_GID:
		if ((uint32_t)v == UINT32_MAX)
			text_add(o, "-1");
		else
			text_add(o, "%u", (uint32_t)v);
		break;
	case ABI_ARG_LONG:
	case ABI_ARG_OFF:
		text_add(o, "%lld", (long long)v);
		break;
	case ABI_ARG_SIZE:
		text_add(o, "%llu", (unsigned long long)v);
		break;
	case ABI_ARG_HEX:
		text_add(o, v ? "%#llx" : "%llu", (unsigned long long)v);
		break;
	case ABI_ARG_PTR:
		add_address(o, v);
		break;
	case ABI_ARG_DIRFD:
		if ((int32_t)v == L_AT_FDCWD)
			text_add(o, "AT_FDCWD");
		else
			text_add(o, "%d", (int32_t)v);
		break;
	case ABI_ARG_SIG:
		signal = abi_signal_name((int32_t)v);
		if (signal)
			text_add(o, "%s", signal);
		else
			text_add(o, "%d", (int32_t)v);
		break;
	case ABI_ARG_MODE:
		text_add(o, "0%03o", (uint32_t)v);
		break;
	case ABI_ARG_DEV:
		text_add(o, "makedev(%#x, %#x)", l_major(v), l_minor(v));
		break;
	case ABI_ARG_FLAGS:
	case ABI_ARG_ENUM:
		text_names(o, arg->names, (uint32_t)v);
		break;
	default: /* INT, FD, PID */
		text_add(o, "%d", (int32_t)v);
	}
}

bool strace_arg_unused(const struct abi_syscall *s, const uint64_t a[6], unsigned k)
{
	return k > 0 && s->args[k].kind == ABI_ARG_MODE && s->args[k - 1].names == &abi_names_open &&
	       !(a[k - 1] & (L_O_CREAT | L___O_TMPFILE));
}

void strace_arg(struct text *o, struct pctx *ctx, const struct abi_syscall *s, const uint64_t a[6], unsigned k,
		const long *result)
{
	const struct abi_arg *arg = &s->args[k];

	if (arg->kind == ABI_ARG_END)
		return;
	if (arg->kind < ABI_ARG_PATH) {
		if (!result)
			add_scalar(o, arg, a[k]);
	} else if (!result) {
		if (arg->dir & ABI_DIR_IN)
			add_memory(o, ctx, arg, a, a[k], NULL);
	} else if (arg->dir & ABI_DIR_OUT) {
		if (*result >= 0)
			add_memory(o, ctx, arg, a, a[k], result);
		else if (!(arg->dir & ABI_DIR_IN))
			add_address(o, a[k]);
	}
}
