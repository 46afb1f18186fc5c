/*
 * libFuzzer target for the system-call boundary: sequences of calls with any arguments, made by a task over the fake
 * platform, whose files are a tmpfs.  The sanitizers see what goes wrong and what leaks; besides it checks that no
 * handler returns what a guest must not see.
 *
 * What blocks is interrupted at once.  Left out: what makes or ends threads of the host's (fork, exec, exit), which
 * takes the run loop; and frames (sigreturn), which come from the platform.
 */
#include <sys/syscall.h>
#include <time.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "abi/syscalls.h"
#include "abi/types.h"
#include "abi/wait.h"
#include "platform/fake/fake.h"
#include "sentry/entry/entry.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/mm/mm.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/vfs/mount.h"
#include "tests/fuzz/bytes.h"

#define DATA 0x500000ull /* the guest's memory: pages to read and write, then a gap, then one to read alone */
#define DATA_SIZE (4 * PAGE_SIZE)
#define READ_ONLY (DATA + DATA_SIZE + PAGE_SIZE)
#define CALLS_MAX 64
#define FDS 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct platform *pf;
static struct task *init;
static struct path root;

struct platform *sandbox_platform(void)
{
	return pf;
}

/* ---- the world ---- */

static void enter_tree(struct process *p, struct task *t, struct process *parent)
{
	mutex_lock(&tasks_lock);
	REQUIRE(tid_assign(t) == 0);
	p->pid = p->pgid = t->tid;
	list_add_tail(&t->thread_node, &p->threads);
	p->thread_count = p->live_count = 1;
	p->session = session_new(t->tid);
	p->parent = parent;
	if (parent)
		list_add_tail(&p->sibling, &parent->children);
	mutex_unlock(&tasks_lock);
	REQUIRE(p->session);
}

static struct task *make_task(struct process *parent, uint32_t uid)
{
	struct process *p = process_new();
	struct task *t = task_new(p);

	REQUIRE(p && t);
	process_put(p); /* the task holds it */
	t->sighand = sighand_new();
	t->cred = cred_new(uid, uid, NULL, 0);
	REQUIRE(t->sighand && t->cred);
	for (unsigned i = 0; i < L_RLIM_NLIMITS; i++)
		p->rlimits[i] = (struct l_rlimit64){L_RLIM_INFINITY, L_RLIM_INFINITY};
	p->rlimits[L_RLIMIT_NOFILE] = (struct l_rlimit64){64, 64};
	p->rlimits[L_RLIMIT_FSIZE] = (struct l_rlimit64){1 << 20, 1 << 20};
	p->rlimits[L_RLIMIT_AS] = (struct l_rlimit64){16 << 20, 16 << 20};
	enter_tree(p, t, parent);
	return t;
}

static void world_begin_once(void)
{
	struct super_block *sb;
	char why[100];

	if (pf)
		return;
	REQUIRE(platform_start(&fake_platform, &pf, why, sizeof(why)) == 0);
	REQUIRE(tmpfs_create(0, 01777, 0, 0, &sb) == 0 && vfs_mount(NULL, sb, NULL, 0, "root", &root) == 0);
	REQUIRE(mnt_ns_adopt(&root) == 0);
	init = make_task(NULL, 0);
	init->process->is_sentry = true;
	init_process = init->process;
}

/* A namespace of mounts with an empty file system, both of which go with the last who is in it. */
static struct fs_info *fs_begin(void)
{
	struct fs_info *fs = fs_info_new(&root);
	struct super_block *sb;

	REQUIRE(fs && mnt_ns_copy(fs->ns, &user_ns_first, fs) == 0);
	REQUIRE(tmpfs_create(0, 01777, 0, 0, &sb) == 0 && vfs_mount(fs->ns, sb, &fs->root, 0, "root", NULL) == 0);
	REQUIRE(mnt_ns_enter(fs->ns, fs) == 0);
	return fs;
}

/* A task with memory, files and a few descriptors of each kind. */
static struct task *guest_begin(uint32_t uid)
{
	struct task *t = make_task(init->process, uid);
	struct pas *as;

	task_set_current(t);
	t->process->started_by_init = true;
	REQUIRE(pas_create(pf, &as) == 0);
	t->mm = mm_new(as);
	REQUIRE(t->mm && pctx_spawn(as, NULL, &t->ctx) == 0 && pctx_attach(t->ctx) == 0);
	t->files = fdtable_new();
	t->fs = fs_begin();
	REQUIRE(t->files && t->fs);
	REQUIRE(mm_map(t, t->mm, DATA, DATA_SIZE, L_PROT_READ | L_PROT_WRITE,
		       L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED, NULL, 0, VMA_PLAIN) == DATA);
	REQUIRE(mm_map(t, t->mm, READ_ONLY, PAGE_SIZE, L_PROT_READ, L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED, NULL,
		       0, VMA_PLAIN) == READ_ONLY);
	return t;
}

static long call(struct task *t, uint64_t nr, const uint64_t a[6])
{
	struct sys_args args = {nr, {a[0], a[1], a[2], a[3], a[4], a[5]}};
	long r;

	t->syscall_nr = nr;
	sleeper_set_interrupt_self(&t->sleeper, true); /* nobody will wake it: it does not sleep */
	r = dispatch(t, &args);
	sleeper_set_interrupt_self(&t->sleeper, false);
	return r;
}

/* What System V IPC and mqueue leave behind outlives the task, and would outlive this input. */
static void ipc_clean(struct task *t)
{
	static const struct {
		uint64_t ctl, stat;
		bool semaphores;
	} kinds[] = {{SYS_shmctl, 13, false}, {SYS_semctl, 18, true}, {SYS_msgctl, 11, false}};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (uint64_t i = 0; i < CALLS_MAX; i++) {
			uint64_t stat[6] = {i, kinds[k].stat, DATA}, remove[6] = {0};
			long id;

			if (kinds[k].semaphores)
				stat[1] = 0, stat[2] = kinds[k].stat, stat[3] = DATA;
			id = call(t, kinds[k].ctl, stat);
			if (id < 0)
				continue;
			remove[0] = (uint64_t)id;
			(void)!call(t, kinds[k].ctl, remove); /* IPC_RMID is 0 */
		}
}

static void guest_end(struct task *t)
{
	struct wait_request req = {.type = L_P_ALL, .options = L_WEXITED | L_WNOHANG | L___WALL};
	struct wait_result res;

	task_exit(t, 0);
	task_put(t);
	task_set_current(init);
	while (task_wait(init, &req, &res) == 0 && res.pid)
		;
}

/* ---- calls ---- */

static bool left_out(uint64_t nr)
{
	switch (nr) {
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
	case SYS_execve:
	case SYS_execveat:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigreturn:
	case SYS_restart_syscall:
		return true;
	default:
		return false;
	}
}

/* An address: in the data, near an edge, or any. */
static uint64_t address(struct bytes *b)
{
	switch (choose(b, 8)) {
	case 0:
		return 0;
	case 1:
		return DATA + DATA_SIZE - choose(b, 64);
	case 2:
		return READ_ONLY + take(b, 1);
	case 3:
		return take(b, 8);
	case 4:
		return DATA + PAGE_SIZE * choose(b, 6);
	default:
		return DATA + take(b, 2) % DATA_SIZE;
	}
}

static uint64_t number(struct bytes *b)
{
	static const uint64_t edges[] = {UINT64_MAX, INT32_MAX,	 UINT32_MAX, INT64_MAX, 1ull << 63,
					 PAGE_SIZE,  1ull << 32, 65536,	     1 << 20,	(uint64_t)-PAGE_SIZE};

	switch (choose(b, 4)) {
	case 0:
		return edges[choose(b, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return take(b, 8);
	case 2:
		return take(b, 2);
	default:
		return take(b, 1) & 15;
	}
}

static uint64_t argument(struct bytes *b, const struct abi_arg *a)
{
	uint8_t how = (uint8_t)take(b, 1);

	if (how < 16) /* anything */
		return take(b, 8);
	switch (a->kind) {
	case ABI_ARG_FD:
		return choose(b, FDS);
	case ABI_ARG_DIRFD:
		return how & 1 ? choose(b, FDS) : (uint64_t)-100;
	case ABI_ARG_PID:
		return how & 1 ? 0 : number(b);
	case ABI_ARG_FLAGS:
	case ABI_ARG_ENUM: {
		uint64_t v = 0;

		for (unsigned n = a->kind == ABI_ARG_ENUM ? 1 : how & 3; n > 0; n--)
			v |= a->names->v[choose(b, (unsigned)a->names->count)].value;
		return v;
	}
	case ABI_ARG_PTR:
	case ABI_ARG_PATH:
	case ABI_ARG_STR:
	case ABI_ARG_STRV:
	case ABI_ARG_BUF:
	case ABI_ARG_STRUCT:
	case ABI_ARG_ARRAY:
	case ABI_ARG_VAR:
	case ABI_ARG_IOV:
		return address(b);
	default:
		return number(b);
	}
}

/* Fills a piece of the guest's memory: with bytes, a path, or pointers for iovecs and the like. */
static void fill_memory(struct task *t, struct bytes *b)
{
	static const char *const paths[] = {"a", "b", "a/b", "/a", "..", ".", "/", "a/..", "user.x", "/q", "b/", ""};
	uint64_t at = address(b), words[8];
	const char *path = paths[choose(b, sizeof(paths) / sizeof(paths[0]))];

	if (choose(b, 2)) {
		(void)!copy_out(t->ctx, at, path, strlen(path) + 1);
		return;
	}
	for (size_t i = 0; i < 8; i++)
		words[i] = choose(b, 2) ? address(b) : number(b);
	(void)!copy_out(t->ctx, at, words, sizeof(words));
}

static void one_call(struct task *t, struct bytes *b)
{
	const struct abi_syscall *s = &abi_syscalls[take(b, 2) % abi_syscall_count];
	uint64_t a[6] = {0};
	long r;

	if (left_out(s->nr))
		return;
	for (unsigned i = 0; i < ABI_MAX_ARGS && s->args[i].kind; i++)
		a[i] = argument(b, &s->args[i]);
	r = call(t, s->nr, a);
	/* An error that is none, or a restart code that entry would not know. */
	REQUIRE(r >= 0 || r < -4095 || r >= -200 || (r <= -ERESTARTSYS && r >= -ERESTART_RESTARTBLOCK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {data, size};
	struct task *t;

	world_begin_once();
	t = guest_begin(choose(&b, 2) ? 1000 : 0);
	for (unsigned n = 0; n < CALLS_MAX && b.left; n++) {
		if (choose(&b, 3) == 0)
			fill_memory(t, &b);
		one_call(t, &b);
		t->restore_mask = false;
	}
	ipc_clean(t);
	guest_end(t);
	return 0;
}
