/* Names of flags, enumerated values and signals: see names.h.  The tables come from names.def. */
#include "abi/names.h"

#include <stdio.h>

#include "abi/audit.h"
#include "abi/epoll.h"
#include "abi/fcntl.h"
#include "abi/futex.h"
#include "abi/ioctl.h"
#include "abi/mman.h"
#include "abi/mount.h"
#include "abi/poll.h"
#include "abi/prctl.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "abi/signal.h"
#include "abi/socket.h"
#include "abi/stat.h"
#include "abi/time.h"
#include "abi/types.h"
#include "abi/wait.h"
#include "base/compiler.h"

#define NAMES(set) static const struct abi_name table_##set[] = {
#define F(name) { (uint32_t)(L_##name), (uint32_t)(L_##name), #name },
#define F64(name) { L_##name, L_##name, #name },
#define E(mask, name) { (uint32_t)(L_##mask), (uint32_t)(L_##name), #name },
#define X(name) { ~0ull, (uint32_t)(L_##name), #name },
#define NAMES_END };
#include "abi/names.def"

#define NAMES(set) const struct abi_names abi_names_##set = { table_##set, ARRAY_SIZE(table_##set) };
#define F(name)
#define F64(name)
#define E(mask, name)
#define X(name)
#define NAMES_END
#include "abi/names.def"

size_t abi_names_format(const struct abi_names *set, uint64_t value, char *buf, size_t size)
{
	uint64_t rest = value;
	size_t len = 0;

	if (!size)
		return 0;
	buf[0] = '\0';
	/* The last word is for what no entry explains, or for a zero. */
	for (size_t i = 0; i <= set->count; i++) {
		const struct abi_name *n = i < set->count ? &set->v[i] : NULL;
		const char *bar = len ? "|" : "";
		int r;

		if (n && ((rest & n->mask) != n->value || (len && n->mask == ~0ull) || (!rest && n->value)))
			continue;
		if (n)
			r = snprintf(buf + len, size - len, "%s%s", bar, n->name);
		else if (rest || !len)
			r = snprintf(buf + len, size - len, rest ? "%s%#llx" : "%s%llu", bar, (unsigned long long)rest);
		else
			break;
		if (r < 0)
			break;
		len += (size_t)r;
		if (len >= size)
			return size - 1;
		if (n)
			rest &= ~n->mask;
	}
	return len;
}

const char *abi_signal_name(int signo)
{
	static const char *const names[] = {
		NULL,	   "SIGHUP",  "SIGINT",	   "SIGQUIT", "SIGILL",	   "SIGTRAP", "SIGABRT",   "SIGBUS",
		"SIGFPE",  "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",   "SIGPIPE", "SIGALRM",   "SIGTERM",
		"SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",   "SIGTTIN", "SIGTTOU",   "SIGURG",
		"SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",  "SIGIO",   "SIGPWR",	   "SIGSYS",
		"SIGRTMIN",  "SIGRT_1",	 "SIGRT_2",   "SIGRT_3",   "SIGRT_4",	"SIGRT_5",   "SIGRT_6",	  "SIGRT_7",
		"SIGRT_8",   "SIGRT_9",	 "SIGRT_10", "SIGRT_11", "SIGRT_12", "SIGRT_13", "SIGRT_14", "SIGRT_15",
		"SIGRT_16", "SIGRT_17", "SIGRT_18", "SIGRT_19", "SIGRT_20", "SIGRT_21", "SIGRT_22", "SIGRT_23",
		"SIGRT_24", "SIGRT_25", "SIGRT_26", "SIGRT_27", "SIGRT_28", "SIGRT_29", "SIGRT_30", "SIGRT_31",
		"SIGRT_32",
	};

	return signo > 0 && signo <= L_NSIG ? names[signo] : NULL;
}
