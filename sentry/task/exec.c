/*
 * execve(2).  Everything that can be refused is tried first: the file is found, its interpreters are followed, a new address
 * space is built beside the old one.  Then comes the point of no return: the other threads end and the task moves over.
 */
#include <cpuid.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "abi/auxvec.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "host/random.h"
#include "loader/loader.h"
#include "sentry/entry/entry.h"
#include "sentry/ipc/futex.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/task/exec_cred.h"
#include "sentry/task/internal.h"
#include "sentry/task/rseq.h"
#include "sentry/task/usage.h"
#include "sentry/time/timers.h"

#define MAX_INTERPRETERS 5 /* scripts that name scripts: execve(2) gives ELOOP beyond */
#define ET_DYN_BASE (GUEST_CEILING / 3 * 2 & PAGE_MASK)
#define STACK_RANDOM_PAGES (1u << 22)
#define MMAP_RANDOM_PAGES (1u << 28)
#define BRK_RANDOM_PAGES (1u << 18)
#define BOTTOM_UP_BASE 0x2aaaaaaab000ull /* a third of user space */
#define MIN_GAP (128ull << 20)
#define STACK_GAP_MAX (256ull << 20) /* kept free for the stack at the most; DIVERGES: Linux lays out anew if it is unlimited */
#define STACK_EXPAND 131072ull	       /* mapped below the image at the start */
#define STACK_GUARD (256 * PAGE_SIZE)

_Atomic unsigned exec_randomize_va_space = 2;

/* All that exec has gathered before the point of no return. */
struct image {
	struct file *file, *interp_file;
	struct elf_plan *program, *interp;
	char *name; /* what AT_EXECFN and comm are made from */
	struct mm *mm;
	struct stack_image stack;
	struct exec_cred id;
	uint64_t entry;
	bool randomize;
	bool by_descriptor; /* execveat(2) with no path */
};

static uint64_t random_pages(const struct image *img, uint64_t count)
{
	uint64_t r = 0;

	if (!img->randomize)
		return 0;
	host_random(&r, sizeof(r));
	return (r % count) * PAGE_SIZE;
}

static void image_free(struct image *img)
{
	if (img->file)
		file_put(img->file);
	if (img->interp_file)
		file_put(img->interp_file);
	elf_plan_free(img->program);
	elf_plan_free(img->interp);
	free(img->program);
	free(img->interp);
	free(img->name);
	mm_put(img->mm);
	stack_image_free(&img->stack);
	cred_put(img->id.cred);
}

/* ---- finding the program ---- */

/* The name by which the program was called: execveat(2) with a descriptor goes by /dev/fd. */
static char *exec_name(const struct exec_request *req)
{
	char *name;

	if (req->path[0] == '/' || req->dirfd == L_AT_FDCWD)
		return strdup(req->path);
	if (asprintf(&name, req->path[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d%s", req->dirfd, req->path) < 0)
		return NULL;
	return name;
}

/* An interpreter could not open the script by its name of /dev/fd: that descriptor will be closed. */
static bool name_is_closed(struct task *t, const struct exec_request *req)
{
	return req->path[0] != '/' && req->dirfd != L_AT_FDCWD && fd_get_cloexec(t->files, req->dirfd) == 1;
}

/* Follows scripts to the program proper. */
static int find_program(struct task *t, const struct exec_request *req, struct image *img)
{
	struct lookup l = task_lookup(t);
	struct script_plan *script;
	char *script_name = NULL;
	uint64_t budget = req->budget;
	int r;

	r = vfs_open_exec(&l, req->dirfd, req->path, req->at_flags, &img->file);
	if (r < 0)
		return r;
	img->name = exec_name(req);
	img->by_descriptor = !req->path[0] && req->dirfd != L_AT_FDCWD;
	script_name = img->name ? strdup(img->name) : NULL;
	script = malloc(sizeof(*script));
	if (!script_name || !script) {
		r = -ENOMEM;
		goto out;
	}
	for (int depth = 0;; depth++) {
		char head[SCRIPT_HEAD_SIZE];
		ssize_t n = vfs_read_kernel(img->file, head, sizeof(head), 0);

		if (n < 0) {
			r = (int)n;
			goto out;
		}
		r = 0;
		if (n < 2 || head[0] != '#' || head[1] != '!')
			goto out;
		if (depth == MAX_INTERPRETERS) {
			r = -ELOOP;
			goto out;
		}
		r = script_plan(head, (size_t)n, script);
		if (r == 0 && depth == 0 && name_is_closed(t, req))
			r = -ENOENT;
		if (r == 0)
			r = script_apply(script, script_name, req->argv, &budget);
		if (r < 0)
			goto out;
		file_put(img->file);
		img->file = NULL;
		r = vfs_open_exec(&l, L_AT_FDCWD, script->interp, 0, &img->file);
		if (r < 0)
			goto out;
		free(script_name);
		script_name = strdup(script->interp);
		if (!script_name) {
			r = -ENOMEM;
			goto out;
		}
	}
out:
	free(script_name);
	free(script);
	return r;
}

static ssize_t read_source(void *arg, void *buf, size_t len, uint64_t off)
{
	return off > INT64_MAX ? -EIO : vfs_read_kernel(arg, buf, len, (int64_t)off);
}

static int plan_file(struct file *file, enum elf_role role, struct elf_plan **out)
{
	struct elf_source src = {read_source, file, 0};
	struct elf_plan *plan = malloc(sizeof(*plan));
	int r;

	if (!plan)
		return -ENOMEM;
	mutex_lock(&file->inode->lock);
	src.size = file->inode->size;
	mutex_unlock(&file->inode->lock);
	r = elf_plan(&src, role, GUEST_CEILING, plan);
	if (r < 0) {
		free(plan);
		return r;
	}
	*out = plan;
	return 0;
}

static int plan_image(struct task *t, struct image *img)
{
	struct lookup l = task_lookup(t);
	int r = plan_file(img->file, ELF_PROGRAM, &img->program);

	if (r < 0 || !img->program->interp[0])
		return r;
	r = vfs_open_exec(&l, L_AT_FDCWD, img->program->interp, 0, &img->interp_file);
	if (r < 0)
		return r;
	return plan_file(img->interp_file, ELF_INTERPRETER, &img->interp);
}

/* ---- building the new address space ---- */

static int zero_guest(struct mm *mm, uint64_t start, uint64_t end)
{
	static const uint8_t zeros[PAGE_SIZE];

	while (start < end) {
		size_t n = min_of(end - start, PAGE_SIZE);
		ssize_t done = pas_write(mm->as, start, zeros, n);

		if (done < 0)
			return (int)done;
		start += (uint64_t)done;
	}
	return 0;
}

static int map_segments(struct task *t, struct mm *mm, struct file *file, const struct elf_plan *plan)
{
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];
		int64_t at;

		if (s->map_end > s->map_start) {
			at = mm_map(t, mm, s->map_start, s->map_end - s->map_start, s->prot,
				    L_MAP_PRIVATE | L_MAP_FIXED, file, s->file_off, VMA_PLAIN);
			if (at < 0)
				return (int)at;
		}
		if (s->anon_end > s->anon_start) {
			at = mm_map(t, mm, s->anon_start, s->anon_end - s->anon_start, s->anon_prot,
				    L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED, NULL, 0, VMA_PLAIN);
			if (at < 0)
				return (int)at;
		}
	}
	return 0;
}

/* Finds room for a relocatable plan: a program with an interpreter goes low, all else among the mappings. */
static int place(struct image *img, struct elf_plan *plan, bool low)
{
	struct mm *mm = img->mm;
	uint64_t base;

	if (!plan->relocatable)
		return 0;
	if (low) {
		base = ET_DYN_BASE + random_pages(img, MMAP_RANDOM_PAGES);
		base -= base % plan->align;
	} else {
		mutex_lock(&mm->lock);
		base = mm_find_gap(mm, plan->span_size, plan->align, GUEST_CEILING);
		if (!base) /* no such place: then anywhere, as on Linux */
			base = mm_find_gap(mm, plan->span_size, PAGE_SIZE, GUEST_CEILING);
		mutex_unlock(&mm->lock);
		if (!base)
			return -ENOMEM;
	}
	return elf_place(plan, base);
}

/* Where the stack is to end, and how far below it the mappings begin. */
static void place_stack(struct task *t, struct image *img)
{
	struct mm *mm = img->mm;
	uint64_t size = page_down(min_of(process_rlimit(t->process, L_RLIMIT_STACK), STACK_GAP_MAX));

	size = max_of(size, (uint64_t)MIN_GAP / 1024); /* room for the image itself at the least */
	mm->stack_top = GUEST_CEILING - random_pages(img, STACK_RANDOM_PAGES);
	mm->mmap_base = mm->stack_top - max_of(size + STACK_GUARD, MIN_GAP) - random_pages(img, MMAP_RANDOM_PAGES);
	mm->stack_limit = size;
	mm->stack_floor = mm->mmap_base;
	mm->bottom_up = (t->process->personality & L_ADDR_COMPAT_LAYOUT) && !img->id.clear_personality;
	if (mm->bottom_up)
		mm->mmap_base = BOTTOM_UP_BASE + random_pages(img, MMAP_RANDOM_PAGES);
}

/* Room for the image and some more, within the limit; what it takes beyond that comes as it is touched: see grow.c. */
static int map_stack(struct task *t, struct image *img)
{
	struct mm *mm = img->mm;
	uint64_t start = page_down(img->stack.sp), most = page_down(process_rlimit(t->process, L_RLIMIT_STACK));
	int prot = L_PROT_READ | L_PROT_WRITE | (img->program->stack_exec ? L_PROT_EXEC : 0);
	int64_t at;

	start = min_of(start, max_of(start - STACK_EXPAND, mm->stack_top - min_of(most, mm->stack_top)));
	at = mm_map(t, mm, start, mm->stack_top - start, prot, L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED | L_MAP_NORESERVE,
		    NULL, 0, VMA_STACK);
	mm->stack_start = start;
	return at < 0 ? (int)at : 0;
}

static unsigned hwcap;

static void ask_hwcap(void)
{
	unsigned a, b, c;

	(void)!__get_cpuid(1, &a, &b, &c, &hwcap);
}

/* AT_HWCAP as the kernel gives it; getauxval's is a value of glibc's own.  Under a hypervisor the question takes microseconds. */
static uint64_t cpu_hwcap(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, ask_hwcap);
	return hwcap;
}

/* The program and its interpreter have their places. */
static int plan_stack(struct task *t, const struct exec_request *req, struct image *img)
{
	struct mm *mm = img->mm;
	const struct elf_plan *p = img->program;
	const struct cred *c = img->id.cred;
	struct stack_inputs in = {
		.top = mm->stack_top,
		.rlim_stack = process_rlimit(t->process, L_RLIMIT_STACK),
		.argv = req->argv,
		.envp = req->envp,
		.execfn = img->name,
		.aux = {.phdr = p->phdr,
			.phnum = p->phnum,
			.entry = p->entry,
			.base = img->interp ? img->interp->bias : 0,
			.hwcap = cpu_hwcap(),
			.hwcap2 = getauxval(AT_HWCAP2),
			.minsigstksz = getauxval(AT_MINSIGSTKSZ),
			.rseq_feature_size = getauxval(AUX_RSEQ_FEATURE_SIZE),
			.rseq_align = getauxval(AUX_RSEQ_ALIGN),
			.uid = cred_show_uid(c, c->uid),
			.euid = cred_show_uid(c, c->euid),
			.gid = cred_show_gid(c, c->gid),
			.egid = cred_show_gid(c, c->egid),
			.secure = img->id.secure},
	};
	int r;

	in.aux.sysinfo_ehdr = platform_vdso(sandbox_platform());
	host_random(in.random, sizeof(in.random));
	in.jitter = random_pages(img, 512) / 256;
	r = stack_build(&in, &img->stack);
	if (r < 0)
		return r;
	if (img->stack.size > mm->stack_limit)
		return -E2BIG;
	mm->arg_start = img->stack.arg_start;
	mm->arg_end = img->stack.arg_end;
	mm->env_start = img->stack.env_start;
	mm->env_end = img->stack.env_end;
	mm->start_stack = img->stack.sp;
	memcpy(mm->auxv, img->stack.auxv, min_of(sizeof(mm->auxv), sizeof(img->stack.auxv)));
	return 0;
}

static int write_stack(struct image *img)
{
	ssize_t n = pas_write(img->mm->as, img->stack.sp, img->stack.bytes, img->stack.size);

	if (n < 0)
		return (int)n;
	return (uint64_t)n == img->stack.size ? 0 : -EFAULT;
}

static bool covers(uint64_t start, uint64_t end, uint64_t addr)
{
	return start <= addr && addr < end;
}

/* Whether a segment after the i-th has taken the place of the page at addr. */
static bool is_replaced(const struct elf_plan *plan, size_t i, uint64_t addr)
{
	while (++i < plan->segment_count) {
		const struct elf_segment *s = &plan->segments[i];

		if (covers(s->map_start, s->map_end, addr) || covers(s->anon_start, s->anon_end, addr))
			return true;
	}
	return false;
}

/* What lies behind a segment's bytes in their last page.  All are mapped by now, so one that a later segment replaced is left. */
static int clear_segments(struct mm *mm, const struct elf_plan *plan)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];

		if (s->clear_end > s->clear_start && (s->prot & L_PROT_WRITE) && !is_replaced(plan, i, s->clear_start))
			r = zero_guest(mm, s->clear_start, s->clear_end);
	}
	return r;
}

static int place_and_map(struct task *t, struct image *img)
{
	int r = place(img, img->program, img->interp != NULL);

	if (r == 0)
		r = map_segments(t, img->mm, img->file, img->program);
	if (r == 0 && img->interp)
		r = place(img, img->interp, false);
	if (r == 0 && img->interp)
		r = map_segments(t, img->mm, img->interp_file, img->interp);
	return r;
}

/* The program and its interpreter, where they are to be, and the stack: its mapping goes with the last of theirs.  What is wrong
 * with the stack is in *refused. */
static int map_image(struct task *t, const struct exec_request *req, struct image *img, int *refused)
{
	int r, settled;

	pas_defer(img->mm->as);
	r = place_and_map(t, img);
	if (r == 0) {
		*refused = plan_stack(t, req, img);
		if (*refused == 0)
			*refused = map_stack(t, img);
	}
	settled = pas_settle(img->mm->as);
	if (r == 0)
		r = settled;
	if (r == 0)
		r = clear_segments(img->mm, img->program);
	if (r == 0 && img->interp)
		r = clear_segments(img->mm, img->interp);
	img->entry = img->interp ? img->interp->entry : img->program->entry;
	return r;
}

/* The memory of a program that its user may not read belongs to those who hold the program's file. */
static void set_user_ns(struct task *t, struct image *img)
{
	const struct inode *i = img->file->inode;
	struct user_ns *u = t->cred->user_ns;

	if (vfs_permission(&img->file->path, MAY_READ, t->cred) < 0)
		while (u->level &&
		       (id_to_ns(u, ID_USER, i->uid) == ID_NONE || id_to_ns(u, ID_GROUP, i->gid) == ID_NONE))
			u = u->ns.owner;
	user_ns_put(img->mm->user_ns);
	img->mm->user_ns = user_ns_get(u);
}

/* 0 with img->mm NULL: Linux would find out only past the point of no return that the image cannot be mapped. */
static int build_mm(struct task *t, const struct exec_request *req, struct image *img)
{
	struct elf_plan *p = img->program;
	struct pas *as;
	int refused = 0, r = pas_create_for(sandbox_platform(), img->id.cred->owner, &as);

	if (r < 0)
		return r;
	img->mm = mm_new(as);
	if (!img->mm) {
		pas_put(as);
		return -ENOMEM;
	}
	img->mm->total_size = img->mm->peak_size = mm_special_size(false);
	img->mm->mdwe = t->mm ? mm_inherited_mdwe(t->mm) : 0;
	set_user_ns(t, img);
	place_stack(t, img);
	if (map_image(t, req, img, &refused) < 0) {
		mm_put(img->mm);
		img->mm = NULL;
		return 0;
	}
	if (refused < 0)
		return refused;
	img->mm->brk_start = p->relocatable && !img->interp ? ET_DYN_BASE : p->brk_start;
	if (exec_randomize_va_space > 1)
		img->mm->brk_start += random_pages(img, BRK_RANDOM_PAGES);
	img->mm->brk = img->mm->brk_start;
	img->mm->start_code = p->start_code;
	img->mm->end_code = p->end_code;
	img->mm->start_data = p->start_data;
	img->mm->end_data = p->end_data;
	return write_stack(img);
}

/* ---- moving over ---- */

/* The context the new program runs in, attached to this thread. */
static int make_context(struct image *img, struct pctx **out)
{
	struct abi_regs regs = {.rip = img->entry, .rsp = img->stack.sp, .cs = L_USER_CS, .ss = L_USER_DS,
				.eflags = L_EFLAGS_IF, .orig_rax = ~0ull};
	struct pctx *ctx;
	int r = pctx_spawn(img->mm->as, NULL, &ctx);

	if (r < 0)
		return r;
	r = pctx_attach(ctx);
	if (r == 0)
		r = pctx_set_regs(ctx, &regs);
	if (r == 0)
		r = pctx_set_xstate(ctx, NULL, 0);
	if (r < 0) {
		pctx_destroy(ctx);
		return r;
	}
	*out = ctx;
	return 0;
}

/* From the name by which it was called; if that was but a descriptor, what the program's file is called now. */
static void comm_of(const struct image *img, char comm[static TASK_COMM_LEN])
{
	const char *base = strrchr(img->name, '/');

	memset(comm, 0, TASK_COMM_LEN);
	if (img->by_descriptor) {
		dentry_copy_name(img->file->path.dentry, comm, TASK_COMM_LEN);
		return;
	}
	base = base && base[1] ? base + 1 : img->name;
	memcpy(comm, base, strnlen(base, TASK_COMM_LEN - 1));
}

/* Signals as exec leaves them: handlers gone, alternate stack gone, pending signals and mask kept. */
static int reset_signals(struct task *t)
{
	struct sighand *own = t->sighand;

	if (refcount_read(&own->refs) > 1) {
		own = sighand_copy(t->sighand);
		if (!own)
			return -ENOMEM;
	}
	sighand_reset(own, true);
	if (own != t->sighand) {
		struct sighand *old = t->sighand;

		mutex_lock(&tasks_lock); /* senders look at it under this one, /proc under the other */
		mutex_lock(&t->alloc_lock);
		t->sighand = own;
		mutex_unlock(&t->alloc_lock);
		mutex_unlock(&tasks_lock);
		sighand_put(old);
	}
	signal_set_altstack(t, &(struct l_stack){.ss_flags = L_SS_DISABLE});
	return 0;
}

static int unshare_files(struct task *t)
{
	struct fdtable *own, *old;
	int r;

	if (!fdtable_shared(t->files))
		return 0;
	r = fdtable_copy(t->files, &own);
	if (r < 0)
		return r;
	mutex_lock(&t->alloc_lock);
	old = t->files;
	t->files = own;
	mutex_unlock(&t->alloc_lock);
	mm_leave_windows(t, false);
	fdtable_put(old);
	return 0;
}

/* Past the point of no return: cannot fail any more but by dying. */
static void move_over(struct task *t, struct image *img, struct pctx *ctx)
{
	struct process *p = t->process;
	struct pctx *old_ctx;
	struct mm *old_mm;
	struct file *old_exe;
	char comm[TASK_COMM_LEN];

	comm_of(img, comm);
	mm_leave_windows(t, true);
	process_book_stub(t);
	task_book_thread(t);
	task_release_mm(t);
	t->rseq = 0;
	t->futex_dead = false; /* it may own new ones */
	mutex_lock(&p->sig_lock);
	old_ctx = t->ctx;
	if (old_ctx)
		task_book_rings(t, old_ctx);
	t->ctx = ctx;
	atomic_store(&t->answers_stale, true);
	mutex_unlock(&p->sig_lock);
	fdtable_recall(t->files);
	if (old_ctx)
		task_drop_ctx(old_ctx);

	mutex_lock(&t->alloc_lock);
	old_mm = t->mm;
	t->mm = img->mm;
	img->mm = NULL;
	memcpy(t->comm, comm, sizeof(comm));
	mutex_unlock(&t->alloc_lock);
	mm_leave(old_mm);

	mutex_lock(&p->exec_lock);
	old_exe = p->exe;
	p->exe = img->file;
	img->file = NULL;
	mutex_unlock(&p->exec_lock);
	if (old_exe)
		file_put(old_exe);

	fdtable_close_on_exec(t->files);
	task_set_cred(t, img->id.cred);
	img->id.cred = NULL;
	if (img->id.secure)
		p->pdeathsig = 0;
	p->dumpable = img->id.dumpable;
	p->personality &= ~L_READ_IMPLIES_EXEC;
	if (img->id.clear_personality)
		p->personality &= ~L_PER_CLEAR_ON_SETID;
	process_timers_exec(p);
	futex_set_robust_list(t, 0);
	t->restart.fn = NULL;
	t->in_syscall = false; /* the registers are the new program's */
	mutex_lock(&tasks_lock);
	p->did_exec = true;
	p->exec_count++;
	mutex_unlock(&tasks_lock);
}

long task_exec(struct task *t, const struct exec_request *req)
{
	struct image img = {.randomize = exec_randomize_va_space && !(t->process->personality & L_ADDR_NO_RANDOMIZE)};
	struct pctx *ctx = NULL;
	int r, old_tid = t->tid;

	r = find_program(t, req, &img);
	if (r == 0 && (req->at_flags & L_AT_EXECVE_CHECK))
		goto out; /* only whether it could be executed was asked */
	if (r == 0)
		r = plan_image(t, &img);
	if (r == 0)
		r = exec_plan_cred(t, img.file, &img.id);
	if (r == 0 && !img.program->fatal && !(img.interp && img.interp->fatal))
		r = build_mm(t, req, &img);
	if (r == 0)
		r = task_become_only_thread(t);
	if (r < 0)
		goto out;

	/* The point of no return. */
	if (!img.mm)
		r = -ENOEXEC;
	if (r == 0)
		r = unshare_files(t);
	if (r == 0)
		r = reset_signals(t);
	if (r == 0)
		r = make_context(&img, &ctx);
	if (r < 0) {
		process_group_exit(t, img.mm ? L_SIGKILL : L_SIGSEGV);
	} else {
		move_over(t, &img, ctx);
		trace_clear_debug_registers(t);
		trace_exec(t, old_tid);
	}
	r = 0;
out:
	image_free(&img);
	return r;
}
