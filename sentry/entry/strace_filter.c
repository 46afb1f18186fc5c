/* Which calls --strace shows: names and strace's groups, added and taken away.  See strace.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/entry/strace_internal.h"

/* Set by strace_filter_init, immutable afterwards. */
static bool wanted[ABI_SYSCALL_MAX];
static bool wanted_unknown; /* numbers that are not in the table */

/* ---- groups: by what a call is for, each list with a space at both ends, or by its arguments ---- */

static const char process_calls[] =
	" clone clone3 execve execveat exit exit_group fork kill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo tgkill tkill vfork "
	"wait4 waitid ";
static const char network_calls[] =
	" accept accept4 bind connect getpeername getpmsg getsockname getsockopt listen putpmsg recvfrom recvmmsg recvmsg sendfile "
	"sendmmsg sendmsg sendto setsockopt shutdown socket socketpair ";
static const char signal_calls[] =
	" kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
	"rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill ";
static const char ipc_calls[] =
	" msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget ";
static const char memory_calls[] =
	" brk get_mempolicy io_destroy io_setup madvise map_shadow_stack mbind migrate_pages mincore mlock mlock2 mlockall mmap move_pages "
	"mprotect mremap mseal msync munlock munlockall munmap pkey_mprotect process_madvise process_mrelease remap_file_pages set_mempolicy "
	"set_mempolicy_home_node shmat shmdt ";

static bool is_listed(const char *calls, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(calls, name); at; at = strstr(at + 1, name))
		if (at[-1] == ' ' && at[len] == ' ')
			return true;
	return false;
}

static bool has_arg(const struct abi_syscall *s, enum abi_arg_kind kind, enum abi_type type)
{
	for (unsigned k = 0; k < ABI_MAX_ARGS; k++)
		if (s->args[k].kind == kind && (type == ABI_TYPE_NONE || s->args[k].type == type))
			return true;
	return false;
}

static bool is_process_call(const struct abi_syscall *s)
{
	return is_listed(process_calls, s->name);
}

static bool is_network_call(const struct abi_syscall *s)
{
	return is_listed(network_calls, s->name);
}

static bool is_signal_call(const struct abi_syscall *s)
{
	return is_listed(signal_calls, s->name);
}

static bool is_ipc_call(const struct abi_syscall *s)
{
	return is_listed(ipc_calls, s->name);
}

static bool is_memory_call(const struct abi_syscall *s)
{
	return is_listed(memory_calls, s->name);
}

static bool is_file_call(const struct abi_syscall *s)
{
	return has_arg(s, ABI_ARG_PATH, ABI_TYPE_NONE) || is_listed(" getcwd ", s->name);
}

/* Not of the network alone. */
static bool is_descriptor_call(const struct abi_syscall *s)
{
	if (is_listed(" bpf pselect6 select sendfile ", s->name))
		return true;
	return !is_network_call(s) &&
	       (s->result == ABI_RET_FD || has_arg(s, ABI_ARG_FD, ABI_TYPE_NONE) || has_arg(s, ABI_ARG_DIRFD, ABI_TYPE_NONE) ||
		has_arg(s, ABI_ARG_ARRAY, ABI_TYPE_pollfd) || has_arg(s, ABI_ARG_STRUCT, ABI_TYPE_fdpair));
}

static const struct group {
	const char *name;
	bool (*has)(const struct abi_syscall *s);
} groups[] = {
	{"%file", is_file_call},     {"%desc", is_descriptor_call}, {"%process", is_process_call}, {"%network", is_network_call},
	{"%signal", is_signal_call}, {"%ipc", is_ipc_call},	    {"%memory", is_memory_call},
};

/* ---- the list ---- */

static void want_all(bool all)
{
	memset(wanted, all, sizeof(wanted));
	wanted_unknown = all;
}

static int set_group(const char *name, bool on, char *why, size_t why_size)
{
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (strcmp(name, groups[i].name))
			continue;
		for (size_t row = 0; row < abi_syscall_count; row++)
			if (groups[i].has(&abi_syscalls[row]))
				wanted[abi_syscalls[row].nr] = on;
		return 0;
	}
	len = (size_t)snprintf(why, why_size, "there is no group \"%.40s\", but ", name);
	for (size_t i = 0; i < ARRAY_SIZE(groups) && len < why_size; i++)
		len += (size_t)snprintf(why + len, why_size - len, "%s%s", i ? ", " : "", groups[i].name);
	return -EINVAL;
}

static int set_name(const char *name, bool on, char *why, size_t why_size)
{
	const struct abi_syscall *s;

	if (name[0] == '%')
		return set_group(name, on, why, why_size);
	s = abi_syscall_by_name(name);
	if (!s) {
		snprintf(why, why_size, "there is no system call named \"%.80s\"", name);
		return -EINVAL;
	}
	wanted[s->nr] = on;
	return 0;
}

int strace_filter_init(const char *names, char *why, size_t why_size)
{
	const bool all_but = !names || names[0] == '!';
	char *copy, *rest;
	int r = 0;

	want_all(all_but);
	if (!names)
		return 0;
	copy = rest = strdup(names);
	if (!copy) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	for (char *name = strsep(&rest, ","); name && r == 0; name = strsep(&rest, ",")) {
		const bool away = name[0] == '!';

		r = set_name(name + away, !away && !all_but, why, why_size);
	}
	free(copy);
	return r;
}

const struct abi_syscall *strace_wanted(uint64_t nr, bool *is_wanted)
{
	const struct abi_syscall *s = abi_syscall_by_nr(nr);

	*is_wanted = s ? wanted[s->nr] : wanted_unknown;
	return s;
}
