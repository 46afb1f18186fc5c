/*
 * Debug registers: breakpoints and watchpoints of the hardware's kind, without the hardware, which is the host's.  A
 * tracee that has some enabled goes step by step; what is watched is read before and after each, and a change is a hit.
 * A breakpoint is met before its instruction.
 *
 * DIVERGES: a write that changes nothing is no hit, and reads cannot be watched (EINVAL).  Test: ptrace_watch.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/ptrace.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"

#define SLOTS 4u
#define DR7_RESERVED 0xffffffff0000fc00ull
#define TYPE_EXECUTE 0u
#define TYPE_WRITE 1u

static bool enabled(uint64_t dr7, unsigned slot)
{
	return (dr7 >> (2 * slot) & 3) != 0;
}

static unsigned type_of(uint64_t dr7, unsigned slot)
{
	return (unsigned)(dr7 >> (16 + 4 * slot)) & 3;
}

static unsigned length_of(uint64_t dr7, unsigned slot)
{
	static const unsigned lengths[] = {1, 2, 8, 4};

	return lengths[dr7 >> (18 + 4 * slot) & 3];
}

static bool slot_ok(const struct trace_state *tr, uint64_t dr7, unsigned slot)
{
	unsigned type = type_of(dr7, slot), len = length_of(dr7, slot);

	if (!enabled(dr7, slot))
		return true;
	if (type == TYPE_EXECUTE)
		return len == 1;
	return type == TYPE_WRITE && tr->debug[slot] % len == 0;
}

static bool any_enabled(uint64_t dr7)
{
	return (dr7 & 0xff) != 0;
}

static int set_control(struct task *o, uint64_t dr7)
{
	dr7 &= ~DR7_RESERVED;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (!slot_ok(&o->trace, dr7, slot))
			return -EINVAL;
	o->trace.debug[7] = dr7;
	if (any_enabled(dr7))
		atomic_fetch_or(&o->syscall_work, WORK_WATCH);
	else
		atomic_fetch_and(&o->syscall_work, ~(unsigned)WORK_WATCH);
	return 0;
}

int trace_set_debug_register(struct task *o, unsigned n, uint64_t value)
{
	struct trace_state *tr = &o->trace;
	uint64_t old = tr->debug[n];

	if (n == 4 || n == 5)
		return -EIO;
	if (n == 7)
		return set_control(o, value);
	if (n < SLOTS && value >= L_TASK_SIZE)
		return -EINVAL;
	tr->debug[n] = value;
	if (n < SLOTS && !slot_ok(tr, tr->debug[7], n)) {
		tr->debug[n] = old;
		return -EINVAL;
	}
	return 0;
}

void trace_clear_debug_registers(struct task *o)
{
	memset(o->trace.debug, 0, sizeof(o->trace.debug));
	atomic_fetch_and(&o->syscall_work, ~(unsigned)WORK_WATCH);
}

/* ---- of the running task itself ---- */

/* What a slot watches; what cannot be read counts as 0. */
static uint64_t watched_value(struct task *t, unsigned slot)
{
	uint64_t value = 0;

	if (pas_read(t->mm->as, t->trace.debug[slot], &value, length_of(t->trace.debug[7], slot)) < 0)
		return 0;
	return value;
}

static void hit(struct task *t, unsigned slot)
{
	t->trace.debug[6] |= 1ull << slot;
}

bool trace_watch_begin(struct task *t, uint64_t ip)
{
	struct trace_state *tr = &t->trace;
	uint64_t dr7 = tr->debug[7];
	struct l_siginfo info;
	bool met = false;

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!enabled(dr7, slot))
			continue;
		if (type_of(dr7, slot) == TYPE_WRITE) {
			tr->watched[slot] = watched_value(t, slot);
		} else if (tr->debug[slot] == ip && tr->met_ip != ip) {
			hit(t, slot);
			met = true;
		}
	}
	if (!met)
		return true;
	tr->met_ip = ip;
	memset(&info, 0, sizeof(info));
	info.si_signo = L_SIGTRAP;
	info.si_code = L_TRAP_HWBKPT;
	info.fault.addr = ip;
	signal_force(t, &info);
	return false;
}

bool trace_watch_end(struct task *t)
{
	struct trace_state *tr = &t->trace;
	bool changed = false;

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!enabled(tr->debug[7], slot) || type_of(tr->debug[7], slot) != TYPE_WRITE ||
		    tr->watched[slot] == watched_value(t, slot))
			continue;
		hit(t, slot);
		changed = true;
	}
	return changed;
}
