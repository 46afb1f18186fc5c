/* The structures of system-call arguments as text: one function a type, in strace's notation. */
#include <string.h>

#include "abi/capability.h"
#include "abi/dirent.h"
#include "abi/epoll.h"
#include "abi/fcntl.h"
#include "abi/futex.h"
#include "abi/poll.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "abi/signal.h"
#include "abi/socket.h"
#include "abi/stat.h"
#include "abi/time.h"
#include "abi/utsname.h"
#include "abi/wait.h"
#include "base/checked.h"
#include "sentry/entry/strace_internal.h"

typedef unsigned long long ull;
typedef long long ll;

/* data holds `size` bytes of the guest's and zeros after them; size is at least the type's own, but for VAR arguments. */
#define SHOW(type) static void show_##type(struct text *o, const void *data, size_t size, bool out)

SHOW(bytes)
{
	text_quoted(o, data, min_of(size, (size_t)STRACE_STRING_MAX));
	if (size > STRACE_STRING_MAX)
		text_add(o, "...");
}

SHOW(int)
{
	text_add(o, "[%d]", *(const int32_t *)data);
}

SHOW(uint)
{
	text_add(o, "[%u]", *(const uint32_t *)data);
}

SHOW(long)
{
	text_add(o, "[%lld]", (ll) * (const int64_t *)data);
}

SHOW(ulong)
{
	text_add(o, "[%#llx]", (ull) * (const uint64_t *)data);
}

SHOW(off)
{
	text_add(o, "[%lld]", (ll) * (const int64_t *)data);
}

SHOW(fdpair)
{
	const int32_t *fd = data;

	text_add(o, "[%d, %d]", fd[0], fd[1]);
}

SHOW(wstatus)
{
	int status = *(const int32_t *)data;
	const char *sig;

	if (l_wifexited(status)) {
		text_add(o, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", l_wexitstatus(status));
	} else if (l_wifstopped(status)) {
		sig = abi_signal_name(l_wexitstatus(status));
		text_add(o, "[{WIFSTOPPED(s) && WSTOPSIG(s) == %s}]", sig ? sig : "?");
	} else if (status == L_W_CONTINUED) {
		text_add(o, "[{WIFCONTINUED(s)}]");
	} else {
		sig = abi_signal_name(l_wtermsig(status));
		text_add(o, "[{WIFSIGNALED(s) && WTERMSIG(s) == %s%s}]", sig ? sig : "?",
			 status & L_WCOREFLAG ? " && WCOREDUMP(s)" : "");
	}
}

static void add_sigset(struct text *o, uint64_t set)
{
	bool inverted = __builtin_popcountll(set) > 32;
	const char *space = "";

	text_add(o, inverted ? "~[" : "[");
	for (int sig = 1; sig <= L_NSIG; sig++) {
		if (!(set >> (sig - 1) & 1) == !inverted)
			continue;
		text_add(o, "%s%s", space, abi_signal_name(sig) + 3); /* without the SIG */
		space = " ";
	}
	text_add(o, "]");
}

SHOW(sigset)
{
	if (size < L_SIGSET_SIZE)
		show_bytes(o, data, size, out);
	else
		add_sigset(o, *(const uint64_t *)data);
}

SHOW(sigaction)
{
	const struct l_sigaction *sa = data;

	if (sa->handler == L_SIG_DFL || sa->handler == L_SIG_IGN)
		text_add(o, "{sa_handler=%s", sa->handler ? "SIG_IGN" : "SIG_DFL");
	else
		text_add(o, "{sa_handler=%#llx", (ull)sa->handler);
	text_add(o, ", sa_mask=");
	add_sigset(o, sa->mask);
	text_add(o, ", sa_flags=");
	text_names(o, &abi_names_sigaction, sa->flags);
	if (sa->flags & L_SA_RESTORER)
		text_add(o, ", sa_restorer=%#llx", (ull)sa->restorer);
	text_add(o, "}");
}

SHOW(siginfo)
{
	const struct l_siginfo *si = data;
	const char *name = abi_signal_name(si->si_signo);

	if (!name) {
		text_add(o, "{si_signo=%d}", si->si_signo);
		return;
	}
	text_add(o, "{si_signo=%s, si_code=%d", name, si->si_code);
	if (si->si_errno)
		text_add(o, ", si_errno=%d", si->si_errno);
	if (si->si_signo == L_SIGCHLD && si->si_code > 0)
		text_add(o, ", si_pid=%d, si_uid=%u, si_status=%d", si->chld.pid, si->chld.uid, si->chld.status);
	else if (si->si_code <= 0)
		text_add(o, ", si_pid=%d, si_uid=%u", si->kill.pid, si->kill.uid);
	else
		text_add(o, ", si_addr=%#llx", (ull)si->fault.addr);
	text_add(o, "}");
}

SHOW(sigevent)
{
	const struct l_sigevent *ev = data;

	text_add(o, "{sigev_value=%#llx, sigev_signo=%d, sigev_notify=%d}", (ull)ev->sigev_value.sival_ptr,
		 ev->sigev_signo, ev->sigev_notify);
}

SHOW(stack)
{
	const struct l_stack *ss = data;

	text_add(o, "{ss_sp=%#llx, ss_flags=", (ull)ss->ss_sp);
	text_names(o, &abi_names_sigstack, (uint32_t)ss->ss_flags);
	text_add(o, ", ss_size=%llu}", (ull)ss->ss_size);
}

static void add_mode(struct text *o, uint32_t mode)
{
	static const struct {
		uint32_t type;
		const char *name;
	} types[] = {
		{L_S_IFSOCK, "S_IFSOCK"}, {L_S_IFLNK, "S_IFLNK"}, {L_S_IFREG, "S_IFREG"}, {L_S_IFBLK, "S_IFBLK"},
		{L_S_IFDIR, "S_IFDIR"},	  {L_S_IFCHR, "S_IFCHR"}, {L_S_IFIFO, "S_IFIFO"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & L_S_IFMT) == types[i].type)
			text_add(o, "%s|", types[i].name);
	text_add(o, "0%o", mode & ~(uint32_t)L_S_IFMT);
}

SHOW(stat)
{
	const struct l_stat *st = data;

	text_add(o, "{st_mode=");
	add_mode(o, st->st_mode);
	if (L_S_ISCHR(st->st_mode) || L_S_ISBLK(st->st_mode))
		text_add(o, ", st_rdev=makedev(%#x, %#x), ...}", l_major(st->st_rdev), l_minor(st->st_rdev));
	else
		text_add(o, ", st_size=%lld, ...}", (ll)st->st_size);
}

SHOW(statx)
{
	const struct l_statx *st = data;

	text_add(o, "{stx_mask=");
	text_names(o, &abi_names_statx_mask, st->stx_mask);
	text_add(o, ", stx_mode=");
	add_mode(o, st->stx_mode);
	text_add(o, ", stx_size=%llu, ...}", (ull)st->stx_size);
}

SHOW(statfs)
{
	const struct l_statfs *st = data;

	text_add(o, "{f_type=%#llx, f_bsize=%lld, f_blocks=%llu, f_bfree=%llu, ...}", (ull)st->f_type, (ll)st->f_bsize,
		 (ull)st->f_blocks, (ull)st->f_bfree);
}

static void add_timespec(struct text *o, const struct l_timespec *ts)
{
	if (ts->tv_nsec == L_UTIME_NOW)
		text_add(o, "UTIME_NOW");
	else if (ts->tv_nsec == L_UTIME_OMIT)
		text_add(o, "UTIME_OMIT");
	else
		text_add(o, "{tv_sec=%lld, tv_nsec=%lld}", (ll)ts->tv_sec, (ll)ts->tv_nsec);
}

static void add_timeval(struct text *o, const struct l_timeval *tv)
{
	text_add(o, "{tv_sec=%lld, tv_usec=%lld}", (ll)tv->tv_sec, (ll)tv->tv_usec);
}

SHOW(timespec)
{
	add_timespec(o, data);
}

SHOW(timespec2)
{
	const struct l_timespec *ts = data;

	text_add(o, "[");
	add_timespec(o, &ts[0]);
	text_add(o, ", ");
	add_timespec(o, &ts[1]);
	text_add(o, "]");
}

SHOW(timeval)
{
	add_timeval(o, data);
}

SHOW(timeval2)
{
	const struct l_timeval *tv = data;

	text_add(o, "[");
	add_timeval(o, &tv[0]);
	text_add(o, ", ");
	add_timeval(o, &tv[1]);
	text_add(o, "]");
}

SHOW(itimerspec)
{
	const struct l_itimerspec *it = data;

	text_add(o, "{it_interval=");
	add_timespec(o, &it->it_interval);
	text_add(o, ", it_value=");
	add_timespec(o, &it->it_value);
	text_add(o, "}");
}

SHOW(itimerval)
{
	const struct l_itimerval *it = data;

	text_add(o, "{it_interval=");
	add_timeval(o, &it->it_interval);
	text_add(o, ", it_value=");
	add_timeval(o, &it->it_value);
	text_add(o, "}");
}

SHOW(timezone)
{
	const struct l_timezone *tz = data;

	text_add(o, "{tz_minuteswest=%d, tz_dsttime=%d}", tz->tz_minuteswest, tz->tz_dsttime);
}

SHOW(timex)
{
	const struct l_timex *tx = data;

	text_add(o, "{modes=%#x, offset=%lld, freq=%lld, status=%#x, ...}", tx->modes, (ll)tx->offset, (ll)tx->freq,
		 (unsigned)tx->status);
}

SHOW(tms)
{
	const struct l_tms *tms = data;

	text_add(o, "{tms_utime=%lld, tms_stime=%lld, tms_cutime=%lld, tms_cstime=%lld}", (ll)tms->tms_utime,
		 (ll)tms->tms_stime, (ll)tms->tms_cutime, (ll)tms->tms_cstime);
}

SHOW(utimbuf)
{
	const struct l_utimbuf *ut = data;

	text_add(o, "{actime=%lld, modtime=%lld}", (ll)ut->actime, (ll)ut->modtime);
}

static void add_limit(struct text *o, const char *name, uint64_t v)
{
	if (v == L_RLIM_INFINITY)
		text_add(o, "%s=RLIM64_INFINITY", name);
	else if (v % 1024 == 0 && v)
		text_add(o, "%s=%llu*1024", name, (ull)v / 1024);
	else
		text_add(o, "%s=%llu", name, (ull)v);
}

SHOW(rlimit)
{
	const struct l_rlimit64 *rl = data;

	add_limit(o, "{rlim_cur", rl->rlim_cur);
	add_limit(o, ", rlim_max", rl->rlim_max);
	text_add(o, "}");
}

SHOW(rusage)
{
	const struct l_rusage *ru = data;

	text_add(o, "{ru_utime=");
	add_timeval(o, &ru->ru_utime);
	text_add(o, ", ru_stime=");
	add_timeval(o, &ru->ru_stime);
	text_add(o, ", ru_maxrss=%lld, ...}", (ll)ru->ru_maxrss);
}

SHOW(pollfd)
{
	const struct l_pollfd *p = data;

	text_add(o, out ? "{fd=%d, revents=" : "{fd=%d, events=", p->fd);
	text_names(o, &abi_names_poll, (uint16_t)(out ? p->revents : p->events));
	text_add(o, "}");
}

SHOW(epoll_event)
{
	const struct l_epoll_event *ev = data;

	text_add(o, "{events=");
	text_names(o, &abi_names_epoll, ev->events);
	text_add(o, ", data=%#llx}", (ull)ev->data);
}

SHOW(utsname)
{
	const struct l_utsname *u = data;

	text_add(o, "{sysname=\"%.64s\", nodename=\"%.64s\", release=\"%.64s\", ...}", u->sysname, u->nodename, u->release);
}

SHOW(sysinfo)
{
	const struct l_sysinfo *si = data;

	text_add(o, "{uptime=%lld, totalram=%llu, freeram=%llu, procs=%u, ...}", (ll)si->uptime, (ull)si->totalram,
		 (ull)si->freeram, si->procs);
}

SHOW(clone_args)
{
	const struct l_clone_args *ca = data;
	const char *sig = abi_signal_name((int)ca->exit_signal);

	text_add(o, "{flags=");
	text_names(o, &abi_names_clone, ca->flags);
	text_add(o, ", exit_signal=%s, stack=%#llx, stack_size=%#llx", sig ? sig : "0", (ull)ca->stack, (ull)ca->stack_size);
	if (ca->flags & L_CLONE_SETTLS)
		text_add(o, ", tls=%#llx", (ull)ca->tls);
	text_add(o, "}");
}

SHOW(open_how)
{
	const struct l_open_how *how = data;

	text_add(o, "{flags=");
	text_names(o, &abi_names_open, how->flags);
	if (how->mode)
		text_add(o, ", mode=0%llo", (ull)how->mode);
	text_add(o, ", resolve=%#llx}", (ull)how->resolve);
}

SHOW(futex_waitv)
{
	const struct l_futex_waitv *w = data;

	text_add(o, "{val=%#llx, uaddr=%#llx, flags=", (ull)w->val, (ull)w->uaddr);
	text_names(o, &abi_names_futex2, w->flags);
	text_add(o, "}");
}

SHOW(sched_attr)
{
	const struct l_sched_attr *sa = data;

	text_add(o, "{size=%u, sched_policy=", sa->size);
	text_names(o, &abi_names_sched_policy, sa->sched_policy);
	text_add(o, ", sched_flags=%#llx, sched_nice=%d, sched_priority=%u, ...}", (ull)sa->sched_flags, sa->sched_nice,
		 sa->sched_priority);
}

SHOW(cap_header)
{
	const struct l_user_cap_header *h = data;

	text_add(o, "{version=%#x, pid=%d}", h->version, h->pid);
}

SHOW(sockaddr)
{
	const uint8_t *b = data;
	const struct l_sockaddr_in *in = data;
	uint16_t family;

	if (size < sizeof(family)) {
		show_bytes(o, data, size, out);
		return;
	}
	memcpy(&family, b, sizeof(family));
	text_add(o, "{sa_family=");
	text_names(o, &abi_names_af, family);
	if (family == L_AF_UNIX && size > 2) {
		size_t len = min_of(size - 2, (size_t)L_UNIX_PATH_MAX);

		text_add(o, b[2] ? ", sun_path=" : ", sun_path=@");
		if (b[2])
			text_quoted(o, b + 2, strnlen((const char *)b + 2, len));
		else
			text_quoted(o, b + 3, len - 1);
	} else if (family == L_AF_INET && size >= sizeof(*in)) {
		text_add(o, ", sin_port=htons(%u), sin_addr=inet_addr(\"%u.%u.%u.%u\")", b[2] << 8 | b[3], b[4], b[5], b[6],
			 b[7]);
	} else if (family == L_AF_INET6 && size >= sizeof(struct l_sockaddr_in6)) {
		text_add(o, ", sin6_port=htons(%u), sin6_addr=", b[2] << 8 | b[3]);
		for (int i = 0; i < 8; i++)
			text_add(o, i ? ":%x" : "%x", b[8 + 2 * i] << 8 | b[9 + 2 * i]);
	}
	text_add(o, "}");
}

SHOW(msghdr)
{
	const struct l_msghdr *m = data;

	text_add(o, "{msg_name=%#llx, msg_namelen=%d, msg_iov=%#llx, msg_iovlen=%llu, msg_controllen=%llu, msg_flags=",
		 (ull)m->msg_name, m->msg_namelen, (ull)m->msg_iov, (ull)m->msg_iovlen, (ull)m->msg_controllen);
	text_names(o, &abi_names_msg, m->msg_flags);
	text_add(o, "}");
}

SHOW(mq_attr)
{
	const int64_t *a = data;

	text_add(o, "{mq_flags=%#llx, mq_maxmsg=%lld, mq_msgsize=%lld, mq_curmsgs=%lld}", (ull)a[0], (ll)a[1], (ll)a[2],
		 (ll)a[3]);
}

SHOW(sembuf)
{
	const uint16_t *s = data;

	text_add(o, "{sem_num=%u, sem_op=%d, sem_flg=%#x}", s[0], (int16_t)s[1], s[2]);
}

typedef void show_type(struct text *o, const void *data, size_t size, bool out);

static show_type *const shows[ABI_TYPE_COUNT] = {
#define T(name, size) [ABI_TYPE_##name] = show_##name,
	ABI_TYPES(T)
#undef T
};

#define T(name, size) _Static_assert((size) <= STRACE_TYPE_MAX, #name);
ABI_TYPES(T)
#undef T

void strace_type(struct text *o, enum abi_type type, const void *data, size_t size, bool out)
{
	if (type > ABI_TYPE_NONE && type < ABI_TYPE_COUNT)
		shows[type](o, data, size, out);
	else
		show_bytes(o, data, size, out);
}
