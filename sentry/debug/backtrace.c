/* Backtraces of guest threads by libunwind's remote accessors: registers from the context, memory through uaccess. */
#include "sentry/debug/backtrace.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libunwind.h>

#include "abi/errno.h"
#include "abi/names.h"
#include "abi/types.h"
#include "base/log.h"
#include "sentry/debug/module.h"
#include "sentry/task/task.h"

#define FRAMES_MAX 64
/* Words that one backtrace may read: a table made to keep libunwind going ends here. */
#define READS_MAX 200000u

/* libunwind's own, for remote tables; its headers do not declare it. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di, unw_proc_info_t *pi,
				       int need_unwind_info, void *arg);

/* What is used of libunwind, which is loaded when backtraces are asked for: linked, it would make each start a sixth of a millisecond
 * longer. */
#define LIBUNWIND "libunwind-x86_64.so.8"
#define UNWIND_FUNCTIONS(X) \
	X(create_addr_space) X(set_caching_policy) X(init_remote) X(get_reg) X(step) X(dwarf_search_unwind_table)
#define POINTER(f) __typeof__(UNW_OBJ(f)) *f;
static struct {
	UNWIND_FUNCTIONS(POINTER)
} unwind;

/* Shared by all tasks: it caches nothing.  Made before there are tasks, immutable afterwards; NULL: not enabled. */
static unw_addr_space_t space;

struct walk {
	struct task *t;
	struct abi_regs regs;
	unsigned reads;
};

/* ---- what libunwind asks ---- */

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need, void *arg)
{
	struct walk *w = arg;
	struct module m;
	unw_dyn_info_t di;

	if (!module_find(w->t, ip, &m) || !m.table_size)
		return -UNW_ENOINFO;
	memset(&di, 0, sizeof(di));
	di.start_ip = m.start;
	di.end_ip = m.end;
	di.format = UNW_INFO_FORMAT_REMOTE_TABLE;
	di.u.rti.segbase = m.eh_frame_hdr;
	di.u.rti.table_data = m.table;
	di.u.rti.table_len = m.table_size / sizeof(unw_word_t);
	return unwind.dwarf_search_unwind_table(as, ip, &di, pi, need, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as, (void)pi, (void)arg;
}

static int no_dynamic_info(unw_addr_space_t as, unw_word_t *list, void *arg)
{
	(void)as, (void)list, (void)arg;
	return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	struct walk *w = arg;

	(void)as;
	if (write || w->reads++ >= READS_MAX || copy_in(w->t->ctx, value, addr, sizeof(*value)) < 0)
		return -UNW_EINVAL;
	return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write, void *arg)
{
	const struct abi_regs *r = &((struct walk *)arg)->regs;
	const uint64_t of[] = {
		[UNW_X86_64_RAX] = r->rax, [UNW_X86_64_RDX] = r->rdx, [UNW_X86_64_RCX] = r->rcx, [UNW_X86_64_RBX] = r->rbx,
		[UNW_X86_64_RSI] = r->rsi, [UNW_X86_64_RDI] = r->rdi, [UNW_X86_64_RBP] = r->rbp, [UNW_X86_64_RSP] = r->rsp,
		[UNW_X86_64_R8] = r->r8,   [UNW_X86_64_R9] = r->r9,   [UNW_X86_64_R10] = r->r10, [UNW_X86_64_R11] = r->r11,
		[UNW_X86_64_R12] = r->r12, [UNW_X86_64_R13] = r->r13, [UNW_X86_64_R14] = r->r14, [UNW_X86_64_R15] = r->r15,
		[UNW_X86_64_RIP] = r->rip,
	};

	(void)as;
	if (write || reg < 0 || (size_t)reg >= ARRAY_SIZE(of))
		return -UNW_EBADREG;
	*value = of[reg];
	return 0;
}

static int no_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write, void *arg)
{
	(void)as, (void)reg, (void)value, (void)write, (void)arg;
	return -UNW_EBADREG;
}

static int no_resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as, (void)cursor, (void)arg;
	return -UNW_EINVAL;
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = put_unwind_info,
	.get_dyn_info_list_addr = no_dynamic_info,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = no_fpreg,
	.resume = no_resume,
};

/* ---- the report ---- */

static void log_frame(struct task *t, unsigned n, uint64_t ip)
{
	char name[L_PATH_MAX];
	struct module m;

	if (module_find(t, ip, &m)) {
		module_name(t, ip, name, sizeof(name));
		log_warn("  #%u 0x%016" PRIx64 " %s+0x%" PRIx64, n, ip, name, ip - m.bias);
	} else {
		log_warn("  #%u 0x%016" PRIx64, n, ip);
	}
}

static void log_frames(struct walk *w)
{
	unw_cursor_t cursor;

	if (unwind.init_remote(&cursor, space, w) != 0)
		return;
	for (unsigned n = 0; n < FRAMES_MAX; n++) {
		unw_word_t ip;

		if (unwind.get_reg(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0)
			return;
		log_frame(w->t, n, ip);
		if (unwind.step(&cursor) <= 0)
			return;
	}
	log_warn("  ... and further");
}

#define STRING(x) #x
#define NAME(f) STRING(f)

static int load_libunwind(void)
{
	void *library = dlopen(LIBUNWIND, RTLD_NOW | RTLD_LOCAL);

#define LOOK_UP(f) unwind.f = library ? (__typeof__(unwind.f))dlsym(library, NAME(UNW_OBJ(f))) : NULL;
	UNWIND_FUNCTIONS(LOOK_UP)
#define IS_THERE(f) unwind.f &&
	if (UNWIND_FUNCTIONS(IS_THERE) true)
		return 0;
	log_warn("backtraces: %s", dlerror());
	return -ELIBACC;
}

int backtrace_enable(void)
{
	int r = load_libunwind();

	if (r < 0)
		return r;
	/* The first one also sets up libunwind, with host calls that the sentry's filter will forbid. */
	space = unwind.create_addr_space(&accessors, 0);
	if (!space)
		return -ENOMEM;
	return unwind.set_caching_policy(space, UNW_CACHE_NONE) == 0 ? 0 : -EINVAL;
}

void backtrace_death(struct task *t, int sig)
{
	struct walk w = {.t = t};
	char comm[TASK_COMM_LEN];

	if (!space || pctx_get_regs(t->ctx, &w.regs) < 0)
		return;
	task_get_comm(t, comm);
	log_warn("process %d (%s) is killed by %s in thread %d:", t->process->pid, comm, abi_signal_name(sig), t->tid);
	log_frames(&w);
}
